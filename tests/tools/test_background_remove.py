"""The background remover's own judgement: what it asks for, and which results are worth paying."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow
from tests.tools.context import SIZE, Context

from funmagic.core.ids import new_id
from funmagic.providers.contract import BackgroundRemoval
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import File, Output, Result, UnusableResult

TOOL = discovery.tool("background-remove")
STEP = TOOL.steps[0]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, STEP.input_model.model_validate({"image": str(new_id())}))


async def judge(context: Context, draw: Callable[[Path], None], files: int = 1) -> list[Output]:
    path = context.work_dir / "cutout.png"
    draw(path)
    return await STEP.finish(context, Result(files=(File(path, "image/png"),) * files))


def cutout(opaque_pixels: int, size: tuple[int, int] = SIZE) -> Pillow.Image:
    """A cutout of which that many pixels are opaque, the others almost but not quite gone."""
    alpha = Pillow.new("L", size, 20)
    alpha.putdata([255] * opaque_pixels + [20] * (size[0] * size[1] - opaque_pixels))
    picture = Pillow.new("RGBA", size, "red")
    picture.putalpha(alpha)
    return picture


async def test_it_asks_for_the_photo_it_was_given(context: Context) -> None:
    request = await STEP.prepare(context)
    photo = context.work_dir / f"{context.input.image}.png"
    assert request == BackgroundRemoval(File(photo, "image/png"))
    assert context.opened == [context.input.image]


@pytest.mark.parametrize("opaque", [10, 11, 1000, 1989, 1990])
async def test_a_cutout_is_handed_on_with_its_size(context: Context, opaque: int) -> None:
    (output,) = await judge(context, lambda path: cutout(opaque).save(path))
    assert (output.name, output.kind, output.width, output.height) == ("cutout", "image", 40, 50)
    assert output.file.content_type == "image/png"


@pytest.mark.hazard("M22")
@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda path: cutout(0).save(path), "could not find a subject"),
        (lambda path: cutout(9).save(path), "could not find a subject"),
        (lambda path: cutout(1991).save(path), "could not find a background"),
        (lambda path: cutout(2000).save(path), "could not find a background"),
        (lambda path: cutout(900, (50, 40)).save(path), "another size"),
        (lambda path: Pillow.new("RGB", SIZE).save(path), "was not removed"),
        (lambda path: cutout(900).convert("RGB").save(path, "JPEG"), "could not be read"),
        (lambda path: path.write_bytes(b""), "could not be read"),
        (lambda path: path.write_text("<html>gateway error</html>"), "could not be read"),
        (lambda path: path.unlink(missing_ok=True), "could not be read"),
    ],
    ids=[
        "empty",
        "a-few-pixels",
        "nearly-everything",
        "everything",
        "turned",
        "no-alpha",
        "jpeg",
        "no-bytes",
        "html",
        "no-file",
    ],
)
async def test_an_unusable_result_is_refused_with_its_reason(
    context: Context, draw: Callable[[Path], None], reason: str
) -> None:
    with pytest.raises(UnusableResult, match=reason) as refusal:
        await judge(context, draw)
    assert refusal.value.reason.endswith("You were not charged.")


@pytest.mark.hazard("M22")
async def test_a_truncated_result_is_refused(context: Context) -> None:
    def draw(path: Path) -> None:
        Pillow.effect_noise(SIZE, 90).convert("RGBA").save(path)
        path.write_bytes(path.read_bytes()[:900])

    with pytest.raises(UnusableResult, match="could not be read"):
        await judge(context, draw)


@pytest.mark.hazard("M22")
@pytest.mark.parametrize("files", [0, 2])
async def test_anything_but_one_file_is_refused(context: Context, files: int) -> None:
    with pytest.raises(UnusableResult, match="could not be read"):
        await judge(context, lambda path: cutout(900).save(path), files)
