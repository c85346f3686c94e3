"""A tool's page as its template reads it: the forms drawn from the tool's contract and the admin's
choices, the shown task and its family drawn from the person's own tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from funmagic.assets.service import ROUTES
from funmagic.assets.views import AssetView
from funmagic.catalog.service import ToolRow
from funmagic.core.clock import now
from funmagic.core.i18n import N_, translate
from funmagic.tasks.models import Task
from funmagic.tasks.views import TaskRow, TaskView, step_of
from funmagic.toolkit.contract import Capability, Step
from funmagic.toolkit.schema import FormField, choices_of, form_of
from funmagic.web.pictures import choice_picture
from funmagic.web.tool_contexts import (
    Chosen,
    Control,
    Made,
    Mark,
    MarkState,
    NextStep,
    Offer,
    Option,
    Picture,
    Run,
    Showcase,
    Shown,
    Stage,
    StepForm,
    Tone,
    ToolView,
)

# What a step makes, by what it asks of a provider; the rest make pictures.
NOUNS: Final = {Capability.IMAGE_TO_3D: N_("3D model")}
PICTURE: Final = N_("Picture")
MODELS: Final = frozenset({Capability.IMAGE_TO_3D})
DEFAULT_ROUTE: Final = "tool-input"
CANCELLED: Final = "cancelled"

STAGES: Final[dict[str, Stage]] = {
    "pending": "running",
    "queued": "running",
    "processing": "running",
    "completed": "completed",
    "failed": "failed",
}
STATUSES: Final[dict[str, tuple[str, Tone]]] = {
    "pending": (N_("Waiting"), "warning"),
    "queued": (N_("Waiting"), "warning"),
    "processing": (N_("Running"), "info"),
    "completed": (N_("Done"), "success"),
    "failed": (N_("Failed"), "danger"),
}
MARKS: Final[dict[str, MarkState]] = {
    "pending": "running",
    "queued": "running",
    "processing": "running",
    "completed": "done",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class Family:
    """The shown task and the tasks it rests on, the first of all first."""

    shown: TaskView
    ancestors: tuple[Task, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What every part of the page is drawn with."""

    tool: ToolRow
    locale: str

    def words(self, message: str) -> str:
        return translate(self.locale, message)

    def path_of(self, task_id: UUID | str) -> str:
        return f"/{self.locale}/tools/{self.tool.slug}?task={task_id}"

    def noun_of(self, step: Step | None) -> str:
        return self.words(NOUNS.get(step.capability, PICTURE) if step else PICTURE)


def tool_view(
    tool: ToolRow,
    locale: str,
    family: Family | None,
    runs: Sequence[TaskRow],
    older: str | None,
    *,
    shop: Showcase,
    offer: Offer = "everybody",
) -> ToolView:
    """The page of ``tool``, opened on a family; ``older`` is the cursor of the runs not shown."""
    draw = Drawing(tool, locale)
    steps = tuple(_form(draw, step, {}) for step in tool.plugin.steps)
    first = tool.plugin.steps[0]
    given = family.shown.input if family and family.shown.step == first.id else {}
    form = _form(draw, first, given)
    empty: Stage = "idle" if any(photo.is_required for photo in form.photos) else "ready"
    path = f"/{locale}/tools/{tool.slug}"
    return ToolView(
        slug=tool.slug,
        path=path,
        title=tool.title_in(locale),
        description=tool.description_in(locale),
        features=tuple(draw.words(feature) for feature in tool.features),
        steps=steps,
        form=form,
        marks=_marks(draw, family),
        offer=offer,
        is_before_after=tool.plugin.result_view == "before-after",
        stage=STAGES[family.shown.status] if family else empty,
        empty_stage=empty,
        shown=_shown(draw, family) if family else None,
        runs=tuple(_run(draw, row, family) for row in runs),
        older_path=f"{path}?runs={older}" if older else None,
        shop=shop,
    )


def _form(draw: Drawing, step: Step, given: Mapping[str, Any]) -> StepForm:
    return StepForm(
        id=step.id,
        noun=draw.noun_of(step),
        action=draw.words(step.action),
        working=f"{draw.words(step.title)}…",
        price_credits=draw.tool.step_price(step.id),
        controls=tuple(
            _control(draw, step, field, given.get(field.name))
            for field in form_of(step.input_model)
        ),
    )


def _control(draw: Drawing, step: Step, field: FormField, given: Any) -> Control:
    route = field.upload_route or DEFAULT_ROUTE
    if field.kind == "pick":
        given = (given or {}).get("slug")
    return Control(
        name=field.name,
        kind=field.kind,
        label=draw.words(field.label),
        help=draw.words(field.help) if field.help else "",
        is_required=field.is_required,
        value=field.default if given is None else given,
        options=_options(draw, step, field),
        max_length=field.max_length,
        minimum=field.minimum,
        maximum=field.maximum,
        route=route,
        max_bytes=ROUTES[route].max_bytes,
    )


