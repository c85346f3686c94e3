"""A small pool of child processes for work that would block the event loop or might crash.

A child reads one JSON object a line from its input and writes JSON objects to its output:
``{"progress": 0..99}`` and ``{"show": path}`` (of an unfinished picture) as often as it likes, then
one answer. An answer with ``"retire": true`` says that the child is used up. Children start when
first needed and get none of our environment's secrets. Each call has a child to itself, so killing
one harms no other call.

The pool belongs to no event loop: one thread waits for each child.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# What a child may know of our environment: never addresses, keys or passwords.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "COVERAGE_PROCESS_START",
)


class ProcessDied(Exception):
    """The child ended, or spoke nonsense, before it answered."""


class TookTooLong(Exception):
    """The child was stopped because its time was up."""


class ProcessPool:
    """At most ``size`` children running ``command``; further calls wait their turn."""

    def __init__(self, command: Sequence[str], *, size: int) -> None:
        self._command = tuple(command)
        self._size = size
        self._lock = threading.Lock()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._threads: ThreadPoolExecutor | None = None

    async def run(
        self,
        job: Mapping[str, Any],
        *,
        timeout_s: float,
        report: Callable[[int], Awaitable[None]],
        show: Callable[[Path], Awaitable[None]] | None = None,
    ) -> dict[str, Any]:
        """Have a child do ``job``; the time limit includes waiting for a free child.

        ``show`` is told of each unfinished picture the child has written. Raises
        :class:`TookTooLong` and :class:`ProcessDied`. Whatever ends the call early (time,
        cancellation, an error in ``report`` or ``show``) kills its child.
        """
        if timeout_s <= 0:
            raise TookTooLong
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        ticket = _Ticket()

        def hear(message: dict[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and so is the listener
                loop.call_soon_threadsafe(heard.put_nowait, message)

        waiting = self._executor().submit(self._do, dict(job), hear, ticket)
        answer = asyncio.wrap_future(waiting, loop=loop)

        def end(done: asyncio.Future[dict[str, Any]]) -> None:
            if not done.cancelled():
                done.exception()  # seen, even where nobody waits any more
            heard.put_nowait(None)

        answer.add_done_callback(end)
        try:
            async with asyncio.timeout(timeout_s) as limit:
                while (message := await heard.get()) is not None:
                    if "progress" in message:
                        await report(int(message["progress"]))
                    elif show is not None:
                        await show(Path(message["show"]))
                return await answer
        except TimeoutError:
            if limit.expired():
                raise TookTooLong from None
            raise
        finally:
            ticket.stop()
            waiting.cancel()

    async def close(self) -> None:
        """Kill every child and wait for the threads. A later call starts afresh."""
        threads = self.end()
        if threads is not None:
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)

    def end(self) -> ThreadPoolExecutor | None:
        """Kill every child without waiting; returns the threads that still have to hear of it."""
        with self._lock:
            threads, self._threads = self._threads, None
            idle, self._idle = self._idle, []
            for child in self._busy:
                child.end()
        for child in idle:
            child.kill()
        return threads

    @property
    def pids(self) -> tuple[int, ...]:
        """The living children's process ids."""
        with self._lock:
            children = [*self._idle, *self._busy]
        return tuple(child.pid for child in children if child.is_alive())

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._size, thread_name_prefix="child")
            return self._threads

    def _do(
        self, job: dict[str, Any], hear: Callable[[dict[str, Any]], None], ticket: _Ticket
    ) -> dict[str, Any]:
        """In a thread: take a child, ask it, give it back if it is still good."""
        if ticket.stopped:
            raise ProcessDied("stopped before it began")
        child = self._take()
        try:
            ticket.give(child)
            answer = child.ask(job, hear)
        except BaseException:
            child.kill()
            raise
        finally:
            ticket.take_back()
            with self._lock:
                self._busy.discard(child)
        if answer.pop("retire", False):
            child.kill()
        else:
            with self._lock:
                self._idle.append(child)
        return answer

    def _take(self) -> _Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.is_alive():
                    self._busy.add(child)
                    return child
                child.kill()
            child = _Child(self._command)
            self._busy.add(child)
            return child


class _Child:
    """One process and its two pipes."""

    def __init__(self, command: Sequence[str]) -> None:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        self._ending = threading.Lock()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: Mapping[str, Any], hear: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Send one job and read up to its answer. Raises :class:`ProcessDied`."""
        if self._process.stdin is None or self._process.stdout is None:
            raise ProcessDied("it has no pipes")
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                message: dict[str, Any] = json.loads(line)
                if message.keys().isdisjoint(("progress", "show")):
                    return message
                hear(message)
        except (OSError, ValueError) as error:
            raise ProcessDied(f"the child process broke off: {error}") from None
        raise ProcessDied(f"the child process ended: {self._process.wait()}")

    def end(self) -> None:
        """Send the signal only: whoever waits for an answer then hears that the child has died."""
        self._process.kill()

    def kill(self) -> None:
        """End it, reap it and close its pipes. Safe to repeat; not while another thread asks it."""
        self._process.kill()
        self._process.wait()
        with self._ending:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError, ValueError):
                        pipe.close()


class _Ticket:
    """Lets the caller stop its own call, whether it still waits or already has a child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self.stopped = False

    def give(self, child: _Child) -> None:
        with self._lock:
            if self.stopped:
                raise ProcessDied("stopped before it began")
            self._child = child

    def take_back(self) -> None:
        with self._lock:
            self._child = None

    def stop(self) -> None:
        with self._lock:
            self.stopped = True
            if self._child is not None:
                self._child.end()
