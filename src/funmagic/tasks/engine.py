"""Running a task: claim, call, settle. How a vendor is talked to is in ``calling``."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from funmagic.core import errors
from funmagic.core.http import OUTAGES
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.providers import calls, registry
from funmagic.providers.contract import Call, Trouble
from funmagic.tasks import attempts, claims, events, settlement
from funmagic.tasks.calling import Caller, HandedOver, Stopped, Work, left_s
from funmagic.tasks.claims import Claim, LeaseLost
from funmagic.tasks.messages import BY_TROUBLE, INTERNAL
from funmagic.tasks.progress import ProgressReporter, start_step
from funmagic.tasks.settlement import Failure, StoredOutput
from funmagic.tasks.steps import TaskStepContext
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Output, UnusableResult

log = logger(__name__)

# What preparing, checking and storing may take on top of the vendor's own deadline.
SETTLING_S: Final = 60.0
EXTENSIONS: Final = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


@dataclass(slots=True)
class Lease:
    """A claim while it is worked on, and what its keeper and its worker tell each other."""

    held: Claim
    is_settling: bool = False
    is_lost: bool = False


class Engine:
    """One worker's hands. ``owner`` names the worker in leases and logs."""

    def __init__(self, resources: Resources, owner: str) -> None:
        self._resources = resources
        self._owner = owner
        self._lease_s = resources.settings.lease_s
        self._stopping = asyncio.Event()
        self._caller = Caller(resources, self._stopping)

    def stop(self) -> None:
        """Hand over what waits for a vendor; what is being checked or stored may be finished."""
        self._stopping.set()

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
        told = await self._work_under(Lease(held))
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
                    work = await self._prepare(held, Path(folder))
                    return await self._run_step(lease, work)
            except Stopped as stop:
                return await self._settle_failed(lease, stop)
            except TimeoutError:
                late = Stopped(Failure(*BY_TROUBLE[Trouble.TIMEOUT]))
                return await self._settle_failed(lease, late)
            except (LeaseLost, HandedOver, *OUTAGES):
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
        chosen = configured["providers"][0]
        adapter = registry.adapter(chosen["provider"])
        async with self._resources.db.transaction() as session:
            try:
                connection = await registry.connection_of(
                    session, self._resources.vault, chosen["provider"]
                )
            except errors.Unavailable as error:
                log.error("provider not usable", provider=chosen["provider"])
                raise Stopped(Failure(*BY_TROUBLE[Trouble.UNAUTHORISED])) from error
        reporter = ProgressReporter(self._resources, held, step.id)
        return Work(
            held=held,
            step=step,
            adapter=adapter,
            context=TaskStepContext(
                resources=self._resources,
                user_id=held.user_id,
                parent_task_id=held.parent_task_id,
                input=step.input_model.model_validate(held.input),
                settings=step.settings_model.model_validate(configured["settings"]),
                work_dir=work_dir,
            ),
            call=Call(
                id=new_id(),
                model=chosen["model"],
                options=adapter.offers[step.capability]
                .options_of(chosen["model"])
                .model_validate(chosen["options"]),
                connection=connection,
                work_dir=work_dir,
                deadline_at=held.deadline_at,
                report=reporter.report,
            ),
        )

    async def _run_step(self, lease: Lease, work: Work) -> list[events.Event]:
        async with self._resources.db.transaction() as session:
            started = await start_step(session, work.held, work.step.id)
            last = await calls.last_of(session, work.held.id, work.step.id)
        await events.publish(self._resources.redis, started)
        call_id, result = await self._caller.ask(work, last)
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
        try:
            async with self._resources.db.transaction() as session:
                return await settlement.fail(
                    session,
                    lease.held,
                    stop.failure,
                    call_id=stop.call_id,
                    trouble=stop.trouble,
                    vendor_message=stop.vendor_message,
                    cost_usd_micros=stop.cost_usd_micros,
                    answered=stop.answered,
                    is_still_running=stop.is_still_running,
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

    async def _hand_over(self, lease: Lease) -> None:
        lease.is_settling = True
        with suppress(*OUTAGES):
            async with self._resources.db.transaction() as session:
                await attempts.hand_over(session, lease.held)
