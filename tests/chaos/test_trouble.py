"""The vendor in trouble: the same job is asked for again, and a second one is never made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.chaos.stage import Stage
from tests.chaos.test_deadlines import HURRY
from tests.chaos.truths import assert_books_are_right, assert_delivered_once

CALL = text("SELECT state, error_trouble, error_message FROM provider_calls")
REFUSED = "The AI service declined this content. Credits refunded."
BROKEN = "AI service error. Please try again."

TROUBLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 429, "headers": {"Retry-After": "1"}}),
    ("status", {"status": 503}),
    ("status", {"cut": "before"}),
    ("result", {"status": 502}),
    ("result", {"status": 429}),
    ("result", {"cut": "after"}),
    ("file", {"status": 503}),
    ("file", {"status": 429, "headers": {"Retry-After": "1"}}),
    ("file", {"cut": "before"}),
)


async def run(stage: Stage, *, deadline_s: float = 180) -> dict[str, Any]:
    """Run a task to its end, as its owner sees it; the books must be right."""
    async with stage.person() as ada:
        task_id = await ada.ask()
        await stage.execute(HURRY, seconds=deadline_s)
        async with stage.nursery.worker(stage.settings):
            task = await ada.ended(task_id, wait_s=40)
    await assert_books_are_right(stage.resources)
    return task


async def asked(stage: Stage, at: str) -> list[datetime]:
    """When the vendor was asked at one point of its protocol."""
    return [
        datetime.fromisoformat(request["receivedAt"])
        for request in await stage.fal.requests()
        if request["at"] == at
    ]


async def only_call(stage: Stage) -> Any:
    async with stage.resources.db.transaction() as session:
        return (await session.execute(CALL)).one()


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(("at", "fault"), TROUBLES, ids=[f"{a} {f}" for a, f in TROUBLES])
async def test_a_question_without_an_answer_is_asked_again(
    at: str, fault: dict[str, Any], stage: Stage
) -> None:
    await stage.fal.fault(at, times=3, **fault)
    await assert_delivered_once(stage.resources, await run(stage))
    assert len(await stage.fal.jobs()) == 1
    assert len(await asked(stage, "submit")) == 1
    assert len(await asked(stage, at)) >= 4


async def test_a_file_that_never_arrives_whole_ends_with_the_deadline(stage: Stage) -> None:
    await stage.fal.outcome("truncated")
    task = await run(stage, deadline_s=3)
    assert (task["error"]["type"], task["receipt"]["released"]) == ("provider_timeout", 5)
    (job,) = await stage.fal.jobs()
    assert job["fileFetches"] >= 2


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(
    "fault", [{"cut": "after"}, {"status": 503}, {"status": 500}], ids=["lost", "503", "500"]
)
async def test_a_create_of_unknown_fate_is_sent_once(fault: dict[str, Any], stage: Stage) -> None:
    await stage.fal.fault("submit", times=5, **fault)
    task = await run(stage)
    assert (task["error"]["message"], task["receipt"]["released"]) == (BROKEN, 5)
    assert len(await asked(stage, "submit")) == 1
    assert (await only_call(stage)).state == "abandoned", "it may have made a job"


@pytest.mark.hazard("S10")
@pytest.mark.parametrize("at", ["submit", "status"])
async def test_a_vendor_that_asks_for_time_is_given_it(at: str, stage: Stage) -> None:
    await stage.fal.fault(at, status=429, headers={"Retry-After": "3"})
    task = await run(stage)
    assert (task["status"], task["receipt"]["charged"]) == ("completed", 5)
    first, second = (await asked(stage, at))[:2]
    assert (second - first).total_seconds() >= 3
    assert len(await stage.fal.jobs()) == 1


@pytest.mark.hazard("M22")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("blank", "We could not find a subject in this photo. You were not charged."),
        ("opaque", "We could not find a background in this photo. You were not charged."),
    ],
)
async def test_an_unusable_result_is_not_charged(kind: str, message: str, stage: Stage) -> None:
    await stage.fal.outcome(kind)
    task = await run(stage)
    assert task["error"] == {"type": "unusable_result", "message": message}
    assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
    assert (await only_call(stage)).state == "done"


@pytest.mark.hazard("A4")
@pytest.mark.hazard("A7")
@pytest.mark.hazard("A11")
@pytest.mark.parametrize(
    "outcome",
    [
        {"kind": "html"},
        {"kind": "svg"},
        {"kind": "huge"},
        {"kind": "redirect", "location": "http://169.254.169.254/latest/meta-data"},
    ],
    ids=lambda outcome: outcome["kind"],
)
async def test_a_file_that_is_no_result_is_refused(outcome: dict[str, Any], stage: Stage) -> None:
    await stage.fal.outcome(**outcome)
    task = await run(stage)
    assert (task["error"]["message"], task["receipt"]["released"]) == (BROKEN, 5)
    call = await only_call(stage)
    assert (call.state, call.error_trouble) == ("failed", "broken")
    assert call.error_message
    assert call.error_message not in str(task)


async def test_a_refusal_is_told_as_one(stage: Stage) -> None:
    await stage.fal.outcome("refused")
    task = await run(stage)
    assert task["error"] == {"type": "refused", "message": REFUSED}
    call = await only_call(stage)
    assert (call.state, call.error_trouble) == ("failed", "refused")


async def test_words_the_database_does_not_take_do_not_hold_the_credits(stage: Stage) -> None:
    detail = [{"loc": ["body"], "type": "image_load_error", "msg": "half a \x00 file"}]
    await stage.fal.fault("result", status=422, body={"detail": detail})
    task = await run(stage)
    assert (task["error"]["type"], task["receipt"]["released"]) == ("invalid_input", 5)
    assert "half a file" in (await only_call(stage)).error_message.replace("  ", " ")
    assert len(await stage.fal.jobs()) == 1
