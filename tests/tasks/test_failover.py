"""The next provider is asked where one cannot, and only then; each call has its own row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from tests.tasks.figures import DRAW, DRAW_CREDITS
from tests.tasks.studio import COST_USD_MICROS, VENDOR_WORDS, Person, Studio

from funmagic.core.ids import new_id
from funmagic.providers import abandoned, calls
from funmagic.providers.contract import Call, Trouble
from funmagic.tasks import calling, claims

FAILED = {"type": "provider_error", "message": "AI service error. Please try again."}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience between questions."""
    monkeypatch.setattr(calling, "RETRY_S", 0.01)
    monkeypatch.setattr(calling, "MOST_SUBMITS", 3)


async def drawn(studio: Studio, ada: Person, prepare: Callable[[], None] = lambda: None) -> Any:
    """One task on vendors as new, but for what is prepared, run to its end."""
    for vendor in (studio.steady, studio.direct):
        vendor.reset()
    prepare()
    task_id = await ada.draw()
    await studio.engine.run(UUID(task_id), 1)
    task = await ada.ended(task_id)
    assert VENDOR_WORDS not in str(task), "the vendor's words are for operators"
    return task


def assert_drawn(task: dict[str, Any]) -> None:
    assert task["status"] == "completed", task["error"]
    assert task["receipt"]["charged"] == DRAW_CREDITS
    assert len(task["output"]["assets"]) == 1


async def states(studio: Studio) -> list[tuple[str, str]]:
    return [(call.provider_key, call.state) for call in await studio.calls()]


async def test_a_provider_that_is_not_usable_is_passed_over(studio: Studio) -> None:
    """Switched off, not configured, its key unreadable, its options or itself gone."""
    first = "UPDATE tools SET config = jsonb_set(config, '{steps,image-gen,providers,0,%s}', '%s')"
    async with studio.person() as ada:
        for unusable in (
            "UPDATE providers SET is_enabled = false WHERE key = 'steady'",
            "DELETE FROM providers WHERE key = 'steady'",
            first % ("options", '{"no such": 1}'),
            first % ("provider", '"gone"'),
        ):
            await studio.ask_in_turn("steady", "direct")
            await studio.execute(unusable.replace(":", r"\:"))
            assert_drawn(await drawn(studio, ada))
            assert await states(studio) == [("direct", "done")], unusable
        await studio.ask_in_turn("openai", "direct")
        await studio.execute(
            "INSERT INTO providers (id, key, label, credentials_encrypted)"
            " VALUES (:id, 'openai', 'x', 'rot')",
            id=new_id(),
        )
        assert_drawn(await drawn(studio, ada))
        assert await states(studio) == [("direct", "done")]
    await studio.assert_one_end()


@pytest.mark.hazard("M9")
async def test_a_vendor_that_cannot_is_followed_by_the_next(studio: Studio) -> None:
    """As often as it may be asked again, and once where nobody knows whether it made a job."""
    cases = [
        (Trouble.BUSY, True, 3, "failed"),
        (Trouble.BROKEN, True, 3, "failed"),
        (Trouble.UNAUTHORISED, False, 1, "failed"),
        (Trouble.TIMEOUT, True, 3, "failed"),
        (Trouble.BUSY, False, 1, "abandoned"),
        (Trouble.BROKEN, False, 1, "abandoned"),
        (Trouble.TIMEOUT, False, 1, "abandoned"),
    ]
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        for trouble, may_repeat, creates, state in cases:
            task = await drawn(
                studio,
                ada,
                lambda: studio.steady.always(trouble, may_repeat=may_repeat),  # noqa: B023
            )
            assert_drawn(task)
            before = [("steady", each) for each in ["failed"] * (creates - 1) + [state]]
            assert await states(studio) == [*before, ("direct", "done")], (trouble, may_repeat)
            assert len(studio.steady.creates) == creates
            assert {call.error_message for call in (await studio.calls())[:-1]} == {VENDOR_WORDS}
    await studio.assert_one_end()


async def test_a_vendor_that_wants_a_long_pause_gets_it_where_there_is_no_other(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calling, "LONGEST_RETRY_S", 0.2)
    async with studio.person() as ada:
        for vendors, creates in ((("steady", "direct"), 1), (("steady",), 3)):
            await studio.ask_in_turn(*vendors)
            task = await drawn(
                studio,
                ada,
                lambda: studio.steady.always(Trouble.BUSY, may_repeat=True, retry_after_s=0.4),
            )
            assert len(studio.steady.creates) == creates
            assert task["status"] == ("completed" if "direct" in vendors else "failed")
    await studio.assert_one_end()


@pytest.mark.hazard("M10")
async def test_a_call_is_on_record_as_ended_before_the_next_is_made(studio: Studio) -> None:
    """A job that failed, and one behind a key that is refused by now."""
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        for trouble, state in (
            (Trouble.BROKEN, "failed"),
            (Trouble.BUSY, "failed"),
            (Trouble.UNAUTHORISED, "abandoned"),
        ):
            seen: list[Any] = []

            async def look(_: Call) -> None:
                seen.extend(await states(studio))  # noqa: B023

            def prepare() -> None:
                studio.steady.ends_jobs_with(trouble, cost_usd_micros=COST_USD_MICROS)  # noqa: B023
                studio.direct.on_create = look

            assert_drawn(await drawn(studio, ada, prepare))
            assert seen == [("steady", state), ("direct", "intent")]
            costs = [call.cost_usd_micros for call in await studio.calls()]
            assert costs == [COST_USD_MICROS if state == "failed" else 0, COST_USD_MICROS]


