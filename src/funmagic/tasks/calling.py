"""One step's conversation with a vendor: ask once, write everything down, wait for the answer.

What is about to be done is committed before it is done, so a worker that dies leaves a trail from
which another can go on:

- no call on record, or one that certainly made nothing: make one;
- an *intent* without a handle: the vendor may or may not have been asked. The call is abandoned,
  and made anew where asking twice costs nothing (``Adapter.repeatable``) or, once, where the step
  accepts the risk (``Step.asks_once_more``); else the step fails;
- a handle: ask for that job, whoever submitted it, until the deadline and one last time then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

from funmagic.core.clock import now
from funmagic.core.http import OUTAGES
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.jobs.schedule import pause
from funmagic.providers import calls
from funmagic.providers.contract import (
    Adapter,
    Answer,
    Call,
    Finished,
    Pending,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.providers.models import ProviderCall
from funmagic.tasks import claims
from funmagic.tasks.claims import Claim
from funmagic.tasks.messages import BY_TROUBLE
from funmagic.tasks.settlement import Failure
from funmagic.tasks.steps import TaskStepContext
from funmagic.toolkit.contract import InvalidInput, Step

log = logger(__name__)

SHORTEST_POLL_S: Final = 0.2
LONGEST_POLL_S: Final = 10.0
# Between questions that got no answer, where the vendor does not say; doubled up to the longest.
RETRY_S: Final = 0.5
LONGEST_RETRY_S: Final = 15.0
MOST_SUBMITS: Final = 5  # of one step, by one worker, where each certainly made no job
LAST_POLL_S: Final = 30.0  # the question at the deadline, with the download of what is ready then
CANCEL_S: Final = 5.0
# A worker that is told to stop amid a submit waits this long to learn the handle.
HANDLE_S: Final = 3.0
# A handle that cannot be written is tried again, this often at most.
NOTE_PAUSE_S: Final = 1.0
MOST_NOTES: Final = 60

DIED_BETWEEN: Final = "the worker died between the call and its answer"
NO_ANSWER: Final = "no answer by the deadline"


@dataclass(frozen=True, slots=True)
class Work:
    """One step of a claimed task with everything its calls need."""

    held: Claim
    step: Step
    adapter: Adapter
    context: TaskStepContext
    call: Call  # the next one to be made: each has an id and a directory of its own

    def with_call(self, call_id: UUID) -> Work:
        """The same work with the call of this id."""
        work_dir = self.context.work_dir / f"call-{call_id}"
        work_dir.mkdir(exist_ok=True)
        return replace(self, call=replace(self.call, id=call_id, work_dir=work_dir))


@dataclass
class Stopped(Exception):
    """The step ended without a result worth charging."""

    failure: Failure
    call_id: UUID | None = None
    trouble: Trouble = Trouble.BROKEN
    vendor_message: str = ""
    cost_usd_micros: int = 0
    answered: Result | None = None  # the vendor did its part and may have been paid for it
    is_still_running: bool = False  # at the vendor, for all we know


class HandedOver(Exception):
    """This worker is stopping; the vendor's job goes on and another worker will ask for it."""


