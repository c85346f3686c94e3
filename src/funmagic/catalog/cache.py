"""The catalog as everybody is shown it, read of copies that no finished change makes wrong.

Of a person nothing is in here. What a copy is and when it is good: :mod:`funmagic.core.cache`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from typing import Any, Final, TypeVar

from msgspec import Struct

from funmagic.catalog import service, shelf
from funmagic.catalog.config import ToolConfig, parse
from funmagic.catalog.service import ToolRow
from funmagic.catalog.shelf import Card, CatalogQuery, Kind, Page, Rating, Sort, check_known
from funmagic.content import service as content
from funmagic.content.service import Board
from funmagic.core.cache import Cached, Copies, Together
from funmagic.core.clock import now
from funmagic.core.db import Reader
from funmagic.core.resources import Resources
from funmagic.jobs.editions import bump as bump

T = TypeVar("T")

RELATED: Final = 4


class Shown(Struct, frozen=True):
    """What a tool's page shows of the catalog."""

    tool: ToolRow
    rating: Rating
    related: tuple[Card, ...]

    def __post_init__(self) -> None:
        check_known(self.tool.implementation)


class Front(Struct, frozen=True):
    """The catalog as it is opened."""

    kinds: tuple[Kind, ...]
    page: Page


class CatalogCache:
    """The copies of one process. Each answer says since when it is stale, if it is.

    Every method raises :class:`funmagic.core.db.DatabaseAway` where neither the database nor a last
    copy is there.
    """

    def __init__(self, resources: Resources) -> None:
        self.edition = resources.edition
        self._db = resources.db
        self._copies = Copies(resources.edition, enc_hook=_plain, dec_hook=_whole)
        self._together = Together()
        self._as_of: str | None = None

    def as_of(self, edition: str | None) -> CatalogCache:
        """The same copies for a request whose edition is known: it was asked for since the request
        came. None where it is not known."""
        its = copy(self)
        its._as_of = edition
        return its

    async def page(self, query: CatalogQuery) -> Cached[Page]:
        """A page of the catalog. Raises :class:`funmagic.core.errors.Invalid`.

        The first page of every order and kind is kept; searches and later pages, of which there is
        no end, are read.
        """
        is_first = query == CatalogQuery(type=query.type, sort=query.sort)
        if is_first and await self._is_kind(query.type):
            key = f"tools:active:{query.sort}:{query.type or ''}"
            return await self._kept(key, Page, lambda s: shelf.page(s, query))

        async def read() -> Page:
            async with self._db.transaction() as session:  # as searches need
                return await shelf.page(session, query)

        return Cached(await self._together.run(query, read))

    async def front(self, sort: Sort) -> Cached[Front]:
        """The first page of an order with the kinds there are."""

        async def read(reader: Reader) -> Front:
            kinds = await shelf.kinds(reader)
            return Front(kinds, await shelf.page(reader, CatalogQuery(sort=sort)))

        return await self._kept(f"tools:front:{sort}", Front, read)

    async def featured(self, limit: int = 8) -> Cached[tuple[Card, ...]]:
        """The tools the operator puts in front."""
        return await self._kept(
            f"tools:featured:{limit}", tuple[Card, ...], lambda s: shelf.featured(s, limit)
        )

    async def kinds(self) -> Cached[tuple[Kind, ...]]:
        """The kinds of tools in the operator's order."""
        return await self._kept("tools:kinds", tuple[Kind, ...], shelf.kinds)

    async def tool(self, slug: str) -> Cached[ToolRow]:
        """A tool on offer. Raises :class:`funmagic.core.errors.NotFound`."""
        shown = await self.shown(slug)
        return shown.part(shown.value.tool)

    async def shown(self, slug: str) -> Cached[Shown]:
        """A tool on offer and what its page shows with it. Raises
        :class:`funmagic.core.errors.NotFound`."""

        async def read() -> Shown:
            async with self._db.transaction() as session:
                tool = await service.tool_by_slug(session, slug)
                rating = await shelf.rating_of(session, slug)
                return Shown(tool, rating, await shelf.related(session, slug, RELATED))

        return await self._copies.of(f"tool:slug:{slug}", Shown, read, edition=self._as_of)

    async def board(self) -> Cached[Board]:
        """The banners that are shown now."""

        async def read() -> Board:
            async with self._db.transaction() as session:
                return await content.current(session, now())

        return await self._copies.of(
            "banners:board", Board, read, until=lambda it: it.changes_at, edition=self._as_of
        )

    async def _is_kind(self, name: str | None) -> bool:
        """Whether a type is one of ours, so that nobody fills the cache with invented ones."""
        return name is None or any(kind.name == name for kind in (await self.kinds()).value)

    async def _kept(
        self, key: str, kind: type[T], read: Callable[[Reader], Awaitable[T]]
    ) -> Cached[T]:
        return await self._copies.of(key, kind, lambda: self._read(read), edition=self._as_of)

    async def _read(self, read: Callable[[Reader], Awaitable[T]]) -> T:
        async with self._db.reading() as reader:
            return await read(reader)


def _plain(value: Any) -> Any:
    """A tool's configuration as JSON."""
    if isinstance(value, ToolConfig):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(type(value).__name__)


def _whole(kind: type, value: Any) -> Any:
    """What :func:`_plain` has written. Raises ValueError for what this release does not know."""
    if kind is ToolConfig:
        return parse(value)
    raise ValueError(f"not kept: {kind.__name__}")
