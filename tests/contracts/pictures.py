"""A picture for every kind of request, so that a new adapter is tested without a line of test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from funmagic.providers.contract import (
    BackgroundRemoval,
    Capability,
    File,
    ImageEdit,
    ImageTo3d,
    Request,
)

PHOTOS = Path(__file__).parent.parent / "photos"


def background_removal(work_dir: Path) -> BackgroundRemoval:
    return BackgroundRemoval(image=_photo(work_dir, "coffee.jpg"))


def image_edit(work_dir: Path) -> ImageEdit:
    return ImageEdit(
        image=_photo(work_dir, "astronaut.jpg"),
        prompt="Redraw this photo in the style of the reference.",
        references=(_photo(work_dir, "coffee.jpg"),),
    )


def image_to_3d(work_dir: Path) -> ImageTo3d:
    return ImageTo3d(image=_photo(work_dir, "cat.jpg"))


def _photo(work_dir: Path, name: str) -> File:
    shutil.copy(PHOTOS / name, work_dir / name)
    return File(work_dir / name, "image/jpeg")


REQUESTS: dict[Capability, Callable[[Path], Request]] = {
    Capability.BACKGROUND_REMOVAL: background_removal,
    Capability.IMAGE_EDIT: image_edit,
    Capability.IMAGE_TO_3D: image_to_3d,
}
