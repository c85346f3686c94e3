"""Pictures of people: a square copy of what they upload, and nothing of the original.

Every object has a row that names it: the copy's is written before the copy is, and expires when the
next picture takes its place. So the sweep of files removes whatever a crash leaves.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import profile
from funmagic.assets import service
from funmagic.assets.models import Asset
from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing, StorageError, StoredObject
from funmagic.jobs.schedule import is_turn
from funmagic.toolkit import images
from funmagic.toolkit.contract import InvalidInput

log = logger(__name__)

SIDE_PX: Final = 512
CONTENT_TYPE: Final = "image/webp"
SWEEP_BATCH: Final = 100
SWEEP_EVERY_S: Final = 600
NO_SUCH_UPLOAD: Final = N_("We could not find this file.")

USE_UP = text("""
    UPDATE assets SET status = 'expired'
     WHERE id = :id AND user_id = :user_id AND source = 'avatar' AND status = 'ready'
    RETURNING storage_key
""")
STORED = text("""
    UPDATE assets SET status = 'ready', size_bytes = :size_bytes, etag = :etag, confirmed_at = now()
     WHERE id = :id AND status = 'pending'
    RETURNING id
""")
DROP = text("""
    UPDATE assets SET status = 'expired'
     WHERE storage_key = :key AND user_id = :user_id AND source = 'avatar'
""")
# Uploads nobody took for their picture, and copies whose person's row never named them.
EXPIRE_UNUSED = text("""
    UPDATE assets SET status = 'expired'
     WHERE id IN (SELECT id FROM assets
                   WHERE source = 'avatar' AND status = 'ready'
                     AND confirmed_at < now() - interval '1 day'
                     AND NOT EXISTS (SELECT FROM users
                                      WHERE users.id = assets.user_id
                                        AND users.avatar_key = assets.storage_key)
                   LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING id
""")


@dataclass(frozen=True, slots=True)
class Copy:
    """A picture that is being stored: its row's id, its object's key."""

    id: UUID
    key: str


async def choose(resources: Resources, user_id: UUID, asset_id: UUID) -> None:
    """Make a person's own upload of the route ``avatar`` their picture, and remove the upload.

    Raises :class:`errors.NotFound` for any other file, :class:`errors.Invalid` for one that cannot
    be decoded and :class:`errors.Conflict` where the upload is gone.
    """
    async with resources.db.transaction() as session:
        upload = await service.owned_by(session, user_id, asset_id)
        if upload.source != "avatar" or upload.status != "ready":
            raise errors.NotFound(NO_SUCH_UPLOAD)
    with tempfile.TemporaryDirectory(prefix="fm-avatar-") as folder:
        picture = Path(folder) / "avatar.webp"
        await _draw(resources, upload, picture)
        copy = await _promise_copy(resources, user_id, picture)
        stored = await resources.storage.put(copy.key, picture, content_type=CONTENT_TYPE)
    async with resources.db.transaction() as session:
        gone = await _take_place(session, user_id, upload.id, copy, stored)
    await _delete_at_once(resources, gone)


async def remove(resources: Resources, user_id: UUID) -> None:
    """Have no picture any more. Repeating is fine."""
    async with resources.db.transaction() as session:
        before = await profile.set_avatar(session, user_id, None)
        if before is not None:
            await session.execute(DROP, {"key": before, "user_id": user_id})
    if before is not None:
        await _delete_at_once(resources, [before])


async def sweep(resources: Resources) -> int:
    """Expire pictures that are nobody's for a day; returns how many. Safe to run twice."""
    async with resources.db.transaction() as session:
        return len((await session.scalars(EXPIRE_UNUSED, {"batch": SWEEP_BATCH})).all())


async def sweep_now_and_then(resources: Resources) -> None:
    """The same, but once in :data:`SWEEP_EVERY_S` for all workers together: it looks at everybody's
    picture."""
    if await is_turn(resources, "avatars-swept", SWEEP_EVERY_S):
        await sweep(resources)


async def _draw(resources: Resources, upload: Asset, picture: Path) -> None:
    source = picture.with_name("source")
    try:
        await resources.storage.download(
            upload.storage_key, source, max_bytes=upload.size_bytes, if_match=upload.etag
        )
        await images.in_thread(lambda: images.square(source, picture, SIDE_PX))
    except ObjectMissing:
        raise errors.Conflict(service.NOT_ARRIVED, type="not_uploaded") from None
    except InvalidInput as refusal:
        raise errors.Invalid(refusal.reason, type="invalid_file_type") from None


async def _promise_copy(resources: Resources, user_id: UUID, picture: Path) -> Copy:
    copy_id = new_id()
    copy = Copy(copy_id, f"avatars/{user_id}/{copy_id}.webp")
    async with resources.db.transaction() as session:
        session.add(
            Asset(
                id=copy.id,
                user_id=user_id,
                kind="image",
                source="avatar",
                status="pending",
                storage_key=copy.key,
                content_type=CONTENT_TYPE,
                size_bytes=picture.stat().st_size,  # noqa: ASYNC240  # a small local file
                width=SIDE_PX,
                height=SIDE_PX,
                file_name="avatar.webp",
            )
        )
    return copy


async def _take_place(
    session: AsyncSession, user_id: UUID, upload_id: UUID, copy: Copy, stored: StoredObject
) -> list[str]:
    """Show the copy from now on; the keys of what it replaces. Raises :class:`errors.NotFound`
    where the upload was used by another request meanwhile: then nothing changes."""
    before = await profile.set_avatar(session, user_id, copy.key)  # and nobody else changes it
    gone = await session.scalar(USE_UP, {"id": upload_id, "user_id": user_id})
    if gone is None:
        raise errors.NotFound(NO_SUCH_UPLOAD)
    ready = {"id": copy.id, "size_bytes": stored.size_bytes, "etag": stored.etag}
    if await session.scalar(STORED, ready) is None:
        raise errors.Conflict  # it took so long that the sweep has given the copy up
    if before is None:
        return [gone]
    await session.execute(DROP, {"key": before, "user_id": user_id})
    return [gone, before]


async def _delete_at_once(resources: Resources, keys: list[str]) -> None:
    """Not to wait for the sweep, which comes again once the upload's address has died."""
    try:
        for key in keys:
            await resources.storage.delete(key)
    except StorageError as error:
        log.warning("old pictures left to the sweep", error=str(error))
