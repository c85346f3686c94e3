"""One task is settled once, however often and by whomever it is tried."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.runs import create, ended
from tests.uploads import upload

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.providers import calls, registry
from funmagic.providers.contract import Result
from funmagic.reports.reconcile import reconcile
from funmagic.tasks import claims, settlement
from funmagic.tasks.claims import Claim, LeaseLost
from funmagic.tasks.settlement import Failure, StoredOutput

USAGES = text("SELECT count(*), sum(amount) FROM credit_transactions WHERE type = 'usage'")
ENDS = text("SELECT count(*) FROM task_events WHERE type IN ('completed', 'failed')")
RUNS = text("SELECT coalesce(sum(run_count), 0) FROM tool_runs")
OUTPUTS = text("SELECT count(*) FROM assets WHERE source = 'output'")
FAILURE = Failure("internal", "Something went wrong on our side. Credits refunded.")


async def claimed(
    site: Site, make_user: MakeUser, resources: Resources, photo: bytes
) -> tuple[Claim, UUID]:
    """A task in a worker's hands and the call it has made."""
    async with site.browser(await make_user()) as browser:
        task_id = UUID((await create(browser, await upload(browser, photo))).json()["taskId"])
    call_id = new_id()
    async with resources.db.transaction() as session:
        held = await claims.claim(session, task_id, 1, owner="tests", lease_s=60)
        assert held is not None
        await calls.intend(
            session,
            call_id=call_id,
            task_id=task_id,
            step_id="remove",
            provider_key="local",
            model="u2netp",
            fence=held.fence,
            request={},
        )
    return held, call_id


async def complete(resources: Resources, held: Claim, call_id: UUID) -> None:
    output = StoredOutput(
        name="cutout",
        kind="image",
        storage_key=f"outputs/{held.id}",
        content_type="image/png",
        size_bytes=10,
        etag='"x"',
        file_name="cutout.png",
        width=1,
        height=1,
    )
    async with resources.db.transaction() as session:
        await settlement.complete(
            session,
            held,
            step_id="remove",
            call_id=call_id,
            outputs=[output],
            result=Result(files=()),
        )


async def fail(resources: Resources, held: Claim, call_id: UUID) -> None:
    async with resources.db.transaction() as session:
        await settlement.fail(session, held, FAILURE, call_id=call_id)


async def assert_settled_once(resources: Resources, charged: int) -> None:
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []
    async with resources.db.transaction() as session:
        used = (await session.execute(USAGES)).one()
        assert tuple(used) == ((1, -charged) if charged else (0, None))
        assert await session.scalar(ENDS) == 1
        assert await session.scalar(OUTPUTS) == (1 if charged else 0)
        assert await session.scalar(RUNS) == (1 if charged else 0)


@pytest.mark.hazard("M4")
async def test_a_settlement_repeated_charges_once(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    held, call_id = await claimed(site, make_user, resources, astronaut)
    await complete(resources, held, call_id)
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await complete(resources, held, call_id)
    await assert_settled_once(resources, 5)


@pytest.mark.hazard("M4")
@pytest.mark.parametrize(
    "ends", [(complete, complete, complete), (fail, complete, fail), (fail, fail, fail)]
)
async def test_settlements_at_once_charge_at_most_once(
    ends: tuple[Any, ...],
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
) -> None:
    held, call_id = await claimed(site, make_user, resources, astronaut)
    outcomes = await asyncio.gather(
        *(end(resources, held, call_id) for end in ends), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, LeaseLost) for outcome in outcomes) == 2
    winner = ends[next(n for n, outcome in enumerate(outcomes) if outcome is None)]
    await assert_settled_once(resources, 5 if winner is complete else 0)


@pytest.mark.hazard("M4")
@pytest.mark.usefixtures("running_worker")
async def test_a_result_that_cannot_be_announced_is_not_made_again(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The publication fails after the settlement's commit: the job must not run once more."""
    submits = 0
    adapter = registry.adapter("local")
    submit = adapter.submit

    async def counted(*args: Any) -> Any:
        nonlocal submits
        submits += 1
        return await submit(*args)

    async def silent(*_: Any, **__: Any) -> None:
        raise RedisConnectionError("nobody hears")

    monkeypatch.setattr(adapter, "submit", counted)
    monkeypatch.setattr(resources.redis, "publish", silent)
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        assert (await ended(browser, task_id))["status"] == "completed"
        await asyncio.sleep(3 * resources.settings.reconcile_every_s + resources.settings.lease_s)
        assert (await ended(browser, task_id))["receipt"]["charged"] == 5
    assert submits == 1
    await assert_settled_once(resources, 5)
