"""The life of a file: promised, arrived and confirmed, used, swept if it never came."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.assets import media as media_pictures
from funmagic.assets.models import Asset
from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.image_types import SNIFF_BYTES, sniff
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing, PresignedPut, StorageError

log = logger(__name__)

MEBIBYTE = 1 << 20
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "image/gif")
MAX_PENDING_PER_USER = 30
SWEEP_BATCH = 100

NOT_AN_IMAGE = N_("This file is not a PNG, JPEG, WebP or GIF image.")
MISLABELLED = N_("This file is not the kind of image its name says. Please save it again.")
NOT_ARRIVED = N_("The upload has not arrived. Please try again.")

# A promised file may arrive for ten minutes. One not confirmed after thirty is marked expired,
# which no confirmation accepts any more; then its object goes, then its row.
EXPIRE = text("""
    UPDATE assets SET status = 'expired'
     WHERE id IN (SELECT id FROM assets
                   WHERE status = 'pending' AND created_at < now() - interval '30 minutes'
                   ORDER BY created_at LIMIT :batch FOR UPDATE SKIP LOCKED)
""")
# Not before the upload's address has died: until then the object could be put again.
EXPIRED = text("""
    SELECT id, source, storage_key, thumbnail_key FROM assets
     WHERE status = 'expired' AND created_at < now() - interval '30 minutes'
     ORDER BY id LIMIT :batch
""")
REJECT = text("UPDATE assets SET status = 'expired' WHERE id = :id AND status = 'pending'")
# A tool's pictures are the tool's, whoever uploaded them.
ERASE = text("""
    UPDATE assets SET status = 'expired', file_name = 'file'
     WHERE user_id = :user_id AND source <> 'media'
""")
NAME_NOBODY = text("""
    UPDATE assets SET file_name = 'file' WHERE user_id = :user_id AND source = 'media'
""")
REMOVE = text("DELETE FROM assets WHERE id = :id AND status = 'expired'")


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of upload: what it takes, from whom, and what becomes of it."""

    name: str
    max_bytes: int
    content_types: tuple[str, ...] = IMAGE_TYPES
    source: str = "upload"
    is_for_admins: bool = False


ROUTES = {
    route.name: route
    for route in (
        Route("tool-input", 20 * MEBIBYTE),
        Route("tool-media", 10 * MEBIBYTE, source="media", is_for_admins=True),
        Route("avatar", 5 * MEBIBYTE, source="avatar"),
    )
}


async def promise(
    session: AsyncSession,
    resources: Resources,
    user_id: UUID,
    route: Route,
    *,
    file_name: str,
    content_type: str,
    size_bytes: int,
) -> tuple[Asset, PresignedPut]:
    """Record a file to come and sign an address that takes exactly it.

    The key is made here, of ids only. Raises :class:`errors.Invalid` for a type or size the route
    does not take and :class:`errors.TooManyRequests` with too many promises open.
    """
    if content_type not in route.content_types:
        raise errors.Invalid(NOT_AN_IMAGE, type="invalid_file_type")
    if not 0 < size_bytes <= route.max_bytes:
        raise errors.Invalid(
            N_("This file is too large. The limit is {limit} MB.")
            if size_bytes
            else N_("This file is empty."),
            type="file_too_large" if size_bytes else "rejected",
            params={"limit": route.max_bytes // MEBIBYTE},
        )
    # Rows of one user are counted under that user's lock, so parallel promises cannot slip past.
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:user_id, 7))"),
        {"user_id": str(user_id)},
    )
    unfinished = select(func.count()).where(Asset.user_id == user_id, Asset.status != "ready")
    if (await session.execute(unfinished)).scalar_one() >= MAX_PENDING_PER_USER:
        raise errors.TooManyRequests(retry_after_s=60)
    asset_id = new_id()
    asset = Asset(
        id=asset_id,
        user_id=user_id,
        kind="image",
        source=route.source,
        status="pending",
        storage_key=f"media/{asset_id}"
        if route.source == "media"
        else f"uploads/{user_id}/{asset_id}",
        content_type=content_type,
        size_bytes=size_bytes,
        file_name=plain_file_name(file_name),
    )
    session.add(asset)
    await session.flush()
    put = await resources.storage.presign_put(
        asset.storage_key, size_bytes=size_bytes, content_type=content_type
    )
    return asset, put


