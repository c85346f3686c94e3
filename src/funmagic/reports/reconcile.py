"""Prove the books: accounts, entries, holds, tasks and calls to vendors must tell one story.

Nothing is repaired here. A difference is printed for a person; the remedy is itself a booking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

MAX_DIFFERENCES: Final = 1_000  # of each kind; a report longer than that is not read
CHAIN_BATCH: Final = 2_000  # entries read at a time
NO_HASH: Final = bytes(32)  # what an account's first entry is chained to


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as it must be. ``subject`` is a user's or a task's id."""

    kind: str
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}: expected {self.expected}, found {self.found}"


SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
LONG_ENOUGH = text("SET LOCAL statement_timeout = '10min'")

# Each statement answers rows of (subject, expected, found), and none where all is well.
ACCOUNT_SUMS = text("""
    SELECT account.user_id,
           format('balance %s, reserved %s, owed %s, entries %s',
                  coalesce(entries.balance, 0), coalesce(entries.reserved, 0),
                  coalesce(entries.owed, 0), coalesce(entries.number, 0)),
           format('balance %s, reserved %s, owed %s, entries %s',
                  account.balance, account.reserved, account.owed, account.entry_no)
      FROM credit_accounts AS account
      LEFT JOIN (
            SELECT user_id, sum(amount) AS balance, sum(reserved_delta) AS reserved,
                   sum(owed_delta) AS owed, count(*) AS number
              FROM credit_transactions GROUP BY user_id
           ) AS entries USING (user_id)
     WHERE (account.balance, account.reserved, account.owed, account.entry_no)
           IS DISTINCT FROM (coalesce(entries.balance, 0), coalesce(entries.reserved, 0),
                             coalesce(entries.owed, 0), coalesce(entries.number, 0))
     LIMIT :limit
""")
OPEN_HOLD_SUMS = text("""
    SELECT account.user_id, format('reserved %s', coalesce(held.amount, 0)),
           format('reserved %s', account.reserved)
      FROM credit_accounts AS account
      LEFT JOIN (
            SELECT user_id, sum(amount) AS amount
              FROM credit_holds WHERE state = 'open' GROUP BY user_id
           ) AS held USING (user_id)
     WHERE account.reserved <> coalesce(held.amount, 0)
     LIMIT :limit
""")
HOLD_ENTRIES = text("""
    SELECT hold.id,
           format('reserved %s, used %s, released %s', hold.amount, hold.captured,
                  CASE hold.state WHEN 'open' THEN 0 ELSE hold.amount - hold.captured END),
           format('reserved %s, used %s, released %s',
                  coalesce(entry.reserved, 0), coalesce(entry.used, 0), coalesce(entry.released, 0))
      FROM credit_holds AS hold
      LEFT JOIN (
            SELECT user_id, reference_id,
                   sum(reserved_delta) FILTER (WHERE type = 'reservation') AS reserved,
                   -sum(amount) FILTER (WHERE type = 'usage') AS used,
                   -sum(reserved_delta) FILTER (WHERE type = 'release') AS released
              FROM credit_transactions
             WHERE reference_type = 'task' AND type IN ('reservation', 'usage', 'release')
             GROUP BY user_id, reference_id
           ) AS entry ON entry.user_id = hold.user_id AND entry.reference_id = hold.id::text
     WHERE (hold.amount, hold.captured,
            CASE hold.state WHEN 'open' THEN 0 ELSE hold.amount - hold.captured END)
           IS DISTINCT FROM
           (coalesce(entry.reserved, 0), coalesce(entry.used, 0), coalesce(entry.released, 0))
     LIMIT :limit
""")
TASK_HOLDS = text("""
    SELECT coalesce(task.id, hold.id),
           CASE
               WHEN task.id IS NULL THEN 'a task for this hold'
               WHEN task.price_credits = 0 THEN 'no hold, as the task is free'
               WHEN task.status = 'completed' THEN format('%s captured', task.price_credits)
               WHEN task.status = 'failed' THEN 'a released hold'
               ELSE format('an open hold of %s', task.price_credits)
           END,
           CASE
               WHEN hold.id IS NULL THEN 'no hold'
               ELSE format('hold of %s, %s captured, %s', hold.amount, hold.captured, hold.state)
           END || coalesce(format(', task %s', task.status), '')
      FROM tasks AS task
      FULL JOIN credit_holds AS hold ON hold.id = task.id AND hold.user_id = task.user_id
     WHERE NOT coalesce(CASE
               WHEN task.id IS NULL THEN false
               WHEN task.price_credits = 0 THEN hold.id IS NULL
               WHEN task.status = 'completed'
                   THEN hold.state = 'captured' AND hold.captured = task.price_credits
               WHEN task.status = 'failed' THEN hold.state = 'released'
               ELSE hold.state = 'open' AND hold.amount = task.price_credits
           END, false)
     LIMIT :limit
""")
STEP_CALLS = text("""
    SELECT step.task_id, format('1 answered call of %s', step.step_id),
           format('%s answered', count(call.id))
      FROM task_steps AS step
      LEFT JOIN provider_calls AS call
             ON call.task_id = step.task_id AND call.step_id = step.step_id
            AND call.state = 'done'
     WHERE step.status = 'completed'
     GROUP BY step.task_id, step.step_id
    HAVING count(call.id) <> 1
     LIMIT :limit
""")
OPEN_CALLS = text("""
    SELECT call.task_id, 'no open call of an ended task',
           format('call %s of %s: %s', call.call_no, call.step_id, call.state)
      FROM provider_calls AS call
      LEFT JOIN tasks AS task ON task.id = call.task_id
     WHERE call.state IN ('intent', 'submitted')
       AND (task.id IS NULL OR task.status IN ('completed', 'failed'))
     LIMIT :limit
""")
CHECKS: Final[tuple[tuple[str, TextClause], ...]] = (
    ("account_sum", ACCOUNT_SUMS),
    ("reserved_sum", OPEN_HOLD_SUMS),
    ("hold_entries", HOLD_ENTRIES),
    ("task_hold", TASK_HOLDS),
    ("step_calls", STEP_CALLS),
    ("open_call", OPEN_CALLS),
)

