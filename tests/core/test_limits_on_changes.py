"""Every change is counted before it is read: by person, else by client address; reading is free."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from pydantic import SecretStr, ValidationError
from tests.conftest import MakeUser, Site, plain

from funmagic.accounts import keys
from funmagic.app import with_layers
from funmagic.core import limits
from funmagic.core.limits import Limiter
from funmagic.core.middleware import SAFE_METHODS
from funmagic.core.resources import Resources, open_redis
from funmagic.core.settings import Settings

ANYTHING = 6  # changes that pass where limits are a twentieth of their size
TASKS = 2
SIGN_OUT = "/api/auth/logout"
Clients = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Limits that a test can reach, and a Valkey that is never away for being slow."""
    monkeypatch.setattr(limits, "PATIENCE_S", 30.0)
    return settings.model_copy(update={"write_limit_factor": 0.05})


@pytest.fixture
def client_at(site: Site, application: Litestar, settings: Settings) -> Clients:
    """Clients of the same application that come from an address of one's choice."""

    @asynccontextmanager
    async def client(address: str, *, trusted: str = "") -> AsyncIterator[httpx.AsyncClient]:
        app = with_layers(application, settings.model_copy(update={"trusted_proxies": trusted}))
        transport = httpx.ASGITransport(app, client=(address, 5000))
        headers = {"Sec-Fetch-Site": "same-origin"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as browser:
            yield browser

    return client


async def statuses(browser: httpx.AsyncClient, changes: int, **options: Any) -> list[int]:
    """What so many simultaneous changes are answered."""
    asked = (browser.post(SIGN_OUT, **options) for _ in range(changes))
    return [answer.status_code for answer in await asyncio.gather(*asked)]


def passed(answered: list[int]) -> int:
    return len(answered) - answered.count(429)


@pytest.mark.hazard("U4")
async def test_of_fifty_changes_at_once_exactly_the_limit_passes(
    site: Site, resources: Resources
) -> None:
    async with site.browser() as browser:
        answered = await statuses(browser, 50)
    assert sorted(set(answered)) == [204, 429]
    assert passed(answered) == ANYTHING
    for key in await resources.redis.keys("LIMITS*"):
        assert 0 < await resources.redis.ttl(key) <= 60


async def test_no_route_that_changes_something_is_without_a_limit(
    site: Site, application: Litestar, settings: Settings, resources: Resources
) -> None:
    with_layers(application, settings.model_copy(update={"write_limit_factor": 0.01}))
    unlimited = []
    async with site.browser() as browser:
        for method, path in changes_of(application):
            await resources.redis.flushall()
            for expected_to_pass in (True, False):
                answer = await browser.request(method, path)
                if (answer.status_code == 429) == expected_to_pass:
                    unlimited.append((method, path, answer.status_code))
    assert unlimited == []


def changes_of(application: Litestar) -> list[tuple[str, str]]:
    """Every method and path that changes something, with an id that nothing has."""

    def stand_in(part: re.Match[str]) -> str:
        if part["type"] == "uuid":
            return "00000000-0000-0000-0000-000000000000"
        return "en" if part["name"] == "locale" else "x"

    found = [
        (method, re.sub(r"{(?P<name>\w+)(:(?P<type>\w+))?}", stand_in, route.path))
        for route in application.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - SAFE_METHODS
    ]
    assert len(found) > 10
    return sorted(found)


async def test_a_person_has_one_limit_in_all_browsers_and_by_key(
    site: Site, resources: Resources, make_user: MakeUser
) -> None:
    ada, bo = await make_user(), await make_user("bo@example.com")
    async with resources.db.transaction() as session:
        made = await keys.create(
            session, ada.id, name="Script", scopes=["tasks:write"], lifetime=None
        )
    body = {"tool": "background-remove"}
    async with site.browser(ada) as first, site.browser(ada) as second, site.browser() as program:
        program.headers["Authorization"] = f"Bearer {made.secret}"
        asked = [await browser.post("/api/tasks", json=body) for browser in (first, second)]
        assert [answer.status_code for answer in asked] == [422, 422]
        for browser in (first, second, program):
            answer = await browser.post("/api/tasks", json=body)
            assert answer.status_code == 429
        assert (await first.post("/api/upload", json={})).status_code == 422, "counted apart"
    async with site.browser(bo) as other:
        assert (await other.post("/api/tasks", json=body)).status_code == 422


async def test_who_is_refused_is_told_how_long_to_wait(site: Site) -> None:
    async with site.browser() as browser:
        await statuses(browser, ANYTHING)
        program = await browser.post(SIGN_OUT)
        person = await browser.post("/en/sign-in", data={"email": "ada@example.com"})
    for answer in (program, person):
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
    error = program.json()["error"]
    assert error["type"] == "rate_limited"
    assert error["message"] == "Too many requests. Please wait."
    assert error["retryAfter"] == int(program.headers["retry-after"])
    assert person.headers["content-type"].startswith("text/html")
    assert "Too many requests. Please wait." in person.text


async def test_a_change_is_refused_before_its_body_is_read(site: Site) -> None:
    async with site.browser() as browser:
        await statuses(browser, ANYTHING)
    host, port = urlsplit(site.url).hostname, urlsplit(site.url).port
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"POST /api/auth/magic-link HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
        b"Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n"
    )
    async with asyncio.timeout(20):
        assert (await reader.readline()).split()[1] == b"429"
    writer.close()
    await writer.wait_closed()


