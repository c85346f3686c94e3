"""A tool's configuration: the shape of ``tools.config``, checked against plug-in and adapters.

``{"steps": {"remove": {"priceCredits": 5, "providers": [{"provider": "local", "model": "u2netp",
"options": {}}], "settings": {}}}}``

Providers are asked in their order: the next one only where the one before could not do it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from funmagic.core.errors import Invalid
from funmagic.core.forms import fields_of
from funmagic.core.i18n import N_
from funmagic.providers import registry
from funmagic.providers.contract import Adapter
from funmagic.toolkit.contract import Step, Tool

PRICE_LIMIT_CREDITS = 1_000_000

MOST_PROVIDERS = 5

UNKNOWN_STEP = N_("This tool has no such step.")
MISSING_STEP = N_("This step needs a configuration.")
UNKNOWN_PROVIDER = N_("There is no such provider.")
WRONG_CAPABILITY = N_("This provider cannot do this step.")
UNKNOWN_MODEL = N_("This provider does not offer this model for this step.")
CHOSEN_TWICE = N_("This provider and model are already in the list.")


class ProviderChoice(BaseModel):
    """Who may do a step's work, by which model, with which options."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    provider: Annotated[str, Field(min_length=1, max_length=64)]
    model: Annotated[str, Field(min_length=1, max_length=200)]
    options: dict[str, Any] = Field(default_factory=dict)


class StepConfig(BaseModel):
    """One step as an admin configured it: its price, who does the work, the tool's own settings."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    # strict: neither true, "5" nor 5.0 is a price
    price_credits: Annotated[int, Field(strict=True, ge=0, le=PRICE_LIMIT_CREDITS)]
    providers: tuple[ProviderChoice, ...] = Field(min_length=1, max_length=MOST_PROVIDERS)
    settings: dict[str, Any] = Field(default_factory=dict)


class ToolConfig(BaseModel):
    """What ``tools.config`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: dict[str, StepConfig]


def parse(config: Mapping[str, Any]) -> ToolConfig:
    """Read a stored or submitted configuration by its shape alone. Raises :class:`Invalid`."""
    try:
        return ToolConfig.model_validate(config)
    except ValidationError as error:
        raise Invalid(fields=fields_of(error)) from None


def fitting(tool: Tool, config: Mapping[str, Any]) -> ToolConfig:
    """Read a stored configuration that every step of the plug-in can be run with.

    Raises :class:`Invalid` for a shape, a step left out or settings that do not fit. Whether the
    providers it names still do is for a run to find out: the next one may.
    """
    parsed = parse(config)
    fields: dict[str, str] = {}
    for step in tool.steps:
        if step.id in parsed.steps:
            fields |= _wrong_in_settings(step, parsed.steps[step.id].settings)
        else:
            fields[f"steps.{step.id}"] = MISSING_STEP
    if fields:
        raise Invalid(fields=fields)
    return parsed


def check(
    tool: Tool, config: Mapping[str, Any], more_models: Mapping[str, Collection[str]] | None = None
) -> ToolConfig:
    """Read a configuration and hold it against the plug-in and the adapters.

    ``more_models`` are ids by provider that are known besides those of the release. Raises
    :class:`Invalid` with one message per wrong field for: a step the tool does not have, a step
    left out, a price that is not a whole number of credits, an unknown provider, a provider without
    the step's capability, a model it does not offer, options its model does not take, settings the
    step does not take.
    """
    try:
        parsed = parse(config)
    except Invalid as refusal:
        raise Invalid(fields=refusal.fields | _wrong_settings(tool, config)) from None
    fields = {f"steps.{name}": UNKNOWN_STEP for name in parsed.steps if tool.step(name) is None}
    for step in tool.steps:
        if step.id in parsed.steps:
            fields |= _wrong_in(step, parsed.steps[step.id], more_models or {})
        else:
            fields[f"steps.{step.id}"] = MISSING_STEP
    if fields:
        raise Invalid(fields=fields)
    return parsed


def _wrong_in(
    step: Step, config: StepConfig, more_models: Mapping[str, Collection[str]]
) -> dict[str, str]:
    place = f"steps.{step.id}"
    wrong: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    for number, choice in enumerate(config.providers):
        at = f"{place}.providers.{number}"
        if (choice.provider, choice.model) in seen:
            wrong[f"{at}.model"] = CHOSEN_TWICE
        seen.add((choice.provider, choice.model))
        wrong |= _wrong_in_choice(step, choice, at, more_models.get(choice.provider, ()))
    return wrong | _wrong_in_settings(step, config.settings)


def _wrong_settings(tool: Tool, config: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the settings where more is wrong around them: all is told at once."""
    steps = config.get("steps")
    wrong: dict[str, str] = {}
    for step in tool.steps:
        given = steps.get(step.id) if isinstance(steps, dict) else None
        if isinstance(given, dict) and isinstance(given.get("settings"), dict):
            wrong |= _wrong_in_settings(step, given["settings"])
    return wrong


def _wrong_in_settings(step: Step, settings: Mapping[str, Any]) -> dict[str, str]:
    try:
        step.settings_model.model_validate(settings)
    except ValidationError as error:
        return fields_of(error, f"steps.{step.id}.settings")
    return {}


def _wrong_in_choice(
    step: Step, choice: ProviderChoice, place: str, more_models: Collection[str]
) -> dict[str, str]:
    adapter: Adapter | None = registry.adapters().get(choice.provider)
    if adapter is None:
        return {f"{place}.provider": UNKNOWN_PROVIDER}
    offer = adapter.offers.get(step.capability)
    if offer is None:
        return {f"{place}.provider": WRONG_CAPABILITY}
    if choice.model not in offer.models and choice.model not in more_models:
        return {f"{place}.model": UNKNOWN_MODEL}
    try:
        offer.options_of(choice.model).model_validate(choice.options)
    except ValidationError as error:
        return fields_of(error, f"{place}.options")
    return {}