async def test_what_one_vendor_will_not_do_is_not_taken_to_another(studio: Studio) -> None:
    """Content and input stay what they are; a job that took too long has had its time."""
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        for trouble, error in (
            (Trouble.REFUSED, "refused"),
            (Trouble.INVALID, "invalid_input"),
        ):
            task = await drawn(studio, ada, lambda: studio.steady.always(trouble))  # noqa: B023
            assert (task["error"]["type"], task["receipt"]["released"]) == (error, DRAW_CREDITS)
            assert studio.direct.creates == []
        task = await drawn(studio, ada, lambda: studio.steady.ends_jobs_with(Trouble.TIMEOUT))
        assert task["error"]["type"] == "provider_timeout"
        assert studio.direct.creates == []
    await studio.assert_one_end()


async def test_nobody_is_asked_past_the_deadline(studio: Studio) -> None:
    await studio.ask_in_turn("steady", "direct")
    studio.steady.works_on()
    async with studio.person() as ada:
        task_id = await ada.draw()
        await studio.execute("UPDATE tasks SET config = jsonb_set(config, '{deadlineS}', '1')")
        await studio.engine.run(UUID(task_id), 1)
        task = await ada.ended(task_id)
    assert task["error"]["type"] == "provider_timeout"
    assert studio.direct.creates == []
    assert await states(studio) == [("steady", "abandoned")]


async def test_where_no_provider_can_the_credits_come_back(studio: Studio) -> None:
    def prepare() -> None:
        studio.steady.always(Trouble.BUSY, may_repeat=True)
        studio.direct.always(Trouble.UNAUTHORISED)

    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        task = await drawn(studio, ada, prepare)
    assert (task["error"], task["receipt"]["released"]) == (FAILED, DRAW_CREDITS)
    assert (await states(studio))[-1] == ("direct", "failed")
    await studio.assert_one_end()


@pytest.mark.hazard("M10")
async def test_after_a_crash_the_newest_call_says_where_to_go_on(studio: Studio) -> None:
    """Who has failed on record is not asked again; who was to be asked again is."""
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        for records, asked in (
            (["failed"], ["direct"]),
            (["failed, to be asked again"], ["steady"]),
            (["abandoned"], ["direct"]),
            (["abandoned, to be asked again"], ["steady"]),
            (["intent"], ["steady"]),
            (["submitted"], []),
        ):
            task = await _resumed(studio, ada, records)
            assert_drawn(task)
            made = [vendor.key for vendor in (studio.steady, studio.direct) if vendor.creates]
            assert made == asked, records
        # A second call of unknown fate is one too many, and is not taken elsewhere either.
        task = await _resumed(studio, ada, ["abandoned, to be asked again", "intent"])
        assert (task["error"], task["receipt"]["released"]) == (FAILED, DRAW_CREDITS)
        assert (studio.steady.creates, studio.direct.creates) == ([], [])
        assert await states(studio) == [("steady", "abandoned")] * 2
    await studio.assert_one_end()


async def test_a_provider_that_is_switched_off_is_asked_for_the_jobs_it_has(
    studio: Studio,
) -> None:
    """For results that are waited for, and for costs of those that are not."""
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        await studio.execute("UPDATE providers SET is_enabled = false WHERE key = 'steady'")
        assert_drawn(await _resumed(studio, ada, ["submitted"]))
        assert await states(studio) == [("steady", "done")]
        task_id = await ada.draw()
        await _left_behind(studio, task_id, "submitted")
        await studio.execute(
            "UPDATE provider_calls SET state = 'abandoned', finished_at = now(),"
            ' ask_again_at = now(), request = \'{"capability": "image_edit", "options": {}}\''
            " WHERE state = 'submitted'".replace(":", r"\:")
        )
        await abandoned.book_costs(studio.resources)
        (call,) = await studio.calls()
    assert (call.state, call.cost_usd_micros) == ("abandoned", COST_USD_MICROS)


async def _resumed(studio: Studio, ada: Person, records: list[str]) -> Any:
    """The end of a task whose workers died and left calls to the first provider on record."""
    for vendor in (studio.steady, studio.direct):
        vendor.reset()
    task_id = await ada.draw()
    for record in records:
        await _left_behind(studio, task_id, record)
    await studio.engine.run(UUID(task_id), 1)
    return await ada.ended(task_id)


async def _left_behind(studio: Studio, task_id: str, record: str) -> None:
    call_id, asked_again = new_id(), "again" in record
    async with studio.resources.db.transaction() as session:
        held = await claims.claim(session, UUID(task_id), 1, owner="dead", lease_s=0.0)
        assert held is not None
        await calls.intend(
            session,
            call_id=call_id,
            task_id=held.id,
            step_id=DRAW,
            provider_key="steady",
            model="model-1",
            fence=held.fence,
            request={},
        )
        if record == "submitted":
            await calls.submitted(session, call_id, {"job": 1})
        if record.startswith("failed"):
            await calls.failed(session, call_id, Trouble.BUSY, "x", asked_again=asked_again)
        if record.startswith("abandoned"):
            await calls.abandon(session, call_id, Trouble.BUSY, "x", asked_again=asked_again)
