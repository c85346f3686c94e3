"""Tripo's adapter, over TLS, at a Tripo that does as it should."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr, ValidationError
from tests.providers.canary import canary
from tests.providers.tripo_desk import (
    CREDITS,
    KEY,
    OFFER,
    PHOTO,
    USD_MICROS,
    TripoDesk,
    connection_to,
    request,
)

from funmagic.providers.adapters.tripo import Tripo, TripoConfig, TripoCredentials
from funmagic.providers.contract import (
    BackgroundRemoval,
    Connection,
    Options,
    Place,
    ProviderError,
    Trouble,
)
from funmagic.toolkit.schema import form_of

WHO_IS_ASKED = """
import socket, threading
asked = []
def note(*where, **more):
    asked.append(where)
    raise OSError("not from here")
socket.getaddrinfo = note
socket.socket.connect = note
import funmagic.providers.adapters.tripo
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join(30)
print(asked)
"""


async def test_a_photo_goes_there_and_a_model_and_its_picture_come_back(tripo: TripoDesk) -> None:
    call = tripo.call()
    finished = await tripo.run(call)
    model, picture = finished.result.files
    assert sorted(call.work_dir.iterdir()) == sorted([model.path, picture.path])
    content = model.path.read_bytes()
    assert (model.content_type, content[:4]) == ("model/gltf-binary", b"glTF")
    assert struct.unpack_from("<II", content, 4) == (2, len(content))
    with Image.open(picture.path) as opened:
        opened.load()
        assert Image.MIME[str(opened.format)] == picture.content_type
    (job,) = await tripo.control.jobs()
    assert finished.result.cost_usd_micros == USD_MICROS
    assert finished.result.meta == {
        "taskId": job["id"],
        "creditsConsumed": CREDITS,
        "usdPer100Credits": 1.0,
        "isRelief": False,
    }
    assert (job["keyId"], job["creates"], job["model"]) == ("ada", 1, OFFER.models[0])


async def test_progress_is_tripos_and_stays_below_the_end(tripo: TripoDesk) -> None:
    await tripo.control.pace(queue_s=0.2, work_s=0.8)
    await tripo.run()
    assert tripo.percents == sorted(tripo.percents)
    assert tripo.percents[0] == 0
    assert 20 < tripo.percents[-1] <= 99


async def test_each_question_is_asked_once_and_files_without_the_key(tripo: TripoDesk) -> None:
    await tripo.finished_task(call := tripo.call())
    (job,) = await tripo.control.jobs()
    await tripo.tripo.poll({"taskId": job["id"]}, call)
    requests = await tripo.control.requests()
    asked = [each["at"] for each in requests]
    assert [at for at in asked if at != "task"] == ["upload", "create", "file", "file"]
    for each in requests:
        assert (each["keyId"] is None) is (each["at"] == "file")
        assert ("authorization" in each["headers"]) is (each["at"] != "file")
    (upload,) = await tripo.seen("upload")
    assert upload["files"] == [
        {
            "field": "file",
            "name": "photo.jpeg",
            "contentType": "image/jpeg",
            "sizeBytes": PHOTO.stat().st_size,
        }
    ]


@pytest.mark.hazard("U8")
async def test_two_keys_at_once_stay_apart(
    tripo: TripoDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it matter what the SDK would find in the environment."""
    monkeypatch.setenv("TRIPO_API_KEY", "tsk_environment_secret")
    await tripo.control.pace(work_s=0.2)
    keys = [f"tsk_{name}_secret" for name in ("ada", "bo") * 3]
    await asyncio.gather(*(tripo.run(tripo.call(key)) for key in keys))
    jobs = await tripo.control.jobs()
    assert sorted(job["keyId"] for job in jobs) == ["ada"] * 3 + ["bo"] * 3
    whose = {job["id"]: job["keyId"] for job in jobs}
    for asked in await tripo.control.requests():
        if asked["requestId"] is not None:
            assert asked["keyId"] == whose[asked["requestId"]]
    for point in ("upload", "create"):
        seen = [asked["keyId"] for asked in await tripo.seen(point)]
        assert sorted(seen) == ["ada"] * 3 + ["bo"] * 3


