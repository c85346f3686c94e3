"""The vendor in trouble: the same job is asked for again, and a second one is never made."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from tests.chaos.nursery import Nursery
from tests.chaos.test_deadlines import hurry
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.conftest import MakeUser, Site
from tests.tasks.runs import create, ended
from tests.uploads import upload
from tests.vendors import FalControl

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings

CALLS = text("SELECT state, error_trouble, error_message FROM provider_calls ORDER BY call_no")
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


@pytest.fixture
async def run(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    settings: Settings,
    astronaut: bytes,
) -> Any:
    """Run a task to its end, as its owner sees it."""

    async def run_one() -> dict[str, Any]:
        async with site.browser(await make_user()) as browser:
            task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
            async with nursery.worker(settings):
                return await ended(browser, task_id, wait_s=40)

    return run_one


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(("at", "fault"), TROUBLES, ids=[f"{a} {f}" for a, f in TROUBLES])
async def test_a_question_without_an_answer_is_asked_again(
    at: str, fault: dict[str, Any], fal: FalControl, resources: Resources, run: Any
) -> None:
    await fal.fault(at, times=3, **fault)
    await assert_delivered_once(resources, await run())
    assert len(await fal.jobs()) == 1
    assert sum(request["at"] == "submit" for request in await fal.requests()) == 1
    await assert_books_are_right(resources)


async def test_a_file_that_never_arrives_whole_ends_with_the_deadline(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    make_user: MakeUser,
    resources: Resources,
    settings: Settings,
    astronaut: bytes,
) -> None:
    await fal.outcome("truncated")
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        await hurry(resources, 3)
        async with nursery.worker(settings):
            task = await ended(browser, task_id, wait_s=40)
    assert (task["error"]["type"], task["receipt"]["released"]) == ("provider_timeout", 5)
    (job,) = await fal.jobs()
    assert job["fileFetches"] >= 2
    await assert_books_are_right(resources)


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(
    "fault", [{"cut": "after"}, {"status": 503}, {"status": 500}], ids=["lost", "503", "500"]
)
async def test_a_create_of_unknown_fate_is_sent_once(
    fault: dict[str, Any], fal: FalControl, resources: Resources, run: Any
) -> None:
    await fal.fault("submit", times=5, **fault)
    task = await run()
    assert (task["error"]["message"], task["receipt"]["released"]) == (BROKEN, 5)
    assert sum(request["at"] == "submit" for request in await fal.requests()) == 1
    await assert_books_are_right(resources)


@pytest.mark.hazard("S10")
@pytest.mark.parametrize("at", ["submit", "status"])
async def test_a_vendor_that_asks_for_time_is_given_it(
    at: str, fal: FalControl, resources: Resources, run: Any
) -> None:
    await fal.fault(at, status=429, headers={"Retry-After": "3"})
    task = await run()
    assert (task["status"], task["receipt"]["charged"]) == ("completed", 5)
    times = [
        datetime.fromisoformat(request["receivedAt"])
        for request in await fal.requests()
        if request["at"] == at
    ]
    assert (times[1] - times[0]).total_seconds() >= 3
    assert len(await fal.jobs()) == 1
    await assert_books_are_right(resources)


@pytest.mark.hazard("M22")
@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("blank", "We could not find a subject in this photo. You were not charged."),
        ("opaque", "We could not find a background in this photo. You were not charged."),
    ],
)
async def test_an_unusable_result_is_not_charged(
    kind: str, message: str, fal: FalControl, resources: Resources, run: Any
) -> None:
    await fal.outcome(kind)
    task = await run()
    assert task["error"] == {"type": "unusable_result", "message": message}
    assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
    async with resources.db.transaction() as session:
        assert (await session.execute(CALLS)).one().state == "done"
    await assert_books_are_right(resources)


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
async def test_a_file_that_is_no_result_is_refused(
    outcome: dict[str, Any], fal: FalControl, resources: Resources, run: Any
) -> None:
    await fal.outcome(**outcome)
    task = await run()
    assert (task["error"]["message"], task["receipt"]["released"]) == (BROKEN, 5)
    async with resources.db.transaction() as session:
        call = (await session.execute(CALLS)).one()
    assert (call.state, call.error_trouble) == ("failed", "broken")
    assert call.error_message
    assert call.error_message not in str(task)
    await assert_books_are_right(resources)


async def test_a_refusal_is_told_as_one(fal: FalControl, resources: Resources, run: Any) -> None:
    await fal.outcome("refused")
    task = await run()
    assert task["error"] == {"type": "refused", "message": REFUSED}
    async with resources.db.transaction() as session:
        call = (await session.execute(CALLS)).one()
    assert (call.state, call.error_trouble) == ("failed", "refused")
    await assert_books_are_right(resources)


async def test_words_the_database_does_not_take_do_not_hold_the_credits(
    fal: FalControl, resources: Resources, run: Any
) -> None:
    detail = [{"loc": ["body"], "type": "image_load_error", "msg": "half a \x00 file"}]
    await fal.fault("result", status=422, body={"detail": detail})
    task = await run()
    assert (task["error"]["type"], task["receipt"]["released"]) == ("invalid_input", 5)
    async with resources.db.transaction() as session:
        call = (await session.execute(CALLS)).one()
    assert "half a file" in call.error_message.replace("  ", " ")
    assert len(await fal.jobs()) == 1
