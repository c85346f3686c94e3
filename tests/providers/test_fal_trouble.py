"""fal's adapter when fal, the network or the result is not as it should be."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr
from tests.providers.canary import Visit, canary, whole
from tests.providers.fal_desk import Desk

from funmagic.core.clock import now
from funmagic.providers.adapters import fal as adapter
from funmagic.providers.adapters.fal import FalCredentials
from funmagic.providers.contract import Connection, Trouble

USD_MICROS = 18_000
NGINX = "<html><center>nginx</center></html>"  # what the SDK takes for a reason to try again


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(
    ("fault", "trouble", "may_repeat", "jobs"),
    [
        ({"status": 429, "headers": {"retry-after": "7"}}, Trouble.BUSY, True, 0),
        ({"status": 408}, Trouble.TIMEOUT, False, 0),
        ({"status": 409}, Trouble.BROKEN, False, 0),
        ({"status": 500}, Trouble.BROKEN, False, 0),
        ({"status": 502, "body": NGINX}, Trouble.BROKEN, False, 0),
        ({"status": 503, "body": NGINX, "headers": {"retry-after": "7"}}, Trouble.BUSY, False, 0),
        ({"status": 504, "body": NGINX}, Trouble.TIMEOUT, False, 0),
        ({"cut": "before"}, Trouble.BROKEN, False, 0),
        ({"cut": "after"}, Trouble.BROKEN, False, 1),
        ({"delayS": 3.0}, Trouble.TIMEOUT, False, None),
        ({"status": 200, "body": "<html>"}, Trouble.BROKEN, False, 0),
        ({"status": 200, "body": {"request_id": 7}}, Trouble.BROKEN, False, 0),
        ({"status": 302, "headers": {"location": "/elsewhere"}}, Trouble.BROKEN, False, 0),
    ],
)
async def test_a_create_is_sent_once_whatever_becomes_of_it(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    trouble: Trouble,
    may_repeat: bool,
    jobs: int | None,
) -> None:
    monkeypatch.setattr(adapter, "CREATE_LIMIT_S", 0.5)
    await desk.control.fault("submit", times=20, **fault)
    error = await desk.failed_submit()
    assert (error.trouble, error.may_repeat) == (trouble, may_repeat)
    if "headers" in fault and "retry-after" in fault["headers"]:
        assert error.retry_after_s == 7
    assert len(await desk.seen("submit")) == 1
    if jobs is not None:  # a create that hangs may still be taken in later
        assert len(await desk.control.jobs()) == jobs


@pytest.mark.hazard("M9")
async def test_a_create_that_found_nobody_may_be_sent_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fal has gone away between the upload and the create."""

    async def uploaded(*_: Any) -> str:
        return "https://v3.fal.media/files/photo"

    monkeypatch.setattr(adapter, "_upload", uploaded)
    with socket.socket() as deaf:  # bound, but not listening
        deaf.bind(("127.0.0.1", 0))
        nobody = f"https://127.0.0.1:{deaf.getsockname()[1]}/fal"
        connection = Connection(desk.connection().credentials, nobody)
        error = await desk.failed_submit(desk.call(connection=connection))
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, True)


