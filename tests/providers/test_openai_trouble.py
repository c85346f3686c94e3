"""OpenAI's adapter when OpenAI, the network or the result is not as it should be."""

from __future__ import annotations

import json
import socket
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import SecretStr
from tests.providers.canary import PNG, Script, Visit, canary, head
from tests.providers.openai_desk import (
    KEY,
    USAGE,
    SimulatedDesk,
    desk_at,
    event,
    simulated_desk,
    streams,
)

from funmagic.providers.adapters import openai as adapter
from funmagic.providers.adapters.openai import wire
from funmagic.providers.contract import ProviderError, Trouble
from funmagic.simulators.server import Running


@pytest.fixture
async def openai_desk(simulators: Running, tmp_path: Path) -> AsyncIterator[SimulatedDesk]:
    """OpenAI's adapter at a fresh simulated OpenAI."""
    async with simulated_desk(simulators, tmp_path) as opened:
        yield opened


def told(code: str | None, param: str | None = None) -> dict[str, Any]:
    """An error in OpenAI's envelope."""
    kind = "invalid_request_error"
    return {"error": {"message": "So it goes.", "type": kind, "param": param, "code": code}}


async def test_a_photo_goes_there_and_a_drawing_comes_back(openai_desk: SimulatedDesk) -> None:
    call = openai_desk.call("gpt-image-1.5", {"size": "1024x1536", "partialImages": 3})
    result = (await openai_desk.run(call)).result
    (picture,) = result.files
    with Image.open(picture.path) as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (1024, 1536))
    assert len({*openai_desk.shown, picture.path.read_bytes()}) == 4
    assert openai_desk.percents == sorted(openai_desk.percents)
    (job,) = await openai_desk.control.jobs()
    assert (result.meta["requestId"], job["status"]) == (job["id"], "completed")
    assert result.meta["outTokens"] == job["usage"]["output_tokens"]
    assert result.cost_usd_micros > 0


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(
    ("fault", "trouble", "may_repeat", "jobs"),
    [
        ({"status": 429, "headers": {"retry-after": "7"}}, Trouble.BUSY, True, 0),
        ({"status": 429, "body": told("insufficient_quota")}, Trouble.UNAUTHORISED, False, 0),
        ({"status": 400, "body": told("invalid_value")}, Trouble.INVALID, False, 0),
        ({"status": 400, "body": told("invalid_value", "size")}, Trouble.INVALID, False, 0),
        ({"status": 400, "body": told("invalid_value", "model")}, Trouble.UNAUTHORISED, False, 0),
        ({"status": 400, "body": told("moderation_blocked")}, Trouble.REFUSED, False, 0),
        ({"status": 401, "body": told("invalid_api_key")}, Trouble.UNAUTHORISED, False, 0),
        ({"status": 403, "body": told(None)}, Trouble.UNAUTHORISED, False, 0),
        ({"status": 404, "body": told("model_not_found")}, Trouble.UNAUTHORISED, False, 0),
        ({"status": 404, "body": "<html>"}, Trouble.BROKEN, False, 0),
        ({"status": 408}, Trouble.TIMEOUT, False, 0),
        ({"status": 409}, Trouble.BROKEN, False, 0),
        ({"status": 413}, Trouble.INVALID, False, 0),
        ({"status": 422}, Trouble.INVALID, False, 0),
        ({"status": 500, "headers": {"x-should-retry": "true"}}, Trouble.BROKEN, False, 0),
        ({"status": 500, "body": {"error": "a text"}}, Trouble.BROKEN, False, 0),
        ({"status": 503, "headers": {"retry-after": "7"}}, Trouble.BROKEN, False, 0),
        ({"status": 503, "headers": {"retry-after-ms": "7000"}}, Trouble.BROKEN, False, 0),
        ({"cut": "before"}, Trouble.BROKEN, False, 0),
        ({"cut": "after"}, Trouble.BROKEN, False, 1),
        ({"status": 200, "body": "<html>"}, Trouble.BROKEN, False, 0),
        ({"status": 200, "body": {"data": [{"b64_json": "eHg="}]}}, Trouble.BROKEN, False, 0),
        ({"status": 302, "headers": {"location": "/openai/v1/models"}}, Trouble.BROKEN, False, 0),
    ],
)
async def test_a_create_is_sent_once_whatever_becomes_of_it(
    openai_desk: SimulatedDesk,
    fault: dict[str, Any],
    trouble: Trouble,
    may_repeat: bool,
    jobs: int,
) -> None:
    await openai_desk.control.fault("edits", times=20, **fault)
    error = await openai_desk.failed_run()
    assert (error.trouble, error.may_repeat, error.cost_usd_micros) == (trouble, may_repeat, 0)
    if {"retry-after", "retry-after-ms"} & set(fault.get("headers", {})):
        assert error.retry_after_s == 7
    assert len(await openai_desk.control.requests()) == 1
    assert len(await openai_desk.control.jobs()) == jobs


