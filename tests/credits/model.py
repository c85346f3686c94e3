"""The ledger once more, in plain Python: what each verb must answer and what the books then say.

Nothing here knows of a database. ``Ledger.act`` is one verb done alone; whatever happens at once
must come out as if it had happened one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, TypeGuard
from uuid import UUID

from funmagic.credits.service import Movement

Kind = Literal["grant", "adjust", "take_back", "hold", "capture", "release"]
Reference = tuple[str | None, str | None]

NO_REFERENCE: Final[Reference] = (None, None)
GRANTS: Final = ("purchase", "bonus", "welcome", "refund")
MOST: Final = 1_000_000_000


class Refusal(StrEnum):
    """Why a verb was refused, by PostgreSQL's name for it."""

    NOT_ENOUGH = "MN402"
    NO_HOLD = "MN404"
    CONFLICT = "MN409"
    IMPOSSIBLE = "22023"
    TABLE = "23514"  # more than was held: the table's own check


Answer = Movement | Refusal | None  # None: the hold had been resolved before


@dataclass(frozen=True, slots=True)
class Verb:
    """One call. ``key`` is the idempotency key; for a hold and its end, the hold's id.

    ``amount`` is signed for an adjustment, and None for the capture of the whole. ``type`` is the
    grant's.
    """

    kind: Kind
    user: UUID
    key: str
    amount: int | None = None
    type: str = "bonus"
    reference: Reference = NO_REFERENCE


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the books, without its hash, its time and its words."""

    user: UUID
    entry_no: int
    type: str
    amount: int
    reserved_delta: int
    owed_delta: int
    balance_after: int
    reserved_after: int
    reference: Reference
    key: str | None

    def movement(self, *, replayed: bool) -> Movement:
        return Movement(
            self.entry_no, self.amount, self.balance_after, self.reserved_after, replayed
        )


Sums = tuple[int, int, int, int]


@dataclass(slots=True)
class Account:
    """``sums`` of each type of entry: how many, and what they change the three figures by."""

    balance: int = 0
    reserved: int = 0
    owed: int = 0
    entries: list[Entry] = field(default_factory=list)
    sums: dict[str, Sums] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.balance - self.reserved


@dataclass(frozen=True, slots=True)
class Hold:
    user: UUID
    amount: int
    captured: int = 0
    state: Literal["open", "captured", "released"] = "open"


@dataclass(slots=True)
class Ledger:
    """Everybody's books. An account exists from its first entry on."""

    accounts: dict[UUID, Account] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    keys: dict[str, Entry] = field(default_factory=dict)

    def act(self, verb: Verb) -> Answer:
        """Do one verb; a refusal changes nothing."""
        if verb.kind == "grant":
            return self._grant(verb)
        if verb.kind == "hold":
            return self._hold(verb)
        if verb.kind == "capture":
            return self._capture(verb)
        if verb.kind == "release":
            return self._release(verb)
        return self._adjust(verb)

    def account(self, user: UUID) -> Account:
        return self.accounts.get(user) or Account()

    def copy(self) -> Ledger:
        accounts = {
            user: Account(one.balance, one.reserved, one.owed, [*one.entries], {**one.sums})
            for user, one in self.accounts.items()
        }
        return Ledger(accounts, dict(self.holds), dict(self.keys))

    def _grant(self, verb: Verb) -> Answer:
        if not possible(verb.amount) or verb.type not in GRANTS:
            return Refusal.IMPOSSIBLE
        return self._first_outcome(verb, verb.type, verb.amount) or self._give(verb, verb.type)

    def _adjust(self, verb: Verb) -> Answer:
        """An adjustment, or what is taken back: the one is refused beyond Available, the other
        goes down to it and leaves the rest owed."""
        if verb.amount is None or not possible(abs(verb.amount)):
            return Refusal.IMPOSSIBLE
        if verb.kind == "take_back" and verb.amount < 0:
            return Refusal.IMPOSSIBLE
        delta = -verb.amount if verb.kind == "take_back" else verb.amount
        if first := self._first_outcome(verb, "admin_adjust", delta):
            return first
        if delta > 0:
            return self._give(verb, "admin_adjust")
        taken = min(-delta, self.account(verb.user).available)
        if taken < -delta and verb.kind == "adjust":
            return Refusal.NOT_ENOUGH
        entry = self._write(
            verb.user, "admin_adjust", -taken, 0, -delta - taken, verb.reference, verb.key
        )
        return entry.movement(replayed=False)

    def _hold(self, verb: Verb) -> Answer:
        if not possible(verb.amount):
            return Refusal.IMPOSSIBLE
        key, reference = f"hold:{verb.key}", ("task", verb.key)
        if first := self._first_outcome(verb, "reservation", verb.amount, key, reference):
            return first
        account = self.account(verb.user)
        if account.owed or account.available < verb.amount:
            return Refusal.NOT_ENOUGH
        self.holds[verb.key] = Hold(verb.user, verb.amount)
        entry = self._write(verb.user, "reservation", 0, verb.amount, 0, reference, key)
        return entry.movement(replayed=False)

    def _capture(self, verb: Verb) -> Answer:
        hold = self.holds.get(verb.key)
        if hold is None:
            return Refusal.NO_HOLD
        if hold.state != "open":
            return None
        captured = hold.amount if verb.amount is None else verb.amount
        if not 1 <= captured <= hold.amount:
            return Refusal.TABLE
        rest, reference = hold.amount - captured, ("task", verb.key)
        if f"usage:{verb.key}" in self.keys or (rest and f"release:{verb.key}" in self.keys):
            return Refusal.CONFLICT
        self.holds[verb.key] = Hold(hold.user, hold.amount, captured, "captured")
        if rest:
            self._write(hold.user, "release", 0, -rest, 0, reference, f"release:{verb.key}")
        entry = self._write(
            hold.user, "usage", -captured, -captured, 0, reference, f"usage:{verb.key}"
        )
        self._repay(hold.user)
        return entry.movement(replayed=False)

    def _release(self, verb: Verb) -> Answer:
        hold = self.holds.get(verb.key)
        if hold is None:
            return Refusal.NO_HOLD
        if hold.state != "open":
            return None
        if f"release:{verb.key}" in self.keys:
            return Refusal.CONFLICT
        self.holds[verb.key] = Hold(hold.user, hold.amount, 0, "released")
        entry = self._write(
            hold.user, "release", 0, -hold.amount, 0, ("task", verb.key), f"release:{verb.key}"
        )
        self._repay(hold.user)
        return entry.movement(replayed=False)

    def _first_outcome(
        self,
        verb: Verb,
        type: str,
        requested: int,
        key: str | None = None,
        reference: Reference | None = None,
    ) -> Movement | Refusal | None:
        """What the key did before; a conflict where that was something else."""
        entry = self.keys.get(key or verb.key)
        if entry is None:
            return None
        asked = (
            entry.reserved_delta if entry.type == "reservation" else entry.amount - entry.owed_delta
        )
        before = (entry.user, entry.type, asked, entry.reference)
        if before != (verb.user, type, requested, reference or verb.reference):
            return Refusal.CONFLICT
        return entry.movement(replayed=True)

    def _give(self, verb: Verb, type: str) -> Movement:
        assert verb.amount is not None
        entry = self._write(verb.user, type, verb.amount, 0, 0, verb.reference, verb.key)
        self._repay(verb.user)
        return entry.movement(replayed=False)

    def _repay(self, user: UUID) -> None:
        account = self.accounts[user]
        repaid = min(account.owed, account.available)
        if repaid:
            self._write(user, "admin_adjust", -repaid, 0, -repaid, NO_REFERENCE, None)

    def _write(
        self,
        user: UUID,
        type: str,
        amount: int,
        reserved_delta: int,
        owed_delta: int,
        reference: Reference,
        key: str | None,
    ) -> Entry:
        account = self.accounts.setdefault(user, Account())
        account.balance += amount
        account.reserved += reserved_delta
        account.owed += owed_delta
        assert 0 <= account.reserved <= account.balance
        assert account.owed >= 0
        entry = Entry(
            user,
            len(account.entries) + 1,
            type,
            amount,
            reserved_delta,
            owed_delta,
            account.balance,
            account.reserved,
            reference,
            key,
        )
        account.entries.append(entry)
        number, amounts, reserved, owed = account.sums.get(type, (0, 0, 0, 0))
        account.sums[type] = (
            number + 1, amounts + amount, reserved + reserved_delta, owed + owed_delta
        )  # fmt: skip
        if key is not None:
            self.keys[key] = entry
        return entry


def possible(amount: int | None) -> TypeGuard[int]:
    """Whether it is an amount of credits at all."""
    return amount is not None and 1 <= amount <= MOST
