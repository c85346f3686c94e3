"""A cast of hosts, resolvers and vendors to fetch results from."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.providers.canary import Canary, Script, canary

from funmagic.core.clock import now
from funmagic.providers import fetch
from funmagic.providers.contract import File, Place, ProviderError
from funmagic.providers.fetch import Fetcher, Rules
from funmagic.providers.origins import Origin

PUBLIC, PUBLIC_V6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
VENDOR = "files.vendor.example"


class Names:
    """A resolver of its own: names by table, the rest by the system, which needs no network."""

    def __init__(self, **table: list[list[str]]) -> None:
        self.table = {name.replace("_", "."): answers for name, answers in table.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append(host)
        if host in self.table:
            answers = self.table[host]
            return tuple(answers.pop(0) if len(answers) > 1 else answers[0])
        return await fetch.look_up(host, port)


async def get(
    fetcher: Fetcher, url: str, folder: Path, rules: Rules, simulator: Origin | None = None
) -> File:
    deadline_at = now() + timedelta(seconds=30)
    return await fetcher.fetch(
        url, folder / "result.png", rules, deadline_at=deadline_at, simulator=simulator
    )


async def refusal(
    fetcher: Fetcher, url: str, folder: Path, rules: Rules, simulator: Origin | None = None
) -> ProviderError:
    """The error of a fetch that must fail, having left nothing behind."""
    with pytest.raises(ProviderError) as caught:
        await get(fetcher, url, folder, rules, simulator)
    assert left_in(folder) == []
    return caught.value


async def simulated(
    folder: Path, script: Script, rules: Rules | None = None, path: str = "/x.png"
) -> tuple[Canary, File | ProviderError]:
    """Fetch from a simulated vendor that answers like this: the file, or the error."""
    place = Place(models_dir=folder, loopback_allowed=True)
    async with canary(script) as seller:
        simulator = Origin("http", "127.0.0.1", seller.port)
        try:
            return seller, await get(
                Fetcher(place), f"{simulator}{path}", folder, rules or Rules(()), simulator
            )
        except ProviderError as error:
            assert left_in(folder) == []
            return seller, error


def left_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.png"))
