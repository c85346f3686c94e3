"""Any order of calls, as Hypothesis thinks them up, told to the ledger and to its model.

A wish is a call before its amount is known: "one more than is available" is only found by asking
the model. Wishes print as they must be written to be repeated, and shrink to small numbers.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal, NamedTuple
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from tests.credits.model import GRANTS, MOST, NO_REFERENCE, Answer, Kind, Ledger, Verb

from funmagic.credits.service import Movement

PEOPLE: Final = 3
HOLDS: Final = 12
KEYS: Final = 12
#: A hold's entries have keys too: who grants under one of these is in that hold's way.
HOLD_KEYS: Final = ("hold", "usage", "release")

Measure = Literal["available", "held", "owed"]


class Wish(NamedTuple):
    """A call of the ``kind``, for one of the people, with one of the keys or holds.

    ``amount`` is a number of credits, or so many more than a measure of the model's.
    """

    kind: Kind
    person: int = 0
    number: int = 0
    amount: int | tuple[Measure, int] | None = None
    type: str = "bonus"
    ordered: bool = False


holds = st.integers(0, HOLDS - 1)
keys = st.integers(0, KEYS + len(HOLD_KEYS) - 1)
some = st.integers(1, 30)
near = st.integers(-1, 1)
impossible = st.sampled_from([0, -1, MOST + 1])
limits = st.sampled_from([0, MOST, -MOST, MOST + 1, -MOST - 1])
amounts = st.one_of(
    *[some] * 8, st.tuples(st.sampled_from(["available", "owed"]), near), impossible
)
parts = st.one_of(st.none(), *[some] * 4, *[st.tuples(st.just("held"), near)] * 2, impossible)
types = st.sampled_from((*GRANTS * 4, "gift"))
bonus = st.just("bonus")
no = st.just(False)


def calls(
    kinds: list[Kind],
    numbers: st.SearchStrategy[int],
    amounts: st.SearchStrategy[int | tuple[Measure, int] | None],
    types: st.SearchStrategy[str] = bonus,
    ordered: st.SearchStrategy[bool] = no,
) -> st.SearchStrategy[Wish]:
    parts = (st.sampled_from(kinds), st.integers(0, PEOPLE - 1), numbers, amounts, types, ordered)
    return st.builds(Wish, *parts)


wishes = st.one_of(
    calls(["grant"], keys, st.integers(30, 300), types, st.booleans()),
    calls(["grant"], keys, amounts, types, st.booleans()),
    calls(["adjust"], keys, st.integers(-40, 40) | limits),
    calls(["take_back"], keys, amounts),
    calls(["hold"], holds, amounts),
    calls(["hold"], holds, amounts),
    calls(["capture", "release"], holds, parts),
    calls(["capture", "release"], holds, parts),
)


class Machine(RuleBasedStateMachine):
    """Calls made one after the other; what comes of them is for the subclass to compare."""

    def __init__(self, users: list[UUID], hold_ids: list[UUID], key_prefix: str) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.made: list[Verb] = []
        self._users = users
        self._holds = [str(hold_id) for hold_id in hold_ids]
        self._keys = [f"{key_prefix}{number}" for number in range(KEYS)]
        self._keys += [f"{name}:{self._holds[0]}" for name in HOLD_KEYS]

    @rule(wish=wishes)
    def once(self, wish: Wish) -> None:
        self.call(self.verb(wish))

    @rule(wish=wishes)
    def twice(self, wish: Wish) -> None:
        verb = self.verb(wish)
        self.call(verb)
        self.call(verb)

    @precondition(lambda self: self.made)
    @rule(back=st.integers(0, 9))
    def again(self, back: int) -> None:
        """The same call as one made before, whatever has happened since."""
        self.call(self.made[-1 - back % len(self.made)])

    def call(self, verb: Verb) -> None:
        """Make one call and note it."""
        raise NotImplementedError

    def verb(self, wish: Wish) -> Verb:
        """The wish as a call, now that the books say how much it is about."""
        of_hold = wish.kind in ("hold", "capture", "release")
        key = (self._holds if of_hold else self._keys)[wish.number]
        if wish.kind in ("capture", "release") and self.ledger.holds and wish.number < HOLDS - 1:
            key = list(self.ledger.holds)[-1 - wish.number % len(self.ledger.holds)]
        user = self._users[wish.person]
        amount = wish.amount
        if isinstance(amount, tuple):
            measure, more = amount
            hold = self.ledger.holds.get(key)
            account = self.ledger.account(user)
            measured = {
                "available": account.available,
                "owed": account.owed,
                "held": hold.amount if hold else 0,
            }
            amount = max(1, measured[measure] + more)
        reference = ("order", "o-1") if wish.ordered else NO_REFERENCE
        return Verb(wish.kind, user, key, amount, wish.type, reference)


def kind_of(answer: Answer) -> str:
    """Which of the possible outcomes it is."""
    if isinstance(answer, Movement):
        return "replayed" if answer.replayed else "moved"
    return answer.name if answer else "resolved"


#: What each verb can answer, but for the rare clash of a hold's entry with somebody else's key; a
#: run that saw less has proven less.
OUTCOMES: Final[dict[str, str]] = {
    "grant": "moved replayed CONFLICT IMPOSSIBLE",
    "adjust": "moved replayed NOT_ENOUGH CONFLICT IMPOSSIBLE",
    "take_back": "moved replayed CONFLICT IMPOSSIBLE",
    "hold": "moved replayed NOT_ENOUGH CONFLICT IMPOSSIBLE",
    "capture": "moved resolved NO_HOLD TABLE",
    "release": "moved resolved NO_HOLD",
}


def unseen(seen: Counter[tuple[str, str]]) -> set[tuple[str, str]]:
    """The outcomes that never came about."""
    return {(verb, name) for verb, names in OUTCOMES.items() for name in names.split()} - {*seen}
