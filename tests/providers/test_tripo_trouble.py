"""Tripo's adapter when Tripo, the network or a task is not as it should be."""

from __future__ import annotations

import socket
import traceback
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr
from tests.providers.tripo_desk import KEY, TripoDesk, connection_to

from funmagic.core.clock import now
from funmagic.providers.adapters import tripo as adapter
from funmagic.providers.adapters.tripo import TripoCredentials
from funmagic.providers.contract import Connection, ProviderError, Trouble

NGINX = "<html><center>nginx</center></html>"


def error(code: int, message: str = "So it goes") -> dict[str, Any]:
    return {"code": code, "status": "error", "message": message, "suggestion": "Wait."}


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(
    ("fault", "trouble", "may_repeat", "jobs"),
    [
        ({"status": 429, "body": error(2000)}, Trouble.BUSY, True, 0),
        ({"status": 429, "body": error(1007)}, Trouble.BUSY, True, 0),
        ({"status": 429, "headers": {"retry-after": "7"}}, Trouble.BUSY, True, 0),
        ({"status": 200, "body": error(2000)}, Trouble.BUSY, True, 0),
        ({"status": 500, "body": error(1000)}, Trouble.BROKEN, False, 0),
        ({"status": 200, "body": error(1001)}, Trouble.BROKEN, False, 0),
        ({"status": 502, "body": NGINX}, Trouble.BROKEN, False, 0),
        ({"status": 503, "body": NGINX, "headers": {"retry-after": "7"}}, Trouble.BROKEN, False, 0),
        ({"status": 504, "body": NGINX}, Trouble.BROKEN, False, 0),
        ({"status": 408}, Trouble.TIMEOUT, False, 0),
        ({"status": 409}, Trouble.BROKEN, False, 0),
        ({"cut": "before"}, Trouble.BROKEN, False, 0),
        ({"cut": "after"}, Trouble.BROKEN, False, 1),
        ({"delayS": 3.0}, Trouble.TIMEOUT, False, None),
        ({"status": 200, "body": "<html>"}, Trouble.BROKEN, False, 0),
        ({"status": 200, "body": {"code": 0, "data": {}}}, Trouble.BROKEN, False, 0),
        ({"status": 200, "body": {"code": 0, "data": {"task_id": "../x"}}}, Trouble.BROKEN, 0, 0),
        ({"status": 302, "headers": {"location": "/elsewhere"}}, Trouble.BROKEN, False, 0),
    ],
)
async def test_a_create_is_sent_once_whatever_becomes_of_it(
    tripo: TripoDesk,
    monkeypatch: pytest.MonkeyPatch,
    fault: dict[str, Any],
    trouble: Trouble,
    may_repeat: bool,
    jobs: int | None,
) -> None:
    if "delayS" in fault:
        monkeypatch.setattr(adapter, "CREATE_LIMIT_S", 0.5)
    await tripo.control.fault("create", times=20, **fault)
    met = await tripo.failed_submit()
    assert (met.trouble, met.may_repeat) == (trouble, may_repeat)
    if "headers" in fault and "retry-after" in fault["headers"]:
        assert met.retry_after_s == 7
    assert len(await tripo.seen("create")) == 1
    if jobs is not None:  # a create that hangs may still be taken in later
        assert len(await tripo.control.jobs()) == jobs


