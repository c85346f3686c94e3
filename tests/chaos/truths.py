"""What must hold after a storm, whatever happened in it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from funmagic.core.resources import Resources
from funmagic.reports.reconcile import reconcile

USAGES = text("""
    SELECT count(*) FROM credit_transactions WHERE type = 'usage' AND reference_id = :id
""")
ASSETS = text("SELECT count(*) FROM assets WHERE task_id = :id")
EVENTS = text("SELECT seq, type FROM task_events WHERE task_id = :id ORDER BY seq")
CALLS = text("""
    SELECT state, handle FROM provider_calls WHERE task_id = :id ORDER BY call_no
""")


async def assert_delivered_once(
    resources: Resources, task: dict[str, Any], *, credits_: int = 5
) -> None:
    """One result, one charge, one end; every other call is on record as nobody's."""
    assert task["status"] == "completed", task["error"]
    assert (task["receipt"]["charged"], task["receipt"]["released"]) == (credits_, 0)
    assert len(task["output"]["assets"]) == 1
    task_id = UUID(task["id"])
    async with resources.db.transaction() as session:
        assert await session.scalar(USAGES, {"id": str(task_id)}) == 1
        assert await session.scalar(ASSETS, {"id": task_id}) == 1
        told = [tuple(row) for row in await session.execute(EVENTS, {"id": task_id})]
        states = [row.state for row in await session.execute(CALLS, {"id": task_id})]
    assert [seq for seq, _ in told] == list(range(1, len(told) + 1))
    kinds = [kind for _, kind in told]
    for once in ("created", "step_started", "step_completed", "completed"):
        assert kinds.count(once) == 1, kinds
    assert kinds[-1] == "completed"
    assert states.count("done") == 1
    assert set(states) <= {"done", "abandoned"}


async def assert_books_are_right(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []
