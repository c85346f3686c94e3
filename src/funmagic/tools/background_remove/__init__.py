"""Removes the background of one photo: one step, one price, a transparent PNG of the same size."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as Pillow

from funmagic.toolkit import images
from funmagic.toolkit.contract import (
    N_,
    BackgroundRemoval,
    Capability,
    Image,
    ImageRef,
    Output,
    Result,
    Step,
    StepContext,
    StepInput,
    Tool,
    UnusableResult,
)

# A pixel from this opacity on (of 255) belongs to the subject.
OPAQUE_FROM = 128
# Shares of the picture, in per mille: less is nothing cut out, more is nothing cut away.
FEWEST_OPAQUE, MOST_OPAQUE = 5, 995


class RemoveInput(StepInput):
    image: ImageRef


async def prepare(ctx: StepContext) -> BackgroundRemoval:
    photo = await ctx.open_image(ctx.input.image)
    return BackgroundRemoval(image=photo.file)


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """Accept the cutout only if it is one. Raises :class:`UnusableResult`: nothing is charged."""
    photo = await ctx.open_image(ctx.input.image)
    if len(result.files) != 1:
        raise UnusableResult(N_("The result could not be read. You were not charged."))
    cutout = result.files[0]
    await images.in_thread(lambda: check_cutout(cutout.path, photo))
    return [Output("cutout", cutout, width=photo.width, height=photo.height)]


def check_cutout(path: Path, photo: Image) -> None:
    """Raises :class:`UnusableResult` with the reason the user reads."""
    try:
        with Pillow.open(path, formats=("PNG",)) as opened:
            size = opened.size
            alpha = opened.getchannel("A") if opened.mode == "RGBA" else None
    except Exception:  # a decoder may raise anything over damaged bytes
        raise UnusableResult(N_("The result could not be read. You were not charged.")) from None
    if size != (photo.width, photo.height):
        raise UnusableResult(
            N_("The result has another size than your photo. You were not charged.")
        )
    if alpha is None:
        raise UnusableResult(N_("The background was not removed. You were not charged."))
    opaque = 1000 * sum(alpha.histogram()[OPAQUE_FROM:]) / (size[0] * size[1])
    if opaque < FEWEST_OPAQUE:
        raise UnusableResult(N_("We could not find a subject in this photo. You were not charged."))
    if opaque > MOST_OPAQUE:
        raise UnusableResult(
            N_("We could not find a background in this photo. You were not charged.")
        )


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
            input_model=RemoveInput,
            prepare=prepare,
            finish=finish,
            price_credits=5,
            recommended_provider="fal",
            recommended_model="fal-ai/bria/background/remove",
            deadline_s=180,
        ),
    ),
    result_view="before-after",
)
