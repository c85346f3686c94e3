"""A step that follows another starts from one's own finished task of it, and from no other."""

from __future__ import annotations

import itertools
import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.figures import DRAW, FIGME, SHAPE, SHAPE_CREDITS, draw, finish_drawing, shape
from tests.tasks.runs import ended
from tests.uploads import upload

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.tasks.engine import Engine
from funmagic.tasks.models import STATUSES

CHILDREN = text("SELECT count(*) FROM tasks WHERE parent_task_id IS NOT NULL")
BECOME = text("""
    UPDATE tasks SET status = :status, user_id = :owner,
                     tool_id = (SELECT id FROM tools WHERE slug = :tool),
                     config = jsonb_set(config, '{steps,0,id}', to_jsonb(CAST(:step AS text)))
     WHERE id = :id
""")
OUTPUT = text("""
    UPDATE assets SET kind = :kind, source = :source, status = :status, user_id = :owner
     WHERE id = :id
""")
IS_MADE = text("""
    UPDATE assets SET task_id = CASE WHEN id = :photo THEN CAST(:parent AS uuid) END,
                      source = 'output'
     WHERE id IN (:photo, :made)
""")
CHANGE_HANDS = text("UPDATE assets SET user_id = :owner WHERE id = :photo")
PICTURE = ("image", "output", "ready")
OUTPUTS = (PICTURE, ("3d", "output", "ready"), ("image", "upload", "ready"),
           ("image", "output", "expired"))  # fmt: skip


@pytest.mark.hazard("M18")
@pytest.mark.hazard("A5")
async def test_only_ones_own_finished_task_of_the_followed_step_is_a_parent(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    """Every state a parent can be in, and nothing but the right one makes a child."""
    ada, cy = await make_user(credits_=1000), await make_user("cy@example.com")
    states = list(
        itertools.product(STATUSES, (ada, cy), (FIGME, "background-remove"), (DRAW, SHAPE), OUTPUTS)
    )
    right = ("completed", ada, FIGME, DRAW, PICTURE)
    near = [state for state in states if sum(map(_differs, state, right)) == 1]
    far = random.Random(18).sample(states, 20)
    async with site.browser(ada) as browser:
        parent = (await draw(browser, await upload(browser, astronaut))).json()["taskId"]
        asset_id = await finish_drawing(resources, parent)
        for state in [*near, *far, right]:
            status, owner, tool, step, output = state
            become = {"status": status, "owner": owner.id, "tool": tool, "step": step}
            kind, source, arrived = output
            given = {"kind": kind, "source": source, "status": arrived, "owner": owner.id}
            async with resources.db.transaction() as session:
                await session.execute(BECOME, {**become, "id": UUID(parent)})
                await session.execute(OUTPUT, {**given, "id": asset_id})
                before = await session.scalar(CHILDREN)
            answer = await shape(browser, parent)
            async with resources.db.transaction() as session:
                made = await session.scalar(CHILDREN) - before
            if owner is cy:
                assert (answer.status_code, made) == (404, 0), state
            elif state == right:
                assert (answer.status_code, made) == (201, 1), answer.text
            else:
                error = answer.json()["error"]
                assert (answer.status_code, error["type"], made) == (409, "parent_not_ready", 0)


@pytest.mark.hazard("A5")
async def test_a_strangers_task_is_no_parent_even_with_ones_own_picture(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    """The task's owner counts, and not the picture's alone."""
    ada, cy = await make_user(credits_=200), await make_user("cy@example.com")
    async with site.browser(ada) as browser:
        parent = (await draw(browser, await upload(browser, astronaut))).json()["taskId"]
        await finish_drawing(resources, parent)
        become = {"status": "completed", "owner": cy.id, "tool": FIGME, "step": DRAW}
        async with resources.db.transaction() as session:
            await session.execute(BECOME, {**become, "id": UUID(parent)})
        assert (await shape(browser, parent)).status_code == 404


@pytest.mark.hazard("A3")
async def test_the_worker_opens_no_parents_picture_that_changed_hands(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    ada, cy = await make_user(credits_=200), await make_user("cy@example.com")
    async with site.browser(ada) as browser:
        photo = await upload(browser, astronaut)
        parent = (await draw(browser, photo)).json()["taskId"]
        made = await finish_drawing(resources, parent)
        async with resources.db.transaction() as session:  # a picture that is in the storage
            await session.execute(IS_MADE, {"photo": photo, "made": made, "parent": UUID(parent)})
        child = (await shape(browser, parent)).json()["taskId"]
        async with resources.db.transaction() as session:
            await session.execute(CHANGE_HANDS, {"photo": photo, "owner": cy.id})
        await Engine(resources, "tests").run(UUID(child), 1)
        task = await ended(browser, child)
    assert (task["status"], task["error"]["type"]) == ("failed", "invalid_input")
    assert task["receipt"]["charged"] == 0
    async with resources.db.transaction() as session:
        asked = text("SELECT count(*) FROM provider_calls WHERE task_id = :id AND state = 'done'")
        assert await session.scalar(asked, {"id": UUID(child)}) == 0


@pytest.mark.hazard("M18")
async def test_parents_that_are_none_are_refused_and_nothing_is_held(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        photo = await upload(browser, astronaut)
        unknown = await shape(browser, new_id())
        assert (unknown.status_code, unknown.json()["error"]["type"]) == (404, "not_found")
        orphan = await shape(browser, "", parentTaskId=None)
        assert orphan.status_code == 422
        assert list(orphan.json()["error"]["fields"]) == ["parentTaskId"]
        assert (await shape(browser, "x")).status_code == 422
        assert (await browser.get("/api/credits")).json()["reserved"] == 0
        parent = (await draw(browser, photo)).json()["taskId"]
        await finish_drawing(resources, parent)
        strange = await draw(browser, photo, parentTaskId=parent)
        assert strange.status_code == 422
        assert list(strange.json()["error"]["fields"]) == ["parentTaskId"]


@pytest.mark.hazard("M15")
async def test_a_key_belongs_to_one_parent(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=200)) as browser:
        photo = await upload(browser, astronaut)
        parents = [(await draw(browser, photo)).json()["taskId"] for _ in range(2)]
        for parent in parents:
            await finish_drawing(resources, parent)
        first = await shape(browser, parents[0], key="k", expectedCredits=SHAPE_CREDITS)
        again = await shape(browser, parents[0], key="k", expectedCredits=SHAPE_CREDITS)
        other = await shape(browser, parents[1], key="k", expectedCredits=SHAPE_CREDITS)
    assert first.json()["taskId"] == again.json()["taskId"]
    assert (other.status_code, other.json()["error"]["type"]) == (409, "idempotency_conflict")


def _differs(one: Any, other: Any) -> bool:
    return bool(one != other)
