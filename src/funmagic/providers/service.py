"""What admins do to providers: fill in the connection, switch it, test it.

Credentials go in and never come out: whoever asks learns that they are set, and since when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from funmagic.core.clock import now
from funmagic.core.crypto import Vault
from funmagic.core.errors import Conflict, Invalid, NotFound
from funmagic.core.forms import MESSAGES, fields_of
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.providers import origins, registry
from funmagic.providers.addresses import is_loopback
from funmagic.providers.contract import (
    Adapter,
    AdapterConfig,
    Connection,
    Health,
    Place,
    ProviderError,
)
from funmagic.providers.models import Provider
from funmagic.providers.registry import BrokenCredentials

CHECK_LIMIT_S: Final = 30.0
MESSAGE_LIMIT_CHARS: Final = 500
# Troubles are looked for among the newest calls alone: the table only grows.
CALLS_LOOKED_THROUGH: Final = 5_000
TROUBLES_SHOWN: Final = 10

UNREADABLE = N_("The stored credentials cannot be opened. Enter them again.")
NO_CREDENTIALS = N_("Enter the credentials first.")
NO_ADDRESS = N_("This is not an address we can call: https://, a host, no user name.")
NOT_NAMED = N_("This server calls no such address. Its operator can name it in PROVIDER_GATEWAYS.")
OWN_ADDRESS_ONLY = N_("This vendor is called at its own address only. Leave this empty.")
NEEDS_NONE = N_("This provider needs no address.")
CHECK_TOOK_TOO_LONG = N_("The vendor did not answer in time.")

TROUBLES = text("""
    SELECT id, task_id, step_id, model, error_trouble, error_message, finished_at
      FROM (SELECT * FROM provider_calls ORDER BY id DESC LIMIT :looked_through) AS newest
     WHERE provider_key = :key AND error_message IS NOT NULL
     ORDER BY id DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class ProviderState:
    """An adapter of this release and what is configured for it; without a row nothing is.

    ``problem`` is a message id: why its stored credentials cannot be used.
    """

    adapter: Adapter
    row: Provider | None
    problem: str | None = None

    @property
    def needs_credentials(self) -> bool:
        return self.adapter.credentials_model is not None

    @property
    def has_credentials(self) -> bool:
        return self.row is not None and self.row.credentials_set_at is not None

    @property
    def is_configured(self) -> bool:
        """Whether tasks can be given to it: it is switched on, and has the key it needs."""
        if self.row is None or not self.row.is_enabled:
            return False
        return self.has_credentials or not self.needs_credentials


@dataclass(frozen=True, slots=True)
class Draft:
    """What an admin filled in. ``credentials`` are those to be replaced, None for none of them."""

    config: Mapping[str, Any]
    base_url: str | None = None
    credentials: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """One call that failed. ``message`` is the vendor's, for operators."""

    task_id: Any
    step_id: str
    model: str
    trouble: str
    message: str
    at: datetime


async def every(s: AsyncSession) -> list[ProviderState]:
    """All providers of this release, by label; those without a row are not configured."""
    rows = {row.key: row for row in await s.scalars(select(Provider))}
    found = [ProviderState(each, rows.get(key)) for key, each in registry.adapters().items()]
    return sorted(found, key=lambda state: state.adapter.label.lower())


async def one(s: AsyncSession, vault: Vault, key: str) -> ProviderState:
    """One provider, its stored credentials tried. Raises :class:`NotFound`."""
    adapter = _adapter(key)
    row = await _row(s, key)
    problem = None
    try:
        _stored_credentials(vault, adapter, row)
    except BrokenCredentials:
        problem = UNREADABLE
    return ProviderState(adapter, row, problem)


async def more_models(s: AsyncSession) -> dict[str, frozenset[str]]:
    """Models by provider that are known besides those of the release: added, or listed."""
    rows = (await s.execute(select(Provider.key, Provider.config, Provider.health_listed))).all()
    return {
        row.key: frozenset([*row.config.get("moreModels", ()), *row.health_listed]) for row in rows
    }


