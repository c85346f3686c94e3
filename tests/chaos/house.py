"""Servers of a test's own, to take away and to bring back."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from funmagic.embedded import stack
from funmagic.embedded.datadir import DataDirectory
from funmagic.embedded.janitor import Janitor
from funmagic.embedded.server import Server, Site


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
    with tempfile.TemporaryDirectory(prefix="fm-house-", ignore_cleanup_errors=True) as folder:
        directory = DataDirectory(Path(folder))
        directory.take()
        janitor = Janitor()
        site = Site(
            data=directory.path,
            sockets=directory.make_sockets_directory(),
            janitor=janitor,
            lock=directory.servers_lock,
            throwaway=True,
        )
        servers = [kind(site) for kind in stack.SERVERS.values()]
        try:
            environment = stack.launch(servers)
            stack.settle(servers)
            yield House(servers, environment)
        finally:
            stack.stop(servers)
            janitor.close()
            directory.give_back()
