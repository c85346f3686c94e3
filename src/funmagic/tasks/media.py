"""Pictures of tools that nothing refers to any more: found, and given to the sweep of files.

A tool refers to a picture by its id, in its row or anywhere in its configuration; an open task by
its snapshot of the configuration. What is not referred to, and was not for a day, expires.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.jobs.schedule import is_turn

log = logger(__name__)

BATCH: Final = 100
# Every worker reconciles every few seconds; this is looked for once in that time by one of them.
EVERY_S: Final = 600

# Written ids are compared as text, so that whatever a plug-in's settings look like, an id in them
# counts. A configuration stored meanwhile has moved `saved_at` of what it names: locking the row
# reads it again.
EXPIRE = text("""
    WITH written AS (
        SELECT thumbnail AS words FROM tools WHERE thumbnail IS NOT NULL
         UNION ALL SELECT CAST(config AS text) FROM tools
         UNION ALL SELECT CAST(config AS text) FROM tasks
                    WHERE status IN ('pending', 'queued', 'processing')
    ), referred AS (
        SELECT found[1] AS id
          FROM written,
               regexp_matches(
                   words,
                   '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') AS found
    )
    UPDATE assets SET status = 'expired'
     WHERE id IN (SELECT id FROM assets
                   WHERE source = 'media' AND status = 'ready'
                     AND coalesce(saved_at, confirmed_at) < now() - interval '1 day'
                     AND CAST(id AS text) NOT IN (SELECT id FROM referred)
                   LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING id
""")


async def expire(resources: Resources) -> int:
    """Mark unused pictures as expired; returns how many. Safe to run twice."""
    async with resources.db.transaction() as session:
        expired = (await session.scalars(EXPIRE, {"batch": BATCH})).all()
    if expired:
        log.info("pictures no tool refers to", count=len(expired))
    return len(expired)


async def expire_now_and_then(resources: Resources) -> None:
    """The same, but once in :data:`EVERY_S` for all workers together."""
    if await is_turn(resources, "media-expired", EVERY_S):
        await expire(resources)
