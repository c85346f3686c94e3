"""Servers of a test's own, to take away and to bring back."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from funmagic.embedded import stack
from funmagic.embedded.server import Server


class House:
    """Running servers by name, and the environment that reaches them."""

    def __init__(self, servers: list[Server], environment: dict[str, str]) -> None:
        self._servers = {server.name: server for server in servers}
        self.environment = environment

    @asynccontextmanager
    async def without(self, name: str) -> AsyncIterator[None]:
        """One server stopped for the length of the block. Valkey comes back empty."""
        server = self._servers[name]
        server.stop()
        try:
            yield
        finally:
            server.start()
            server.wait_ready()


@contextmanager
def house() -> Iterator[House]:
    """All servers, for the length of the block. Call it from the main thread."""
    with (
        tempfile.TemporaryDirectory(prefix="fm-house-", ignore_cleanup_errors=True) as folder,
        stack.started(Path(folder), throwaway=True) as (servers, environment),
    ):
        yield House(servers, environment)
