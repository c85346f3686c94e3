"""Pictures as planes of numbers: what the local provider's works have in common.

Planes are float32 of shape (h, w) or (h, w, channels), 0..1. Runs in the child process only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]


class UnreadableImage(Exception):
    """The file is no image we can decode."""


def open_photo(source: Path) -> tuple[Image.Image, Image.Image | None]:
    """The photo as RGB, and its own alpha channel where it has one. Raises UnreadableImage."""
    try:
        with Image.open(source, formats=("PNG", "JPEG", "WEBP")) as opened:
            opened.load()
            if not opened.has_transparency_data:
                return opened.convert("RGB"), None
            layered = opened.convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(str(error)) from None
    white = Image.new("RGB", layered.size, "white")
    alpha = layered.getchannel("A")
    white.paste(layered, mask=alpha)
    return white, alpha


def fitted(
    picture: Image.Image, side_px: int, *, shortest_px: int = 1, enlarge: float = 1.0
) -> Image.Image:
    """A copy whose long side is ``side_px``, but at most ``enlarge`` times what it was.

    No side becomes shorter than ``shortest_px``, if need be out of proportion.
    """
    scale = min(side_px / max(picture.size), enlarge)
    width, height = (max(shortest_px, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def planes_of(picture: Image.Image) -> Floats:
    return np.asarray(picture, np.float32) / np.float32(255)


def picture_of(planes: Floats) -> Image.Image:
    return Image.fromarray((planes.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def guided(guide: Floats, wanted: Floats, radius: int, epsilon: float) -> tuple[Floats, Floats]:
    """Slopes (h, w, 3) and offset (h, w) with wanted ≈ slopes · guide + offset in each window.

    He, Sun, Tang: *Guided Image Filtering*, 2010. ``guide`` has three channels, ``wanted`` none.
    """
    mean_guide = box_mean(guide, radius)
    mean_wanted = box_mean(wanted[..., np.newaxis], radius)
    covariance = box_mean(guide * wanted[..., np.newaxis], radius) - mean_guide * mean_wanted
    products = (guide[..., :, np.newaxis] * guide[..., np.newaxis, :]).reshape(*wanted.shape, 9)
    variance = box_mean(products, radius).reshape(*wanted.shape, 3, 3)
    variance -= mean_guide[..., :, np.newaxis] * mean_guide[..., np.newaxis, :]
    variance += epsilon * np.eye(3, dtype=np.float32)
    slopes = np.linalg.solve(variance, covariance[..., np.newaxis])[..., 0]
    offset = mean_wanted - (slopes * mean_guide).sum(-1, keepdims=True)
    return box_mean(slopes, radius), box_mean(offset, radius)[..., 0]


def smoothed(planes: Floats, radius: int, epsilon: float) -> Floats:
    """Each channel of (h, w, n) smoothed along its own edges: the guided filter, self-guided."""
    mean = box_mean(planes, radius)
    variance = box_mean(planes * planes, radius) - mean * mean
    slope: Floats = (variance / (variance + epsilon)).astype(np.float32)
    kept: Floats = box_mean(slope, radius) * planes + box_mean((1 - slope) * mean, radius)
    return kept


def box_mean(planes: Floats, radius: int) -> Floats:
    """The mean over a square window of each plane of (h, w, n); windows are cut at the border."""
    for axis in (0, 1):
        length = planes.shape[axis]
        sums = np.cumsum(planes, axis=axis, dtype=np.float64)
        sums = np.insert(sums, 0, 0, axis=axis)
        ends = np.minimum(np.arange(length) + radius + 1, length)
        starts = np.maximum(np.arange(length) - radius, 0)
        counts = (ends - starts).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        window = np.take(sums, ends, axis=axis) - np.take(sums, starts, axis=axis)
        planes = (window / counts).astype(np.float32)
    return planes


def blurred(plane: Floats, radius: int) -> Floats:
    """A plane (h, w) blurred: two box means make a tent, near enough to a bell."""
    twice: Floats = box_mean(box_mean(plane[..., np.newaxis], radius), radius)[..., 0]
    return twice


def resized(plane: Floats, size: tuple[int, int], how: Image.Resampling) -> Floats:
    return np.asarray(Image.fromarray(plane).resize(size, how), np.float32)


def level(values: Floats, low: float, high: float) -> Floats:
    """Stretch ``low..high`` to 0..1 and cut off what lies outside."""
    stretched: Floats = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    return stretched
