"""Many verbs in one question to PostgreSQL: each in a savepoint, the books read after each.

The script calls the functions of ``ledger.sql`` that the service calls, in one transaction that is
rolled back in the end, so fifty verbs cost one round trip and leave nothing.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

import asyncpg
from tests.credits.machine import Machine, kind_of
from tests.credits.model import Answer, Entry, Ledger, Refusal, Verb

# What the books of these people say: accounts, holds, the entries of each type with their sums.
BOOKS: Final = """
    CREATE FUNCTION pg_temp.books(p_users uuid[]) RETURNS text LANGUAGE sql AS $$
        SELECT json_build_array(
            (SELECT json_object_agg(user_id, json_build_array(balance, reserved, owed, entry_no))
               FROM credit_accounts WHERE user_id = ANY (p_users)),
            (SELECT json_object_agg(id, json_build_array(user_id, amount, captured, state))
               FROM credit_holds WHERE user_id = ANY (p_users)),
            (SELECT json_object_agg(user_id || ' ' || type, sums)
               FROM (SELECT user_id, type, json_build_array(count(*), sum(amount),
                            sum(reserved_delta), sum(owed_delta)) AS sums
                       FROM credit_transactions WHERE user_id = ANY (p_users)
                      GROUP BY user_id, type) AS of_a_type))::text
    $$
"""
# Two rows for each call: what came of it, and the books after it.
PLAY: Final = """
    CREATE FUNCTION pg_temp.play(p_calls jsonb, p_users uuid[]) RETURNS SETOF text
    LANGUAGE plpgsql AS $$
    DECLARE
        v_call     jsonb;
        v_movement credit_movement;
    BEGIN
        FOR v_call IN SELECT jsonb_array_elements(p_calls) LOOP
            BEGIN
                v_movement := CASE v_call->>0
                    WHEN 'grant' THEN credit_grant(
                        (v_call->>1)::uuid, (v_call->>3)::bigint, v_call->>4, v_call->>2,
                        'A grant', v_call->>5, v_call->>6, 'tests')
                    WHEN 'adjust' THEN credit_adjust(
                        (v_call->>1)::uuid, (v_call->>3)::bigint, false, v_call->>2,
                        'Correction', v_call->>5, v_call->>6, 'tests')
                    WHEN 'take_back' THEN credit_adjust(
                        (v_call->>1)::uuid, -(v_call->>3)::bigint, true, v_call->>2,
                        'Taken back', v_call->>5, v_call->>6, 'tests')
                    WHEN 'hold' THEN credit_hold(
                        (v_call->>2)::uuid, (v_call->>1)::uuid, (v_call->>3)::bigint, 'A task')
                    WHEN 'capture' THEN credit_capture(
                        (v_call->>2)::uuid, (v_call->>3)::bigint, 'Done')
                    WHEN 'release' THEN credit_release((v_call->>2)::uuid, 'Failed')
                END;
                RETURN NEXT CASE WHEN v_movement.entry_no IS NULL THEN 'null'
                                 ELSE row_to_json(v_movement)::text END;
            EXCEPTION WHEN OTHERS THEN
                RETURN NEXT to_json(SQLSTATE)::text;
            END;
            RETURN NEXT pg_temp.books(p_users);
        END LOOP;
    END
    $$
"""
ENTRIES: Final = """
    SELECT user_id AS user, entry_no, type, amount, reserved_delta, owed_delta,
           balance_after, reserved_after, reference_type, reference_id, idempotency_key AS key
      FROM credit_transactions WHERE user_id = ANY ($1) ORDER BY user_id, entry_no
"""
BROKEN_LINKS: Final = """
    SELECT user_id, entry_no
      FROM (SELECT entry.user_id, entry.entry_no, entry.hash, entry.prev_hash, account.head_hash,
                   credit_entry_hash(entry) AS recomputed,
                   lag(entry.hash, 1, decode(repeat('00', 32), 'hex')) OVER chain AS hash_before,
                   lead(entry.entry_no) OVER chain IS NULL AS is_last
              FROM credit_transactions AS entry
              JOIN credit_accounts AS account USING (user_id)
             WHERE user_id = ANY ($1)
            WINDOW chain AS (PARTITION BY user_id ORDER BY entry.entry_no)) AS link
     WHERE hash <> recomputed OR prev_hash <> hash_before OR is_last AND hash <> head_hash