async def test_reading_is_free_and_a_change_costs_one_question_to_valkey(
    site: Site, resources: Resources, make_user: MakeUser
) -> None:
    async def questions() -> int:
        asked = await resources.redis.info("commandstats")
        return int(asked.get("cmdstat_evalsha", {}).get("calls", 0))

    async with site.browser(await make_user()) as browser:
        assert (await browser.post("/api/upload", json={})).status_code == 422, "scripts are there"
        before = await questions()
        for path in ("/en/", "/api/credits", "/api/tasks", "/api/tools"):
            assert (await browser.get(path)).status_code == 200
        assert await questions() == before
        assert (await browser.post("/api/upload", json={})).status_code == 422
        assert await questions() == before + 1


async def test_changes_are_counted_and_possible_without_valkey(
    site: Site, application: Litestar, settings: Settings, make_user: MakeUser
) -> None:
    nobody = SecretStr("redis://127.0.0.1:1/0")
    redis = open_redis(settings.model_copy(update={"redis_url": nobody}))
    application.state["limiter"] = Limiter(redis)
    async with site.browser() as stranger, site.browser(await make_user()) as ada:
        assert passed(await statuses(stranger, 50)) == ANYTHING
        answer = await ada.post("/api/tasks", json={"tool": "no-such-tool"})
        assert answer.status_code == 404
    await redis.aclose()


@pytest.mark.hazard("U3")
async def test_what_a_client_says_it_forwards_picks_no_limit(client_at: Clients) -> None:
    for trusted in ("", "10.0.0.1"):
        answered = []
        async with client_at("203.0.113.5", trusted=trusted) as client:
            for number in range(ANYTHING + 1):
                forged = {
                    "X-Forwarded-For": f"198.51.100.{number}",
                    "X-Real-IP": f"198.51.100.{number}",
                    "Forwarded": f"for=198.51.100.{number}",
                }
                answered += await statuses(client, 1, headers=forged)
        assert answered[-1] == 429


@pytest.mark.hazard("U3")
async def test_behind_a_trusted_proxy_clients_are_told_apart_by_what_it_adds(
    client_at: Clients,
) -> None:
    async with client_at("10.0.0.1", trusted="10.0.0.0/24") as proxy:
        by_one = {"X-Forwarded-For": "198.51.100.1"}
        assert passed(await statuses(proxy, 20, headers=by_one)) == ANYTHING
        answered = []
        for number in range(ANYTHING + 1):  # the client wrote the first, the proxy the last
            forged = {"X-Forwarded-For": f"192.0.2.{number}, 198.51.100.2"}
            answered += await statuses(proxy, 1, headers=forged)
        assert answered[-1] == 429
        chained = {"X-Forwarded-For": "198.51.100.3, 10.0.0.7"}
        assert passed(await statuses(proxy, 20, headers=chained)) == ANYTHING


@pytest.mark.hazard("U3")
@pytest.mark.parametrize("trusted", ["*", "10.0.0.1, *", "proxy.example", "10.0.0.1/8"])
def test_nobody_can_be_trusted_whose_address_is_not_known(settings: Settings, trusted: str) -> None:
    with pytest.raises(ValidationError, match="must be addresses or networks"):
        Settings(**plain(settings) | {"trusted_proxies": trusted})  # type: ignore[arg-type]


@pytest.mark.hazard("U3")
async def test_whoever_owns_a_network_of_ipv6_addresses_has_one_limit(client_at: Clients) -> None:
    answered = []
    for number in range(ANYTHING + 1):
        async with client_at(f"2001:db8:1:2::{number}") as client:
            answered += await statuses(client, 1)
    assert answered[-1] == 429
    async with client_at("2001:db8:1:3::1") as neighbour:
        assert await statuses(neighbour, 1) == [204]
    async with client_at("10.0.0.1", trusted="10.0.0.1") as proxy:
        forwarded = {"X-Forwarded-For": "2001:db8:1:2:ffff::1"}
        assert await statuses(proxy, 1, headers=forwarded) == [429]
