"""What one process holds open: database, Valkey, storage, mailer, vault."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from funmagic.core.cache import Edition
from funmagic.core.crypto import Vault
from funmagic.core.db import Database
from funmagic.core.mail import Mailer
from funmagic.core.settings import Settings
from funmagic.core.storage import Storage, open_storage

REDIS_TIMEOUT_S = 5.0
REDIS_RETRIES = 2


@dataclass(frozen=True, slots=True)
class Resources:
    """Opened once at start, handed to whoever needs it."""

    settings: Settings
    db: Database
    redis: Redis
    storage: Storage
    mailer: Mailer
    vault: Vault
    edition: Edition


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything, close it in reverse. Connections are made lazily, at first use."""
    async with AsyncExitStack() as stack:
        redis = open_redis(settings)
        stack.push_async_callback(redis.aclose)
        edition = Edition(redis)
        stack.push_async_callback(edition.settle)
        db = Database(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            info={Edition: edition},
        )
        stack.push_async_callback(db.close)
        storage = await stack.enter_async_context(open_storage(settings))
        yield Resources(
            settings=settings,
            db=db,
            redis=redis,
            storage=storage,
            mailer=Mailer(settings.smtp_url.get_secret_value(), settings.mail_from),
            vault=Vault(settings.secret_keys.get_secret_value()),
            edition=edition,
        )


def open_redis(settings: Settings) -> Redis:
    """A client for short commands: bounded waits, two quick retries on a lost connection."""
    client: Redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        health_check_interval=30,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), REDIS_RETRIES),
        retry_on_error=[RedisConnectionError],
    )
    return client
