"""The ledger's verbs: hold, capture, release, grant, adjust, take back; and what is read of it.

Every verb is one statement, one call of a function in ``ledger.sql``, in the caller's transaction.
Amounts are whole credits. A verb that raises has ended the caller's transaction: PostgreSQL takes
no further statement in it, so nothing of it can be kept by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.errors import Conflict, FunMagicError, NotEnoughCredits, NotFound
from funmagic.core.http import CamelModel
from funmagic.core.i18n import N_
from funmagic.core.paging import Page, check_limit, decode_cursor, encode_cursor

GrantType = Literal["purchase", "bonus", "welcome", "refund"]
HoldState = Literal["open", "captured", "released"]

MAX_AMOUNT: Final = 1_000_000_000

# Written by ledger.sql; named here for the catalogs.
REPAYMENT: Final = N_("Repayment of credits owed")

_ERRORS: dict[str, Callable[[], FunMagicError]] = {
    "MN402": NotEnoughCredits,
    "MN404": NotFound,
    "MN409": lambda: Conflict(N_("This was already booked with other details.")),
}

GRANT = text("""
    SELECT * FROM credit_grant(
        :user_id, :amount, :type, :key, :description, :reference_type, :reference_id, :actor)
""")
ADJUST = text("""
    SELECT * FROM credit_adjust(
        :user_id, :delta, :owe_rest, :key, :description, :reference_type, :reference_id, :actor)
""")
HOLD = text("SELECT * FROM credit_hold(:hold_id, :user_id, :amount, :description)")
CAPTURE = text("SELECT * FROM credit_capture(:hold_id, :amount, :description)")
RELEASE = text("SELECT * FROM credit_release(:hold_id, :description)")

BALANCE = text("SELECT balance, reserved, owed FROM credit_accounts WHERE user_id = :user_id")
HOLD_OF = text("SELECT amount, captured, state FROM credit_holds WHERE id = :hold_id")
TRANSACTIONS = text("""
    SELECT entry_no, type, amount, reserved_delta, balance_after, reserved_after,
           description, reference_type, reference_id, created_at
      FROM credit_transactions
     WHERE user_id = :user_id AND entry_no < :before
     ORDER BY entry_no DESC
     LIMIT :limit
""")
FIRST_PAGE: Final = 2**63 - 1  # every entry's number is below it


@dataclass(frozen=True, slots=True)
class Movement:
    """One entry as it was written. ``replayed``: the same call had been made before.

    ``amount`` is the change of the balance (0 for a hold and a release). The ``_after`` figures
    are those of this entry; a repayment of owed credits follows as an entry of its own.
    """

    entry_no: int
    amount: int
    balance_after: int
    reserved_after: int
    replayed: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's credits now. No holds are taken while anything is owed."""

    balance: int
    reserved: int
    owed: int

    @property
    def available(self) -> int:
        return self.balance - self.reserved


@dataclass(frozen=True, slots=True)
class HoldView:
    """What was set aside for a task, and what became of it."""

    amount: int
    captured: int
    state: HoldState


class TransactionView(CamelModel):
    """One entry as its owner sees it; ``description`` is an English message id."""

    entry_no: int
    type: str
    amount: int
    reserved_delta: int
    balance_after: int
    reserved_after: int
    description: str
    reference_type: str | None
    reference_id: str | None
    created_at: datetime


async def grant(
    s: AsyncSession,
    user_id: UUID,
    amount: int,
    *,
    type: GrantType,
    idempotency_key: str,
    description: str,
    reference_type: str | None = None,
    reference_id: str | None = None,
    actor: str = "system",
) -> Movement:
    """Give credits; what is owed is repaid from them at once.

    Raises Conflict where the key was used for another movement, ValueError for an amount that is
    no amount.
    """
    movement = await _move(
        s,
        GRANT,
        user_id=user_id,
        amount=_checked(amount),
        type=type,
        key=idempotency_key,
        description=description,
        reference_type=reference_type,
        reference_id=reference_id,
        actor=actor,
    )
    return _made(movement)


async def hold(
    s: AsyncSession, hold_id: UUID, user_id: UUID, amount: int, *, description: str
) -> Movement:
    """Set credits aside for the task ``hold_id``, once.

    Raises NotEnoughCredits where less is available or anything is owed, Conflict where the id
    holds something else.
    """
    movement = await _move(
        s,
        HOLD,
        hold_id=hold_id,
        user_id=user_id,
        amount=_checked(amount),
        description=description,
    )
    return _made(movement)


