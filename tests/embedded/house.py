"""A supervisor in a process of its own, to be stopped, killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

RUN_SUPERVISOR = """
import sys
from pathlib import Path
from funmagic.embedded.supervisor import Order, Supervisor
data, standin, port, simulators = sys.argv[1:]
command = (sys.executable, standin)
order = Order(Path(data), "127.0.0.1", int(port) or None, simulators == "True", command)
sys.exit(Supervisor(order, greet=lambda address: print("READY", address, flush=True)).run())
"""
STANDIN = Path(__file__).with_name("standin.py")
#: Settings that make the slow or irrelevant parts somebody else's.
ELSEWHERE = {
    "DATABASE_URL": "postgresql://elsewhere/db",
    "REDIS_URL": "redis://elsewhere",
    "S3_ENDPOINT_URL": "http://elsewhere",
    "SMTP_URL": "smtp://elsewhere",
}


@dataclass
class House:
    """One ``funmagic up`` on one data directory, with stand-ins for web and worker."""

    data: Path
    process: subprocess.Popen[str] = field(init=False)
    said: list[str] = field(default_factory=list)

    def start(
        self, *, elsewhere: tuple[str, ...] = (), port: int = 0, simulators: bool = False
    ) -> House:
        """Run it without waiting; the parts named by their settings are not ours to run."""
        environment = {key: value for key, value in os.environ.items() if key not in ELSEWHERE}
        environment |= {name: ELSEWHERE[name] for name in elsewhere}
        environment["PYTHONIOENCODING"] = "utf-8"
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", RUN_SUPERVISOR),
                *(str(self.data), str(STANDIN), str(port), str(simulators)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        return self

    def ready(self) -> House:
        """Wait until it has greeted."""
        self.wait_until_said("READY ")
        return self

    def wait_until_said(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if words in line:
                return
        raise AssertionError(f"it ended without saying {words!r}:\n{''.join(self.said)}")

    def outcome(self) -> tuple[int, str]:
        """Wait for its end: status and everything it said."""
        assert self.process.stdout is not None
        self.said += self.process.stdout.readlines()
        return self.process.wait(timeout=30), "".join(self.said)

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(number)
        return self.outcome()

    def environment(self) -> dict[str, str]:
        known: dict[str, str] = json.loads((self.data / "environment.json").read_text())
        return known

    def family(self) -> dict[int, str]:
        """Every process below the supervisor: id and command line."""
        return descendants(self.process.pid)

    def has(self, words: str) -> bool:
        return any(words in command for command in self.family().values())

    def member(self, words: str) -> int:
        """The process below the supervisor whose command line holds these words."""
        return next(pid for pid, command in self.family().items() if words in command)


def descendants(ancestor: int) -> dict[int, str]:
    """Process ids and command lines of everything below ``ancestor``."""
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,command="], capture_output=True, text=True
    )
    found: dict[int, str] = {}
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()]
    above = {ancestor}
    while above:
        below = {int(row[0]): row[2] for row in rows if int(row[1]) in above}
        found |= below
        above = set(below)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


def eventually(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
