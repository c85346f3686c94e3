"""Workers killed between any two calls of a tool of two steps: one charge, no create too many."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from tests.chaos.nursery import Point
from tests.chaos.points import CANCELLING, DRAW_ONCE, DRAW_TWICE, SHAPE_NEVER, SHAPE_ONCE
from tests.chaos.stage import Person, Stage
from tests.chaos.truths import assert_books_are_right, assert_delivered_once
from tests.soak import rounds
from tests.tasks.figures import (
    DRAW,
    DRAW_CREDITS,
    SHAPE,
    SHAPE_CREDITS,
    configure,
    draw,
    shape,
)
from tests.vendors import OpenAiControl, TripoControl

from funmagic.core.settings import Settings
from funmagic.simulators.server import Running

PATIENCE_S = 60
ROUNDS = range(rounds(1, 30))
# Longer than elsewhere: many work side by side, and a lease lost to a slow machine while a vendor
# draws is one create more that nobody was killed for.
LEASE_S = 6.0


@pytest.fixture
async def openai(stage: Stage, simulators: Running) -> AsyncIterator[OpenAiControl]:
    """The drawing step works by OpenAI; here are its controls."""
    async with httpx.AsyncClient(base_url=simulators.url, timeout=30) as client:
        control = OpenAiControl(client)
        await control.reset()
        await control.pace(work_s=0.3)
        choice = {"provider": "openai", "model": "gpt-image-1.5", "options": {"partialImages": 2}}
        await configure(stage.resources, [DRAW, "providers"], [choice])
        yield control


@pytest.fixture
async def tripo(stage: Stage, simulators: Running) -> AsyncIterator[TripoControl]:
    """The shaping step works by Tripo; here are its controls."""
    async with httpx.AsyncClient(base_url=simulators.url, timeout=30) as client:
        control = TripoControl(client)
        await control.reset()
        await control.pace(work_s=0.6)
        choice = {"provider": "tripo", "model": "v3.1-20260211", "options": {}}
        await configure(stage.resources, [SHAPE, "providers"], [choice])
        yield control


def patient(stage: Stage) -> Settings:
    return stage.settings.model_copy(update={"lease_s": LEASE_S})


async def killed(stage: Stage, points: Sequence[Point]) -> None:
    """One worker for each point runs into its end there, over a task of its own."""
    alone = patient(stage).model_copy(update={"worker_concurrency": 1})
    victims = [await stage.nursery.start(alone, point) for point in points]
    for point, victim in zip(points, victims, strict=True):
        assert (await stage.nursery.wait(victim)).killed, f"no worker came by: {point.name}"


async def ends(stage: Stage, ada: Person, task_ids: Sequence[str]) -> list[dict[str, Any]]:
    """What becomes of the tasks once a worker lives."""
    async with stage.nursery.worker(patient(stage)):
        return [await ada.ended(task_id, wait_s=PATIENCE_S) for task_id in task_ids]


async def drawings(ada: Person, number: int) -> list[str]:
    return [(await draw(ada.browser, ada.photo)).json()["taskId"] for _ in range(number)]


@pytest.mark.hazard("M6")
@pytest.mark.hazard("M10")
@pytest.mark.timeout(rounds(240, 7200))
async def test_workers_killed_while_a_picture_is_drawn(stage: Stage, openai: OpenAiControl) -> None:
    points = (*DRAW_ONCE, *DRAW_TWICE)
    for turn in ROUNDS:
        await openai.reset()
        await openai.pace(work_s=0.3)
        credits_ = DRAW_CREDITS * len(points)
        async with stage.person(f"ada{turn}@example.com", credits_=credits_) as ada:
            asked = await drawings(ada, len(points))
            await killed(stage, points)
            for task in await ends(stage, ada, asked):
                await assert_delivered_once(stage.resources, task, credits_=DRAW_CREDITS)
        assert len(await openai.jobs()) == len(DRAW_ONCE) + 2 * len(DRAW_TWICE)
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M6")
@pytest.mark.hazard("M10")
@pytest.mark.hazard("M18")
@pytest.mark.timeout(rounds(240, 7200))
async def test_workers_killed_while_a_model_is_shaped(
    stage: Stage, openai: OpenAiControl, tripo: TripoControl
) -> None:
    points = (*SHAPE_ONCE, *SHAPE_NEVER)
    for turn in ROUNDS:
        await tripo.reset()
        await tripo.pace(work_s=0.6)
        credits_ = DRAW_CREDITS + SHAPE_CREDITS * len(points)
        async with stage.person(f"ada{turn}@example.com", credits_=credits_) as ada:
            (parent,) = await ends(stage, ada, await drawings(ada, 1))
            asked = []
            for _ in points:
                answer = await shape(ada.browser, parent["id"])
                assert answer.status_code == 201, answer.text
                asked.append(answer.json()["taskId"])
            await killed(stage, points)
            tasks = await ends(stage, ada, asked)
        completed = [task for task in tasks if task["status"] == "completed"]
        assert len(completed) == len(SHAPE_ONCE), [task["error"] for task in tasks]
        for task in completed:
            await assert_delivered_once(stage.resources, task, credits_=SHAPE_CREDITS)
        for task in tasks:
            if task["status"] == "failed":
                assert task["error"]["type"] == "provider_error"
                receipt = (task["receipt"]["charged"], task["receipt"]["released"])
                assert receipt == (0, SHAPE_CREDITS)
        # Of those that ended unpaid, all but the one whose create was not sent are at work.
        assert len(await tripo.jobs()) == len(SHAPE_ONCE) + len(SHAPE_NEVER) - 1
    await assert_books_are_right(stage.resources)


@pytest.mark.hazard("M17")
@pytest.mark.timeout(rounds(240, 7200))
async def test_workers_killed_while_they_cancel(stage: Stage) -> None:
    await stage.fal.pace(queue_s=60)
    alone = patient(stage).model_copy(update={"worker_concurrency": 1})
    async with stage.person(credits_=5 * len(CANCELLING)) as ada:
        asked = [await ada.ask() for _ in CANCELLING]
        victims = [await stage.nursery.start(alone, point) for point in CANCELLING]
        await stage.fal.until_jobs(len(CANCELLING))
        for task_id in asked:
            answer = await ada.browser.post(f"/api/tasks/{task_id}/cancellation")
            assert answer.status_code == 200, answer.text
        for victim in victims:
            assert (await stage.nursery.wait(victim)).killed
        for task in await ends(stage, ada, asked):
            assert (task["status"], task["error"]["type"]) == ("failed", "cancelled")
            assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
    assert len(await stage.fal.jobs()) == len(CANCELLING)
    await assert_books_are_right(stage.resources)
