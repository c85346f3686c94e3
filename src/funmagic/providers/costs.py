"""What calls to a vendor have cost lately, as far as its adapter can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

DAYS: Final = 30

SPENT = text("""
    SELECT count(*) AS calls, coalesce(sum(cost_usd_micros), 0)::bigint AS usd_micros
      FROM provider_calls
     WHERE provider_key = :key
       AND created_at > now() - make_interval(days => :days)
       AND state <> 'intent'
""")


@dataclass(frozen=True, slots=True)
class Spent:
    """``usd_micros`` are millionths of a US dollar, for ``calls`` within the last :data:`DAYS`."""

    calls: int
    usd_micros: int


async def spent_on(s: AsyncSession, key: str) -> Spent:
    """The calls made within the last :data:`DAYS`; also those that failed, as some are charged."""
    row = (await s.execute(SPENT, {"key": key, "days": DAYS})).one()
    return Spent(row.calls, row.usd_micros)
