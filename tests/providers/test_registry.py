"""Adapters found by their module, and the connections to them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from funmagic.core.crypto import Vault
from funmagic.core.db import Database
from funmagic.core.errors import Unavailable
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.providers import registry, seed
from funmagic.providers.adapters.local import Local
from funmagic.providers.models import Provider

CANARY = "canary-5f1c"
KEYS = "k1:" + "A" * 43 + "=,k0:" + "B" * 42 + "A="


class Credentials(BaseModel):
    api_key: SecretStr


class Vendor(Local):
    key = "vendor"
    label = "Vendor"
    credentials_model = Credentials


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    """One more adapter, which needs a key."""
    adapter = Vendor()
    known = MappingProxyType({**registry.adapters(), "vendor": adapter})
    monkeypatch.setattr(registry, "_adapters", lambda: known)
    return adapter


async def add(db: Database, **values: Any) -> None:
    async with db.transaction() as s:
        s.add(Provider(id=new_id(), key="vendor", label="Vendor", **values))


async def test_a_connection_opens_with_its_credentials(
    resources: Resources, vendor: Vendor
) -> None:
    sealed = registry.seal_credentials(
        resources.vault, "vendor", Credentials(api_key=SecretStr(CANARY))
    )
    assert CANARY.encode() not in sealed
    await add(resources.db, credentials_encrypted=sealed, base_url="https://vendor.example")
    async with resources.db.transaction() as s:
        connection = await registry.connection_of(s, resources.vault, "vendor")
    assert isinstance(connection.credentials, Credentials)
    assert connection.credentials.api_key.get_secret_value() == CANARY
    assert connection.base_url == "https://vendor.example"
    assert CANARY not in repr(connection)


@pytest.mark.parametrize("values", [{}, {"is_enabled": False}, None])
async def test_a_provider_without_key_switched_off_or_missing_is_unavailable(
    resources: Resources, vendor: Vendor, values: dict[str, Any] | None
) -> None:
    if values and not values["is_enabled"]:
        credentials = Credentials(api_key=SecretStr(CANARY))
        values |= {
            "credentials_encrypted": registry.seal_credentials(
                resources.vault, "vendor", credentials
            )
        }
    if values is not None:
        await add(resources.db, **values)
    async with resources.db.transaction() as s:
        with pytest.raises(Unavailable) as refusal:
            await registry.connection_of(s, resources.vault, "vendor")
    assert refusal.value.type == "provider_unavailable"


async def test_the_local_provider_needs_no_key(resources: Resources) -> None:
    async with resources.db.transaction() as s:
        await seed.seed(s)
        assert (await registry.connection_of(s, resources.vault, "local")).credentials is None


async def test_seeding_again_leaves_an_operators_change(db: Database) -> None:
    async with db.transaction() as s:
        await seed.seed(s)
        provider = await s.get_one(Provider, await id_of(s, "local"))
        provider.is_enabled, provider.label = False, "Attic"
    async with db.transaction() as s:
        await seed.seed(s)
    async with db.transaction() as s:
        provider = await s.get_one(Provider, await id_of(s, "local"))
        assert (provider.is_enabled, provider.label) == (False, "Attic")


async def id_of(s: Any, key: str) -> Any:
    from sqlalchemy import select

    return (await s.scalars(select(Provider.id).where(Provider.key == key))).one()


@pytest.mark.hazard("U7")
@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"plain-api-key",
        b'{"api_key": "canary-5f1c"}',
        b"1\x02k1" + bytes(40),
        b"1\x02kX" + bytes(40),
        b"1\xffk1",
    ],
)
def test_malformed_ciphertext_is_a_hard_error_and_is_not_quoted(stored: bytes) -> None:
    with pytest.raises(registry.BrokenCredentials) as refusal:
        registry.open_credentials(Vault(KEYS), "vendor", Credentials, stored)
    assert CANARY not in f"{refusal.value!r}{refusal.value.__context__!r}" or (
        refusal.value.__suppress_context__
    )
    assert CANARY not in str(refusal.value)


@pytest.mark.hazard("U7")
def test_credentials_open_for_their_own_provider_only() -> None:
    vault = Vault(KEYS)
    sealed = registry.seal_credentials(vault, "vendor", Credentials(api_key=SecretStr(CANARY)))
    with pytest.raises(registry.BrokenCredentials):
        registry.open_credentials(vault, "other", Credentials, sealed)


@pytest.mark.hazard("U7")
def test_credentials_survive_a_new_first_key() -> None:
    old, new = "old:" + "C" * 42 + "A=", "new:" + "D" * 42 + "A="
    sealed = registry.seal_credentials(Vault(old), "vendor", Credentials(api_key=SecretStr(CANARY)))
    opened = registry.open_credentials(Vault(f"{new},{old}"), "vendor", Credentials, sealed)
    assert isinstance(opened, Credentials)
    assert opened.api_key.get_secret_value() == CANARY


@pytest.mark.hazard("U6")
def test_credentials_of_another_shape_are_refused_without_quoting_them() -> None:
    class Older(BaseModel):
        token: str

    vault = Vault(KEYS)
    sealed = registry.seal_credentials(vault, "vendor", Older(token=CANARY))
    with pytest.raises(registry.BrokenCredentials) as refusal:
        registry.open_credentials(vault, "vendor", Credentials, sealed)
    assert CANARY not in str(refusal.value)
    assert refusal.value.__suppress_context__


Shelf = Callable[..., str]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(**sources: str) -> str:
        (tmp_path / "vendor_shelf").mkdir()
        (tmp_path / "vendor_shelf" / "__init__.py").touch()
        for module, source in sources.items():
            (tmp_path / "vendor_shelf" / f"{module}.py").write_text(source)
        return "vendor_shelf"

    yield make
    for name in [name for name in sys.modules if name.startswith("vendor_shelf")]:
        del sys.modules[name]


LOCAL = "from funmagic.providers.adapters.local import Local\n"


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import no_such_sdk", "no_such_sdk"),
        ("", "exposes no ADAPTER"),
        (LOCAL + "ADAPTER = Local()", "exposes no ADAPTER class"),
        (
            "from funmagic.providers.contract import Adapter\nclass ADAPTER(Adapter): pass",
            "abstract",
        ),
    ],
)
def test_a_broken_module_is_named_with_its_trouble(
    shelf: Shelf, source: str, complaint: str
) -> None:
    with pytest.raises(registry.BrokenAdapter) as refusal:
        registry.find(shelf(broken=source))
    assert "vendor_shelf.broken" in str(refusal.value)
    assert complaint in str(refusal.value)


def test_two_modules_may_not_share_a_key(shelf: Shelf) -> None:
    with pytest.raises(registry.BrokenAdapter, match="taken"):
        registry.find(shelf(a=LOCAL + "ADAPTER = Local", b=LOCAL + "ADAPTER = Local"))
