"""A tool's configuration: the shape of ``tools.config``, checked against plug-in and adapters.

``{"steps": {"remove": {"priceCredits": 5, "provider": "local", "model": "u2netp"}}}``
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from funmagic.core.errors import Invalid
from funmagic.core.i18n import N_
from funmagic.providers import registry
from funmagic.providers.contract import Adapter
from funmagic.toolkit.contract import Step, Tool

PRICE_LIMIT_CREDITS = 1_000_000

UNKNOWN_STEP = N_("This tool has no such step.")
MISSING_STEP = N_("This step needs a configuration.")
UNKNOWN_PROVIDER = N_("There is no such provider.")
WRONG_CAPABILITY = N_("This provider cannot do this step.")
UNKNOWN_MODEL = N_("This provider does not offer this model for this step.")


class StepConfig(BaseModel):
    """One step as an admin configured it: its price and who does the work."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    # strict: neither true, "5" nor 5.0 is a price
    price_credits: Annotated[int, Field(strict=True, ge=0, le=PRICE_LIMIT_CREDITS)]
    provider: Annotated[str, Field(min_length=1, max_length=64)]
    model: Annotated[str, Field(min_length=1, max_length=200)]
    options: dict[str, Any] = Field(default_factory=dict)


class ToolConfig(BaseModel):
    """What ``tools.config`` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: dict[str, StepConfig]


def parse(config: Mapping[str, Any]) -> ToolConfig:
    """Read a stored or submitted configuration by its shape alone. Raises :class:`Invalid`."""
    try:
        return ToolConfig.model_validate(config)
    except ValidationError as error:
        raise Invalid(fields=_fields_of(error)) from None


def check(tool: Tool, config: Mapping[str, Any]) -> ToolConfig:
    """Read a configuration and hold it against the plug-in and the adapters.

    Raises :class:`Invalid` with one message per wrong field for: a step the tool does not have, a
    step left out, a price that is not a whole number of credits, an unknown provider, a provider
    without the step's capability, a model it does not offer, options its model does not take.
    """
    parsed = parse(config)
    fields = {f"steps.{name}": UNKNOWN_STEP for name in parsed.steps if tool.step(name) is None}
    for step in tool.steps:
        if step.id in parsed.steps:
            fields |= _wrong_in(step, parsed.steps[step.id])
        else:
            fields[f"steps.{step.id}"] = MISSING_STEP
    if fields:
        raise Invalid(fields=fields)
    return parsed


def _wrong_in(step: Step, config: StepConfig) -> dict[str, str]:
    place = f"steps.{step.id}"
    adapter: Adapter | None = registry.adapters().get(config.provider)
    if adapter is None:
        return {f"{place}.provider": UNKNOWN_PROVIDER}
    offer = adapter.offers.get(step.capability)
    if offer is None:
        return {f"{place}.provider": WRONG_CAPABILITY}
    if config.model not in offer.models:
        return {f"{place}.model": UNKNOWN_MODEL}
    try:
        offer.options_model.model_validate(config.options)
    except ValidationError as error:
        return {f"{place}.options.{name}": text for name, text in _fields_of(error).items()}
    return {}


def _fields_of(error: ValidationError) -> dict[str, str]:
    return {".".join(str(part) for part in item["loc"]): item["msg"] for item in error.errors()}
