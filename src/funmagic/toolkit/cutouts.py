"""What tools that work with a cut-out share: asking for it, judging it, and drawing with it.

A tool gives ``prepare`` as it is here and finishes with :func:`composed`, which hands its drawing
the photo and the subject at one size. Drawing runs in a thread and never on more than
:data:`MOST_SIDE_PX` a side, so that a huge photo costs no more memory than a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from funmagic.core.i18n import N_
from funmagic.toolkit import images
from funmagic.toolkit.contract import (
    BackgroundRemoval,
    Choice,
    File,
    Image,
    ImageRef,
    InvalidInput,
    Output,
    Result,
    StepContext,
    StepInput,
    UnusableResult,
)

C = TypeVar("C", bound=Choice)
Floats = npt.NDArray[np.float32]

# A pixel from this opacity on (of 255) belongs to the subject.
OPAQUE_FROM: Final = 128
# Shares of the picture, in per mille: less is nothing cut out, more is nothing cut away.
FEWEST_OPAQUE, MOST_OPAQUE = 5, 995

MOST_SIDE_PX: Final = 3072
JPEG_QUALITY: Final = 92

CHOICE_GONE = N_("This choice is not offered any more. Please choose again.")
NO_SUBJECT = N_("We could not find a subject in this photo. You were not charged.")


class PhotoInput(StepInput):
    image: ImageRef


@dataclass(frozen=True, slots=True)
class Layers:
    """The photo (RGB) and what was cut out of it (RGBA), of one size."""

    photo: Pillow.Image
    subject: Pillow.Image


async def prepare(ctx: StepContext) -> BackgroundRemoval:
    """Ask for a cut-out of the photo in the input's field ``image``."""
    photo = await ctx.open_image(ctx.input.image)
    return BackgroundRemoval(image=photo.file)


async def composed(
    ctx: StepContext, result: Result, name: str, draw: Callable[[Layers], Pillow.Image]
) -> list[Output]:
    """The picture ``draw`` makes of photo and cut-out, as PNG where it is RGBA, else as JPEG.

    Raises :class:`UnusableResult` where the cut-out is none: nothing is charged.
    """
    photo = await ctx.open_image(ctx.input.image)
    cutout = only_file(result)

    def work() -> tuple[File, tuple[int, int]]:
        check(cutout.path, photo)
        picture = draw(layers(cutout.path, photo.file.path))
        return _saved(picture, ctx.work_dir / name), picture.size

    file, (width, height) = await images.in_thread(work)
    return [Output(name, file, width=width, height=height)]


def chosen(offered: Sequence[C], slug: str) -> C:
    """The choice with this slug. Raises :class:`InvalidInput` where an admin has taken it away."""
    for choice in offered:
        if choice.slug == slug:
            return choice
    raise InvalidInput(CHOICE_GONE)


def only_file(result: Result) -> File:
    """Raises :class:`UnusableResult` for none or several."""
    if len(result.files) != 1:
        raise UnusableResult(images.UNREADABLE)
    return result.files[0]


def check(path: Path, photo: Image) -> None:
    """Accept a cut-out only if it is one. Blocks: in a thread.

    Raises :class:`UnusableResult` with the reason the user reads.
    """
    try:
        with Pillow.open(path, formats=("PNG",)) as opened:
            size = opened.size
            alpha = opened.getchannel("A") if opened.mode == "RGBA" else None
    except Exception:  # a decoder may raise anything over damaged bytes
        raise UnusableResult(images.UNREADABLE) from None
    if size != (photo.width, photo.height):
        raise UnusableResult(
            N_("The result has another size than your photo. You were not charged.")
        )
    if alpha is None:
        raise UnusableResult(N_("The background was not removed. You were not charged."))
    opaque = 1000 * sum(alpha.histogram()[OPAQUE_FROM:]) / (size[0] * size[1])
    if opaque < FEWEST_OPAQUE:
        raise UnusableResult(NO_SUBJECT)
    if opaque > MOST_OPAQUE:
        raise UnusableResult(
            N_("We could not find a background in this photo. You were not charged.")
        )