@pytest.mark.hazard("M9")
async def test_a_create_that_hangs_ends_in_time_and_is_not_sent_again(
    openai_desk: SimulatedDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "CALL_LIMIT_S", 2.0)
    await openai_desk.control.fault("edits", delayS=60.0)
    error = await openai_desk.failed_run()
    assert (error.trouble, error.may_repeat) == (Trouble.TIMEOUT, False)
    assert len(await openai_desk.seen("edits")) == 1


@pytest.mark.hazard("M9")
async def test_a_create_that_found_nobody_may_be_sent_again(tmp_path: Path) -> None:
    with socket.socket() as deaf:  # bound, but not listening
        deaf.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{deaf.getsockname()[1]}/openai"
        async with desk_at(nobody, tmp_path) as desk:
            error = await desk.failed_run()
    assert (error.trouble, error.may_repeat) == (Trouble.BROKEN, True)


@pytest.mark.parametrize(
    ("outcome", "trouble", "may_repeat", "shown"),
    [
        ({"kind": "moderation_input"}, Trouble.REFUSED, False, 0),
        ({"kind": "moderation_output"}, Trouble.REFUSED, False, 2),
        ({"kind": "insufficient_quota"}, Trouble.UNAUTHORISED, False, 0),
        ({"kind": "unverified"}, Trouble.UNAUTHORISED, False, 0),
        ({"kind": "model_not_found"}, Trouble.UNAUTHORISED, False, 0),
        ({"kind": "rate_limited", "retryAfterS": 9}, Trouble.BUSY, True, 0),
        ({"kind": "garbage"}, Trouble.BROKEN, False, 2),
        ({"kind": "cut"}, Trouble.BROKEN, False, 1),
        ({"kind": "error_frame"}, Trouble.BROKEN, False, 2),
        (
            {"kind": "error_frame", "errorCode": "rate_limit_exceeded"},
            *(Trouble.BUSY, False, 2),
        ),
        ({"kind": "error_frame", "errorCode": None}, Trouble.BROKEN, False, 2),
        (
            {"kind": "error_frame", "errorType": "insufficient_quota", "errorCode": None},
            *(Trouble.UNAUTHORISED, False, 2),
        ),
    ],
)
async def test_what_openai_makes_of_a_create_is_told_in_our_words(
    openai_desk: SimulatedDesk,
    outcome: dict[str, Any],
    trouble: Trouble,
    may_repeat: bool,
    shown: int,
) -> None:
    await openai_desk.control.outcome(**outcome)
    error = await openai_desk.failed_run()
    assert (error.trouble, error.may_repeat) == (trouble, may_repeat)
    assert error.retry_after_s == outcome.get("retryAfterS")
    assert len(openai_desk.shown) == shown
    assert len(await openai_desk.control.jobs()) == 1
    assert (error.cost_usd_micros > 0) == (outcome["kind"] == "garbage")
    assert error.vendor_message


async def test_what_was_shown_before_a_cut_is_no_result(openai_desk: SimulatedDesk) -> None:
    await openai_desk.control.outcome("cut")
    call = openai_desk.call(options={"size": "320x240", "partialImages": 3})
    await openai_desk.failed_run(call)
    assert len(openai_desk.shown) == 1
    assert [path.name for path in call.work_dir.iterdir()] == ["unfinished-1.png"]
    assert max(openai_desk.percents) < 99


async def test_a_blank_picture_is_the_tools_to_refuse(openai_desk: SimulatedDesk) -> None:
    await openai_desk.control.outcome("blank")
    (picture,) = (await openai_desk.run()).result.files
    with Image.open(picture.path) as drawn:
        assert drawn.convert("L").getextrema() == (255, 255)


HALF = event("completed", PNG * 100, usage=USAGE)[:2000]


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (streams(b": nothing\n\n"), "ended without a result"),
        (streams(event("partial_image")), "ended without a result"),
        (streams(event("partial_image"), HALF), "cannot be read|ended without a result"),
        (streams(HALF, content_length="5000"), "did not answer"),
        (streams(b"data: [DONE]\n\n"), "ended without a result"),
        (streams(b"data: no json\n\n"), "cannot be read"),
        (streams(b"data: [1, 2]\n\n", b"data: 7\n\n"), "ended without a result"),
        (streams(b"data: " + b"[" * 200_000 + b"\n\n"), "cannot be read"),
        (streams(b"data: \xff\xfe\n\n"), "cannot be read"),
        (streams(event("completed", None)), "no picture .request req_7."),
        (streams(event("completed", b"GIF89a" + PNG)), "no picture"),
        (streams(event("completed", PNG + b"x" * 9_000_000)), "far too long"),
        (streams(event("completed"), content_encoding="gzip"), "encoded"),
    ],
)
async def test_a_stream_without_a_whole_picture_is_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Script, word: str
) -> None:
    monkeypatch.setattr(wire, "ANSWER_LIMIT_BYTES", 8 << 20)
    async with (
        canary(script) as bird,
        desk_at(f"http://127.0.0.1:{bird.port}/openai", tmp_path) as desk,
    ):
        call = desk.call()
        with pytest.raises(ProviderError, match=word) as caught:
            await desk.run(call)
    assert (caught.value.trouble, caught.value.may_repeat) == (Trouble.BROKEN, False)
    assert list(call.work_dir.glob("picture*")) == []
    assert len(bird.visits) == 1


async def test_a_stream_that_falls_silent_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(visit: Visit) -> None:
        await visit.say(head(200, content_type="text/event-stream"), event("partial_image"))

    async with (
        canary(answer, lingers=True) as bird,
        desk_at(f"http://127.0.0.1:{bird.port}/openai", tmp_path) as desk,
    ):
        monkeypatch.setattr(adapter, "CALL_LIMIT_S", 2.0)
        error = await desk.failed_run()
    assert (error.trouble, error.may_repeat, desk.shown) == (Trouble.TIMEOUT, False, [PNG])


@pytest.mark.hazard("U6")
@pytest.mark.parametrize("status", [401, 400, 500, 200])
async def test_a_key_is_never_quoted(openai_desk: SimulatedDesk, status: int) -> None:
    """Whatever the vendor's words, and wherever the error is looked at."""
    key = "sk-proj-canary-5f1c"
    ours = openai_desk.connection(
        key, organization=SecretStr("org-canary"), project=SecretStr("p-canary")
    )
    said = (
        "sk-proj-canary-5f1c of org-canary, p-canary,\n\n is no key: sk-proj-****5f1c " + "x" * 5000
    )
    body: Any = {
        "error": {"message": said, "type": "x", "param": None, "code": "sk-proj-canary-5f1c"}
    }
    if status == 200:
        body = f"data: {json.dumps(body)}\n\n"
    await openai_desk.control.fault("edits", status=status, body=body)
    error = await openai_desk.failed_run(openai_desk.call(connection=ours))
    assert "[key] of [key], [key], is no key: [key] xxx" in error.vendor_message
    everything = "".join(traceback.format_exception(error)) + repr(
        [error, error.__cause__, error.__context__, ours, vars(openai_desk.openai)]
    )
    assert "canary" not in everything
    assert "5f1c" not in error.vendor_message
    assert len(error.vendor_message) <= 500


