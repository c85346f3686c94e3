"""Defects as a ledger could have them, to be planted in a test's own database.

Each is one change of ``ledger.sql``; the machines and the histories must see every one of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import funmagic.credits

SOURCE: Final = (Path(funmagic.credits.__file__).parent / "ledger.sql").read_text(encoding="utf-8")

#: What goes wrong: the function, the part of it that is replaced, and by what.
DEFECTS: Final[dict[str, tuple[str, str, str]]] = {
    "the key is looked up before the account is locked": (
        "credit_grant",
        """    PERFORM credit_lock_account(p_user);
    v_movement := credit_first_outcome(
        p_key, p_user, p_type, p_amount, p_reference_type, p_reference_id);
""",
        """    v_movement := credit_first_outcome(
        p_key, p_user, p_type, p_amount, p_reference_type, p_reference_id);
    PERFORM credit_lock_account(p_user);
""",
    ),
    "a key that was used moves the account again, without an entry": (
        "credit_write",
        """    IF NOT FOUND THEN  -- another account's racer took the key a moment ago
        RAISE EXCEPTION USING ERRCODE = 'MN409',
            MESSAGE = 'this idempotency key was used for another movement';
    END IF;
""",
        "",
    ),
    "the account is not locked": (
        "credit_lock_account",
        "WHERE user_id = p_user FOR UPDATE;",
        "WHERE user_id = p_user;",
    ),
    "a capture takes what was resolved before": (
        "credit_capture",
        " AND state = 'open'",
        "",
    ),
    "a release takes what was resolved before": (
        "credit_release",
        " AND state = 'open'",
        "",
    ),
    "a release subtracts twice": (
        "credit_release",
        "'release', 0, -v_amount, 0",
        "'release', 0, -2 * v_amount, 0",
    ),
    "an adjustment moves the account without an entry": (
        "credit_adjust",
        """        v_movement := credit_write(p_user, 'admin_adjust', p_delta, 0, 0, p_description,
            p_reference_type, p_reference_id, p_actor, p_key);
""",
        """        UPDATE credit_accounts SET balance = balance + p_delta WHERE user_id = p_user;
        v_movement := (v_account.entry_no, p_delta, v_account.balance + p_delta,
                       v_account.reserved, false);
""",
    ),
    "a release does not repay what is owed": (
        "credit_release",
        "    PERFORM credit_repay(v_user);\n",
        "",
    ),
    "a capture of a part keeps the rest on hold": (
        "credit_capture",
        """    IF v_hold.captured < v_hold.amount THEN""",
        """    IF false THEN""",
    ),
}


def planted(name: str) -> str:
    """The statement that plants the defect. Raises AssertionError where ledger.sql has moved on."""
    function, right, wrong = DEFECTS[name]
    whole = sound(function)
    assert right in whole, f"{function} no longer says what the defect {name!r} replaces"
    return whole.replace(right, wrong)


def sound(function: str) -> str:
    """The statement that installs the function as it is written."""
    found = re.search(rf"CREATE OR REPLACE FUNCTION {function}\(.*?\n\$\$;\n", SOURCE, re.DOTALL)
    assert found is not None
    return found[0]
