"""What a person asks for, held against the tool as it is: step, input, choices, parent, price."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from funmagic.catalog.service import ToolRow
from funmagic.core import errors
from funmagic.core.forms import fields_of
from funmagic.core.i18n import N_
from funmagic.toolkit import schema
from funmagic.toolkit.contract import Step

PARENT_NEEDED: Final = N_("This step starts from a finished one. Please name it.")
NO_PARENT: Final = N_("This step does not start from another one.")


class Refused(errors.Conflict):
    """The request does not fit the tool as it is; perhaps it fits as it has become."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """What a person asks for. ``step`` None means the tool's first; an empty one is unknown.

    ``parent_task_id`` names the finished task that a step which follows another starts from.
    """

    tool: str
    step: str | None
    input: dict[str, Any]
    expected_credits: int | None = None
    parent_task_id: UUID | None = None

    def request_hash(self) -> bytes:
        """SHA-256 of the request in one canonical form: what the same key must come with."""
        parent = [str(self.parent_task_id)] if self.parent_task_id else []
        canonical = json.dumps(
            [self.tool, self.step, self.input, self.expected_credits, *parent],
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode()).digest()


@dataclass(frozen=True, slots=True)
class Order:
    """A request that fits a tool: which step, with what checked input, at what price."""

    tool: ToolRow
    step: Step
    input: dict[str, Any]
    price_credits: int
    parent_task_id: UUID | None

    @property
    def image_ids(self) -> list[UUID]:
        """The assets the input names, in the order of the form."""
        named = (
            self.input.get(field.name)
            for field in schema.form_of(self.step.input_model)
            if field.kind == "image"
        )
        return [UUID(asset_id) for asset_id in named if asset_id is not None]

    def snapshot(self) -> dict[str, Any]:
        """What the task was priced by; a later change of the tool does not touch it."""
        configured = self.tool.step(self.step.id)
        return {
            "implementation": self.tool.implementation,
            "deadlineS": self.step.deadline_s,
            "steps": [{"id": self.step.id, **configured.model_dump(mode="json", by_alias=True)}],
        }


def order_of(tool: ToolRow, new: NewTask) -> Order:
    """Hold a request against a tool.

    Raises :class:`errors.Invalid`, :class:`errors.NotFound` and :class:`Refused`.
    """
    step = _step_of(tool, new.step)
    _check_parent(step, new.parent_task_id)
    input_values = _checked_input(step, new.input)
    _check_choices(tool, step, input_values)
    price_credits = tool.step_price(step.id)
    _check_price(price_credits, new.expected_credits)
    return Order(tool, step, input_values, price_credits, new.parent_task_id)


def _step_of(tool: ToolRow, step_id: str | None) -> Step:
    step = tool.plugin.step(step_id)
    if step is None:
        message = N_("This tool has no such step.")
        raise errors.Invalid(message, type="unknown_step", fields={"step": message})
    return step


def _check_parent(step: Step, parent_task_id: UUID | None) -> None:
    if step.follows and parent_task_id is None:
        raise errors.Invalid(PARENT_NEEDED, fields={"parentTaskId": PARENT_NEEDED})
    if not step.follows and parent_task_id is not None:
        raise errors.Invalid(NO_PARENT, fields={"parentTaskId": NO_PARENT})


def _checked_input(step: Step, given: dict[str, Any]) -> dict[str, Any]:
    try:
        checked = step.input_model.model_validate(given)
        return checked.model_dump(mode="json", by_alias=True)
    except ValidationError as error:
        raise errors.Invalid(fields=fields_of(error, "input")) from None


def _check_choices(tool: ToolRow, step: Step, input_values: dict[str, Any]) -> None:
    settings = step.settings_model.model_validate(tool.step(step.id).settings)
    wrong = schema.wrong_picks(step, settings, input_values)
    if wrong:
        raise errors.Invalid(fields={f"input.{name}": message for name, message in wrong.items()})


def _check_price(price_credits: int, expected_credits: int | None) -> None:
    if expected_credits is not None and expected_credits != price_credits:
        raise Refused(
            N_("The price has changed to {credits} credits. Please confirm."),
            type="price_changed",
            params={"credits": price_credits},
        )
