"""The house with its door open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.accounts.conftest import door as door
from tests.accounts.conftest import maildir as maildir
from tests.accounts.conftest import make_keeper as make_keeper
from tests.conftest import MakeUser, Site
from tests.security.house import House, open_house


@pytest.fixture
async def house(site: Site, make_user: MakeUser, astronaut: bytes) -> AsyncIterator[House]:
    async with open_house(site, make_user, astronaut) as opened:
        yield opened
