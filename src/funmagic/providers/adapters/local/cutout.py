"""Cutting a subject out: network, edge refinement, colours. Runs in the child process only.

1. u2netp gives a 320 x 320 map of how salient each point is, 0..1. It is not stretched to its own
   range: a picture without a subject must stay empty.
2. A guided filter with the photo as its guide (He, Sun, Tang: *Guided Image Filtering*, 2010) lets
   the outline follow the photo's edges. Its coefficients are found on a small copy and applied to
   the full one ("fast guided filter", He and Sun 2015), strip by strip, so memory stays bounded.
3. Half-transparent pixels get the subject's own colour in place of the mixture with the old
   background (Forte: *Approximate Fast Foreground Colour Estimation*, 2021).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from PIL import Image

from funmagic.providers.adapters.local.pixels import (
    Floats,
    box_mean,
    guided,
    level,
    open_photo,
    resized,
)

NETWORK_SIDE_PX = 320
# Means and deviations of ImageNet, which the network was trained with.
MEANS = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATIONS = np.array([0.229, 0.224, 0.225], np.float32)
# Below this peak nothing is salient: grass, stars and flat colours stay under 0.5.
SUBJECT_PEAK = 0.5

GUIDE_SIDE_PX = 448
GUIDE_RADIUS_PX = 3
GUIDE_EPSILON = 1e-3  # squared colour difference (0..1) that still counts as one surface
COLOUR_RADIUS_PX = 8
# Faint haze becomes nothing, near certainty becomes certainty.
HAZE, CERTAIN = 0.4, 0.7
EDGE_HAZE, EDGE_CERTAIN = 0.25, 0.75

STRIP_PIXELS = 1_000_000
PNG_EFFORT = 3  # of 0..9: twice as fast as the default, a few percent larger


@dataclass(frozen=True, slots=True)
class Network:
    session: onnxruntime.InferenceSession
    input_name: str
    output_name: str


def load(model: Path, threads: int) -> Network:
    """Open the network with at most ``threads`` threads. Takes about 0.2 s and 70 MB."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The arena would keep a further 200 MB for ever to save a few milliseconds.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return Network(session, session.get_inputs()[0].name, session.get_outputs()[0].name)


def cut_out(
    network: Network,
    source: Path,
    target: Path,
    *,
    refine_edges: bool,
    progress: Callable[[int], None],
) -> dict[str, Any]:
    """Write ``source`` to ``target`` as an RGBA PNG of the same size, its background transparent.

    Returns facts about the run. Raises :class:`UnreadableImage`.
    """
    started = time.monotonic()
    photo, own_alpha = open_photo(source)
    progress(10)
    result = cut(network, photo, own_alpha, refine_edges=refine_edges, progress=progress)
    result.save(target, "PNG", compress_level=PNG_EFFORT)
    progress(99)
    return {"latencyMs": round((time.monotonic() - started) * 1000)}


