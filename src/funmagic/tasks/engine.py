"""Running a task: claim, call, settle. How a vendor is talked to is in ``calling``."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import UUID

from funmagic.core.http import OUTAGES
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.providers import calls
from funmagic.providers.contract import Trouble
from funmagic.tasks import attempts, claims, events, settlement, storing
from funmagic.tasks.calling import Caller
from funmagic.tasks.claims import Claim, LeaseLost
from funmagic.tasks.messages import BY_TROUBLE, INTERNAL
from funmagic.tasks.previews import Previews
from funmagic.tasks.progress import ProgressReporter, start_step
from funmagic.tasks.settlement import Failure
from funmagic.tasks.steps import TaskStepContext
from funmagic.tasks.work import Assignment, HandedOver, Stopped, cancelled, left_s
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import UnusableResult

log = logger(__name__)

# What preparing, checking and storing may take on top of the vendor's own deadline.
SETTLING_S: Final = 60.0


@dataclass(slots=True)
class Lease:
    """A claim while it is worked on, and what its keeper and its worker tell each other."""

    held: Claim
    is_settling: bool = False
    is_lost: bool = False
    cancelling: asyncio.Event = field(default_factory=asyncio.Event)


class Engine:
    """One worker's hands. ``owner`` names the worker in leases and logs."""

    def __init__(self, resources: Resources, owner: str) -> None:
        self._resources = resources
        self._owner = owner
        self._lease_s = resources.settings.lease_s
        self._stopping = asyncio.Event()
        self._caller = Caller(resources, self._stopping)
        self._leases: dict[UUID, Lease] = {}

    def stop(self) -> None:
        """Hand over what waits for a vendor; what is being checked or stored may be finished."""
        self._stopping.set()

    def cancel(self, task_id: UUID) -> None:
        """The owner wants this task to end; nothing where this worker does not have it."""
        if task_id in self._leases:
            self._leases[task_id].cancelling.set()

    async def close(self) -> None:
        """Once nothing runs any more: let last handles be written."""
        await self._caller.close()

    async def run(self, task_id: UUID, attempt: int) -> None:
        """Run one attempt to its settlement. Returns quietly where the task is not to be had.

        An outage of our own servers raises: the lease runs out and the task is tried again.
        """
        async with self._resources.db.transaction() as session:
            held = await claims.claim(
                session, task_id, attempt, owner=self._owner, lease_s=self._lease_s
            )
        if held is not None:
            await self._run(held)

    async def ask_last(self, task_id: UUID) -> None:
        """End a task whose deadline has passed, by its vendor's last answer."""
        async with self._resources.db.transaction() as session:
            held = await claims.claim_overdue(
                session, task_id, owner=self._owner, lease_s=self._lease_s
            )
        if held is not None:
            log.warning("task past its deadline, last question", task_id=str(task_id))
            await self._run(held)

    async def _run(self, held: Claim) -> None:
        lease = Lease(held)
        if held.is_cancelling:
            lease.cancelling.set()
        self._leases[held.id] = lease
        try:
            told = await self._work_under(lease)
        finally:
            if self._leases.get(held.id) is lease:
                del self._leases[held.id]
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
        except HandedOver:
            await self._hand_over(lease)
            return []
        except asyncio.CancelledError:
            if not lease.is_lost:
                await self._hand_over(lease)
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
                async with asyncio.timeout(left_s(held) + SETTLING_S):
                    return await self._run_step(lease, self._assign(lease, Path(folder)))
            except Stopped as stop:
                return await self._settle_failed(lease, stop)
            except TimeoutError:
                late = Stopped(Failure(*BY_TROUBLE[Trouble.TIMEOUT]))
                is_cancelling = lease.cancelling.is_set()
                return await self._settle_failed(lease, cancelled(late) if is_cancelling else late)
            except (LeaseLost, HandedOver, *OUTAGES):
                raise
            except Exception as error:
                log.error("task failed by our fault", exc_info=error)
                return await self._settle_failed(lease, Stopped(Failure("internal", INTERNAL)))

    def _assign(self, lease: Lease, work_dir: Path) -> Assignment:
        held = lease.held
        configured = held.config["steps"][0]
        tool = discovery.tool(held.config["implementation"])
        step = tool.step(configured["id"])
        if step is None:
            raise RuntimeError(f"{tool.key} has no step {configured['id']!r} any more")
        return Assignment(
            held=held,
            step=step,
            context=TaskStepContext(
                resources=self._resources,
                user_id=held.user_id,
                parent_task_id=held.parent_task_id,
                input=step.input_model.model_validate(held.input),
                settings=step.settings_model.model_validate(configured["settings"]),
                work_dir=work_dir,
            ),
            choices=tuple(configured["providers"]),
            report=ProgressReporter(self._resources, held, step.id).report,
            show=Previews(self._resources, held, step.id).show,
            cancelling=lease.cancelling,
        )

    async def _run_step(self, lease: Lease, task: Assignment) -> list[events.Event]:
        async with self._resources.db.transaction() as session:
            started = await start_step(session, task.held, task.step.id)
            last = await calls.last_of(session, task.held.id, task.step.id)
        await events.publish(self._resources.redis, started)
        call_id, result = await self._caller.ask(task, last)
        try:
            outputs = await task.step.finish(task.context, result)
        except UnusableResult as unusable:
            raise Stopped(
                Failure("unusable_result", unusable.reason), call_id, answered=result
            ) from unusable
        stored = [await storing.store(self._resources, task, call_id, output) for output in outputs]
        lease.is_settling = True
        async with self._resources.db.transaction() as session:
            return await settlement.complete(
                session,
                task.held,
                step_id=task.step.id,
                call_id=call_id,
                outputs=stored,
                result=result,
            )

    async def _settle_failed(self, lease: Lease, stop: Stopped) -> list[events.Event]:
        lease.is_settling = True
        try:
            async with self._resources.db.transaction() as session:
                return await settlement.fail(
                    session, lease.held, stop.failure, answered=stop.answered, **stop.booking()
                )
        except (LeaseLost, *OUTAGES):
            raise
        except Exception as error:
            # What the vendor said cannot be written down; the credits come back all the same.
            log.error("failure settled without its details", exc_info=error)
        async with self._resources.db.transaction() as session:
            return await settlement.fail(session, lease.held, stop.failure)

    async def _keep(self, lease: Lease, give_up: Callable[[], object]) -> None:
        """Renew until stopped. Where the lease is lost, or cannot be renewed in time, give up.

        A settlement is fenced and decides by itself, so once one has begun nothing is given up.
        Work that outlives its deadline by far is given up too.
        """
        expires_at = time.monotonic() + self._lease_s
        until = time.monotonic() + left_s(lease.held) + 2 * SETTLING_S
        while True:
            await asyncio.sleep(self._lease_s / 4)
            try:
                if time.monotonic() > until:
                    raise LeaseLost
                async with (
                    asyncio.timeout(self._lease_s / 2),
                    self._resources.db.transaction() as session,
                ):
                    if await claims.renew(session, lease.held, self._lease_s):
                        lease.cancelling.set()
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

    async def _hand_over(self, lease: Lease) -> None:
        lease.is_settling = True
        with suppress(*OUTAGES):
            async with self._resources.db.transaction() as session:
                await attempts.hand_over(session, lease.held)
