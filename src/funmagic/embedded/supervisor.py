"""``funmagic up``: every server and every process of ours, started, watched and stopped as one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from funmagic.embedded.datadir import DataDirectory
from funmagic.embedded.janitor import Janitor
from funmagic.embedded.postgres import Postgres
from funmagic.embedded.preparation import is_prepared, remember
from funmagic.embedded.process import StartFailed
from funmagic.embedded.programs import Program
from funmagic.embedded.server import Server, Site
from funmagic.embedded.simulators import Simulators
from funmagic.embedded.stack import SERVERS, launch, settle, stop
from funmagic.embedded.watch import GaveUp, Part, Watch

DEFAULT_PORT = 8000
#: The setting that says "I have my own", by the part it replaces.
REPLACED_BY = {
    "postgres": "DATABASE_URL",
    "valkey": "REDIS_URL",
    "seaweedfs": "S3_ENDPOINT_URL",
    "mail": "SMTP_URL",
}
#: A worker may finish what it is working on; its own limit is 20 s.
WORKER_PATIENCE_S = 22
_TICK_S = 0.2


class StopAsked(Exception):
    """Ctrl-C or a request to terminate arrived while starting."""


@dataclass(frozen=True)
class Order:
    """What the person at the terminal asked for."""

    data: Path
    host: str = "127.0.0.1"
    port: int | None = None  # None: 8000, or the next free one
    simulators: bool = False  # vendors are simulated, ours unless SIMULATORS_URL says where
    #: How to run our own commands. -P: the directory we stand in must not offer modules.
    command: tuple[str, ...] = (sys.executable, "-P", "-m", "funmagic.cli")


class Supervisor:
    """One run of ``funmagic up``, from the lock to the last process stopped."""

    def __init__(self, order: Order, greet: Callable[[str], None]) -> None:
        self._order = order
        self._greet = greet
        self._stop_asked = False
        self._servers: list[Server] = []
        self._programs: Sequence[Program] = ()

    def run(self) -> int:
        """Stay until asked to stop; returns the exit status."""
        directory = DataDirectory(self._order.data)
        try:
            directory.take()
            directory.dedicate("simulated" if self._is_simulated() else "real")
        except StartFailed as trouble:
            say(f"✗ {trouble}", error=True)
            return 1
        janitor = Janitor()
        with self._signals():
            try:
                site = Site(
                    data=directory.path,
                    sockets=directory.make_sockets_directory(),
                    janitor=janitor,
                    lock=directory.servers_lock,
                    check_stop=self._check_stop,
                )
                self._bring_up(site, directory)
                self._watch(janitor)
            except StopAsked:
                return 0
            except (StartFailed, GaveUp) as trouble:
                say(f"✗ {trouble}", error=True)
                return 1
            finally:
                self._take_down()
                janitor.close()
                directory.give_back()
        return 0

    def _bring_up(self, site: Site, directory: DataDirectory) -> None:
        port = choose_port(self._order.host, self._order.port)
        say(f"FunMagic is starting; its data is in {site.data}")
        wanted = [name for name, setting in REPLACED_BY.items() if not is_given(setting)]
        self._servers = [SERVERS[name](site) for name in SERVERS if name in wanted]
        if self._order.simulators and not is_given("SIMULATORS_URL"):
            self._servers.append(Simulators(site, self._order.command))
        environment = base_environment(directory, port) | launch(self._servers)
        directory.write_environment(environment)
        everything = {**os.environ, **environment}
        waiting = list(self._servers)
        if not self._is_prepared(site, everything):
            self._prepare(site, everything, waiting)
            waiting = []
        web, worker = self._programs = self._make_programs(site, everything, port)
        starting: list[Part] = [*waiting, web]
        with step(", ".join(part.title for part in starting)):
            web.start()
            settle(waiting)
            web.wait_ready(self._order.host, port)
        worker.start()  # last: it loads as much as the web process, which the visitor waits for
        address = everything["PUBLIC_URL"]
        directory.write_state(address=address)
        self._greet(address)
        say(f"\n  Logs are in {site.logs}. Ctrl-C stops everything.\n")

    def _prepare(self, site: Site, environment: dict[str, str], servers: list[Server]) -> None:
        """Models, migrations, seed, on servers just launched."""
        if servers:
            with step(", ".join(server.title for server in servers)):
                settle(servers)
        command = [*self._order.command, "prepare"]
        with step("Model weights, migrations, demo data"):
            Program(
                "prepare", command, site=site, environment=environment, stop_patience_s=5
            ).run_to_end()
        for cluster in self._clusters():
            remember(site.data, cluster, environment.get("SIMULATORS_URL", ""))

    def _is_prepared(self, site: Site, environment: Mapping[str, str]) -> bool:
        """Never for a database of somebody else's: we cannot know what was done to it."""
        models_dir = Path(environment["MODELS_DIR"])
        vendors = environment.get("SIMULATORS_URL", "")
        return any(is_prepared(site.data, place, models_dir, vendors) for place in self._clusters())

    def _is_simulated(self) -> bool:
        return self._order.simulators or is_given("SIMULATORS_URL")

    def _clusters(self) -> list[Path]:
        """Where our PostgreSQL keeps its data, if it is ours."""
        return [server.data for server in self._servers if isinstance(server, Postgres)]

    def _make_programs(
        self, site: Site, environment: dict[str, str], port: int
    ) -> tuple[Program, Program]:
        """The web process and the worker."""
        command = self._order.command
        web = [*command, "web", "--host", self._order.host, "--port", str(port)]
        return (
            Program("web", web, site=site, environment=environment, stop_patience_s=6),
            Program(
                "worker",
                [*command, "worker"],
                site=site,
                environment=environment,
                stop_patience_s=WORKER_PATIENCE_S,
            ),
        )

    def _watch(self, janitor: Janitor) -> None:
        watch = Watch(say=lambda text: say(f"! {text}"))
        for part in self._parts():
            watch.add(part)
        while not self._stop_asked:
            watch.tick()
            janitor.check()
            time.sleep(_TICK_S)

    def _take_down(self) -> None:
        if self._servers or self._programs:
            say("Stopping.")
        for program in self._programs:
            program.ask_to_stop()
        for program in self._programs:
            program.stop()
        stop(self._servers)

    def _parts(self) -> list[Part]:
        return [*self._servers, *self._programs]

    def _check_stop(self) -> None:
        if self._stop_asked:
            raise StopAsked

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """A first signal stops in order, a second one at once."""
        caught = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
            caught.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._on_signal) for number in caught}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stop_asked:
            for part in self._parts():
                if part.child is not None:
                    part.child.kill()
        self._stop_asked = True


