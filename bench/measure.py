"""Rounds taken in turn, so that a machine's good and bad moments reach all alike."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

Work = Callable[[int], Awaitable[object]]  # given the number of the client that does it


@dataclass(frozen=True)
class Figures:
    """What one contestant reached, round by round."""

    per_second: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.per_second)

    def times(self, other: Figures) -> float:
        """How many times as often as another, round against round: as a rule steadier than the
        ratio of medians, since what a machine does to one round it does to the next."""
        return statistics.median(
            own / its for own, its in zip(self.per_second, other.per_second, strict=True)
        )

    def spread(self) -> str:
        """From the slowest to the fastest round."""
        return f"{min(self.per_second):,.0f} … {max(self.per_second):,.0f}"


async def rate(work: Work, *, clients: int, seconds: float) -> float:
    """How often a second ``clients`` at once get ``work`` done, within about ``seconds``."""
    began = time.perf_counter()
    done = 0

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() - began < seconds:
            await work(number)
            done += 1

    await asyncio.gather(*map(client, range(clients)))
    return done / (time.perf_counter() - began)


async def in_turns(
    contestants: Mapping[str, Callable[[], Awaitable[float]]], *, rounds: int
) -> dict[str, Figures]:
    """Let each play a round, then each the next; every second round in reverse order."""
    names = list(contestants)
    reached: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            reached[name].append(await contestants[name]())
    return {name: Figures(figures) for name, figures in reached.items()}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0…1) of the others lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns under their heads; all but the first to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(_cells(line, widths)).rstrip() for line in lines)


def _cells(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for column, text, width in zip(count(), line, widths, strict=False):
        yield text.ljust(width) if column == 0 else text.rjust(width)
