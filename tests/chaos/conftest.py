"""The stage of the storms: a simulated vendor, workers to kill, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from tests.chaos.nursery import Nursery
from tests.chaos.stage import Stage
from tests.conftest import MakeUser, Site
from tests.vendors import FalControl, use_fal

from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.simulators.server import Running, running

LEASE_S = 1.5
RECONCILE_EVERY_S = 0.2


@pytest.fixture(scope="session")
def simulators() -> Iterator[Running]:
    with running() as vendors:
        yield vendors


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    opened = Nursery.open()
    yield opened
    opened.close()


@pytest.fixture
def settings(settings: Settings, simulators: Running) -> Settings:
    return stormy(settings, simulators)


@pytest.fixture
async def fal(resources: Resources, simulators: Running) -> AsyncIterator[FalControl]:
    """The product works by fal; here are its controls."""
    await use_fal(resources)
    async with httpx.AsyncClient(base_url=simulators.url, timeout=30) as client:
        control = FalControl(client)
        await control.reset()
        yield control


@pytest.fixture
def stage(
    site: Site,
    fal: FalControl,
    nursery: Nursery,
    resources: Resources,
    settings: Settings,
    make_user: MakeUser,
    astronaut: bytes,
) -> Stage:
    return Stage(site, fal, nursery, resources, settings, make_user, astronaut)


def stormy(settings: Settings, simulators: Running) -> Settings:
    """Short leases, and fal as it is simulated."""
    return settings.model_copy(
        update={
            "simulators_url": simulators.url,
            "lease_s": LEASE_S,
            "reconcile_every_s": RECONCILE_EVERY_S,
        }
    )
