"""fal's adapter, over TLS, at a fal that does as it should."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import fal_client
import pytest
from fal_client import InProgress, Queued
from fal_client import client as sdk
from PIL import Image
from pydantic import SecretStr, ValidationError
from tests.providers.canary import canary
from tests.providers.fal_desk import MODEL, PHOTO, Desk, files_in, request

from funmagic.providers.adapters import fal as adapter
from funmagic.providers.adapters.fal import BackgroundRemovalOptions, Fal, FalCredentials
from funmagic.providers.adapters.fal.prices import micros
from funmagic.providers.contract import (
    Connection,
    Options,
    Place,
    ProviderError,
    Trouble,
)

USD_MICROS = 18_000  # one image, by the simulator's list


async def test_a_photo_goes_there_and_a_cutout_comes_back(desk: Desk) -> None:
    await desk.control.pace(queue_s=0.15, work_s=0.3)
    call = desk.call()
    finished = await desk.run(call)
    (cutout,) = finished.result.files
    assert (cutout.content_type, files_in(call)) == ("image/png", [cutout.path])
    with Image.open(PHOTO) as before, Image.open(cutout.path) as after:
        after.load()
        assert (after.format, after.mode, after.size) == ("PNG", "RGBA", before.size)
    (job,) = await desk.control.jobs()
    assert finished.result.cost_usd_micros == USD_MICROS
    meta = dict(finished.result.meta)
    assert meta.pop("inferenceS") == pytest.approx(0.3, abs=0.2)
    assert meta == {"requestId": job["id"], "billableUnits": 1.0, "unitPriceUsd": 0.018}
    assert (job["keyId"], job["creates"], job["resultFetches"]) == ("ada", 1, 1)


async def test_progress_never_goes_back_and_stays_below_the_end(desk: Desk) -> None:
    await desk.control.pace(queue_s=0.3, work_s=0.5)
    await desk.run()
    assert desk.percents == sorted(desk.percents)
    assert desk.percents[0] <= 10
    assert 20 < desk.percents[-1] <= 90


async def test_each_question_is_asked_as_fal_wants_it(desk: Desk) -> None:
    await desk.run()
    requests = await desk.control.requests()
    asked = [each["at"] for each in requests if each["at"] != "status"]
    assert asked == ["token", "upload", "submit", "result", "prices", "file"]
    by_point = {each["at"]: each for each in requests}
    keyed = {at for at, each in by_point.items() if each["keyId"] == "ada"}
    assert keyed == {"token", "submit", "status", "result", "prices"}
    upload = by_point["upload"]["headers"]
    assert upload["authorization"].startswith("Bearer ")
    assert upload["content-type"] == "image/jpeg"
    assert upload["content-length"] == str(PHOTO.stat().st_size)
    assert json.loads(upload["x-fal-object-lifecycle"]) == {"expiration_duration_seconds": 3600}
    create = by_point["submit"]["headers"]
    assert create["x-fal-no-retry"] == "1"
    assert 30 < float(create["x-fal-request-timeout"]) <= 60
    assert "logs=true" in by_point["status"]["query"]
    assert "authorization" not in by_point["file"]["headers"]


@pytest.mark.hazard("U8")
async def test_two_keys_at_once_stay_apart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it matter what the SDK would find in the environment."""
    monkeypatch.setenv("FAL_KEY", "environment:secret")
    await desk.control.pace(work_s=0.2)
    await asyncio.gather(*(desk.run(desk.call(f"{name}:secret")) for name in ("ada", "bo") * 3))
    jobs = await desk.control.jobs()
    assert sorted(job["keyId"] for job in jobs) == ["ada"] * 3 + ["bo"] * 3
    whose = {job["id"]: job["keyId"] for job in jobs}
    for asked in await desk.control.requests():
        if asked["requestId"] is not None:
            assert asked["keyId"] == whose[asked["requestId"]]
    for point in ("token", "submit"):
        keys = [asked["keyId"] for asked in await desk.seen(point)]
        assert sorted(keys) == ["ada"] * 3 + ["bo"] * 3


