"""Makes a 3D model straight from a photo, in one step."""

from __future__ import annotations

from funmagic.toolkit import shaping
from funmagic.toolkit.contract import (
    N_,
    Capability,
    ImageRef,
    ImageTo3d,
    Step,
    StepContext,
    StepInput,
    Tool,
)


class ReliefInput(StepInput):
    image: ImageRef


async def prepare(ctx: StepContext) -> ImageTo3d:
    return ImageTo3d(image=(await ctx.open_image(ctx.input.image)).file)


TOOL = Tool(
    key="photo-relief",
    title=N_("Photo to 3D"),
    description=N_("Turns your photo into a 3D model you can turn and download."),
    features=(
        N_("Turn and zoom it in your browser"),
        N_("Download it as a GLB file"),
        N_("Works on people, animals and things"),
    ),
    steps=(
        Step(
            id="shape",
            title=N_("Shaping your 3D model"),
            action=N_("Make a 3D model"),
            capability=Capability.IMAGE_TO_3D,
            input_model=ReliefInput,
            prepare=prepare,
            finish=shaping.finish,
            price_credits=25,
            recommended_provider="tripo",
            recommended_model="v3.1-20260211",
            deadline_s=900,
            asks_once_more=False,
        ),
    ),
)
