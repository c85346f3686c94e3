"""The stage of tests that need vendors under their control."""

from __future__ import annotations

import pytest
from tests.conftest import MakeUser, Site
from tests.tasks.studio import Studio

from funmagic.core.resources import Resources


@pytest.fixture
async def studio(
    site: Site,
    resources: Resources,
    make_user: MakeUser,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> Studio:
    opened = Studio(site, resources, make_user, astronaut)
    await opened.open(monkeypatch)
    return opened
