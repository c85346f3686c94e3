"""What every tool plug-in must keep to. A new folder is tested here without being named."""

from __future__ import annotations

import inspect
import json
import re

import pytest
from pydantic import ValidationError

from funmagic.catalog.config import PRICE_LIMIT_CREDITS
from funmagic.providers.contract import Capability
from funmagic.toolkit import discovery, schema
from funmagic.toolkit.contract import Step, StepInput, Tool

TOOLS = discovery.all_tools()
STEPS = [
    pytest.param(tool, step, id=f"{tool.key}/{step.id}") for tool in TOOLS for step in tool.steps
]
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

every_tool = pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.key)
every_step = pytest.mark.parametrize(("tool", "step"), STEPS)


def test_there_are_tools() -> None:
    assert [tool.key for tool in TOOLS] == sorted(tool.key for tool in TOOLS)
    assert "background-remove" in [tool.key for tool in TOOLS]


@every_tool
def test_a_tool_says_what_it_does(tool: Tool) -> None:
    for words in (tool.title, tool.description, *tool.features):
        assert words.strip() == words
        assert words
    assert tool.features, "a card without features sells nothing"
    assert SLUG.fullmatch(tool.key)


@every_tool
def test_an_unknown_step_is_none_and_no_name_is_the_first(tool: Tool) -> None:
    assert tool.step(None) is tool.steps[0]
    for unknown in ("", "no-such-step", tool.steps[0].id.upper() + "x", " " + tool.steps[0].id):
        assert tool.step(unknown) is None
    for step in tool.steps:
        assert tool.step(step.id) is step


@every_step
def test_a_step_has_a_button_a_price_and_a_deadline(tool: Tool, step: Step) -> None:
    assert SLUG.fullmatch(step.id)
    assert step.action.strip()
    assert step.title.strip()
    assert type(step.price_credits) is int
    assert 0 <= step.price_credits <= PRICE_LIMIT_CREDITS
    assert 1 <= step.deadline_s <= 3600
    assert isinstance(step.capability, Capability)
    assert step.recommended_provider
    assert step.recommended_model


@every_step
def test_a_step_prepares_and_finishes_off_the_event_loop(tool: Tool, step: Step) -> None:
    assert inspect.iscoroutinefunction(step.prepare)
    assert inspect.iscoroutinefunction(step.finish)


@every_step
def test_a_form_can_be_drawn(tool: Tool, step: Step) -> None:
    fields = schema.form_of(step.input_model)
    assert fields or step.follows, "a step that starts from nothing asks for something"
    for field in fields:
        assert field.label.strip()
        assert field.kind != "choice" or field.choices
        assert (field.upload_route is not None) == (field.kind == "image")
    assert len({field.name for field in fields}) == len(fields)


@every_step
def test_programs_see_the_same_fields_as_the_form(tool: Tool, step: Step) -> None:
    described = schema.json_schema_of(step.input_model)
    fields = schema.form_of(step.input_model)
    assert list(described["properties"]) == [field.name for field in fields]
    assert set(described.get("required", [])) == {f.name for f in fields if f.is_required}
    assert described["additionalProperties"] is False
    assert json.loads(json.dumps(described)) == schema.json_schema_of(step.input_model)
    for name in described["properties"]:
        assert "_" not in name


@every_step
def test_unknown_input_is_refused(tool: Tool, step: Step) -> None:
    assert issubclass(step.input_model, StepInput)
    with pytest.raises(ValidationError) as refusal:
        step.input_model.model_validate({"noSuchField": 1})
    assert "extra_forbidden" in {error["type"] for error in refusal.value.errors()}


def test_the_schema_of_background_remove_is_what_programs_rely_on() -> None:
    step = discovery.tool("background-remove").steps[0]
    assert schema.json_schema_of(step.input_model)["properties"] == {
        "image": {
            "format": "uuid",
            "title": "Image",
            "type": "string",
            "x-kind": "image",
            "x-upload-route": "tool-input",
        }
    }
    (image,) = schema.form_of(step.input_model)
    assert (image.name, image.kind, image.label, image.is_required) == (
        "image",
        "image",
        "Photo",
        True,
    )