async def confirm(resources: Resources, user_id: UUID, asset_id: UUID) -> Asset:
    """Check what arrived against what was promised and make it usable. Repeating is fine.

    Raises :class:`errors.NotFound` for a file of somebody else, :class:`errors.Conflict` where
    nothing has arrived, and :class:`errors.Invalid` where it is not what it claims to be; then the
    object is gone and the file can no longer be used.
    """
    async with resources.db.transaction() as session:
        asset = await owned_by(session, user_id, asset_id)
    if asset.status == "ready":
        return asset
    try:
        stored = await resources.storage.head(asset.storage_key)
        first_bytes = await resources.storage.get_first(asset.storage_key, SNIFF_BYTES)
    except ObjectMissing:
        raise errors.Conflict(NOT_ARRIVED, type="not_uploaded") from None
    found_type = sniff(first_bytes)
    if found_type != asset.content_type or stored.size_bytes != asset.size_bytes:
        await _discard(resources, asset)
        message = NOT_AN_IMAGE if found_type is None else MISLABELLED
        raise errors.Invalid(message, type="invalid_file_type")
    drawn: dict[str, Any] = {}
    if asset.source == "media":
        try:
            drawn = await media_pictures.draw_sizes(resources, asset)
        except errors.Invalid:
            await _discard(resources, asset)
            raise
    async with resources.db.transaction() as session:
        await session.execute(
            update(Asset)
            .where(Asset.id == asset.id, Asset.status == "pending")
            .values(status="ready", etag=stored.etag, confirmed_at=func.now(), **drawn)
        )
        return await owned_by(session, user_id, asset_id)


async def owned_by(session: AsyncSession, user_id: UUID, asset_id: UUID) -> Asset:
    """The person's own file. Raises :class:`errors.NotFound`, the same for foreign and unknown."""
    found = await session.execute(
        select(Asset)
        .where(Asset.id == asset_id, Asset.user_id == user_id, Asset.status != "expired")
        .execution_options(populate_existing=True)
    )
    asset = found.scalar_one_or_none()
    if asset is None:
        raise errors.NotFound(N_("We could not find this file."))
    return asset


async def keep(session: AsyncSession, user_id: UUID, asset_id: UUID, *, is_saved: bool) -> Asset:
    """Save one of the person's own results, or save it no longer. Repeating is fine.

    Raises :class:`errors.NotFound`, also for a file that is no result.
    """
    saved_at = func.coalesce(Asset.saved_at, func.now()) if is_saved else None
    kept = await session.scalar(
        update(Asset)
        .where(
            Asset.id == asset_id,
            Asset.user_id == user_id,
            Asset.source == "output",
            Asset.status == "ready",
        )
        .values(saved_at=saved_at)
        .returning(Asset.id)
    )
    if kept is None:
        raise errors.NotFound(N_("We could not find this file."))
    return await owned_by(session, user_id, asset_id)


async def usable_by(session: AsyncSession, user_id: UUID, asset_id: UUID) -> Asset:
    """The person's own file, confirmed and an image to work with: a picture of oneself goes as
    soon as another is chosen. Raises :class:`errors.NotFound`."""
    asset = await owned_by(session, user_id, asset_id)
    if asset.status != "ready" or asset.kind != "image" or asset.source == "avatar":
        raise errors.NotFound(N_("We could not find this file."))
    return asset


