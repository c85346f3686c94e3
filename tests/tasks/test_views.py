"""What a task's page is told: its family, its choices, its place in the queue, what is usual."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text
from tests.conftest import MakeUser, Site
from tests.tasks.figures import DRAW, SHAPE, configure, draw, finish_drawing, shape
from tests.tasks.runs import create
from tests.uploads import upload

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.tasks import service
from funmagic.tasks.views import task_rows

TOOK = text("""
    UPDATE tasks SET started_at = completed_at - make_interval(secs => :seconds) WHERE id = :id
""")


async def test_a_family_knows_each_other(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    image = str(new_id())
    style = {"slug": "chalk", "name": "Chalk", "image": image, "prompt": "SECRET", "useImage": True}
    await configure(resources, [DRAW, "settings", "styles"], [style])
    async with site.browser(await make_user(credits_=200)) as browser:
        answer = await draw(browser, await upload(browser, astronaut), style="chalk")
        await configure(resources, [DRAW, "settings", "styles"], [])
        parent_id = answer.json()["taskId"]
        waiting = (await browser.get(f"/api/tasks/{parent_id}")).json()
        await finish_drawing(resources, parent_id)
        children = [(await shape(browser, parent_id)).json()["taskId"] for _ in range(2)]
        parent = (await browser.get(f"/api/tasks/{parent_id}")).json()
        child = (await browser.get(f"/api/tasks/{children[0]}")).json()
    assert waiting["input"]["style"] == {
        "slug": "chalk",
        "name": "Chalk",
        "imageUrl": f"/media/{image}",
    }
    assert (waiting["step"], waiting["parentTaskId"], waiting["children"]) == (DRAW, None, [])
    assert (waiting["canRetry"], waiting["isCancelling"]) == (False, False)
    assert "SECRET" not in str(waiting)
    assert [each["id"] for each in parent["children"]] == children[::-1]
    assert {each["step"] for each in parent["children"]} == {SHAPE}
    assert (parent["canRetry"], parent["queue"], parent["estimateS"]) == (True, None, None)
    assert (child["step"], child["parentTaskId"]) == (SHAPE, parent_id)
    assert child["parent"]["imageUrl"].startswith("http")


async def test_a_waiting_task_knows_its_place_and_what_is_usual(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=300)) as browser:
        photo = await upload(browser, astronaut)
        for seconds in (4, 10, 600):
            task_id = (await draw(browser, photo)).json()["taskId"]
            await finish_drawing(resources, task_id)
            async with resources.db.transaction() as session:
                await session.execute(TOOK, {"seconds": seconds, "id": UUID(task_id)})
        waiting = [(await draw(browser, photo)).json()["taskId"] for _ in range(2)]
        other = (await create(browser, photo)).json()["taskId"]
        first, second, third = [
            (await browser.get(f"/api/tasks/{task_id}")).json() for task_id in (*waiting, other)
        ]
    assert first["queue"] == {"place": 0, "estimateS": 0}
    assert second["queue"] == {"place": 1, "estimateS": 10}
    assert (first["estimateS"], third["estimateS"]) == (10, None)
    assert third["queue"] == {"place": 2, "estimateS": None}


@pytest.mark.hazard("P4")
async def test_a_longer_list_needs_no_more_queries(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async def queries(number: int) -> int:
        seen = 0

        def count(*_: Any) -> None:
            nonlocal seen
            seen += 1

        event.listen(resources.db.engine.sync_engine, "before_cursor_execute", count)
        try:
            async with resources.db.transaction() as session:
                rows = await task_rows(
                    resources, session, await service.recent_of(session, ada, None, number)
                )
        finally:
            event.remove(resources.db.engine.sync_engine, "before_cursor_execute", count)
        assert len(rows) == number
        return seen

    ada = await make_user(credits_=300)
    async with site.browser(ada) as browser:
        photo = await upload(browser, astronaut)
        for _ in range(6):
            await finish_drawing(resources, (await draw(browser, photo)).json()["taskId"])
    assert await queries(6) == await queries(2)
