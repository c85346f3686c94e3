"""Every completed step was answered by one call, and an ended task waits for none."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.runs import create, ended
from tests.uploads import upload

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.providers import calls
from funmagic.reports.reconcile import reconcile

ABANDON = text("UPDATE provider_calls SET state = 'abandoned'")


async def differences(resources: Resources) -> list[tuple[str, str]]:
    async with resources.db.transaction() as session:
        return [(found.kind, found.subject) for found in await reconcile(session)]


async def add_call(resources: Resources, task_id: UUID, *, is_done: bool) -> None:
    call_id = new_id()
    async with resources.db.transaction() as session:
        await calls.intend(
            session,
            call_id=call_id,
            task_id=task_id,
            step_id="remove",
            provider_key="local",
            model="u2netp",
            fence=9,
            request={},
        )
        if is_done:
            await calls.done(session, call_id, {}, {}, 0)


@pytest.mark.usefixtures("running_worker")
async def test_calls_that_do_not_fit_their_task_are_found(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        task_id = (await create(browser, await upload(browser, astronaut))).json()["taskId"]
        assert (await ended(browser, task_id))["status"] == "completed"
    assert await differences(resources) == []
    await add_call(resources, UUID(task_id), is_done=True)
    assert await differences(resources) == [("step_calls", task_id)]
    async with resources.db.transaction() as session:
        await session.execute(ABANDON)
    assert await differences(resources) == [("step_calls", task_id)]
    await add_call(resources, UUID(task_id), is_done=False)
    assert await differences(resources) == [("step_calls", task_id), ("open_call", task_id)]
