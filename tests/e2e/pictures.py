"""The README's pictures, taken by the journey itself where ``FUNMAGIC_PICTURES`` names a folder."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

MAX_BYTES = 300_000


def take(page: Page, name: str) -> None:
    """Keep what the browser shows as ``name``.webp, at most 300 kB; does nothing unasked."""
    folder = os.environ.get("FUNMAGIC_PICTURES")
    if not folder:
        return
    page.wait_for_timeout(300)
    with Image.open(io.BytesIO(page.screenshot())) as shot:
        picture = shot.convert("RGB")
    path = Path(folder) / f"{name}.webp"
    path.parent.mkdir(parents=True, exist_ok=True)
    for quality in (88, 75, 60):
        picture.save(path, quality=quality, method=6)
        if path.stat().st_size <= MAX_BYTES:
            return
    raise AssertionError(f"{path} is larger than {MAX_BYTES} bytes")
