"""What tools that redraw a photo in a style share: the styles an admin offers, the request, the
judgement of what comes back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from funmagic.core.i18n import N_
from funmagic.toolkit import images
from funmagic.toolkit.contract import (
    Choice,
    ChoiceField,
    File,
    ImageEdit,
    ImageRef,
    InvalidInput,
    Output,
    Result,
    StepContext,
    StepInput,
    StepSettings,
    UnusableResult,
)

MOST_STYLES = 8
STYLE_GONE = N_("This style is not offered any more. Please choose another.")


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


async def prepare(ctx: StepContext) -> ImageEdit:
    """The photo and the words (or picture) of the chosen style. Raises :class:`InvalidInput`."""
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


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """Accept one picture that shows something. Raises :class:`UnusableResult`."""
    if len(result.files) != 1:
        raise UnusableResult(images.UNREADABLE)
    picture = result.files[0]
    width, height = await images.in_thread(lambda: images.check_picture(picture))
    return [Output("picture", picture, width=width, height=height)]
