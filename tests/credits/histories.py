"""One history: clients act at once, some are killed, others make all their calls again."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from multiprocessing import connection as pipes
from multiprocessing.connection import Connection
from typing import Final

from tests.credits.clients import DONE, Client, Crew, Program, Report
from tests.credits.plans import Plan

PATIENCE_S: Final = 60.0  # a history takes a tenth of a second
KILLED: Final = 0.35  # how likely a client is killed from outside
KILLED_AGAIN: Final = 0.15  # and whoever takes over
LATEST_KILL_S: Final = 0.06
ALL_AGAIN: Final = 0.1  # how likely one more client makes every call of the history again


@dataclass(slots=True)
class Shift:
    """A client at work on a program, and when it is to be killed."""

    client: Client
    program: Program
    kill_at: float | None
    killed: bool = False
    reported: int = 0


@dataclass(slots=True)
class Witness:
    """What was seen of a history from outside. ``cut_short``: calls whose maker was killed."""

    reports: list[Report] = field(default_factory=list)
    cut_short: set[int] = field(default_factory=set)
    kills: Counter[str] = field(default_factory=Counter)


class History:
    """Clients at work, each known by the pipe to it."""

    def __init__(self, crew: Crew, lots: random.Random) -> None:
        self.witness = Witness()
        self._crew = crew
        self._lots = lots
        self._shifts: dict[Connection, Shift] = {}

    def happen(self, plan: Plan) -> Witness:
        """Let the programs run side by side until every call of each has been reported.

        Raises AssertionError where a client fails, or is stuck.
        """
        try:
            for program in plan.programs:
                self._set_to_work(program, KILLED)
            self._see_through()
            if self._lots.random() < ALL_AGAIN:
                self._set_to_work(plan.calls, KILLED_AGAIN)
                self._see_through()
        finally:
            for shift in self._shifts.values():
                shift.client.end()
        return self.witness

    def _set_to_work(self, program: Program, killed: float) -> None:
        client = self._crew.take()
        client.pipe.send(program)
        kill_at = None
        if self._lots.random() < killed:
            kill_at = time.monotonic() + self._lots.uniform(0, LATEST_KILL_S)
        self._shifts[client.pipe] = Shift(client, program, kill_at)

    def _see_through(self) -> None:
        stuck_at = time.monotonic() + PATIENCE_S
        while self._shifts:
            now = time.monotonic()
            assert now < stuck_at, "a client is stuck"
            times = [stuck_at]
            for shift in self._shifts.values():
                if shift.kill_at is not None and shift.kill_at <= now:
                    shift.client.process.kill()
                    shift.kill_at, shift.killed = None, True
                if shift.kill_at is not None:
                    times.append(shift.kill_at)
            for pipe in pipes.wait(list(self._shifts), min(times) - now):
                assert isinstance(pipe, Connection)
                self._hear(pipe)

    def _hear(self, pipe: Connection) -> None:
        shift = self._shifts[pipe]
        try:
            said = pipe.recv()
        except (EOFError, ConnectionResetError):
            del self._shifts[pipe]
            self._succeed(shift)
            return
        if isinstance(said, Report):
            self.witness.reports.append(said)
            shift.reported += 1
            return
        assert said == DONE, said
        del self._shifts[pipe]
        if shift.killed:
            shift.client.end()
        else:
            self._crew.give_back(shift.client)

    def _succeed(self, shift: Shift) -> None:
        """Somebody else makes all calls of a killed client, also those it had reported."""
        shift.client.end()
        assert shift.client.process.exitcode == -signal.SIGKILL, "a client ended by itself"
        if shift.reported < len(shift.program):
            last = shift.program[shift.reported]
            self.witness.cut_short.add(last.number)
            self.witness.kills["from outside" if shift.killed else str(last.death)] += 1
        self._set_to_work([replace(call, death=None) for call in shift.program], KILLED_AGAIN)
