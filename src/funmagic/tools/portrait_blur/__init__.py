"""Puts the background of a photo out of focus, as a fast lens would; the subject stays sharp.

The background is blurred by a disc in linear light, so that lights become discs, and without the
subject's own colours, so that it has no glow around it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image as Pillow
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

# The disc's radius in per mille of the photo's longer side.
RADII = {"soft": 9, "medium": 18, "strong": 32}
WORK_SIDE_PX = 900
GAMMA = 2.2
# A window that sees less of the background than this share sees none.
LEAST_BACKGROUND = 1e-3
# The window that fills in where that is so, as a share of the photo's longer side.
SURROUNDINGS = 0.08


class BlurInput(cutouts.PhotoInput):
    blur: Literal["soft", "medium", "strong"] = Field(default="medium", title=N_("Blur"))


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """The subject on a background out of focus. Raises :class:`UnusableResult`."""
    share = RADII[ctx.input.blur]
    return await cutouts.composed(ctx, result, "portrait", lambda layers: draw(layers, share))


def draw(layers: cutouts.Layers, radius_per_mille: int) -> Pillow.Image:
    """The composed picture, of the layers' size."""
    small = cutouts.reduced(layers.photo, WORK_SIDE_PX)
    alpha = layers.subject.getchannel("A").resize(small.size, Pillow.Resampling.BOX)
    # what is near the subject has some of its colour: it is left out, too
    behind = 1 - cutouts.spread(cutouts.planes_of(alpha), 2.0)
    window = cutouts.disc(max(1.0, max(small.size) * radius_per_mille / 1000))
    light = cutouts.planes_of(small) ** GAMMA
    wide = cutouts.disc(max(small.size) * SURROUNDINGS)
    weight = cutouts.convolved(behind, window).clip(LEAST_BACKGROUND, None)
    far = cutouts.convolved(behind, wide).clip(LEAST_BACKGROUND, None)
    trust = np.clip(weight * 8, 0, 1)
    blurred = np.empty_like(light)
    for channel in range(3):
        seen = light[..., channel] * behind
        near = cutouts.convolved(seen, window) / weight
        # Behind the subject the lens's disc sees too little: there the surroundings fill in.
        blurred[..., channel] = trust * near + (1 - trust) * cutouts.convolved(seen, wide) / far
    soft = cutouts.picture_of(blurred.clip(0, 1) ** np.float32(1 / GAMMA))
    picture = soft.resize(layers.photo.size, Pillow.Resampling.BICUBIC)
    picture.paste(layers.subject, mask=layers.subject.getchannel("A"))
    return picture


TOOL = Tool(
    key="portrait-blur",
    title=N_("Portrait blur"),
    description=N_("Puts the background out of focus and keeps your subject sharp."),
    features=(
        N_("Looks like a photo from a fast lens"),
        N_("Three strengths, from soft to strong"),
        N_("Works on people, animals and things"),
    ),
    steps=(
        Step(
            id="blur",
            title=N_("Blurring the background"),
            action=N_("Blur the background"),
            capability=Capability.BACKGROUND_REMOVAL,
            input_model=BlurInput,
            prepare=cutouts.prepare,
            finish=finish,
            price_credits=6,
            recommended_provider="fal",
            recommended_model="fal-ai/bria/background/remove",
            deadline_s=180,
        ),
    ),
    result_view="before-after",
)
