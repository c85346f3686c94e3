"""Makes a sticker of a photo: the subject cut out, with an even border and a slight shadow."""

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

# Of the subject's longer side, in per mille.
BORDERS = {"thin": 14, "wide": 30}
SHADOW_PER_MILLE = 9
SHADOW_OPACITY = 0.38
# The border's outline is found on a copy of this side.
WORK_SIDE_PX = 900
# How much of the outline's bays are filled, in border widths: a blade follows round curves.
ROUNDING = 1.2


class Border(Choice):
    """A colour people choose; the admin names it."""

    colour: str = Field(default="#ffffff", pattern="^#[0-9a-f]{6}$", title=N_("Colour"))


class StickerSettings(StepSettings):
    borders: tuple[Border, ...] = Field(
        default=(
            Border(slug="white", name=N_("White")),
            Border(slug="black", name=N_("Black"), colour="#18181b"),
            Border(slug="yellow", name=N_("Yellow"), colour="#facc15"),
            Border(slug="pink", name=N_("Pink"), colour="#f472b6"),
            Border(slug="mint", name=N_("Mint"), colour="#6ee7b7"),
            Border(slug="sky", name=N_("Sky"), colour="#7dd3fc"),
        ),
        min_length=1,
        max_length=8,
        title=N_("Borders"),
        description=N_("What people choose from, at most eight."),
    )


class StickerInput(cutouts.PhotoInput):
    border: Annotated[str, ChoiceField(label=N_("Border"), choices="borders")] = Field(
        max_length=40
    )
    width: Literal["thin", "wide"] = Field(default="wide", title=N_("Width"))


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """The sticker, cut to its size. Raises :class:`UnusableResult`."""
    border = cutouts.chosen(ctx.settings.borders, ctx.input.border)
    share = BORDERS[ctx.input.width]
    return await cutouts.composed(
        ctx, result, "sticker", lambda layers: draw(layers, border.colour, share)
    )


def draw(layers: cutouts.Layers, colour: str, border_per_mille: int) -> Pillow.Image:
    """The sticker as RGBA: subject, border, and the shadow it throws."""
    subject = layers.subject.crop(cutouts.bounds(layers.subject))
    side_px = max(subject.size)
    border_px = max(2, round(side_px * border_per_mille / 1000))
    shadow_px = max(1, round(side_px * SHADOW_PER_MILLE / 1000))
    margin = border_px + 3 * shadow_px
    sheet = Pillow.new("RGBA", (subject.width + 2 * margin, subject.height + 2 * margin))
    sheet.paste(subject, (margin, margin))
    outline = _outline(sheet.getchannel("A"), border_px)
    shadow = Pillow.new("L", sheet.size)
    shadow.paste(outline.point(lambda value: value * SHADOW_OPACITY), (0, shadow_px))
    sticker = Pillow.new("RGBA", sheet.size)
    sticker.putalpha(shadow.filter(ImageFilter.GaussianBlur(shadow_px)))
    paper = Pillow.new("RGBA", sheet.size, (*ImageColor.getrgb(colour)[:3], 255))
    paper.putalpha(outline)
    sticker.alpha_composite(paper)
    sticker.alpha_composite(sheet)
    return sticker


def _outline(alpha: Pillow.Image, border_px: int) -> Pillow.Image:
    """The alpha grown by the border, its narrow bays filled, its edge smooth."""
    small = cutouts.reduced(alpha, WORK_SIDE_PX)
    border = border_px * max(small.size) / max(alpha.size)
    solid = (cutouts.planes_of(small) > 0.5).astype(np.float32)
    rounding = border * ROUNDING
    room = int(np.ceil(border + rounding)) + 2
    grown = cutouts.spread(np.pad(solid, room), border + rounding)
    shrunk = cutouts.spread(grown, -rounding)[room:-room, room:-room]
    large = cutouts.picture_of(shrunk).resize(alpha.size, Pillow.Resampling.BICUBIC)
    return large.filter(ImageFilter.GaussianBlur(max(alpha.size) / max(small.size))).point(
        [max(0, min(255, round((value - 96) * 4))) for value in range(256)]
    )


TOOL = Tool(
    key="cutout-sticker",
    title=N_("Sticker maker"),
    description=N_("Cuts out your subject and gives it a border like a real sticker."),
    features=(
        N_("A round and even border"),
        N_("Several colours to choose from"),
        N_("Transparent PNG, ready to place anywhere"),
    ),
    steps=(
        Step(
            id="sticker",
            title=N_("Cutting your sticker"),
            action=N_("Make a sticker"),
            capability=Capability.BACKGROUND_REMOVAL,
            input_model=StickerInput,
            settings_model=StickerSettings,
            prepare=cutouts.prepare,
            finish=finish,
            price_credits=6,
            recommended_provider="fal",
            recommended_model="fal-ai/bria/background/remove",
            deadline_s=180,
        ),
    ),
)
