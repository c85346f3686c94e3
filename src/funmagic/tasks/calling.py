"""One step's conversation with its vendors: ask once, write everything down, wait for the answer.

What is about to be done is committed before it is done, so a worker that dies leaves a trail from
which another can go on:

- no call on record, or one that certainly made nothing: make one;
- an *intent* without a handle: the vendor may or may not have been asked. The call is abandoned,
  and made anew where asking twice costs nothing (``Adapter.repeatable``) or, once, where the step
  accepts the risk (``Step.asks_once_more``); else the step fails;
- a handle: ask for that job, whoever submitted it, until the deadline and one last time then.

Where a provider cannot do it, the next one is asked: once the call before has ended, or is on
record as abandoned. Where the owner cancels, no further call is made, the vendor is asked to stop,
and what its job comes to counts.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

from funmagic.core.clock import now
from funmagic.core.http import OUTAGES
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.providers import calls, registry
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
from funmagic.tasks import claims, settlement
from funmagic.tasks.messages import BY_TROUBLE
from funmagic.tasks.settlement import Failure
from funmagic.tasks.work import (
    Assignment,
    HandedOver,
    Stopped,
    Work,
    cancelled,
    job_failed,
    left_s,
    may_have_made_a_job,
    note,
    stopped,
    too_late,
)
from funmagic.toolkit.contract import InvalidInput

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


class Caller:
    """Makes the calls of one worker's steps. ``stopping`` is set when the worker is to end."""

    def __init__(self, resources: Resources, stopping: asyncio.Event) -> None:
        self._resources = resources
        self._stopping = stopping
        self._notes: set[asyncio.Task[None]] = set()

    async def ask(self, task: Assignment, last: ProviderCall | None) -> tuple[UUID, Result]:
        """The result and the id of the call it is from; ``last`` is the step's newest call.

        Raises :class:`Stopped` where there is none to be had, :class:`HandedOver`, and
        :class:`claims.LeaseLost`.
        """
        place = task.place_of(last)
        while True:
            try:
                return await self._ask_one(task, place, last)
            except Stopped as stop:
                if task.cancelling.is_set():
                    raise cancelled(stop) from stop
                if not stop.may_pass_on or place + 1 == len(task.choices) or not left_s(task.held):
                    raise
                await self._pass_on(task, stop)
            place, last = place + 1, None

    async def _pass_on(self, task: Assignment, stop: Stopped) -> None:
        """Book the end of one provider's call before the next one is asked."""
        log.warning("next provider asked", task_id=str(task.held.id), trouble=stop.trouble)
        if stop.call_id is not None:
            async with self._resources.db.transaction() as session:
                await claims.lock(session, task.held)
                await settlement.end_call(session, **stop.booking())

    async def _ask_one(
        self, task: Assignment, place: int, last: ProviderCall | None
    ) -> tuple[UUID, Result]:
        """Go on with what is on record, or ask this provider anew."""
        if last is not None and last.state == "intent":
            last = await self._give_up_on(task, last, registry.adapters().get(last.provider_key))
        if last is None or last.state != "submitted":
            return await self._ask_anew(task, place)
        try:
            work = await task.with_provider(self._resources, place, for_new_work=False)
        except Stopped as stop:
            raise replace(stop, call_id=last.id, is_still_running=True) from stop
        work = work.with_call(last.id)
        return last.id, await self._wait(work, last.handle or {})

    async def _ask_anew(self, task: Assignment, place: int) -> tuple[UUID, Result]:
        _unless_cancelled(task.cancelling)
        work = await task.with_provider(self._resources, place)
        if not left_s(work.held):
            raise too_late(work)
        try:
            request = await work.step.prepare(work.context)
        except InvalidInput as invalid:
            raise Stopped(Failure("invalid_input", invalid.reason)) from invalid
        for turn in count(1):
            _unless_cancelled(task.cancelling)
            work = work.with_call(new_id())
            try:
                answer = await self._submit(work, request)
            except ProviderError as error:
                patience_s = math.inf if place + 1 == len(task.choices) else LONGEST_RETRY_S
                await self._before_another(work, error, turn, patience_s)
                continue
            if isinstance(answer, Finished):
                return work.call.id, answer.result
            return work.call.id, await self._wait(work, answer.handle, answer)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Wait a little for handles that could not be written yet."""
        if self._notes:
            await asyncio.wait(self._notes, timeout=HANDLE_S)

    async def _give_up_on(
        self, task: Assignment, last: ProviderCall, adapter: Adapter | None
    ) -> ProviderCall | None:
        """Decide what a call without an answer means; the call itself where its answer came.

        Where no other may be made, the call is abandoned together with the end of the task.
        """
        held, step = task.held, task.step
        async with self._resources.db.transaction() as session:
            await claims.lock(session, held)
            before = await calls.abandoned_of(session, held.id, step.id, last.provider_key)
            is_repeatable = adapter is not None and adapter.repeatable
            may_repeat = is_repeatable or (step.asks_once_more and not before)
            newest = await calls.last_of(session, held.id, step.id)
            if newest is not None and newest.state == "submitted":
                return newest
            if not may_repeat or task.cancelling.is_set():
                failure = Failure(*BY_TROUBLE[Trouble.BROKEN])
                raise Stopped(failure, last.id, vendor_message=DIED_BETWEEN, is_still_running=True)
            if not await calls.abandon(
                session,
                last.id,
                Trouble.BROKEN,
                DIED_BETWEEN,
                unless_submitted=True,
                asked_again=True,
            ):
                return await calls.last_of(session, held.id, step.id)
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
                await _first_of(submitting, work.cancelling)
                if has_begun and not submitting.done():
                    # Cancelled: what is nearly there is better known.
                    await asyncio.wait({submitting}, timeout=HANDLE_S)
            if not submitting.done():
                await _end(submitting)
                raise replace(
                    cancelled(), call_id=call.id if has_begun else None, is_still_running=True
                )
            answer = submitting.result()
        except TimeoutError as error:
            await _end(submitting)
            if not has_begun:
                await self._intend(work)  # for the operator, with the reason
            raise too_late(work, is_still_running=has_begun) from error
        except ProviderError as error:
            if not has_begun:
                await self._intend(work)  # as above
            elif may_have_made_a_job(work, error):
                raise stopped(work, error, is_still_running=True) from error
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

    async def _before_another(
        self, work: Work, error: ProviderError, turn: int, patience_s: float
    ) -> None:
        """Book a failed submit and wait, where another may be made in time; else stop."""
        pause_s = _pause_s(error, turn)
        is_too_long = pause_s > patience_s or pause_s >= left_s(work.held)
        if not error.may_repeat or turn >= MOST_SUBMITS or is_too_long:
            raise stopped(work, error) from error
        note(work, "provider not ready, submit put off", error)
        async with self._resources.db.transaction() as session:
            await claims.lock(session, work.held)
            await calls.failed(
                session, work.call.id, error.trouble, error.vendor_message, asked_again=True
            )
        await self._pause(work, pause_s)

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
            raise job_failed(work, error) from error

    async def _poll(self, work: Work, handle: Mapping[str, Any], answer: Answer | None) -> Result:
        unanswered, is_told_to_stop = 0, False
        while not isinstance(answer, Finished):
            if answer is not None:
                if answer.progress is not None:
                    await work.call.report(answer.progress)
                await self._pause(
                    work, min(max(answer.poll_after_s, SHORTEST_POLL_S), LONGEST_POLL_S)
                )
            if work.cancelling.is_set() and not is_told_to_stop:
                is_told_to_stop = await self._tell_to_stop(work, handle)
            try:
                answer = await work.adapter.poll(handle, work.call)
                unanswered = 0
            except ProviderError as error:
                if not error.may_repeat:
                    raise
                unanswered += 1
                answer = None
                note(work, "provider did not answer a question, asked again", error)
                await self._pause(work, _pause_s(error, unanswered))
        return answer.result

    async def _tell_to_stop(self, work: Work, handle: Mapping[str, Any]) -> bool:
        """Ask the vendor to stop a job; False where it was not heard and may be told again."""
        try:
            async with asyncio.timeout(CANCEL_S):
                await work.adapter.cancel(handle, work.call)
        except TimeoutError:
            return False
        except ProviderError as error:
            note(work, "provider did not take a cancellation", error)
            return not error.may_repeat
        return True

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
                raise job_failed(work, error) from error
        await self._tell_to_stop(work, handle)
        raise too_late(work)

    async def _pause(self, work: Work, seconds: float) -> None:
        """Wait; not on where the owner cancels meanwhile. Raises :class:`HandedOver`."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            async with asyncio.timeout(seconds):
                if work.cancelling.is_set():
                    await stopping
                await _first_of(stopping, work.cancelling)
        except TimeoutError:
            pass
        finally:
            stopping.cancel()
        if self._stopping.is_set():
            raise HandedOver


def _unless_cancelled(cancelling: asyncio.Event) -> None:
    """Nothing is begun for somebody who wants it to end. Raises :class:`Stopped`."""
    if cancelling.is_set():
        raise cancelled()


async def _first_of(work: asyncio.Future[Any], cancelling: asyncio.Event) -> None:
    """Wait until the work is done or the owner wants it to end; touches neither."""
    heard = asyncio.ensure_future(cancelling.wait())
    try:
        await asyncio.wait({work, heard}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        heard.cancel()


def _pause_s(error: ProviderError, turn: int) -> float:
    if error.retry_after_s is not None:
        return max(error.retry_after_s, SHORTEST_POLL_S)
    return min(RETRY_S * 2.0 ** (turn - 1), LONGEST_RETRY_S)


async def _end(task: asyncio.Future[Any]) -> None:
    """Cancel and wait; what it ends with no longer matters."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