def base_environment(directory: DataDirectory, port: int) -> dict[str, str]:
    """Development settings for whatever the environment leaves open."""
    defaults = {
        **directory.secrets(),
        "FUNMAGIC_ENV": "development",
        "PUBLIC_URL": f"http://localhost:{port}",
        "MODELS_DIR": str(directory.path / "models"),
        "LOG_FORMAT": "console",
    }
    return {name: value for name, value in defaults.items() if not is_given(name)}


def is_given(setting: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment answers this setting itself, directly or through a file."""
    return bool(environment.get(setting) or environment.get(f"{setting}_FILE"))


def choose_port(host: str, wanted: int | None) -> int:
    """The wanted port, or 8000 or the next free one. Raises StartFailed where it is taken."""
    if wanted is not None:
        if not is_free(host, wanted):
            raise StartFailed(
                f"Port {wanted} is taken by another program. Stop it, or choose another --port."
            )
        return wanted
    for port in range(DEFAULT_PORT, DEFAULT_PORT + 100):
        if is_free(host, port):
            if port != DEFAULT_PORT:
                say(f"Port {DEFAULT_PORT} is taken by another program; using {port}.")
            return port
    raise StartFailed(f"Ports {DEFAULT_PORT} to {DEFAULT_PORT + 99} are all taken: use --port.")


def is_free(host: str, port: int) -> bool:
    """Whether we can listen here and nobody answers browsers on the same port over IPv6."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    with contextlib.suppress(OSError), socket.create_connection(("::1", port), timeout=0.5):
        return False
    return True


@contextmanager
def step(title: str) -> Iterator[None]:
    """Say what is being done and, when it is done, how long it took."""
    began = time.monotonic()
    if sys.stdout.isatty():
        say(f"  … {title}", end="")
    try:
        yield
    except BaseException:
        say("" if sys.stdout.isatty() else f"  ✗ {title}")
        raise
    start_of_line = "\r" if sys.stdout.isatty() else ""
    say(f"{start_of_line}  ✓ {title}  {time.monotonic() - began:.1f} s")


def say(text: str, *, end: str = "\n", error: bool = False) -> None:
    """Tell the terminal; a closed terminal must not bring the servers down."""
    stream = sys.stderr if error else sys.stdout
    with contextlib.suppress(OSError, ValueError):
        stream.write(text + end)
        stream.flush()
