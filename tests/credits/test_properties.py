"""Any order of verbs, alone, again and at once, leaves the books that plain Python says it must."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from tests.credits.conftest import OpenAccount
from tests.credits.machine import explore, unseen
from tests.credits.racing import Arena, Racing
from tests.credits.script import Scripted, Stage
from tests.soak import rounds

from funmagic.core.db import Database
from funmagic.core.ids import new_id
from funmagic.credits import service as credits

#: Times the books were compared with the model's, each after one call or after two at once.
ALONE_STEPS = rounds(12_000, 960_000)
RACING_STEPS = rounds(1_500, 40_000)


@pytest.mark.hazard("M5")
@pytest.mark.timeout(rounds(600, 20_000))
def test_any_order_of_calls_leaves_the_books_of_the_model(stage: Stage) -> None:
    explore(lambda: Scripted(stage), stage, ALONE_STEPS, calls=50)
    assert stage.steps >= ALONE_STEPS
    assert unseen(stage.seen) == set()


@pytest.mark.hazard("M5")
@pytest.mark.timeout(rounds(600, 20_000))
def test_any_calls_at_once_come_out_as_if_one_after_the_other(arena: Arena) -> None:
    explore(lambda: Racing(arena), arena, RACING_STEPS, calls=25)
    assert arena.steps >= RACING_STEPS
    assert arena.met > RACING_STEPS // 10  # the second really waited for the first


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