@pytest.mark.hazard("U8")
async def test_nothing_of_the_sdk_is_set_for_the_whole_process(desk: Desk) -> None:
    def settings() -> dict[str, Any]:
        plain = (str, int, float, list, dict, type(None))
        kept = {name: repr(it) for name, it in vars(sdk).items() if isinstance(it, plain)}
        kept["clients"] = repr([vars(fal_client.sync_client), vars(fal_client.async_client)])
        return kept | os.environ

    before = settings()
    await desk.run(desk.call("cy:a-key-of-its-own"))
    assert settings() == before


async def test_who_only_wants_the_cost_gets_no_file(desk: Desk) -> None:
    pending = await desk.submit()
    call = desk.call(wants_files=False)
    finished = await desk.wait(pending, call)
    assert (finished.result.files, finished.result.cost_usd_micros) == ((), USD_MICROS)
    assert (await desk.seen("file"), files_in(call)) == ([], [])


async def test_the_cost_is_fals_units_at_fals_price(desk: Desk) -> None:
    await desk.control.outcome("ok", billableUnits=2.5)
    call = desk.call(wants_files=False)
    for _ in range(2):
        assert (await desk.run(call)).result.cost_usd_micros == 45_000
    assert len(await desk.seen("prices")) == 1, "a price is kept for an hour"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 403},
        {"status": 500},
        {"cut": "before"},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": {"prices": []}},
        {"status": 200, "body": {"prices": "none"}},
        {"status": 200, "body": {"prices": [{"endpoint_id": MODEL, "unit_price": 1}]}},
        {
            "status": 200,
            "body": {"prices": [{"endpoint_id": MODEL, "unit_price": -1, "currency": "USD"}]},
        },
        {
            "status": 200,
            "body": {"prices": [{"endpoint_id": MODEL, "unit_price": 9, "currency": "JPY"}]},
        },
    ],
)
async def test_without_fals_price_the_configured_one_counts(
    desk: Desk, fault: dict[str, Any]
) -> None:
    await desk.control.fault("prices", **fault)
    options = BackgroundRemovalOptions(unit_price_usd=0.5)
    finished = await desk.run(desk.call(options=options))
    assert finished.result.cost_usd_micros == 500_000
    assert finished.result.files


@pytest.mark.parametrize("told", [None, "many", "-1", "nan", "inf"])
async def test_without_units_one_is_counted(desk: Desk, told: str | None) -> None:
    pending = await desk.submit()
    headers = {} if told is None else {"x-fal-billable-units": told}
    await desk.control.fault("result", status=200, body={"image": {}}, headers=headers)
    call = desk.call(wants_files=False)
    assert (await desk.wait(pending, call)).result.cost_usd_micros == USD_MICROS


def test_a_cost_is_rounded_up_to_a_millionth() -> None:
    assert micros(1, 0.018) == 18_000
    assert micros(3, 0.1) == 300_000
    assert micros(0.3333333, 0.018) == 6_000
    assert micros(1, 0.0000001) == 1
    assert micros(0, 5) == 0


async def test_a_job_that_is_cancelled_ends_as_a_failure(desk: Desk) -> None:
    await desk.control.pace(queue_s=60)
    call = desk.call()
    pending = await desk.submit(call)
    await desk.fal.cancel(pending.handle, call)
    (job,) = await desk.control.jobs()
    assert job["isCancelled"]
    error = await desk.failed_wait(pending, call)
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, False)
    assert "client_cancelled" in error.vendor_message


