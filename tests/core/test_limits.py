"""Counting: exact under any number of hits at once, never for ever, and also without Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from limits import parse
from pydantic import SecretStr
from redis.asyncio import Redis

from funmagic.core import limits
from funmagic.core.errors import TooManyRequests
from funmagic.core.limits import Limiter, client_network
from funmagic.core.resources import Resources, open_redis

SEVEN = parse("7 per minute")
ONE = parse("1 per 1 second")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Valkey that is merely slow, like the machine, is not away."""
    monkeypatch.setattr(limits, "PATIENCE_S", 30.0)


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A server that takes connections and never says a word."""
    gone = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gone.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    gone.set()
    server.close()
    await server.wait_closed()


@pytest.fixture
async def nobody(resources: Resources) -> AsyncIterator[Redis]:
    """Connections to a Valkey that is not there."""
    async for redis in _connections(resources, 1):
        yield redis


@pytest.fixture
async def silence(resources: Resources, silent_port: int) -> AsyncIterator[Redis]:
    """Connections to a Valkey that hangs."""
    async for redis in _connections(resources, silent_port):
        yield redis


async def _connections(resources: Resources, port: int) -> AsyncIterator[Redis]:
    address = SecretStr(f"redis://127.0.0.1:{port}/0")
    redis = open_redis(resources.settings.model_copy(update={"redis_url": address}))
    yield redis
    await redis.aclose()


async def passed(limiters: list[Limiter], hits: int, *key: str) -> int:
    """How many of so many simultaneous hits pass."""

    async def hit(number: int) -> bool:
        try:
            await limiters[number % len(limiters)].hit(SEVEN, *key)
        except TooManyRequests:
            return False
        return True

    return sum(await asyncio.gather(*map(hit, range(hits))))


async def expiries(redis: Redis) -> list[int]:
    """Seconds that each counter has left; -1 for one that stays for ever."""
    return [await redis.ttl(key) for key in await redis.keys("LIMITS*")]


@pytest.mark.hazard("U4")
async def test_of_fifty_hits_at_once_in_two_processes_exactly_the_limit_passes(
    resources: Resources,
) -> None:
    other = open_redis(resources.settings)
    limiters = [Limiter(resources.redis), Limiter(other)]
    assert await passed(limiters, 50, "ada") == 7
    assert await passed(limiters, 50, "bo") == 7
    assert await passed(limiters, 5, "ada") == 0
    await other.aclose()


@pytest.mark.hazard("U4")
async def test_every_counter_ends_with_its_window(resources: Resources) -> None:
    limiter = Limiter(resources.redis)
    await limiter.check(SEVEN, "ada")
    for hits in (1, 20):
        await passed([limiter], hits, "ada")
        left_s = await expiries(resources.redis)
        assert left_s
        assert all(0 < seconds <= 60 for seconds in left_s)
    await limiter.clear(SEVEN, "ada")
    assert await expiries(resources.redis) == []
    assert await passed([limiter], 20, "ada") == 7


@pytest.mark.hazard("U4")
@pytest.mark.parametrize("away", [False, True], ids=["in Valkey", "in memory"])
async def test_whoever_waits_as_told_may_go_on(
    resources: Resources, nobody: Redis, away: bool
) -> None:
    limiter = Limiter(nobody if away else resources.redis)
    await limiter.hit(ONE, "ada")
    with pytest.raises(TooManyRequests) as refused:
        await limiter.check(ONE, "ada")
    assert refused.value.retry_after_s == 1
    async with asyncio.timeout(10):
        while True:
            try:
                await limiter.hit(ONE, "ada")
            except TooManyRequests:
                await asyncio.sleep(0.05)
            else:
                break


async def test_a_refused_hit_says_how_long_to_wait_and_is_not_counted(
    resources: Resources,
) -> None:
    limiter = Limiter(resources.redis)
    await passed([limiter], 7, "ada")
    for _ in range(3):
        with pytest.raises(TooManyRequests) as refused:
            await limiter.hit(SEVEN, "ada")
        assert refused.value.retry_after_s is not None
        assert 30 < refused.value.retry_after_s <= 60
    [key] = await resources.redis.keys("LIMITS*")
    assert await resources.redis.llen(key) == 7


async def test_parts_of_a_key_do_not_run_into_each_other(resources: Resources) -> None:
    limiter = Limiter(resources.redis)
    assert await passed([limiter], 9, "a/b", "c") == 7
    assert await passed([limiter], 9, "a", "b/c") == 7


async def test_without_valkey_exactly_the_limit_passes_too(nobody: Redis) -> None:
    assert await passed([Limiter(nobody)], 50, "ada") == 7


async def test_a_valkey_that_hangs_is_asked_once_and_then_left_alone(
    silence: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PATIENCE_S", 0.2)
    monkeypatch.setattr(limits, "AWAY_S", 60.0)
    limiter = Limiter(silence)
    asked = 0
    ask = limiter._shared.hit

    async def counted(*arguments: object) -> bool:
        nonlocal asked
        asked += 1
        return await ask(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(limiter._shared, "hit", counted)
    for _ in range(7):
        await limiter.hit(SEVEN, "ada")
    with pytest.raises(TooManyRequests):
        await limiter.hit(SEVEN, "ada")
    assert asked == 1


async def test_a_valkey_that_is_back_counts_again(
    resources: Resources, nobody: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AWAY_S", 0.0)
    limiter = Limiter(nobody)
    await limiter.hit(SEVEN, "ada")
    limiter._shared = Limiter(resources.redis)._shared
    assert await passed([limiter], 20, "ada") == 7
    assert len(await expiries(resources.redis)) == 1


@pytest.mark.parametrize(
    ("host", "counted_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a socket", "a socket"),
        ("x" * 1000, "x" * 100),
    ],
)
def test_whom_an_address_is_counted_as(host: str, counted_as: str) -> None:
    assert client_network(host) == counted_as
