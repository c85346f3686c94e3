"""What a running step may touch: its input, its configuration, the owner's images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from funmagic.assets import service as assets
from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing, ObjectTooLarge
from funmagic.toolkit import images
from funmagic.toolkit.contract import Image, InvalidInput, StepInput

MAX_INPUT_BYTES: Final = 20 * (1 << 20)
GONE: Final = N_("The uploaded file is no longer there. Please upload it again.")


@dataclass(frozen=True, slots=True)
class TaskStepContext:
    """The :class:`toolkit.contract.StepContext` of a task. Ownership is checked here once more."""

    resources: Resources
    user_id: UUID
    input: StepInput
    config: dict[str, Any]
    work_dir: Path
    _opened: dict[UUID, Image] = field(default_factory=dict)

    async def open_image(self, asset_id: UUID) -> Image:
        """Fetch the confirmed version of one of the owner's images and decode it, once."""
        if asset_id not in self._opened:
            self._opened[asset_id] = await self._fetch(asset_id)
        return self._opened[asset_id]

    async def _fetch(self, asset_id: UUID) -> Image:
        try:
            async with self.resources.db.transaction() as session:
                asset = await assets.usable_by(session, self.user_id, asset_id)
            path = self.work_dir / f"{asset.id}.upload"
            await self.resources.storage.download(
                asset.storage_key, path, max_bytes=MAX_INPUT_BYTES, if_match=asset.etag
            )
        except (errors.NotFound, ObjectMissing, ObjectTooLarge) as error:
            raise InvalidInput(GONE) from error
        return await images.decode(path, asset.content_type, self.work_dir)
