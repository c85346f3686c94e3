"""Images from strangers: what is let in, what is refused, and what the copy looks like."""

from __future__ import annotations

import asyncio
import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from funmagic.core.image_types import sniff
from funmagic.toolkit import images
from funmagic.toolkit.contract import InvalidInput

PHOTOS = Path(__file__).parent.parent / "photos"
TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}


def file_of(folder: Path, picture: Image.Image, format_: str, **options: Any) -> Path:
    path = folder / f"upload.{format_.lower()}"
    picture.save(path, format_, **options)
    return path


def halves() -> Image.Image:
    """30 x 20: left red, right blue."""
    picture = Image.new("RGB", (30, 20), (220, 10, 10))
    picture.paste((10, 10, 220), (15, 0, 30, 20))
    return picture


async def test_a_photo_comes_through_in_its_own_format(tmp_path: Path) -> None:
    photo = await images.decode(PHOTOS / "coffee.jpg", "image/jpeg", tmp_path)
    assert (photo.width, photo.height, photo.file.content_type) == (600, 400, "image/jpeg")
    with Image.open(PHOTOS / "coffee.jpg") as before, Image.open(photo.file.path) as after:
        difference = np.abs(np.asarray(before, int) - np.asarray(after.convert("RGB"), int))
        assert after.format == "JPEG"
    assert difference.mean() < 2


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(12), "image/jpeg"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
        (b"GIF87a" + bytes(10), "image/gif"),
        (b"GIF89a" + bytes(10), "image/gif"),
        (b"<svg xmlns='http", None),
        (b"<?xml version='1", None),
        (b"<!DOCTYPE html><", None),
        (b"\0\0\0\x1cftypavif\0\0\0\0", None),
        (b"\0\0\0\x1cftypheic\0\0\0\0", None),
        (b"BM" + bytes(14), None),
        (b"II*\0" + bytes(12), None),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"%PDF-1.7" + bytes(8), None),
        (b"GIF88a" + bytes(10), None),
        (b"\x89PNG", None),
        (b"", None),
    ],
)
@pytest.mark.hazard("A7")
def test_only_four_types_are_known_by_their_bytes(content: bytes, expected: str | None) -> None:
    assert sniff(content) == expected


@pytest.mark.hazard("A7")
@pytest.mark.parametrize("claimed", ["image/png", "image/svg+xml", "text/html"])
async def test_markup_is_refused_whatever_it_claims_to_be(tmp_path: Path, claimed: str) -> None:
    path = tmp_path / "x.png"
    path.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    with pytest.raises(InvalidInput, match="not a PNG"):
        await images.decode(path, claimed, tmp_path)


