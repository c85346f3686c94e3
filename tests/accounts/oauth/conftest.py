"""The product with three providers of identities, and people on their way to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from tests.accounts import oauth_stage
from tests.accounts.oauth.journey import Journey
from tests.accounts.oauth_stage import Elsewhere, Providers
from tests.conftest import Site, plain, settings_on

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings


@pytest.fixture(scope="session")
def providers() -> Iterator[Providers]:
    """Google, Facebook and Apple, once for all tests."""
    with oauth_stage.providers() as started:
        yield started


@pytest.fixture
def settings(
    servers: dict[str, str], database_url: str, models_dir: Path, providers: Providers
) -> Settings:
    """This test's settings, with the keys of all three."""
    own = settings_on(servers, database_url, models_dir)
    return Settings(**(plain(own) | providers.settings))  # type: ignore[arg-type]  # read as given


@pytest.fixture
async def elsewhere(providers: Providers) -> AsyncIterator[Elsewhere]:
    """Somebody at the providers' pages, after a clean slate there."""
    async with httpx.AsyncClient(timeout=30) as client:
        visitor = Elsewhere(client, providers)
        await visitor.clean()
        yield visitor


@pytest.fixture
async def journey(site: Site, elsewhere: Elsewhere) -> Journey:
    return Journey(site, elsewhere)


@pytest.fixture
def maildir(resources: Resources) -> Path:
    """An empty mailbox: providers know the same people in every test."""
    folder = resources.settings.dev_inbox_dir
    assert folder is not None
    for mail in folder.glob("new/*"):
        mail.unlink()
    return folder
