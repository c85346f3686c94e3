"""Ends what is left of a supervisor that was killed: its children and their children.

A process killed by SIGKILL cannot clean up, and the kernel's tie between parent and child
(:mod:`funmagic.embedded.tether`) reaches only one generation and exists only on Linux. So each
supervisor keeps one janitor, which reads process group ids from a pipe (``+123`` to watch, ``-123``
to forget) and, when the pipe closes because the supervisor is gone, ends every group it watches.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


class Janitor:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self, group: int) -> None:
        """End this process group when we are gone."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """The group has ended; its number may be given to a stranger from now on."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def check(self) -> None:
        """Replace a janitor that was itself killed."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
            self._tell("")

    def close(self) -> None:
        """Let the janitor go home; it finds nothing left to end."""
        for group in list(self._groups):
            self.forget(group)
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait(timeout=5)
            self._process = None

    def _tell(self, line: str) -> None:
        if self._process is None:
            if not self._groups:
                return
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(__file__))],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            line = "".join(f"+{group}\n" for group in sorted(self._groups))
        assert self._process.stdin is not None  # opened as a pipe above
        with contextlib.suppress(BrokenPipeError):  # check() replaces it and tells it everything
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


def watch_and_sweep(lines: Iterable[str]) -> None:
    """Follow the supervisor's orders until it is gone, then end what it left behind."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    watch_and_sweep(sys.stdin)
