"""A supervisor in a process of its own, to be stopped, killed and started again."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.embedded.house import House


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    houses: list[House] = []

    def make(data: Path | None = None) -> House:
        houses.append(House(data or tmp_path / "data"))
        return houses[-1]

    yield make
    for house in houses:
        if not hasattr(house, "process"):
            continue
        house.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            house.process.wait(timeout=20)
        house.process.kill()
        house.process.wait()
        if house.process.stdout is not None:
            house.process.stdout.close()