@pytest.mark.hazard("U6")
async def test_a_wrong_key_is_named_as_such(openai_desk: SimulatedDesk) -> None:
    error = await openai_desk.failed_run(openai_desk.call(key="sk-bad-canary-5f1c"))
    assert (error.trouble, error.may_repeat) == (Trouble.UNAUTHORISED, False)
    assert "Incorrect API key provided: [key]" in error.vendor_message
    finished = await openai_desk.run(openai_desk.call(key="sk-canary-5f1c"))
    assert "canary" not in repr(finished)
    assert "canary" not in repr(await openai_desk.control.requests())


async def test_a_vendors_words_are_kept_for_operators(openai_desk: SimulatedDesk) -> None:
    await openai_desk.control.outcome("moderation_input")
    message = (await openai_desk.failed_run()).vendor_message
    assert message.startswith("400 image_generation_user_error/moderation_blocked: Your request")
    assert "safety_violations=[sexual]" in message
    assert "[request req_" in message


async def test_health_tells_what_retires_and_what_there_is(openai_desk: SimulatedDesk) -> None:
    health = await openai_desk.openai.check_health(openai_desk.connection())
    assert health.ok is True
    assert {model: str(at) for model, at in health.retiring.items()} == {
        "gpt-image-1.5": "2026-12-01",
        "gpt-image-1-mini": "2026-12-01",
        "chatgpt-image-latest": "2026-12-01",
    }
    assert "gpt-image-1.5 ends on 2026-12-01." in health.message
    assert {"gpt-image-1.5", "gpt-image-2.6-flare"} <= set(health.listed)
    assert not {"tts-1", "omni-moderation-latest"} & set(health.listed)
    (asked,) = await openai_desk.control.requests()
    assert (asked["method"], asked["path"]) == ("GET", "/openai/v1/models")


async def test_health_knows_models_an_operator_has_added(openai_desk: SimulatedDesk) -> None:
    models: list[Any] = [
        {"id": "sketcher", "object": "model", "shutdown_date": "2027-01-31"},
        {"id": "gpt-image-9", "object": "model", "shutdown_date": "2027-01-31"},
        {"id": "gpt-image-2", "shutdown_date": "soon"},
        {"id": "gpt-image-1.5", "shutdown_date": 7},
        {"id": "text-9", "shutdown_date": None},
        {"object": "model"},
        "gpt-image-2",
    ]
    await openai_desk.control.fault("models", status=200, body={"data": models})
    connection = openai_desk.connection()
    added = connection.config.model_copy(update={"more_models": ("sketcher",)})
    health = await openai_desk.openai.check_health(replace(connection, config=added))
    assert {model: str(at) for model, at in health.retiring.items()} == {"sketcher": "2027-01-31"}
    assert set(health.listed) == {"sketcher", "gpt-image-9", "gpt-image-2", "gpt-image-1.5"}


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"status": 401, "body": told("invalid_api_key")}, "does not accept the key"),
        ({"status": 403, "body": told(None)}, "does not accept the key"),
        ({"status": 500}, "not usable"),
        ({"status": 429}, "not usable"),
        ({"cut": "before"}, "not usable"),
        ({"status": 200, "body": "<html>"}, "not usable"),
        ({"status": 302, "headers": {"location": "/openai/v1/models"}}, "not usable"),
        ({"delayS": 60.0}, "did not answer within"),
    ],
)
async def test_who_cannot_be_asked_is_not_well(
    openai_desk: SimulatedDesk, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], word: str
) -> None:
    if "delayS" in fault:
        monkeypatch.setattr(adapter, "QUESTION_LIMIT_S", 2.0)
    await openai_desk.control.fault("models", times=9, **fault)
    health = await openai_desk.openai.check_health(openai_desk.connection())
    assert (health.ok, len(await openai_desk.seen("models"))) == (False, 1)
    assert word in health.message
    assert KEY not in health.message


async def test_an_account_that_lists_nothing_is_well(openai_desk: SimulatedDesk) -> None:
    bodies: list[dict[str, Any]] = [{"data": []}, {"data": None}, {}]
    for body in bodies:
        await openai_desk.control.fault("models", status=200, body=body)
        health = await openai_desk.openai.check_health(openai_desk.connection())
        assert (health.ok, health.listed) == (True, ())
