"""Reading images from strangers: what they are, whether they can be decoded, and upright copies.

An image is believed by its first bytes, never by its name, and decoded whole before anything else
sees it. Decoding is processor work: it runs on two threads of its own, never on the event loop, so
at most two images are in memory at once (160 MB each at the limit).
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps

from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.image_types import SNIFF_BYTES, sniff
from funmagic.toolkit.contract import File, Image, InvalidInput, UnusableResult

T = TypeVar("T")

PIXEL_LIMIT = 40_000_000
SIDE_LIMIT_PX = 16_384

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
}

NOT_AN_IMAGE = N_("This is not a PNG, JPEG, WebP or GIF image.")
MISLABELLED = N_("The file is not the type of image it claims to be.")
TOO_MANY_PIXELS = N_("This image is too large. At most 40 megapixels and 16,384 pixels a side.")
DAMAGED = N_("This image is damaged or incomplete.")

# Two at a time: one huge photo must not starve the others, twenty must not fill the memory.
_threads = ThreadPoolExecutor(2, thread_name_prefix="images")


async def decode(source: Path, claimed_type: str, work_dir: Path) -> Image:
    """Decode a file and write an upright, bare copy into ``work_dir``.

    The copy is JPEG where the source is (quality 95, no chroma subsampling), or WebP without
    transparency; else PNG. Raises :class:`InvalidInput`.
    """
    return await in_thread(lambda: _decode(source, claimed_type, work_dir))


async def in_thread(work: Callable[[], T]) -> T:
    """Run processor work on images off the event loop, two at a time."""
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


def _decode(source: Path, claimed_type: str, work_dir: Path) -> Image:
    with source.open("rb") as file:
        found_type = sniff(file.read(SNIFF_BYTES))
    if found_type is None:
        raise InvalidInput(NOT_AN_IMAGE)
    if found_type != claimed_type:
        raise InvalidInput(MISLABELLED)
    picture = _read(source, found_type)
    has_alpha = picture.mode == "RGBA"
    if found_type in ("image/jpeg", "image/webp") and not has_alpha:
        file_out = File(work_dir / f"upright-{new_id()}.jpg", "image/jpeg")
        picture.save(file_out.path, "JPEG", quality=95, subsampling=0)
    else:
        file_out = File(work_dir / f"upright-{new_id()}.png", "image/png")
        picture.save(file_out.path, "PNG", compress_level=1)
    return Image(file=file_out, width=picture.width, height=picture.height)


def _read(source: Path, content_type: str) -> Pillow.Image:
    """The first frame, upright, as RGB or RGBA in sRGB, with nothing attached."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Pillow.DecompressionBombWarning
            )  # our limit is stricter
            with Pillow.open(source, formats=(FORMATS[content_type],)) as opened:
                _check_size(opened)
                opened.load()
                return _bare(_eight_bits(opened))
    except InvalidInput:
        raise
    except Pillow.DecompressionBombError:
        raise InvalidInput(TOO_MANY_PIXELS) from None
    except Exception:  # a decoder may raise anything at all over hostile bytes
        raise InvalidInput(DAMAGED) from None


def _check_size(opened: Pillow.Image) -> None:
    """Look at the header alone: a bomb is refused before a single pixel is unpacked."""
    width, height = opened.size
    if width * height > PIXEL_LIMIT or max(width, height) > SIDE_LIMIT_PX:
        raise InvalidInput(TOO_MANY_PIXELS)


def _eight_bits(opened: Pillow.Image) -> Pillow.Image:
    """16-bit grey to 8-bit grey; everything else as it is."""
    if not opened.mode.startswith("I"):
        return opened
    grey = Pillow.fromarray((np.asarray(opened).clip(0, 65535) >> 8).astype(np.uint8))
    grey.info = dict(opened.info)
    grey.getexif().update(opened.getexif())
    return grey


def _bare(opened: Pillow.Image) -> Pillow.Image:
    upright = ImageOps.exif_transpose(opened)
    wanted = "RGBA" if upright.has_transparency_data else "RGB"
    picture = _in_srgb(upright, wanted) or upright.convert(wanted)
    bare = Pillow.new(wanted, picture.size)
    bare.paste(picture)
    return bare


def _in_srgb(picture: Pillow.Image, wanted: str) -> Pillow.Image | None:
    """Colours as the embedded profile means them (phones: Display P3); None without a profile."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return None
    # A profile we cannot use is no reason to refuse the photo.
    with contextlib.suppress(ImageCms.PyCMSError, OSError, ValueError):
        return ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode=wanted,
        )
    return None


UNREADABLE = N_("The result could not be read. You were not charged.")
BLANK = N_("The result is blank. You were not charged.")
# Of 255: a picture whose brightest and darkest points are closer shows nothing.
LEAST_CONTRAST = 8


def check_picture(file: File) -> tuple[int, int]:
    """Width and height of a vendor's picture. Raises :class:`UnusableResult`. Blocks: in a thread.

    It is decoded to its end, and a picture of one colour, or transparent all over, is none.
    """
    try:
        picture = _read(file.path, file.content_type)
    except (InvalidInput, KeyError):
        raise UnusableResult(UNREADABLE) from None
    grey = Pillow.new("RGB", picture.size, "white")
    grey.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
    levels = np.asarray(grey.convert("L"))
    if int(levels.max()) - int(levels.min()) < LEAST_CONTRAST:
        raise UnusableResult(BLANK)
    return picture.size


def thumbnail(source: Path, target: Path, side_px: int = 400) -> tuple[int, int]:
    """Write a small WebP, at most ``side_px`` a side; its width and height. Blocks: in a thread.

    Raises :class:`InvalidInput` for what is no image.
    """
    picture = _read_any(source)
    picture.thumbnail((side_px, side_px), Pillow.Resampling.LANCZOS)
    picture.save(target, "WEBP", quality=82, method=4)
    return picture.size


def sized(source: Path, target: Path, width_px: int, kind: str) -> None:
    """Write an image (``kind``: avif or webp) at most ``width_px`` wide, never larger than it is.

    Blocks: in a thread.

    Nothing of the source's metadata comes along. Raises :class:`InvalidInput` for what is no image.
    """
    picture = _read_any(source)
    if picture.width > width_px:
        height = max(1, round(picture.height * width_px / picture.width))
        picture = picture.resize((width_px, height), Pillow.Resampling.LANCZOS)
    picture.save(target, kind.upper(), quality=60 if kind == "avif" else 80)


def square(source: Path, target: Path, side_px: int) -> None:
    """Write the largest square around the middle as a WebP of ``side_px``. Blocks: in a thread.

    Nothing of the source's metadata comes along. Raises :class:`InvalidInput` for what is no image.
    """
    size = (side_px, side_px)
    picture = ImageOps.fit(_read_any(source), size, Pillow.Resampling.LANCZOS)
    picture.save(target, "WEBP", quality=85, method=4)


def _read_any(source: Path) -> Pillow.Image:
    """An image of whichever kind its first bytes say. Raises :class:`InvalidInput`."""
    with source.open("rb") as file:
        content_type = sniff(file.read(SNIFF_BYTES))
    if content_type is None:
        raise InvalidInput(NOT_AN_IMAGE)
    return _read(source, content_type)
