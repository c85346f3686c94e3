"""Keeps the subject in colour and takes the colour out of everything around it."""

from __future__ import annotations

from typing import Literal

from PIL import Image as Pillow
from PIL import ImageEnhance, ImageOps
from pydantic import Field

from funmagic.toolkit import cutouts
from funmagic.toolkit.contract import (
    N_,
    Capability,
    Output,
    Result,
    Step,
    StepContext,
    Tool,
)

# What black, grey and white become around the subject.
TONES = {
    "grey": ("#050506", "#7c7c7e", "#f4f4f5"),
    "warm": ("#120a05", "#8a745f", "#fbf1e2"),
    "dark": ("#000002", "#3d4046", "#a9adb5"),
}
VIVID = 1.28


class PopInput(cutouts.PhotoInput):
    background: Literal["grey", "warm", "dark"] = Field(default="grey", title=N_("Background"))


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """The photo, coloured where its subject is. Raises :class:`UnusableResult`."""
    tones = TONES[ctx.input.background]
    return await cutouts.composed(ctx, result, "colour-pop", lambda layers: draw(layers, tones))


def draw(layers: cutouts.Layers, tones: tuple[str, str, str]) -> Pillow.Image:
    """The composed picture, of the layers' size. ``tones`` are dark, middle and light."""
    black, middle, white = tones
    grey = ImageOps.grayscale(layers.photo)
    picture = ImageOps.colorize(grey, black=black, mid=middle, white=white)
    vivid = ImageEnhance.Color(layers.photo).enhance(VIVID)
    picture.paste(vivid, mask=layers.subject.getchannel("A"))
    return picture


TOOL = Tool(
    key="colour-pop",
    title=N_("Colour pop"),
    description=N_("Keeps your subject in bright colour and turns everything else grey."),
    features=(
        N_("Your subject draws every eye"),
        N_("Grey, warm or dark surroundings"),
        N_("Works on people, animals and things"),
    ),
    steps=(
        Step(
            id="pop",
            title=N_("Making colours pop"),
            action=N_("Make colours pop"),
            capability=Capability.BACKGROUND_REMOVAL,
            input_model=PopInput,
            prepare=cutouts.prepare,
            finish=finish,
            price_credits=5,
            recommended_provider="fal",
            recommended_model="fal-ai/bria/background/remove",
            deadline_s=180,
        ),
    ),
    result_view="before-after",
)
