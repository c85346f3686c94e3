"""Any order of verbs, each once or twice or twice at once, keeps 0 ≤ reserved ≤ balance."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.credits.conftest import BooksOf, OpenAccount

from funmagic.core.db import Database
from funmagic.core.errors import NotEnoughCredits, NotFound
from funmagic.core.ids import new_id
from funmagic.credits import service as credits
from funmagic.credits.service import Balance

HOLDS = 3

acts = st.one_of(
    st.tuples(st.just("grant"), st.integers(1, 30), st.integers(0, 3)),
    st.tuples(st.just("take_back"), st.integers(1, 30), st.integers(0, 3)),
    st.tuples(st.just("hold"), st.integers(1, 20), st.integers(0, HOLDS - 1)),
    st.tuples(st.just("capture"), st.integers(0, 20), st.integers(0, HOLDS - 1)),
    st.tuples(st.just("release"), st.just(0), st.integers(0, HOLDS - 1)),
)
times = st.sampled_from(["once", "twice", "at once"])


@dataclass
class Model:
    """The ledger in a few lines: what the database must come to."""

    balance: int = 20
    reserved: int = 0
    owed: int = 0
    keys: set[tuple[str, int, int]] = field(default_factory=set)
    holds: dict[int, int] = field(default_factory=dict)  # open ones
    known: dict[int, int] = field(default_factory=dict)  # all that ever were

    def act(self, verb: str, amount: int, number: int) -> None:
        key = (verb, amount, number)
        if verb in ("grant", "take_back") and key not in self.keys:
            self.keys.add(key)
            if verb == "grant":
                self.balance += amount
            else:
                taken = min(amount, self.balance - self.reserved)
                self.balance -= taken
                self.owed += amount - taken
        elif verb == "hold" and number not in self.known:
            if not self.owed and amount <= self.balance - self.reserved:
                self.known[number] = self.holds[number] = amount
                self.reserved += amount
        elif verb in ("capture", "release") and number in self.holds:
            held = self.holds.pop(number)
            self.reserved -= held
            if verb == "capture":
                self.balance -= min(amount, held) or held
        repaid = min(self.owed, self.balance - self.reserved)
        self.balance -= repaid
        self.owed -= repaid


@pytest.mark.hazard("M5")
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=st.lists(st.tuples(acts, times), min_size=1, max_size=14))
async def test_any_order_of_verbs_keeps_the_account_sound(
    plan: list[tuple[tuple[str, int, int], str]],
    db: Database,
    open_account: OpenAccount,
    books: BooksOf,
) -> None:
    ada = await open_account(20)
    tasks = [new_id() for _ in range(HOLDS)]
    model = Model()
    for (verb, amount, number), how in plan:
        if verb == "hold" and number in model.known:
            amount = model.known[number]  # the same call again; another amount is a conflict
        act = perform(db, ada, tasks, model, verb, amount, number)
        if how == "at once":
            await asyncio.gather(act(), act())
        else:
            await act()
        if how == "twice":
            await act()
        model.act(verb, amount, number)
        async with db.transaction() as s:
            found = await credits.balance_of(s, ada)
        assert found == Balance(model.balance, model.reserved, model.owed)
        assert 0 <= found.reserved <= found.balance
        assert found.owed == 0 or found.available == 0
    assert await books() == []


def perform(
    db: Database,
    user_id: UUID,
    tasks: list[UUID],
    model: Model,
    verb: str,
    amount: int,
    number: int,
) -> Any:
    key = f"{verb}:{user_id}:{amount}:{number}"
    held = model.known.get(number, 1)

    async def act() -> None:
        try:
            async with db.transaction() as s:
                if verb == "grant":
                    await credits.grant(
                        s, user_id, amount, type="bonus", idempotency_key=key, description="Gift"
                    )
                elif verb == "take_back":
                    await credits.take_back(
                        s, user_id, amount, idempotency_key=key, description="Taken back"
                    )
                elif verb == "hold":
                    await credits.hold(s, tasks[number], user_id, amount, description="Task")
                elif verb == "capture":
                    part = min(amount, held) or None
                    await credits.capture(s, tasks[number], part, description="Done")
                else:
                    await credits.release(s, tasks[number], description="Failed")
        except NotEnoughCredits:
            available = model.balance - model.reserved
            assert verb == "hold"
            assert number not in model.known
            assert model.owed or amount > available
        except NotFound:
            assert number not in model.known

    return act


@pytest.mark.hazard("M5")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credit_accounts SET reserved = -1",
        "UPDATE credit_accounts SET balance = -1",
        "UPDATE credit_accounts SET balance = reserved - 1",
        "UPDATE credit_accounts SET reserved = balance + 1",
        "UPDATE credit_accounts SET owed = -1",
        "UPDATE credit_holds SET amount = 0",
        "UPDATE credit_holds SET captured = 1",
        "UPDATE credit_holds SET state = 'captured', captured = amount + 1, resolved_at = now()",
        "UPDATE credit_holds SET state = 'gone', resolved_at = now()",
    ],
)
async def test_the_database_itself_refuses_an_unsound_account(
    change: str, db: Database, open_account: OpenAccount
) -> None:
    ada = await open_account(20)
    async with db.transaction() as s:
        await credits.hold(s, new_id(), ada, 5, description="Task")
    with pytest.raises(IntegrityError):
        async with db.transaction() as s:
            await s.execute(text(change))
