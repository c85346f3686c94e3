"""What tools make of a photo and its cut-out: where things are, which colours, which sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from tests.tools.context import SIZE, Context

from funmagic.core.ids import new_id
from funmagic.toolkit import cutouts, discovery
from funmagic.toolkit.contract import (
    File,
    InvalidInput,
    Result,
    Tool,
    UnusableResult,
)
from funmagic.toolkit.cutouts import Layers
from funmagic.tools import (
    colour_pop,
    cutout_sticker,
    id_photo,
    portrait_blur,
    studio_backdrop,
)

CHOICES: dict[str, dict[str, Any]] = {
    "portrait-blur": {},
    "colour-pop": {},
    "cutout-sticker": {"border": "white"},
    "studio-backdrop": {"backdrop": "mint"},
    "id-photo": {"format": "35x45", "background": "white"},
}
every_composition = pytest.mark.parametrize("key", CHOICES)
Draw = Callable[[ImageDraw.ImageDraw], None]


def layers(draw: Draw, size: tuple[int, int] = (400, 300)) -> Layers:
    """A striped photo with a red subject where ``draw`` puts white into the mask."""
    photo = Image.new("RGB", size, "#2040c0")
    for left in range(0, size[0], 20):
        ImageDraw.Draw(photo).rectangle((left, 0, left + 9, size[1]), fill="#c0e0f0")
    mask = Image.new("L", size)
    draw(ImageDraw.Draw(mask))
    photo.paste("#e02020", mask=mask)
    subject = Image.new("RGBA", size, "#e02020")
    subject.putalpha(mask)
    return Layers(photo, subject)


def disc(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((150, 100, 249, 199), fill=255)


def person(draw: ImageDraw.ImageDraw) -> None:
    draw.ellipse((160, 40, 219, 119), fill=255)  # the head, its middle at 190
    draw.rectangle((180, 110, 199, 150), fill=255)
    draw.rectangle((100, 150, 280, 299), fill=255)


def plane(picture: Image.Image) -> Any:
    return np.asarray(picture.convert("RGB"), np.int16)


def test_a_blurred_background_leaves_the_subject_and_has_nothing_of_its_colour() -> None:
    given = layers(disc)
    result = plane(portrait_blur.draw(given, 32))
    assert result.shape[:2] == (300, 400)
    assert abs(result[150, 200] - (0xE0, 0x20, 0x20)).max() <= 2
    background = result[20:280, 20:120]
    assert background.std((0, 1)).max() < 12  # the stripes are gone
    beside = result[150, 144:148].mean(0)
    assert beside[0] - beside[1] < -15, "no red glow around the subject"


def test_a_stronger_blur_blurs_more() -> None:
    given = layers(disc)
    strengths = [
        plane(portrait_blur.draw(given, radius))[:, :100].std()
        for radius in portrait_blur.RADII.values()
    ]
    assert strengths == sorted(strengths, reverse=True)


@pytest.mark.parametrize("tones", colour_pop.TONES.values(), ids=list(colour_pop.TONES))
def test_only_the_subject_keeps_its_colour(tones: tuple[str, str, str]) -> None:
    result = plane(colour_pop.draw(layers(disc), tones))
    assert result[150, 200, 0] - result[150, 200, 1] > 150
    around = result[:80]
    assert (around.max(2) - around.min(2)).max() <= 45


def test_a_sticker_has_its_border_all_around_and_is_cut_to_its_size() -> None:
    sticker = cutout_sticker.draw(layers(disc), "#00ff00", 100)
    across, down = sticker.size
    assert across == down
    assert sticker.getpixel((across // 2, down // 2)) == (0xE0, 0x20, 0x20, 255)
    assert sticker.getpixel((0, 0)) == (0, 0, 0, 0)
    seen = np.asarray(sticker)
    green = (seen[..., 1] > 250) & (seen[..., 0] < 5) & (seen[..., 3] == 255)
    rows = np.nonzero(green.any(1))[0]
    assert 117 <= rows[-1] - rows[0] + 1 <= 123  # 100 of subject and twice 10 of border


@pytest.mark.parametrize("shape", studio_backdrop.SHAPES)
def test_a_free_subject_stands_in_the_middle_of_its_backdrop(shape: str) -> None:
    size = studio_backdrop.canvas_size(shape)
    subject, (left, top) = studio_backdrop.placed(layers(disc).subject, size)
    assert abs(2 * left + subject.width - size[0]) <= 1
    assert abs(2 * top + subject.height - size[1]) <= 1
    assert subject.width <= 0.81 * size[0]


def test_where_the_photo_cuts_the_subject_off_the_backdrop_ends_too() -> None:
    size = studio_backdrop.canvas_size("square")
    subject, (_, top) = studio_backdrop.placed(layers(person).subject, size)
    assert top + subject.height == size[1]
    assert top > 0


def test_a_backdrop_goes_from_colour_to_colour_around_its_subject() -> None:
    mint = cutouts.chosen(studio_backdrop.StudioSettings().backdrops, "mint")
    result = plane(studio_backdrop.draw(layers(disc), mint, (400, 400)))
    assert abs(result[200, 200] - (0xE0, 0x20, 0x20)).max() <= 3
    assert abs(result[395, 5] - (0x7F, 0xCD, 0xB4)).max() < 30
    assert result[5, 5].mean() > result[395, 5].mean()


@pytest.mark.parametrize("wanted", id_photo.IdSettings().formats, ids=lambda it: it.slug)
def test_the_head_is_in_the_middle_of_an_id_photo_of_the_right_size(
    wanted: id_photo.Format,
) -> None:
    photo = id_photo.draw(layers(person), wanted, "#ffffff")
    inches = [length / id_photo.MM_PER_INCH for length in (wanted.width_mm, wanted.height_mm)]
    assert [side / 600 for side in photo.size] == pytest.approx(inches, abs=0.01)
    assert photo.info["dpi"] == (600, 600)
    red = plane(photo)[..., 1] < 100
    crown = np.nonzero(red.any(1))[0][0]
    assert 0.05 < crown / photo.height < 0.15
    head = np.nonzero(red[crown + photo.height // 5])[0]
    assert abs(head.mean() / photo.width - 0.5) < 0.03
    assert red[-1].any(), "no gap below the shoulders"


def finishing(tool: Tool, folder: Path, **changes: Any) -> Context:
    step = tool.steps[0]
    given = {"image": str(new_id()), **CHOICES[tool.key], **changes}
    return Context(folder, step.input_model.model_validate(given), step.settings_model())


def cut(folder: Path, opaque: bool = True, size: tuple[int, int] = SIZE) -> Result:
    picture = Image.new("RGBA", size)
    if opaque:
        picture.paste("red", (10, 10, 30, 40))
    picture.save(folder / "cutout.png")
    return Result(files=(File(folder / "cutout.png", "image/png"),))


@every_composition
async def test_a_result_says_its_size_and_kind(tmp_path: Path, key: str) -> None:
    tool = discovery.tool(key)
    (output,) = await tool.steps[0].finish(finishing(tool, tmp_path), cut(tmp_path))
    with Image.open(output.file.path) as made:
        assert made.size == (output.width, output.height)
        assert made.get_format_mimetype() == output.file.content_type


@pytest.mark.hazard("M22")
@every_composition
async def test_a_cutout_that_is_none_is_not_paid_for(tmp_path: Path, key: str) -> None:
    tool = discovery.tool(key)
    ctx = finishing(tool, tmp_path)
    for files in (0, 2):
        with pytest.raises(UnusableResult):
            await tool.steps[0].finish(ctx, Result(files=cut(tmp_path).files * files))
    with pytest.raises(UnusableResult, match="another size"):
        await tool.steps[0].finish(ctx, cut(tmp_path, size=(50, 40)))
    with pytest.raises(UnusableResult, match="could not find a subject"):
        await tool.steps[0].finish(ctx, cut(tmp_path, opaque=False))


@pytest.mark.parametrize(
    ("key", "choice"),
    [
        ("cutout-sticker", "border"),
        ("studio-backdrop", "backdrop"),
        ("id-photo", "format"),
        ("id-photo", "background"),
    ],
)
async def test_a_choice_that_is_gone_is_said_to_be(tmp_path: Path, key: str, choice: str) -> None:
    tool = discovery.tool(key)
    with pytest.raises(InvalidInput):
        await tool.steps[0].finish(finishing(tool, tmp_path, **{choice: "gone"}), cut(tmp_path))


def test_a_huge_photo_is_drawn_at_the_largest_size_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutouts, "MOST_SIDE_PX", 100)
    Image.new("RGBA", (400, 300), "red").save(tmp_path / "cutout.png")
    Image.new("RGB", (400, 300), "red").save(tmp_path / "photo.jpg")
    found = cutouts.layers(tmp_path / "cutout.png", tmp_path / "photo.jpg")
    assert found.photo.size == found.subject.size == (100, 75)


def test_a_photo_that_is_transparent_itself_stands_on_white(tmp_path: Path) -> None:
    Image.new("RGBA", SIZE, (255, 0, 0, 0)).save(tmp_path / "photo.png")
    found = cutouts.layers(tmp_path / "photo.png", tmp_path / "photo.png")
    assert found.photo.getpixel((5, 5)) == (255, 255, 255)
