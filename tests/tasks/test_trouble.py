"""A provider in trouble: the owner hears the product's words, the operator keeps the vendor's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.runs import create, ended
from tests.uploads import upload

from funmagic.core.resources import Resources
from funmagic.providers import registry
from funmagic.providers.contract import ProviderError, Trouble
from funmagic.reports.reconcile import reconcile
from funmagic.tasks.messages import BY_TROUBLE

VENDOR_WORDS = "internal: shard 7 of cluster blue is on fire"
CALLS = text("SELECT state, error_trouble, error_message FROM provider_calls")


async def run_in_trouble(
    site: Site, make_user: MakeUser, resources: Resources, photo: bytes
) -> tuple[dict[str, Any], list[Any]]:
    """The failed task as its owner sees it, and the calls on record; the books must balance."""
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, photo))
        task = await ended(browser, answer.json()["taskId"], wait_s=30)
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []
    async with resources.db.transaction() as session:
        calls = [tuple(row) for row in await session.execute(CALLS)]
    assert task["status"] == "failed"
    assert (task["receipt"]["charged"], task["receipt"]["released"]) == (0, 5)
    assert task["receipt"]["available"] == 50
    return task, calls


@pytest.mark.usefixtures("running_worker")
@pytest.mark.parametrize("trouble", list(Trouble))
async def test_each_kind_of_trouble_has_its_words_and_costs_nothing(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Trouble,
) -> None:
    async def fail(*_: Any) -> None:
        raise ProviderError(trouble, VENDOR_WORDS)

    monkeypatch.setattr(registry.adapter("local"), "submit", fail)
    task, calls = await run_in_trouble(site, make_user, resources, astronaut)
    assert (task["error"]["type"], task["error"]["message"]) == BY_TROUBLE[trouble]
    assert VENDOR_WORDS not in str(task)
    assert calls == [("failed", str(trouble), VENDOR_WORDS)]


@pytest.mark.usefixtures("running_worker")
async def test_a_provider_that_never_answers_is_given_up_at_the_deadline(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(registry.adapter("local"), "submit", hang)
    async with resources.db.transaction() as session:
        await session.execute(
            text("""
                CREATE FUNCTION hurry() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN NEW.config := jsonb_set(NEW.config, '{deadlineS}', '1'); RETURN NEW; END $$
            """)
        )
        await session.execute(
            text("""
                CREATE TRIGGER hurry BEFORE INSERT ON tasks
                FOR EACH ROW EXECUTE FUNCTION hurry()
            """)
        )
    task, calls = await run_in_trouble(site, make_user, resources, astronaut)
    assert task["error"] == {
        "type": "provider_timeout",
        "message": "AI service timed out. Credits refunded.",
    }
    assert calls == [("failed", "timeout", "no answer by the deadline")]
