"""Liveness and readiness: whether the process runs, and whether it can do its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from funmagic.core.http import CamelModel
from funmagic.core.log import logger
from funmagic.core.resources import Resources

log = logger(__name__)

CHECK_TIMEOUT_S = 3.0


class ReadyView(CamelModel):
    """``checks`` maps each dependency to ``ok`` or ``down``."""

    ready: bool
    checks: dict[str, str]


@get("/healthz", opt={"no_log": True, "scope": None})
async def healthz() -> dict[str, str]:
    """The process answers. Says nothing about its dependencies, so a restart is never provoked by
    an outage elsewhere."""
    return {"status": "ok"}


@get("/readyz", opt={"no_log": True, "scope": None})
async def readyz(resources: NamedDependency[Resources]) -> Response[ReadyView]:
    """200 where PostgreSQL, Valkey and the storage answer within three seconds, else 503 naming
    what does not."""
    checks = dict(
        await asyncio.gather(
            _check("database", resources.db.ping()),
            _check("redis", _ping_redis(resources)),
            _check("storage", resources.storage.ping()),
        )
    )
    ready = all(state == "ok" for state in checks.values())
    return Response(ReadyView(ready=ready, checks=checks), status_code=200 if ready else 503)


async def _check(name: str, probe: Awaitable[Any]) -> tuple[str, str]:
    try:
        await asyncio.wait_for(probe, CHECK_TIMEOUT_S)
    except Exception as error:  # any failure at all means the dependency is not usable
        log.warning("dependency down", dependency=name, error=str(error))
        return name, "down"
    return name, "ok"


async def _ping_redis(resources: NamedDependency[Resources]) -> None:
    await resources.redis.execute_command("PING")  # type: ignore[no-untyped-call]
