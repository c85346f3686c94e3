"""Pictures a simulated OpenAI makes: the given photo drawn anew, finished and unfinished.

Flat colours in the hues of the references, with outlines in ink: nobody takes it for the photo, and
everybody sees whose it is. A fraction of a second for any size.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from funmagic.simulators.pictures import Floats, matte

Kind = Literal["ok", "blank"]
Colour = tuple[int, int, int]
Size = tuple[int, int]

#: Drawn at most this large, then stretched.
DRAWN_SIDE_PX = 768
#: How much of the new colours there is, the rest being the photo's.
COLOUR_SHARE = 0.6
PAPER = (238, 236, 230)
#: Mosaic stones on the longer side of the first unfinished picture; the next has twice as many.
FIRST_STONES = 14


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be drawn: pictures in RGB, the photo first; ``seed`` varies it.

    ``mask`` ("L", the photo's size) is 255 where the photo stays as it is.
    """

    prompt: str
    size: Size
    pictures: tuple[Image.Image, ...] = ()
    mask: Image.Image | None = None
    is_transparent: bool = False
    kind: Kind = "ok"
    seed: int = 0


def size_for(pictures: Sequence[Image.Image]) -> Size:
    """What ``auto`` comes to: the standard size nearest to the photo's shape, in pixels."""
    if not pictures:
        return 1024, 1024
    ratio = pictures[0].width / pictures[0].height
    return min(
        ((1024, 1024), (1536, 1024), (1024, 1536)),
        key=lambda size: abs(math.log(ratio * size[1] / size[0])),
    )


def draw(drawing: Drawing) -> Image.Image:
    """The finished picture, RGB, or RGBA where it is transparent."""
    if drawing.kind == "blank":
        return Image.new("RGB", drawing.size, "white")
    whole = max(drawing.size)
    small = tuple(max(1, round(side * min(1.0, DRAWN_SIDE_PX / whole))) for side in drawing.size)
    photo = _subject(drawing, (small[0], small[1]))
    grey = ImageOps.autocontrast(photo.convert("L").filter(ImageFilter.GaussianBlur(2)))
    dark, middle, light = _colours(drawing)
    tinted = ImageOps.colorize(ImageOps.posterize(grey, 3), dark, light, middle)
    flat = ImageOps.posterize(photo.filter(ImageFilter.GaussianBlur(3)), 3)
    drawn = ImageChops.multiply(Image.blend(flat, tinted, COLOUR_SHARE), _ink(grey))
    if drawing.mask is not None:
        kept = ImageOps.fit(drawing.mask, drawn.size)
        drawn.paste(photo, mask=kept)
    if drawing.is_transparent:
        drawn.putalpha(matte(photo))
    return drawn.resize(drawing.size, Image.Resampling.BICUBIC)


def unfinished(finished: Image.Image, index: int) -> Image.Image:
    """How far it is at one partial image: coarse stones, and paper where nothing is drawn yet."""
    stones = FIRST_STONES * 2**index
    scale = stones / max(finished.size)
    cells = tuple(max(1, round(side * scale)) for side in finished.size)
    rough = finished.convert("RGB").resize((cells[0], cells[1]), Image.Resampling.BOX)
    rough = rough.resize(finished.size, Image.Resampling.NEAREST)
    top = round(finished.height * (1 - 0.4 / 2**index))
    ImageDraw.Draw(rough).rectangle((0, top, *finished.size), fill=PAPER)
    return rough


def encoded(picture: Image.Image, output_format: str, compression: int) -> bytes:
    """The file: ``png``, ``webp`` or ``jpeg``; 100 is the best a lossy one can do."""
    written = io.BytesIO()
    match output_format:
        case "jpeg":
            picture.convert("RGB").save(written, "JPEG", quality=max(1, min(compression, 95)))
        case "webp":
            picture.save(written, "WEBP", quality=min(compression, 95), method=0)
        case _:
            picture.save(written, "PNG", compress_level=1)
    return written.getvalue()


def _subject(drawing: Drawing, size: Size) -> Image.Image:
    """The photo cut to this size, or where there is none, something of the prompt's own."""
    if drawing.pictures:
        return ImageOps.fit(drawing.pictures[0], size, Image.Resampling.BILINEAR)
    rings = ImageOps.invert(Image.radial_gradient("L").resize(size))
    return ImageOps.colorize(rings, *_by_chance(drawing)[::2])


def _ink(grey: Image.Image) -> Image.Image:
    """Outlines: black lines on white, RGB."""
    edges = grey.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.GaussianBlur(0.8))
    return ImageOps.invert(edges.point(lambda value: min(value * 5, 230))).convert("RGB")


def _colours(drawing: Drawing) -> tuple[Colour, Colour, Colour]:
    """Dark, middle and light: the last reference's own; without one, the prompt's."""
    if len(drawing.pictures) < 2:
        return _by_chance(drawing)
    small = drawing.pictures[-1].resize((32, 32), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32).reshape(-1, 3)
    ordered = pixels[np.argsort(pixels.sum(axis=1))]
    dark, middle, light = (part.mean(axis=0) for part in np.array_split(ordered, 3))
    return _rgb(dark * 0.5), _rgb(middle), _rgb(np.minimum(light * 1.25 + 20, 255))


def _by_chance(drawing: Drawing) -> tuple[Colour, Colour, Colour]:
    digest = hashlib.sha256(f"{drawing.seed} {drawing.prompt}".encode()).digest()
    hues = np.frombuffer(digest[:9], np.uint8).astype(np.float32).reshape(3, 3)
    return _rgb(hues[0] * 0.3), _rgb(64 + hues[1] * 0.5), _rgb(190 + hues[2] * 0.25)


def _rgb(values: Floats) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue
