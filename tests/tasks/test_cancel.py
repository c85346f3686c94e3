"""Cancelling: a waiting task ends at once and free, a running one by what its vendor does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from tests.tasks.figures import DRAW, DRAW_CREDITS, configure
from tests.tasks.studio import COST_USD_MICROS, Studio, until

from funmagic.core.ids import new_id
from funmagic.providers import calls
from funmagic.providers.contract import Call, Result, Trouble
from funmagic.tasks import calling, cancel, claims, settlement
from funmagic.tasks.claims import Claim, LeaseLost
from funmagic.tasks.settlement import Failure

WAITING_FOR_LOCKS = "SELECT count(*) FROM pg_locks WHERE NOT granted"
CANCELLED = {"type": "cancelled", "message": "You cancelled this. Credits refunded."}


def assert_cancelled(task: dict[str, Any]) -> None:
    assert (task["status"], task["error"]) == ("failed", CANCELLED)
    receipt = task["receipt"]
    assert (receipt["charged"], receipt["released"], receipt["available"]) == (0, DRAW_CREDITS, 500)
    assert not task["isCancelling"]
    assert task["canRetry"]


@pytest.mark.hazard("M17")
async def test_a_waiting_task_ends_at_once_and_nobody_is_called(studio: Studio) -> None:
    await studio.ask_in_turn("steady")
    async with studio.person() as ada, studio.person("cy@example.com") as cy:
        task_id = await ada.draw()
        assert (await cy.cancel(task_id)).status_code == 404
        assert (await cy.cancel(str(new_id()))).status_code == 404
        answer = await ada.cancel(task_id)
        assert answer.status_code == 200
        assert_cancelled(answer.json())
        again = await ada.cancel(task_id)
        assert (again.status_code, again.json()["error"]["type"]) == (409, "already_ended")
        await studio.engine.run(UUID(task_id), 1)
        assert_cancelled(await ada.ended(task_id))
    assert (studio.steady.creates, await studio.calls()) == ([], [])
    await studio.assert_one_end()


@pytest.mark.hazard("M17")
@pytest.mark.parametrize("is_heard", [True, False], ids=["heard", "found by the lease"])
async def test_a_running_job_is_stopped_and_not_charged(
    is_heard: bool, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stopped() -> None:
        studio.steady.ends_jobs_with(Trouble.BROKEN, cost_usd_micros=COST_USD_MICROS)

    async def not_told(*_: object) -> None: ...

    if not is_heard:
        monkeypatch.setattr(cancel, "tell", not_told)
    studio.steady.works_on()
    studio.steady.on_cancel = stopped
    await studio.ask_in_turn("steady")
    async with studio.person() as ada, studio.worker():
        task_id = await ada.draw()
        await until(lambda: studio.steady.creates)
        answer = await ada.cancel(task_id)
        assert answer.json()["isCancelling"] or answer.json()["status"] == "failed"
        assert_cancelled(await ada.ended(task_id))
    assert (len(studio.steady.creates), studio.steady.cancels) == (1, 1)
    (call,) = await studio.calls()
    assert (call.state, call.error_trouble) == ("abandoned", "broken")
    await studio.assert_one_end()


@pytest.mark.hazard("M17")
async def test_the_cost_of_a_cancelled_job_is_asked_for_later(studio: Studio) -> None:
    async def stopped() -> None:
        studio.steady.ends_jobs_with(Trouble.BROKEN, cost_usd_micros=COST_USD_MICROS)

    studio.steady.works_on()
    studio.steady.on_cancel = stopped
    await studio.ask_in_turn("steady")
    async with studio.person() as ada, studio.worker():
        task_id = await ada.draw()
        await until(lambda: studio.steady.creates)
        await ada.cancel(task_id)
        assert_cancelled(await ada.ended(task_id))
        for _ in range(400):
            (call,) = await studio.calls()
            if call.cost_usd_micros:
                break
            await asyncio.sleep(0.05)
    assert (call.state, call.cost_usd_micros) == ("abandoned", COST_USD_MICROS)


@pytest.mark.hazard("M17")
async def test_a_job_that_finishes_all_the_same_is_delivered_and_charged_once(
    studio: Studio,
) -> None:
    async def too_late() -> None:
        studio.steady.on_poll = finished

    finished = studio.steady.on_poll
    studio.steady.works_on()
    studio.steady.on_cancel = too_late
    await studio.ask_in_turn("steady")
    async with studio.person() as ada, studio.worker():
        task_id = await ada.draw()
        await until(lambda: studio.steady.creates)
        await asyncio.gather(*(ada.cancel(task_id) for _ in range(5)))
        task = await ada.ended(task_id)
    assert (task["status"], task["receipt"]["charged"]) == ("completed", DRAW_CREDITS)
    assert (len(studio.steady.creates), studio.steady.cancels) == (1, 1)
    await studio.assert_one_end()


@pytest.mark.hazard("M17")
async def test_a_vendor_that_answers_directly_is_waited_for_no_longer(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def for_ever(_: Call) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(calling, "HANDLE_S", 0.2)
    studio.direct.on_create = for_ever
    await studio.ask_in_turn("direct", "steady")
    async with studio.person() as ada, studio.worker():
        task_id = await ada.draw()
        await until(lambda: studio.direct.creates)
        await ada.cancel(task_id)
        assert_cancelled(await ada.ended(task_id))
    assert [(call.provider_key, call.state) for call in await studio.calls()] == [
        ("direct", "abandoned")
    ]
    assert (len(studio.direct.creates), studio.steady.creates) == (1, [])
    await studio.assert_one_end()


@pytest.mark.hazard("M17")
async def test_nothing_more_is_asked_of_a_busy_vendor(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "LONGEST_RETRY_S", 60.0)  # else the next one is asked at once
    studio.steady.always(Trouble.BUSY, may_repeat=True, retry_after_s=60.0)
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada, studio.worker():
        task_id = await ada.draw()
        await until(lambda: studio.steady.creates)
        await ada.cancel(task_id)
        assert_cancelled(await ada.ended(task_id))
    assert (len(studio.steady.creates), studio.direct.creates) == (1, [])


@pytest.mark.hazard("M17")
@pytest.mark.parametrize("state", ["submitted", "intent", "none", "finished"])
async def test_a_worker_that_takes_over_a_cancelled_task_begins_nothing(
    state: str, studio: Studio
) -> None:
    """Its worker died after the wish; what is on record decides."""

    async def stopped() -> None:
        studio.steady.ends_jobs_with(Trouble.BROKEN)

    if state != "finished":
        studio.steady.works_on()
    studio.steady.on_cancel = stopped if state != "finished" else studio.steady.on_cancel
    await studio.ask_in_turn("steady")
    async with studio.person() as ada:
        task_id = await ada.draw()
        await _claimed(studio, task_id, state if state != "finished" else "submitted")
        assert (await ada.cancel(task_id)).json()["isCancelling"]
        async with studio.worker():
            task = await ada.ended(task_id)
    if state == "finished":
        assert (task["status"], task["receipt"]["charged"]) == ("completed", DRAW_CREDITS)
    else:
        assert_cancelled(task)
    assert studio.steady.creates == []
    assert studio.steady.cancels == (1 if state in {"submitted", "finished"} else 0)
    await studio.assert_one_end()


@pytest.mark.hazard("M17")
async def test_a_task_queued_again_with_a_job_at_work_is_stopped_there(studio: Studio) -> None:
    async def stopped() -> None:
        studio.steady.ends_jobs_with(Trouble.BROKEN)

    studio.steady.works_on()
    studio.steady.on_cancel = stopped
    await studio.ask_in_turn("steady")
    async with studio.person() as ada:
        task_id = await ada.draw()
        await _claimed(studio, task_id, "submitted")
        await studio.execute("UPDATE tasks SET status = 'queued', lease_expires_at = NULL")
        answer = (await ada.cancel(task_id)).json()
        assert (answer["status"], answer["isCancelling"]) == ("queued", True)
        await studio.execute("UPDATE tasks SET queued_at = now() - interval '1 hour'")
        async with studio.worker():
            assert_cancelled(await ada.ended(task_id))
    assert (studio.steady.creates, studio.steady.cancels) == ([], 1)


@pytest.mark.hazard("M17")
async def test_a_cancelled_task_that_nobody_resumes_ends_as_cancelled(studio: Studio) -> None:
    await studio.ask_in_turn("steady")
    async with studio.person() as ada:
        task_id = await ada.draw()
        await _claimed(studio, task_id, "intent")
        await ada.cancel(task_id)
        await studio.execute("UPDATE tasks SET deadline_at = now(), lease_expires_at = now()")
        async with studio.resources.db.transaction() as session:
            assert await settlement.fail_overdue(session, UUID(task_id))
        assert_cancelled(await ada.ended(task_id))
    await studio.assert_one_end()


@pytest.mark.hazard("M17")
async def test_a_cancel_waits_for_an_end_that_is_under_way_and_then_changes_nothing(
    studio: Studio,
) -> None:
    await studio.ask_in_turn("steady")
    async with studio.person() as ada:
        task_id = await ada.draw()
        failure = Failure("internal", "Ended by somebody else.")
        async with studio.resources.db.transaction() as session:
            await settlement.end_unfinished(session, UUID(task_id), failure)
            cancelling = asyncio.create_task(ada.cancel(task_id))
            async with asyncio.timeout(30):
                while not await studio.execute(WAITING_FOR_LOCKS):
                    assert not cancelling.done(), "it has not waited"
                    await asyncio.sleep(0.05)
        answer = await cancelling
        assert (answer.status_code, answer.json()["error"]["type"]) == (409, "already_ended")
        assert (await ada.ended(task_id))["error"]["type"] == "internal"
    await studio.assert_one_end()


@pytest.mark.hazard("M17")
@pytest.mark.hazard("M20")
@pytest.mark.parametrize("start", ["waiting", "waiting, free", "claimed"])
async def test_of_fifty_cancels_a_claim_and_two_ends_exactly_one_happens(
    start: str, studio: Studio
) -> None:
    """Of a free task, which has no hold, only the task's own row can tell."""
    await studio.ask_in_turn("steady")
    if start == "waiting, free":
        await configure(studio.resources, [DRAW, "priceCredits"], 0)
    async with studio.person() as ada:
        task_id = await ada.draw()
        held = await _claimed(studio, task_id, "intent") if start == "claimed" else None
        acts: list[Callable[[], Awaitable[Any]]] = [lambda: ada.cancel(task_id)] * 50
        acts.insert(10, lambda: _end(studio, task_id, held, completes=True))
        acts.insert(30, lambda: _end(studio, task_id, held, completes=False))
        answers = await asyncio.gather(*(act() for act in acts))
    refused = {answer.text for answer in answers if answer is not None and answer.is_error}
    assert all("already_ended" in text for text in refused), refused
    await studio.assert_one_end()
    resolved = "SELECT count(*) FROM credit_transactions WHERE type IN ('usage', 'release')"
    assert await studio.execute(resolved) == (0 if start == "waiting, free" else 1)


