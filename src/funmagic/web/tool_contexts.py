"""What the template of a tool's page may read, a tool's own template included."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from funmagic.catalog.runs import Standing
from funmagic.toolkit.schema import Kind
from funmagic.web.pictures import ShopPicture
from funmagic.web.shop_contexts import ShopCard

# The stages of a tool's page, as the element ``tool-executor`` knows them. Idle waits for a photo;
# a form that asks for none is ready from the beginning.
Stage = Literal["idle", "ready", "running", "completed", "failed"]
Tone = Literal["neutral", "info", "success", "warning", "danger"]
# To whom a tool is offered: a hidden one to admins, who try it; one that is gone shows people what
# they have made with it, and starts nothing.
Offer = Literal["everybody", "admins", "ended"]
MarkState = Literal["todo", "current", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Picture:
    """An image with its size in pixels, 0 where it is not known."""

    url: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Option:
    """One thing to choose; ``picture`` shows it."""

    value: str
    label: str
    picture: ShopPicture | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a run was started with; ``picture_url`` shows it."""

    label: str
    picture_url: str | None


@dataclass(frozen=True, slots=True)
class Control:
    """One control of a step's form, in the page's language. ``value`` is what it begins with."""

    name: str
    kind: Kind
    label: str
    help: str
    is_required: bool
    value: Any
    options: tuple[Option, ...]
    max_length: int | None
    minimum: float | None
    maximum: float | None
    route: str
    max_bytes: int


@dataclass(frozen=True, slots=True)
class StepForm:
    """A step as people see it: ``noun`` names it, ``action`` is its button's verb phrase, beside
    which stands the price; ``working`` is said while it runs."""

    id: str
    noun: str
    action: str
    working: str
    price_credits: int
    controls: tuple[Control, ...]

    @property
    def photos(self) -> tuple[Control, ...]:
        return tuple(control for control in self.controls if control.kind == "image")

    @property
    def choices(self) -> tuple[Control, ...]:
        """The controls that are no photos."""
        return tuple(control for control in self.controls if control.kind != "image")


@dataclass(frozen=True, slots=True)
class NextStep:
    """A step that can be run on the shown result. ``path`` opens its newest run, if any."""

    form: StepForm
    path: str | None


@dataclass(frozen=True, slots=True)
class Mark:
    """One step in the row of steps. ``path`` opens the task it stands for."""

    number: int
    noun: str
    state: MarkState
    path: str | None


@dataclass(frozen=True, slots=True)
class Made:
    """One result. ``picture_url`` shows an image, or stands in for a model that cannot be shown."""

    id: str
    is_model: bool
    url: str
    download_url: str
    picture_url: str | None
    width: int
    height: int
    is_relief: bool
    is_saved: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One of the viewer's tasks. ``status`` is what the badge says, ``at`` when it began."""

    id: str
    path: str
    step: str
    is_model: bool
    status: str
    tone: Tone
    at: datetime
    picture: Picture | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """The task the page opens with. Amounts are whole credits, ``percent`` 0 to 100."""

    id: str
    step: str
    noun: str
    working: str
    action_price_credits: int
    before: Picture | None
    made: tuple[Made, ...]
    chosen: tuple[Chosen, ...]
    percent: int | None
    elapsed_s: int
    error: str
    is_cancelling: bool
    is_cancelled: bool
    can_retry: bool
    charged: int
    released: int
    available: int
    parent_path: str | None
    next: tuple[NextStep, ...]

    @property
    def main(self) -> Made | None:
        return self.made[0] if self.made else None


@dataclass(frozen=True, slots=True)
class RatingLine:
    """How many people gave so many stars."""

    stars: int
    count: int


@dataclass(frozen=True, slots=True)
class Ratings:
    """What people think of a tool. ``average`` is None where nobody has said; most stars first."""

    average: float | None
    count: int
    lines: tuple[RatingLine, ...]


@dataclass(frozen=True, slots=True)
class Showcase:
    """What a tool's page shows around the workplace: the same for everybody, but for ``own``.

    ``kind`` names what it is filed under, at ``kind_path``; ``demo`` is a picture before and after;
    ``structured`` are JSON-LD objects, one a block. ``is_stale`` where the database is away and
    this was kept. Only people who have run a tool on offer may rate it.
    """

    kind: str
    kind_path: str
    ratings: Ratings
    usage_count: int
    picture: ShopPicture | None
    demo: tuple[ShopPicture, ShopPicture] | None
    related: tuple[ShopCard, ...]
    structured: tuple[dict[str, Any], ...]
    own: Standing
    is_stale: bool


@dataclass(frozen=True, slots=True)
class ToolView:
    """A tool's page. ``form`` is what a person begins with."""

    slug: str
    path: str
    title: str
    description: str
    features: tuple[str, ...]
    steps: tuple[StepForm, ...]
    form: StepForm
    marks: tuple[Mark, ...]
    offer: Offer
    is_before_after: bool
    stage: Stage
    empty_stage: Stage
    shown: Shown | None
    runs: tuple[Run, ...]
    older_path: str | None
    shop: Showcase

    @property
    def can_run(self) -> bool:
        return self.offer != "ended"

    @property
    def can_rate(self) -> bool:
        return self.offer == "everybody" and self.shop.own.has_run

    @property
    def can_bookmark(self) -> bool:
        return self.offer == "everybody" or self.shop.own.is_bookmarked


@dataclass(frozen=True, slots=True)
class BookmarksView:
    """The tools the viewer keeps. ``next_path`` leads to older ones."""

    cards: tuple[ShopCard, ...]
    next_path: str | None