async def capture(
    s: AsyncSession, hold_id: UUID, amount: int | None = None, *, description: str
) -> Movement | None:
    """Charge a hold: all of it, or ``amount`` with the rest released.

    None where it was resolved before. Raises NotFound where there is no such hold, ValueError for
    an impossible amount; more than was held is refused by the table itself.
    """
    if amount is not None:
        _checked(amount)
    return await _move(s, CAPTURE, hold_id=hold_id, amount=amount, description=description)


async def release(s: AsyncSession, hold_id: UUID, *, description: str) -> Movement | None:
    """Let a hold go uncharged. None where it was resolved before. Raises NotFound."""
    return await _move(s, RELEASE, hold_id=hold_id, description=description)


async def adjust(
    s: AsyncSession,
    user_id: UUID,
    delta: int,
    *,
    idempotency_key: str,
    description: str,
    actor: str,
) -> Movement:
    """Correct an account by ``delta``. Raises NotEnoughCredits below Available, Conflict."""
    return await _adjust(
        s, user_id, delta, False, idempotency_key, description, actor, (None, None)
    )


async def take_back(
    s: AsyncSession,
    user_id: UUID,
    amount: int,
    *,
    idempotency_key: str,
    description: str,
    reference_type: str | None = None,
    reference_id: str | None = None,
    actor: str = "system",
) -> Movement:
    """Take ``amount`` credits back after their money was: down to Available, the rest is owed.

    Credits on hold stay with their tasks. Raises Conflict.
    """
    return await _adjust(
        s,
        user_id,
        -_checked(amount),
        True,
        idempotency_key,
        description,
        actor,
        (reference_type, reference_id),
    )


async def balance_of(s: AsyncSession, user_id: UUID) -> Balance:
    """The account's credits now; zeros where nothing was ever booked."""
    row = (await s.execute(BALANCE, {"user_id": user_id})).one_or_none()
    return Balance(row.balance, row.reserved, row.owed) if row else Balance(0, 0, 0)


async def hold_of(s: AsyncSession, hold_id: UUID) -> HoldView | None:
    """The hold of a task, None where the task had no price."""
    row = (await s.execute(HOLD_OF, {"hold_id": hold_id})).one_or_none()
    return HoldView(row.amount, row.captured, row.state) if row else None


async def transactions_of(
    s: AsyncSession, user_id: UUID, *, cursor: str | None = None, limit: int = 20
) -> Page[TransactionView]:
    """The user's entries, newest first. Raises Invalid for a bad cursor or limit."""
    before = decode_cursor(cursor, int)[0] if cursor else FIRST_PAGE
    found = await s.execute(
        TRANSACTIONS, {"user_id": user_id, "before": before, "limit": check_limit(limit) + 1}
    )
    items = [TransactionView(**row) for row in found.mappings()]
    shown = items[:limit]
    more = len(items) > limit
    return Page(items=shown, next_cursor=encode_cursor(shown[-1].entry_no) if more else None)


async def _adjust(
    s: AsyncSession,
    user_id: UUID,
    delta: int,
    owe_rest: bool,
    key: str,
    description: str,
    actor: str,
    reference: tuple[str | None, str | None],
) -> Movement:
    _checked(abs(delta))
    movement = await _move(
        s,
        ADJUST,
        user_id=user_id,
        delta=delta,
        owe_rest=owe_rest,
        key=key,
        description=description,
        reference_type=reference[0],
        reference_id=reference[1],
        actor=actor,
    )
    return _made(movement)


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Around a statement that calls the ledger: its own SQLSTATEs become errors of the tree."""
    try:
        yield
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None)
        if state in _ERRORS:
            raise _ERRORS[state]() from error
        raise


async def _move(s: AsyncSession, statement: TextClause, **arguments: Any) -> Movement | None:
    """Call one function of the ledger."""
    with ledger_errors():
        row = (await s.execute(statement, arguments)).one()
    return None if row.entry_no is None else Movement(*row)


def _made(movement: Movement | None) -> Movement:
    assert movement is not None  # only a resolved hold answers without an entry
    return movement


def _checked(amount: int) -> int:
    if not 1 <= amount <= MAX_AMOUNT:
        raise ValueError(f"impossible amount of credits: {amount}")
    return amount
