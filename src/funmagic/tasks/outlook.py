"""What is still to come of a task: how many wait before it, and how long such runs usually take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

RUNS: Final = 50
# A tool's other steps come in between: no more rows than these are looked at.
LOOKED_AT: Final = 500
MOST_AHEAD: Final = 1_000

# What a run of this tool's step took from its first claim: the median of the newest completed ones.
USUAL_S = text("""
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)
      FROM (SELECT extract(epoch FROM completed_at - started_at)::float AS seconds
              FROM (SELECT started_at, completed_at, config FROM tasks
                     WHERE tool_id = :tool_id AND status = 'completed'
                     ORDER BY completed_at DESC LIMIT :looked_at) AS newest
             WHERE config #>> '{steps,0,id}' = :step_id AND started_at IS NOT NULL
             ORDER BY completed_at DESC LIMIT :runs) AS runs
""")
# Ids are in order of time. Who works now is known by the leases.
QUEUE = text("""
    SELECT (SELECT count(*)
              FROM (SELECT FROM tasks
                     WHERE status IN ('pending', 'queued') AND id < :task_id
                     LIMIT :most) AS waiting) AS ahead,
           (SELECT count(*)
              FROM (SELECT FROM tasks
                     WHERE status = 'processing' AND lease_expires_at > now()
                     LIMIT :most) AS working) AS working
""")


@dataclass(frozen=True, slots=True)
class Place:
    """How many tasks wait before this one, and how many are worked on; at most 1,000 are counted"""

    ahead: int
    working: int

    def wait_s(self, usual_s: int | None) -> int | None:
        """Seconds until its turn, as far as anybody can tell; None where nothing is known."""
        if usual_s is None:
            return None
        return usual_s * math.ceil(self.ahead / max(self.working, 1))


async def usual_s(session: AsyncSession, tool_id: UUID, step_id: str) -> int | None:
    """What a run of this step usually takes, in whole seconds; None where none is completed."""
    values = {"tool_id": tool_id, "step_id": step_id, "looked_at": LOOKED_AT, "runs": RUNS}
    seconds = await session.scalar(USUAL_S, values)
    return None if seconds is None else max(math.ceil(seconds), 1)


async def place_of(session: AsyncSession, task_id: UUID) -> Place:
    """Where a waiting task stands."""
    row = (await session.execute(QUEUE, {"task_id": task_id, "most": MOST_AHEAD})).one()
    return Place(row.ahead, row.working)
