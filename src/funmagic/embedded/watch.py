"""Keeps parts running: what dies is started again, ever more slowly, but not for ever."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from funmagic.embedded.process import Child

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 15.0
#: A part that ran this long had started well; its next death counts as the first.
_GOOD_RUN_S = 30.0
_DEATHS_IN_A_ROW = 8


class GaveUp(Exception):
    """A part dies each time it is started. The message holds the end of its log."""


class Part(Protocol):
    """A server or a program of ours."""

    title: str
    child: Child | None

    def start(self) -> None: ...


@dataclass
class _Record:
    part: Part
    deaths: int = 0
    due_at: float | None = None  # when to start it again, on the monotonic clock


class Watch:
    """Call :meth:`tick` often, from the main thread."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._records: list[_Record] = []

    def add(self, part: Part) -> None:
        self._records.append(_Record(part))

    def tick(self) -> None:
        """Notice the dead, and start again those whose time has come. Raises GaveUp."""
        for record in self._records:
            if record.due_at is not None:
                self._restart_if_due(record)
            else:
                self._notice_death(record)

    def _restart_if_due(self, record: _Record) -> None:
        assert record.due_at is not None  # the caller looked
        if time.monotonic() >= record.due_at:
            record.due_at = None
            record.part.start()
            self._say(f"{record.part.title} started again")

    def _notice_death(self, record: _Record) -> None:
        child = record.part.child
        if child is None or (status := child.exit_status()) is None:
            return
        ran_s = time.monotonic() - child.started_at
        record.deaths = 1 if ran_s > _GOOD_RUN_S else record.deaths + 1
        how = describe(status)
        if record.deaths >= _DEATHS_IN_A_ROW:
            raise GaveUp(
                f"{record.part.title} ended {record.deaths} times in a row ({how}).\n"
                f"The end of {child.log}:\n{child.log_tail()}"
            )
        delay_s = min(_FIRST_DELAY_S * 2 ** (record.deaths - 1), _LONGEST_DELAY_S)
        record.due_at = time.monotonic() + delay_s
        self._say(f"{record.part.title} ended ({how}); starting it again in {delay_s:g} s")
        if record.deaths > 1:
            self._say(child.log_tail(5))


def describe(status: int) -> str:
    """An exit status in words."""
    if status < 0:
        return signal.Signals(-status).name
    return f"status {status}"
