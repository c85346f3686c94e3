"""What the clients of one history set out to do.

An errand is what a person does: buy, get a gift, start a task and end it. The same errand may be
given to two clients, as a double click or an impatient retry would; some errands share a key and
differ in the amount, some end a hold that another client takes.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final, get_args

from tests.credits.clients import Call, Death, Program
from tests.credits.model import Kind, Verb

from funmagic.core.ids import new_id

PEOPLE: Final = 2
CLIENTS: Final = 3
ERRANDS: Final = 8
TWICE: Final = 0.4  # how likely an errand is given to two clients
LONGEST_S: Final = 0.008  # that a transaction stays open with its locks
SUICIDE: Final = 0.35  # how likely a client ends at a point of its own choosing

Errand = list[Call]
DEATHS: Final[tuple[Death, ...]] = get_args(Death)


class Plan:
    """A history as the lots fall: people, programs, every call by its number."""

    def __init__(self, lots: random.Random) -> None:
        self.people = [new_id() for _ in range(PEOPLE)]
        self.calls: list[Call] = []
        self.lasting: set[str] = set()  # holds that nobody is to end
        self._lots = lots
        welcomes = [self._welcome(number) for number in range(PEOPLE)]
        errands = [errand for _ in range(ERRANDS) for errand in self._errands()]
        shares: list[list[Errand]] = [[] for _ in range(CLIENTS)]
        for errand in errands:
            for share in lots.sample(shares, 2 if lots.random() < TWICE else 1):
                share.append(errand)
        self.programs = [self._program(welcomes, share) for share in shares]

    def _program(self, welcomes: list[Errand], share: list[Errand]) -> Program:
        """Welcomes first, then this client's share, at times in an order of its own."""
        if self._lots.random() < 0.5:
            self._lots.shuffle(share)
        errands = self._lots.sample(welcomes, PEOPLE) + share
        program = [call for errand in errands for call in errand]
        if self._lots.random() < SUICIDE:
            last = self._lots.randrange(len(program))
            program[last] = replace(program[last], death=self._lots.choice(DEATHS))
        return program

    def _errands(self) -> list[Errand]:
        return self._lots.choice(
            [
                self._gift,
                self._quarrel,
                self._correction,
                self._dispute,
                self._task,
                self._task,
                self._task,
                self._contest,
                self._contest,
                self._lasting_task,
                self._purchase,
            ]
        )()

    def _welcome(self, number: int) -> Errand:
        user = self.people[number]
        return [self._call(Verb("grant", user, f"welcome:{user}", 40, "welcome"))]

    def _gift(self) -> list[Errand]:
        return [[self._call(self._verb("grant", self._new_key(), 30))]]

    def _quarrel(self) -> list[Errand]:
        """Two movements under one key: whoever comes second has a conflict."""
        first = self._verb("grant", self._new_key(), 30)
        return [[self._call(first)], [self._call(replace(first, amount=31))]]

    def _correction(self) -> list[Errand]:
        verb = self._verb("adjust", self._new_key(), 25)
        if self._lots.random() < 0.6:
            verb = replace(verb, amount=-(verb.amount or 0))
        return [[self._call(verb)]]

    def _dispute(self) -> list[Errand]:
        return [[self._call(self._verb("take_back", self._new_key(), 90))]]

    def _task(self) -> list[Errand]:
        hold = self._hold()
        return [[self._call(hold), self._call(self._end_of(hold))]]

    def _contest(self) -> list[Errand]:
        """A capture and a release of one hold, by whoever comes first."""
        hold = self._hold()
        ends = [Verb("release", hold.user, hold.key), self._capture_of(hold)]
        self._lots.shuffle(ends)
        return [[self._call(hold), self._call(ends[0])], [self._call(ends[1])]]

    def _lasting_task(self) -> list[Errand]:
        hold = self._hold()
        self.lasting.add(hold.key)
        return [[self._call(hold)]]

    def _purchase(self) -> list[Errand]:
        """Credits bought and spent in one transaction: both or neither."""
        hold = self._hold()
        bought = Verb("grant", hold.user, self._new_key(), self._lots.randint(1, 20), "purchase")
        return [[self._call(bought, hold), self._call(self._end_of(hold))]]

    def _hold(self) -> Verb:
        return self._verb("hold", str(new_id()), 15)

    def _end_of(self, hold: Verb) -> Verb:
        if self._lots.random() < 0.3:
            return Verb("release", hold.user, hold.key)
        return self._capture_of(hold)

    def _capture_of(self, hold: Verb) -> Verb:
        """Of all of it or, now and then, of a part."""
        part = self._lots.randint(1, hold.amount or 1) if self._lots.random() < 0.4 else None
        return Verb("capture", hold.user, hold.key, part)

    def _verb(self, kind: Kind, key: str, most: int) -> Verb:
        return Verb(kind, self._lots.choice(self.people), key, self._lots.randint(1, most))

    def _new_key(self) -> str:
        return f"test:{new_id()}"

    def _call(self, *verbs: Verb) -> Call:
        pause_s = self._lots.uniform(0.001, LONGEST_S) if self._lots.random() < 0.4 else 0.0
        self.calls.append(Call(len(self.calls), verbs, pause_s))
        return self.calls[-1]
