"""Three styles by arithmetic alone: pencil, comic, watercolour. Runs in the child process only.

Each takes and gives planes (h, w, 3), 0..1, and draws its grain from fixed dice: the same photo
gives the same picture. Sizes follow the picture's long side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from funmagic.providers.adapters.local.pixels import Floats, blurred, level, smoothed

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
PAPER = np.array([0.995, 0.985, 0.965], np.float32)


def pencil(photo: Floats) -> Floats:
    """Graphite on paper: contours by dodging (grey over its own blur), shade by hatching."""
    grey = smoothed((photo @ LUMA)[..., np.newaxis], _radius(photo, 400), 1e-3)[..., 0]
    contours = np.ones_like(grey)
    for share in (250, 70):
        around = blurred(grey, _radius(photo, share))
        contours *= ((grey + 0.04) / (around + 0.04)).clip(0, 1)
    contours = level(contours, 0.25, 0.98) ** 1.1
    dark = (1 - grey) ** 1.4
    hatched = 1 - dark * (0.30 + 0.55 * _strokes(grey.shape))
    drawn = contours * hatched * (0.97 + 0.03 * _grain(grey.shape, 1))
    on_paper: Floats = drawn[..., np.newaxis] * PAPER
    return on_paper


def comic(photo: Floats) -> Floats:
    """Flat, strong colours in five tones, ink lines (Winnemöller: *XDoG*, 2011), dots in shade."""
    flat = photo
    for _ in range(3):
        flat = smoothed(flat, _radius(photo, 180), 6e-3)
    luma = flat @ LUMA
    bright = level(luma, float(np.quantile(luma, 0.02)), float(np.quantile(luma, 0.98)))
    steps = bright * 5
    tone = (np.floor(steps) + level(steps - np.floor(steps), 0.42, 0.58)) / 5
    chroma = flat - luma[..., np.newaxis]
    colours = (0.12 + 0.9 * tone)[..., np.newaxis] + 1.7 * chroma
    down, across = np.indices(luma.shape, np.float32)
    pitch = max(4.0, max(luma.shape) / 150)
    waves = np.cos((across + down) * np.pi / pitch) * np.cos((across - down) * np.pi / pitch)
    dots = level(waves, 0.0, 0.35) * level(0.42 - bright, 0.0, 0.2)
    colours *= 1 - 0.3 * dots[..., np.newaxis]
    return (colours * _ink(photo)[..., np.newaxis]).clip(0, 1)


def watercolour(photo: Floats) -> Floats:
    """Washes that flow together, pigment gathered at their edges, paper that shows through."""
    wash = photo
    for share in (160, 160, 60):
        wash = smoothed(wash, _radius(photo, share), 1.5e-2)
    wobble = _grain(photo.shape[:2], _radius(photo, 60))
    luma = wash @ LUMA
    washes = luma * 6 + 0.9 * (wobble - 0.5)
    tone = ((np.floor(washes) + level(washes - np.floor(washes), 0.3, 0.7)) / 6).astype(np.float32)
    colours = (0.45 * luma + 0.55 * tone)[..., np.newaxis] + 1.35 * (wash - luma[..., np.newaxis])
    colours = 1 - (1 - colours.clip(0, 1)) * (0.66 + 0.3 * wobble)[..., np.newaxis]
    edges = np.abs(tone - blurred(tone, _radius(photo, 350)))
    colours *= 1 - 0.9 * edges[..., np.newaxis]
    colours *= (0.55 + 0.45 * _ink(photo))[..., np.newaxis]
    paper = 0.95 + 0.05 * _grain(photo.shape[:2], 1)[..., np.newaxis]
    dry = _dry_border(photo)[..., np.newaxis]
    painted: Floats = ((colours * (1 - dry) + 0.985 * dry) * paper).clip(0, 1)
    return painted


def _ink(photo: Floats) -> Floats:
    """1 on paper, 0 on a line: a soft threshold of the difference of two blurs."""
    grey = smoothed((photo @ LUMA)[..., np.newaxis], _radius(photo, 300), 2e-3)[..., 0]
    fine = max(1, _radius(photo, 700))
    difference = blurred(grey, fine) - 0.98 * blurred(grey, 2 * fine + 1)
    return level(difference, -0.035, 0.002)


def _strokes(shape: tuple[int, ...]) -> Floats:
    """Slanted hatching, 0..1: noise drawn out along a diagonal."""
    height, width = shape[:2]
    length = max(9, max(height, width) // 40)
    noise = np.random.default_rng(11).random((height + length, width), np.float32)
    sums = np.cumsum(noise, axis=0)
    drawn = (sums[length:] - sums[:-length]) / length
    down, across = np.indices((height, width))
    slanted: Floats = drawn[down, (across + down) % width]
    return level((slanted - 0.5) / (float(slanted.std()) or 1.0), -1.3, 1.3)


def _grain(shape: tuple[int, ...], radius: int) -> Floats:
    """Noise with spots of about ``radius`` pixels, 0..1."""
    noise = np.random.default_rng(5).random(shape[:2], np.float32)
    spots = blurred(noise, radius)
    return level((spots - 0.5) / (float(spots.std()) or 1.0), -2, 2)


def _dry_border(photo: Floats) -> Floats:
    """1 where the brush never came: an uneven margin of bare paper."""
    height, width = photo.shape[:2]
    down, across = np.indices((height, width), np.float32)
    inside = np.minimum.reduce([down, across, height - 1 - down, width - 1 - across])
    margin = max(height, width) / 28
    rough = 0.75 * _grain((height, width), _radius(photo, 45))
    rough += 0.25 * _grain((height, width), _radius(photo, 300))
    ragged = inside + margin * 0.8 * (rough - 0.5)
    return 1 - level(ragged, 0.5 * margin, 0.9 * margin)


def _radius(photo: Floats, share: int) -> int:
    """A ``share``-th of the long side, in pixels, at least 1."""
    long_side_px: int = max(photo.shape[:2])
    return max(1, round(long_side_px / share))


FILTERS: Mapping[str, Callable[[Floats], Floats]] = {
    "pencil": pencil,
    "comic": comic,
    "watercolour": watercolour,
}
