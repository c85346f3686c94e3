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

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from funmagic.core.i18n import N_
from funmagic.providers.contract import (
    BackgroundRemoval,
    Capability,
    File,
    ImageEdit,
    ImageTo3d,
    Request,
    Result,
)

__all__ = [
    "N_",
    "BackgroundRemoval",
    "Capability",
    "Choice",
    "ChoiceField",
    "File",
    "Image",
    "ImageEdit",
    "ImageField",
    "ImageRef",
    "ImageTo3d",
    "InvalidInput",
    "MediaField",
    "MediaRef",
    "Output",
    "Request",
    "Result",
    "Step",
    "StepContext",
    "StepInput",
    "StepSettings",
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


@dataclass(frozen=True, slots=True)
class MediaField:
    """Marks a settings field as a picture the admin uploads through route ``tool-media``."""

    label: str  # English message id


# The id of a picture an admin uploaded. People who see the tool may see it.
MediaRef = Annotated[UUID, MediaField(label=N_("Picture"))]


@dataclass(frozen=True, slots=True)
class ChoiceField:
    """Marks a text field of the input as the slug of one of the admin's choices.

    ``choices`` is the attribute of the step's settings that lists them (:class:`Choice` each).
    """

    label: str  # English message id
    choices: str


class StepSettings(BaseModel):
    """Base of what an admin sets for a step beyond its price and providers; camelCase in JSON.

    Every field has a default, so that a tool can be offered before its settings are filled in. The
    admin's form is drawn from it: texts, numbers, switches, choices, pictures (:data:`MediaRef`),
    nested models, and tuples of models with a ``max_length``.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Choice(StepSettings):
    """One thing a person can choose. Of these fields and of no other the public may know.

    ``slug`` names it for good: it stays the same when the list is reordered or the name changes.
    """

    name: str = Field(min_length=1, max_length=60, title=N_("Name"))
    slug: str = Field(
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=1, max_length=40, title=N_("Slug")
    )
    image: MediaRef | None = None


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
    def settings(self) -> Any: ...  # the validated ``Step.settings_model``, as it was priced

    @property
    def work_dir(self) -> Path: ...  # private to this call, deleted afterwards

    async def open_image(self, asset_id: UUID) -> Image:
        """Fetch and decode one of the task owner's images. Raises :class:`InvalidInput`."""
        ...

    async def open_media(self, asset_id: UUID) -> Image:
        """Fetch and decode a picture of the settings. Raises :class:`InvalidInput`."""
        ...

    async def open_parent(self) -> Image:
        """The first image the parent task made, of a step that ``follows`` another.

        Raises :class:`InvalidInput`.
        """
        ...


@dataclass(frozen=True, slots=True)
class Output:
    """One result. ``name`` is a slug, unique in the step: it is part of the stored object's key.

    ``poster`` is a picture of a 3D model; ``is_relief`` says that the model has a front only.
    """

    name: str
    file: File
    kind: Literal["image", "3d"] = "image"
    width: int | None = None
    height: int | None = None
    poster: File | None = None
    is_relief: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One call to a provider, one button, one price.

    ``action`` is the button's verb phrase; ``title`` names the step in progress lists; both are
    English message ids. ``deadline_s`` counts from the claim: later the step fails and the credits
    come back. ``asks_once_more`` decides what becomes of a call that may or may not have reached
    the vendor, because the worker died between asking and hearing: make one more, at the risk of
    paying the vendor twice for one charge, or (for dear ones) fail and give the credits back.

    A step that ``follows`` another runs as a child task: its parent is the person's own completed
    task of that step of the same tool.
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
    settings_model: type[StepSettings] = StepSettings
    follows: str | None = None


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
    # The file in the tool's folder that draws its page, extending ``pages/tool.html``.
    template: str | None = None

    def step(self, step_id: str | None) -> Step | None:
        """The named step, the first where no name is given, None where it is unknown."""
        if step_id is None:
            return self.steps[0]
        return next((step for step in self.steps if step.id == step_id), None)
