"""Clients killed at any moment, and others that make all their calls again, lose no credit."""

from __future__ import annotations

import pytest
from tests.credits.theatre import Theatre
from tests.soak import rounds

HISTORIES = rounds(90, 10_000)
HISTORIES_A_RECONCILIATION = rounds(45, 1_000)
#: What must have come about on the way, or less was proven than it seems.
KILLS = {"from outside", "before", "acting", "committing", "unreported"}
FATES = {
    "was made",
    "was made and not reported",
    "was made all the same",
    "was told again",
    "came too late",
    "was refused: MN402",
    "was refused: MN404",
    "was refused: MN409",
}


@pytest.mark.hazard("M3")
@pytest.mark.hazard("M5")
@pytest.mark.hazard("M19")
@pytest.mark.timeout(rounds(600, 20_000))
def test_histories_with_kills_come_out_as_if_one_call_were_made_after_the_other(
    theatre: Theatre,
) -> None:
    for number in range(HISTORIES):
        theatre.tell(number)
        if (number + 1) % HISTORIES_A_RECONCILIATION == 0:
            theatre.reconcile()
    assert not KILLS - set(theatre.kills)
    assert not FATES - set(theatre.seen)
