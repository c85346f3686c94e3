"""How often a sign-in mail may be asked for, counted atomically in Valkey."""

from __future__ import annotations

import time

from limits import RateLimitItem, parse
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from redis.asyncio import Redis

from funmagic.core.errors import TooManyRequests
from funmagic.core.resources import REDIS_TIMEOUT_S
from funmagic.core.settings import Settings

PER_EMAIL = parse("5 per 15 minutes")
PER_ADDRESS = parse("30 per 15 minutes")


class SignInLimits:
    """Counts by e-mail address (protects a mailbox) and by client address (protects the server)."""

    def __init__(self, settings: Settings) -> None:
        url = settings.redis_url.get_secret_value()
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=REDIS_TIMEOUT_S, socket_connect_timeout=REDIS_TIMEOUT_S
        )
        self._limiter = MovingWindowRateLimiter(
            RedisStorage(
                limits_url(url),
                implementation="redispy",
                connection_pool=self._redis.connection_pool,  # type: ignore[arg-type]  # undocumented type
            )
        )

    async def close(self) -> None:
        await self._redis.aclose()

    async def count(self, *, email: str, client: str) -> None:
        """Count one request. Raises :class:`TooManyRequests` with the seconds to wait."""
        await self._hit(PER_ADDRESS, "sign-in-address", client)
        await self._hit(PER_EMAIL, "sign-in-email", email)

    async def _hit(self, limit: RateLimitItem, *key: str) -> None:
        if not await self._limiter.hit(limit, *key):
            window = await self._limiter.get_window_stats(limit, *key)
            raise TooManyRequests(retry_after_s=max(1, int(window.reset_time - time.time()) + 1))


def limits_url(redis_url: str) -> str:
    """Our Redis address in the notation of the ``limits`` package."""
    scheme, rest = redis_url.split("://", 1)
    return f"async+redis+unix://{rest}" if scheme == "unix" else f"async+{scheme}://{rest}"
