"""Banners: which are shown when, in what order, in whose words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from funmagic.content import service
from funmagic.content.models import BannerRow
from funmagic.content.service import Board
from funmagic.core.db import Database

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def put_up(db: Database, title: str, **more: Any) -> None:
    async with db.transaction() as s:
        s.add(BannerRow(**{"placement": "main", "title": title, "link": "/tools", **more}))


async def board(db: Database, at: datetime) -> Board:
    async with db.transaction() as s:
        return await service.current(s, at)


def titles(banners: tuple[service.Banner, ...]) -> list[str]:
    return [banner.title for banner in banners]


@pytest.fixture
async def bare(db: Database) -> Database:
    """A board with nothing on it."""
    async with db.transaction() as s:
        await s.execute(delete(BannerRow))
    return db


async def test_banners_come_and_go_by_their_schedule_in_their_order(bare: Database) -> None:
    await put_up(bare, "second", position=2)
    await put_up(bare, "first", position=1)
    await put_up(bare, "off", is_active=False)
    await put_up(bare, "over", ends_at=NOON)
    await put_up(bare, "to come", position=0, starts_at=NOON + HOUR, ends_at=NOON + 3 * HOUR)
    await put_up(bare, "beside", placement="side", ends_at=NOON + 2 * HOUR)
    at_noon = await board(bare, NOON)
    assert (titles(at_noon.main), titles(at_noon.side)) == (["first", "second"], ["beside"])
    assert at_noon.changes_at == NOON + HOUR
    later = await board(bare, NOON + HOUR)
    assert titles(later.main) == ["to come", "first", "second"]
    assert later.changes_at == NOON + 2 * HOUR
    in_the_end = await board(bare, NOON + 3 * HOUR)
    assert (titles(in_the_end.main), in_the_end.side) == (["first", "second"], ())
    assert in_the_end.changes_at is None


async def test_a_banner_speaks_each_language_as_far_as_it_is_translated(bare: Database) -> None:
    words = {"de": {"title": "Hallo", "linkLabel": "Los"}}
    await put_up(bare, "Hello there", text="Words", link_label="Go on", translations=words)
    (banner,) = (await board(bare, NOON)).main
    assert (banner.title_in("de"), banner.text_in("de")) == ("Hallo", "Words")
    assert (banner.link_label_in("de"), banner.badge_in("de")) == ("Los", "")
    assert banner.title_in("fr") == "Hello there"
    kept = msgspec.json.decode(msgspec.json.encode(await board(bare, NOON)), type=Board)
    assert kept.main == (banner,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"link": "javascript:alert(1)"},
        {"link": "//elsewhere.example"},
        {"link": "http://elsewhere.example"},
        {"placement": "top"},
        {"starts_at": NOON, "ends_at": NOON},
        {"translations": []},
    ],
)
async def test_the_database_takes_no_banner_that_leads_astray(
    bare: Database, wrong: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        await put_up(bare, "x", **wrong)