def cut(
    network: Network,
    photo: Image.Image,
    own_alpha: Image.Image | None,
    *,
    refine_edges: bool,
    progress: Callable[[int], None],
) -> Image.Image:
    """The photo (RGB) as RGBA, its background transparent; reports 60 to 90 percent."""
    saliency = _saliency(network, photo)
    progress(60)
    result = Image.new("RGBA", photo.size)
    edges = _Edges(photo, saliency, refine_edges)
    progress(75)
    for top, bottom in _strips(photo):
        strip = edges.strip(photo, own_alpha, top, bottom)
        result.paste(Image.fromarray(strip), (0, top))
        progress(75 + 15 * bottom // photo.height)
    return result


def _saliency(network: Network, photo: Image.Image) -> Floats:
    """The network's map, 320 x 320; all zero where it sees no subject."""
    small = photo.resize((NETWORK_SIDE_PX, NETWORK_SIDE_PX), Image.Resampling.LANCZOS)
    pixels = np.asarray(small, np.float32)
    pixels = (pixels / max(float(pixels.max()), 1.0) - MEANS) / DEVIATIONS
    batch = pixels.transpose(2, 0, 1)[np.newaxis]
    seen: Floats = network.session.run([network.output_name], {network.input_name: batch})[0][0, 0]
    if float(seen.max()) < SUBJECT_PEAK:
        return np.zeros_like(seen)
    return level(seen / float(seen.max()), HAZE, CERTAIN)


class _Edges:
    """Everything a strip of the full photo needs, found once on a small copy of it."""

    def __init__(self, photo: Image.Image, saliency: Floats, refine: bool) -> None:
        scale = min(1.0, GUIDE_SIDE_PX / max(photo.size))
        width, height = (max(1, round(side * scale)) for side in photo.size)
        small = photo.resize((width, height), Image.Resampling.BOX)
        guide = np.asarray(small, np.float32) / np.float32(255)
        mask = resized(saliency, (width, height), Image.Resampling.LANCZOS).clip(0, 1)
        if refine:
            slopes, offset = guided(guide, mask, GUIDE_RADIUS_PX, GUIDE_EPSILON)
        else:
            slopes, offset = np.zeros_like(guide), mask
        self._slopes = [Image.fromarray(np.ascontiguousarray(slopes[..., c])) for c in range(3)]
        self._offset = Image.fromarray(offset)
        alpha = level((slopes * guide).sum(-1) + offset, EDGE_HAZE, EDGE_CERTAIN)
        self._subject = _mean_colour(guide, alpha)
        self._surroundings = _mean_colour(guide, 1 - alpha)

    def strip(
        self, photo: Image.Image, own_alpha: Image.Image | None, top: int, bottom: int
    ) -> npt.NDArray[np.uint8]:
        """Rows ``top`` to ``bottom`` of the result: (rows, width, 4), 0..255."""
        box = (0, top, photo.width, bottom)
        pixels = np.asarray(photo.crop(box), np.float32) / 255
        alpha = self._enlarged(self._offset, photo, box)
        for channel in range(3):
            alpha += self._enlarged(self._slopes[channel], photo, box) * pixels[..., channel]
        alpha = level(alpha, EDGE_HAZE, EDGE_CERTAIN)
        mixed = (alpha > 0) & (alpha < 1)
        if mixed.any():
            opacity = alpha[mixed]
            for channel in range(3):
                subject = self._enlarged(self._subject[channel], photo, box)[mixed]
                around = self._enlarged(self._surroundings[channel], photo, box)[mixed]
                seen = pixels[..., channel][mixed]
                unmixed = subject + opacity * (seen - opacity * subject - (1 - opacity) * around)
                pixels[..., channel][mixed] = unmixed.clip(0, 1)
        if own_alpha is not None:
            alpha *= np.asarray(own_alpha.crop(box), np.float32) / 255
        strip = np.empty((*alpha.shape, 4), np.uint8)
        strip[..., :3] = pixels * 255 + 0.5
        strip[..., 3] = alpha * 255 + 0.5
        # Nothing of the old background stays behind under transparent pixels.
        strip[strip[..., 3] == 0] = 0
        return strip

    @staticmethod
    def _enlarged(small: Image.Image, photo: Image.Image, box: tuple[int, int, int, int]) -> Floats:
        """The part of ``small`` below ``box`` at the photo's size; strips join without a seam."""
        across, down = small.width / photo.width, small.height / photo.height
        part = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        size = (box[2] - box[0], box[3] - box[1])
        return np.array(small.resize(size, Image.Resampling.BILINEAR, box=part), np.float32)


def _strips(photo: Image.Image) -> list[tuple[int, int]]:
    rows = max(1, STRIP_PIXELS // photo.width)
    return [(top, min(top + rows, photo.height)) for top in range(0, photo.height, rows)]


def _mean_colour(guide: Floats, weight: Floats) -> list[Image.Image]:
    """The weighted mean colour around each point, one picture a channel."""
    weights = box_mean(weight[..., np.newaxis], COLOUR_RADIUS_PX) + 1e-5
    colours = (box_mean(guide * weight[..., np.newaxis], COLOUR_RADIUS_PX) + 1e-5 * guide) / weights
    return [Image.fromarray(np.ascontiguousarray(colours[..., c])) for c in range(3)]
