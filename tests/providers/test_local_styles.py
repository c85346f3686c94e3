"""Drawing photos in styles on this server: what is seen, what is asked for, what breaks."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from tests.providers.conftest import PHOTOS, ignore, make_call

from funmagic.core.ids import new_id
from funmagic.providers.adapters.local import Local, StyleOptions
from funmagic.providers.adapters.local.filters import FILTERS
from funmagic.providers.adapters.local.styles import (
    DEFAULT_STYLE,
    NETWORK_STYLES,
    Style,
    style_for,
)
from funmagic.providers.contract import (
    BackgroundRemoval,
    Call,
    File,
    Finished,
    ImageEdit,
    ImageTo3d,
    ProviderError,
    Trouble,
)

Drawn = Callable[..., Awaitable[Image.Image]]


@pytest.fixture
def draw(local: Local, tmp_path: Path) -> Drawn:
    """The picture made of a photo (a name in the photos' folder or a path)."""

    def photo_of(name: str | Path) -> File:
        """A third of a test's photo: drawing takes time for every point."""
        path = tmp_path / name
        if not path.exists():
            with Image.open(PHOTOS / name) as opened:
                opened.resize((opened.width // 3, opened.height // 3)).save(path)
        return File(path, "image/png" if path.suffix == ".png" else "image/jpeg")

    async def run(
        photo: str | Path,
        options: StyleOptions | None = None,
        *,
        prompt: str = "",
        references: tuple[str | Path, ...] = (),
        report: Callable[[int], Awaitable[None]] = ignore,
        show: Callable[[File], Awaitable[None]] | None = None,
    ) -> Image.Image:
        request = ImageEdit(photo_of(photo), prompt, tuple(photo_of(each) for each in references))
        call = make_call(tmp_path / str(new_id()), report, options or StyleOptions(), show=show)
        answer = await local.submit(request, call)
        assert isinstance(answer, Finished)
        (file,) = answer.result.files
        assert file.content_type == "image/jpeg"
        with Image.open(file.path) as opened:
            assert opened.format == "JPEG"
            return opened.convert("RGB")

    return run


async def test_every_named_style_is_another_picture_of_the_same_subject(draw: Drawn) -> None:
    names = [*NETWORK_STYLES, *FILTERS]
    assert {"auto", *names} == set(get_args(Style))
    seen = [small(PHOTOS / "cat.jpg")]
    for name in names:
        drawn = await draw("cat.jpg", StyleOptions(style=name, strength=1))
        assert drawn.size == (375, 250)
        # The subject is still there: light lies where it lay.
        assert likeness(seen[0], small(drawn)) > 0.4, name
        assert all(difference(small(drawn), other) > 6 for other in seen), name
        seen.append(small(drawn))


async def test_the_same_request_gives_the_same_picture(draw: Drawn) -> None:
    once, again = [await draw("cat.jpg", StyleOptions(style="pencil")) for _ in range(2)]
    assert np.array_equal(np.asarray(once), np.asarray(again))


async def test_a_reference_sets_the_style_and_two_set_another(draw: Drawn, starry: Path) -> None:
    plain = small(await draw("coffee.jpg"))
    one = small(await draw("coffee.jpg", references=(starry,)))
    two = small(await draw("coffee.jpg", references=(starry, "grass.jpg")))
    # The reference is blue, the photo is not.
    assert blueness(one) > blueness(small(PHOTOS / "coffee.jpg")) + 20
    assert blueness(one) > blueness(two) > blueness(small(PHOTOS / "coffee.jpg"))
    assert difference(one, plain) > 10
    assert difference(one, two) > 3


async def test_strength_goes_from_the_photo_to_the_style(draw: Drawn) -> None:
    photo = small(PHOTOS / "coffee.jpg")
    none, half, full = [
        difference(
            photo,
            small(await draw("coffee.jpg", StyleOptions(style="starry-night", strength=strength))),
        )
        for strength in (0, 0.5, 1)
    ]
    assert none < 4
    assert none < half < full


async def test_colours_can_be_kept(draw: Drawn) -> None:
    photo = small(PHOTOS / "coffee.jpg")
    kept = small(await draw("coffee.jpg", StyleOptions(style="starry-night", keep_colours=True)))
    lost = small(await draw("coffee.jpg", StyleOptions(style="starry-night")))
    assert abs(blueness(kept) - blueness(photo)) < 12
    assert blueness(lost) > blueness(photo) + 20


@pytest.mark.parametrize(
    ("prompt", "style"),
    [
        ("A pencil sketch of my dog", "pencil"),
        ("Colored pencil drawing", "coloured-pencil"),
        ("Redraw this as an oil painting.\n\nStyle: Watercolor.", "watercolour"),
        ("Style: Vincent van Gogh", "starry-night"),
        ("a COMIC book cover", "comic"),
        ("japanese woodblock", "woodblock"),
        ("boil the spoils", DEFAULT_STYLE),
        ("", DEFAULT_STYLE),
    ],
)
def test_words_choose_a_style_and_the_last_word_counts(prompt: str, style: str) -> None:
    assert style_for(prompt) == style


async def test_auto_goes_by_the_prompt(draw: Drawn) -> None:
    asked = await draw("cat.jpg", prompt="as a comic, please")
    named = await draw("cat.jpg", StyleOptions(style="comic"))
    assert np.array_equal(np.asarray(asked), np.asarray(named))


async def test_one_unfinished_picture_is_shown_on_the_way(draw: Drawn) -> None:
    heard: list[int] = []
    shown: list[Image.Image] = []

    async def report(percent: int) -> None:
        heard.append(percent)

    async def show(file: File) -> None:
        assert heard == [10]
        with Image.open(file.path) as opened:
            assert Image.MIME[str(opened.format)] == file.content_type
            shown.append(opened.convert("RGB"))

    drawn = await draw("cat.jpg", StyleOptions(style="oil"), report=report, show=show)
    (preview,) = shown
    assert max(preview.size) == 320
    assert likeness(small(preview), small(drawn)) > 0.5
    assert heard == [10, 40, 90, 99]


@pytest.mark.parametrize("size", [(1, 1), (3, 900)])
async def test_any_shape_can_be_drawn(draw: Drawn, tmp_path: Path, size: tuple[int, int]) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        photo.resize(size).save(tmp_path / "shape.png")
    for options in (StyleOptions(style="oil"), StyleOptions(style="watercolour")):
        assert max((await draw(tmp_path / "shape.png", options)).size) <= 1024
    drawn = await draw(tmp_path / "shape.png", references=(tmp_path / "shape.png",))
    assert max(drawn.size) <= 1024


@pytest.mark.parametrize("which", ["image", "reference"])
async def test_what_is_no_image_is_our_callers_mistake(
    draw: Drawn, tmp_path: Path, which: str
) -> None:
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n not an image")
    bad = tmp_path / "x.png"
    with pytest.raises(ProviderError) as trouble:
        await (draw(bad) if which == "image" else draw("cat.jpg", references=(bad,)))
    assert trouble.value.trouble is Trouble.INVALID


async def test_a_process_killed_while_it_draws_breaks_one_call(draw: Drawn, local: Local) -> None:
    async def kill_it(_: int) -> None:
        (pid,) = local.pids
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(ProviderError) as trouble:
        await draw("cat.jpg", report=kill_it)
    assert trouble.value.trouble is Trouble.BROKEN
    await draw("cat.jpg")


async def test_the_largest_photo_stays_within_the_memory_of_a_child(
    local: Local, tmp_path: Path
) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        photo.resize((7700, 5190)).save(tmp_path / "large.jpg", quality=80)
    picture = File(tmp_path / "large.jpg", "image/jpeg")
    request = ImageEdit(picture, "", (picture,))
    answer = await local.submit(request, make_call(tmp_path / "call", options=StyleOptions()))
    assert isinstance(answer, Finished)
    assert answer.result.meta["peakMegabytes"] < 1200


@pytest.mark.parametrize("request_type", [BackgroundRemoval, ImageTo3d])
async def test_options_of_a_style_fit_nothing_else(
    local: Local, tmp_path: Path, request_type: type[BackgroundRemoval | ImageTo3d]
) -> None:
    call: Call = make_call(tmp_path / "call", options=StyleOptions())
    with pytest.raises(ProviderError) as trouble:
        await local.submit(request_type(File(PHOTOS / "cat.jpg", "image/jpeg")), call)
    assert trouble.value.trouble is Trouble.INVALID


@pytest.fixture
async def starry(draw: Drawn, tmp_path: Path) -> Path:
    """A blue picture with strokes."""
    picture = await draw("cat.jpg", StyleOptions(style="starry-night", strength=1))
    picture.save(tmp_path / "starry.png")
    return tmp_path / "starry.png"


def small(picture: Image.Image | Path) -> Image.Image:
    """64 x 64, RGB: what is left of a picture without its strokes."""
    if isinstance(picture, Path):
        with Image.open(picture) as opened:
            return small(opened)
    return picture.convert("RGB").resize((64, 64), Image.Resampling.BOX)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean distance of two pictures' values, 0..255."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def likeness(one: Image.Image, other: Image.Image) -> float:
    """How the brightness of two pictures correlates, -1..1."""
    grey = [np.asarray(each.convert("L"), float).ravel() for each in (one, other)]
    return float(np.corrcoef(grey[0], grey[1])[0, 1])


def blueness(picture: Image.Image) -> float:
    red, _, blue = np.asarray(picture, float).reshape(-1, 3).mean(0)
    return float(blue - red)
