"""Tripo's tasks: they wait, work and end by the clock; what comes out of them, and what it costs.

Credits are frozen when a task is made, kept when it succeeds and given back when it does not.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from funmagic.simulators.faults import Body
from funmagic.simulators.files import File, Files
from funmagic.simulators.pace import Pace
from funmagic.simulators.pictures import NotAPicture, TooLarge
from funmagic.simulators.tripo_files import Signer
from funmagic.simulators.tripo_glb import shape
from funmagic.simulators.tripo_params import Model, Refusal, is_textured, price_credits

MAX_JOBS = 5_000
MAX_SHAPES_KEPT = 8
MOST_FACES = 8_000
DAY_S = 86_400.0
#: How many tasks of a series one key may have at once.
TASKS_AT_ONCE = {"H": 10, "P": 5}

Status = Literal["queued", "running", "success", "failed", "cancelled"]


class Outcome(Body):
    """What comes of tasks made from now on.

    ``ok`` a model and a picture of it; ``refused`` no task, for the content; ``moderated`` a task
    that fails for the content; ``failed`` one that fails with ``error_code``; ``cancelled`` one
    that Tripo stopped. Of the model's file: ``html`` a page in its place; ``short`` half of it, as
    if it were all; ``truncated`` half of it, then a broken connection; ``huge`` a file of
    ``bytes``; ``redirect`` to ``location``, or to the model; ``no_picture`` none beside it.

    ``content_type`` is what the model's file is served as instead of what it is; without
    ``content_length`` its length is not told. ``credits`` are consumed in place of the price.
    Addresses live for ``url_life_s``; the first ``stale_urls`` tellings are of expired ones.
    """

    kind: Literal[
        "ok", "refused", "moderated", "failed", "cancelled",
        "html", "short", "truncated", "huge", "redirect", "no_picture",
    ] = "ok"  # fmt: skip
    error_code: int = 2018
    error_message: str = "The model is too complex or the task has expired."
    bytes_: int = Field(default=2_000_000_000, alias="bytes", ge=0, le=1 << 50)
    content_length: bool = True
    content_type: str | None = None
    location: str | None = None
    credits: float | None = Field(default=None, ge=0.0, le=1e6)
    url_life_s: float = Field(default=DAY_S, ge=0.0, le=7 * DAY_S)
    stale_urls: int = Field(default=0, ge=0, le=1_000)


class Wallet(Body):
    """What every key has from now on; ``tasks_at_once`` None stands for Tripo's own limits."""

    balance: float = Field(default=5_000.0, ge=0.0, le=1e9)
    tasks_at_once: int | None = Field(default=None, ge=0, le=10_000)


@dataclass(slots=True)
class Account:
    """One key's credits: ``balance`` may be spent, ``frozen`` is set aside for tasks under way."""

    balance: float
    frozen: float = 0.0


@dataclass(frozen=True, slots=True)
class Made:
    """Names of a task's files."""

    model: str
    picture: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """How a task ended without a model."""

    status: Literal["failed", "cancelled"]
    code: int | None
    message: str


@dataclass(slots=True)
class Job:
    """One task. Times are on the monotonic clock, in seconds; credits as Tripo counts them."""

    key_id: str
    given: Mapping[str, Any]
    series: str
    price: float
    outcome: Outcome
    pace: Pace
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    submitted: float = field(default_factory=time.monotonic)
    submitted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended: float | None = None
    made: Made | Failure | None = None  # what the work came to, told once its time has come
    consumed: float = 0.0
    tellings: int = 0
    file_fetches: int = 0

    @property
    def status(self) -> Status:
        if self.ended is not None:
            return self.made.status if isinstance(self.made, Failure) else "success"
        waited_s = time.monotonic() - self.submitted
        return "queued" if waited_s < self.pace.queue_s else "running"

    @property
    def progress(self) -> int:
        """Percent: grows with the time the work has taken; 100 only with success."""
        if self.ended is not None:
            return 0 if isinstance(self.made, Failure) else 100
        worked_s = time.monotonic() - self.submitted - self.pace.queue_s
        if worked_s <= 0 or self.pace.work_s == 0:
            return 0
        return min(int(100 * worked_s / self.pace.work_s), 99)

    def as_json(self) -> dict[str, Any]:
        """For the control route. ``creates`` is how many requests led to this very task."""
        return {
            "id": self.id,
            "model": self.given["model"],
            "given": dict(self.given),
            "status": self.status,
            "submittedAt": self.submitted_at.isoformat(),
            "keyId": self.key_id,
            "outcome": self.outcome.kind,
            "credits": self.consumed,
            "creates": 1,  # Tripo knows no idempotency: every create that gets through makes a task
            "tellings": self.tellings,
            "fileFetches": self.file_fetches,
        }


