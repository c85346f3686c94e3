"""Running a task: claim, call, settle.

The engine is the only place that decides when a vendor is called. It writes down what it is about
to do before it does it, so a worker that dies leaves a trail from which another can go on:

- no call on record: make one;
- an *intent* without a handle: the vendor may or may not have been asked. Where asking twice costs
  nothing (``Adapter.repeatable``) the call is abandoned and made anew; else the task fails and the
  credits come back;
- a handle: poll it, whoever submitted it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from funmagic.core import errors
from funmagic.core.clock import now
from funmagic.core.http import OUTAGES
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.providers import calls, registry
from funmagic.providers.contract import (
    Adapter,
    Call,
    Finished,
    Pending,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.tasks import claims, events, settlement
from funmagic.tasks.claims import Claim, LeaseLost
from funmagic.tasks.messages import BY_TROUBLE, INTERNAL
from funmagic.tasks.progress import ProgressReporter, start_step
from funmagic.tasks.settlement import Failure, StoredOutput
from funmagic.tasks.steps import TaskStepContext
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import InvalidInput, Output, Step, UnusableResult

log = logger(__name__)

# What preparing, checking and storing may take on top of the vendor's own deadline.
SETTLING_S: Final = 60.0
SHORTEST_POLL_S: Final = 0.2
LONGEST_POLL_S: Final = 10.0
EXTENSIONS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class Work:
    """One step of a claimed task with everything the call needs."""

    held: Claim
    step: Step
    adapter: Adapter
    context: TaskStepContext
    call: Call


@dataclass(slots=True)
class Lease:
    """A claim while it is worked on, and what its keeper and its worker tell each other."""

    held: Claim
    is_settling: bool = False
    is_lost: bool = False


@dataclass
class Stopped(Exception):
    """The step ended without a result worth charging."""

    failure: Failure
    call_id: UUID | None = None
    trouble: Trouble = Trouble.BROKEN
    vendor_message: str = ""
    answered: Result | None = None  # the vendor did its part and may have been paid for it


class Engine:
    """One worker's hands. ``owner`` names the worker in leases and logs."""

    def __init__(self, resources: Resources, owner: str) -> None:
        self._resources = resources
        self._owner = owner
        self._lease_s = resources.settings.lease_s

    async def run(self, task_id: UUID, attempt: int) -> None:
        """Run one attempt to its settlement. Returns quietly where the task is not to be had.

        An outage of our own servers raises: the lease runs out and the task is tried again.
        """
        async with self._resources.db.transaction() as session:
            held = await claims.claim(
                session, task_id, attempt, owner=self._owner, lease_s=self._lease_s
            )
        if held is None:
            return
        lease = Lease(held)
        told = await self._work_under(lease)
        if told:
            await events.publish(self._resources.redis, told)
        if told and told[-1].type == "completed":
            async with self._resources.db.transaction() as session:
                await settlement.count_run(session, held.tool_id)

    async def _work_under(self, lease: Lease) -> list[events.Event]:
        """Work while the lease is kept; nothing to tell where it was lost."""
        working = asyncio.current_task()
        assert working is not None
        renewing = asyncio.create_task(self._keep(lease, working.cancel))
        try:
            return await self._work(lease)
        except LeaseLost:
            log.warning("lease lost, work dropped")
            return []
        except asyncio.CancelledError:
            if not lease.is_lost:
                await self._hand_back(lease.held)
                raise
            # Cancelled by our own lease keeper, not from outside: the task belongs to another.
            working.uncancel()
            log.warning("lease lost, work dropped")
            return []
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])

    async def _work(self, lease: Lease) -> list[events.Event]:
        held = lease.held
        with tempfile.TemporaryDirectory(prefix="funmagic-") as folder:
            try:
                async with asyncio.timeout(_left_s(held) + SETTLING_S):
                    work = await self._prepare(held, Path(folder))
                    return await self._run_step(lease, work)
            except Stopped as stop:
                return await self._settle_failed(lease, stop)
            except TimeoutError:
                late = Stopped(Failure(*BY_TROUBLE[Trouble.TIMEOUT]))
                return await self._settle_failed(lease, late)
            except (LeaseLost, *OUTAGES):
                raise
            except Exception as error:
                log.error("task failed by our fault", exc_info=error)
                return await self._settle_failed(lease, Stopped(Failure("internal", INTERNAL)))

    async def _prepare(self, held: Claim, work_dir: Path) -> Work:
        configured = held.config["steps"][0]
        tool = discovery.tool(held.config["implementation"])
        step = tool.step(configured["id"])
        if step is None:
            raise RuntimeError(f"{tool.key} has no step {configured['id']!r} any more")
        adapter = registry.adapter(configured["provider"])
        async with self._resources.db.transaction() as session:
            try:
                connection = await registry.connection_of(
                    session, self._resources.vault, configured["provider"]
                )
            except errors.Unavailable as error:
                log.error("provider not usable", provider=configured["provider"])
                raise Stopped(Failure(*BY_TROUBLE[Trouble.UNAUTHORISED])) from error
        reporter = ProgressReporter(self._resources, held, step.id)
        call_dir = work_dir / "call"
        call_dir.mkdir()
        return Work(
            held=held,
            step=step,
            adapter=adapter,
            context=TaskStepContext(
                resources=self._resources,
                user_id=held.user_id,
                input=step.input_model.model_validate(held.input),
                config=configured,
                work_dir=work_dir,
            ),
            call=Call(
                id=new_id(),
                model=configured["model"],
                options=adapter.offers[step.capability].options_model.model_validate(
                    configured["options"]
                ),
                connection=connection,
                work_dir=call_dir,
                deadline_at=held.deadline_at,
                report=reporter.report,
            ),
        )

    async def _run_step(self, lease: Lease, work: Work) -> list[events.Event]:
        async with self._resources.db.transaction() as session:
            started = await start_step(session, work.held, work.step.id)
            last = await calls.last_of(session, work.held.id, work.step.id)
        await events.publish(self._resources.redis, started)
        if last is not None and last.state == "submitted":
            call_id, request = last.id, None
            result = await self._within_deadline(work, call_id, self._poll(work, last.handle or {}))
        else:
            request = await self._request(work)
            call_id = await self._intend(work, last.id if last and last.state == "intent" else None)
            result = await self._within_deadline(
                work, call_id, self._submit(work, call_id, request)
            )
        try:
            outputs = await work.step.finish(work.context, result)
        except UnusableResult as unusable:
            raise Stopped(
                Failure("unusable_result", unusable.reason), call_id, answered=result
            ) from unusable
        stored = [await self._store(work, call_id, output) for output in outputs]
        lease.is_settling = True
        async with self._resources.db.transaction() as session:
            return await settlement.complete(
                session,
                work.held,
                step_id=work.step.id,
                call_id=call_id,
                outputs=stored,
                result=result,
            )

    async def _request(self, work: Work) -> Request:
        try:
            return await work.step.prepare(work.context)
        except InvalidInput as invalid:
            raise Stopped(Failure("invalid_input", invalid.reason)) from invalid

    async def _intend(self, work: Work, unanswered: UUID | None) -> UUID:
        """Commit that a call is about to be made; decide what an unanswered one means."""
        if unanswered is not None and not work.adapter.repeatable:
            raise Stopped(
                Failure(*BY_TROUBLE[Trouble.BROKEN]),
                unanswered,
                vendor_message="the worker died between the call and its answer",
            )
        async with self._resources.db.transaction() as session:
            await claims.lock(session, work.held)
            if unanswered is not None:
                await calls.abandon(session, unanswered)
            await calls.intend(
                session,
                call_id=work.call.id,
                task_id=work.held.id,
                step_id=work.step.id,
                provider_key=work.adapter.key,
                model=work.call.model,
                fence=work.held.fence,
                request={
                    "capability": work.step.capability,
                    "input": work.held.input,
                    "options": work.call.options.model_dump(mode="json"),
                },
            )
        return work.call.id

    async def _submit(self, work: Work, call_id: UUID, request: Request) -> Result:
        answer = await work.adapter.submit(request, work.call)
        if isinstance(answer, Finished):
            return answer.result
        async with self._resources.db.transaction() as session:
            await claims.lock(session, work.held)
            await calls.submitted(session, call_id, answer.handle)
        return await self._poll(work, answer.handle, first=answer)

    async def _poll(self, work: Work, handle: object, first: Pending | None = None) -> Result:
        answer: Pending | Finished | None = first
        while not isinstance(answer, Finished):
            if answer is not None:
                if answer.progress is not None:
                    await work.call.report(answer.progress)
                pause_s = min(max(answer.poll_after_s, SHORTEST_POLL_S), LONGEST_POLL_S)
                await asyncio.sleep(pause_s)
            answer = await work.adapter.poll(handle, work.call)  # type: ignore[arg-type]
        return answer.result

    async def _within_deadline(
        self, work: Work, call_id: UUID, calling: Awaitable[Result]
    ) -> Result:
        """Await a vendor no longer than the deadline; name its trouble."""
        try:
            return await asyncio.wait_for(calling, _left_s(work.held))
        except TimeoutError as error:
            failure = Failure(*BY_TROUBLE[Trouble.TIMEOUT])
            raise Stopped(failure, call_id, Trouble.TIMEOUT, "no answer by the deadline") from error
        except ProviderError as error:
            log.warning(
                "provider failed",
                task_id=str(work.held.id),
                provider=work.adapter.key,
                trouble=error.trouble,
                vendor_message=error.vendor_message,
            )
            raise Stopped(
                Failure(*BY_TROUBLE[error.trouble]), call_id, error.trouble, error.vendor_message
            ) from error

    async def _store(self, work: Work, call_id: UUID, output: Output) -> StoredOutput:
        """Put one output into the storage. The key is made of ids, so a repeat overwrites."""
        extension = EXTENSIONS.get(output.file.content_type, "bin")
        held = work.held
        key = f"outputs/{held.user_id}/{held.id}/{work.step.id}/{call_id}/{output.name}.{extension}"
        stored = await self._resources.storage.put(
            key, output.file.path, content_type=output.file.content_type
        )
        return StoredOutput(
            name=output.name,
            kind=output.kind,
            storage_key=key,
            content_type=output.file.content_type,
            size_bytes=stored.size_bytes,
            etag=stored.etag,
            file_name=f"{held.config['implementation']}-{output.name}.{extension}",
            width=output.width,
            height=output.height,
        )

    async def _settle_failed(self, lease: Lease, stop: Stopped) -> list[events.Event]:
        lease.is_settling = True
        async with self._resources.db.transaction() as session:
            return await settlement.fail(
                session,
                lease.held,
                stop.failure,
                call_id=stop.call_id,
                trouble=stop.trouble,
                vendor_message=stop.vendor_message,
                answered=stop.answered,
            )

    async def _keep(self, lease: Lease, give_up: Callable[[], object]) -> None:
        """Renew until stopped. Where the lease is lost, or cannot be renewed in time, give up.

        A settlement is fenced and decides by itself, so once one has begun nothing is given up.
        """
        expires_at = time.monotonic() + self._lease_s
        while True:
            await asyncio.sleep(self._lease_s / 4)
            try:
                async with self._resources.db.transaction() as session:
                    await claims.renew(session, lease.held, self._lease_s)
                expires_at = time.monotonic() + self._lease_s
                continue
            except LeaseLost:
                pass
            except Exception as error:
                log.warning("lease not renewed", error=repr(error))
                if time.monotonic() < expires_at:
                    continue
            if not lease.is_settling:
                lease.is_lost = True
                give_up()
            return

    async def _hand_back(self, held: Claim) -> None:
        with suppress(*OUTAGES):
            async with self._resources.db.transaction() as session:
                await claims.hand_back(session, held)


def _left_s(held: Claim) -> float:
    return max((held.deadline_at - now()).total_seconds(), 0.0)
