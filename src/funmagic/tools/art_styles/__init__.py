"""Paints a photo anew in a style people choose; what is in the photo stays where it is."""

from __future__ import annotations

from pydantic import Field

from funmagic.toolkit import drawing
from funmagic.toolkit.contract import N_, Capability, Step, Tool


def _style(slug: str, name: str, prompt: str) -> drawing.Style:
    return drawing.Style(slug=slug, name=name, prompt=prompt)


# In the words a drawing model understands; the local provider goes by them, too.
STYLES = (
    _style(
        "starry-night",
        N_("Starry night"),
        "Swirling strokes of deep blue and yellow, a starry night.",
    ),
    _style(
        "oil-painting", N_("Oil painting"), "An oil painting, thick visible strokes, warm light."
    ),
    _style("watercolour", N_("Watercolour"), "A loose watercolour: light washes on rough paper."),
    _style("pencil", N_("Pencil"), "A fine graphite pencil drawing on white paper."),
    _style("pop-art", N_("Pop art"), "A screen printed poster in a few loud colours."),
    _style("woodblock", N_("Woodblock"), "A Japanese woodblock print, flat colours."),
    _style("pastel", N_("Pastel"), "Soft chalk pastel, powdery colours."),
    _style("comic", N_("Comic"), "A comic book panel: bold outlines, halftone shadows."),
)


class PaintSettings(drawing.DrawSettings):
    prompt: str = Field(
        default=(
            "Paint this photo anew. Keep everything in it where it is: composition, framing, "
            "subject, pose and expression."
        ),
        max_length=4000,
        title=N_("Prompt"),
        description=N_("Sent with every photo, before the style's own prompt."),
    )
    styles: tuple[drawing.Style, ...] = Field(
        default=STYLES,
        max_length=drawing.MOST_STYLES,
        title=N_("Styles"),
        description=N_("What people choose from, at most eight."),
    )


TOOL = Tool(
    key="art-styles",
    title=N_("Art styles"),
    description=N_("Paints your photo anew, from watercolour to comic."),
    features=(
        N_("Eight styles to choose from"),
        N_("Keeps faces and shapes where they are"),
        N_("See the painting appear while it is made"),
    ),
    steps=(
        Step(
            id="paint",
            title=N_("Painting your picture"),
            action=N_("Paint my photo"),
            capability=Capability.IMAGE_EDIT,
            input_model=drawing.DrawInput,
            settings_model=PaintSettings,
            prepare=drawing.prepare,
            finish=drawing.finish,
            price_credits=12,
            recommended_provider="openai",
            recommended_model="gpt-image-1.5",
            deadline_s=300,
        ),
    ),
    result_view="before-after",
)
