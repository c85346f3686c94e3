"""Makes a photo for a document: the head where it belongs, a plain background, the right size."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from PIL import Image as Pillow
from PIL import ImageColor
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

DPI = 600
MM_PER_INCH = 25.4
# Shares of the picture's height: the air above the head, and head and neck together.
AIR, HEAD = 0.1, 0.66
# Rows this much wider than the head are shoulders.
SHOULDERS = 1.7


class Format(Choice):
    """A size people choose, in millimetres."""

    width_mm: int = Field(default=35, ge=10, le=100, title=N_("Width in millimetres"))
    height_mm: int = Field(default=45, ge=10, le=100, title=N_("Height in millimetres"))


class Plain(Choice):
    """A background people choose."""

    colour: str = Field(default="#ffffff", pattern="^#[0-9a-f]{6}$", title=N_("Colour"))


class IdSettings(StepSettings):
    formats: tuple[Format, ...] = Field(
        default=(
            Format(slug="35x45", name="35 × 45 mm"),
            Format(slug="51x51", name="51 × 51 mm", width_mm=51, height_mm=51),
            Format(slug="33x48", name="33 × 48 mm", width_mm=33, height_mm=48),
        ),
        min_length=1,
        max_length=8,
        title=N_("Sizes"),
        description=N_("What people choose from, at most eight."),
    )
    backgrounds: tuple[Plain, ...] = Field(
        default=(
            Plain(slug="white", name=N_("White")),
            Plain(slug="light-grey", name=N_("Light grey"), colour="#dfe1e5"),
            Plain(slug="light-blue", name=N_("Light blue"), colour="#c5dcf2"),
        ),
        min_length=1,
        max_length=8,
        title=N_("Backgrounds"),
        description=N_("What people choose from, at most eight."),
    )


class IdInput(cutouts.PhotoInput):
    format: Annotated[str, ChoiceField(label=N_("Size"), choices="formats")] = Field(max_length=40)
    background: Annotated[str, ChoiceField(label=N_("Background"), choices="backgrounds")] = Field(
        max_length=40
    )


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """The photo at the size of the document. Raises :class:`UnusableResult`."""
    wanted = cutouts.chosen(ctx.settings.formats, ctx.input.format)
    plain = cutouts.chosen(ctx.settings.backgrounds, ctx.input.background)
    return await cutouts.composed(
        ctx, result, "id-photo", lambda layers: draw(layers, wanted, plain.colour)
    )


def draw(layers: cutouts.Layers, wanted: Format, colour: str) -> Pillow.Image:
    """The picture at the size in print, with the resolution it is meant for."""
    size = (_pixels(wanted.width_mm), _pixels(wanted.height_mm))
    subject = layers.subject
    left, top, right, bottom = cutouts.bounds(subject)
    middle, head_px = head_of(subject.getchannel("A").crop((left, top, right, bottom)))
    scale = HEAD * size[1] / head_px
    # Where the photo ends, the picture must end: no straight cut shows, at the side or below.
    scale = max(scale, size[1] / (subject.height - top))
    nearest = min(left + middle, subject.width - left - middle)
    if left <= 2 or right >= subject.width - 2:
        scale = max(scale, size[0] / 2 / max(1.0, nearest))
    air = AIR if top > 2 else 0  # a crown the photo cuts off stays at the edge
    corner = (left + middle - size[0] / 2 / scale, top - air * size[1] / scale)
    area = (*corner, corner[0] + size[0] / scale, corner[1] + size[1] / scale)
    seen = subject.transform(size, Pillow.Transform.EXTENT, area, Pillow.Resampling.BICUBIC)
    picture = Pillow.new("RGB", size, ImageColor.getrgb(colour)[:3])
    picture.paste(seen, mask=seen)
    picture.info["dpi"] = (DPI, DPI)
    return picture


def head_of(alpha: Pillow.Image) -> tuple[float, float]:
    """The middle of the head from the left, and where it ends, with the neck, below the crown.

    Both in pixels. Head and neck end where the outline becomes as wide as shoulders; a subject
    without such a place counts as a head of four fifths of its height.
    """
    solid = np.asarray(alpha) >= cutouts.OPAQUE_FROM
    widths = solid.sum(1)
    crown = max(1, len(widths) // 20)
    end = round(len(widths) * 0.8)
    for row in range(2 * crown, len(widths)):
        if widths[row] > SHOULDERS * np.median(widths[crown:row]):
            end = row
            break
    across = np.nonzero(solid[:end])[1]
    return float(np.median(across)), float(max(1, end))


def _pixels(length_mm: int) -> int:
    return round(length_mm / MM_PER_INCH * DPI)


TOOL = Tool(
    key="id-photo",
    title=N_("ID photo"),
    description=N_("Turns a portrait into an ID photo with a plain background and the right size."),
    features=(
        N_("The head is placed for you"),
        N_("Sizes and backgrounds to choose from"),
        N_("Ready to print"),
    ),
    steps=(
        Step(
            id="id-photo",
            title=N_("Making your ID photo"),
            action=N_("Make an ID photo"),
            capability=Capability.BACKGROUND_REMOVAL,
            input_model=IdInput,
            settings_model=IdSettings,
            prepare=cutouts.prepare,
            finish=finish,
            price_credits=8,
            recommended_provider="fal",
            recommended_model="fal-ai/bria/background/remove",
            deadline_s=180,
        ),
    ),
)