async def troubles_of(s: AsyncSession, key: str) -> list[Failure]:
    """The newest calls to this provider that failed, in the vendor's words."""
    values = {"key": key, "limit": TROUBLES_SHOWN, "looked_through": CALLS_LOOKED_THROUGH}
    return [
        Failure(
            task_id=row.task_id,
            step_id=row.step_id,
            model=row.model,
            trouble=row.error_trouble or "",
            message=row.error_message,
            at=row.finished_at or now(),
        )
        for row in await s.execute(TROUBLES, values)
    ]


async def save(
    s: AsyncSession,
    vault: Vault,
    key: str,
    draft: Draft,
    *,
    label: str,
    is_enabled: bool,
    read_at: datetime | None,
    place: Place,
) -> ProviderState:
    """Store what an admin filled in; credentials are sealed with today's key.

    ``read_at`` is the row's ``updated_at`` as the admin saw it, None where there was no row.
    Raises :class:`NotFound`, :class:`Invalid` by field, and :class:`Conflict` where somebody else
    has changed it since.
    """
    adapter = _adapter(key)
    row = await _row(s, key, locked=True)
    if (row.updated_at if row else None) != read_at:
        raise Conflict()
    connection, fields = _read(vault, adapter, row, draft, place=place)
    if not draft.credentials:  # what cannot be opened stays as it is; the rest can be changed
        fields = {name: text for name, text in fields.items() if text != UNREADABLE}
    if fields:
        raise Invalid(fields=fields)
    if row is None:
        row = Provider(id=new_id(), key=key, label=label)
        s.add(row)
    config = connection.config.model_dump(mode="json", by_alias=True)
    was = (row.base_url, _filled_up(adapter, row.config or {}))
    if draft.credentials or was != (connection.base_url, config):
        row.health_ok = row.health_message = row.health_checked_at = None
        row.health_retiring, row.health_listed = {}, []
    row.label, row.is_enabled, row.base_url = label, is_enabled, connection.base_url
    row.config = config
    row.is_simulated = bool(row.is_simulated and row.base_url is not None)
    row.updated_at = now()
    if connection.credentials is not None:
        row.credentials_encrypted = registry.seal_credentials(vault, key, connection.credentials)
        if draft.credentials:
            row.credentials_set_at = now()
    await s.flush()
    return ProviderState(adapter, row)


async def connection_to_test(
    s: AsyncSession, vault: Vault, key: str, draft: Draft | None, *, place: Place
) -> Connection:
    """The saved connection, or the one that is being filled in. A provider may be switched off.

    Raises :class:`NotFound`, :class:`Invalid` by field.
    """
    adapter = _adapter(key)
    row = await _row(s, key)
    if draft is None:
        draft = Draft(row.config if row else {}, row.base_url if row else None)
    connection, fields = _read(vault, adapter, row, draft, place=place)
    if not fields and adapter.credentials_model is not None and connection.credentials is None:
        fields = {f"credentials.{_first_name(adapter.credentials_model)}": NO_CREDENTIALS}
    if fields:
        raise Invalid(fields=fields)
    return connection


async def check(key: str, connection: Connection) -> Health:
    """Ask the vendor, outside any transaction. Every trouble is an answer, too."""
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            return await _adapter(key).check_health(connection)
    except ProviderError as error:
        return Health(False, error.vendor_message)
    except TimeoutError:
        return Health(False, CHECK_TOOK_TOO_LONG)


async def note_health(s: AsyncSession, key: str, health: Health) -> None:
    """Keep what a test of the saved connection said; not a change an admin could collide with.

    One that failed says nothing of models: what was told of them before stays.
    """
    models: dict[str, Any] = {}
    if health.ok:
        models = {
            "health_retiring": {id_: day.isoformat() for id_, day in health.retiring.items()},
            "health_listed": list(health.listed),
        }
    await s.execute(
        update(Provider)
        .where(Provider.key == key)
        .values(
            health_ok=health.ok,
            health_message=health.message[:MESSAGE_LIMIT_CHARS],
            health_checked_at=func.now(),
            updated_at=Provider.updated_at,
            **models,
        )
    )


