"""A vendor that answers directly, with a bill and nothing usable."""

from __future__ import annotations

from tests.tasks.studio import COST_USD_MICROS, Studio

from funmagic.providers.contract import Trouble


async def test_a_direct_answer_that_was_billed_is_over_and_its_bill_is_booked(
    studio: Studio,
) -> None:
    await studio.ask_in_turn("direct")
    studio.direct.always(Trouble.BROKEN, cost_usd_micros=COST_USD_MICROS)
    async with studio.worker(), studio.person() as ada:
        task = await ada.ended(await ada.draw())
    assert task["status"] == "failed"
    (call,) = await studio.calls()
    assert (call.state, call.cost_usd_micros) == ("failed", COST_USD_MICROS)
    assert len(studio.direct.creates) == 1
    await studio.assert_one_end()
