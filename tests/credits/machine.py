"""Any order of calls, as Hypothesis thinks them up, told to the ledger and to its model.

A wish is a call before its amount is known: "one more than is available" is only found by asking
the model. Wishes print as they must be written to be repeated, and shrink to small numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, Protocol
from uuid import UUID

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.credits.model import GRANTS, MOST, NO_REFERENCE, Answer, Kind, Ledger, Verb
from tests.soak import SEED

from funmagic.credits.service import Movement

PEOPLE: Final = 2
EXAMPLES_A_SEED: Final = 100
#: Numbers below this one mean something old, the others something new.
OLD: Final = 4
MANY: Final = 1_000_000  # more than there are holds in any example
HOLD_VERBS: Final = ("hold", "capture", "release")
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


def amount_of(kind: Kind, lot: int) -> int | tuple[Measure, int] | None:
    """What a lot of 0 to 99 is as an amount: mostly small, often at an edge, now and then wrong."""
    more = lot % 3 - 1
    if lot >= 95:
        return (0, -1, MOST + 1, -MOST - 1, MOST + 2)[lot - 95]
    if kind == "capture":
        return 1 + lot % 30 if lot < 30 else ("held", more) if lot < 60 else None
    if kind == "grant" and lot >= 30:
        return lot
    if kind == "adjust":
        return lot % 81 - 40
    if lot < 50:
        return 1 + lot % 30
    if kind == "take_back" and lot < 85:
        return "available", lot % 20  # the rest is owed
    return "available" if lot < 85 else "owed", more


def wish_of(lots: tuple[Kind, int, int, int, str, bool]) -> Wish:
    kind, person, number, lot, type, ordered = lots
    amount = None if kind == "release" else amount_of(kind, lot)
    return Wish(kind, person, number, amount, type, ordered)


KINDS: Final[tuple[Kind, ...]] = (
    "grant", "grant", "adjust", "take_back", "hold", "hold", "hold", "capture", "capture", "release"
)  # fmt: skip
numbers = st.integers(0, 19)
wishes = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, PEOPLE - 1),
    numbers,
    st.integers(0, 99),
    st.sampled_from((*GRANTS * 8, "gift")),
    st.booleans(),
).map(wish_of)


class Machine(RuleBasedStateMachine):
    """Calls made one after the other; what comes of them is for the subclass to compare."""

    def __init__(self, users: list[UUID], first_hold: UUID, prefix: str) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.made: list[Verb] = []
        self._users = users
        self._first_hold = first_hold
        self._prefix = prefix
        self._keys = [f"{prefix}0"]

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

    @precondition(lambda self: self.made)
    @rule(back=st.integers(0, 9), detail=st.sampled_from(["amount", "user", "type", "reference"]))
    def again_but(self, back: int, detail: str) -> None:
        """A call made before, with the same key, for something else."""
        verb = self.made[-1 - back % len(self.made)]
        if detail == "user":
            verb = replace(verb, user=self._users[self._users[0] == verb.user])
        elif detail == "type" and verb.kind == "grant":
            verb = replace(verb, type=GRANTS[verb.type == GRANTS[0]])
        elif detail == "reference" and verb.kind in ("grant", "take_back"):
            verb = replace(verb, reference=("order", f"not {verb.reference[1]}"))
        else:
            verb = replace(verb, amount=(verb.amount or 0) + 1)
        self.call(verb)

    @abstractmethod
    def call(self, verb: Verb) -> None:
        """Make one call and note it."""

    def verb(self, wish: Wish) -> Verb:
        """The wish as a call, now that the books say what it is about."""
        key = self._hold(wish) if wish.kind in HOLD_VERBS else self._key(wish)
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
        ordered = wish.ordered and wish.kind in ("grant", "take_back")
        reference = ("order", "o-1") if ordered else NO_REFERENCE
        return Verb(wish.kind, user, key, amount, wish.type, reference)

    def _key(self, wish: Wish) -> str:
        """A new key, one of the last ones, or one that belongs to the first hold's entries."""
        if wish.number >= OLD + len(HOLD_KEYS):
            self._keys.append(f"{self._prefix}{len(self._keys)}")
            return self._keys[-1]
        if wish.number >= OLD:
            return f"{HOLD_KEYS[wish.number - OLD]}:{self._new_hold(0)}"
        return self._keys[-1 - wish.number % len(self._keys)]

    def _hold(self, wish: Wish) -> str:
        """A new hold, one of the last ones or, to be ended, one that is still open."""
        known = list(self.ledger.holds)
        if wish.kind == "hold" and (wish.number >= OLD or not known):
            return self._new_hold(len(known))
        still_open = [key for key in known if self.ledger.holds[key].state == "open"]
        if wish.kind != "hold" and wish.number >= OLD and still_open:
            return still_open[wish.number % len(still_open)]
        if wish.number == 0 or not known:
            return self._new_hold(MANY)
        return known[-1 - wish.number % len(known)]

    def _new_hold(self, number: int) -> str:
        return str(UUID(int=self._first_hold.int + number))


class Counting(Protocol):
    """What the machines play on; it counts how often the books were compared."""

    steps: int


def explore(
    machine: Callable[[], Machine], stage: Counting, steps: int, *, calls: int, shrink: bool = True
) -> None:
    """Run machines of so many calls each until the books were compared ``steps`` times.

    What fails is made as short as it can be, where that is wanted, and printed.
    """
    settings = hypothesis.settings(
        max_examples=EXAMPLES_A_SEED,
        stateful_step_count=calls,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seed = SEED
    while stage.steps < steps:
        try:
            seeded: Any = hypothesis.seed(seed)(lambda: machine())
            run_state_machine_as_test(seeded, settings=settings)
        except Exception as error:
            error.add_note(f"FUNMAGIC_SEED={seed} tells the same story.")
            raise
        seed += 1


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
