"""Removes the background of one photo: one step, one price, a transparent PNG of the same size."""

from __future__ import annotations

from funmagic.toolkit import cutouts, images
from funmagic.toolkit.contract import (
    N_,
    Capability,
    Output,
    Result,
    Step,
    StepContext,
    Tool,
)


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """Accept the cutout only if it is one. Raises :class:`UnusableResult`: nothing is charged."""
    photo = await ctx.open_image(ctx.input.image)
    cutout = cutouts.only_file(result)
    await images.in_thread(lambda: cutouts.check(cutout.path, photo))
    return [Output("cutout", cutout, width=photo.width, height=photo.height)]


TOOL = Tool(
    key="background-remove",
    title=N_("Background remover"),
    description=N_(
        "Cuts the subject out of your photo and makes everything around it transparent."
    ),
    features=(
        N_("Works on people, animals and things"),
        N_("Keeps the full size of your photo"),
        N_("Transparent PNG, ready to place anywhere"),
    ),
    steps=(
        Step(
            id="remove",
            title=N_("Removing the background"),
            action=N_("Remove background"),
            capability=Capability.BACKGROUND_REMOVAL,
            input_model=cutouts.PhotoInput,
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
