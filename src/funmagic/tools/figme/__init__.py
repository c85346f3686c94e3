"""Figme: a photo becomes a picture in a chosen style, and the picture becomes a 3D model.

Two steps, each with its own price and button. The first redraws the photo as the admin's prompt
and the chosen style say; the second, where the person wants it, starts from the first's picture.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from funmagic.toolkit import glb, images
from funmagic.toolkit.contract import (
    N_,
    Capability,
    Choice,
    ChoiceField,
    File,
    ImageEdit,
    ImageRef,
    ImageTo3d,
    InvalidInput,
    Output,
    Result,
    Step,
    StepContext,
    StepInput,
    StepSettings,
    Tool,
    UnusableResult,
)

MOST_STYLES = 8
STYLE_GONE = N_("This style is not offered any more. Please choose another.")
UNREADABLE = N_("The result could not be read. You were not charged.")


class Style(Choice):
    """A style people choose: what is asked for, and the picture that shows (or sets) it."""

    prompt: str = Field(
        default="",
        max_length=2000,
        title=N_("Prompt"),
        description=N_("What makes this style, in words. Added to the step's prompt."),
    )
    use_image: bool = Field(
        default=True,
        title=N_("Send the picture along"),
        description=N_("The provider sees the picture as a reference of the style."),
    )


class DrawSettings(StepSettings):
    prompt: str = Field(
        default=(
            "Redraw this photo as an original illustration of the same subject. Keep the subject's "
            "pose, proportions and expression; one subject, centred, whole, on a plain background."
        ),
        max_length=4000,
        title=N_("Prompt"),
        description=N_("Sent with every photo, before the style's own prompt."),
    )
    styles: tuple[Style, ...] = Field(
        default=(),
        max_length=MOST_STYLES,
        title=N_("Styles"),
        description=N_("What people choose from, at most eight."),
    )

    @model_validator(mode="after")
    def _slugs_differ(self) -> DrawSettings:
        slugs = [style.slug for style in self.styles]
        if len(set(slugs)) != len(slugs):
            raise ValueError(N_("Two styles have the same slug."))
        return self


class DrawInput(StepInput):
    style: Annotated[str, ChoiceField(label=N_("Style"), choices="styles")] = Field(max_length=40)
    image: ImageRef


class ModelInput(StepInput):
    """Nothing is asked: the model is made from the first step's picture."""


async def draw(ctx: StepContext) -> ImageEdit:
    settings: DrawSettings = ctx.settings
    style = next((style for style in settings.styles if style.slug == ctx.input.style), None)
    if style is None:
        raise InvalidInput(STYLE_GONE)
    photo = await ctx.open_image(ctx.input.image)
    references: tuple[File, ...] = ()
    if style.use_image and style.image is not None:
        references = ((await ctx.open_media(style.image)).file,)
    words = (settings.prompt, style.prompt or f"Style: {style.name}.")
    return ImageEdit(
        image=photo.file, prompt="\n\n".join(filter(None, words)), references=references
    )


async def accept_picture(ctx: StepContext, result: Result) -> list[Output]:
    """Accept one picture that shows something. Raises :class:`UnusableResult`."""
    if len(result.files) != 1:
        raise UnusableResult(UNREADABLE)
    picture = result.files[0]
    width, height = await images.in_thread(lambda: images.check_picture(picture))
    return [Output("picture", picture, width=width, height=height)]


async def model(ctx: StepContext) -> ImageTo3d:
    return ImageTo3d(image=(await ctx.open_parent()).file)


async def accept_model(ctx: StepContext, result: Result) -> list[Output]:
    """Accept a GLB with something in it. Raises :class:`UnusableResult`."""
    if not result.files:
        raise UnusableResult(UNREADABLE)
    made, *pictures = result.files
    await images.in_thread(lambda: glb.check(made))
    return [
        Output(
            "model",
            made,
            kind="3d",
            poster=pictures[0] if pictures else None,
            is_relief=result.meta.get("isRelief") is True,
        )
    ]


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
            input_model=DrawInput,
            settings_model=DrawSettings,
            prepare=draw,
            finish=accept_picture,
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
            finish=accept_model,
            price_credits=30,
            recommended_provider="tripo",
            recommended_model="v3.1-20260211",
            deadline_s=900,
            asks_once_more=False,
            follows="image-gen",
        ),
    ),
)