def _adapter(key: str) -> Adapter:
    with suppress(KeyError):
        return registry.adapter(key)
    raise NotFound()


async def _row(s: AsyncSession, key: str, *, locked: bool = False) -> Provider | None:
    query = (
        select(Provider)
        .where(Provider.key == key)
        .options(undefer(Provider.credentials_encrypted))
        .execution_options(populate_existing=True)
    )
    return (await s.scalars(query.with_for_update() if locked else query)).one_or_none()


def _filled_up(adapter: Adapter, config: Mapping[str, Any]) -> dict[str, Any]:
    """A stored configuration with what it leaves to the adapter's defaults."""
    return adapter.config_model().model_dump(mode="json", by_alias=True) | dict(config)


def _stored_credentials(vault: Vault, adapter: Adapter, row: Provider | None) -> BaseModel | None:
    """Raises :class:`BrokenCredentials`."""
    if adapter.credentials_model is None or row is None or row.credentials_encrypted is None:
        return None
    return registry.open_credentials(
        vault, adapter.key, adapter.credentials_model, row.credentials_encrypted
    )


def _read(
    vault: Vault, adapter: Adapter, row: Provider | None, draft: Draft, *, place: Place
) -> tuple[Connection, dict[str, str]]:
    """The connection a draft makes of a row, and a message for every wrong field."""
    fields: dict[str, str] = {}
    config = AdapterConfig()
    try:
        config = adapter.config_model.model_validate(dict(draft.config))
    except ValidationError as error:
        fields |= fields_of(error, "config")
    wrong_address = _wrong_address(adapter, draft.base_url, place=place)
    if wrong_address:
        fields["baseUrl"] = wrong_address
    credentials, wrong_credentials = _merged(vault, adapter, row, draft.credentials or {})
    fields |= wrong_credentials
    return Connection(credentials, draft.base_url, config), fields


def _merged(
    vault: Vault, adapter: Adapter, row: Provider | None, given: Mapping[str, Any]
) -> tuple[BaseModel | None, dict[str, str]]:
    """Stored credentials with what was given in their place. Messages quote nothing of either."""
    model = adapter.credentials_model
    if model is None:
        return None, {"credentials": MESSAGES["extra_forbidden"]} if given else {}
    try:
        stored = _stored_credentials(vault, adapter, row)
    except BrokenCredentials:
        # Of what cannot be opened nothing is kept; what is given must be complete.
        if not given:
            return None, {f"credentials.{_first_name(model)}": UNREADABLE}
        stored = None
    if stored is None and not given:
        return None, {}
    kept = {} if stored is None else {name: getattr(stored, name) for name in model.model_fields}
    try:
        return model.model_validate({**kept, **given}), {}
    except ValidationError as error:
        # a validator's own words might quote what was typed
        return None, fields_of(error, "credentials", quotes_nothing=True)


def _first_name(model: type[BaseModel]) -> str:
    return next(iter(model.model_fields))


def _wrong_address(adapter: Adapter, base_url: str | None, *, place: Place) -> str | None:
    """Why this address cannot be called: neither a gateway the operator has named nor a simulator
    of ours."""
    if base_url is None:
        return None
    if adapter.credentials_model is None:
        return NEEDS_NONE
    try:
        origin, _ = origins.parse(base_url)
        if origins.is_gateway(place, base_url) and adapter.takes_gateway:
            return None
    except ProviderError:
        return NO_ADDRESS
    if place.loopback_allowed and (origin.host == "localhost" or is_loopback(origin.host)):
        return None
    return NOT_NAMED if adapter.takes_gateway else OWN_ADDRESS_ONLY
