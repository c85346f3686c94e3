"""A copy of all that is a person's own: one ZIP, made by a worker in bounded memory.

Files are fetched to disk one at a time and packed as they are; what is in the tables is read a
batch at a time and written to ``data.json`` as it is read. The archive grows in a temporary folder
and goes to the private bucket from there. Files beyond :data:`MAX_FILES_BYTES` are left out, the
oldest first, and ``data.json`` says so of each.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text

from funmagic.accounts import exports, people
from funmagic.accounts.exports import Taken
from funmagic.accounts.mails import export_ready_mail, tell
from funmagic.assets.service import plain_file_name
from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing, ObjectTooLarge
from funmagic.reports.export_sections import SECTIONS

log = logger(__name__)

MAX_FILES_BYTES: Final = 2 << 30
BATCH: Final = 500
HOLD_EVERY_S: Final = exports.TAKEN_S / 4
TIMEOUT_S: Final = 3_600.0  # a round that takes longer has hung

FILES: Final = text("""
    SELECT id, storage_key, size_bytes, etag, file_name FROM assets
     WHERE user_id = :user_id AND status = 'ready' AND source <> 'media'
       AND (CAST(:before AS uuid) IS NULL OR id < :before)
     ORDER BY id DESC LIMIT :batch
""")


class Lost(Exception):
    """Somebody else makes this export now, or nobody wants it any more."""


@dataclass(slots=True)
class Packed:
    """What became of the files: where each is in the archive, or why it is not."""

    places: dict[UUID, str] = field(default_factory=dict)
    missing: dict[UUID, str] = field(default_factory=dict)
    size_bytes: int = 0


async def make_all(resources: Resources) -> None:
    """Make the exports that wait, one after the other."""
    while await make_one(resources):
        pass


async def make_one(resources: Resources) -> bool:
    """Make the oldest export that waits; False where none does. Any number may run at once.

    What fails is given back and tried again: whoever is interrupted, or met a server of ours that
    is away, has not used up an attempt.
    """
    async with resources.db.transaction() as session:
        taken = await exports.take(session)
    if taken is None:
        return False
    try:
        await _make(resources, taken)
    except Lost:
        log.warning("export left to others", export_id=str(taken.id))
        async with resources.db.transaction() as session:
            is_unwanted = await exports.is_removed(session, taken)
        if is_unwanted:
            await resources.storage.delete(taken.key)
    except asyncio.CancelledError:
        await asyncio.shield(_give_back(resources, taken, is_blameless=True))
        raise
    except Exception as error:
        log.error("export failed", export_id=str(taken.id), exc_info=error)
        await _give_back(resources, taken, is_blameless=isinstance(error, OUTAGES))
    return True


async def _make(resources: Resources, taken: Taken) -> None:
    """Raises :class:`Lost`, at the latest when the archive is stored."""
    with tempfile.TemporaryDirectory(prefix="fm-export-") as folder:
        working = asyncio.create_task(_pack_and_store(resources, taken, Path(folder) / "data.zip"))
        try:
            while not (await asyncio.wait({working}, timeout=HOLD_EVERY_S))[0]:
                await _hold(resources, taken)
        finally:
            working.cancel()
            await asyncio.wait({working})
        size_bytes, left_out = working.result()
    async with resources.db.transaction() as session:
        expires_at = await exports.finish(session, taken, size_bytes=size_bytes, left_out=left_out)
        if expires_at is None:
            raise Lost
        user = await people.one(session, taken.user_id)
        page = f"{resources.settings.public_url}/{user.locale}/profile/data"
        mail = export_ready_mail(user.email, page, user.locale, expires_at=expires_at)
        await tell(resources, session, mail, kind="export_ready")


async def _pack_and_store(resources: Resources, taken: Taken, path: Path) -> tuple[int, int]:
    """Bytes of the stored archive, and how many files are not in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        packed = await _pack_files(resources, taken.user_id, archive)
        with archive.open("data.json", "w", force_zip64=True) as out:
            async for piece in _data(resources, taken.user_id, packed):
                await asyncio.to_thread(out.write, piece.encode())
    stored = await resources.storage.put(taken.key, path, content_type="application/zip")
    return stored.size_bytes, len(packed.missing)


async def _pack_files(resources: Resources, user_id: UUID, archive: zipfile.ZipFile) -> Packed:
    """The newest first, so that the oldest are left out."""
    packed = Packed()
    async for row in _files(resources, user_id):
        if packed.size_bytes + row.size_bytes > MAX_FILES_BYTES:
            packed.missing[row.id] = "beyond the limit"
            continue
        fetched = Path(str(archive.filename)).with_name("fetched")
        try:
            packed.size_bytes += await resources.storage.download(
                row.storage_key, fetched, max_bytes=row.size_bytes, if_match=row.etag
            )
        except (ObjectMissing, ObjectTooLarge):
            packed.missing[row.id] = "missing"
            continue
        place = f"files/{row.id}-{plain_file_name(row.file_name)}"
        # pictures and models are compressed already
        await asyncio.to_thread(archive.write, fetched, place, zipfile.ZIP_STORED)
        packed.places[row.id] = place
    return packed


async def _files(resources: Resources, user_id: UUID) -> AsyncIterator[Row[Any]]:
    before: UUID | None = None
    while True:
        values = {"user_id": user_id, "before": before, "batch": BATCH}
        async with resources.db.transaction() as session:
            rows = (await session.execute(FILES, values)).all()
        for row in rows:
            yield row
        if len(rows) < BATCH:
            return
        before = rows[-1].id


async def _data(resources: Resources, user_id: UUID, packed: Packed) -> AsyncIterator[str]:
    """``data.json`` in pieces: an object of lists, an entry a line."""
    for number, section in enumerate(SECTIONS):
        yield f"{',' if number else '{'}\n{json.dumps(section.name)}: ["
        is_first, after = True, section.before_first
        while True:
            values = {"user_id": user_id, "after": after, "batch": BATCH}
            async with resources.db.transaction() as session:
                rows = (await session.execute(section.statement, values)).all()
            for row in rows:
                entry = dict(row.entry)
                if section.name == "files":
                    entry["place"] = packed.places.get(UUID(row.key))
                    entry["leftOut"] = packed.missing.get(UUID(row.key))
                yield f"{'' if is_first else ','}\n{json.dumps(entry, ensure_ascii=False)}"
                is_first = False
            if len(rows) < BATCH:
                break
            after = rows[-1].key
        yield "\n]"
    yield "\n}\n"


async def _hold(resources: Resources, taken: Taken) -> None:
    async with resources.db.transaction() as session:
        if not await exports.hold(session, taken):
            raise Lost


async def _give_back(resources: Resources, taken: Taken, *, is_blameless: bool) -> None:
    """Where even this fails, the export is free again when its minute is over."""
    try:
        async with resources.db.transaction() as session:
            await exports.give_back(session, taken, is_blameless=is_blameless)
    except OUTAGES as error:
        log.warning("export not given back", export_id=str(taken.id), error=repr(error))
