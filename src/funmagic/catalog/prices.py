"""What tools cost, without reading their configurations each time.

To read one takes longer than to read all the rest of a card, and it seldom changes. So a process
knows what a configuration says by its hash, and reads those it has not met.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Select, Uuid, bindparam, func, select

from funmagic.catalog.config import fitting
from funmagic.catalog.models import Tool
from funmagic.core.db import Reader
from funmagic.core.errors import Invalid
from funmagic.toolkit import discovery

Prices = dict[str, int]  # whole credits by step, in order

MOST_KNOWN: Final = 20_000  # of about 300 bytes each

_known: dict[tuple[str, int], Prices] = {}


async def prices_of(s: Reader, rows: Sequence[Any]) -> list[Prices]:
    """What each step costs of tools given by ``id``, ``implementation`` and ``config_hash``;
    nothing where a configuration does not fit this release."""
    found = [_known.get((row.implementation, row.config_hash)) for row in rows]
    unknown = [row.id for row, prices in zip(rows, found, strict=True) if prices is None]
    if not unknown:
        return [prices or {} for prices in found]
    read = await _read(s, unknown)
    return [
        read.get(row.id, {}) if prices is None else prices
        for row, prices in zip(rows, found, strict=True)
    ]


async def _read(s: Reader, ids: list[UUID]) -> dict[UUID, Prices]:
    """Prices by tool. One may have been changed, or be gone, since its row was read."""
    read: dict[UUID, Prices] = {}
    for row in await s.execute(_configurations(), {"ids": ids}):
        if not discovery.is_known(row.implementation):  # since a moment ago: a newer release's
            continue
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        prices = _said(row.implementation, row.config)
        read[row.id] = _known[row.implementation, row.config_hash] = prices
    return read


@cache
def _configurations() -> Select[Any]:
    columns = (Tool.id, Tool.implementation, Tool.config_hash, Tool.config)
    return select(*columns).where(Tool.id == func.any(bindparam("ids", type_=ARRAY(Uuid))))


def _said(implementation: str, config: dict[str, Any]) -> Prices:
    plugin = discovery.tool(implementation)
    try:
        steps = fitting(plugin, config).steps
    except Invalid:
        return {}
    return {step.id: steps[step.id].price_credits for step in plugin.steps}
