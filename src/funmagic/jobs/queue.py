"""BullMQ behind a small typed façade, with what its Python client needs to be kept safe.

Any BullMQ tool of the Node world sees these queues. What each precaution is for stands where it is
taken; the tests of this folder show each of them on a real server.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import bullmq
from bullmq.custom_errors import DelayedError
from bullmq.lock_manager import LockManager
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from funmagic.core.log import logger
from funmagic.core.settings import Settings
from funmagic.jobs.schedule import pause

log = logger(__name__)

Handler = Callable[[dict[str, Any]], Awaitable[None]]

# A finished id is kept for a day: a forgotten one that is added again would run again. A failed id
# is kept as well, so a new attempt needs a new id.
KEEP_COMPLETED_S: Final = 86_400
KEEP_FAILED_S: Final = 7 * 86_400
LOCK_MS: Final = 15_000  # a silent worker's job is another's after this
STALLED_CHECK_MS: Final = 5_000
MAX_STALLED: Final = 3  # recoveries of one job; after that a new attempt with a new id is needed
RECONNECT_MS: Final = 1_000
IDLE_WAIT_S: Final = 5  # how long an idle worker's blocking read waits
# Longer than the blocking read by far: an equal one ends every idle read as an error, and a job
# added meanwhile is picked up seconds late.
SOCKET_TIMEOUT_S: Final = 30.0
CONNECT_TIMEOUT_S: Final = 5.0
INTERRUPT_TIMEOUT_S: Final = 5.0

# States in which the queue still means to run a job.
AHEAD: Final = frozenset(
    {"waiting", "active", "delayed", "prioritized", "waiting-children", "paused"}
)


class JobFailed(Exception):
    """What the queue is told of a failure: the kind only, as an error's text may hold secrets."""


class WorkerEnded(Exception):
    """The queue's worker returned although nobody had asked it to; the process should end."""


class Queue:
    """One queue, for adding to it and asking about it."""

    def __init__(self, settings: Settings, name: str, *, redis: Redis | None = None) -> None:
        self._own = None if redis is not None else _connect(settings)
        options = {"connection": redis or self._own, "prefix": settings.queue_prefix}
        self._queue = bullmq.Queue(name, options)
        self.name = name

    async def add(self, job_id: str, payload: dict[str, Any]) -> None:
        """Add a job; an id the queue knows already changes nothing.

        Raises ValueError for an id BullMQ reserves, RedisError or OSError where it is not there.
        """
        if not job_id or ":" in job_id or job_id.isdigit():
            raise ValueError(f"not a job id: {job_id!r}")
        await self._queue.add(
            self.name,
            payload,
            {
                "jobId": job_id,
                "removeOnComplete": {"age": KEEP_COMPLETED_S},
                "removeOnFail": {"age": KEEP_FAILED_S},
            },
        )

    async def has(self, job_id: str) -> bool:
        """Whether the queue still means to run the job, or is at it."""
        return await self._queue.getJobState(job_id) in AHEAD

    async def close(self) -> None:
        """Close the connections this queue opened itself."""
        if self._own is not None:
            await self._own.aclose()


