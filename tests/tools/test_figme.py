"""Figme's own judgement: what it asks for in a style's name, and what is worth paying for."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow
from pydantic import ValidationError
from tests.tools.context import Context

from funmagic.core.ids import new_id
from funmagic.providers.contract import File, ImageEdit, ImageTo3d, Result
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import InvalidInput, UnusableResult

TOOL = discovery.tool("figme")
DRAW, SHAPE = TOOL.steps
PENCIL = {"slug": "pencil", "name": "Pencil", "prompt": "Graphite on paper."}
POP = {"slug": "pop-art", "name": "Pop art"}


def context(folder: Path, *styles: dict[str, Any], style: str = "pencil") -> Context:
    settings = {"prompt": "Redraw this.", "styles": list(styles)}
    return Context(
        folder,
        DRAW.input_model.model_validate({"image": str(new_id()), "style": style}),
        DRAW.settings_model.model_validate(settings),
    )


async def asked(ctx: Context) -> ImageEdit:
    request = await DRAW.prepare(ctx)
    assert isinstance(request, ImageEdit)
    return request


def styles(number: int) -> list[dict[str, Any]]:
    return [{"slug": f"style-{n}", "name": f"Style {n}"} for n in range(number)]


async def test_the_steps_prompt_comes_first_then_the_styles_own(tmp_path: Path) -> None:
    request = await asked(context(tmp_path, POP, PENCIL))
    assert request.prompt == "Redraw this.\n\nGraphite on paper."
    assert request.references == ()


async def test_a_style_without_a_prompt_is_asked_for_by_its_name(tmp_path: Path) -> None:
    request = await asked(context(tmp_path, POP, style="pop-art"))
    assert request.prompt == "Redraw this.\n\nStyle: Pop art."


@pytest.mark.parametrize("use_image", [True, False])
async def test_a_styles_picture_is_sent_along_only_where_the_admin_wants_it(
    tmp_path: Path, use_image: bool
) -> None:
    picture = new_id()
    ctx = context(tmp_path, PENCIL | {"image": str(picture), "useImage": use_image})
    request = await asked(ctx)
    assert len(request.references) == int(use_image)
    assert (picture in ctx.opened) == use_image
    assert ctx.opened[0] == ctx.input.image


async def test_a_style_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        await DRAW.prepare(context(tmp_path, POP))


@pytest.mark.parametrize("number", [0, 1, 8])
def test_up_to_eight_styles_can_be_offered(number: int) -> None:
    settings: Any = DRAW.settings_model.model_validate({"styles": styles(number)})
    assert len(settings.styles) == number


@pytest.mark.parametrize(
    "wrong",
    [
        styles(9),
        [PENCIL, PENCIL],
        [PENCIL | {"slug": "Two Words"}],
        [PENCIL | {"name": ""}],
        [PENCIL | {"image": "https://pictures.example/pencil.png"}],
        [PENCIL | {"prompt": "x" * 2001}],
    ],
)
def test_anything_else_is_refused(wrong: list[dict[str, Any]]) -> None:
    with pytest.raises(ValidationError):
        DRAW.settings_model.model_validate({"styles": wrong})


async def test_a_picture_is_handed_on_with_its_size(tmp_path: Path) -> None:
    Pillow.linear_gradient("L").save(tmp_path / "drawn.png")
    result = Result(files=(File(tmp_path / "drawn.png", "image/png"),))
    (output,) = await DRAW.finish(context(tmp_path, PENCIL), result)
    assert (output.kind, output.width, output.height) == ("image", 256, 256)


@pytest.mark.hazard("M22")
@pytest.mark.parametrize("content", [b"", b"not a picture", None])
async def test_a_picture_that_shows_nothing_is_not_paid_for(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "drawn.png"
    if content is None:
        Pillow.new("RGB", (64, 64), "white").save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(UnusableResult):
        await DRAW.finish(context(tmp_path, PENCIL), Result(files=(File(path, "image/png"),)))
    with pytest.raises(UnusableResult):
        await DRAW.finish(context(tmp_path, PENCIL), Result(files=()))


async def test_the_model_is_made_of_the_parents_picture(tmp_path: Path) -> None:
    ctx = Context(tmp_path, SHAPE.input_model())
    request = await SHAPE.prepare(ctx)
    assert request == ImageTo3d(File(tmp_path / "parent.png", "image/png"))


@pytest.mark.hazard("M22")
@pytest.mark.parametrize("meshes", [None, []])
async def test_a_model_without_a_mesh_is_not_paid_for(tmp_path: Path, meshes: Any) -> None:
    described = json.dumps({"asset": {"version": "2.0"}, "meshes": meshes}).encode()
    described += b" " * (-len(described) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 20 + len(described))
    path = tmp_path / "model.glb"
    path.write_bytes(head + struct.pack("<I4s", len(described), b"JSON") + described)
    made = Result(files=(File(path, "model/gltf-binary"),))
    with pytest.raises(UnusableResult):
        await SHAPE.finish(Context(tmp_path, SHAPE.input_model()), made)
