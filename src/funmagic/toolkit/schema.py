"""Draws a step's form from its input model: typed field descriptors for the page, JSON Schema for
programs. Both name fields as they travel in JSON (camelCase) and keep the model's order.

A field's label is the marker's (:class:`ImageField`) or the field's ``title``; its help is its
``description``; both are English message ids.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin
from uuid import UUID

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from funmagic.core.i18n import N_
from funmagic.toolkit.contract import (
    Choice,
    ChoiceField,
    ImageField,
    MediaField,
    Step,
    StepSettings,
)

# pick: one of the admin's choices; media: a picture of the tool; group: a model within the model;
# list: any number of a model, up to a limit; texts: any number of texts; secret: a text that is
# written and never read.
Kind = Literal[
    "image",
    "media",
    "text",
    "texts",
    "secret",
    "number",
    "switch",
    "choice",
    "pick",
    "group",
    "list",
]

NOT_OFFERED = N_("This choice is not offered any more. Please choose again.")


class UndrawableField(Exception):
    """A field of a kind no form control exists for; the message names it."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One control of a form. ``default`` is JSON; None where there is none.

    ``choices`` are the values of a choice; ``choices_from`` names the settings' list of a pick;
    ``fields`` are the controls within a group, or within each item of a list.
    """

    name: str
    kind: Kind
    label: str
    help: str = ""
    is_required: bool = True
    default: Any = None
    choices: tuple[str, ...] = ()
    upload_route: str | None = None  # of an image
    max_length: int | None = None  # of a text, in characters
    minimum: float | None = None  # of a number
    maximum: float | None = None
    choices_from: str | None = None
    fields: tuple[FormField, ...] = ()
    max_items: int | None = None


def form_of(model: type[BaseModel]) -> tuple[FormField, ...]:
    """The controls of a form for ``model``, in its order. Raises :class:`UndrawableField`."""
    return tuple(_field(model, name, info) for name, info in model.model_fields.items())


def choices_of(settings: StepSettings, field: FormField) -> tuple[Choice, ...]:
    """What a person may choose for a pick, in the admin's order."""
    offered: tuple[Choice, ...] = getattr(settings, field.choices_from or "")
    return offered


def wrong_picks(step: Step, settings: StepSettings, given: Mapping[str, Any]) -> dict[str, str]:
    """A message for every pick of an input (JSON) that the settings do not offer."""
    return {
        field.name: NOT_OFFERED
        for field in form_of(step.input_model)
        if field.kind == "pick"
        and given.get(field.name) is not None
        and given[field.name] not in {choice.slug for choice in choices_of(settings, field)}
    }


def media_in(settings: BaseModel) -> dict[str, UUID]:
    """The admin's pictures a model names, by their place in its JSON: ``styles.0.image``."""
    found: dict[str, UUID] = {}
    for name, info in type(settings).model_fields.items():
        place, value = info.alias or name, getattr(settings, name)
        if isinstance(_marker(info), MediaField) and value is not None:
            found[place] = value
        items = value if isinstance(value, tuple) else (value,)
        for number, item in enumerate(items):
            if isinstance(item, BaseModel):
                at = f"{place}.{number}" if isinstance(value, tuple) else place
                found |= {f"{at}.{inner}": media for inner, media in media_in(item).items()}
    return found


def json_schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema as programs see it; ``x-kind`` and ``x-upload-route`` explain what a UUID is."""
    schema = model.model_json_schema(by_alias=True)
    for drawn in form_of(model):
        described = schema["properties"][drawn.name]
        described["x-kind"] = drawn.kind
        if drawn.choices_from is not None:
            described["x-choices-from"] = drawn.choices_from
        if drawn.upload_route is not None:
            described["x-upload-route"] = drawn.upload_route
    return schema


def _field(model: type[BaseModel], name: str, info: FieldInfo) -> FormField:
    kind, choices = _kind(model, name, info)
    marker = _marker(info)
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    inner = _model_within(info) if kind in ("group", "list") else None
    return FormField(
        name=info.alias or name,
        kind=kind,
        label=info.title or (marker.label if marker else name.replace("_", " ").capitalize()),
        help=info.description or "",
        is_required=info.is_required(),
        default=_json(default),
        choices=choices,
        upload_route=marker.route if isinstance(marker, ImageField) else None,
        choices_from=marker.choices if isinstance(marker, ChoiceField) else None,
        fields=form_of(inner) if inner else (),
        max_items=next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None)
        if kind in ("list", "texts")
        else None,
        max_length=next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None),
        minimum=next((_number(m.ge) for m in info.metadata if isinstance(m, Ge)), None),
        maximum=next((_number(m.le) for m in info.metadata if isinstance(m, Le)), None),
    )


def _kind(model: type[BaseModel], name: str, info: FieldInfo) -> tuple[Kind, tuple[str, ...]]:
    marker = _marker(info)
    if marker:
        return KIND_OF_MARKER[type(marker)], ()
    wanted = _without_none(info.annotation)
    if get_origin(wanted) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(wanted))
    if get_origin(wanted) is tuple and _is_model(get_args(wanted)[0]):
        return "list", ()
    if get_origin(wanted) is tuple and _bare(get_args(wanted)[0]) is str:
        return "texts", ()
    if isinstance(wanted, type):
        if issubclass(wanted, BaseModel):
            return "group", ()
        if issubclass(wanted, Enum):
            return "choice", tuple(str(member.value) for member in wanted)
        if issubclass(wanted, bool):
            return "switch", ()
        if issubclass(wanted, int | float):
            return "number", ()
        if issubclass(wanted, SecretStr):
            return "secret", ()
        if issubclass(wanted, str):
            return "text", ()
    raise UndrawableField(f"{model.__name__}.{name}: no form control for {info.annotation!r}")


Marker = ImageField | MediaField | ChoiceField
KIND_OF_MARKER: dict[type, Kind] = {ImageField: "image", MediaField: "media", ChoiceField: "pick"}


def _marker(info: FieldInfo) -> Marker | None:
    found = (item for item in _metadata(info) if isinstance(item, Marker))
    return next(found, None)


def _metadata(info: FieldInfo) -> list[Any]:
    """What annotates the field, also within ``… | None``."""
    inner = _without_none(info.annotation)
    return [*info.metadata, *getattr(inner, "__metadata__", ())]


def _model_within(info: FieldInfo) -> type[BaseModel]:
    wanted = _without_none(info.annotation)
    found: type[BaseModel] = get_args(wanted)[0] if get_origin(wanted) is tuple else wanted
    return found


def _bare(wanted: Any) -> Any:
    """The type itself, without what annotates it."""
    return get_args(wanted)[0] if hasattr(wanted, "__metadata__") else wanted


def _is_model(wanted: Any) -> bool:
    return isinstance(wanted, type) and issubclass(wanted, BaseModel)


def _json(default: Any) -> Any:
    if isinstance(default, BaseModel):
        return default.model_dump(mode="json", by_alias=True)
    if isinstance(default, tuple):
        return [_json(item) for item in default]
    return default.value if isinstance(default, Enum) else default


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    rest = [part for part in get_args(annotation) if part is not type(None)]
    return rest[0] if len(rest) == 1 else annotation


def _number(bound: Any) -> float:
    return float(bound)
