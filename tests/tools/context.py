"""A step's surroundings with one picture in them, whatever it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from PIL import Image as Pillow

from funmagic.toolkit.contract import File, Image, StepSettings

SIZE = (40, 50)


@dataclass
class Context:
    """``opened`` tells which images were asked for, in order; the parent's is ``"parent"``."""

    work_dir: Path
    input: Any
    settings: StepSettings = field(default_factory=StepSettings)
    opened: list[UUID | str] = field(default_factory=list)

    async def open_image(self, asset_id: UUID) -> Image:
        return self._open(asset_id)

    async def open_media(self, asset_id: UUID) -> Image:
        return self._open(asset_id)

    async def open_parent(self) -> Image:
        return self._open("parent")

    def _open(self, named: UUID | str) -> Image:
        self.opened.append(named)
        path = self.work_dir / f"{named}.png"
        Pillow.new("RGB", SIZE, "green").save(path)
        return Image(File(path, "image/png"), *SIZE)
