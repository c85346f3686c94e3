"""Builds the worker: takes tasks and mails from their queues, sends the outbox, puts right what
broke."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
from functools import partial
from typing import Any
from uuid import UUID

import uvloop

from funmagic import hooks
from funmagic.accounts import erasure, exports
from funmagic.assets import avatars
from funmagic.core import log as logs
from funmagic.core.log import logger
from funmagic.core.resources import Resources, open_resources
from funmagic.core.settings import Settings
from funmagic.jobs import editions
from funmagic.jobs.outbox import Relay
from funmagic.jobs.queue import Consumer, Queue
from funmagic.jobs.schedule import Every, each
from funmagic.mail import delivery
from funmagic.mail.service import QUEUE as MAIL_QUEUE
from funmagic.providers import registry
from funmagic.reports import export
from funmagic.tasks import cancel
from funmagic.tasks.engine import Engine
from funmagic.tasks.reconciler import ask_vendors, reconcile
from funmagic.tasks.service import QUEUE, note_sent

log = logger(__name__)

DRAIN_TIMEOUT_S = 12.0


def main() -> None:
    """Run until SIGTERM or SIGINT. What is being worked on is finished or handed back."""
    settings = Settings.load()
    logs.configure(settings)
    hooks.wire(settings)
    uvloop.run(run(settings))


async def run(settings: Settings) -> None:
    """One worker process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_number, stop.set)
    async with open_resources(settings) as resources:
        try:
            await work(resources, stop)
        finally:
            await registry.close()


async def look_after_people(resources: Resources) -> None:
    """One round of what comes due for people: leaving, old exports, pictures nobody shows."""
    await each(
        partial(erasure.erase_due, resources),
        partial(exports.tidy, resources),
        partial(avatars.sweep_now_and_then, resources),
    )


async def work(resources: Resources, stop: asyncio.Event) -> None:
    """Consume, relay and reconcile until ``stop`` is set."""
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    registry.open(registry.place_of(resources.settings))
    engine = Engine(resources, owner)
    queue = Queue(resources.settings, QUEUE)
    mail_queue = Queue(resources.settings, MAIL_QUEUE)

    async def perform(job: dict[str, Any]) -> None:
        logs.begin(str(job.get("requestId", "")), task_id=str(job["taskId"]))
        await engine.run(UUID(job["taskId"]), int(job["attempt"]))

    async def carry(job: dict[str, Any]) -> None:
        logs.begin(str(job.get("requestId", "")))
        await delivery.deliver(resources, UUID(job["mailId"]))

    async def publish(job: dict[str, Any]) -> None:
        await editions.carry_out(resources.edition, job)

    consumer = Consumer(
        resources.settings, QUEUE, perform, concurrency=resources.settings.worker_concurrency
    )
    postman = Consumer(resources.settings, MAIL_QUEUE, carry, concurrency=delivery.AT_ONCE)
    publisher = Consumer(resources.settings, editions.QUEUE, publish, concurrency=1)
    relay = Relay(resources, on_sent=note_sent)
    log.info("worker started", owner=owner, concurrency=resources.settings.worker_concurrency)
    async with asyncio.TaskGroup() as group:
        group.create_task(relay.run(stop))
        group.create_task(
            Every(resources.settings.reconcile_every_s, lambda: reconcile(resources, queue)).run(
                stop
            )
        )
        group.create_task(
            Every(
                resources.settings.reconcile_every_s, lambda: delivery.sweep(resources, mail_queue)
            ).run(stop)
        )
        asking = group.create_task(
            Every(resources.settings.reconcile_every_s, lambda: ask_vendors(resources, engine)).run(
                stop
            )
        )
        group.create_task(
            Every(resources.settings.reconcile_every_s, lambda: look_after_people(resources)).run(
                stop
            )
        )
        exporting = group.create_task(
            Every(
                resources.settings.reconcile_every_s,
                lambda: export.make_all(resources),
                timeout_s=export.TIMEOUT_S,
            ).run(stop)
        )
        hearing = group.create_task(cancel.listen(resources, engine.cancel, stop))
        carrying = group.create_task(postman.run(stop))
        publishing = group.create_task(publisher.run(stop))
        await consumer.run(stop)
        engine.stop()
        asking.cancel()
        exporting.cancel()
        hearing.cancel()
        await asyncio.gather(carrying, publishing)
        await asyncio.gather(
            *(taker.drain(DRAIN_TIMEOUT_S) for taker in (consumer, postman, publisher))
        )
        stop.set()
    await engine.close()
    await queue.close()
    await mail_queue.close()
    log.info("worker stopped", owner=owner)