class Caller:
    """Makes the calls of one worker's steps. ``stopping`` is set when the worker is to end."""

    def __init__(self, resources: Resources, stopping: asyncio.Event) -> None:
        self._resources = resources
        self._stopping = stopping
        self._notes: set[asyncio.Task[None]] = set()

    async def ask(self, work: Work, last: ProviderCall | None) -> tuple[UUID, Result]:
        """The result and the id of the call it is from; ``last`` is the step's newest call.

        Raises :class:`Stopped` where there is none to be had, :class:`HandedOver`, and
        :class:`claims.LeaseLost`.
        """
        if last is not None and last.state == "intent":
            last = await self._give_up_on(work, last)
        if last is not None and last.state == "submitted":
            work = work.with_call(last.id)
            return last.id, await self._wait(work, last.handle or {})
        if not left_s(work.held):
            raise _too_late(work)
        try:
            request = await work.step.prepare(work.context)
        except InvalidInput as invalid:
            raise Stopped(Failure("invalid_input", invalid.reason)) from invalid
        for turn in count(1):
            work = work.with_call(new_id())
            try:
                answer = await self._submit(work, request)
            except ProviderError as error:
                await self._before_another(work, error, turn)
                continue
            if isinstance(answer, Finished):
                return work.call.id, answer.result
            return work.call.id, await self._wait(work, answer.handle, answer)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Wait a little for handles that could not be written yet."""
        if self._notes:
            await asyncio.wait(self._notes, timeout=HANDLE_S)

    async def _give_up_on(self, work: Work, last: ProviderCall) -> ProviderCall | None:
        """Decide what a call without an answer means; the call itself where its answer came."""
        held = work.held
        async with self._resources.db.transaction() as session:
            await claims.lock(session, held)
            before = await calls.abandoned_of(session, held.id, work.step.id)
            if not await calls.abandon(
                session, last.id, Trouble.BROKEN, DIED_BETWEEN, unless_submitted=True
            ):
                return await calls.last_of(session, held.id, work.step.id)
        if not (work.adapter.repeatable or (work.step.asks_once_more and not before)):
            raise Stopped(Failure(*BY_TROUBLE[Trouble.BROKEN]))
        log.warning("call of unknown fate made once more", call_id=str(last.id))
        return None

    async def _intend(self, work: Work) -> None:
        """Commit that a job is about to be made. Raises :class:`claims.LeaseLost`."""
        held = work.held
        async with self._resources.db.transaction() as session:
            await claims.lock(session, held)
            await calls.intend(
                session,
                call_id=work.call.id,
                task_id=held.id,
                step_id=work.step.id,
                provider_key=work.adapter.key,
                model=work.call.model,
                fence=held.fence,
                request={
                    "capability": work.step.capability,
                    "input": held.input,
                    "options": work.call.options.model_dump(mode="json"),
                },
            )

    async def _submit(self, work: Work, request: Request) -> Answer:
        """Submit once and commit the handle; neither is left half done by a stopping worker."""
        has_begun = False

        async def begin() -> None:
            nonlocal has_begun
            await self._intend(work)
            has_begun = True

        call = replace(work.call, begin=begin)
        submitting = asyncio.ensure_future(self._submit_and_note(work, request, call))
        try:
            async with asyncio.timeout(left_s(work.held)):
                answer = await asyncio.shield(submitting)
        except TimeoutError as error:
            await _end(submitting)
            if not has_begun:
                await self._intend(work)  # for the operator, with the reason
            raise _too_late(work, is_still_running=has_begun) from error
        except ProviderError as error:
            if not has_begun:
                await self._intend(work)  # as above
            elif _may_have_made_a_job(work, error):
                raise _stopped(work, error, is_still_running=True) from error
            raise
        except asyncio.CancelledError:
            if has_begun:
                await asyncio.wait({submitting}, timeout=HANDLE_S)
            await _end(submitting)
            raise
        if not has_begun:
            raise RuntimeError(f"{work.adapter.key} made a job without saying so before")
        return answer

    async def _submit_and_note(self, work: Work, request: Request, call: Call) -> Answer:
        answer = await work.adapter.submit(request, call)
        if isinstance(answer, Pending):
            noting = asyncio.create_task(self._note(call.id, answer.handle))
            self._notes.add(noting)
            noting.add_done_callback(self._notes.discard)
            await asyncio.shield(noting)
        return answer

    async def _note(self, call_id: UUID, handle: Mapping[str, Any]) -> None:
        """Commit a handle, also after an outage: a job is lost with it.

        Without the fence: whoever has the task by now, the vendor's job belongs on record.
        """
        for turn in count(1):
            try:
                async with self._resources.db.transaction() as session:
                    await calls.submitted(session, call_id, handle)
                return
            except OUTAGES as error:
                log.warning("handle not written yet", call_id=str(call_id), error=repr(error))
                if turn == MOST_NOTES:
                    log.error("handle lost", call_id=str(call_id), handle=dict(handle))
                    raise
            await asyncio.sleep(NOTE_PAUSE_S)

    async def _before_another(self, work: Work, error: ProviderError, turn: int) -> None:
        """Book a failed submit and wait, where another may be made in time; else stop."""
        pause_s = _pause_s(error, turn)
        if not error.may_repeat or turn >= MOST_SUBMITS or pause_s >= left_s(work.held):
            raise _stopped(work, error) from error
        _log(work, "provider not ready, submit put off", error)
        async with self._resources.db.transaction() as session:
            await claims.lock(session, work.held)
            await calls.failed(session, work.call.id, error.trouble, error.vendor_message)
        await self._pause(pause_s)

    async def _wait(
        self, work: Work, handle: Mapping[str, Any], first: Pending | None = None
    ) -> Result:
        """Ask for a job until it has ended, or the deadline has passed."""
        try:
            async with asyncio.timeout(left_s(work.held)):
                return await self._poll(work, handle, first)
        except TimeoutError:
            return await self._ask_last(work, handle)
        except ProviderError as error:
            raise _job_failed(work, error) from error

    async def _poll(self, work: Work, handle: Mapping[str, Any], answer: Answer | None) -> Result:
        unanswered = 0
        while not isinstance(answer, Finished):
            if answer is not None:
                if answer.progress is not None:
                    await work.call.report(answer.progress)
                await self._pause(min(max(answer.poll_after_s, SHORTEST_POLL_S), LONGEST_POLL_S))
            try:
                answer = await work.adapter.poll(handle, work.call)
                unanswered = 0
            except ProviderError as error:
                if not error.may_repeat:
                    raise
                unanswered += 1
                answer = None
                _log(work, "provider did not answer a question, asked again", error)
                await self._pause(_pause_s(error, unanswered))
        return answer.result

    async def _ask_last(self, work: Work, handle: Mapping[str, Any]) -> Result:
        """The deadline has passed: take what is ready, else ask the vendor to stop."""
        call = replace(work.call, deadline_at=now() + timedelta(seconds=LAST_POLL_S))
        try:
            async with asyncio.timeout(LAST_POLL_S):
                answer = await work.adapter.poll(handle, call)
            if isinstance(answer, Finished):
                return answer.result
        except TimeoutError:
            pass
        except ProviderError as error:
            if not error.may_repeat:
                raise _job_failed(work, error) from error
        with suppress(TimeoutError, ProviderError):
            async with asyncio.timeout(CANCEL_S):
                await work.adapter.cancel(handle, call)
        raise _too_late(work)

    async def _pause(self, seconds: float) -> None:
        await pause(self._stopping, seconds)
        if self._stopping.is_set():
            raise HandedOver


def left_s(held: Claim) -> float:
    """Seconds until the task's deadline; 0 where it has passed."""
    return max((held.deadline_at - now()).total_seconds(), 0.0)