@pytest.mark.hazard("M9")
async def test_a_create_is_not_written_into_a_connection_that_may_be_closing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fal closes kept connections when it likes: here, whenever somebody uses one again."""

    async def uploaded(*_: Any) -> str:
        return "https://v3.fal.media/files/photo"

    async def answer(visit: Visit) -> None:
        here = f"{base_url}/queue/fal-ai/bria/requests/r1"
        told = {"request_id": "r1", "status_url": here, "response_url": here, "cancel_url": here}
        told |= {"token": "t", "token_type": "Bearer"}
        await whole(json.dumps(told).encode(), "application/json")(visit)

    monkeypatch.setattr(adapter, "_upload", uploaded)
    async with canary(answer, lingers=True) as bird:
        base_url = f"http://127.0.0.1:{bird.port}/fal"
        connection = Connection(desk.connection().credentials, base_url)
        assert (await desk.fal.check_health(connection)).ok
        pending = await desk.submit(desk.call(connection=connection))
        await desk.fal.close()
    assert pending.handle["requestId"] == "r1"
    assert bird.connections == 2


@pytest.mark.parametrize("at", ["token", "upload"])
@pytest.mark.parametrize(
    ("fault", "wait_s"),
    [
        ({"status": 429, "headers": {"retry-after": "2"}}, 2),
        ({"status": 503, "body": NGINX}, None),
        ({"status": 500}, None),
        ({"cut": "before"}, None),
        ({"cut": "after"}, None),
    ],
)
async def test_an_upload_that_fails_has_made_nothing_and_may_be_repeated(
    desk: Desk, at: str, fault: dict[str, Any], wait_s: float | None
) -> None:
    await desk.control.fault(at, times=20, **fault)
    error = await desk.failed_submit()
    assert (error.may_repeat, error.retry_after_s) == (True, wait_s)
    assert len(await desk.seen(at)) == 1
    assert (await desk.seen("submit"), await desk.control.jobs()) == ([], [])


@pytest.mark.hazard("M9")
@pytest.mark.parametrize("at", ["status", "result", "file"])
@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        ({"status": 429, "headers": {"retry-after": "2"}}, Trouble.BUSY),
        ({"status": 500}, Trouble.BROKEN),
        ({"status": 502, "body": NGINX}, Trouble.BROKEN),
        ({"status": 503, "body": NGINX}, Trouble.BUSY),
        ({"cut": "before"}, Trouble.BROKEN),
        ({"cut": "after"}, Trouble.BROKEN),
    ],
)
async def test_a_question_without_an_answer_is_asked_again_of_the_same_job(
    desk: Desk, at: str, fault: dict[str, Any], trouble: Trouble
) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    await desk.control.fault(at, **fault)
    error = await desk.failed_wait(pending, call)
    assert (error.trouble, error.may_repeat) == (trouble, True)
    if "headers" in fault:
        assert error.retry_after_s == 2
    asked = len(await desk.seen(at))
    assert asked == 1, "the adapter itself asks once"
    finished = await desk.wait(pending, call)
    assert len(finished.result.files) == 1
    assert len(await desk.seen("submit")) == 1
    assert len(await desk.control.jobs()) == 1


@pytest.mark.hazard("S10")
async def test_a_date_to_come_back_at_is_read(desk: Desk) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    for at in ("status", "result", "file"):
        later = format_datetime(now() + timedelta(seconds=90), usegmt=True)
        await desk.control.fault(at, status=429, headers={"retry-after": later})
        error = await desk.failed_wait(pending, call)
        assert 30 < (error.retry_after_s or 0) <= 90
    later = format_datetime(now() + timedelta(seconds=90), usegmt=True)
    await desk.control.fault("submit", status=429, headers={"retry-after": later})
    assert 30 < ((await desk.failed_submit()).retry_after_s or 0) <= 90


async def test_a_slow_status_is_no_answer_in_time(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    monkeypatch.setattr(adapter, "QUESTION_LIMIT_S", 0.2)
    await desk.control.fault("status", delayS=2.0)
    error = await desk.failed_wait(pending, call)
    assert (error.trouble, error.may_repeat) == (Trouble.TIMEOUT, True)


async def test_past_the_deadline_nothing_is_made(desk: Desk) -> None:
    error = await desk.failed_submit(desk.call(time_s=-1))
    assert error.trouble == Trouble.TIMEOUT
    assert await desk.seen("submit") == []


@pytest.mark.parametrize(
    ("outcome", "trouble", "word"),
    [
        ({"kind": "refused"}, Trouble.REFUSED, "content_policy_violation"),
        ({"kind": "file_download_error"}, Trouble.INVALID, "file_download_error"),
        *(
            ({"kind": "error", "error": "So it goes", "errorType": kind}, trouble, f"{kind}: So it")
            for kind, trouble in {
                "runner_server_error": Trouble.BROKEN,
                "runner_disconnected": Trouble.BROKEN,
                "runner_scheduling_failure": Trouble.BUSY,
                "request_timeout": Trouble.TIMEOUT,
                "bad_request": Trouble.INVALID,
                "never heard of": Trouble.BROKEN,
                "": Trouble.BROKEN,
            }.items()
        ),
    ],
)
async def test_a_job_that_failed_is_over_and_says_why(
    desk: Desk, outcome: dict[str, Any], trouble: Trouble, word: str
) -> None:
    await desk.control.outcome(**outcome)
    error = await desk.failed_run()
    assert (error.trouble, error.may_repeat, error.cost_usd_micros) == (trouble, False, 0)
    assert word in error.vendor_message


async def test_a_failure_that_is_billed_is_booked(desk: Desk) -> None:
    await desk.control.outcome("refused", billableUnits=2)
    assert (await desk.failed_run()).cost_usd_micros == 2 * USD_MICROS


def detail(*types: str) -> dict[str, Any]:
    return {"detail": [{"loc": ["body"], "msg": f"About {kind}", "type": kind} for kind in types]}


@pytest.mark.parametrize(
    ("status", "body", "headers", "trouble", "may_repeat"),
    [
        (422, detail("image_too_large"), {}, Trouble.INVALID, False),
        (422, detail("unheard", "content_policy_violation"), {}, Trouble.REFUSED, False),
        (422, detail("unheard"), {}, Trouble.INVALID, False),
        (422, {"detail": [None, 7, {"type": 7}]}, {}, Trouble.INVALID, False),
        (422, detail("no_media_generated"), {}, Trouble.BROKEN, False),
        (400, detail("downstream_service_error"), {}, Trouble.BROKEN, False),
        (500, detail("internal_server_error"), {}, Trouble.BROKEN, False),
        (504, detail("generation_timeout"), {}, Trouble.TIMEOUT, False),
        (
            503,
            {"detail": "Busy", "error_type": "runner_scheduling_failure"},
            {},
            Trouble.BUSY,
            True,
        ),
        (500, "plain", {"x-fal-error-type": "request_timeout"}, Trouble.TIMEOUT, True),
        (401, {"detail": "No"}, {}, Trouble.UNAUTHORISED, False),
        (402, {"detail": "Pay"}, {}, Trouble.UNAUTHORISED, False),
        (403, {"detail": "Locked"}, {}, Trouble.UNAUTHORISED, False),
        (404, {"detail": "Gone"}, {}, Trouble.BROKEN, False),
        (418, "", {}, Trouble.BROKEN, False),
    ],
)
@pytest.mark.parametrize("at", ["status", "result"])
async def test_an_unsuccessful_answer_is_read_by_its_types_then_by_its_number(
    desk: Desk,
    at: str,
    status: int,
    body: Any,
    headers: Mapping[str, str],
    trouble: Trouble,
    may_repeat: bool,
) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    await desk.control.fault(at, status=status, body=body, headers=headers)
    error = await desk.failed_wait(pending, call)
    assert (error.trouble, error.may_repeat) == (trouble, may_repeat)
    assert error.vendor_message.startswith(f"{status} ")


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        [],
        {},
        {"status": "PAUSED"},
        {"status": "IN_QUEUE"},
        {"status": "IN_PROGRESS"},
        {"status": ["COMPLETED"]},
    ],
)
async def test_a_status_that_cannot_be_read_ends_no_job(desk: Desk, body: Any) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    await desk.control.fault("status", status=200, body=body)
    assert (await desk.failed_wait(pending, call)).may_repeat
    await desk.wait(pending, call)


@pytest.mark.parametrize(
    "body",
    ["<html>", [], {}, {"image": None}, {"image": {"url": 7}}, {"image": [{"url": "https://x"}]}],
)
async def test_a_result_without_a_file_is_no_result(desk: Desk, body: Any) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    await desk.control.fault("result", status=200, body=body)
    error = await desk.failed_wait(pending, call)
    assert (error.trouble, error.cost_usd_micros) == (Trouble.BROKEN, USD_MICROS)
    assert not error.may_repeat


async def test_an_answer_of_any_length_is_not_read(desk: Desk) -> None:
    call = desk.call()
    pending = await desk.submit(call)
    await desk.control.fault("status", status=200, body="x" * (2 << 20))
    assert "too long" in (await desk.failed_wait(pending, call)).vendor_message
    await desk.control.fault("result", status=200, body="{}", headers={"content-encoding": "gzip"})
    assert "encoded" in (await desk.failed_wait(pending, call)).vendor_message


@pytest.mark.hazard("U6")
async def test_a_wrong_key_is_named_as_such_and_never_quoted(desk: Desk) -> None:
    error = await desk.failed_submit(desk.call("bad:canary-5f1c"))
    assert (error.trouble, error.may_repeat) == (Trouble.UNAUTHORISED, False)
    for point in ("token", "submit"):
        told = {"detail": "ada:canary-5f1c is no key,\n\n nor is canary-5f1c " + "x" * 5000}
        await desk.control.fault(point, status=401, body=told)
        error = await desk.failed_submit(desk.call("ada:canary-5f1c"))
        assert error.trouble == Trouble.UNAUTHORISED
        assert "[key] is no key, nor is [key] xxx" in error.vendor_message
        assert "canary" not in f"{error!r}{error}{error.__cause__!r}{error.__context__!r}"
        assert len(error.vendor_message) <= 500
    connection = Connection(FalCredentials(key=SecretStr("ada:canary-5f1c")))
    assert "canary" not in repr(connection)
