"""Finding tools on offer: by kind, in an order, by words, page after page.

Words are looked for at the beginning of those that are there, in the titles of every language
first, then in titles and descriptions together (``catalog_words`` in migration 0015 says what a
word is). Only where nothing is found does what merely looks alike count, for it was mistyped then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache, reduce
from operator import add
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, func, literal, or_, select, tuple_

from funmagic.catalog.models import Tool, ToolType
from funmagic.core.db import Reader
from funmagic.core.errors import Invalid
from funmagic.core.i18n import N_
from funmagic.core.paging import bad_cursor, decode_cursor, encode_cursor

MAX_Q_CHARS: Final = 100
UNKNOWN_SORT: Final = N_("There is no such order.")
MAX_WORDS: Final = 8
ALIKE: Final = 0.5  # how alike a mistyped word is: two letters swapped in a word of six, 0.57
ALIKE_LOOKED_AT: Final = 200
# What a search sets for itself. The plan is made for its very words: of how many tools have them,
# one word and another differ by thousands. And it goes by an index: looking at every tool seems
# cheap to a planner that does not know how long it takes to compare two words.
FOR_SEARCH: Final = select(
    func.set_config("plan_cache_mode", "force_custom_plan", True),
    func.set_config("enable_seqscan", "off", True),
    func.set_config("pg_trgm.word_similarity_threshold", str(ALIKE), True),
)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

SORTED_BY: Final[Mapping[str, Any]] = {
    "popular": Tool.usage_count,
    "newest": Tool.created_at,
    "top_rated": Tool.rating_score,
}
# What a cursor goes on in: the whole catalog, or one of a search's two parts.
EVERYTHING, IN_TITLE, ANYWHERE = range(3)

Rows = Sequence[Row[Any]]
Place = tuple[Any, UUID]  # what the last tool is sorted by, and its id


async def find(
    s: Reader,
    offered: Select[Any],
    *,
    type: str | None,
    sort: str,
    q: str,
    after: str | None,
    limit: int,
) -> tuple[Rows, str | None]:
    """At most ``limit`` rows of ``offered`` and the cursor of what follows, None at the end.

    A cursor belongs to its sort, and to a search or to none. Words are looked for in a
    transaction. Raises :class:`Invalid`.
    """
    if sort not in SORTED_BY:
        raise Invalid(fields={"sort": UNKNOWN_SORT})
    words = q.strip()[:MAX_Q_CHARS]
    part, place = _place(sort, after, (IN_TITLE, ANYWHERE) if words else (EVERYTHING,))
    if not words and place is None:
        first = _first(offered, sort, type is not None)
        rows = (await s.execute(first, {"type": type, "most": limit + 1})).all()
        return _cut([(part, row) for row in rows], sort, limit)
    if type is not None:
        offered = offered.where(_is_of_type(type))
    if words:
        return await _search(s, offered, words, sort, part, place, limit)
    rows = await _walk(s, offered, sort, place, limit + 1)
    return _cut([(part, row) for row in rows], sort, limit)


@lru_cache(maxsize=16)
def _first(offered: Select[Any], sort: str, of_type: bool) -> Select[Any]:
    """The first page's statement; its parameters are ``most`` and, with ``of_type``, ``type``."""
    if of_type:
        offered = offered.where(_is_of_type(bindparam("type")))
    return _ordered(offered, sort).limit(bindparam("most"))


def _is_of_type(name: Any) -> ColumnElement[bool]:
    type_id = select(ToolType.id).where(ToolType.name == name).scalar_subquery()
    return Tool.tool_type_id == type_id


def _ordered(tools: Select[Any], sort: str) -> Select[Any]:
    return tools.order_by(SORTED_BY[sort].desc(), Tool.id.desc())


async def _search(
    s: Reader,
    offered: Select[Any],
    words: str,
    sort: str,
    part: int,
    place: Place | None,
    limit: int,
) -> tuple[Rows, str | None]:
    """Tools whose title has the words, then those that have them anywhere; else those alike."""
    await s.execute(FOR_SEARCH)
    query = func.catalog_query(words)
    in_title = Tool.title_words.bool_op("@@")(query)
    anywhere = Tool.all_words.bool_op("@@")(query)
    found: list[tuple[int, Row[Any]]] = []
    if part == IN_TITLE:
        rows = await _walk(s, offered.where(in_title), sort, place, limit + 1)
        found += [(IN_TITLE, row) for row in rows]
        place = None
    if len(found) <= limit:
        others = offered.where(anywhere, ~in_title)
        rows = await _walk(s, others, sort, place, limit + 1 - len(found))
        found += [(ANYWHERE, row) for row in rows]
    if not found and part == IN_TITLE:
        return await _alike(s, offered, words, limit), None
    return _cut(found, sort, limit)


async def _walk(s: Reader, tools: Select[Any], sort: str, place: Place | None, most: int) -> Rows:
    """The next tools in their order: read off an index, however many came before.

    The place stands in sub-selects to hide it from the planner. Of one place it may believe that
    next to nothing follows it, as where many tools are sorted by the same, and then sorts all that.
    """
    if place is not None:
        hidden = [select(literal(each)).scalar_subquery() for each in place]
        tools = tools.where(tuple_(SORTED_BY[sort], Tool.id) < tuple_(*hidden))
    rows: Rows = (await s.execute(_ordered(tools, sort).limit(most))).all()
    return rows


async def _alike(s: Reader, offered: Select[Any], words: str, limit: int) -> Rows:
    """Tools with a title that looks like what was typed, the most alike first.

    A title is as alike as the mean of the words is, so one word too many does no harm.
    """
    typed = [func.catalog_folded(word) for word in words.split()[:MAX_WORDS]]
    each = [func.word_similarity(word, Tool.folded_title) for word in typed]
    likeness: ColumnElement[Any] = reduce(add, each) / len(each)
    some = (
        offered.add_columns(likeness.label("likeness"))
        .where(or_(*(Tool.folded_title.bool_op("%>")(word) for word in typed)))
        .limit(ALIKE_LOOKED_AT)
        .subquery()
    )
    columns = some.c
    order = (columns.likeness.desc(), columns.usage_count.desc(), columns.id.desc())
    query = select(some).where(columns.likeness >= ALIKE).order_by(*order).limit(limit)
    return (await s.execute(query)).all()


def _place(sort: str, after: str | None, parts: Collection[int]) -> tuple[int, Place | None]:
    """In which part to go on, and behind what. Raises :class:`Invalid`."""
    if after is None:
        return min(parts), None
    its_sort, part, value, tool_id = decode_cursor(after, str, int, int, str)
    try:
        if its_sort != sort or part not in parts:
            raise ValueError
        return part, (moment(value) if sort == "newest" else value, UUID(tool_id))
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def _cut(found: Sequence[tuple[int, Row[Any]]], sort: str, limit: int) -> tuple[Rows, str | None]:
    """The page, and its cursor where one more row was found than it holds."""
    rows = [row for _, row in found[:limit]]
    if len(found) <= limit:
        return rows, None
    part, last = found[limit - 1]
    value = getattr(last, SORTED_BY[sort].key)
    number = microseconds(value) if sort == "newest" else value
    return rows, encode_cursor(sort, part, number, str(last.id))


def microseconds(at: datetime) -> int:
    """A moment as a whole number for a cursor, as exact as PostgreSQL keeps it."""
    return (at - EPOCH) // MICROSECOND


def moment(microseconds: int) -> datetime:
    """The moment of a cursor's number. Raises :class:`OverflowError`."""
    return EPOCH + microseconds * MICROSECOND