class Jobs:
    """Every task of one simulator. One event loop alone may touch it; the oldest tasks go first."""

    def __init__(self, files: Files, signer: Signer, pace: Pace) -> None:
        self.pace = pace
        self.outcome = Outcome()
        self.wallet = Wallet()
        self._files = files
        self._signer = signer
        self._accounts: dict[str, Account] = {}
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._shapes: OrderedDict[tuple[str, int, bool], tuple[bytes, bytes]] = OrderedDict()
        self._working: set[asyncio.Task[None]] = set()
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="shapes")

    def account(self, key_id: str) -> Account:
        """A key's credits as they stand now."""
        self.all()
        return self._accounts.setdefault(key_id, Account(self.wallet.balance))

    def endow(self, wallet: Wallet) -> None:
        """Give every key this wallet, those with tasks under way too."""
        self.wallet = wallet
        for account in self._accounts.values():
            account.balance = wallet.balance

    def submit(self, key_id: str, model: Model, given: Mapping[str, Any], photo: bytes) -> Job:
        """Freeze the credits, make a task and begin its work. Raises :class:`Refusal`."""
        if self.outcome.kind == "refused":
            raise Refusal(400, 2008, "The content violates our content policy.")
        price = float(price_credits(model, given))
        account = self.account(key_id)
        if account.balance < price:
            raise Refusal(403, 2010, "You do not have enough credits.", "Please top up.")
        at_once = self.wallet.tasks_at_once
        limit = TASKS_AT_ONCE[model.series] if at_once is None else at_once
        under_way = [
            job
            for job in self._jobs.values()
            if (job.key_id, job.series, job.ended) == (key_id, model.series, None)
        ]
        if len(under_way) >= limit:
            raise Refusal(429, 2000, f"You may have {limit} tasks at once.", "Try again later.")
        account.balance -= price
        account.frozen += price
        job = Job(key_id, dict(given), model.series, price, self.outcome, self.pace)
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_JOBS:
            self._jobs.popitem(last=False)
        working = asyncio.create_task(self._work(job, photo))
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        return job

    def find(self, job_id: str, key_id: str) -> Job | None:
        """The task as it stands now, for the key that made it."""
        job = self._jobs.get(job_id)
        if job is None or job.key_id != key_id:
            return None
        self._advance(job)
        return job

    def all(self) -> list[Job]:
        for job in self._jobs.values():
            self._advance(job)
        return list(self._jobs.values())

    def describe(self, job: Job) -> dict[str, Any]:
        """The task as Tripo tells it, with addresses made for this very telling."""
        job.tellings += 1
        told: dict[str, Any] = {
            "task_id": job.id,
            "type": "image_to_model",
            "status": job.status,
            "progress": job.progress,
            "input": dict(job.given),
            "output": {},
            "created_at": job.submitted_at.isoformat(),
        }
        if job.ended is not None:
            ended_at = job.submitted_at + timedelta(seconds=job.ended - job.submitted)
            told |= {"completed_at": ended_at.isoformat(), "credits_consumed": job.consumed}
        if isinstance(job.made, Failure) and job.ended is not None:
            told |= {"error_code": job.made.code, "error_message": job.made.message}
        elif isinstance(job.made, Made) and job.ended is not None:
            is_stale = job.tellings <= job.outcome.stale_urls
            life_s = -1.0 if is_stale else job.outcome.url_life_s
            told["output"] = {"model_url": self._signer.address(job.made.model, life_s)}
            if job.made.picture is not None:
                picture_url = self._signer.address(job.made.picture, life_s)
                told["output"]["rendered_image_url"] = picture_url
        return told

    def clear(self, pace: Pace) -> None:
        for working in self._working:
            working.cancel()
        self._jobs.clear()
        self._accounts.clear()
        self.pace, self.outcome, self.wallet = pace, Outcome(), Wallet()

    def _advance(self, job: Job) -> None:
        """Let the time that has passed have its effect, on the credits too."""
        ends = job.submitted + job.pace.queue_s + job.pace.work_s
        if job.ended is not None or job.made is None or time.monotonic() < ends:
            return
        job.ended = ends
        account = self._accounts.setdefault(job.key_id, Account(self.wallet.balance))
        account.frozen -= job.price
        if isinstance(job.made, Made):
            job.consumed = job.price if job.outcome.credits is None else job.outcome.credits
        account.balance += job.price - job.consumed

    async def _work(self, job: Job, photo: bytes) -> None:
        try:
            job.made = await self._result_of(job, photo)
        except (NotAPicture, TooLarge):
            job.made = Failure("failed", 2004, "The file is not a supported image.")
        except Exception as error:  # a task of ours must end, whatever a picture does to us
            job.made = Failure("failed", 1000, repr(error))

    async def _result_of(self, job: Job, photo: bytes) -> Made | Failure:
        outcome = job.outcome
        match outcome.kind:
            case "moderated":
                return Failure("failed", 2008, "The content violates our content policy.")
            case "failed":
                return Failure("failed", outcome.error_code, outcome.error_message)
            case "cancelled":
                return Failure("cancelled", None, "The task was cancelled.")
        model, picture = await self._shape(photo, job.given)
        portrait = File(picture, "image/webp", fetched=lambda: _count(job))
        has_picture = outcome.kind != "no_picture"
        return Made(
            self._files.put(self._dress(model, job), "model.glb"),
            self._files.put(portrait, "rendered.webp") if has_picture else None,
        )

    async def _shape(self, photo: bytes, given: Mapping[str, Any]) -> tuple[bytes, bytes]:
        faces = min(given.get("face_limit") or MOST_FACES, MOST_FACES)
        key = (hashlib.sha256(photo).hexdigest(), faces, is_textured(given))
        if key not in self._shapes:
            self._shapes[key] = await asyncio.get_running_loop().run_in_executor(
                self._hands, lambda: shape(photo, most_faces=faces, is_textured=key[2])
            )
            while len(self._shapes) > MAX_SHAPES_KEPT:
                self._shapes.popitem(last=False)
        return self._shapes[key]

    def _dress(self, model: bytes, job: Job) -> File:
        """The model, or whatever the outcome makes of it."""
        outcome = job.outcome

        def file(content: bytes, content_type: str = "model/gltf-binary", **how: Any) -> File:
            return File(
                content,
                outcome.content_type or content_type,
                tells_length=outcome.content_length,
                fetched=lambda: _count(job),
                **how,
            )

        if job.given.get("quad"):
            return file(FBX, "application/octet-stream")
        match outcome.kind:
            case "html":
                return file(HTML)
            case "short":
                return file(model[: len(model) // 2])
            case "truncated":
                return file(model, cut_at_bytes=len(model) // 2)
            case "huge":
                return file(model, length_bytes=outcome.bytes_)
            case "redirect":
                plain = self._files.put(File(model, "model/gltf-binary"), "model.glb")
                there = outcome.location or self._signer.address(plain, DAY_S)
                return file(b"", location=there)
            case _:
                return file(model)


HTML = b"<!doctype html><title>Gone</title><script>alert(document.domain)</script>"
FBX = b"Kaydara FBX Binary  \x00\x1a\x00" + bytes(64)


def _count(job: Job) -> None:
    job.file_fetches += 1
