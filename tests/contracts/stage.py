"""Any tool on any provider, set up from what it says of itself: no tool is named here."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from pydantic import ValidationError
from sqlalchemy import select
from tests.tasks.runs import ended
from tests.uploads import upload

from funmagic.catalog import config
from funmagic.catalog.models import Tool as ToolTable
from funmagic.catalog.models import ToolType
from funmagic.core.resources import Resources
from funmagic.providers import registry
from funmagic.toolkit.contract import Step, Tool
from funmagic.toolkit.schema import FormField, form_of

SLUG = "under-contract"
# In every text an admin may keep to themselves; nothing a visitor or an owner is told has it.
CANARY = "canary-4c1f9a"


def providers_of(step: Step) -> list[str]:
    """The adapters that can do a step, by key."""
    return [
        key for key, adapter in registry.adapters().items() if step.capability in adapter.offers
    ]


def settings_of(step: Step) -> dict[str, Any]:
    """Settings with one choice for each pick, and a canary in every other text."""
    picks = {field.choices_from for field in form_of(step.input_model) if field.kind == "pick"}
    filled: dict[str, Any] = {}
    for field in form_of(step.settings_model):
        if field.kind == "list":
            filled[field.name] = [_item(field)] if field.name in picks else []
        elif field.kind == "text":
            filled[field.name] = CANARY
    try:
        step.settings_model.model_validate(filled)
    except ValidationError as error:
        # Texts of a certain form: their defaults will do. (A list complains of its items, too.)
        deepest = max(len(item["loc"]) for item in error.errors())
        for item in error.errors():
            if len(item["loc"]) == deepest:
                _without(filled, item["loc"])
    return filled


def _without(filled: Any, place: tuple[int | str, ...]) -> None:
    for part in place[:-1]:
        filled = filled[part]
    del filled[place[-1]]


def _item(field: FormField) -> dict[str, Any]:
    item: dict[str, Any] = {"slug": "first", "name": "First"}
    return item | {
        inner.name: CANARY
        for inner in field.fields
        if inner.kind == "text" and inner.name not in item
    }


def input_of(step: Step, photo: UUID) -> dict[str, Any]:
    """An input the step takes."""
    return {
        field.name: _value(field, photo) for field in form_of(step.input_model) if field.is_required
    }


def _value(field: FormField, photo: UUID) -> Any:
    match field.kind:
        case "image":
            return str(photo)
        case "pick":
            return "first"
        case "text":
            return "A sample"[: field.max_length]
        case "number":
            return field.minimum if field.minimum is not None else 1
        case "switch":
            return False
        case "choice":
            return field.choices[0]
        case _:
            raise AssertionError(f"people cannot be asked for a {field.kind}")


async def offer(resources: Resources, tool: Tool, providers: dict[str, str]) -> None:
    """Put the tool on the shelf as ``SLUG``, each step done by the provider named for it."""
    steps = {}
    for step in tool.steps:
        adapter = registry.adapter(providers[step.id])
        model = adapter.offers[step.capability].models[0]
        steps[step.id] = {
            "priceCredits": step.price_credits,
            "providers": [{"provider": adapter.key, "model": model}],
            "settings": settings_of(step),
        }
    checked = config.check(tool, {"steps": steps}).model_dump(mode="json", by_alias=True)
    async with resources.db.transaction() as session:
        kind = (await session.scalars(select(ToolType).limit(1))).one()
        session.add(
            ToolTable(
                slug=SLUG,
                implementation=tool.key,
                tool_type_id=kind.id,
                title=tool.title,
                description=tool.description,
                config=checked,
            )
        )


@dataclass(frozen=True)
class Customer:
    """Somebody who can pay for anything, with a photo uploaded.

    ``finished`` holds a finished task by step, for the steps that follow it.
    """

    browser: httpx.AsyncClient
    photo: UUID
    finished: dict[str, str] = dataclasses.field(
        default_factory=dict
    )  # a finished task by step, to follow

    @classmethod
    async def at(cls, browser: httpx.AsyncClient, photo: bytes) -> Customer:
        return cls(browser, await upload(browser, photo))

    async def ask(self, tool: Tool, step: Step) -> str:
        """Order the step, and before it what it follows; the new task's id."""
        parent = await self._finished(tool, step.follows) if step.follows else None
        body: dict[str, Any] = {
            "tool": SLUG,
            "step": step.id,
            "input": input_of(step, self.photo),
            "expectedCredits": step.price_credits,
        }
        if parent is not None:
            body["parentTaskId"] = parent
        answer = await self.browser.post("/api/tasks", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["taskId"])

    async def _finished(self, tool: Tool, step_id: str) -> str:
        if step_id not in self.finished:
            step = tool.step(step_id)
            assert step is not None
            task = await ended(self.browser, await self.ask(tool, step))
            assert task["status"] == "completed", task
            self.finished[step_id] = task["id"]
        return self.finished[step_id]

    async def told(self, task_id: str) -> str:
        """Everything the product says of a task and its tool, as one text."""
        pages = [f"/api/tasks/{task_id}", "/api/tasks", f"/api/tools/{SLUG}", f"/en/tools/{SLUG}"]
        texts = [(await self.browser.get(page)).text for page in pages]
        texts.append((await self.browser.get(f"/api/tasks/{task_id}/stream")).text)
        return json.dumps(texts)
