"""OpenAI's image models, newest knowledge of 2026-11, and what an admin may set for each.

An option a model does not take is not in its options model, so that nobody can set it. Source: the
parameters of ``POST /v1/images/edits`` as the official SDK documents them (openai 3.54).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from funmagic.core.i18n import N_
from funmagic.providers.contract import Offer, Options

MAX_SIDE_PX = 3840
MAX_PIXELS = 3840 * 2160
STEP_PX = 16
MAX_RATIO = 3

WRONG_SIZE = N_(
    "Write auto, or WIDTHxHEIGHT: multiples of 16, no side longer than three times the other, "
    "at most 3840x2160."
)
OPAQUE_ONLY = N_("JPEG has no transparency. Choose PNG or WebP.")


def _fits(size: str) -> str:
    """``auto`` or a size the models take. Raises ValueError."""
    if size == "auto":
        return size
    found = re.fullmatch(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", size)
    if found is None:
        raise ValueError(WRONG_SIZE)
    width, height = int(found[1]), int(found[2])
    if (
        width % STEP_PX
        or height % STEP_PX
        or max(width, height) > min(MAX_SIDE_PX, MAX_RATIO * min(width, height))
        or width * height > MAX_PIXELS
    ):
        raise ValueError(WRONG_SIZE)
    return size


class _StandardSizes(Options):
    size: Literal["auto", "1024x1024", "1536x1024", "1024x1536"] = Field(
        default="auto", title=N_("Size")
    )


class _AnySizes(Options):
    size: Annotated[str, AfterValidator(_fits)] = Field(
        default="auto",
        max_length=9,
        title=N_("Size"),
        description=N_("In pixels: auto, or WIDTHxHEIGHT in multiples of 16, like 1536x864."),
    )


class _Qualities(Options):
    quality: Literal["auto", "low", "medium", "high"] = Field(
        default="auto", title=N_("Quality"), description=N_("Higher is slower and costs more.")
    )


class _MoreQualities(Options):
    quality: Literal["auto", "low", "medium", "high", "xhigh", "max"] = Field(
        default="auto", title=N_("Quality"), description=N_("Higher is slower and costs more.")
    )


class _Rendering(Options):
    background: Literal["auto", "opaque", "transparent"] = Field(
        default="auto", title=N_("Background")
    )
    output_format: Literal["png", "webp", "jpeg"] = Field(default="png", title=N_("File format"))
    output_compression: int = Field(
        default=100,
        ge=0,
        le=100,
        title=N_("Compression"),
        description=N_("0 to 100, where 100 is the best picture. WebP and JPEG only."),
    )
    partial_images: int = Field(
        default=2,
        ge=0,
        le=3,
        title=N_("Unfinished pictures"),
        description=N_("How many are shown while the person waits. Each costs a little."),
    )

    @field_validator("output_format")
    @classmethod
    def _keeps_transparency(cls, value: str, info: ValidationInfo) -> str:
        if value == "jpeg" and info.data.get("background") == "transparent":
            raise ValueError(OPAQUE_ONLY)
        return value


class ChatGptImageOptions(_Rendering, _Qualities, _StandardSizes):
    """``chatgpt-image-latest``."""


class GptImage15Options(ChatGptImageOptions):
    """``gpt-image-1.5``."""

    input_fidelity: Literal["high", "low"] = Field(
        default="high",
        title=N_("Likeness"),
        description=N_("How closely faces and details of the photo are kept. High costs more."),
    )


class GptImage1MiniOptions(ChatGptImageOptions):
    """``gpt-image-1-mini``."""

    input_fidelity: Literal["low"] = Field(default="low", title=N_("Likeness"))


class GptImage2Options(_Rendering, _Qualities, _AnySizes):
    """``gpt-image-2``: keeps a likeness by itself."""


class GptImage25Options(_Rendering, _MoreQualities, _AnySizes):
    """``gpt-image-2.5`` and what comes after."""


#: The first is what tools recommend; it retires, so the newest are next.
OPTIONS_BY_MODEL: dict[str, type[Options]] = {
    "gpt-image-1.5": GptImage15Options,
    "gpt-image-2.6-sunburst": GptImage25Options,
    "gpt-image-2.6-flare": GptImage25Options,
    "gpt-image-2.5-sunburst": GptImage25Options,
    "gpt-image-2.5-flare": GptImage25Options,
    "gpt-image-2.5-sunburst-2026-09-08": GptImage25Options,
    "gpt-image-2.5-flare-2026-09-08": GptImage25Options,
    "gpt-image-2": GptImage2Options,
    "gpt-image-2-2026-04-21": GptImage2Options,
    "gpt-image-1-mini": GptImage1MiniOptions,
    "chatgpt-image-latest": ChatGptImageOptions,
}
IMAGE_EDIT = Offer(tuple(OPTIONS_BY_MODEL), GptImage25Options, OPTIONS_BY_MODEL)


def parameters_of(options: Options) -> dict[str, Any]:
    """The options as the API's own parameters: what does not apply is left out."""
    given = options.model_dump()
    if given["output_format"] == "png":
        del given["output_compression"]
    return given
