"""Where histories happen, one after the other, in one database."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Final

import asyncpg
from tests.credits.clients import Crew
from tests.credits.histories import History
from tests.credits.plans import Plan
from tests.credits.proof import Proof
from tests.credits.script import books_now, read_entries
from tests.soak import SEED

from funmagic.core.db import Database
from funmagic.reports.reconcile import reconcile

PATIENCE_S: Final = 30.0
STILL_OPEN: Final = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


class Theatre:
    """Where histories happen, one after the other, in one database."""

    def __init__(
        self, runner: asyncio.Runner, database_url: str, watcher: asyncpg.Connection
    ) -> None:
        self.seen: Counter[str] = Counter()
        self.kills: Counter[str] = Counter()
        self.crew = Crew(database_url)
        self._database = Database(database_url, pool_size=1)
        self._run = runner.run
        self._watcher = watcher

    def tell(self, number: int) -> None:
        """One history from its beginning to its proof. Raises AssertionError."""
        try:
            self._tell(random.Random(f"{SEED} {number}"))
        except Exception as error:
            error.add_note(f"History {number}; FUNMAGIC_SEED={SEED} draws the same lots again.")
            raise

    def reconcile(self) -> None:
        """The whole database's books, tasks included. Raises AssertionError."""
        assert self._run(self._differences()) == []

    def close(self) -> None:
        self.crew.dismiss()
        self._run(self._database.close())
        self._run(self._watcher.close())

    def _tell(self, lots: random.Random) -> None:
        plan = Plan(lots)
        users = [(user, f"{user}@example.com") for user in plan.people]
        insert = "INSERT INTO users (id, email) VALUES ($1, $2)"
        self._run(self._watcher.executemany(insert, users))
        witness = History(self.crew, lots).happen(plan)
        self._run(self._wait_for_the_dead())
        written = self._run(read_entries(self._watcher, plan.people))
        proof = Proof(plan, witness, written, self._run(books_now(self._watcher, plan.people)))
        self.seen += proof.seen
        self.kills += witness.kills

    async def _wait_for_the_dead(self) -> None:
        """PostgreSQL notices that a client is gone, and no transaction stays open."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._watcher.fetchval(STILL_OPEN):
                pass

    async def _differences(self) -> list[object]:
        async with self._database.transaction() as s:
            return [*await reconcile(s)]
