"""Figme: a photo becomes a picture in a chosen style, and the picture becomes a 3D model.

Two steps, each with its own price and button. The first redraws the photo as the admin's prompt
and the chosen style say; the second, where the person wants it, starts from the first's picture.
"""

from __future__ import annotations

from funmagic.toolkit import drawing, shaping
from funmagic.toolkit.contract import (
    N_,
    Capability,
    ImageTo3d,
    Step,
    StepContext,
    StepInput,
    Tool,
)


class ModelInput(StepInput):
    """Nothing is asked: the model is made from the first step's picture."""


async def model(ctx: StepContext) -> ImageTo3d:
    return ImageTo3d(image=(await ctx.open_parent()).file)


TOOL = Tool(
    key="figme",
    title=N_("Figme"),
    description=N_("Turns your photo into art in a style you choose, and the art into a 3D model."),
    features=(
        N_("Pick a style, see it appear while it is drawn"),
        N_("Make a 3D model of the picture you like"),
        N_("Leave whenever you want: the result waits for you"),
    ),
    steps=(
        Step(
            id="image-gen",
            title=N_("Drawing your picture"),
            action=N_("Generate"),
            capability=Capability.IMAGE_EDIT,
            input_model=drawing.DrawInput,
            settings_model=drawing.DrawSettings,
            prepare=drawing.prepare,
            finish=drawing.finish,
            price_credits=20,
            recommended_provider="openai",
            recommended_model="gpt-image-1.5",
            deadline_s=300,
        ),
        Step(
            id="3d-gen",
            title=N_("Shaping your 3D model"),
            action=N_("Figme"),
            capability=Capability.IMAGE_TO_3D,
            input_model=ModelInput,
            prepare=model,
            finish=shaping.finish,
            price_credits=30,
            recommended_provider="tripo",
            recommended_model="v3.1-20260211",
            deadline_s=900,
            asks_once_more=False,
            follows="image-gen",
        ),
    ),
)
