"""All embedded servers at once, for the length of a ``with`` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from funmagic.embedded.datadir import DataDirectory
from funmagic.embedded.janitor import Janitor
from funmagic.embedded.mail import Mail
from funmagic.embedded.postgres import Postgres
from funmagic.embedded.seaweedfs import SeaweedFS
from funmagic.embedded.server import Server, Site
from funmagic.embedded.valkey import Valkey

#: By name, slowest first: they start side by side.
SERVERS: dict[str, type[Server]] = {
    server.name: server for server in (SeaweedFS, Postgres, Valkey, Mail)
}
ALL_PARTS = frozenset(SERVERS)


@contextmanager
def running(
    data_dir: Path, parts: set[str] | frozenset[str] = ALL_PARTS, *, throwaway: bool = False
) -> Iterator[dict[str, str]]:
    """Run the named servers and yield the settings that reach them; stop them on leaving.

    ``parts`` are of ``postgres``, ``valkey``, ``seaweedfs``, ``mail``. ``throwaway`` trades
    durability for speed (tests). Call it from the main thread. Raises StartFailed.
    """
    directory = DataDirectory(data_dir)
    directory.take()
    janitor = Janitor()
    site = Site(
        data=directory.path,
        sockets=directory.make_sockets_directory(),
        janitor=janitor,
        lock=directory.servers_lock,
        throwaway=throwaway,
    )
    servers = [SERVERS[name](site) for name in SERVERS if name in parts]
    try:
        yield start(servers)
    finally:
        stop(servers)
        janitor.close()
        directory.give_back()


def start(servers: list[Server]) -> dict[str, str]:
    """Start servers side by side; returns their settings. Raises StartFailed."""
    for server in servers:
        server.prepare()
        server.start()
    environment: dict[str, str] = {}
    for server in reversed(servers):
        server.wait_ready()
        server.provide()
        environment |= server.environment()
    return environment


def stop(servers: list[Server]) -> None:
    """Stop servers in the reverse of their starting order."""
    for server in reversed(servers):
        server.stop()