@pytest.mark.hazard("M9")
async def test_a_create_that_found_nobody_may_be_sent_again(
    tripo: TripoDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tripo has gone away between the upload and the create."""

    async def uploaded(*_: Any) -> str:
        return "file_photo"

    monkeypatch.setattr(adapter, "_upload", uploaded)
    with socket.socket() as deaf:  # bound, but not listening
        deaf.bind(("127.0.0.1", 0))
        nobody = connection_to(f"https://127.0.0.1:{deaf.getsockname()[1]}/tripo")
        met = await tripo.failed_submit(tripo.call(connection=nobody))
    assert (met.trouble, met.may_repeat) == (Trouble.BROKEN, True)


@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (401, 2, Trouble.UNAUTHORISED),
        (401, 1002, Trouble.UNAUTHORISED),
        (401, 1004, Trouble.UNAUTHORISED),
        (403, 1005, Trouble.UNAUTHORISED),
        (403, 2010, Trouble.UNAUTHORISED),
        (400, 2008, Trouble.REFUSED),
        (400, 1003, Trouble.INVALID),
        (400, 1004, Trouble.INVALID),
        (400, 2003, Trouble.INVALID),
        (400, 2004, Trouble.INVALID),
        (400, 2015, Trouble.UNAUTHORISED),
        (400, 4999, Trouble.INVALID),
        (404, 4001, Trouble.BROKEN),
        (415, 1003, Trouble.INVALID),
        (500, 2014, Trouble.BROKEN),
        (200, 2, Trouble.UNAUTHORISED),
        (200, 2010, Trouble.UNAUTHORISED),
        (200, 2008, Trouble.REFUSED),
        (200, 1004, Trouble.INVALID),
        (200, 4999, Trouble.BROKEN),
    ],
)
async def test_a_refused_create_is_read_by_its_code_then_by_its_status(
    tripo: TripoDesk, status: int, code: int, trouble: Trouble
) -> None:
    body = error(code) | {"request_id": "r-1"}
    await tripo.control.fault("create", status=status, body=body)
    met = await tripo.failed_submit()
    assert (met.trouble, met.may_repeat, met.cost_usd_micros) == (trouble, False, 0)
    assert "So it goes Wait. (request r-1)" in met.vendor_message
    assert str(code) in met.vendor_message


async def test_tripos_own_refusals_are_understood(tripo: TripoDesk) -> None:
    """As the simulator words them, on grounds of its own."""
    await tripo.control.outcome("refused")
    assert (await tripo.failed_submit()).trouble == Trouble.REFUSED
    await tripo.control.outcome("ok")
    await tripo.control.wallet(balance=29)
    met = await tripo.failed_submit()
    assert (met.trouble, "credits" in met.vendor_message) == (Trouble.UNAUTHORISED, True)
    await tripo.control.wallet(balance=5000, tasksAtOnce=0)
    met = await tripo.failed_submit()
    assert (met.trouble, met.may_repeat) == (Trouble.BUSY, True)
    met = await tripo.failed_submit(tripo.call("tsk_bad_secret"))
    assert (met.trouble, met.may_repeat) == (Trouble.UNAUTHORISED, False)
    assert await tripo.control.jobs() == []


@pytest.mark.parametrize(
    ("fault", "trouble", "wait_s"),
    [
        ({"status": 429, "headers": {"retry-after": "2"}}, Trouble.BUSY, 2),
        ({"status": 503, "body": NGINX}, Trouble.BROKEN, None),
        ({"status": 200, "body": error(1000)}, Trouble.BROKEN, None),
        ({"status": 200, "body": "<html>"}, Trouble.BROKEN, None),
        ({"status": 200, "body": {"code": 0, "data": {}}}, Trouble.BROKEN, None),
        ({"cut": "before"}, Trouble.BROKEN, None),
        ({"cut": "after"}, Trouble.BROKEN, None),
    ],
)
async def test_an_upload_that_fails_has_made_nothing_and_may_be_repeated(
    tripo: TripoDesk, fault: dict[str, Any], trouble: Trouble, wait_s: float | None
) -> None:
    await tripo.control.fault("upload", times=20, **fault)
    met = await tripo.failed_submit()
    assert (met.trouble, met.may_repeat, met.retry_after_s) == (trouble, True, wait_s)
    assert len(await tripo.seen("upload")) == 1
    assert (await tripo.seen("create"), await tripo.control.jobs()) == ([], [])


@pytest.mark.parametrize("token", ["pyproject.toml", "/etc/passwd", "https://x.example/", "file_"])
async def test_a_token_that_the_sdk_would_take_for_something_else_is_none(
    tripo: TripoDesk, token: str
) -> None:
    told = {"code": 0, "data": {"file_token": token}}
    await tripo.control.fault("upload", status=200, body=told)
    assert "no token" in (await tripo.failed_submit()).vendor_message
    assert (len(await tripo.seen("upload")), await tripo.seen("create")) == (1, [])


@pytest.mark.hazard("M9")
@pytest.mark.parametrize("at", ["task", "file"])
@pytest.mark.parametrize(
    ("fault", "trouble"),
    [
        ({"status": 429, "headers": {"retry-after": "2"}}, Trouble.BUSY),
        ({"status": 500}, Trouble.BROKEN),
        ({"status": 502, "body": NGINX}, Trouble.BROKEN),
        ({"cut": "before"}, Trouble.BROKEN),
        ({"cut": "after"}, Trouble.BROKEN),
    ],
)
async def test_a_question_without_an_answer_is_asked_again_of_the_same_task(
    tripo: TripoDesk, at: str, fault: dict[str, Any], trouble: Trouble
) -> None:
    call = tripo.call()
    pending = await tripo.finished_task(call)
    before = len(await tripo.seen(at))
    await tripo.control.fault(at, **fault)
    met = await tripo.failed_wait(pending, call)
    assert (met.trouble, met.may_repeat) == (trouble, True)
    if "headers" in fault:
        assert met.retry_after_s == 2
    assert len(await tripo.seen(at)) == before + 1, "the adapter itself asks once"
    assert len((await tripo.wait(pending, call)).result.files) == 2
    assert len(await tripo.seen("create")) == len(await tripo.control.jobs()) == 1


@pytest.mark.hazard("S10")
async def test_a_date_to_come_back_at_is_read(tripo: TripoDesk) -> None:
    call = tripo.call()
    pending = await tripo.submit(call)
    later = format_datetime(now() + timedelta(seconds=90), usegmt=True)
    await tripo.control.fault("task", status=429, headers={"retry-after": later})
    met = await tripo.failed_wait(pending, call)
    assert 30 < (met.retry_after_s or 0) <= 90


async def test_a_slow_answer_is_no_answer_in_time(
    tripo: TripoDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = tripo.call()
    pending = await tripo.submit(call)
    monkeypatch.setattr(adapter, "QUESTION_LIMIT_S", 0.2)
    await tripo.control.fault("task", delayS=2.0)
    met = await tripo.failed_wait(pending, call)
    assert (met.trouble, met.may_repeat) == (Trouble.TIMEOUT, True)


async def test_past_the_deadline_nothing_is_made(
    tripo: TripoDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def uploaded(*_: Any) -> str:
        return "file_photo"

    async def begin() -> None:
        begun.append(True)

    begun: list[bool] = []
    assert (await tripo.failed_submit(tripo.call(time_s=-1))).trouble == Trouble.TIMEOUT
    monkeypatch.setattr(adapter, "_upload", uploaded)
    met = await tripo.failed_submit(tripo.call(time_s=-1, begin=begin))
    assert (met.trouble, begun, await tripo.seen("create")) == (Trouble.TIMEOUT, [], [])


@pytest.mark.parametrize(
    ("outcome", "trouble", "word"),
    [
        ({"kind": "moderated"}, Trouble.REFUSED, "2008"),
        ({"kind": "failed"}, Trouble.BROKEN, "2018"),
        ({"kind": "failed", "errorCode": 2008}, Trouble.REFUSED, "2008"),
        ({"kind": "failed", "errorCode": 2004}, Trouble.INVALID, "2004"),
        ({"kind": "failed", "errorCode": 2000}, Trouble.BROKEN, "2000"),
        ({"kind": "failed", "errorCode": 2010}, Trouble.BROKEN, "2010"),
        ({"kind": "failed", "errorCode": 0, "errorMessage": "Oh"}, Trouble.BROKEN, "Oh"),
        ({"kind": "cancelled"}, Trouble.BROKEN, "cancelled"),
    ],
)
async def test_a_task_that_failed_is_over_and_costs_nothing(
    tripo: TripoDesk, outcome: dict[str, Any], trouble: Trouble, word: str
) -> None:
    await tripo.control.outcome(**outcome)
    met = await tripo.failed_run()
    assert (met.trouble, met.may_repeat, met.cost_usd_micros) == (trouble, False, 0)
    assert word in met.vendor_message


@pytest.mark.parametrize(
    ("told", "trouble", "micros"),
    [
        ({"status": "banned"}, Trouble.REFUSED, 0),
        ({"status": "expired"}, Trouble.BROKEN, 0),
        ({"status": "failed", "error_code": "2008"}, Trouble.REFUSED, 0),
        ({"status": "failed", "error_code": 2018, "credits_consumed": 5}, Trouble.BROKEN, 50_000),
    ],
)
async def test_an_end_in_other_words_is_an_end_too(
    tripo: TripoDesk, told: dict[str, Any], trouble: Trouble, micros: int
) -> None:
    call = tripo.call()
    pending = await tripo.submit(call)
    await tripo.control.fault("task", status=200, body={"code": 0, "data": told})
    met = await tripo.failed_wait(pending, call)
    assert (met.trouble, met.may_repeat, met.cost_usd_micros) == (trouble, False, micros)


@pytest.mark.parametrize(
    ("status", "code", "trouble", "may_repeat"),
    [
        (404, 2001, Trouble.BROKEN, False),
        (401, 2, Trouble.UNAUTHORISED, False),
        (403, 1005, Trouble.UNAUTHORISED, False),
        (500, 1001, Trouble.BROKEN, True),
        (200, 1001, Trouble.BROKEN, True),
        (200, 1007, Trouble.BUSY, True),
        (200, 2001, Trouble.BROKEN, False),
    ],
)
async def test_a_question_that_is_refused_says_whether_to_come_back(
    tripo: TripoDesk, status: int, code: int, trouble: Trouble, may_repeat: bool
) -> None:
    call = tripo.call()
    pending = await tripo.submit(call)
    await tripo.control.fault("task", status=status, body=error(code))
    met = await tripo.failed_wait(pending, call)
    assert (met.trouble, met.may_repeat) == (trouble, may_repeat)


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "[" * 5000,
        [],
        7,
        {},
        {"code": 0, "data": None},
        {"code": 0, "data": {"status": "paused"}},
        {"code": 0, "data": {"status": ["success"]}},
        '{"code": 0, "data": {"status": "running", "progress": 1e999}}',
        '{"code": 0, "data": {"status": "running", "created_at": 1e999}}',
    ],
)
async def test_an_answer_that_cannot_be_read_ends_no_task(tripo: TripoDesk, body: Any) -> None:
    call = tripo.call()
    pending = await tripo.submit(call)
    await tripo.control.fault("task", status=200, body=body)
    assert (await tripo.failed_wait(pending, call)).may_repeat
    await tripo.wait(pending, call)


@pytest.mark.parametrize(("told", "percent"), [(-5, 0), (100, 99), (250, 99), ("x", 0), (3.7, 3)])
async def test_a_percentage_of_any_kind_is_one_below_the_end(
    tripo: TripoDesk, told: Any, percent: int
) -> None:
    pending = await tripo.submit()
    data = {"status": "running", "progress": told}
    await tripo.control.fault("task", status=200, body={"code": 0, "data": data})
    answer = await tripo.tripo.poll(pending.handle, tripo.call())
    assert getattr(answer, "progress", None) == percent


async def test_an_answer_of_any_length_is_not_read(tripo: TripoDesk) -> None:
    call = tripo.call()
    pending = await tripo.submit(call)
    await tripo.control.fault("task", status=200, body="x" * (2 << 20))
    assert "too long" in (await tripo.failed_wait(pending, call)).vendor_message
    await tripo.control.fault("task", status=200, body="{}", headers={"content-encoding": "gzip"})
    assert "encoded" in (await tripo.failed_wait(pending, call)).vendor_message


@pytest.mark.hazard("U6")
@pytest.mark.parametrize("status", [401, 200])
async def test_a_key_is_never_quoted(tripo: TripoDesk, status: int) -> None:
    secret = "tsk_ada_canary-5f1c"
    call = tripo.call(secret)
    said = f"{secret} is no key,\n\n nor is ada_canary-5f1c " + "x" * 5000
    bodies: list[Any] = [error(2, said), {"code": 0, "data": said}, said]
    met: list[ProviderError] = []
    for point in ("upload", "create"):
        for body in bodies:
            await tripo.control.fault(point, status=status, body=body)
            met.append(await tripo.failed_submit(call))
    pending = await tripo.submit(call)
    for body in (*bodies, {"code": 0, "data": {"status": "failed", "error_message": said}}):
        await tripo.control.fault("task", status=status, body=body)
        met.append(await tripo.failed_wait(pending, call))
    assert "[key] is no key, nor is [key] xxx" in met[0].vendor_message
    for one in met:
        shown = "".join(traceback.format_exception(one)) + f"{one!r}{one.__context__!r}"
        assert "canary" not in shown
        assert len(one.vendor_message) <= 500
    finished = await tripo.wait(pending, call)
    assert "canary" not in f"{finished!r}{pending!r}"
    assert "canary" not in repr(Connection(TripoCredentials(key=SecretStr(secret))))
    assert "canary" not in repr(tripo.tripo._line(tripo.connection(secret)))
    await tripo.control.fault("balance", status=status, body=error(2, said))
    health = await tripo.tripo.check_health(tripo.connection(secret))
    assert (health.ok, "canary" in repr(health)) == (False, False)
    assert KEY not in str(await tripo.control.requests())
