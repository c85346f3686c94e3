"""What the forms of a tool and of a provider are drawn from, for pages and programs alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import BaseModel, ValidationError

from funmagic.catalog.config import StepConfig
from funmagic.catalog.models import Tool
from funmagic.catalog.service import plugin_of
from funmagic.core import formats
from funmagic.core.http import CamelModel
from funmagic.core.i18n import N_, translate
from funmagic.providers.contract import Offer
from funmagic.providers.service import ProviderState
from funmagic.toolkit.contract import Step
from funmagic.toolkit.contract import Tool as Plugin
from funmagic.toolkit.schema import FormField, Kind, UndrawableField, form_of

NOT_LISTED = N_("The provider does not list {model}: it may be refused.")
RETIRES = N_("{model} retires on {date}.")


class FieldView(CamelModel):
    """One control, its words in the reader's language. ``default`` is JSON."""

    name: str
    kind: Kind
    label: str
    help: str
    is_required: bool
    default: Any
    choices: list[str]
    max_length: int | None
    minimum: float | None
    maximum: float | None
    max_items: int | None
    fields: list[FieldView]


class ModelView(CamelModel):
    """A model a step may use. ``options`` names its form; ``isListed`` is None where the vendor
    does not say which models there are."""

    id: str
    options: str
    is_listed: bool | None
    retires_on: date | None
    warning: str | None


class StepProvider(CamelModel):
    """A provider that can do a step's work."""

    key: str
    label: str
    is_configured: bool
    health_ok: bool | None
    models: list[ModelView]


class ModelRef(CamelModel):
    provider: str
    model: str


class StepForm(CamelModel):
    """What can be set for one step. Prices are whole credits."""

    id: str
    title: str
    capability: str
    follows: str | None
    price_credits: int
    recommended: ModelRef
    settings: list[FieldView]
    providers: list[StepProvider]


class ToolForm(CamelModel):
    """What can be set for one tool; ``optionsForms`` by the name a model gives."""

    steps: list[StepForm]
    options_forms: dict[str, list[FieldView]]
    warnings: list[str]


def tool_form(tool: Tool, providers: Sequence[ProviderState], locale: str) -> ToolForm:
    """The form of a tool's configuration. Raises :class:`Invalid` without its plug-in."""
    plugin = plugin_of(tool.implementation)
    forms: dict[str, list[FieldView]] = {}
    steps = [_step_form(step, providers, forms, locale) for step in plugin.steps]
    used = readable(plugin, tool.config)
    return ToolForm(steps=steps, options_forms=forms, warnings=_warnings(used, steps))


def readable(plugin: Plugin, config: Mapping[str, Any]) -> dict[str, StepConfig]:
    """By step, what of a stored configuration its form can be drawn with; the rest begins anew."""
    found: dict[str, StepConfig] = {}
    for step in plugin.steps:
        try:
            known = StepConfig.model_validate(config["steps"].get(step.id))
        except ValidationError:
            continue
        found[step.id] = known.model_copy(update={"settings": _fitting(step, known.settings)})
    return found


def _fitting(step: Step, settings: dict[str, Any]) -> dict[str, Any]:
    try:
        step.settings_model.model_validate(settings)
    except ValidationError as error:
        wrong = {item["loc"][0] for item in error.errors() if item["loc"]}
        return {name: value for name, value in settings.items() if name not in wrong}
    return settings


def form_view(model: type[BaseModel], locale: str) -> list[FieldView]:
    """The controls of a model. Raises :class:`UndrawableField`."""
    return [_field_view(field, locale) for field in form_of(model)]


def drawable(model: type[BaseModel], locale: str) -> list[FieldView] | None:
    """The controls of a model; None where it can only be written as JSON."""
    try:
        return form_view(model, locale)
    except UndrawableField:
        return None


def retirement(model: str, day: date, locale: str) -> str:
    """The sentence that warns of a model's end."""
    return translate(locale, RETIRES, model=model, date=formats.day(day, locale))


def _field_view(field: FormField, locale: str) -> FieldView:
    return FieldView(
        name=field.name,
        kind=field.kind,
        label=translate(locale, field.label),
        help=translate(locale, field.help) if field.help else "",
        is_required=field.is_required,
        default=field.default,
        choices=list(field.choices),
        max_length=field.max_length if field.kind in ("text", "secret") else None,
        minimum=field.minimum,
        maximum=field.maximum,
        max_items=field.max_items,
        fields=[_field_view(inner, locale) for inner in field.fields],
    )


def _step_form(
    step: Step,
    providers: Sequence[ProviderState],
    forms: dict[str, list[FieldView]],
    locale: str,
) -> StepForm:
    able = [
        StepProvider(
            key=state.adapter.key,
            label=state.row.label if state.row else state.adapter.label,
            is_configured=state.is_configured,
            health_ok=state.row.health_ok if state.row else None,
            models=_models(step, state, offer, forms, locale),
        )
        for state in providers
        if (offer := state.adapter.offers.get(step.capability)) is not None
    ]
    able.sort(key=lambda each: (not each.is_configured, each.label.lower()))
    return StepForm(
        id=step.id,
        title=translate(locale, step.title),
        capability=step.capability.value,
        follows=step.follows,
        price_credits=step.price_credits,
        recommended=ModelRef(provider=step.recommended_provider, model=step.recommended_model),
        settings=form_view(step.settings_model, locale),
        providers=able,
    )


def _models(
    step: Step,
    state: ProviderState,
    offer: Offer,
    forms: dict[str, list[FieldView]],
    locale: str,
) -> list[ModelView]:
    """The release's models, then those an admin or the vendor added. Forms are drawn once each."""
    listed: list[str] = state.row.health_listed if state.row else []
    added: list[str] = state.row.config.get("moreModels", []) if state.row else []
    retiring: Mapping[str, str] = state.row.health_retiring if state.row else {}
    seen: list[type[BaseModel]] = []
    views = []
    for model in dict.fromkeys([*offer.models, *added, *sorted(listed)]):
        options = offer.options_of(model)
        if options not in seen:
            seen.append(options)
        name = f"{state.adapter.key}.{step.capability.value}.{seen.index(options)}"
        if name not in forms:
            forms[name] = form_view(options, locale)
        day = date.fromisoformat(retiring[model]) if model in retiring else None
        is_listed = model in listed if listed else None
        views.append(
            ModelView(
                id=model,
                options=name,
                is_listed=is_listed,
                retires_on=day,
                warning=_warning(model, day, is_listed, locale),
            )
        )
    return views


def _warning(model: str, day: date | None, is_listed: bool | None, locale: str) -> str | None:
    if day:
        return retirement(model, day, locale)
    return translate(locale, NOT_LISTED, model=model) if is_listed is False else None


def _warnings(configured: Mapping[str, StepConfig], steps: Sequence[StepForm]) -> list[str]:
    """Which of the models this tool uses now retire."""
    used = {
        (choice.provider, choice.model) for step in configured.values() for choice in step.providers
    }
    found = {
        model.warning: None
        for step in steps
        for provider in step.providers
        for model in provider.models
        if model.warning and model.retires_on and (provider.key, model.id) in used
    }
    return list(found)
