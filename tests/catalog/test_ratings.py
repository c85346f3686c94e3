"""Stars for tools, from those who have run them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.catalog.conftest import Put, slugs
from tests.conftest import MakeUser, Site

from funmagic.accounts.models import User
from funmagic.catalog import runs, service, shelf
from funmagic.catalog.shelf import CatalogQuery
from funmagic.core.db import Database

RATING = "/api/tools/cut/rating"


async def ran(db: Database, *people: User, slug: str = "cut") -> None:
    """These have completed a run."""
    async with db.transaction() as s:
        tool_id = await service.id_of(s, slug)
        for user in people:
            await runs.record_run(s, user.id, tool_id)


async def give(browser: httpx.AsyncClient, stars: Any) -> httpx.Response:
    return await browser.put(RATING, json={"stars": stars})


async def test_only_who_ran_a_tool_may_rate_it(
    site: Site, db: Database, put: Put, make_user: MakeUser
) -> None:
    await put("cut")
    await put("other")
    ada, bo = await make_user(), await make_user("bo@example.com")
    await ran(db, ada)
    await ran(db, bo, slug="other")
    async with site.browser(ada) as browser, site.browser(bo) as stranger:
        refused = await give(stranger, 1)
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "rating_needs_run")
        for wrong in (0, 6, -1, 2.5, "x", None):
            assert (await give(browser, wrong)).status_code == 422, wrong
        assert (await browser.put("/api/tools/no/rating", json={"stars": 5})).status_code == 404
        given = await give(browser, 4)
        assert (given.status_code, given.json()) == (
            200,
            {"stars": 4, "rating": {"average": 4.0, "count": 1, "distribution": [0, 0, 0, 1, 0]}},
        )


async def test_a_rating_is_changed_and_taken_back_and_counts_follow(
    site: Site, db: Database, put: Put, make_user: MakeUser
) -> None:
    await put("cut")
    people = [await make_user(f"p{number}@example.com") for number in range(6)]
    await ran(db, *people)
    async with site.browser(people[0]) as browser:
        for stars in (5, 1, 1, 3):
            assert (await give(browser, stars)).json()["rating"]["count"] == 1
        tool = (await browser.get("/api/tools/cut")).json()
        assert tool["rating"] == {"average": 3.0, "count": 1, "distribution": [0, 0, 1, 0, 0]}
        (card,) = (await browser.get("/api/tools")).json()["items"]
        assert (card["ratingAverage"], card["ratingCount"]) == (3.0, 1)
        for _ in range(2):
            taken = await browser.delete(RATING)
            assert taken.json() == {
                "stars": None,
                "rating": {"average": None, "count": 0, "distribution": [0, 0, 0, 0, 0]},
            }

    async def vote(user: User) -> None:
        async with site.browser(user) as browser:
            for stars in (1, 2, 5):
                assert (await give(browser, stars)).status_code == 200

    await asyncio.gather(*map(vote, people))
    async with db.transaction() as s:
        rating = await shelf.rating_of(s, "cut")
        (card,) = (await shelf.page(s, CatalogQuery())).cards
    assert (rating.average, rating.distribution) == (5.0, (0, 0, 0, 0, 6))
    assert (card.rating_average, card.rating_count) == (5.0, 6)


async def test_one_voice_does_not_lead_the_best_rated(put: Put, db: Database) -> None:
    await put("loud", stars=(5,))
    await put("loved", stars=(5,) * 30 + (4,) * 10)
    await put("unknown")
    await put("disliked", stars=(1,) * 5)
    async with db.transaction() as s:
        best = (await shelf.page(s, CatalogQuery(sort="top_rated"))).cards
    assert slugs(best) == ["loved", "loud", "unknown", "disliked"]


async def test_whoever_leaves_takes_their_stars_along(
    put: Put, db: Database, site: Site, make_user: MakeUser
) -> None:
    await put("cut")
    ada, bo = await make_user(), await make_user("bo@example.com")
    await ran(db, ada, bo)
    for user, stars in ((ada, 1), (bo, 5)):
        async with site.browser(user) as browser:
            await give(browser, stars)
            await browser.put("/api/tools/cut/bookmark")
    async with db.transaction() as s:
        await runs.erase(s, ada.id)
    async with db.transaction() as s:
        assert (await shelf.rating_of(s, "cut")).distribution == (0, 0, 0, 0, 1)
        tool_id = await service.id_of(s, "cut")
        assert await runs.standing(s, ada.id, tool_id) == runs.Standing()
        assert await runs.standing(s, bo.id, tool_id) == runs.Standing(5, True, True)


@pytest.mark.parametrize("stars", [0, 6])
async def test_the_database_takes_no_other_number_of_stars(
    put: Put, db: Database, make_user: MakeUser, stars: int
) -> None:
    await put("cut")
    ada = await make_user()
    add = "INSERT INTO tool_ratings SELECT :user_id, id, :stars FROM tools WHERE slug = 'cut'"
    with pytest.raises(IntegrityError):
        async with db.transaction() as s:
            await s.execute(text(add), {"user_id": ada.id, "stars": stars})
