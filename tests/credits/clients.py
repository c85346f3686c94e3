"""Processes that act on the ledger, to be killed at any moment, and what they say before that.

A client reads programs from its pipe and reports every call as soon as it is committed. What it did
not report, nobody knows of: whoever takes over makes all its calls again.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import asyncpg as _dialect  # noqa: F401 (before the fork)
from sqlalchemy.ext.asyncio import AsyncSession
from tests.credits.acting import REFUSED, perform, refusal
from tests.credits.model import Refusal, Verb

from funmagic.core.db import Database
from funmagic.credits.service import Movement

SPARE: Final = 2
#: Where a client may be told to kill itself; the others are killed from outside, at any time.
Death = Literal["before", "acting", "committing", "unreported"]

ENTRY_NO = text("SELECT entry_no FROM credit_accounts WHERE user_id = :user_id")
# A hold and its task are one act, as are their ends; what was charged is the task's price.
ADD_TASK = text("""
    INSERT INTO tasks (id, user_id, tool_id, status, price_credits, input, config, request_hash,
                       deadline_at)
    SELECT :id, :user_id, tools.id, 'queued', :price_credits, '{}', '{}', sha256(''),
           now() + interval '1 day'
      FROM tools LIMIT 1
    ON CONFLICT (id) DO NOTHING
""")
END_TASK = text("""
    UPDATE tasks SET status = :status, price_credits = coalesce(:price_credits, price_credits)
     WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class Call:
    """Verbs of one user in one transaction, all of them or none, open for ``pause_s`` longer."""

    number: int
    verbs: tuple[Verb, ...]
    pause_s: float = 0.0
    death: Death | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a call: each verb's movement (None: resolved before), or why it was refused.

    The account had ``entry_no_before`` entries or more when the call was made, and
    ``entry_no_after`` or fewer when it was refused or came too late.
    """

    number: int
    answers: tuple[Movement | None, ...] | Refusal
    entry_no_before: int
    entry_no_after: int | None = None


Program = list[Call]
DONE: Final = "done"


@dataclass(slots=True)
class Client:
    """A process of ours and the pipe to it. ``ready``: it has said that it is connected."""

    process: BaseProcess
    pipe: Connection
    ready: bool = False

    def end(self) -> None:
        """Kill it, where that has not been done, and wait for its end."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Crew:
    """Clients that are ready; new ones are started while others still work."""

    def __init__(self, database_url: str) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])  # importing takes seconds, forking none
        self._database_url = database_url
        self._idle: list[Client] = []

    def take(self) -> Client:
        """A client that is connected to the database."""
        while len(self._idle) <= SPARE:
            self._idle.append(self._start())
        client = self._idle.pop(0)
        if not client.ready:
            assert client.pipe.recv() == DONE
            client.ready = True
        return client

    def give_back(self, client: Client) -> None:
        self._idle.insert(0, client)

    def dismiss(self) -> None:
        for client in self._idle:
            client.pipe.close()
            client.process.join()
        self._idle.clear()

    def _start(self) -> Client:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._database_url))
        process.start()
        theirs.close()
        return Client(process, ours)


def _serve(pipe: Connection, database_url: str) -> None:
    """The life of a client: programs come in, reports go out, until the pipe is closed."""
    with asyncio.Runner() as runner:
        database = Database(database_url, pool_size=1)
        runner.run(database.ping())
        pipe.send(DONE)
        while (program := _received(pipe)) is not None:
            try:
                for call in program:
                    pipe.send(runner.run(_make(database, call)))
                pipe.send(DONE)
            except Exception:
                pipe.send(traceback.format_exc())
        runner.run(database.close())


def _received(pipe: Connection) -> Program | None:
    try:
        program: Program = pipe.recv()
    except (EOFError, ConnectionResetError):
        return None
    return program


async def _make(database: Database, call: Call) -> Report:
    if call.death == "before":
        _die()
    before = 0
    user = call.verbs[0].user
    try:
        async with database.transaction() as s:
            before = await _entry_no(s, user)
            answers = tuple([await _act(s, verb) for verb in call.verbs])
            after = await _entry_no(s, user) if None in answers else None
            await asyncio.sleep(call.pause_s)  # as a task's other work would take
            if call.death == "acting":
                _die()
            if call.death == "committing":
                committing = asyncio.create_task(s.commit())
                await asyncio.wait({committing}, timeout=0)
                _die()
    except REFUSED as error:
        why = refusal(error)
    else:
        if call.death == "unreported":
            _die()
        return Report(call.number, answers, before, after)
    async with database.transaction() as s:
        return Report(call.number, why, before, await _entry_no(s, user))


async def _act(s: AsyncSession, verb: Verb) -> Movement | None:
    """One verb together with what it means for the task."""
    if verb.kind == "hold":
        await s.execute(
            ADD_TASK, {"id": UUID(verb.key), "user_id": verb.user, "price_credits": verb.amount}
        )
    movement = await perform(s, verb)
    if verb.kind in ("capture", "release") and movement is not None:
        status = "completed" if verb.kind == "capture" else "failed"
        price = -movement.amount if verb.kind == "capture" else None
        await s.execute(END_TASK, {"id": UUID(verb.key), "status": status, "price_credits": price})
    return movement


async def _entry_no(s: AsyncSession, user: UUID) -> int:
    return (await s.execute(ENTRY_NO, {"user_id": user})).scalar() or 0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
