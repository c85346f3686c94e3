"""Providers for admins: list, fill in, test. Credentials go in and never come out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Router, get, post, put
from litestar.di import NamedDependency
from litestar.params import Body, FromPath, JSONBody
from pydantic import Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User
from funmagic.audit import service as audit
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.i18n import translate
from funmagic.core.paging import Page
from funmagic.core.resources import Resources
from funmagic.dashboard.forms import FieldView, drawable, retirement
from funmagic.providers import costs, service
from funmagic.providers.registry import place_of
from funmagic.providers.service import Draft, Failure, ProviderState

Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80)]
Address = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Secret = Annotated[str, StringConstraints(max_length=10_000)]


class ConnectionDraft(CamelModel):
    """What is filled in. Of ``credentials`` only those given are replaced."""

    base_url: Address | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    credentials: dict[str, Secret] = Field(default_factory=dict, max_length=20, repr=False)

    def draft(self) -> Draft:
        return Draft(self.config, self.base_url or None, self.credentials or None)


class ProviderChange(ConnectionDraft):
    """``updatedAt`` is as it was read; null where nothing was configured yet."""

    label: Label
    is_enabled: bool
    updated_at: datetime | None = None


class CredentialsView(CamelModel):
    """That credentials are there, never what they are. ``problem``: why they cannot be used."""

    is_set: bool
    set_at: datetime | None
    problem: str | None


class HealthView(CamelModel):
    """What the last test said. ``ok`` is None where nobody can tell."""

    ok: bool | None
    message: str | None
    checked_at: datetime | None
    warnings: list[str]


class ProviderLine(CamelModel):
    key: str
    label: str
    capabilities: list[str]
    is_configured: bool
    is_enabled: bool
    is_simulated: bool
    base_url: str | None
    credentials: CredentialsView | None
    health: HealthView
    updated_at: datetime | None

    @classmethod
    def of(cls, state: ProviderState, locale: str) -> ProviderLine:
        return cls(**_line(state, locale))


class TroubleView(CamelModel):
    """A call that failed, in the vendor's words."""

    task_id: UUID
    step: str
    model: str
    trouble: str
    message: str
    at: datetime

    @classmethod
    def of(cls, failure: Failure) -> TroubleView:
        return cls(
            task_id=failure.task_id,
            step=failure.step_id,
            model=failure.model,
            trouble=failure.trouble,
            message=failure.message,
            at=failure.at,
        )


class SpentView(CamelModel):
    """What the calls of the last ``days`` have cost, in millionths of a US dollar."""

    days: int
    calls: int
    usd_micros: int


class ProviderView(ProviderLine):
    """A provider whole. ``configForm`` is null where the configuration is written as JSON."""

    config: dict[str, Any]
    config_form: list[FieldView] | None
    credentials_form: list[FieldView] | None
    spent: SpentView
    recent_troubles: list[TroubleView]


class TestedView(CamelModel):
    """The answer of a test. ``listed`` are the models this account may use, as the vendor says."""

    ok: bool | None
    message: str
    warnings: list[str]
    listed: list[str]
    is_stored: bool


@get("/")
async def list_providers(
    request: Request[Any, Any, Any], resources: NamedDependency[Resources]
) -> Page[ProviderLine]:
    """Every provider of this release: there are as many as there are adapters, on one page."""
    locale = request_locale(request)
    async with resources.db.transaction() as session:
        found = await service.every(session)
    return Page[ProviderLine](items=[ProviderLine.of(s, locale) for s in found])


@get("/{key:str}")
async def show_provider(
    request: Request[Any, Any, Any], resources: NamedDependency[Resources], key: FromPath[str]
) -> ProviderView:
    """One provider and its latest troubles."""
    return await provider_view(resources, key, request_locale(request))


