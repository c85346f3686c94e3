"""Cards in their orders, page after page; kinds of tools; what goes with a tool."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import Integer, bindparam, text
from tests.catalog.conftest import Put, slugs

from funmagic.catalog import prices, shelf
from funmagic.catalog.shelf import Card, CatalogQuery, Sort
from funmagic.core.db import Database
from funmagic.core.errors import Invalid, NotFound

ORDERS: dict[Sort, list[str]] = {
    "popular": ["old", "fair", "new", "loved"],
    "newest": ["new", "loved", "fair", "old"],
    "top_rated": ["loved", "fair", "new", "old"],
}


async def four(put: Put) -> None:
    await put("old", usage_count=90, stars=(2, 2, 2, 3))
    await put("fair", usage_count=40, stars=(4,) * 10)
    await put("loved", usage_count=1, stars=(5,) * 40, type="3d")
    await put("new", usage_count=2, stars=(5,))  # one voice leads nobody


async def test_each_order_is_the_same_by_pages_as_at_once(put: Put, db: Database) -> None:
    await four(put)
    for sort in ORDERS:
        await by_pages(db, sort)


async def by_pages(db: Database, sort: Sort) -> None:
    async with db.transaction() as s:
        whole = await shelf.page(s, CatalogQuery(sort=sort))
        assert (slugs(whole.cards), whole.next_cursor) == (ORDERS[sort], None)
        seen: list[str] = []
        cursor = None
        for _ in range(4):
            page = await shelf.page(s, CatalogQuery(sort=sort, cursor=cursor, limit=1))
            seen += slugs(page.cards)
            cursor = page.next_cursor
    assert (seen, cursor) == (ORDERS[sort], None)


async def test_tools_that_are_equal_in_an_order_are_all_shown_once(put: Put, db: Database) -> None:
    for number in range(7):
        await put(f"twin-{number}", usage_count=3)
    async with db.transaction() as s:
        first = await shelf.page(s, CatalogQuery(limit=4))
        rest = await shelf.page(s, CatalogQuery(limit=4, cursor=first.next_cursor))
    assert sorted(slugs(first.cards + rest.cards)) == [f"twin-{number}" for number in range(7)]


async def test_a_kind_has_its_own_tools_and_an_unknown_one_none(put: Put, db: Database) -> None:
    await four(put)
    async with db.transaction() as s:
        assert slugs((await shelf.page(s, CatalogQuery(type="3d"))).cards) == ["loved"]
        assert (await shelf.page(s, CatalogQuery(type="no-such"))).cards == ()
        counts = {kind.name: kind.tool_count for kind in await shelf.kinds(s)}
    assert (counts["photo"], counts["3d"]) == (3, 1)


async def test_a_cursor_is_good_for_its_own_order_only(put: Put, db: Database) -> None:
    await four(put)
    async with db.transaction() as s:
        cursors = [
            (await shelf.page(s, CatalogQuery(limit=1))).next_cursor,
            (await shelf.page(s, CatalogQuery(limit=1, q="pictures", sort="newest"))).next_cursor,
            "x",
            "WyJuZXdlc3QiLDAsOTIyMzM3MjAzNjg1NDc3NTgwNywiYSJd",  # ["newest",0,2**63-1,"a"]
        ]
        for cursor in cursors:
            assert cursor is not None
            with pytest.raises(Invalid):
                await shelf.page(s, CatalogQuery(sort="newest", cursor=cursor))


async def test_a_card_says_what_is_known_and_survives_as_json(put: Put, db: Database) -> None:
    words = {"de": {"title": "Freisteller"}}
    await put("cut", "Cut-out", stars=(4, 5, 5), usage_count=12, translations=words)
    async with db.transaction() as s:
        (card,) = (await shelf.page(s, CatalogQuery())).cards
        rating = await shelf.rating_of(s, "cut")
        with pytest.raises(NotFound):
            await shelf.rating_of(s, "no-such")
    assert (card.price_credits, card.total_steps, card.prices) == (5, 1, {"remove": 5})
    assert (card.rating_average, card.rating_count, card.usage_count) == (4.67, 3, 12)
    assert (card.title_in("de"), card.title_in("fr"), card.type) == (
        "Freisteller",
        "Cut-out",
        "photo",
    )
    assert msgspec.json.decode(msgspec.json.encode(card), type=Card) == card
    assert (rating.average, rating.count, rating.distribution) == (4.67, 3, (0, 0, 0, 1, 2))


SET_PRICE = text("""
    UPDATE tools SET config = jsonb_set(config, '{steps,remove,priceCredits}', to_jsonb(:price))
     WHERE slug = 'cut'
""").bindparams(bindparam("price", type_=Integer))


async def test_a_card_has_the_price_of_today(
    put: Put, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it has been known before, and where it changes while the card is made."""
    await put("cut", "Cut-out")
    await put("other", "Other")
    for price in (7, 9, 7):
        async with db.transaction() as s:
            await s.execute(SET_PRICE, {"price": price})
        async with db.reading() as reader:
            cards = (await shelf.page(reader, CatalogQuery())).cards
        assert {card.slug: card.price_credits for card in cards} == {"cut": price, "other": 5}

    async with db.reading() as reader:
        rows = (await reader.execute(shelf.offered())).all()
    async with db.transaction() as s:
        await s.execute(SET_PRICE, {"price": 11})
        await s.execute(text("DELETE FROM tools WHERE slug = 'other'"))
    monkeypatch.setattr(prices, "_known", {})
    async with db.reading() as reader:
        (card,) = await shelf.cards(reader, rows)
    assert card.price_credits == 11


async def test_what_cannot_be_run_has_no_card(put: Put, db: Database) -> None:
    await four(put)
    await put("bare", usage_count=99, config='{"steps": {}}')
    async with db.transaction() as s:
        await s.execute(text("UPDATE tools SET implementation = 'gone' WHERE slug = 'old'"))
        await s.execute(text("UPDATE tool_types SET is_active = false WHERE name = '3d'"))
    async with db.transaction() as s:
        assert slugs((await shelf.page(s, CatalogQuery())).cards) == ["fair", "new"]
        assert slugs(await shelf.related(s, "old")) == ["fair", "new"]
        assert "3d" not in {kind.name for kind in await shelf.kinds(s)}


async def test_featured_tools_and_those_alike_come_by_their_use(put: Put, db: Database) -> None:
    await four(put)
    await put("best", usage_count=100, is_featured=True)
    await put("good", usage_count=50, is_featured=True)
    async with db.transaction() as s:
        assert slugs(await shelf.featured(s)) == ["best", "good"]
        assert slugs(await shelf.featured(s, 1)) == ["best"]
        assert slugs(await shelf.related(s, "best", 3)) == ["old", "good", "fair"]
        # its own kind first, then the others
        assert slugs(await shelf.related(s, "loved", 2)) == ["best", "old"]
        assert await shelf.related(s, "no-such") == ()
