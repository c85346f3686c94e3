"""One child process: started tied to us, stopped with everything it started itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from funmagic.embedded.janitor import Janitor

#: How a child is seen by the system; see :mod:`funmagic.embedded.tether`.
Identity = Literal["self", "namespace", "nobody"]

_TETHER = Path(__file__).with_name("tether.py")
_LOG_LIMIT_BYTES = 20_000_000


class StartFailed(Exception):
    """A child did not come up. The message is for the person at the terminal."""


def tethered(
    command: Sequence[str | Path],
    *,
    identity: Identity = "self",
    death_signal: signal.Signals = signal.SIGKILL,
) -> list[str]:
    """The command line that runs ``command`` tied to this process."""
    interpreter = [sys.executable, "-I", "-S", str(_TETHER)]
    orders = [str(os.getpid()), identity, str(int(death_signal))]
    return interpreter + orders + [str(part) for part in command]


class Child:
    """A running child process, leader of its own process group, writing to a log file.

    ``lock`` is a descriptor the child inherits: as long as it or one of its own children lives, the
    data directory stays locked, so a successor cannot start on data that is still being written.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        janitor: Janitor,
        environment: Mapping[str, str] | None = None,
        identity: Identity = "self",
        death_signal: signal.Signals = signal.SIGKILL,
        directory: Path | None = None,
        lock: int | None = None,
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            # The kernel's tie follows the thread: with a worker thread's end the child would die.
            raise RuntimeError("children must be started from the main thread")
        self.name = name
        self.log = log
        self.started_at = time.monotonic()
        self._janitor = janitor
        self._log_start = _open_log(log)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                tethered(command, identity=identity, death_signal=death_signal),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(os.environ if environment is None else environment),
                cwd=directory,
                process_group=0,  # Ctrl-C at the terminal reaches only us: we stop them in order
                pass_fds=() if lock is None else (lock,),
            )
        self._janitor.watch(self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_status(self) -> int | None:
        """None while it runs. Once it has ended, its own children are ended too."""
        status = self._process.poll()
        if status is not None:
            self._sweep()
        return status

    def ask_to_stop(self, request: signal.Signals) -> None:
        """Send the request and return at once; :meth:`stop` then waits for the end."""
        if self._process.poll() is None:
            self._process.send_signal(request)

    def kill(self) -> None:
        """End it and what it started, now."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def stop(self, first: signal.Signals, patience_s: float) -> None:
        """Ask with ``first``, wait that long, then end the whole group."""
        if self._process.poll() is None:
            self._process.send_signal(first)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=patience_s)
        self._sweep()
        self._process.wait(timeout=10)

    def log_tail(self, lines: int = 15) -> str:
        """The last lines this child wrote."""
        with self.log.open("rb") as written:
            written.seek(max(self._log_start, self.log.stat().st_size - 20_000))
            text = written.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _sweep(self) -> None:
        self.kill()
        self._janitor.forget(self.pid)


def _open_log(log: Path) -> int:
    """Where this child's lines will begin; an overgrown log is begun anew."""
    log.parent.mkdir(parents=True, exist_ok=True)
    size = log.stat().st_size if log.exists() else 0
    if size > _LOG_LIMIT_BYTES:
        log.replace(log.with_suffix(".log.old"))
        size = 0
    return size
