"""A person sees their own credits, through the front door."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.conftest import MakeUser, Site

from funmagic.core.ids import new_id
from funmagic.credits import service as credits


async def test_credits_show_what_is_there_reserved_and_owed(
    site: Site, make_user: MakeUser
) -> None:
    ada = await make_user("ada@example.com", 50)
    async with site.resources.db.transaction() as s:
        await credits.hold(s, new_id(), ada.id, 5, description="Reserved for a task")
    async with site.browser(ada) as browser:
        answer = await browser.get("/api/credits")
    assert answer.status_code == 200
    assert answer.json() == {"balance": 50, "reserved": 5, "available": 45, "owed": 0}


async def test_transactions_come_in_pages_and_are_only_ones_own(
    site: Site, make_user: MakeUser
) -> None:
    ada = await make_user("ada@example.com", 50)
    cy = await make_user("cy@example.com", 50)
    task_id = await _settled_task(site, ada.id)
    async with site.browser(ada) as browser:
        first = (await browser.get("/api/credits/transactions?limit=2")).json()
        rest: dict[str, Any] = first
        seen = list(first["items"])
        while rest["nextCursor"]:
            rest = (
                await browser.get(f"/api/credits/transactions?limit=2&cursor={rest['nextCursor']}")
            ).json()
            seen += rest["items"]
    usage = dict(first["items"][0])
    assert usage.pop("createdAt")
    assert usage == {
        "entryNo": len(seen),
        "type": "usage",
        "amount": -5,
        "reservedDelta": -5,
        "balanceAfter": 45,
        "reservedAfter": 0,
        "description": "Background removal",
        "referenceType": "task",
        "referenceId": str(task_id),
    }
    assert [entry["entryNo"] for entry in seen] == list(range(len(seen), 0, -1))
    async with site.browser(cy) as browser:
        theirs = (await browser.get("/api/credits/transactions")).json()["items"]
    assert {entry["type"] for entry in theirs} <= {"welcome", "admin_adjust"}


async def test_strangers_and_bad_questions_are_turned_away(site: Site, make_user: MakeUser) -> None:
    async with site.browser() as browser:
        for path in ("/api/credits", "/api/credits/transactions"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "unauthenticated")
    async with site.browser(await make_user()) as browser:
        for query in ("limit=0", "limit=101", "limit=x", "cursor=nonsense"):
            answer = await browser.get(f"/api/credits/transactions?{query}")
            assert 400 <= answer.status_code < 500, query
            assert answer.json()["error"]["type"] == "invalid_input"


async def _settled_task(site: Site, user_id: UUID) -> UUID:
    task_id = new_id()
    async with site.resources.db.transaction() as s:
        await credits.hold(s, task_id, user_id, 5, description="Reserved for a task")
        await credits.capture(s, task_id, description="Background removal")
    return task_id
