"""Creating a task: everything or nothing, once per key, at the price that was shown."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.runs import PRICE_CREDITS, TOOL, create
from tests.uploads import upload

from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

COUNTS = text("""
    SELECT (SELECT count(*) FROM tasks) AS tasks,
           (SELECT count(*) FROM credit_holds) AS holds,
           (SELECT count(*) FROM outbox) AS jobs,
           (SELECT count(*) FROM provider_calls) AS calls,
           (SELECT count(*) FROM task_events) AS events
""")


async def counts(resources: Resources) -> tuple[int, ...]:
    async with resources.db.transaction() as session:
        return tuple((await session.execute(COUNTS)).one())


async def test_a_task_comes_with_its_event_its_job_and_its_hold(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        asset_id = await upload(browser, astronaut)
        answer = await create(browser, asset_id, expectedCredits=PRICE_CREDITS)
        assert answer.status_code == 201, answer.text
        assert answer.json()["credits"] == PRICE_CREDITS
        assert answer.json()["status"] in {"pending", "queued"}
        balance = (await browser.get("/api/credits")).json()
    assert (balance["balance"], balance["reserved"], balance["available"]) == (50, 5, 45)
    assert await counts(resources) == (1, 1, 1, 0, 1)


@pytest.mark.hazard("M1")
@pytest.mark.parametrize("step", ["", " ", "nope", "Remove", "remove ", "0", "__class__"])
async def test_an_unknown_step_is_refused_and_nothing_is_held(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes, step: str
) -> None:
    async with site.browser(await make_user()) as browser:
        asset_id = await upload(browser, astronaut)
        answer = await create(browser, asset_id, step=step)
        assert answer.status_code == 422
        assert answer.json()["error"]["type"] == "unknown_step"
        assert (await browser.get("/api/credits")).json()["reserved"] == 0
    assert await counts(resources) == (0, 0, 0, 0, 0)


@pytest.mark.hazard("M1")
async def test_no_made_up_step_ever_runs(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    ada = await make_user()
    async with site.browser(ada) as browser:
        asset_id = await upload(browser, astronaut)
    token = await site.session_of(ada)
    loop = asyncio.get_running_loop()

    async def attempt(step: str) -> int:
        async with site.browser() as browser:
            browser.cookies.set("fm_session", token)
            return (await create(browser, asset_id, step=step)).status_code

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.text(max_size=80).filter(lambda step: step != "remove"))
    def never(step: str) -> None:
        status = asyncio.run_coroutine_threadsafe(attempt(step), loop).result(30)
        assert status == 422

    await asyncio.to_thread(never)
    assert await counts(resources) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("body", "status", "type_"),
    [
        ({"tool": "no-such-tool", "input": {}}, 404, "not_found"),
        ({"tool": TOOL, "input": {}}, 422, "invalid_input"),
        ({"tool": TOOL, "input": {"image": "not-an-id"}}, 422, "invalid_input"),
        ({"tool": TOOL, "input": {"image": str(new_id())}}, 404, "not_found"),
        ({"tool": TOOL, "input": {"image": "https://evil.example/x.png"}}, 422, "invalid_input"),
        ({"tool": TOOL, "input": {"image": str(new_id()), "url": "x"}}, 422, "invalid_input"),
        ({"tool": TOOL, "input": [1]}, 422, "invalid_input"),
        ({"tool": TOOL, "price": 0, "input": {}}, 422, "invalid_input"),
        ({}, 422, "invalid_input"),
    ],
)
async def test_bad_requests_are_named_and_change_nothing(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    body: dict[str, Any],
    status: int,
    type_: str,
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await browser.post("/api/tasks", json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, type_)
    assert answer.json()["error"]["message"]
    assert await counts(resources) == (0, 0, 0, 0, 0)


async def test_a_body_that_is_no_json_is_refused(site: Site, make_user: MakeUser) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await browser.post(
            "/api/tasks", content=b"{oops", headers={"Content-Type": "application/json"}
        )
        assert 400 <= answer.status_code < 500
        assert answer.json()["error"]["type"] == "invalid_input"


async def test_too_few_credits_create_nothing(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user("bo@example.com", 4)) as browser:
        answer = await create(browser, await upload(browser, astronaut))
    assert answer.status_code == 402
    assert answer.json()["error"] == {
        "type": "insufficient_credits",
        "message": "Not enough credits. Please purchase more.",
    }
    assert await counts(resources) == (0, 0, 0, 0, 0)


async def test_another_price_than_the_one_shown_is_refused_with_the_new_one(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await create(browser, await upload(browser, astronaut), expectedCredits=3)
    assert answer.status_code == 409
    assert answer.json()["error"]["type"] == "price_changed"
    assert "5 credits" in answer.json()["error"]["message"]
    assert await counts(resources) == (0, 0, 0, 0, 0)


async def test_a_tool_switched_off_is_not_found(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with resources.db.transaction() as session:
        await session.execute(text("UPDATE tools SET is_active = false"))
    async with site.browser(await make_user()) as browser:
        assert (await create(browser, await upload(browser, astronaut))).status_code == 404


@pytest.mark.hazard("M2")
async def test_of_two_hundred_parallel_creates_exactly_the_paid_ones_succeed(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    paid = 7
    async with site.browser(await make_user(credits_=paid * PRICE_CREDITS + 4)) as browser:
        asset_id = await upload(browser, astronaut)
        answers = await asyncio.gather(*(create(browser, asset_id) for _ in range(200)))
        statuses = [answer.status_code for answer in answers]
        balance = (await browser.get("/api/credits")).json()
    assert statuses.count(201) == paid
    assert statuses.count(402) == 200 - paid
    assert (balance["available"], balance["reserved"]) == (4, paid * PRICE_CREDITS)
    assert (await counts(resources))[:3] == (paid, paid, paid)


@pytest.mark.hazard("M15")
async def test_fifty_clicks_with_one_key_are_one_task_and_one_charge(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        asset_id = await upload(browser, astronaut)
        answers = await asyncio.gather(
            *(create(browser, asset_id, key="click-1") for _ in range(50))
        )
        assert {answer.status_code for answer in answers} == {201}, answers[0].text
        assert len({answer.json()["taskId"] for answer in answers}) == 1
        assert (await browser.get("/api/credits")).json()["reserved"] == PRICE_CREDITS
        other = await create(browser, await upload(browser, astronaut), key="click-1")
        assert other.status_code == 409
        assert other.json()["error"]["type"] == "idempotency_conflict"
    assert (await counts(resources))[:3] == (1, 1, 1)


async def test_a_key_belongs_to_its_person(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    tasks = []
    for email in ("ada@example.com", "cy@example.com"):
        async with site.browser(await make_user(email)) as browser:
            answer = await create(browser, await upload(browser, astronaut), key="same")
            assert answer.status_code == 201
            tasks.append(answer.json()["taskId"])
    assert len(set(tasks)) == 2


@pytest.mark.parametrize("key", ["", "x" * 101, "a b"])
async def test_a_malformed_key_is_refused(
    site: Site, make_user: MakeUser, astronaut: bytes, key: str
) -> None:
    async with site.browser(await make_user()) as browser:
        body = {"tool": TOOL, "input": {"image": str(await upload(browser, astronaut))}}
        answer = await browser.post("/api/tasks", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 422


async def test_somebody_elses_task_is_not_found(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as ada:
        task_id = (await create(ada, await upload(ada, astronaut))).json()["taskId"]
    async with site.browser(await make_user("cy@example.com")) as cy:
        for path in (f"/api/tasks/{task_id}", f"/api/tasks/{task_id}/stream"):
            assert (await cy.get(path)).status_code == 404
        assert (await cy.get("/api/tasks")).json()["items"] == []
    async with site.browser() as nobody:
        assert (await nobody.get(f"/api/tasks/{task_id}")).status_code == 401


async def test_lists_are_paged_newest_first(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=100)) as browser:
        asset_id = await upload(browser, astronaut)
        made = [(await create(browser, asset_id)).json()["taskId"] for _ in range(5)]
        seen: list[str] = []
        cursor: dict[str, Any] = {}
        for _ in range(3):
            page = (await browser.get("/api/tasks", params={"limit": 2, **cursor})).json()
            seen += [row["id"] for row in page["items"]]
            cursor = {"cursor": page["nextCursor"]}
        assert seen == made[::-1]
        assert page["nextCursor"] is None
        for bad in ({"limit": 0}, {"limit": 101}, {"cursor": "!!"}, {"cursor": "WzFd"}):
            answer: httpx.Response = await browser.get("/api/tasks", params=bad)
            assert answer.status_code == 422, bad