async def _claimed(
    studio: Studio, task_id: str, call_state: str, *, lease_s: float = 1.0
) -> Claim | None:
    """A worker takes the task if it is to be had, asks, and is not heard of again."""
    call_id = new_id()
    async with studio.resources.db.transaction() as session:
        held = await claims.claim(session, UUID(task_id), 1, owner="w", lease_s=lease_s)
        if held is not None and call_state != "none":
            await calls.intend(
                session,
                call_id=call_id,
                task_id=held.id,
                step_id=DRAW,
                provider_key="steady",
                model="model-1",
                fence=held.fence,
                request={"capability": "image_edit", "options": {}},
            )
        if call_state == "submitted":
            await calls.submitted(session, call_id, {"job": 1})
    return held


async def _end(studio: Studio, task_id: str, held: Claim | None, *, completes: bool) -> None:
    """Settle as a worker does, with the task in hand or just claimed; nothing where it is gone."""
    held = held or await _claimed(studio, task_id, "intent", lease_s=60)
    if held is None:
        return
    with contextlib.suppress(LeaseLost):
        async with studio.resources.db.transaction() as session:
            call = await calls.last_of(session, held.id, DRAW)
            assert call is not None
            if completes:
                await settlement.complete(
                    session, held, step_id=DRAW, call_id=call.id, outputs=[], result=Result(())
                )
            else:
                await settlement.fail(session, held, Failure("internal", "Something went wrong."))
