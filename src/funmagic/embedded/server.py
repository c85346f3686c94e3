"""What the embedded servers have in common: prepare, spawn, be ready, provide, stop."""

from __future__ import annotations

import contextlib
import http
import http.client
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from funmagic.embedded.janitor import Janitor
from funmagic.embedded.process import Child, StartFailed


@dataclass(frozen=True)
class Site:
    """Where a stack keeps its things and what its servers share."""

    data: Path
    #: Short-lived directory for sockets; short because a socket's path is limited to 103 bytes.
    sockets: Path
    janitor: Janitor
    #: Descriptor of the data directory's lock, inherited by servers that write there.
    lock: int | None = None
    #: No fsync: for tests, whose data is thrown away.
    throwaway: bool = False
    #: Called while waiting; raises where the person at the terminal wants to stop.
    check_stop: Callable[[], None] = lambda: None

    @property
    def logs(self) -> Path:
        return self.data / "logs"


class Server(ABC):
    """One embedded server. The order is: prepare, start, wait_ready, provide; then stop.

    A server that died is started again by ``start`` alone.
    """

    name: str
    title: str
    stop_signal = signal.SIGTERM
    stop_patience_s = 10.0
    start_patience_s = 60.0

    def __init__(self, site: Site) -> None:
        self.site = site
        self.child: Child | None = None

    @property
    def data(self) -> Path:
        return self.site.data / self.name

    def prepare(self) -> None:
        """Make the data directory fit to start on, and clear what a killed server left.

        Once in a supervisor's life, with the directory's lock held: no such server runs any more.
        """
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)

    @abstractmethod
    def spawn(self) -> Child:
        """Start the process; must be called from the main thread."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers; takes at most about a second."""

    def provide(self) -> None:
        """Make what the application expects to find: a database, buckets. Repeatable."""

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The settings by which the application reaches this server."""

    def start(self) -> None:
        self.child = self.spawn()

    def wait_ready(self) -> None:
        """Raises StartFailed with the end of the log when it ends or stays silent."""
        assert self.child is not None  # start() comes first
        deadline = time.monotonic() + self.start_patience_s
        while not self.is_ready():
            status = self.child.exit_status()
            if status is not None:
                raise StartFailed(
                    f"{self.title} ended at once (status {status}).\n{self.child.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"{self.title} did not answer within {self.start_patience_s:.0f} s.\n"
                    f"{self.child.log_tail()}"
                )
            self.site.check_stop()
            time.sleep(0.03)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop(self.stop_signal, self.stop_patience_s)
            self.child = None


def free_ports(count: int, preferred: Sequence[int] = ()) -> list[int]:
    """Distinct loopback ports nobody listens on, the preferred ones where they are still free."""
    with contextlib.ExitStack() as held:
        ports = []
        for index in range(count):
            wanted = preferred[index] if index < len(preferred) else 0
            listener = held.enter_context(socket.socket())
            # As the servers do: a port whose last connections are still closing counts as free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", wanted))
            except OSError:
                listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
        return ports


def answers(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small, predictable environment: a server must not be steered by ours (PGDATA, TZ, …)."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **(extra or {})}


def is_healthy(host: str, port: int) -> bool:
    """Whether what serves HTTP there says that it is alive."""
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
