"""How often something may be done: counted atomically in Valkey, in memory while that is away.

A counter expires with its window, set in the same script that counts (package ``limits``, moving
windows), so nobody can be locked out for ever.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final, TypeVar
from urllib.parse import quote

from limits import RateLimitItem
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from funmagic.core.errors import TooManyRequests
from funmagic.core.log import logger

log = logger(__name__)

PATIENCE_S: Final = 2.0  # how long a request waits for Valkey to count it
AWAY_S: Final = 5.0  # for how long a Valkey that did not answer is left alone
IPV6_PREFIX: Final = 64  # what one subscriber is given at least (RFC 6177)

T = TypeVar("T")


class Limiter:
    """Counts what may be done so and so often, for all processes together.

    While Valkey is away each process counts for itself, so at worst as many times the limit passes
    as there are processes, and one window more when it is back.
    """

    def __init__(self, redis: Redis) -> None:
        # The address only tells the package which client to use: connections come from our pool.
        self._shared = MovingWindowRateLimiter(
            RedisStorage(
                "async+redis://",
                implementation="redispy",
                connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # undocumented
            )
        )
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._away_until = 0.0

    async def hit(self, item: RateLimitItem, *key: str) -> None:
        """Count one under ``key``. Raises :class:`TooManyRequests`, and counts nothing, where the
        window is full."""
        if not await self._ask(lambda limiter: limiter.hit(item, *_parts(key))):
            raise await self._refusal(item, *key)

    async def check(self, item: RateLimitItem, *key: str) -> None:
        """Count nothing. Raises :class:`TooManyRequests` where :meth:`hit` would."""
        if not await self._ask(lambda limiter: limiter.test(item, *_parts(key))):
            raise await self._refusal(item, *key)

    async def clear(self, item: RateLimitItem, *key: str) -> None:
        """Forget what was counted under ``key``."""
        await self._ask(lambda limiter: limiter.clear(item, *_parts(key)))

    async def _refusal(self, item: RateLimitItem, *key: str) -> TooManyRequests:
        window = await self._ask(lambda limiter: limiter.get_window_stats(item, *_parts(key)))
        wait_s = math.ceil(window.reset_time - time.time())
        return TooManyRequests(retry_after_s=min(max(1, wait_s), item.get_expiry()))

    async def _ask(self, act: Callable[[RateLimiter], Awaitable[T]]) -> T:
        if time.monotonic() >= self._away_until:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await act(self._shared)
            except (RedisError, OSError, TimeoutError) as error:
                self._away_until = time.monotonic() + AWAY_S
                log.warning("limits are counted in memory", error=repr(error))
        return await act(self._own)


def client_network(host: str) -> str:
    """Whom to count a client address as: an IPv4 address as itself, an IPv6 address by its /64,
    since a subscriber may use any address of that.

    >>> client_network("2001:db8::1:2")
    '2001:db8::/64'
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host[:100]  # a socket has no address
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)


def _parts(key: tuple[str, ...]) -> list[str]:
    """Parts that the package joins by slashes, without one of their own."""
    return [quote(part, safe="@:+") for part in key]