def bounds(subject: Pillow.Image) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of what is opaque. Raises :class:`UnusableResult`."""
    solid = subject.getchannel("A").point([255 * (value >= OPAQUE_FROM) for value in range(256)])
    box = solid.getbbox()
    if box is None:
        raise UnusableResult(NO_SUBJECT)
    return box


def spread(mask: Floats, radius_px: float) -> Floats:
    """The mask (h, w, 0..1) grown by a disc; by less than nothing it shrinks."""
    if radius_px < 0:
        shrunk: Floats = 1 - spread(1 - mask, -radius_px)
        return shrunk
    covered = convolved(mask, disc(radius_px))
    # One pixel under the disc is enough; the ramp keeps the edge smooth.
    return (covered * np.float32(np.pi * radius_px * radius_px)).clip(0, 1)


def disc(radius_px: float) -> Floats:
    """A round window with a soft rim, of sum 1 and odd sides."""
    reach = int(np.ceil(radius_px)) + 1
    across, down = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    window = np.clip(radius_px + 0.5 - np.hypot(across, down), 0, 1)
    flat: Floats = (window / window.sum()).astype(np.float32)
    return flat


def convolved(plane: Floats, window: Floats) -> Floats:
    """A plane (h, w) under a window of odd sides, in the frequency domain; outside lies its rim."""
    reach = window.shape[0] // 2
    padded = np.pad(plane, reach, mode="edge")
    shape = (padded.shape[0] + 2 * reach, padded.shape[1] + 2 * reach)
    seen = np.fft.irfft2(np.fft.rfft2(padded, shape) * np.fft.rfft2(window, shape), shape)
    inner = seen[2 * reach : 2 * reach + plane.shape[0], 2 * reach : 2 * reach + plane.shape[1]]
    return np.ascontiguousarray(inner, np.float32)


def reduced(picture: Pillow.Image, side_px: int) -> Pillow.Image:
    """A copy of at most ``side_px`` a side."""
    copy = picture.copy()
    copy.thumbnail((side_px, side_px), Pillow.Resampling.LANCZOS)
    return copy


def planes_of(picture: Pillow.Image) -> Floats:
    """(h, w) or (h, w, channels), 0..1."""
    return np.asarray(picture, np.float32) / np.float32(255)


def picture_of(planes: Floats) -> Pillow.Image:
    return Pillow.fromarray((planes.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def layers(cutout: Path, photo: Path) -> Layers:
    """Both at the cut-out's size, or at the largest we draw at. The larger copies are let go."""
    with Pillow.open(cutout, formats=("PNG",)) as opened:
        opened.thumbnail((MOST_SIDE_PX, MOST_SIDE_PX), Pillow.Resampling.LANCZOS)
        subject = opened.convert("RGBA")
    with Pillow.open(photo, formats=("PNG", "JPEG")) as opened:
        opened.draft("RGB", subject.size)  # a JPEG is decoded at about the size that is wanted
        layered = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
    layered = layered.resize(subject.size, Pillow.Resampling.LANCZOS)
    if layered.mode == "RGB":
        return Layers(layered, subject)
    white = Pillow.new("RGB", layered.size, "white")
    white.paste(layered, mask=layered.getchannel("A"))
    return Layers(white, subject)


def _saved(picture: Pillow.Image, place: Path) -> File:
    if picture.mode == "RGBA":
        file = File(place.with_suffix(".png"), "image/png")
        picture.save(file.path, "PNG", compress_level=3)
    else:
        file = File(place.with_suffix(".jpg"), "image/jpeg")
        dpi = picture.info.get("dpi", (72, 72))
        picture.save(file.path, "JPEG", quality=JPEG_QUALITY, subsampling=0, dpi=dpi)
    return file
