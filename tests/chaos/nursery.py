"""The test's end of :mod:`tests.chaos.victim`: orders worker processes and hears of their end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import plain

from funmagic.core.settings import Settings

ROOT = Path(__file__).parent.parent.parent
PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the code: the ``nth`` time it is come by there, the process is killed."""

    name: str
    at: str
    when: str = "before"
    nth: int = 1


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended: its exit status, below 0 for a signal, and whether at its point."""

    status: int
    killed: bool


class Nursery:
    """Forks warm worker processes: a cold start of Python would be most of a test's time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def start(self, settings: Settings, kill: Point | None = None) -> int:
        """A worker process with these settings; its process id."""
        point = kill and {"at": kill.at, "when": kill.when, "nth": kill.nth}
        answer = await self._order({"start": plain(settings), "kill": point})
        return int(answer["pid"])

    async def send_signal(self, pid: int, number: signal.Signals) -> None:
        await self._order({"signal": pid, "number": int(number)})

    async def wait(self, pid: int) -> Ended:
        """Wait for the end of a worker, and no other order meanwhile."""
        answer = await self._order({"wait": pid})
        return Ended(answer["status"], answer["killed"])

    @asynccontextmanager
    async def worker(self, settings: Settings) -> AsyncIterator[int]:
        """A worker process for the length of the block; killed afterwards."""
        pid = await self.start(settings)
        try:
            yield pid
        finally:
            await self.send_signal(pid, signal.SIGKILL)
            await self.wait(pid)

    async def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        async with self._turn:
            return await asyncio.wait_for(asyncio.to_thread(self._ask, order), PATIENCE_S)

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    @classmethod
    def open(cls) -> Nursery:
        """Start the process that forks; call :meth:`close` in the end."""
        path = os.pathsep.join(filter(None, [str(ROOT), *sys.path]))
        return cls(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.chaos.victim"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path},
            )
        )

    def close(self) -> None:
        """End it, and with it every worker still alive."""
        self._process.communicate(timeout=PATIENCE_S)
