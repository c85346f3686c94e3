"""Copies of a person's data: asked for, made by a worker, kept for a week.

A worker takes an export for a minute at a time and counts the attempt; where it dies, another takes
it up again. After the third attempt, or half a day, it has failed. The key of the archive is
written down before the archive is stored, so nothing is ever stored that no row names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import DataExport, User
from funmagic.audit import service as audit
from funmagic.core import errors
from funmagic.core.clock import now
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

KEEP: Final = timedelta(days=7)
ONE_IN: Final = timedelta(days=1)
TAKEN_S: Final = 60.0
PAUSE_S: Final = 20.0  # before what went wrong is tried again
MAX_ATTEMPTS: Final = 3
MAX_LISTED: Final = 20
BATCH: Final = 50

RUNNING: Final = N_("A copy of your data is being made already.")
TOO_SOON: Final = N_("You can ask for a copy of your data once a day.")

TAKE = text("""
    UPDATE data_exports
       SET attempts = attempts + 1, key = format('exports/%s/%s.zip', user_id, id),
           taken_until = now() + make_interval(secs => :taken_s)
     WHERE id = (SELECT id FROM data_exports
                  WHERE state = 'pending' AND attempts < :max_attempts
                    AND coalesce(taken_until <= now(), true)
                  ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING id, user_id, attempts, key
""")
HOLD = text("""
    UPDATE data_exports SET taken_until = now() + make_interval(secs => :taken_s)
     WHERE id = :id AND attempts = :attempts AND state = 'pending'
    RETURNING id
""")
FINISH = text("""
    UPDATE data_exports
       SET state = 'ready', taken_until = NULL, size_bytes = :size_bytes, left_out = :left_out,
           ready_at = now(), expires_at = :expires_at
     WHERE id = :id AND attempts = :attempts AND state = 'pending'
    RETURNING expires_at
""")
# What was not the export's fault does not count as an attempt.
GIVE_BACK = text("""
    UPDATE data_exports
       SET attempts = attempts - CAST(:is_blameless AS integer),
           taken_until = now() + make_interval(secs => :pause_s)
     WHERE id = :id AND attempts = :attempts AND state = 'pending'
""")
FAIL_HOPELESS = text("""
    UPDATE data_exports SET state = 'failed'
     WHERE state = 'pending' AND coalesce(taken_until <= now(), true)
       AND (attempts >= :max_attempts OR created_at < now() - interval '12 hours')
""")
EXPIRE = text("""
    UPDATE data_exports SET state = 'expired' WHERE state = 'ready' AND expires_at <= now()
""")
# Not while somebody may still be storing it.
LEFT_OVER = text("""
    SELECT id, key FROM data_exports
     WHERE state IN ('failed', 'expired') AND key IS NOT NULL
       AND coalesce(taken_until <= now(), true)
     ORDER BY id LIMIT :batch
""")
REMOVED = text("UPDATE data_exports SET key = NULL, size_bytes = NULL WHERE id = :id")
PURGE = text("""
    DELETE FROM data_exports
     WHERE state IN ('failed', 'expired') AND key IS NULL
       AND created_at < now() - interval '30 days'
""")
ERASE = text("""
    UPDATE data_exports SET state = 'expired'
     WHERE user_id = :user_id AND state IN ('pending', 'ready')
""")


@dataclass(frozen=True, slots=True)
class Taken:
    """One worker's right to make one export. ``attempts`` tells it from others'."""

    id: UUID
    user_id: UUID
    attempts: int
    key: str


async def ask(session: AsyncSession, user_id: UUID) -> DataExport:
    """Have a copy made. Raises :class:`errors.Conflict` (type ``export_running``) beside another
    one and :class:`errors.TooManyRequests` where one was made in the last 24 hours."""
    await session.get(User, user_id, with_for_update=True)  # of two who ask, one waits
    running = select(DataExport).where(
        DataExport.user_id == user_id,
        DataExport.state != "failed",
        DataExport.created_at > now() - ONE_IN,
    )
    latest = await session.scalar(running.order_by(DataExport.id.desc()).limit(1))
    if latest is not None and latest.state == "pending":
        raise errors.Conflict(RUNNING, type="export_running")
    if latest is not None:
        wait = latest.created_at + ONE_IN - now()
        raise errors.TooManyRequests(TOO_SOON, retry_after_s=max(1, int(wait.total_seconds())))
    asked = DataExport(id=new_id(), user_id=user_id, state="pending", created_at=now(), left_out=0)
    session.add(asked)
    await audit.record_own(session, user_id, "export.asked", {"exportId": str(asked.id)})
    return asked


async def listed(session: AsyncSession, user_id: UUID) -> Sequence[DataExport]:
    """A person's exports, the newest first, those of a month at most."""
    found = await session.scalars(
        select(DataExport)
        .where(DataExport.user_id == user_id)
        .order_by(DataExport.id.desc())
        .limit(MAX_LISTED)
    )
    return found.all()


async def ready_of(session: AsyncSession, user_id: UUID, export_id: UUID) -> DataExport:
    """One's own export that can be fetched. Raises :class:`errors.NotFound`."""
    found = await session.scalar(
        select(DataExport).where(
            DataExport.id == export_id,
            DataExport.user_id == user_id,
            DataExport.state == "ready",
            DataExport.expires_at > func.now(),
        )
    )
    if found is None:
        raise errors.NotFound
    return found


async def take(session: AsyncSession) -> Taken | None:
    """Take the oldest export nobody is at; None where there is none."""
    values = {"taken_s": TAKEN_S, "max_attempts": MAX_ATTEMPTS}
    row = (await session.execute(TAKE, values)).one_or_none()
    return None if row is None else Taken(*row)


async def hold(session: AsyncSession, taken: Taken) -> bool:
    """Keep it for another minute. False where it is somebody else's, or nobody wants it now."""
    values = {"id": taken.id, "attempts": taken.attempts, "taken_s": TAKEN_S}
    return await session.scalar(HOLD, values) is not None


async def finish(
    session: AsyncSession, taken: Taken, *, size_bytes: int, left_out: int
) -> datetime | None:
    """The archive is stored; until when it is kept. None where the export is not this worker's any
    more."""
    values = {
        "id": taken.id,
        "attempts": taken.attempts,
        "size_bytes": size_bytes,
        "left_out": left_out,
        "expires_at": now() + KEEP,
    }
    expires_at: datetime | None = await session.scalar(FINISH, values)
    return expires_at


async def is_removed(session: AsyncSession, taken: Taken) -> bool:
    """Whether the export is over and its archive was removed: nothing may be stored for it now."""
    over = select(DataExport.id).where(DataExport.id == taken.id, DataExport.key.is_(None))
    return await session.scalar(over) is not None


async def give_back(session: AsyncSession, taken: Taken, *, is_blameless: bool) -> None:
    """Let another worker, or this one, try again in a while."""
    values = {
        "id": taken.id,
        "attempts": taken.attempts,
        "is_blameless": int(is_blameless),
        "pause_s": PAUSE_S,
    }
    await session.execute(GIVE_BACK, values)


async def tidy(resources: Resources) -> int:
    """Fail what is hopeless, expire what is old, remove their archives; returns how many.

    Safe to run twice. A storage that is away raises; the rows stay for the next round.
    """
    async with resources.db.transaction() as session:
        await session.execute(FAIL_HOPELESS, {"max_attempts": MAX_ATTEMPTS})
        await session.execute(EXPIRE)
        await session.execute(PURGE)
        left_over = (await session.execute(LEFT_OVER, {"batch": BATCH})).all()
    for row in left_over:
        await resources.storage.delete(row.key)
        async with resources.db.transaction() as session:
            await session.execute(REMOVED, {"id": row.id})
    return len(left_over)


async def erase(session: AsyncSession, user_id: UUID) -> None:
    """Have a person's exports removed; one that is being made is not finished any more."""
    await session.execute(ERASE, {"user_id": user_id})
