"""The machine through the service: calls that are committed, alone or two at once."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy.ext.asyncio import AsyncSession
from tests.credits.acting import REFUSED, act_by_service, perform, refusal
from tests.credits.machine import PEOPLE, Machine, Wish, amount_of, kind_of, numbers, wishes
from tests.credits.model import Answer, Ledger, Verb
from tests.credits.script import Written, books_now, books_of, check_entries, read_entries

from funmagic.core.db import Database
from funmagic.core.ids import new_id

PATIENCE_S = 30.0
WAITS_FOR_A_LOCK = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"


class Undone(Exception):
    """The first of two thought better of it."""


class Arena:
    """Where calls meet: a pool to act with, and a connection that only watches."""

    def __init__(self, runner: asyncio.Runner, db: Database, watcher: asyncpg.Connection) -> None:
        self.runner = runner
        self.steps = 0
        self.met = 0
        self.seen: Counter[tuple[str, str]] = Counter()
        self._db = db
        self._watcher = watcher
        self._acting = 0  # the server's process of the call made last

    async def welcome(self) -> list[UUID]:
        """New people without accounts."""
        people = [new_id() for _ in range(PEOPLE)]
        await self._watcher.executemany(
            "INSERT INTO users (id, email) VALUES ($1, $2)",
            [(person, f"{person}@example.com") for person in people],
        )
        return people

    async def alone(self, verb: Verb) -> Answer:
        """One call in a transaction of its own."""
        try:
            async with self._db.transaction() as s:
                self._acting = await _server_pid(s)
                return await perform(s, verb)
        except REFUSED as error:
            return refusal(error)

    async def at_once(self, first: Verb, second: Verb, *, keep: bool) -> tuple[Answer, Answer]:
        """The second call is made before the first one's transaction ends, or is undone."""
        answer: Answer
        try:
            async with self._db.transaction() as s:
                try:
                    answer = await perform(s, first)
                except REFUSED as error:
                    answer = refusal(error)
                self._acting = 0
                other = asyncio.create_task(self.alone(second))
                async with asyncio.timeout(PATIENCE_S):
                    while not other.done():
                        if await self._waits_for_a_lock():
                            self.met += 1
                            break
                if not keep:
                    raise Undone
        except Undone:
            pass
        return answer, await other

    async def books(self, people: list[UUID]) -> Any:
        """What the database says of these people's books now."""
        return await books_now(self._watcher, people)

    async def written(self, people: list[UUID]) -> Written:
        return await read_entries(self._watcher, people)

    async def _waits_for_a_lock(self) -> bool:
        return bool(await self._watcher.fetchval(WAITS_FOR_A_LOCK, self._acting))


class Racing(Machine):
    """Every call is made at once, and the books are compared after it.

    Two calls at once may come out in either order, but as one of the two, outcomes and books.
    """

    def __init__(self, arena: Arena) -> None:
        people = arena.runner.run(arena.welcome())
        super().__init__(people, new_id(), f"{people[0]}:")
        self._arena = arena
        self._people = people

    @rule(first=wishes, second=wishes, keep=st.booleans())
    def at_once(self, first: Wish, second: Wish, keep: bool) -> None:
        self._both(self.verb(first), self.verb(second), keep)

    @rule(wish=wishes, keep=st.booleans())
    def twice_at_once(self, wish: Wish, keep: bool) -> None:
        verb = self.verb(wish)
        self._both(verb, verb, keep)

    @rule(wish=wishes, keep=st.booleans())
    def for_two_people_at_once(self, wish: Wish, keep: bool) -> None:
        """One key or hold for two accounts, which share no lock."""
        verb = self.verb(wish)
        other = self._people[wish.person - 1]
        self._both(verb, replace(verb, user=other), keep)

    @precondition(lambda self: self.ledger.holds)
    @rule(hold=numbers, lot=st.integers(30, 94), keep=st.booleans(), swap=st.booleans())
    def ends_at_once(self, hold: int, lot: int, keep: bool, swap: bool) -> None:
        """A capture and a release of one hold."""
        ends = [
            self.verb(Wish("capture", number=hold, amount=amount_of("capture", lot))),
            self.verb(Wish("release", number=hold)),
        ]
        self._both(ends[swap], ends[not swap], keep)

    def call(self, verb: Verb) -> None:
        answer = act_by_service(self.ledger, verb)
        assert self._arena.runner.run(self._arena.alone(verb)) == answer, verb
        assert self._arena.runner.run(self._arena.books(self._people)) == books_of(self.ledger)
        self._note(verb, answer)
        self._arena.steps += 1

    def _both(self, first: Verb, second: Verb, keep: bool) -> None:
        run = self._arena.runner.run
        answers = run(self._arena.at_once(first, second, keep=keep))
        books = run(self._arena.books(self._people))
        for ledger, right in _orders(self.ledger, first, second, keep):
            if (right, books_of(ledger)) == (answers, books):
                self.ledger = ledger
                break
        else:
            raise AssertionError(
                f"{first}, {second}, {keep=}: no order explains {answers}, {books}"
            )
        self._note(first, answers[0])
        self._note(second, answers[1])
        self._arena.steps += 1

    def _note(self, verb: Verb, answer: Answer) -> None:
        self.made.append(verb)
        self._arena.seen[verb.kind, kind_of(answer)] += 1

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            check_entries(self._arena.runner.run(self._arena.written(self._people)), self.ledger)


def _orders(
    before: Ledger, first: Verb, second: Verb, keep: bool
) -> Iterator[tuple[Ledger, tuple[Answer, Answer]]]:
    """The books and the answers in each order that two calls at once may come out in."""
    ledger = before.copy()
    if not keep:
        undone = act_by_service(before.copy(), first)
        yield ledger, (undone, act_by_service(ledger, second))
        return
    earlier = act_by_service(ledger, first)
    yield ledger, (earlier, act_by_service(ledger, second))
    ledger = before.copy()
    earlier = act_by_service(ledger, second)
    yield ledger, (act_by_service(ledger, first), earlier)


async def _server_pid(s: AsyncSession) -> int:
    raw = await (await s.connection()).get_raw_connection()
    assert raw.driver_connection is not None
    pid: int = raw.driver_connection.get_server_pid()
    return pid
