"""Simulators over HTTP and HTTPS, each started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.simulators.client import Fal
from tests.simulators.tripo_client import Tripo

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


@pytest.fixture(scope="session")
def tripo_over_http(over_http: Fal) -> Iterator[Tripo]:
    with (tripo := Tripo(over_http.place)).http:
        yield tripo


@pytest.fixture
def tripo(tripo_over_http: Tripo) -> Tripo:
    return tripo_over_http.clean()
