"""The next provider is asked where one cannot, and only then; each call has its own row."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from tests.tasks.figures import DRAW, DRAW_CREDITS
from tests.tasks.studio import COST_USD_MICROS, VENDOR_WORDS, Studio

from funmagic.core.ids import new_id
from funmagic.providers import calls
from funmagic.providers.contract import Call, Trouble
from funmagic.tasks import calling, claims

FAILED = {"provider_error": "AI service error. Please try again."}


async def drawn(studio: Studio) -> dict[str, Any]:
    """One task, run by hand to its end; the books must be right."""
    async with studio.person() as ada:
        task_id = await ada.draw()
        await studio.engine.run(UUID(task_id), 1)
        task = await ada.ended(task_id)
    await studio.assert_one_end()
    assert VENDOR_WORDS not in str(task), "the vendor's words are for operators"
    return task


def assert_drawn(task: dict[str, Any]) -> None:
    assert task["status"] == "completed", task["error"]
    assert task["receipt"]["charged"] == DRAW_CREDITS
    assert len(task["output"]["assets"]) == 1


async def states(studio: Studio) -> list[tuple[str, str]]:
    return [(call.provider_key, call.state) for call in await studio.calls()]


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little patience between questions."""
    monkeypatch.setattr(calling, "RETRY_S", 0.01)
    monkeypatch.setattr(calling, "MOST_SUBMITS", 3)


@pytest.mark.parametrize(
    "unusable",
    [
        "DELETE FROM providers WHERE key = 'steady'",
        "UPDATE providers SET is_enabled = false WHERE key = 'steady'",
        """UPDATE tools SET config = jsonb_set(config,
                  '{steps,image-gen,providers,0,provider}', '"gone"')""",
        """UPDATE tools SET config = jsonb_set(config,
                  '{steps,image-gen,providers,0,options}', '{"no such": 1}')""",
    ],
    ids=["not configured", "switched off", "unknown", "options it does not take"],
)
async def test_a_provider_that_is_not_usable_is_passed_over(unusable: str, studio: Studio) -> None:
    await studio.ask_in_turn("steady", "direct")
    await studio.execute(unusable)
    assert_drawn(await drawn(studio))
    assert await states(studio) == [("direct", "done")]


async def test_credentials_that_cannot_be_opened_are_passed_over(studio: Studio) -> None:
    await studio.ask_in_turn("steady", "direct")
    await studio.execute("""
        UPDATE tools SET config = jsonb_set(config, '{steps,image-gen,providers,0}',
               '{"provider": "openai", "model": "gpt-image-1.5", "options": {}}')
    """)
    await studio.execute("INSERT INTO providers (id, key, label) VALUES (:id, 'openai', 'x')"
                         " ON CONFLICT DO NOTHING", id=new_id())  # fmt: skip
    await studio.execute("UPDATE providers SET credentials_encrypted = 'rot' WHERE key = 'openai'")
    assert_drawn(await drawn(studio))
    assert await states(studio) == [("direct", "done")]


@pytest.mark.hazard("M9")
@pytest.mark.parametrize(
    ("trouble", "may_repeat", "creates", "state"),
    [
        (Trouble.BUSY, True, 3, "failed"),
        (Trouble.BROKEN, True, 3, "failed"),
        (Trouble.UNAUTHORISED, False, 1, "failed"),
        (Trouble.TIMEOUT, True, 3, "failed"),
        # Nobody can say whether these made a job.
        (Trouble.BUSY, False, 1, "abandoned"),
        (Trouble.BROKEN, False, 1, "abandoned"),
        (Trouble.TIMEOUT, False, 1, "abandoned"),
    ],
)
async def test_a_vendor_that_cannot_is_followed_by_the_next(
    trouble: Trouble, may_repeat: bool, creates: int, state: str, studio: Studio
) -> None:
    studio.steady.always(trouble, may_repeat=may_repeat)
    await studio.ask_in_turn("steady", "direct")
    assert_drawn(await drawn(studio))
    before = ["failed"] * (creates - 1) + [state]
    assert await states(studio) == [("steady", each) for each in before] + [("direct", "done")]
    assert len(studio.steady.creates) == creates
    assert all(call.error_message == VENDOR_WORDS for call in (await studio.calls())[:-1])


