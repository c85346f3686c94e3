"""Places the subject before a studio backdrop: two colours, a light behind, a soft shadow."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from PIL import Image as Pillow
from PIL import ImageColor, ImageFilter
from pydantic import Field

from funmagic.toolkit import cutouts
from funmagic.toolkit.contract import (
    N_,
    Capability,
    Choice,
    ChoiceField,
    Output,
    Result,
    Step,
    StepContext,
    StepSettings,
    Tool,
)

COLOUR = "^#[0-9a-f]{6}$"

# Width to height.
SHAPES = {"square": (1, 1), "portrait": (4, 5), "landscape": (4, 3)}
SIDE_PX = 1600
# The air around a subject that stands free, as a share of the canvas.
MARGIN = 0.1
# How far the subject's edge may be from the photo's to count as cut off there, in per mille.
CUT_OFF = 8
MOST_ENLARGED = 4.0


class Backdrop(Choice):
    """A backdrop people choose, from its colour above to its colour below."""

    top: str = Field(default="#c7d2fe", pattern=COLOUR, title=N_("Colour above"))
    bottom: str = Field(default="#f5d0fe", pattern=COLOUR, title=N_("Colour below"))


def _backdrop(slug: str, name: str, top: str, bottom: str) -> Backdrop:
    return Backdrop(slug=slug, name=name, top=top, bottom=bottom)


class StudioSettings(StepSettings):
    backdrops: tuple[Backdrop, ...] = Field(
        default=(
            _backdrop("lavender", N_("Lavender"), "#c7d2fe", "#f0cfee"),
            _backdrop("peach", N_("Peach"), "#ffe1c4", "#f9a38c"),
            _backdrop("mint", N_("Mint"), "#d9f7e6", "#7fcdb4"),
            _backdrop("sky", N_("Sky"), "#e0f2fe", "#7cb8ea"),
            _backdrop("sand", N_("Sand"), "#f7efe2", "#d6b98f"),
            _backdrop("sunset", N_("Sunset"), "#6d4aa5", "#f79c72"),
            _backdrop("graphite", N_("Graphite"), "#565a64", "#1d1f25"),
            _backdrop("white", N_("White"), "#ffffff", "#e6e7eb"),
        ),
        min_length=1,
        max_length=8,
        title=N_("Backdrops"),
        description=N_("What people choose from, at most eight."),
    )


class StudioInput(cutouts.PhotoInput):
    backdrop: Annotated[str, ChoiceField(label=N_("Backdrop"), choices="backdrops")] = Field(
        max_length=40
    )
    shape: Literal["square", "portrait", "landscape"] = Field(default="square", title=N_("Shape"))


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """The subject before the chosen backdrop. Raises :class:`UnusableResult`."""
    backdrop = cutouts.chosen(ctx.settings.backdrops, ctx.input.backdrop)
    size = canvas_size(ctx.input.shape)
    return await cutouts.composed(
        ctx, result, "studio", lambda layers: draw(layers, backdrop, size)
    )


def canvas_size(shape: str) -> tuple[int, int]:
    """Width and height in pixels, the longer one :data:`SIDE_PX`."""
    across, down = SHAPES[shape]
    longest = max(across, down)
    return SIDE_PX * across // longest, SIDE_PX * down // longest


def draw(layers: cutouts.Layers, backdrop: Backdrop, size: tuple[int, int]) -> Pillow.Image:
    """The composed picture, of ``size`` in pixels."""
    subject, (left, top) = placed(layers.subject, size)
    canvas = gradient(backdrop.top, backdrop.bottom, size)
    side = max(size)
    for offset, softness, opacity in ((0.03, 0.035, 0.26), (0.008, 0.008, 0.22)):
        shadow = Pillow.new("L", size)
        shadow.paste(subject.getchannel("A"), (left, top + round(side * offset)))
        shadow = shadow.filter(ImageFilter.GaussianBlur(side * softness))
        canvas.paste((24, 20, 36), mask=shadow.point(lambda value, much=opacity: value * much))
    canvas.paste(subject, (left, top), mask=subject)
    return canvas


def placed(subject: Pillow.Image, size: tuple[int, int]) -> tuple[Pillow.Image, tuple[int, int]]:
    """The subject enlarged or reduced to its place on the canvas, and its left upper corner there.

    Where the photo's edge cuts it off it stays at the canvas's edge, so that no straight cut shows.
    """
    box = cutouts.bounds(subject)
    slack = max(2, max(subject.size) * CUT_OFF // 1000)
    at_left, at_top = box[0] <= slack, box[1] <= slack
    at_right, at_bottom = box[2] >= subject.width - slack, box[3] >= subject.height - slack
    width, height = box[2] - box[0], box[3] - box[1]
    across = size[0] * (1 - MARGIN * (2 - at_left - at_right))
    down = size[1] * (1 - MARGIN * (2 - at_top - at_bottom))
    scale = min(across / width, down / height, MOST_ENLARGED)
    if at_left and at_right:
        scale = max(scale, size[0] / width)
    if at_top and at_bottom:
        scale = max(scale, size[1] / height)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    cut = subject.crop(box).resize((width, height), Pillow.Resampling.LANCZOS)
    left = _start(size[0], width, at_left, at_right)
    if at_bottom and height > size[1]:  # the head stays in the picture
        return cut, (left, 0 if at_top else round(size[1] * MARGIN))
    return cut, (left, _start(size[1], height, at_top, at_bottom))


def _start(room: int, length: int, at_start: bool, at_end: bool) -> int:
    if at_start == at_end:
        return (room - length) // 2
    return 0 if at_start else room - length


def gradient(top: str, bottom: str, size: tuple[int, int]) -> Pillow.Image:
    """From one colour to the other, lighter behind the subject, without bands."""
    down, across = np.mgrid[0 : size[1], 0 : size[0]].astype(np.float32)
    down, across = down / size[1], across / size[0]
    ends = [np.array(ImageColor.getrgb(colour)[:3], np.float32) for colour in (top, bottom)]
    share = (down * down * (3 - 2 * down))[..., np.newaxis]
    planes = ends[0] * (1 - share) + ends[1] * share
    light = np.exp(-(((across - 0.5) / 0.42) ** 2 + ((down - 0.42) / 0.42) ** 2))[..., np.newaxis]
    planes += (255 - planes) * 0.34 * light
    # A touch of grain, the same each time, hides the steps between colours.
    grain = np.random.default_rng(7).uniform(-1.2, 1.2, planes.shape[:2]).astype(np.float32)
    planes += grain[..., np.newaxis]
    return Pillow.fromarray(planes.clip(0, 255).astype(np.uint8))


TOOL = Tool(
    key="studio-backdrop",
    title=N_("Studio backdrop"),
    description=N_("Places your subject before a studio backdrop with soft light and shadow."),
    features=(
        N_("Backdrops to choose from"),
        N_("Square, portrait or landscape"),
        N_("Ready for shops and profiles"),
    ),
    steps=(
        Step(
            id="studio",
            title=N_("Setting up the studio"),
            action=N_("Place on backdrop"),
            capability=Capability.BACKGROUND_REMOVAL,
            input_model=StudioInput,
            settings_model=StudioSettings,
            prepare=cutouts.prepare,
            finish=finish,
            price_credits=8,
            recommended_provider="fal",
            recommended_model="fal-ai/bria/background/remove",
            deadline_s=180,
        ),
    ),
)
