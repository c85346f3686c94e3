"""A change of what everybody is shown, told to all processes: at once, and for certain.

The old edition is withdrawn before the commit and a new one put out right after it. Where that does
not succeed, because Valkey is away or the process dies, the outbox does it later: it knows of every
change that was committed.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.cache import AWAY_S, Edition
from funmagic.core.db import at_end
from funmagic.core.ids import new_id
from funmagic.jobs.outbox import enqueue

QUEUE: Final = "editions"
TRIES: Final = 60
CHANGE: Final = "change"  # in the session: the token of its change


async def bump(session: AsyncSession) -> None:
    """Say that this transaction changes what everybody is shown; saying it again changes nothing.

    The one thing that is told anybody inside a transaction, and for a second at most: told before
    it began, an answer could be drawn of the old rows afterwards and kept; told after the commit,
    it would be late where the process dies in between.
    """
    if CHANGE in session.info:
        return
    session.info[CHANGE] = token = new_id().hex
    edition: Edition | None = session.info.get(Edition)
    is_withdrawn = False
    if edition is not None:
        at_end(session, partial(edition.put_out, token))
        is_withdrawn = await edition.withdraw(token)
    await enqueue(session, QUEUE, f"change-{token}", {"change": token, "isWithdrawn": is_withdrawn})


async def carry_out(edition: Edition, job: dict[str, Any]) -> None:
    """Put out the edition after a committed change, unless that was done at once.

    Raises ConnectionError where Valkey, which has sent the job, does not answer for minutes.
    """
    for _ in range(TRIES):
        if await edition.put_out(str(job["change"]), anyway=not job["isWithdrawn"]):
            return
        await asyncio.sleep(AWAY_S)
    raise ConnectionError("Valkey does not answer")
