"""Simulators over HTTP and HTTPS, each started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.simulators.client import Fal

from funmagic.simulators.server import running


@pytest.fixture(scope="session")
def over_http() -> Iterator[Fal]:
    with running() as place, (fal := Fal(place)).http:
        yield fal


@pytest.fixture(scope="session")
def over_https() -> Iterator[Fal]:
    with running(tls=True) as place, (fal := Fal(place)).http:
        yield fal


@pytest.fixture
def fal(over_http: Fal) -> Fal:
    return over_http.clean()


@pytest.fixture(params=["over_http", "over_https"])
def either(request: pytest.FixtureRequest) -> Fal:
    """The same over both."""
    fal: Fal = request.getfixturevalue(request.param)
    return fal.clean()
