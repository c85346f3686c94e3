"""Cutouts without a network: what differs from the border's colours and lies near the middle.

Good enough to look at and to pass a quality check; made in a fraction of a second for any size.
"""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageOps, UnidentifiedImageError

Kind = Literal["ok", "blank", "opaque"]
Floats = npt.NDArray[np.float32]

MAX_PIXELS = 40_000_000
FORMATS = ("JPEG", "PNG", "WEBP")
#: The matte is found on a copy of at most this side, then stretched smoothly.
MATTE_SIDE_PX = 192
#: How many per cent of the picture are subject, at least and at most.
SUBJECT_SHARE = (8, 70)
#: Grey of what a flood has reached.
MARK = 128
#: How much the middle counts next to the colour.
MIDDLE_WEIGHT = 0.6


class NotAPicture(Exception):
    """The bytes are no JPEG, PNG or WebP that can be decoded."""


class TooLarge(Exception):
    """The picture has more pixels than :data:`MAX_PIXELS`."""


def cut_out(photo: bytes, kind: Kind = "ok") -> tuple[bytes, int, int]:
    """An RGBA PNG of the photo's size, with its width and height in pixels.

    ``blank`` is transparent everywhere, ``opaque`` nowhere. Raises :class:`NotAPicture` and
    :class:`TooLarge`.
    """
    picture = opened(photo)
    if kind == "blank":
        picture = Image.new("RGBA", picture.size)
    else:
        picture.putalpha(matte(picture) if kind == "ok" else 255)
    written = io.BytesIO()
    picture.save(written, "PNG", compress_level=1)
    return written.getvalue(), picture.width, picture.height


def opened(photo: bytes) -> Image.Image:
    """The picture in RGB. Raises :class:`NotAPicture` and :class:`TooLarge`."""
    try:
        with Image.open(io.BytesIO(photo), formats=FORMATS) as found:
            if found.width * found.height > MAX_PIXELS:
                raise TooLarge
            return found.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise NotAPicture from error


def matte(picture: Image.Image) -> Image.Image:
    """The subject's opacity ("L", the picture's size)."""
    small = picture.copy()
    small.thumbnail((MATTE_SIDE_PX, MATTE_SIDE_PX), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(1.5))
    colours: Floats = np.asarray(small, np.float32) / np.float32(255)
    score = _unlike_border(colours) + MIDDLE_WEIGHT * _nearness_to_middle(colours.shape[:2])
    threshold = _threshold(score)
    found = _in_one_piece(Image.fromarray(((score > threshold) * 255).astype(np.uint8)))
    return found.filter(ImageFilter.GaussianBlur(1.2)).resize(
        picture.size, Image.Resampling.BICUBIC
    )


def _in_one_piece(found: Image.Image) -> Image.Image:
    """The piece around the middle, without holes or threads; all pieces where that is little."""
    closed = found.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.MinFilter(9))
    smooth = closed.filter(ImageFilter.MinFilter(5)).filter(ImageFilter.MaxFilter(5))
    inside = np.asarray(smooth) * _nearness_to_middle((smooth.height, smooth.width))
    y, x = divmod(int(inside.argmax()), smooth.width)
    ImageDraw.floodfill(smooth, (x, y), MARK)
    piece = smooth.point([255 * (value == MARK) for value in range(256)])
    outside = ImageOps.expand(piece, 1)
    ImageDraw.floodfill(outside, (0, 0), MARK)
    whole = ImageOps.crop(outside, 1).point([255 * (value != MARK) for value in range(256)])
    share = 100 * np.count_nonzero(np.asarray(whole)) / (whole.width * whole.height)
    return whole if SUBJECT_SHARE[0] / 2 <= share <= 90 else found


def _unlike_border(colours: Floats) -> Floats:
    """Distance of each point's colour to the nearest of the border's, 0..1."""
    # Not the lower edge: people stand on it.
    border = np.concatenate([colours[:2].reshape(-1, 3), colours[:, :2].reshape(-1, 3)])
    border = np.concatenate([border, colours[:, -2:].reshape(-1, 3)])
    step = max(len(border) // 48, 1)
    distance: Floats = np.full(colours.shape[:2], np.inf, np.float32)
    for colour in border[::step]:
        distance = np.minimum(distance, np.linalg.norm(colours - colour, axis=2))
    most = float(np.quantile(distance, 0.98))
    unlike: Floats = np.clip(distance / np.float32(max(most, 0.05)), 0, 1)
    return unlike


def _nearness_to_middle(shape: tuple[int, ...]) -> Floats:
    """1 in the middle, 0 at the corners."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    nearness: Floats = np.clip(1 - np.sqrt((x * x + y * y) / 2), 0, 1)
    return nearness


def _threshold(score: Floats) -> float:
    """Where the scores fall into two groups (Otsu, 1979), kept within the wanted shares."""
    counts, edges = np.histogram(score, bins=64)
    below = np.cumsum(counts)[:-1].astype(np.float64)
    above = score.size - below
    middles = (edges[:-1] + edges[1:]) / 2
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / above
        between = np.nan_to_num(below * above * apart**2)
    least, most = SUBJECT_SHARE
    lowest, highest = np.quantile(score, [1 - most / 100, 1 - least / 100])
    return float(np.clip(edges[1 + int(between.argmax())], lowest, highest))
