"""Our own processes as children of the supervisor: web, worker, and the one that prepares."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping

from funmagic.embedded.process import Child, StartFailed
from funmagic.embedded.server import Site, is_healthy
from funmagic.embedded.watch import describe

_READY_PATIENCE_S = 60.0


class Program:
    """One ``funmagic …`` command."""

    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        command: list[str],
        *,
        site: Site,
        environment: Mapping[str, str],
        stop_patience_s: float,
    ) -> None:
        self.title = name.capitalize()
        self.child: Child | None = None
        self._name = name
        self._command = command
        self._site = site
        self._environment = environment
        self._stop_patience_s = stop_patience_s

    def start(self) -> None:
        self.child = Child(
            self._name,
            self._command,
            log=self._site.logs / f"{self._name}.log",
            janitor=self._site.janitor,
            environment={**self._environment, "PYTHONUNBUFFERED": "1"},
        )

    def run_to_end(self) -> None:
        """Start it and wait until it has ended well. Raises StartFailed with its last lines."""
        self.start()
        assert self.child is not None  # just started
        try:
            while (status := self.child.exit_status()) is None:
                self._site.check_stop()
                time.sleep(0.03)
            if status != 0:
                raise StartFailed(
                    f"{self.title} failed ({describe(status)}).\n{self.child.log_tail(25)}"
                )
        finally:
            self.stop()

    def wait_ready(self, host: str, port: int) -> None:
        """Wait until it answers web requests. Raises StartFailed with its last lines."""
        assert self.child is not None  # start() comes first
        deadline = time.monotonic() + _READY_PATIENCE_S
        while not is_healthy(host, port):
            status = self.child.exit_status()
            if status is not None or time.monotonic() > deadline:
                what = "did not answer in time" if status is None else f"ended ({describe(status)})"
                raise StartFailed(f"{self.title} {what}.\n{self.child.log_tail(25)}")
            self._site.check_stop()
            time.sleep(0.05)

    def ask_to_stop(self) -> None:
        if self.child is not None:
            self.child.ask_to_stop(self.stop_signal)

    def stop(self) -> None:
        if self.child is not None:
            self.child.stop(self.stop_signal, self._stop_patience_s)
            self.child = None
