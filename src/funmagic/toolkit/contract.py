"""The whole contract of a tool plug-in.

A tool is one folder below ``funmagic/tools`` whose package exposes ``TOOL``, an instance of
:class:`Tool`. It says what it asks of the user (a Pydantic model per step), which capability each
step needs, how the user's input becomes a request (``prepare``) and how the vendor's result becomes
outputs (``finish``). It never sees users, credits, tables, storage or a vendor's SDK.

The page, the API schema and the price on the button are all drawn from this contract.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from funmagic.core.i18n import N_
from funmagic.providers.contract import (
    BackgroundRemoval,
    Capability,
    File,
    Request,
    Result,
)

__all__ = [
    "N_",
    "BackgroundRemoval",
    "Capability",
    "File",
    "Image",
    "ImageField",
    "ImageRef",
    "InvalidInput",
    "Output",
    "Request",
    "Result",
    "Step",
    "StepContext",
    "StepInput",
    "Tool",
    "UnusableResult",
]


class InvalidInput(Exception):
    """The user's input cannot be worked on. ``reason`` is an English message id, shown to them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnusableResult(Exception):
    """The vendor answered, but with nothing worth paying for; the user is not charged.

    ``reason`` is an English message id, shown to the user and kept on the receipt.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ImageField:
    """Marks an input field as an image the user uploads through ``route``."""

    label: str  # English message id
    route: str = "tool-input"


# The id of one of the user's own confirmed image assets.
ImageRef = Annotated[UUID, ImageField(label="Photo")]


class StepInput(BaseModel):
    """Base of every step's input: camelCase in JSON, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


@dataclass(frozen=True, slots=True)
class Image:
    """An uploaded image after full decoding within the bomb limits.

    ``file`` is upright (EXIF orientation applied, metadata dropped) PNG, JPEG or WebP; the first
    frame of a GIF arrives as PNG. Sizes are pixels.
    """

    file: File
    width: int
    height: int


class StepContext(Protocol):
    """What a step may use while it runs."""

    @property
    def input(self) -> Any: ...  # the validated ``Step.input_model``

    @property
    def config(self) -> dict[str, Any]: ...  # the step's configuration as priced, by the admin

    @property
    def work_dir(self) -> Path: ...  # private to this call, deleted afterwards

    async def open_image(self, asset_id: UUID) -> Image:
        """Fetch and decode one of the task owner's images. Raises :class:`InvalidInput`."""
        ...


@dataclass(frozen=True, slots=True)
class Output:
    """One result. ``name`` is a slug, unique in the step: it is part of the stored object's key."""

    name: str
    file: File
    kind: Literal["image", "3d"] = "image"
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One call to a provider, one button, one price.

    ``action`` is the button's verb phrase; ``title`` names the step in progress lists; both are
    English message ids. ``deadline_s`` counts from the claim: later the step fails and the credits
    come back. ``asks_once_more`` decides what becomes of a call that may or may not have reached
    the vendor, because the worker died between asking and hearing: make one more, at the risk of
    paying the vendor twice for one charge, or (for dear ones) fail and give the credits back.
    """

    id: str
    title: str
    action: str
    capability: Capability
    input_model: type[StepInput]
    prepare: Callable[[StepContext], Awaitable[Request]]
    finish: Callable[[StepContext, Result], Awaitable[list[Output]]]
    price_credits: int
    recommended_provider: str
    recommended_model: str
    deadline_s: int = 300
    asks_once_more: bool = True


@dataclass(frozen=True, slots=True)
class Tool:
    """An implementation that catalog rows refer to by ``key``. Texts are English message ids."""

    key: str
    title: str
    description: str
    features: tuple[str, ...]
    steps: tuple[Step, ...]
    # Which view of the result the page offers: a before/after slider, or the plain output.
    result_view: Literal["before-after", "plain"] = "plain"

    def step(self, step_id: str | None) -> Step | None:
        """The named step, the first where no name is given, None where it is unknown."""
        if step_id is None:
            return self.steps[0]
        return next((step for step in self.steps if step.id == step_id), None)
