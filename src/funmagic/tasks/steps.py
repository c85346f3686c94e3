"""What a running step may touch: its input, its configuration, the owner's images."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.assets import service as assets
from funmagic.assets.models import Asset
from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing, ObjectTooLarge
from funmagic.toolkit import images
from funmagic.toolkit.contract import Image, InvalidInput, StepInput, StepSettings

MAX_INPUT_BYTES: Final = 20 * (1 << 20)
# What a vendor made may be larger than what people upload.
MAX_MADE_BYTES: Final = 64 * (1 << 20)
GONE: Final = N_("The uploaded file is no longer there. Please upload it again.")
CHOICE_GONE: Final = N_("What you chose is no longer offered. Please choose again.")
PARENT_GONE: Final = N_("The picture to start from is no longer there.")

Find = Callable[[AsyncSession], Awaitable[Asset]]


@dataclass(frozen=True, slots=True)
class TaskStepContext:
    """The :class:`toolkit.contract.StepContext` of a task. Ownership is checked here once more."""

    resources: Resources
    user_id: UUID
    parent_task_id: UUID | None
    input: StepInput
    settings: StepSettings
    work_dir: Path
    _opened: dict[UUID, Image] = field(default_factory=dict)

    async def open_image(self, asset_id: UUID) -> Image:
        """Fetch the confirmed version of one of the owner's images and decode it, once."""
        return await self._open(
            asset_id, lambda s: assets.usable_by(s, self.user_id, asset_id), GONE
        )

    async def open_media(self, asset_id: UUID) -> Image:
        """Fetch and decode a picture that belongs to the tool, once."""
        return await self._open(asset_id, lambda s: assets.media(s, asset_id), CHOICE_GONE)

    async def open_parent(self) -> Image:
        """Fetch and decode the first image of the parent task, once."""
        if self.parent_task_id is None:
            raise InvalidInput(PARENT_GONE)
        parent_id = self.parent_task_id
        return await self._open(
            parent_id,
            lambda s: assets.first_image_of(s, self.user_id, parent_id),
            PARENT_GONE,
            MAX_MADE_BYTES,
        )

    async def _open(
        self, key: UUID, find: Find, gone: str, max_bytes: int = MAX_INPUT_BYTES
    ) -> Image:
        if key not in self._opened:
            self._opened[key] = await self._fetch(find, gone, max_bytes)
        return self._opened[key]

    async def _fetch(self, find: Find, gone: str, max_bytes: int) -> Image:
        try:
            async with self.resources.db.transaction() as session:
                asset = await find(session)
            path = self.work_dir / f"{asset.id}.upload"
            await self.resources.storage.download(
                asset.storage_key, path, max_bytes=max_bytes, if_match=asset.etag
            )
        except (errors.NotFound, ObjectMissing, ObjectTooLarge) as error:
            raise InvalidInput(gone) from error
        return await images.decode(path, asset.content_type, self.work_dir)
