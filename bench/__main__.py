"""`bin/bench`: the tables of docs/benchmarks.md, measured here and now."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version

import click
import uvloop

from bench import creates, growth, latency, pages, throughput
from bench.ground import ground, migrate, servers

PARTS = {
    "creates": creates.run,
    "growth": growth.run,
    "latency": latency.run,
    "pages": pages.run,
    "throughput": throughput.run,
}


@click.command()
@click.option("--only", type=click.Choice(list(PARTS)), help="One part instead of all.")
def main(only: str | None) -> None:
    """Measure FunMagic next to its peers. Takes two to four minutes; keeps nothing."""
    began = time.monotonic()
    print(_machine(), flush=True)
    for part in [only] if only else list(PARTS):
        with servers() as environment:  # one part's leavings are no load on the next
            migrate(environment)
            uvloop.run(measure(environment, part))
    print(f"\nMeasured in {time.monotonic() - began:.0f} s. {_load()}")


async def measure(environment: dict[str, str], part: str) -> None:
    async with ground(environment) as here:
        print("\n" + await PARTS[part](here), flush=True)


def _machine() -> str:
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, bullmq {version('bullmq')}, "
        f"SQLAlchemy {version('sqlalchemy')}. {_load()}"
    )


def _load() -> str:
    return f"Load of the last minute: {os.getloadavg()[0]:.1f}."


if __name__ == "__main__":
    main()
