"""A relief in 3D from one photo: the subject, inflated and textured, as GLB. In the child only.

1. The subject is cut out. Its outline is blown up like a balloon: the height is the root of the
   solution of Poisson's equation within the outline (as in Igarashi's *Teddy*, 1999, smoothly).
2. Fine light and dark of the photo become fine relief.
3. Front and a flatter back meet at the outline; the texture's transparency trims both, so that the
   edge is as fine as the cut-out and not as the mesh.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from funmagic.providers.adapters.local import gltf
from funmagic.providers.adapters.local.cutout import Network, cut
from funmagic.providers.adapters.local.pixels import (
    Floats,
    blurred,
    box_mean,
    fitted,
    level,
    open_photo,
    picture_of,
    planes_of,
)

CUT_SIDE_PX = 1280
# Long side of the texture in pixels and of the mesh in points.
SIZES = {"standard": (896, 144), "high": (1152, 208)}
MARGIN_SHARE = 0.02
POSTER_SIDE_PX = 800
# Parts of the whole size, 1: the front's depth at most, and the back's share of it.
MOST_DEPTH, BACK_SHARE, MOST_DETAIL = 0.5, 0.4, 0.06
# A smaller part of the picture, or a fainter one, is no subject.
LEAST_SUBJECT = 0.005
TRIM = 0.5
LIGHT = np.array([-0.45, 0.55, 0.7], np.float32) / np.float32(0.9975)
BACKDROP = np.array([[0.955, 0.96, 0.97], [0.83, 0.845, 0.875]], np.float32)


class NoSubject(Exception):
    """There is nothing to stand out from the background."""


def shape(
    network: Network,
    source: Path,
    target: Path,
    poster: Path,
    *,
    depth: float,
    detail: float,
    resolution: str,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Write a GLB to ``target`` and a WebP of it to ``poster``. Returns facts about the run.

    The model faces +Z with +Y up, is centred, and its longer side measures 1. Raises
    :class:`UnreadableImage` and :class:`NoSubject`.
    """
    started = time.monotonic()
    texture_px, mesh_points = SIZES[resolution]
    subject = _subject(network, source, texture_px, progress)
    grid = planes_of(fitted(subject, mesh_points, shortest_px=8, enlarge=1))
    outline = grid[..., 3]
    front = _heights(grid, depth * MOST_DEPTH, detail * MOST_DETAIL)
    step = 1 / max(outline.shape[0] - 1, outline.shape[1] - 1)
    progress(92)
    mesh = gltf.closed(front, front * -BACK_SHARE, _inside(outline), step)
    gltf.write(target, mesh, _texture(subject), trim=TRIM)
    progress(96)
    _draw_poster(subject, gltf.normals(front, step), poster)
    progress(99)
    return {
        "isRelief": True,
        "vertices": len(mesh.positions),
        "triangles": len(mesh.triangles),
        "latencyMs": round((time.monotonic() - started) * 1000),
    }


def _subject(
    network: Network, source: Path, side_px: int, progress: Callable[[int], None]
) -> Image.Image:
    """The subject alone, RGBA, ``side_px`` on its long side with a narrow margin."""
    opened, own_alpha = open_photo(source)
    photo = fitted(opened, CUT_SIDE_PX)
    progress(10)
    own_small = own_alpha.resize(photo.size) if own_alpha is not None else None
    whole = cut(network, photo, own_small, refine_edges=True, progress=progress)
    opaque = np.asarray(whole.getchannel("A")) > 255 * TRIM
    if opaque.mean() < LEAST_SUBJECT:
        raise NoSubject("no subject found")
    rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
    margin = 2 + round(MARGIN_SHARE * max(rows[-1] - rows[0], columns[-1] - columns[0]))
    left, right = int(columns[0]) - margin, int(columns[-1]) + margin
    top, bottom = int(rows[0]) - margin, int(rows[-1]) + margin
    return fitted(whole.crop((left, top, right, bottom)), side_px, enlarge=4)


