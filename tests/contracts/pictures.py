"""A picture for every kind of request, so that a new adapter is tested without a line of test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from funmagic.providers.contract import BackgroundRemoval, Capability, File, Request

PHOTOS = Path(__file__).parent.parent / "photos"


def background_removal(work_dir: Path) -> BackgroundRemoval:
    photo = work_dir / "photo.jpg"
    shutil.copy(PHOTOS / "coffee.jpg", photo)
    return BackgroundRemoval(image=File(photo, "image/jpeg"))


REQUESTS: dict[Capability, Callable[[Path], Request]] = {
    Capability.BACKGROUND_REMOVAL: background_removal,
}
