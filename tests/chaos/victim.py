"""Worker processes that die at a named point. Started once, it forks them warm, on demand.

Reads one order a line from stdin and answers on stdout:

- ``{"start": {settings}, "kill": {"at": "module:Name.attribute", "when": "before", "nth": 1}}``
  forks a worker and answers ``{"pid": …}``; ``kill`` may be null;
- ``{"signal": pid, "number": 9}`` sends a signal to one of them;
- ``{"wait": pid}`` answers ``{"ended": pid, "status": …, "killed": true | false}`` once it has
  ended; ``killed`` says that it reached its point.

It ends, with all its workers, when stdin does.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import uvloop

from funmagic import hooks, worker
from funmagic.core import log as logs
from funmagic.core.settings import Settings
from funmagic.jobs import queue
from funmagic.providers import registry
from funmagic.toolkit import discovery

# A job that was taken and never claimed is found by the queue alone: here in seconds.
LOCK_MS = 2_000
STALLED_CHECK_MS = 500


def main() -> None:
    """Serve until stdin ends."""
    registry.adapters()  # imported once, here, for all
    importlib.import_module("funmagic.providers.adapters.openai.wire")  # as above: it comes late
    discovery.all_tools()
    workers: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="fm-victims-") as folder:
        try:
            for line in sys.stdin:
                _say(_obey(json.loads(line), workers, Path(folder)))
        finally:
            for pid in workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _obey(order: dict[str, Any], workers: set[int], folder: Path) -> dict[str, Any]:
    if "start" in order:
        pid = os.fork()
        if pid == 0:
            _work(order["start"], order["kill"], folder)
        workers.add(pid)
        return {"pid": pid}
    if "signal" in order:
        os.kill(order["signal"], order["number"])
        return {}
    pid, status = os.waitpid(order["wait"], 0)
    workers.discard(pid)
    mark = folder / str(pid)
    return {"ended": pid, "status": os.waitstatus_to_exitcode(status), "killed": mark.exists()}


def _work(values: dict[str, Any], kill: dict[str, Any] | None, folder: Path) -> NoReturn:
    """Be a worker process; never returns to the fork's other half."""
    status = 1
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        settings = Settings(**values)
        vars(queue).update(LOCK_MS=LOCK_MS, STALLED_CHECK_MS=STALLED_CHECK_MS)
        logs.configure(settings)
        hooks.wire(settings)
        if kill is not None:
            plant(kill["at"], kill["when"], kill["nth"], folder / str(os.getpid()))
        uvloop.run(worker.run(settings))
        status = 0
    finally:
        os._exit(status)


def plant(at: str, when: str, nth: int, mark: Path) -> None:
    """Make the ``nth`` passage of ``module:Name.attribute`` the end of this process."""
    module_name, _, path = at.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    original: Callable[..., Any] = getattr(owner, name)
    passages = 0

    def die() -> None:
        nonlocal passages
        passages += 1
        if passages == nth:
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    @functools.wraps(original)
    async def deadly_later(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        result = await original(*args, **kwargs)
        if when == "after":
            die()
        return result

    @functools.wraps(original)
    def deadly_now(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die()
        result = original(*args, **kwargs)
        if when == "after":
            die()
        return result

    setattr(owner, name, deadly_later if inspect.iscoroutinefunction(original) else deadly_now)


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
