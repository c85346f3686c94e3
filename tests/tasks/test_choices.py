"""What a person chooses is what they get, or nothing: whatever the admin changes meanwhile."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.figures import DRAW, DRAW_CREDITS, FIGME, STYLES, configure, draw
from tests.tasks.runs import ended
from tests.uploads import upload

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.tasks.steps import CHOICE_GONE
from funmagic.toolkit.schema import NOT_OFFERED

STYLES_AT = [DRAW, "settings", "styles"]
SNAPSHOT = text("SELECT config #> '{steps,0,settings,styles}' FROM tasks WHERE id = :id")
TASKS = text("SELECT count(*) FROM tasks")


def style(slug: str, image: str | None = None) -> dict[str, Any]:
    return {"slug": slug, "name": slug.title(), "image": image, "prompt": "", "useImage": True}


async def test_a_choice_that_is_not_offered_is_refused(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=200)) as browser:
        photo = await upload(browser, astronaut)
        for unknown in ("", "Pencil", "pencil ", "0", "__class__", "no-such-style"):
            answer = await draw(browser, photo, style=unknown)
            assert answer.status_code == 422, unknown
            assert answer.json()["error"]["fields"] == {"input.style": NOT_OFFERED}
        async with resources.db.transaction() as session:
            assert await session.scalar(TASKS) == 0
        assert (await draw(browser, photo)).status_code == 201
        # Remembered now; what the admin changes counts at once all the same.
        await configure(resources, STYLES_AT, [style("new")])
        assert (await draw(browser, photo, style="pencil")).status_code == 422
        assert (await draw(browser, photo, style="new")).status_code == 201


async def test_what_is_wrong_with_each_field_is_said_in_our_words(
    site: Site, make_user: MakeUser
) -> None:
    async with site.browser(await make_user()) as browser:
        asked = {"tool": FIGME, "input": {"style": 5, "surprise": 1}}
        answer = await browser.post("/api/tasks", json=asked)
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"] == {
        "input.image": "This is required.",
        "input.style": "This value is not valid.",
        "input.surprise": "There is no such setting.",
    }


@pytest.mark.parametrize(
    "becomes", [[style(slug) for slug in reversed(STYLES)], []], ids=["reordered", "deleted"]
)
async def test_what_waits_keeps_what_was_chosen(
    becomes: list[Any], site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    await configure(resources, STYLES_AT, [style(slug) for slug in STYLES])
    async with site.browser(await make_user()) as browser:
        answer = await draw(browser, await upload(browser, astronaut), style=STYLES[0])
        await configure(resources, STYLES_AT, becomes)
    async with resources.db.transaction() as session:
        kept = await session.scalar(SNAPSHOT, {"id": UUID(answer.json()["taskId"])})
    assert [each["slug"] for each in kept] == list(STYLES)


@pytest.mark.usefixtures("running_worker")
async def test_a_picture_that_goes_while_a_task_waits_ends_it_unpaid(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        photo, media = await upload(browser, astronaut), new_id()
        await configure(resources, STYLES_AT, [style("pencil", str(media))])
        answer = await draw(browser, photo)
        task = await ended(browser, answer.json()["taskId"])
    assert task["error"] == {"type": "invalid_input", "message": CHOICE_GONE}
    receipt = task["receipt"]
    assert (receipt["charged"], receipt["released"]) == (0, DRAW_CREDITS)