def _options(draw: Drawing, step: Step, field: FormField) -> tuple[Option, ...]:
    if field.kind == "choice":
        return tuple(
            Option(choice, draw.words(choice.replace("-", " ").replace("_", " ").capitalize()))
            for choice in field.choices
        )
    if field.kind != "pick":
        return ()
    settings = step.settings_model.model_validate(draw.tool.step(step.id).settings)
    return tuple(
        Option(choice.slug, draw.words(choice.name), choice_picture(choice.image))
        for choice in choices_of(settings, field)
    )


def _marks(draw: Drawing, family: Family | None) -> tuple[Mark, ...]:
    """One mark a step, for tools of several: where the family has got to."""
    steps = draw.tool.plugin.steps
    if len(steps) == 1:
        return ()
    known: dict[str, tuple[MarkState, str | None]] = {}
    if family is None:
        known[steps[0].id] = ("current", None)
    else:
        for child in reversed(family.shown.children):  # so that the newest is told
            known[child.step] = (MARKS[child.status], draw.path_of(child.id))
        for task in family.ancestors:
            known[step_of(task)] = (MARKS[task.status], draw.path_of(task.id))
        known[family.shown.step] = ("current", None)
    return tuple(
        Mark(number, draw.noun_of(step), *known.get(step.id, ("todo", None)))
        for number, step in enumerate(steps, 1)
    )


def _shown(draw: Drawing, family: Family) -> Shown:
    task = family.shown
    step = draw.tool.plugin.step(task.step)
    before_url = _before(task, step)
    made = tuple(_made(asset, before_url) for asset in task.output.assets) if task.output else ()
    width, height = (made[0].width, made[0].height) if made else (0, 0)
    return Shown(
        id=str(task.id),
        step=task.step,
        noun=draw.noun_of(step),
        working=f"{task.steps[0].title}…",
        action_price_credits=draw.tool.step_price(step.id) if step else 0,
        before=Picture(before_url, width, height) if before_url else None,
        made=made,
        chosen=_chosen(task, step),
        percent=task.steps[0].progress or None,
        elapsed_s=max(0, int((now() - task.created_at).total_seconds())),
        error=task.error.message if task.error else "",
        is_cancelling=task.is_cancelling,
        is_cancelled=task.error is not None and task.error.type == CANCELLED,
        can_retry=task.can_retry and step is not None,
        charged=task.receipt.charged,
        released=task.receipt.released,
        available=task.receipt.available,
        parent_path=draw.path_of(family.ancestors[-1].id) if family.ancestors else None,
        next=_next(draw, task) if task.status == "completed" else (),
    )


def _before(task: TaskView, step: Step | None) -> str | None:
    """The address of what the task began with: the parent's picture, else one's own photo."""
    if task.parent is not None:
        return task.parent["imageUrl"]
    for field in form_of(step.input_model) if step else ():
        photo = task.input.get(field.name) if field.kind == "image" else None
        if photo:
            url: str | None = photo["url"]
            return url
    return None


def _chosen(task: TaskView, step: Step | None) -> tuple[Chosen, ...]:
    picks = (
        [field.name for field in form_of(step.input_model) if field.kind == "pick"] if step else []
    )
    found = (task.input.get(name) for name in picks)
    return tuple(Chosen(pick["name"], pick["imageUrl"]) for pick in found if pick)


def _made(asset: AssetView, before_url: str | None) -> Made:
    is_model = asset.kind == "3d"
    return Made(
        id=str(asset.id),
        is_model=is_model,
        url=asset.url or "",
        download_url=asset.download_url or "",
        picture_url=(asset.poster_url or before_url) if is_model else asset.url,
        width=asset.width or 0,
        height=asset.height or 0,
        is_relief=asset.is_relief,
        is_saved=asset.saved_at is not None,
    )


def _next(draw: Drawing, task: TaskView) -> tuple[NextStep, ...]:
    """Every step that follows the shown one."""
    newest = {child.step: child.id for child in reversed(task.children) if child.status != "failed"}
    return tuple(
        NextStep(
            _form(draw, step, {}), draw.path_of(newest[step.id]) if step.id in newest else None
        )
        for step in draw.tool.plugin.steps
        if step.follows == task.step
    )


def _run(draw: Drawing, row: TaskRow, family: Family | None) -> Run:
    status, tone = STATUSES[row.status]
    step = draw.tool.plugin.step(row.step)
    return Run(
        id=str(row.id),
        path=draw.path_of(row.id),
        step=draw.noun_of(step),
        is_model=step is not None and step.capability in MODELS,
        status=draw.words(status),
        tone=tone,
        at=row.created_at,
        picture=Picture(row.thumbnail_url, 0, 0) if row.thumbnail_url else None,
        is_current=family is not None and family.shown.id == row.id,
    )