async def media(session: AsyncSession, asset_id: UUID) -> Asset:
    """A tool's picture, whoever asks. Raises :class:`errors.NotFound`."""
    found = await session.scalars(
        select(Asset).where(Asset.id == asset_id, Asset.source == "media", Asset.status == "ready")
    )
    asset = found.one_or_none()
    if asset is None:
        raise errors.NotFound(N_("We could not find this file."))
    return asset


async def first_image_of(session: AsyncSession, user_id: UUID, task_id: UUID) -> Asset:
    """The first image one of the person's own tasks made. Raises :class:`errors.NotFound`."""
    found = await session.scalars(
        select(Asset)
        .where(
            Asset.task_id == task_id,
            Asset.user_id == user_id,
            Asset.source == "output",
            Asset.kind == "image",
            Asset.status == "ready",
        )
        .order_by(Asset.id)
        .limit(1)
    )
    asset = found.one_or_none()
    if asset is None:
        raise errors.NotFound(N_("We could not find this file."))
    return asset


async def of_task(session: AsyncSession, user_id: UUID, asset_ids: list[UUID]) -> list[Asset]:
    """The named files of one person, in the order of the ids; missing ones are left out."""
    found = await session.execute(
        select(Asset).where(
            Asset.id.in_(asset_ids), Asset.user_id == user_id, Asset.status == "ready"
        )
    )
    by_id = {asset.id: asset for asset in found.scalars()}
    return [by_id[asset_id] for asset_id in asset_ids if asset_id in by_id]


async def add_output(session: AsyncSession, **values: Any) -> UUID:
    """Record a result that is already stored; the same key again keeps the first row's id."""
    row = {"id": new_id(), "source": "output", "status": "ready", **values}
    adding = insert(Asset).values(**row, confirmed_at=func.now())
    adding = adding.on_conflict_do_update(
        index_elements=[Asset.storage_key],
        set_={name: row.get(name) for name in ("size_bytes", "etag", "thumbnail_key")},
    )
    asset_id: UUID = (await session.execute(adding.returning(Asset.id))).scalar_one()
    return asset_id


async def erase(session: AsyncSession, user_id: UUID) -> None:
    """Have every file of a person removed by the sweep; nobody can use one from now on."""
    await session.execute(ERASE, {"user_id": user_id})
    await session.execute(NAME_NOBODY, {"user_id": user_id})


async def sweep(resources: Resources) -> int:
    """Remove expired files, such as those never confirmed; returns how many. Safe to run twice.

    A storage that is away raises; the rows stay for the next round.
    """
    async with resources.db.transaction() as session:
        await session.execute(EXPIRE, {"batch": SWEEP_BATCH})
        expired = (await session.execute(EXPIRED, {"batch": SWEEP_BATCH})).all()
    for asset_id, source, storage_key, thumbnail_key in expired:
        await resources.storage.delete(storage_key)
        if thumbnail_key is not None:
            await resources.storage.delete(thumbnail_key)
        if source == "media":
            for key in media_pictures.sized_keys(storage_key):
                await resources.storage.delete(key)
        async with resources.db.transaction() as session:
            await session.execute(REMOVE, {"id": asset_id})
    return len(expired)


def plain_file_name(name: str) -> str:
    """A display name without paths, control characters or surprises, at most 150 characters."""
    base = PurePosixPath(name.replace("\\", "/")).name
    base = unicodedata.normalize("NFC", base)
    base = re.sub(r"[\x00-\x1f\x7f<>:\"|?*\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", base)
    return base.strip(" .")[-150:] or "file"


async def _discard(resources: Resources, asset: Asset) -> None:
    """Refuse for good. The row stays until the upload's address has died, and is swept then."""
    async with resources.db.transaction() as session:
        await session.execute(REJECT, {"id": asset.id})
    try:
        await resources.storage.delete(asset.storage_key)
    except StorageError as error:
        log.warning("rejected upload left to the sweeper", asset_id=str(asset.id), error=str(error))