def test_the_sdk_asks_nobody_where_we_are() -> None:
    """At its import, in a process of its own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("TRIPO_")
    } | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = subprocess.run(
        [sys.executable, "-P", "-c", WHO_IS_ASKED],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert (told.stdout.strip(), told.returncode) == ("[]", 0), told.stderr


async def test_who_only_wants_the_cost_gets_no_file(tripo: TripoDesk) -> None:
    pending = await tripo.submit()
    call = tripo.call(wants_files=False)
    finished = await tripo.wait(pending, call)
    assert (finished.result.files, finished.result.cost_usd_micros) == ((), USD_MICROS)
    assert (await tripo.seen("file"), list(call.work_dir.iterdir())) == ([], [])


@pytest.mark.parametrize(
    ("credits", "usd", "micros"),
    [(30, 1.0, 300_000), (30, 0.8, 240_000), (12.345, 1.0, 123_450), (0, 1.0, 0), (1, 1e-5, 1)],
)
async def test_the_cost_is_the_credits_at_the_operators_price(
    tripo: TripoDesk, credits: float, usd: float, micros: int
) -> None:
    await tripo.control.outcome("ok", credits=credits)
    connection = tripo.connection(usd_per_100_credits=usd)
    finished = await tripo.run(tripo.call(connection=connection, wants_files=False))
    assert finished.result.cost_usd_micros == micros
    assert finished.result.meta["creditsConsumed"] == credits


@pytest.mark.parametrize("told", [None, "many", -1, 1e9])
async def test_without_credits_told_so_many_are_assumed(tripo: TripoDesk, told: Any) -> None:
    pending = await tripo.submit()
    data = {"task_id": "t", "status": "success", "credits_consumed": told, "output": {}}
    await tripo.control.fault("task", status=200, body={"code": 0, "data": data})
    connection = tripo.connection(assumed_credits=55)
    call = tripo.call(connection=connection, wants_files=False)
    assert (await tripo.wait(pending, call)).result.cost_usd_micros == 550_000


@pytest.mark.hazard("M10")
async def test_a_handle_is_enough_after_a_crash_and_after_the_addresses_died(
    tripo: TripoDesk,
) -> None:
    await tripo.control.outcome("ok", staleUrls=2)
    pending = await tripo.submit()
    assert list(pending.handle) == ["taskId"]
    another = TripoDesk(Tripo(), tripo.control, tripo.base_url, tripo.folder)
    another.tripo.open(tripo.tripo._place or Place(models_dir=tripo.folder))
    call = another.call()
    for _ in range(2):
        error = await another.failed_wait(pending, call)
        assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, True)
        assert error.cost_usd_micros == USD_MICROS
    finished = await another.wait(pending, call)
    assert len(finished.result.files) == 2
    assert len(await tripo.control.jobs()) == len(await tripo.seen("create")) == 1


async def test_a_task_cannot_be_cancelled_and_nobody_is_asked(tripo: TripoDesk) -> None:
    await tripo.control.pace(work_s=0.2)
    call = tripo.call()
    pending = await tripo.submit(call)
    asked = len(await tripo.control.requests())
    await tripo.tripo.cancel(pending.handle, call)
    await tripo.tripo.cancel({}, call)
    assert len(await tripo.control.requests()) == asked
    assert (await tripo.wait(pending, call)).result.files


async def test_health_is_whether_the_key_is_accepted_and_has_credits(tripo: TripoDesk) -> None:
    await tripo.control.wallet(balance=1234.5)
    health = await tripo.tripo.check_health(tripo.connection())
    assert (health.ok, "1,234.5 credits" in health.message) == (True, True)
    await tripo.control.wallet(balance=0)
    health = await tripo.tripo.check_health(tripo.connection())
    assert (health.ok, "out of credits" in health.message) == (False, True)
    health = await tripo.tripo.check_health(tripo.connection("tsk_bad_secret"))
    assert (health.ok, "does not accept the key" in health.message) == (False, True)
    for fault in ({"status": 503}, {"status": 200, "body": "<html>"}, {"cut": "before"}):
        await tripo.control.fault("balance", **fault)
        health = await tripo.tripo.check_health(tripo.connection())
        assert health.ok is False
        assert "not usable" in health.message
    keyless = Connection(base_url=tripo.base_url)
    assert (await tripo.tripo.check_health(keyless)).ok is False
    assert await tripo.control.jobs() == []


@pytest.mark.hazard("U9")
async def test_a_base_url_leads_to_a_simulator_on_this_machine_or_nowhere(
    tripo: TripoDesk, tmp_path: Path
) -> None:
    """Whatever a row in the database says, the key is not sent there."""
    production = Tripo()
    production.open(Place(models_dir=tmp_path))
    async with canary() as bird:
        for adapter, base_url in (
            (production, tripo.base_url),
            (production, f"http://127.0.0.1:{bird.port}"),
            (tripo.tripo, "https://10.0.0.1/tripo"),
            (tripo.tripo, "http://169.254.169.254"),
            (tripo.tripo, f"http://user@127.0.0.1:{bird.port}"),
            (tripo.tripo, "https://tripo.example"),
        ):
            connection = connection_to(base_url)
            health = await adapter.check_health(connection)
            assert (health.ok, "refused" in health.message) == (False, True)
            with pytest.raises(ProviderError, match="refused"):
                await adapter.submit(request(), tripo.call(connection=connection))
    assert bird.connections == 0
    assert await tripo.control.requests() == []


async def test_a_call_for_something_else_is_not_made(tripo: TripoDesk) -> None:
    class Other(Options):
        pass

    p1 = OFFER.options_of("P1-20260311")()
    for call, trouble in (
        (tripo.call(model="tripo-v3.1"), Trouble.UNAUTHORISED),
        (tripo.call(options=Other()), Trouble.INVALID),
        (tripo.call(options=p1), Trouble.INVALID),
    ):
        assert (await tripo.failed_submit(call)).trouble == trouble
    with pytest.raises(ProviderError) as caught:
        await tripo.tripo.submit(BackgroundRemoval(request().image), tripo.call())
    assert caught.value.trouble == Trouble.INVALID
    keyless = tripo.call(connection=Connection(base_url=tripo.base_url))
    assert (await tripo.failed_submit(keyless)).trouble == Trouble.UNAUTHORISED
    with pytest.raises(ProviderError, match="not opened"):
        await Tripo().submit(request(), tripo.call())
    huge = tripo.folder / "huge.jpg"
    with huge.open("wb") as file:
        file.truncate(20_000_001)
    with pytest.raises(ProviderError, match="too large"):
        await tripo.tripo.submit(request(huge), tripo.call())
    assert await tripo.control.requests() == []


async def test_a_model_an_operator_has_added_may_be_called(tripo: TripoDesk) -> None:
    """Here it is one that Tripo does not know either, and says so."""
    connection = tripo.connection(more_models=("v9.9-20300101",))
    call = tripo.call(connection=connection, model="v9.9-20300101")
    error = await tripo.failed_submit(call)
    assert (error.trouble, "v3.1-20260211" in error.vendor_message) == (Trouble.INVALID, True)
    (create,) = await tripo.seen("create")
    assert create["fields"]["model"] == "v9.9-20300101"


@pytest.mark.parametrize("model", OFFER.models)
async def test_every_model_takes_every_option_of_its_form(tripo: TripoDesk, model: str) -> None:
    """Tripo, as simulated, refuses a model what it does not take."""
    options_model = OFFER.options_of(model)
    limit = options_model.model_fields["face_limit"]
    most = next(rule.le for rule in limit.metadata if hasattr(rule, "le"))
    several: list[dict[str, Any]] = [{"texture": False}, {"faceLimit": most}, {"faceLimit": 500}]
    for field in form_of(options_model):
        if field.kind == "switch":
            several.append({field.name: not field.default})
        several += [{field.name: choice} for choice in field.choices]
    await tripo.control.wallet(balance=1e6, tasksAtOnce=100)
    for given in several:
        options = options_model.model_validate(given)
        await tripo.submit(tripo.call(model=model, options=options))
    assert len(await tripo.control.jobs()) == len(several)


OF_V3 = {"texture_quality", "auto_size", "geometry_quality", "smart_low_poly"}
OF_EVERYBODY = {
    *("texture", "pbr", "face_limit", "texture_alignment", "orientation"),
    "enable_image_autofix",
}


@pytest.mark.parametrize(
    ("model", "more", "faces"),
    [
        ("v3.1-20260211", OF_V3, 1_500_000),
        ("v3.0-20250812", OF_V3, 1_000_000),
        ("v2.5-20250123", set(), 500_000),
        ("P1-20260311", {"texture_quality", "auto_size"}, 20_000),
        ("P2-20260801", {"texture_quality", "auto_size"}, 50_000),
    ],
)
def test_a_form_has_what_its_model_takes_and_nothing_else(
    model: str, more: set[str], faces: int
) -> None:
    options = OFFER.options_of(model)
    assert set(options.model_fields) == OF_EVERYBODY | more
    assert options.model_validate({"faceLimit": faces}).model_dump()["face_limit"] == faces
    for wrong in (faces + 1, 49, -1, 1.5):
        with pytest.raises(ValidationError):
            options.model_validate({"faceLimit": wrong})


def test_few_faces_are_few() -> None:
    options = OFFER.options_of("v3.1-20260211")
    for right in ({}, {"faceLimit": 500}, {"faceLimit": 20_000}):
        options.model_validate({"smartLowPoly": True, **right})
    for wrong in (499, 20_001):
        with pytest.raises(ValidationError, match="500 to 20000"):
            options.model_validate({"smartLowPoly": True, "faceLimit": wrong})


@pytest.mark.parametrize(
    "key", ["", " ", "sk_ada", "tsk_", "tsk_a b", "tsk_a\nb", "tsk_ü", "tsk_" + "a" * 501]
)
def test_a_key_of_another_shape_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(ValidationError, match="starts with tsk_") as caught:
        TripoCredentials(key=SecretStr(key))
    assert len(key.strip()) < 5 or key not in str(caught.value)
    assert TripoCredentials(key=SecretStr(f" {KEY}\n")).key.get_secret_value() == KEY


def test_a_price_is_no_less_than_nothing() -> None:
    for wrong in (-1, 1001, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            TripoConfig.model_validate({"usdPer100Credits": wrong})
