"""The banners that are shown now, and when that changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

from msgspec import Struct
from sqlalchemy import func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.content.models import BannerRow
from funmagic.core.translations import Translations, text_in

MOST_SHOWN: Final = 20
MOST_READ: Final = 200  # those to come among them


class Banner(Struct, frozen=True):
    """One banner as a page shows it.

    ``link`` is a path without locale, such as ``/tools/figme``, or an https address; ``picture`` is
    the id of an admin's picture or the name of a built-in one.
    """

    id: str
    placement: Literal["main", "side"]
    title: str
    text: str
    badge: str
    link: str
    link_label: str
    picture: str | None
    translations: Translations

    def title_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "title", self.title)

    def text_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "text", self.text)

    def badge_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "badge", self.badge)

    def link_label_in(self, locale: str) -> str:
        return text_in(self.translations, locale, "linkLabel", self.link_label)


class Board(Struct, frozen=True):
    """What is shown, in order, and the moment from which it may be something else."""

    main: tuple[Banner, ...]
    side: tuple[Banner, ...]
    changes_at: datetime | None


async def current(s: AsyncSession, at: datetime) -> Board:
    """The banners of the moment ``at``, at most :data:`MOST_SHOWN` of either placement."""
    has_begun = func.coalesce(BannerRow.starts_at <= at, true())
    query = (
        select(BannerRow)
        .where(BannerRow.is_active, or_(BannerRow.ends_at.is_(None), BannerRow.ends_at > at))
        .order_by(has_begun.desc(), BannerRow.position, BannerRow.id)
        .limit(MOST_READ)
    )
    rows = list(await s.scalars(query))
    shown = [row for row in rows if row.starts_at is None or row.starts_at <= at]
    turns = [moment for row in rows for moment in (row.starts_at, row.ends_at) if moment]
    return Board(
        main=_of(shown, "main"),
        side=_of(shown, "side"),
        changes_at=min((moment for moment in turns if moment > at), default=None),
    )


def _of(rows: Sequence[BannerRow], placement: Literal["main", "side"]) -> tuple[Banner, ...]:
    of_it = [row for row in rows if row.placement == placement][:MOST_SHOWN]
    return tuple(
        Banner(
            id=str(row.id),
            placement=placement,
            title=row.title,
            text=row.text,
            badge=row.badge,
            link=row.link,
            link_label=row.link_label,
            picture=row.picture,
            translations=row.translations,
        )
        for row in of_it
    )