@pytest.mark.hazard("A7")
async def test_a_mislabelled_image_is_refused(tmp_path: Path) -> None:
    path = file_of(tmp_path, halves(), "PNG")
    with pytest.raises(InvalidInput, match="claims to be"):
        await images.decode(path, "image/jpeg", tmp_path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("format_", list(TYPES))
async def test_a_truncated_image_is_refused(tmp_path: Path, format_: str, share: float) -> None:
    with Image.open(PHOTOS / "astronaut.jpg") as photo:
        path = file_of(tmp_path, photo.convert("P" if format_ == "GIF" else "RGB"), format_)
    content = path.read_bytes()
    path.write_bytes(content[: max(20, int(len(content) * share))])
    with pytest.raises(InvalidInput, match="damaged"):
        await images.decode(path, TYPES[format_], tmp_path)


async def test_hostile_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    dice = np.random.default_rng(7)
    for format_, content_type in TYPES.items():
        whole = file_of(tmp_path, halves(), format_).read_bytes()
        for _ in range(60):
            bent = bytearray(whole)
            for place in dice.integers(16, len(bent), 6):
                bent[place] = int(dice.integers(0, 256))
            path = tmp_path / "bent"
            path.write_bytes(bytes(bent))
            try:
                photo = await images.decode(path, content_type, tmp_path)
            except InvalidInput:
                continue
            assert photo.width * photo.height <= images.PIXEL_LIMIT


def claims_to_be(width: int, height: int) -> bytes:
    """A few hundred bytes of PNG that unpack to ``width`` x ``height`` grey pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packer = zlib.compressobj(9)
    body = packer.compress(bytes(1 << 20)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width", "height"),
    [(6400, 6400), (20_000, 100), (100, 20_000), (30_000, 30_000), (2**31 - 1, 2**31 - 1)],
)
async def test_a_bomb_is_refused_by_its_header(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(claims_to_be(width, height))
    started = time.monotonic()
    with pytest.raises(InvalidInput) as refusal:
        await images.decode(path, "image/png", tmp_path)
    # Pillow gives up on the largest by itself; what counts is that no pixel is unpacked.
    assert refusal.value.reason in (images.TOO_MANY_PIXELS, images.DAMAGED)
    assert (width > 2**30) or refusal.value.reason == images.TOO_MANY_PIXELS
    assert time.monotonic() - started < 1


async def test_a_bomb_of_text_is_refused(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for number in range(80):
        info.add_text(f"k{number}", "x" * 1_000_000, zip=True)
    path = file_of(tmp_path, halves(), "PNG", pnginfo=info)
    with pytest.raises(InvalidInput, match="damaged"):
        await images.decode(path, "image/png", tmp_path)


async def test_the_first_frame_of_a_moving_gif_becomes_a_png(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (12, 8), colour) for colour in ("red", "green", "blue")]
    path = file_of(tmp_path, frames[0], "GIF", save_all=True, append_images=frames[1:])
    photo = await images.decode(path, "image/gif", tmp_path)
    assert photo.file.content_type == "image/png"
    with Image.open(photo.file.path) as still:
        assert (still.format, getattr(still, "n_frames", 1)) == ("PNG", 1)
        assert still.convert("RGB").getpixel((3, 3)) == (255, 0, 0)


async def test_a_photo_taken_sideways_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to view
    path = file_of(tmp_path, halves(), "JPEG", exif=exif, quality=95)
    photo = await images.decode(path, "image/jpeg", tmp_path)
    assert (photo.width, photo.height) == (20, 30)
    with Image.open(photo.file.path) as upright:
        assert upright.convert("RGB").getpixel((10, 3))[0] > 150  # type: ignore[index]
        assert upright.convert("RGB").getpixel((10, 27))[2] > 150  # type: ignore[index]


async def test_where_and_by_whom_a_photo_was_taken_is_dropped(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "canary-artist"
    exif.get_ifd(0x8825)[1] = "N"
    path = file_of(tmp_path, halves(), "JPEG", exif=exif, comment=b"canary-comment")
    photo = await images.decode(path, "image/jpeg", tmp_path)
    assert b"canary" not in photo.file.path.read_bytes()
    with Image.open(photo.file.path) as bare:
        assert not bare.getexif()
        assert "comment" not in bare.info


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
async def test_every_kind_of_pixel_becomes_rgb_or_rgba(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        ramp = np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30)
        picture = Image.fromarray(ramp)
    else:
        picture = halves().convert(mode)
    photo = await images.decode(file_of(tmp_path, picture, "PNG"), "image/png", tmp_path)
    with Image.open(photo.file.path) as copy:
        assert copy.size == (30, 20)
        assert copy.mode == ("RGBA" if "A" in mode else "RGB")
        values = np.asarray(copy.convert("L"))
    if mode == "I;16":
        assert values.min() == 0
        assert values.max() == 255
        assert abs(int(values[10, 0]) - 128) < 3


async def test_a_transparent_palette_keeps_its_holes(tmp_path: Path) -> None:
    picture = halves().convert("P")
    corner = picture.getpixel((0, 0))
    path = file_of(tmp_path, picture, "PNG", transparency=corner)
    photo = await images.decode(path, "image/png", tmp_path)
    with Image.open(photo.file.path) as copy:
        assert copy.getpixel((0, 0))[3] == 0  # type: ignore[index]
        assert copy.getpixel((29, 0))[3] == 255  # type: ignore[index]


async def test_a_print_shops_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = file_of(tmp_path, halves().convert("CMYK"), "JPEG", quality=95)
    photo = await images.decode(path, "image/jpeg", tmp_path)
    with Image.open(photo.file.path) as copy:
        assert copy.mode == "RGB"
        red, _, blue = copy.getpixel((4, 10))  # type: ignore[misc]
    assert red > 150 > blue


async def test_a_profile_is_applied_and_a_broken_one_ignored(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (lab, b"no profile at all"):
        path = file_of(tmp_path, halves(), "PNG", icc_profile=profile)
        photo = await images.decode(path, "image/png", tmp_path)
        with Image.open(photo.file.path) as copy:
            assert "icc_profile" not in copy.info
            red, _, blue = copy.getpixel((4, 10))[:3]  # type: ignore[index]
        assert red > 200 > 40 > blue


async def test_decoding_leaves_the_event_loop_free(tmp_path: Path) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (2400, 3200, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=90)
    path = tmp_path / "large.jpg"
    path.write_bytes(buffer.getvalue())
    decoding = asyncio.create_task(images.decode(path, "image/jpeg", tmp_path))
    longest_s, pauses = 0.0, 0
    while not decoding.done():
        started = time.monotonic()
        await asyncio.sleep(0.005)
        longest_s, pauses = max(longest_s, time.monotonic() - started), pauses + 1
    assert (await decoding).width == 3200
    assert pauses > 5
    assert longest_s < 0.2