def _heights(grid: Floats, depth: float, detail: float) -> Floats:
    """Heights (h, w) of the front above the plane of the outline, in parts of the whole size."""
    outline = (grid[..., 3] > TRIM).astype(np.float32)
    grey = grid[..., :3] @ np.array([0.299, 0.587, 0.114], np.float32)
    around = box_mean(np.dstack([grey * outline, outline]), max(2, max(grey.shape) // 14))
    fine = (grey - around[..., 0] / (around[..., 1] + 1e-4)) * outline
    round_off = blurred(outline, 2) * outline
    inflated = blurred(np.sqrt(_poisson(outline)), 1) * level(round_off, 0.1, 0.9)
    heights: Floats = depth * inflated + 2 * detail * blurred(fine, 1) * inflated.clip(0, 0.5)
    return heights.clip(0, None)


def _poisson(inside: Floats) -> Floats:
    """The solution of u_xx + u_yy = -1 with u = 0 outside, scaled to 0..1; coarse to fine."""
    found = np.zeros((1, 1), np.float32)
    for halvings in (4, 3, 2, 1, 0):
        size = tuple(max(4, side >> halvings) for side in inside.shape)
        part = Image.fromarray(inside).resize(size[::-1], Image.Resampling.BOX)
        mask = (np.asarray(part) > TRIM).astype(np.float32)
        found = np.array(Image.fromarray(found).resize(size[::-1], Image.Resampling.BILINEAR)) * 4
        for _ in range(120):
            edged = np.pad(found, 1)
            beside = edged[2:, 1:-1] + edged[:-2, 1:-1] + edged[1:-1, 2:] + edged[1:-1, :-2]
            found = (mask * (beside + 1) / 4).astype(np.float32)
    scaled: Floats = found / max(float(found.max()), 1e-6)
    return scaled


def _inside(outline: Floats) -> Any:
    """Which points of the mesh are needed: those inside, and their neighbours for the trim."""
    near: Floats = box_mean((outline > 0.02).astype(np.float32)[..., np.newaxis], 1)[..., 0]
    return near > 0


def _texture(subject: Image.Image) -> Image.Image:
    """The subject with its colours drawn beyond the outline: filtering must find none else."""
    pixels = planes_of(subject)
    alpha = pixels[..., 3:]
    around = box_mean(np.concatenate([pixels[..., :3] * alpha, alpha], axis=-1), 6)
    spread = around[..., :3] / np.maximum(around[..., 3:], 1e-4)
    pixels[..., :3] = np.where(alpha > 0.98, pixels[..., :3], spread)
    return picture_of(pixels)


def _draw_poster(subject: Image.Image, normals: Floats, poster: Path) -> None:
    """The relief seen from the front, in soft light, on a backdrop with its shadow."""
    scale = POSTER_SIDE_PX * 0.84 / max(subject.size)
    size = (round(subject.width * scale) or 1, round(subject.height * scale) or 1)
    lit = (normals @ LIGHT).clip(0, 1)
    shade = Image.fromarray(0.62 + 0.52 * lit).resize(size, Image.Resampling.BICUBIC)
    seen = planes_of(subject.resize(size, Image.Resampling.LANCZOS))
    seen[..., :3] *= np.asarray(shade)[..., np.newaxis]
    figure = picture_of(seen)
    ramp = np.linspace(0, 1, POSTER_SIDE_PX, dtype=np.float32)[:, np.newaxis, np.newaxis]
    canvas = picture_of(
        np.broadcast_to(
            BACKDROP[0] * (1 - ramp) + BACKDROP[1] * ramp, (POSTER_SIDE_PX, POSTER_SIDE_PX, 3)
        )
    )
    place = ((POSTER_SIDE_PX - size[0]) // 2, (POSTER_SIDE_PX - size[1]) // 2)
    shadow = Image.new("L", canvas.size)
    shadow.paste(figure.getchannel("A"), (place[0] + 10, place[1] + 22))
    soft = shadow.filter(ImageFilter.GaussianBlur(20)).point(
        [value * 2 // 5 for value in range(256)]
    )
    canvas.paste((40, 44, 60), mask=soft)
    canvas.paste(figure, place, figure.getchannel("A"))
    canvas.save(poster, "WEBP", quality=86, method=4)