CHAIN = text("""
    SELECT entry.user_id, entry.entry_no, entry.amount, entry.reserved_delta,
           entry.balance_after, entry.reserved_after, entry.prev_hash, entry.hash,
           credit_entry_hash(entry) AS recomputed, account.head_hash, account.entry_no AS last_no
      FROM credit_transactions AS entry
      JOIN credit_accounts AS account USING (user_id)
     WHERE (entry.user_id, entry.entry_no) > (:user_id, :entry_no)
     ORDER BY entry.user_id, entry.entry_no
     LIMIT :limit
""")


async def reconcile(session: AsyncSession) -> list[Difference]:
    """Every difference, none where the books are right.

    Must be the transaction's first act: it reads one snapshot, so a system at work reports no
    difference that is only the time between two statements.
    """
    await session.execute(SNAPSHOT)
    await session.execute(LONG_ENOUGH)
    differences: list[Difference] = []
    for kind, statement in CHECKS:
        found = await session.execute(statement, {"limit": MAX_DIFFERENCES})
        differences += [Difference(kind, str(row[0]), row[1], row[2]) for row in found]
    return differences + await _broken_chains(session)


async def _broken_chains(session: AsyncSession) -> list[Difference]:
    """Recompute every entry's hash in the order of its account, a batch at a time."""
    differences: list[Difference] = []
    last: Row[Any] | None = None
    while len(differences) < MAX_DIFFERENCES:
        after = (last.user_id, last.entry_no) if last is not None else (UUID(int=0), 0)
        batch = (
            await session.execute(
                CHAIN, {"user_id": after[0], "entry_no": after[1], "limit": CHAIN_BATCH}
            )
        ).all()
        for row in batch:
            same_account = last is not None and last.user_id == row.user_id
            differences += _entry_differences(row, last if same_account else None)
            last = row
        if len(batch) < CHAIN_BATCH:
            break
    return differences


def _entry_differences(row: Row[Any], before: Row[Any] | None) -> list[Difference]:
    """What is wrong with one entry, given the entry before it in the same account."""
    differences: list[Difference] = []

    def compare(what: str, expected: object, found: object) -> None:
        if expected != found:
            differences.append(
                Difference(
                    "chain",
                    f"{row.user_id} entry {row.entry_no}",
                    f"{what} {_shown(expected)}",
                    _shown(found),
                )
            )

    compare("number", before.entry_no + 1 if before else 1, row.entry_no)
    compare("previous hash", before.hash if before else NO_HASH, row.prev_hash)
    compare("hash", row.recomputed, row.hash)
    compare("balance", (before.balance_after if before else 0) + row.amount, row.balance_after)
    compare(
        "reserved",
        (before.reserved_after if before else 0) + row.reserved_delta,
        row.reserved_after,
    )
    if row.entry_no == row.last_no:
        compare("head of the chain", row.hash, row.head_hash)
    return differences


def _shown(value: object) -> str:
    return value.hex()[:16] if isinstance(value, bytes) else str(value)
