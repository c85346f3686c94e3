"""Forms drawn from input models."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from pydantic import Field

from funmagic.toolkit import schema
from funmagic.toolkit.contract import ImageField, ImageRef, StepInput
from funmagic.toolkit.schema import FormField


class Mood(StrEnum):
    CALM = "calm"
    WILD = "wild"


class Everything(StepInput):
    main_photo: ImageRef
    second: Annotated[UUID, ImageField(label="Style", route="tool-media")]
    prompt: Annotated[str, Field(max_length=400, title="Your words", description="In English.")]
    strength: Annotated[float, Field(ge=0, le=1)] = 0.6
    mood: Mood = Mood.CALM
    size: Literal["small", "large"] = "small"
    keep_colours: bool = True
    note: str | None = None


def test_every_kind_of_field_has_a_control() -> None:
    assert schema.form_of(Everything) == (
        FormField("mainPhoto", "image", "Photo", upload_route="tool-input"),
        FormField("second", "image", "Style", upload_route="tool-media"),
        FormField("prompt", "text", "Your words", help="In English.", max_length=400),
        FormField(
            "strength",
            "number",
            "Strength",
            is_required=False,
            default=0.6,
            minimum=0.0,
            maximum=1.0,
        ),
        FormField(
            "mood", "choice", "Mood", is_required=False, default="calm", choices=("calm", "wild")
        ),
        FormField(
            "size",
            "choice",
            "Size",
            is_required=False,
            default="small",
            choices=("small", "large"),
        ),
        FormField("keepColours", "switch", "Keep colours", is_required=False, default=True),
        FormField("note", "text", "Note", is_required=False),
    )


def test_a_field_without_a_control_is_named() -> None:
    class Odd(StepInput):
        numbers: list[int]

    with pytest.raises(schema.UndrawableField, match=r"Odd\.numbers"):
        schema.form_of(Odd)