async def test_cancelling_what_has_ended_or_is_forgotten_does_no_harm(desk: Desk) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    await desk.wait(pending, call)
    await desk.fal.cancel(pending.handle, call)
    await desk.control.reset()
    await desk.fal.cancel(pending.handle, call)
    await desk.control.fault("cancel", status=503, headers={"retry-after": "3"})
    with pytest.raises(ProviderError) as caught:
        await desk.fal.cancel(pending.handle, call)
    assert (caught.value.may_repeat, caught.value.retry_after_s) == (True, 3)


async def test_health_is_whether_fal_accepts_the_key(desk: Desk) -> None:
    assert (await desk.fal.check_health(desk.connection())).ok is True
    for key in ("bad:secret", "no-colon"):
        health = await desk.fal.check_health(desk.connection(key))
        assert (health.ok, "key" in health.message) == (False, True)
    await desk.control.fault("token", status=503)
    assert (await desk.fal.check_health(desk.connection())).ok is False
    assert (await desk.fal.check_health(Connection(base_url=desk.base_url))).ok is False
    assert await desk.control.jobs() == []


@pytest.mark.hazard("U9")
async def test_a_base_url_leads_to_a_simulator_on_this_machine_or_nowhere(
    desk: Desk, tmp_path: Path
) -> None:
    """Whatever a row in the database says, the key is not sent there."""
    production = Fal()
    production.open(Place(models_dir=tmp_path))
    credentials = FalCredentials(key=SecretStr("ada:secret"))
    async with canary() as bird:
        for fal, base_url in (
            (production, desk.base_url),
            (production, f"http://127.0.0.1:{bird.port}"),
            (desk.fal, "https://10.0.0.1/fal"),
            (desk.fal, "http://169.254.169.254"),
            (desk.fal, f"http://user@127.0.0.1:{bird.port}"),
            (desk.fal, "https://fal.example"),
        ):
            connection = Connection(credentials, base_url)
            health = await fal.check_health(connection)
            assert (health.ok, "refused" in health.message) == (False, True)
            with pytest.raises(ProviderError, match="refused"):
                await fal.submit(request(), desk.call(connection=connection))
    assert bird.connections == 0
    assert await desk.control.requests() == []


async def test_a_call_for_something_else_is_not_made(desk: Desk) -> None:
    class Other(Options):
        pass

    for call in (
        desk.call(model="fal-ai/flux/schnell"),
        desk.call(model="../../rest"),
        desk.call(options=Other()),
    ):
        assert (await desk.failed_submit(call)).trouble == Trouble.INVALID
    with pytest.raises(ProviderError) as caught:
        await desk.fal.submit("no request", desk.call())  # type: ignore[arg-type]
    assert caught.value.trouble == Trouble.INVALID
    error = await desk.failed_submit(desk.call(connection=Connection(base_url=desk.base_url)))
    assert error.trouble == Trouble.UNAUTHORISED
    with pytest.raises(ProviderError, match="not opened"):
        await Fal().submit(request(), desk.call())
    assert await desk.control.requests() == []


@pytest.mark.parametrize("key", ["", " ", "a b", "a\nb", "schlüssel", "a" * 501])
def test_a_key_that_fits_no_header_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        FalCredentials(key=SecretStr(key))
    assert not key.strip() or key not in str(caught.value)
    assert FalCredentials(key=SecretStr(" ada:secret\n")).key.get_secret_value() == "ada:secret"


def test_percentages_follow_the_queue_and_what_the_job_says() -> None:
    def logs(*lines: str) -> InProgress:
        return InProgress(logs=[{"message": line} for line in lines])

    steps = [
        *(Queued(position=place) for place in (40, 9, 3, 0)),
        *(InProgress(logs=None), logs("start"), logs("start", "40%|####"), logs("a", "b", "99 %")),
        logs("a", "b", "99 %", *["line"] * 500),
    ]
    percents = [adapter._percent(step) for step in steps]
    assert percents == sorted(percents)
    assert (percents[0], percents[3], percents[4]) == (1, 10, 20)
    assert max(percents) <= 90
