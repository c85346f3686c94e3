"""Draws a step's form from its input model: typed field descriptors for the page, JSON Schema for
programs. Both name fields as they travel in JSON (camelCase) and keep the model's order.

A field's label is the marker's (:class:`ImageField`) or the field's ``title``; its help is its
``description``; both are English message ids.
"""

from __future__ import annotations

import types
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from funmagic.toolkit.contract import ImageField

Kind = Literal["image", "text", "number", "switch", "choice"]


class UndrawableField(Exception):
    """A field of a kind no form control exists for; the message names it."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One control of a form. ``default`` is JSON; None where there is none."""

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


def form_of(model: type[BaseModel]) -> tuple[FormField, ...]:
    """The controls of a form for ``model``, in its order. Raises :class:`UndrawableField`."""
    return tuple(_field(model, name, info) for name, info in model.model_fields.items())


def image_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """The attributes of ``model`` that name uploaded images, in its order."""
    return tuple(name for name, info in model.model_fields.items() if _marker(info))


def json_schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema as programs see it; ``x-kind`` and ``x-upload-route`` explain what a UUID is."""
    schema = model.model_json_schema(by_alias=True)
    for drawn in form_of(model):
        described = schema["properties"][drawn.name]
        described["x-kind"] = drawn.kind
        if drawn.upload_route is not None:
            described["x-upload-route"] = drawn.upload_route
    return schema


def _field(model: type[BaseModel], name: str, info: FieldInfo) -> FormField:
    kind, choices = _kind(model, name, info)
    marker = _marker(info)
    default = None if info.is_required() else info.get_default(call_default_factory=True)
    return FormField(
        name=info.alias or name,
        kind=kind,
        label=info.title or (marker.label if marker else name.replace("_", " ").capitalize()),
        help=info.description or "",
        is_required=info.is_required(),
        default=default.value if isinstance(default, Enum) else default,
        choices=choices,
        upload_route=marker.route if marker else None,
        max_length=next((m.max_length for m in info.metadata if isinstance(m, MaxLen)), None),
        minimum=next((_number(m.ge) for m in info.metadata if isinstance(m, Ge)), None),
        maximum=next((_number(m.le) for m in info.metadata if isinstance(m, Le)), None),
    )


def _kind(model: type[BaseModel], name: str, info: FieldInfo) -> tuple[Kind, tuple[str, ...]]:
    if _marker(info):
        return "image", ()
    wanted = _without_none(info.annotation)
    if get_origin(wanted) is Literal:
        return "choice", tuple(str(choice) for choice in get_args(wanted))
    if isinstance(wanted, type):
        if issubclass(wanted, Enum):
            return "choice", tuple(str(member.value) for member in wanted)
        if issubclass(wanted, bool):
            return "switch", ()
        if issubclass(wanted, int | float):
            return "number", ()
        if issubclass(wanted, str):
            return "text", ()
    raise UndrawableField(f"{model.__name__}.{name}: no form control for {info.annotation!r}")


def _marker(info: FieldInfo) -> ImageField | None:
    return next((item for item in info.metadata if isinstance(item, ImageField)), None)


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    rest = [part for part in get_args(annotation) if part is not type(None)]
    return rest[0] if len(rest) == 1 else annotation


def _number(bound: Any) -> float:
    return float(bound)