"""
Written = tuple[dict[UUID, list[Entry]], list[Any]]

# A play leaves nothing but dead rows; after these many they are cleared away.
PLAYS_A_CLEANING: Final = 40


async def watching(database_url: str) -> asyncpg.Connection:
    """A connection that knows the scripts."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(BOOKS)
    await connection.execute(PLAY)
    return connection


async def books_now(connection: asyncpg.Connection, people: list[UUID]) -> Any:
    """What the database's books of these people say; ``books_of`` is the model's word for it."""
    return json.loads(await connection.fetchval("SELECT pg_temp.books($1)", people))


class Stage:
    """One connection on which scripts are played, for people that have no accounts."""

    def __init__(
        self, runner: asyncio.Runner, connection: asyncpg.Connection, people: list[UUID]
    ) -> None:
        self.people = people
        self.steps = 0
        self.seen: Counter[tuple[str, str]] = Counter()
        self._run = runner.run
        self._connection = connection
        self._plays = 0

    def play(self, calls: list[Verb], expected: list[Any], ledger: Ledger) -> None:
        """Play ``calls`` and compare each outcome, and the books after it, with what is expected.

        ``expected`` has two items for each call, ``ledger`` is the model after the last of them.
        Raises AssertionError at the first difference.
        """
        played, written = self._run(self._played(calls))
        for number in range(len(calls)):
            here = slice(2 * number, 2 * number + 2)
            assert played[here] == expected[here], f"after {calls[: number + 1]}"
            self.steps += 1
        check_entries(written, ledger)

    async def _played(self, calls: list[Verb]) -> tuple[list[Any], Written]:
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            rows = await self._connection.fetch(
                "SELECT pg_temp.play($1, $2)",
                json.dumps([_call(verb) for verb in calls]),
                self.people,
            )
            written = await read_entries(self._connection, self.people)
        finally:
            await transaction.rollback()
        self._plays += 1
        if self._plays % PLAYS_A_CLEANING == 0:
            await self._connection.execute(
                "VACUUM credit_accounts, credit_holds, credit_transactions"
            )
        return [json.loads(row[0]) for row in rows], written


async def read_entries(connection: asyncpg.Connection, people: list[UUID]) -> Written:
    """Every entry of these people in order, and the broken links of their chains."""
    entries: dict[UUID, list[Entry]] = defaultdict(list)
    for row in await connection.fetch(ENTRIES, people):
        columns = dict(row)
        reference = (columns.pop("reference_type"), columns.pop("reference_id"))
        entries[row["user"]].append(Entry(**columns, reference=reference))
    return dict(entries), await connection.fetch(BROKEN_LINKS, people)


def check_entries(written: Written, ledger: Ledger) -> None:
    """Every entry is the model's, figure by figure, and every chain is whole."""
    entries, broken = written
    assert entries == {user: account.entries for user, account in ledger.accounts.items()}
    assert broken == []


def books_of(ledger: Ledger) -> list[Any]:
    """What ``BOOKS`` must answer where the database's books are the model's."""
    accounts, sums = {}, {}
    for user, one in ledger.accounts.items():
        name = _name(user)
        accounts[name] = [one.balance, one.reserved, one.owed, len(one.entries)]
        for type, of_type in one.sums.items():
            sums[f"{name} {type}"] = [*of_type]
    holds = {
        hold_id: [_name(hold.user), hold.amount, hold.captured, hold.state]
        for hold_id, hold in ledger.holds.items()
    }
    return [accounts or None, holds or None, sums or None]


def outcome(answer: Answer) -> Any:
    """How ``PLAY`` writes an answer."""
    if answer is None:
        return None
    if isinstance(answer, Refusal):
        return answer.value
    return asdict(answer)


@functools.cache
def _name(user: UUID) -> str:
    return str(user)


def _call(verb: Verb) -> list[Any]:
    amount = verb.amount
    if verb.kind == "take_back" and amount is not None:
        amount = max(0, amount)  # the service lets no negative one through
    return [verb.kind, str(verb.user), verb.key, amount, verb.type, *verb.reference]


class Scripted(Machine):
    """Calls are only noted; in the end they are played as one script."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.people, UUID(int=1 << 64), "key ")
        self._stage = stage
        self._expected: list[Any] = []

    def call(self, verb: Verb) -> None:
        answer = self.ledger.act(verb)
        self.made.append(verb)
        self._expected += [outcome(answer), books_of(self.ledger)]
        self._stage.seen[verb.kind, kind_of(answer)] += 1

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:
            self._stage.play(self.made, self._expected, self.ledger)
