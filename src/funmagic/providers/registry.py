"""Finds adapters, and opens the connection an operator configured for one.

Every module in ``providers/adapters`` exposes ``ADAPTER``, a subclass of
:class:`~funmagic.providers.contract.Adapter`; one instance lives in each process.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from funmagic.core.crypto import SealBroken, Vault
from funmagic.core.errors import Unavailable
from funmagic.core.settings import Settings
from funmagic.providers.contract import Adapter, Connection, Place
from funmagic.providers.models import Provider

PLACE = "funmagic.providers.adapters"


class BrokenAdapter(Exception):
    """An adapter module that cannot be used; the message names it and says why."""


class BrokenCredentials(Exception):
    """Stored credentials that cannot be opened or do not fit. Never quotes them."""


def adapters() -> Mapping[str, Adapter]:
    """Every adapter by key. Raises :class:`BrokenAdapter`."""
    return _adapters()


def adapter(key: str) -> Adapter:
    """The adapter with this key. Raises :class:`KeyError` where there is none."""
    return _adapters()[key]


def place_of(settings: Settings) -> Place:
    """What a process of ours lends to its adapters."""
    return Place(
        models_dir=settings.models_dir,
        parallel_calls=settings.worker_concurrency,
        loopback_allowed=bool(settings.simulators_url),
        ca_file=settings.simulators_ca_file,
        gateways=frozenset(settings.gateways),
    )


def open(place: Place) -> None:
    """Tell every adapter where this process runs. Call once at start; cheap, starts nothing."""
    for each in _adapters().values():
        each.open(place)


async def close() -> None:
    """Free what the adapters of this process hold. Each can be used again afterwards."""
    if _adapters.cache_info().currsize:
        for each in _adapters().values():
            await each.close()


async def connection_of(
    s: AsyncSession, vault: Vault, key: str, *, for_new_work: bool = True
) -> Connection:
    """Open the connection to a configured provider; for new work it must be switched on.

    Raises :class:`Unavailable` where the provider is not configured, is switched off or lacks its
    credentials; :class:`BrokenCredentials` where what is stored cannot be opened.
    """
    query = (
        select(Provider).where(Provider.key == key).options(undefer(Provider.credentials_encrypted))
    )
    provider = (await s.scalars(query)).one_or_none()
    known = _adapters().get(key)
    if provider is None or known is None or (for_new_work and not provider.is_enabled):
        raise Unavailable(type="provider_unavailable")
    config = known.config_model.model_validate(provider.config)
    if known.credentials_model is None:
        return Connection(base_url=provider.base_url, config=config)
    if provider.credentials_encrypted is None:
        raise Unavailable(type="provider_unavailable")
    credentials = open_credentials(
        vault, key, known.credentials_model, provider.credentials_encrypted
    )
    return Connection(credentials, provider.base_url, config)


def seal_credentials(vault: Vault, key: str, credentials: BaseModel) -> bytes:
    """Encrypt credentials for this provider's row; they open nowhere else."""
    revealed: dict[str, Any] = {
        name: _reveal(getattr(credentials, name)) for name in type(credentials).model_fields
    }
    return vault.seal(json.dumps(revealed).encode(), context=_context(key))


def open_credentials(vault: Vault, key: str, model: type[BaseModel], sealed: bytes) -> BaseModel:
    """Decrypt credentials. Raises :class:`BrokenCredentials`; nothing is passed through."""
    try:
        return model.model_validate(json.loads(vault.open(sealed, context=_context(key))))
    except (SealBroken, ValidationError, ValueError) as error:
        # from None: a validation error quotes its input
        raise BrokenCredentials(f"{key}: {type(error).__name__}") from None


def _context(key: str) -> str:
    return f"providers:{key}"


def _reveal(value: Any) -> Any:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@cache
def _adapters() -> Mapping[str, Adapter]:
    return MappingProxyType(find(PLACE))


def find(place: str) -> dict[str, Adapter]:
    """Import every module below ``place`` and make one adapter of each, by key."""
    root = importlib.import_module(place)
    found: dict[str, Adapter] = {}
    for entry in sorted(pkgutil.iter_modules(root.__path__), key=lambda entry: entry.name):
        name = f"{place}.{entry.name}"
        try:
            kind = getattr(importlib.import_module(name), "ADAPTER", None)
        except Exception as error:  # whatever an adapter's own code raises
            raise BrokenAdapter(f"{name} cannot be imported: {error!r}") from error
        if not (isinstance(kind, type) and issubclass(kind, Adapter)):
            raise BrokenAdapter(f"{name} exposes no ADAPTER class (found {kind!r})")
        try:
            instance = kind()
        except TypeError as error:
            raise BrokenAdapter(f"{name}: {error}") from error
        if instance.key in found:
            raise BrokenAdapter(f"{name}: the key {instance.key!r} is taken by another module")
        found[instance.key] = instance
    return found
