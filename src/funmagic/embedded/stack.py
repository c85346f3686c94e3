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
    with started(data_dir, parts, throwaway=throwaway) as (_, environment):
        yield environment


@contextmanager
def started(
    data_dir: Path, parts: set[str] | frozenset[str] = ALL_PARTS, *, throwaway: bool = False
) -> Iterator[tuple[list[Server], dict[str, str]]]:
    """As :func:`running`, with the servers themselves, to stop one and start it again."""
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
        environment = launch(servers)
        settle(servers)
        yield servers, environment
    finally:
        stop(servers)
        janitor.close()
        directory.give_back()


def launch(servers: list[Server]) -> dict[str, str]:
    """Start servers side by side without waiting; returns their settings. Raises StartFailed."""
    environment: dict[str, str] = {}
    for server in servers:
        server.prepare()
        server.start()
        environment |= server.environment()
    return environment


def settle(servers: list[Server]) -> None:
    """Wait until launched servers are fit for use, quickest first. Raises StartFailed."""
    for server in reversed(servers):
        server.wait_ready()
        server.provide()


def stop(servers: list[Server]) -> None:
    """Stop servers in the reverse of their starting order."""
    for server in reversed(servers):
        server.stop()