class Consumer:
    """Takes jobs of one queue and gives them to ``handler``, ``concurrency`` at a time.

    A handler may see a job twice, also at once in two processes: a worker that was cut off from
    Valkey, or whose event loop stood still, loses its job to another. So the handler decides by
    what is in the database whether there is something to do.
    """

    def __init__(
        self, settings: Settings, name: str, handler: Handler, *, concurrency: int
    ) -> None:
        self._settings = settings
        self._name = name
        self._handler = handler
        self._concurrency = concurrency
        self._handling: set[asyncio.Task[None]] = set()
        self._handing_back = False
        self._redis: Redis | None = None
        self._worker: Any = None
        self._loop: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Take jobs until ``stop`` is set; then call :meth:`drain`.

        Waits for Valkey where it is not there yet. Raises WorkerEnded where the worker gives up.
        """
        self._redis = _connect(self._settings)
        await self._wait_for_valkey(self._redis, stop)
        if stop.is_set():
            return
        self._worker = _Worker(
            self._name,
            self._perform,
            {
                "connection": self._redis,
                "prefix": self._settings.queue_prefix,
                "autorun": False,
                "concurrency": self._concurrency,
                "lockDuration": LOCK_MS,
                "stalledInterval": STALLED_CHECK_MS,
                "maxStalledCount": MAX_STALLED,
                "runRetryDelay": RECONNECT_MS,
                "drainDelay": IDLE_WAIT_S,
            },
        )
        self._loop = asyncio.create_task(self._worker.run())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({self._loop, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._loop.done():
            raise WorkerEnded(f"the worker of {self._name} ended") from self._loop.exception()
        self._worker.take_no_more()

    async def drain(self, timeout_s: float) -> None:
        """Let running jobs finish; after ``timeout_s`` interrupt them and give them back."""
        if self._loop is not None and self._worker is not None:
            self._worker.take_no_more()
            await asyncio.wait({self._loop}, timeout=timeout_s)
            if not self._loop.done():
                log.warning("handing jobs back", queue=self._name, jobs=len(self._handling))
                self._handing_back = True
                for handling in self._handling:
                    handling.cancel()
                await asyncio.wait({self._loop}, timeout=INTERRUPT_TIMEOUT_S)
            if self._loop.done():
                await self._worker.hand_back_fetched()
            else:  # their locks run out when this process ends, and another worker takes them
                log.error("jobs would not be interrupted", queue=self._name)
                self._worker.abandon()
                self._loop.cancel()
                await asyncio.wait({self._loop}, timeout=INTERRUPT_TIMEOUT_S)
            await self._worker.end_checks()
        if self._redis is not None:
            await self._redis.aclose()

    async def _wait_for_valkey(self, redis: Redis, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await redis.ping()
            except (RedisError, OSError) as error:
                log.warning("Valkey does not answer yet", queue=self._name, error=repr(error))
                await pause(stop, RECONNECT_MS / 1000)
            else:
                return

    async def _perform(self, job: Any, token: str) -> None:
        """BullMQ's processor. The handler runs in a task of its own.

        A CancelledError that got out of here would end the worker silently, and any other error's
        text and traceback would be stored in Valkey: neither leaves.
        """
        handling = asyncio.ensure_future(_as_coroutine(self._handler(job.data)))
        self._handling.add(handling)
        try:
            await asyncio.wait({handling})
        except asyncio.CancelledError:  # the worker itself is being taken down
            handling.cancel()
            raise
        finally:
            self._handling.discard(handling)
        if handling.cancelled() and self._handing_back:
            await hand_back(job, token)
            raise DelayedError
        if handling.cancelled():
            log.error("job was cancelled", queue=self._name, job=job.id)
            raise JobFailed("CancelledError")
        failure = handling.exception()
        if failure is not None:
            log.error("job failed", queue=self._name, job=job.id, exc_info=failure)
            raise JobFailed(type(failure).__name__)


async def hand_back(job: Any, token: str) -> None:
    """Put a running job back, to be taken by whoever is free, without counting an attempt."""
    await job.moveToDelayed(time.time_ns() // 1_000_000, token)


class _Worker(bullmq.Worker):  # type: ignore[misc]  # bullmq ships no types
    """BullMQ's worker without its traps."""

    def __init__(self, name: str, processor: Any, options: dict[str, Any]) -> None:
        super().__init__(name, processor, options)
        self.lockManager = _PatientLocks(
            self, self.opts["lockRenewTime"], self.opts["lockDuration"], self.id
        )
        self.on("error", self._log_error)
        self.on("stalled", self._log_stalled)

    def emit(self, event_name: str, *args: Any, **kwargs: Any) -> None:
        """Tell listeners; one that raises does not keep a job from being completed."""
        try:
            super().emit(event_name, *args, **kwargs)
        except Exception as error:
            log.error("queue listener failed", listening_to=event_name, exc_info=error)

    def take_no_more(self) -> None:
        """Stop taking jobs; those running go on, with their locks kept.

        Not ``close()``: that lets go of the locks, and of the connection, too early.
        """
        self.closing = True
        self.paused = False
        self.resume_event.set()
        if self.waiting:
            self.waiting.cancel()

    def abandon(self) -> None:
        """Say nothing more of running jobs to Valkey, neither their end nor that they live."""
        self.forceClosing = True
        self.lockManager.tracked_jobs.clear()

    async def end_checks(self) -> None:
        """Wait for the check for stalled jobs to end. BullMQ only asks it to; still under way when
        the connections are closed, it would open another that nobody closes."""
        timer = getattr(self, "stalledCheckTimer", None)  # there is none before it has begun
        if timer is not None:
            await asyncio.wait({timer._task}, timeout=INTERRUPT_TIMEOUT_S)

    async def hand_back_fetched(self) -> None:
        """Put back what was fetched at the very moment the worker stopped taking."""
        for fetched in await asyncio.gather(*self.processing, return_exceptions=True):
            if isinstance(fetched, bullmq.Job):
                await hand_back(fetched, fetched.token)

    def _log_error(self, error: BaseException, *_: Any) -> None:
        log.warning("queue worker met an error", queue=self.name, error=repr(error))

    def _log_stalled(self, job_id: str) -> None:
        log.warning("job was left by its worker, taken up again", queue=self.name, job=job_id)


class _PatientLocks(LockManager):  # type: ignore[misc]  # bullmq ships no types
    """Renews locks until the last job has ended.

    With more than one job running, the worker's loop closes its locks while jobs still run; their
    locks expire and another worker starts the same jobs.
    """

    async def close(self) -> None:
        while self.tracked_jobs:  # noqa: ASYNC110 - BullMQ has no event for the last job's end
            await asyncio.sleep(0.02)
        await super().close()


async def _as_coroutine(work: Awaitable[None]) -> None:
    await work


def _connect(settings: Settings) -> Redis:
    """Connections for blocking reads and short commands alike, quick to come back."""
    client: Redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        decode_responses=True,
        socket_timeout=SOCKET_TIMEOUT_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 2),
        retry_on_error=[RedisConnectionError],
    )
    return client