@pytest.mark.parametrize("trouble", [Trouble.BROKEN, Trouble.BUSY])
async def test_a_job_that_failed_is_booked_before_the_next_is_made(
    trouble: Trouble, studio: Studio
) -> None:
    async def only_after_its_end(_: Call) -> None:
        assert await states(studio) == [("steady", "failed"), ("direct", "intent")]

    studio.steady.ends_jobs_with(trouble, cost_usd_micros=COST_USD_MICROS)
    studio.direct.on_create = only_after_its_end
    await studio.ask_in_turn("steady", "direct")
    assert_drawn(await drawn(studio))
    assert [call.cost_usd_micros for call in await studio.calls()] == [COST_USD_MICROS] * 2


@pytest.mark.hazard("M10")
async def test_a_job_behind_a_key_that_is_refused_is_abandoned_before_the_next_is_made(
    studio: Studio,
) -> None:
    studio.steady.ends_jobs_with(Trouble.UNAUTHORISED)
    await studio.ask_in_turn("steady", "direct")
    assert_drawn(await drawn(studio))
    assert await states(studio) == [("steady", "abandoned"), ("direct", "done")]


@pytest.mark.parametrize("trouble", [Trouble.REFUSED, Trouble.INVALID])
async def test_what_one_vendor_will_not_do_is_not_taken_to_another(
    trouble: Trouble, studio: Studio
) -> None:
    studio.steady.always(trouble)
    await studio.ask_in_turn("steady", "direct")
    task = await drawn(studio)
    assert (task["status"], task["receipt"]["released"]) == ("failed", DRAW_CREDITS)
    assert studio.direct.creates == []


async def test_a_job_that_took_too_long_is_not_made_again_elsewhere(studio: Studio) -> None:
    studio.steady.ends_jobs_with(Trouble.TIMEOUT)
    await studio.ask_in_turn("steady", "direct")
    assert (await drawn(studio))["error"]["type"] == "provider_timeout"
    assert studio.direct.creates == []


async def test_nobody_is_asked_past_the_deadline(studio: Studio) -> None:
    studio.steady.works_on()
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        task_id = await ada.draw()
        await studio.execute("UPDATE tasks SET config = jsonb_set(config, '{deadlineS}', '1')")
        await studio.engine.run(UUID(task_id), 1)
        task = await ada.ended(task_id)
    assert task["error"]["type"] == "provider_timeout"
    assert studio.direct.creates == []
    assert await states(studio) == [("steady", "abandoned")]


async def test_where_no_provider_can_the_credits_come_back(studio: Studio) -> None:
    studio.steady.always(Trouble.BUSY, may_repeat=True)
    studio.direct.always(Trouble.UNAUTHORISED)
    await studio.ask_in_turn("steady", "direct")
    task = await drawn(studio)
    assert {task["error"]["type"]: task["error"]["message"]} == FAILED
    assert task["receipt"]["released"] == DRAW_CREDITS
    assert (await states(studio))[-1] == ("direct", "failed")


@pytest.mark.hazard("M10")
@pytest.mark.parametrize(
    ("record", "asked"),
    [
        ("failed", ["direct"]),
        ("failed, to be asked again", ["steady"]),
        ("abandoned", ["direct"]),
        ("abandoned, to be asked again", ["steady"]),
        ("intent", ["steady"]),
        ("submitted", []),
    ],
)
async def test_after_a_crash_the_newest_call_says_where_to_go_on(
    record: str, asked: list[str], studio: Studio
) -> None:
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        task_id = await ada.draw()
        await _left_behind(studio, task_id, record)
        await studio.engine.run(UUID(task_id), 1)
        assert_drawn(await ada.ended(task_id))
    made = [vendor.key for vendor in (studio.steady, studio.direct) if vendor.creates]
    assert made == asked
    await studio.assert_one_end()


@pytest.mark.hazard("M10")
async def test_a_second_call_of_unknown_fate_is_not_taken_elsewhere(studio: Studio) -> None:
    await studio.ask_in_turn("steady", "direct")
    async with studio.person() as ada:
        task_id = await ada.draw()
        await _left_behind(studio, task_id, "abandoned, to be asked again")
        await _left_behind(studio, task_id, "intent")
        await studio.engine.run(UUID(task_id), 1)
        task = await ada.ended(task_id)
    assert (task["status"], task["receipt"]["released"]) == ("failed", DRAW_CREDITS)
    assert (studio.steady.creates, studio.direct.creates) == ([], [])
    assert await states(studio) == [("steady", "abandoned")] * 2


async def _left_behind(studio: Studio, task_id: str, record: str) -> None:
    """A worker made a call to the first provider and died; this is on record."""
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
