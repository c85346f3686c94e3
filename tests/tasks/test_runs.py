"""A task's way through the worker: result, charge, receipt; or a reason and the credits back."""

from __future__ import annotations

import asyncio
import io
from typing import Any
from uuid import UUID

import httpx
import numpy as np
import pytest
from PIL import Image
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.runs import PRICE_CREDITS, create, ended
from tests.uploads import upload

from funmagic.core.resources import Resources
from funmagic.reports.reconcile import reconcile

pytestmark = pytest.mark.usefixtures("running_worker")

STATE = text("""
    SELECT t.status, t.output IS NOT NULL AS has_output, h.state AS hold,
           (SELECT count(*) FROM credit_transactions x
             WHERE x.user_id = t.user_id AND x.type = 'usage') AS charges,
           (SELECT count(*) FROM task_events e
             WHERE e.task_id = t.id AND e.type = 'completed') AS events,
           (SELECT count(*) FROM assets a WHERE a.task_id = t.id) AS outputs
      FROM tasks t JOIN credit_holds h ON h.id = t.id WHERE t.id = :id
""")


async def assert_books_balance(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []


async def test_a_photo_loses_its_background_and_is_charged_once(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut))
        task = await ended(browser, answer.json()["taskId"])
        assert task["status"] == "completed", task
        assert task["receipt"] == {
            "held": 5,
            "charged": 5,
            "released": 0,
            "balance": 45,
            "available": 45,
        }
        output = task["output"]["assets"][0]
        async with httpx.AsyncClient() as storage:
            made = Image.open(io.BytesIO((await storage.get(output["url"])).content))
        history = (await browser.get("/api/credits/transactions")).json()["items"]
    original = Image.open(io.BytesIO(astronaut))
    assert made.size == original.size == (output["width"], output["height"])
    alpha = np.asarray(made.convert("RGBA"))[..., 3]
    height, width = alpha.shape
    assert alpha[: height // 20, -width // 20 :].max() < 16, "the corner must be transparent"
    assert alpha[height // 2, width // 2] > 240, "the subject must be kept"
    assert [row["type"] for row in history] == ["usage", "reservation", "welcome"]
    assert history[0]["amount"] == -PRICE_CREDITS
    await assert_books_balance(resources)


@pytest.mark.hazard("M11")
async def test_completed_is_never_visible_without_its_charge_and_its_output(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut))
    task_id = UUID(answer.json()["taskId"])
    seen: set[Any] = set()
    for _ in range(3000):
        async with resources.db.transaction() as session:
            seen.add(tuple((await session.execute(STATE, {"id": task_id})).one()))
        if any(state[0] == "completed" for state in seen):
            break
        await asyncio.sleep(0.002)
    completed = {state for state in seen if state[0] == "completed"}
    assert completed == {("completed", True, "captured", 1, 1, 1)}
    unfinished = {state[1:] for state in seen if state[0] != "completed"}
    assert unfinished == {(False, "open", 0, 0, 0)}


@pytest.mark.hazard("M11")
async def test_a_settlement_that_breaks_leaves_neither_charge_nor_output(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with resources.db.transaction() as session:
        await session.execute(
            text("""
                CREATE FUNCTION break_settlement() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF NEW.type IN ('completed') THEN RAISE EXCEPTION 'broken on purpose'; END IF;
                    RETURN NEW;
                END $$
            """)
        )
        await session.execute(
            text("""
                CREATE TRIGGER break_settlement BEFORE INSERT ON task_events
                FOR EACH ROW EXECUTE FUNCTION break_settlement()
            """)
        )
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut))
        task = await ended(browser, answer.json()["taskId"])
    assert (task["status"], task["error"]["type"], task["output"]) == ("failed", "internal", None)
    assert task["receipt"]["charged"] == 0
    assert task["receipt"]["available"] == 50
    async with resources.db.transaction() as session:
        outputs = text("SELECT count(*) FROM assets WHERE source = 'output'")
        assert await session.scalar(outputs) == 0
    await assert_books_balance(resources)


def flat(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), color).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(buffer, "PNG")
    return buffer.getvalue()


async def test_images_that_cannot_be_worked_on_are_explained_and_cost_nothing(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    cases = {
        "truncated": (astronaut[: len(astronaut) // 2], "image/jpeg", "invalid_input"),
        "bomb": (bomb(), "image/png", "invalid_input"),
        "nothing to keep": (flat("white"), "image/png", "unusable_result"),
    }
    async with site.browser(await make_user()) as browser:
        for name, (content, type_, expected) in cases.items():
            answer = await create(browser, await upload(browser, content, type_))
            task = await ended(browser, answer.json()["taskId"])
            assert (task["status"], task["error"]["type"]) == ("failed", expected), name
            assert task["error"]["message"], name
            assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5), name
            assert task["receipt"]["available"] == 50, name
    await assert_books_balance(resources)
    async with resources.db.transaction() as session:
        answered = await session.execute(
            text("""
                SELECT state, response ->> 'unusable' IS NOT NULL FROM provider_calls
                 WHERE state <> 'abandoned'
            """)  # a worker that is slow to renew its lease loses a task to the next attempt
        )
        assert [tuple(row) for row in answered] == [("done", True)]


@pytest.mark.hazard("A2")
@pytest.mark.hazard("A3")
async def test_the_worker_checks_the_owner_of_an_input_again(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    cy = await make_user("cy@example.com")
    async with site.browser(await make_user()) as browser:
        asset_id = await upload(browser, astronaut)
        async with resources.db.transaction() as session:
            # Between the request and the run the file changes hands.
            await session.execute(text("LOCK TABLE provider_calls"))
            answer = await create(browser, asset_id)
            await session.execute(
                text("UPDATE assets SET user_id = :cy WHERE id = :id"),
                {"cy": cy.id, "id": asset_id},
            )
        task = await ended(browser, answer.json()["taskId"])
    assert (task["status"], task["error"]["type"]) == ("failed", "invalid_input")
    assert task["receipt"]["charged"] == 0


async def test_a_provider_that_is_switched_off_fails_the_task_and_returns_the_credits(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with resources.db.transaction() as session:
        await session.execute(text("UPDATE providers SET is_enabled = false"))
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut))
        task = await ended(browser, answer.json()["taskId"])
    assert task["error"] == {
        "type": "provider_error",
        "message": "AI service error. Please try again.",
    }
    assert task["receipt"]["available"] == 50
    await assert_books_balance(resources)