def _pause_s(error: ProviderError, turn: int) -> float:
    if error.retry_after_s is not None:
        return max(error.retry_after_s, SHORTEST_POLL_S)
    return min(RETRY_S * 2.0 ** (turn - 1), LONGEST_RETRY_S)


def _too_late(work: Work, *, is_still_running: bool = True) -> Stopped:
    return Stopped(
        Failure(*BY_TROUBLE[Trouble.TIMEOUT]),
        work.call.id,
        Trouble.TIMEOUT,
        NO_ANSWER,
        is_still_running=is_still_running,
    )


def _may_have_made_a_job(work: Work, error: ProviderError) -> bool:
    """Whether a failed submit may have left a job at the vendor all the same."""
    return (
        not error.may_repeat
        and error.trouble in {Trouble.BROKEN, Trouble.TIMEOUT, Trouble.BUSY}
        and not work.adapter.repeatable
    )


def _job_failed(work: Work, error: ProviderError) -> Stopped:
    """A job's own end; but a key that is no longer accepted says nothing about the job."""
    return _stopped(work, error, is_still_running=error.trouble == Trouble.UNAUTHORISED)


def _stopped(work: Work, error: ProviderError, *, is_still_running: bool = False) -> Stopped:
    _log(work, "provider failed", error)
    return Stopped(
        Failure(*BY_TROUBLE[error.trouble]),
        work.call.id,
        error.trouble,
        error.vendor_message,
        error.cost_usd_micros,
        is_still_running=is_still_running,
    )


def _log(work: Work, event: str, error: ProviderError) -> None:
    log.warning(
        event,
        task_id=str(work.held.id),
        provider=work.adapter.key,
        trouble=error.trouble,
        vendor_message=error.vendor_message,
    )


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel and wait; what it ends with no longer matters."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
