"""The record of calls: every state once, in order, and never more than one answer."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from funmagic.core.db import Database
from funmagic.core.errors import Conflict
from funmagic.core.ids import new_id
from funmagic.providers import calls
from funmagic.providers.contract import Trouble
from funmagic.providers.models import ProviderCall


async def intend(
    db: Database,
    task_id: UUID,
    step_id: str = "remove",
    fence: int = 1,
    call_id: UUID | None = None,
) -> UUID:
    call_id = call_id or new_id()
    async with db.transaction() as s:
        await calls.intend(
            s,
            call_id=call_id,
            task_id=task_id,
            step_id=step_id,
            provider_key="local",
            model="u2netp",
            fence=fence,
            request={"capability": "background_removal"},
        )
    return call_id


async def last(db: Database, task_id: UUID, step_id: str = "remove") -> ProviderCall:
    async with db.transaction() as s:
        call = await calls.last_of(s, task_id, step_id)
    assert call is not None
    return call


async def test_a_call_goes_from_intent_to_handle_to_done(db: Database) -> None:
    task_id = new_id()
    call_id = await intend(db, task_id)
    call = await last(db, task_id)
    assert (call.id, call.call_no, call.state, call.handle) == (call_id, 1, "intent", None)
    assert call.request == {"capability": "background_removal"}
    async with db.transaction() as s:
        assert await calls.submitted(s, call_id, {"job": "j-1"})
    call = await last(db, task_id)
    assert (call.state, call.handle, call.finished_at) == ("submitted", {"job": "j-1"}, None)
    async with db.transaction() as s:
        assert await calls.done(s, call_id, {"outputs": 1}, {"latencyMs": 7}, 18_000)
    call = await last(db, task_id)
    assert (call.state, call.cost_usd_micros, call.meta) == ("done", 18_000, {"latencyMs": 7})
    assert call.finished_at is not None


async def test_a_call_that_is_intended_twice_is_one(db: Database) -> None:
    task_id = new_id()
    call_id = await intend(db, task_id)
    assert await intend(db, task_id, call_id=call_id) == call_id
    call = await last(db, task_id)
    assert (call.id, call.call_no, call.state) == (call_id, 1, "intent")


async def test_a_finished_call_never_moves_again(db: Database) -> None:
    task_id = new_id()
    call_id = await intend(db, task_id)
    async with db.transaction() as s:
        assert await calls.failed(s, call_id, Trouble.BROKEN, "x" * 9000)
        assert not await calls.done(s, call_id, {"late": True}, {}, 5)
        assert not await calls.submitted(s, call_id, {"job": "late"})
        assert not await calls.abandon(s, call_id, Trouble.BROKEN, "given up")
        assert not await calls.failed(s, call_id, Trouble.BUSY, "again")
    call = await last(db, task_id)
    assert (call.state, call.error_trouble, call.cost_usd_micros) == ("failed", "broken", 0)
    assert call.handle is None
    assert len(call.error_message or "") == calls.MESSAGE_LIMIT_CHARS


@pytest.mark.hazard("M10")
async def test_an_abandoned_call_still_learns_its_handle_and_cost_but_has_no_result(
    db: Database,
) -> None:
    task_id = new_id()
    call_id = await intend(db, task_id)
    async with db.transaction() as s:
        assert await calls.abandon(s, call_id, Trouble.BROKEN, "given up")
    async with db.transaction() as s:
        assert not await calls.submitted(s, call_id, {"job": "late"})
    async with db.transaction() as s:
        assert not await calls.done(s, call_id, {"outputs": 1}, {}, 18_000)
    call = await last(db, task_id)
    assert (call.state, call.handle, call.cost_usd_micros) == (
        "abandoned",
        {"job": "late"},
        18_000,
    )


@pytest.mark.hazard("M10")
async def test_a_handle_is_never_overwritten(db: Database) -> None:
    task_id = new_id()
    call_id = await intend(db, task_id)
    async with db.transaction() as s:
        assert await calls.submitted(s, call_id, {"job": "first"})
        assert not await calls.submitted(s, call_id, {"job": "second"})
    assert (await last(db, task_id)).handle == {"job": "first"}


@pytest.mark.hazard("M10")
async def test_every_call_has_its_own_row(db: Database) -> None:
    task_id = new_id()
    first = await intend(db, task_id)
    await intend(db, task_id, "other-step")
    second = await intend(db, task_id)
    assert first != second
    assert (await last(db, task_id)).call_no == 2
    assert (await last(db, task_id, "other-step")).call_no == 1
    async with db.transaction() as s:
        assert await calls.last_of(s, new_id(), "remove") is None


@pytest.mark.hazard("M10")
async def test_a_worker_that_lost_its_task_may_not_call_again(db: Database) -> None:
    task_id = new_id()
    await intend(db, task_id, fence=2)
    with pytest.raises(Conflict):
        await intend(db, task_id, fence=1)
    await intend(db, task_id, fence=2)
    await intend(db, task_id, fence=3)
    assert (await last(db, task_id)).call_no == 3


async def test_two_workers_racing_for_one_number_cannot_both_have_it(db: Database) -> None:
    task_id = new_id()
    outcomes = await asyncio.gather(
        *(intend(db, task_id) for _ in range(6)), return_exceptions=True
    )
    won = [outcome for outcome in outcomes if isinstance(outcome, UUID)]
    assert won
    assert all(isinstance(it, UUID | IntegrityError) for it in outcomes)
    assert (await last(db, task_id)).call_no == len(won)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'paid'",
        "call_no = 0",
        "cost_usd_micros = -1",
        "state = 'submitted'",
        "state = 'done'",
        "finished_at = now()",
    ],
)
async def test_the_database_refuses_a_state_that_cannot_be(db: Database, change: str) -> None:
    call_id = await intend(db, new_id())
    with pytest.raises(IntegrityError):
        async with db.transaction() as s:
            await s.execute(
                text(f"UPDATE provider_calls SET {change} WHERE id = :id"), {"id": call_id}
            )