@put("/{key:str}")
async def save_provider(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    user: NamedDependency[User],
    key: FromPath[str],
    data: JSONBody[ProviderChange],
) -> ProviderView:
    """Store what was filled in. Whoever uses the provider next uses this."""
    async with resources.db.transaction() as session:
        await service.save(
            session,
            resources.vault,
            key,
            data.draft(),
            label=data.label,
            is_enabled=data.is_enabled,
            read_at=data.updated_at,
            place=place_of(resources.settings),
        )
        await _record(session, user, key, data)
    return await provider_view(resources, key, request_locale(request))


@post("/{key:str}/health", status_code=200, opt={"limit": "20 per minute"})
async def check_provider(
    request: Request[Any, Any, Any],
    resources: NamedDependency[Resources],
    key: FromPath[str],
    data: Annotated[ConnectionDraft | None, Body()] = None,
) -> TestedView:
    """Test the saved connection and keep the answer; or test what the body says, and keep nothing.

    Without a body, or with an empty one, the saved connection is tested.
    """
    draft = data.draft() if data is not None and data.model_fields_set else None
    async with resources.db.transaction() as session:
        connection = await service.connection_to_test(
            session,
            resources.vault,
            key,
            draft,
            place=place_of(resources.settings),
        )
    health = await service.check(key, connection)
    if draft is None:
        async with resources.db.transaction() as session:
            await service.note_health(session, key, health)
    locale = request_locale(request)
    return TestedView(
        ok=health.ok,
        message=translate(locale, health.message),
        warnings=[retirement(m, day, locale) for m, day in sorted(health.retiring.items())],
        listed=list(health.listed),
        is_stored=draft is None,
    )


async def _record(session: AsyncSession, user: User, key: str, data: ProviderChange) -> None:
    """Of credentials only that they were replaced; settings and addresses may hold keys too."""
    acts: list[tuple[str, dict[str, Any]]] = [
        ("provider.saved", {"label": data.label, "isEnabled": data.is_enabled})
    ]
    if data.credentials:
        acts.append(("provider.credentials_replaced", {"fields": sorted(data.credentials)}))
    for action, told in acts:
        await audit.record(
            session,
            actor_id=user.id,
            action=action,
            subject_type="provider",
            subject_id=key,
            data=told,
        )


async def provider_view(resources: Resources, key: str, locale: str) -> ProviderView:
    """One provider as its page and programs see it. Raises :class:`NotFound`."""
    async with resources.db.transaction() as session:
        state = await service.one(session, resources.vault, key)
        troubles = await service.troubles_of(session, key)
        spent = await costs.spent_on(session, key)
    adapter = state.adapter
    return ProviderView(
        **_line(state, locale),
        config=state.row.config if state.row else {},
        config_form=drawable(adapter.config_model, locale),
        credentials_form=drawable(adapter.credentials_model, locale)
        if adapter.credentials_model
        else None,
        spent=SpentView(days=costs.DAYS, calls=spent.calls, usd_micros=spent.usd_micros),
        recent_troubles=[TroubleView.of(failure) for failure in troubles],
    )


def _line(state: ProviderState, locale: str) -> dict[str, Any]:
    row = state.row
    credentials = CredentialsView(
        is_set=state.has_credentials,
        set_at=row.credentials_set_at if row else None,
        problem=translate(locale, state.problem) if state.problem else None,
    )
    health = HealthView(
        ok=row.health_ok if row else None,
        message=translate(locale, row.health_message) if row and row.health_message else None,
        checked_at=row.health_checked_at if row else None,
        warnings=[
            retirement(model, date.fromisoformat(day), locale)
            for model, day in sorted((row.health_retiring if row else {}).items())
        ],
    )
    return {
        "key": state.adapter.key,
        "label": row.label if row else state.adapter.label,
        "capabilities": [capability.value for capability in state.adapter.offers],
        "is_configured": state.is_configured,
        "is_enabled": bool(row and row.is_enabled),
        "is_simulated": bool(row and row.is_simulated),
        "base_url": row.base_url if row else None,
        "credentials": credentials if state.needs_credentials else None,
        "health": health,
        "updated_at": row.updated_at if row else None,
    }


router = Router(
    "/providers", route_handlers=[list_providers, show_provider, save_provider, check_provider]
)
