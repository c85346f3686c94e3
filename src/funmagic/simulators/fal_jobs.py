"""fal's queue: jobs that wait, work and end by the clock, and what comes out of them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import math
import re
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from pydantic import Field

from funmagic.simulators import pictures
from funmagic.simulators.faults import Body
from funmagic.simulators.files import File, Files
from funmagic.simulators.pace import Pace

MAX_JOBS = 5_000
MAX_CUTOUTS_KEPT = 16
#: How many others are ahead of a job at first.
QUEUE_AHEAD = 3
#: What a job says at which share of its work.
LOG_LINES = ((0.0, "Fetching the image"), (0.25, "25%"), (0.5, "50%"), (0.75, "75%"))
ERROR_DOCS = "https://docs.fal.ai/errors"

Status = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]


class Outcome(Body):
    """What comes of jobs made from now on.

    ``ok`` a cutout; ``blank`` and ``opaque`` one that is transparent everywhere or nowhere;
    ``refused`` a 422 for the content; ``error`` a job that ends with ``error`` of ``error_type``;
    ``file_download_error`` a 422 for the input; ``huge`` a file of ``bytes``; ``html`` and ``svg``
    with a script; ``truncated`` half of a cutout; ``redirect`` to ``location``, or to the cutout.

    ``content_type`` is what a file is served as instead of what it is; without ``content_length``
    its length is not told. ``billable_units`` are charged for results, and for failures only where
    given. With ``ignores_cancel`` the job ends as if nobody had cancelled it.
    """

    kind: Literal[
        "ok", "blank", "opaque", "refused", "error", "file_download_error",
        "huge", "html", "svg", "truncated", "redirect",
    ] = "ok"  # fmt: skip
    bytes_: int = Field(default=2_000_000_000, alias="bytes", ge=0, le=1 << 50)
    content_length: bool = True
    content_type: str | None = None
    location: str | None = None
    error: str = "Runner server error"
    error_type: str = "runner_server_error"
    billable_units: float | None = Field(default=None, ge=0.0, le=1e9)
    ignores_cancel: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """How a job failed: the answer to its result; for the platform's failures in the status too."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    platform: tuple[str, str] | None = None  # error, error_type


@dataclass(slots=True)
class Job:
    """One submitted request. Times are on the monotonic clock, in seconds.

    A job that has not begun after ``start_limit_s`` never will.
    """

    model: str
    key_id: str
    input: Mapping[str, Any]
    outcome: Outcome
    pace: Pace
    start_limit_s: float = math.inf
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    submitted: float = field(default_factory=time.monotonic)
    submitted_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: float | None = None
    ended: float | None = None
    made: dict[str, Any] | Failure | None = None  # what the work came to, told once it has ended
    is_cancelled: bool = False
    result_fetches: int = 0
    file_fetches: int = 0

    @property
    def app(self) -> str:
        """Where it is found again: the model without its sub-path."""
        return "/".join(self.model.split("/")[:2])

    @property
    def began_at(self) -> datetime:
        """When its turn comes, or came."""
        return self.submitted_at + timedelta(seconds=self.pace.queue_s)

    @property
    def status(self) -> Status:
        if self.ended is not None:
            return "COMPLETED"
        return "IN_QUEUE" if self.started is None else "IN_PROGRESS"

    @property
    def failure(self) -> Failure | None:
        return self.made if isinstance(self.made, Failure) else None

    def as_json(self) -> dict[str, Any]:
        """For the control route. ``creates`` is how many submits led to this very job."""
        return {
            "id": self.id,
            "model": self.model,
            "status": self.status,
            "submittedAt": self.submitted_at.isoformat(),
            "keyId": self.key_id,
            "outcome": self.outcome.kind,
            "isCancelled": self.is_cancelled,
            "creates": 1,  # fal knows no idempotency: every submit that gets through makes a job
            "resultFetches": self.result_fetches,
            "fileFetches": self.file_fetches,
        }


class Jobs:
    """Every job of one simulator. One event loop alone may touch it; the oldest jobs go first."""

    def __init__(self, origin: str, files: Files, pace: Pace) -> None:
        self.pace = pace
        self.outcome = Outcome()
        self._files_url = f"{origin}/fal/cdn/files/"
        self._files = files
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._cutouts: OrderedDict[tuple[str, str], tuple[bytes, int, int]] = OrderedDict()
        self._working: set[asyncio.Task[None]] = set()
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="cutouts")

    def submit(
        self, model: str, key_id: str, given: Mapping[str, Any], start_limit_s: float = math.inf
    ) -> Job:
        """Make a job and begin its work at once; it is told only when its time has come."""
        job = Job(model, key_id, given, self.outcome, self.pace, start_limit_s)
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_JOBS:
            self._jobs.popitem(last=False)
        working = asyncio.create_task(self._work(job))
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        return job

    def find(self, job_id: str, app: str, key_id: str) -> Job | None:
        """The job as it stands now, for the key that submitted it."""
        job = self._jobs.get(job_id)
        if job is None or (job.app, job.key_id) != (app, key_id):
            return None
        self.advance(job)
        return job

    def all(self) -> list[Job]:
        for job in self._jobs.values():
            self.advance(job)
        return list(self._jobs.values())

    def cancel(self, job: Job) -> None:
        if not job.outcome.ignores_cancel:
            job.is_cancelled = True
            job.made = platform_failure(
                499, "Request was cancelled by the client.", "client_cancelled"
            )
            job.ended = time.monotonic()

    def clear(self, pace: Pace) -> None:
        for working in self._working:
            working.cancel()
        self._jobs.clear()
        self.pace = pace
        self.outcome = Outcome()

    def queue_position(self, job: Job) -> int:
        """Counts down to 0 while the job waits."""
        if job.pace.queue_s == 0:
            return 0
        left = 1 - (time.monotonic() - job.submitted) / job.pace.queue_s
        return max(math.ceil(left * QUEUE_AHEAD) - 1, 0)

    def logs(self, job: Job) -> list[dict[str, str]]:
        """What the job has said so far."""
        if job.started is None:
            return []
        worked_s = time.monotonic() - job.started
        return [
            {
                "message": text,
                "level": "INFO",
                "source": "USER",
                "timestamp": (job.began_at + timedelta(seconds=at_s)).isoformat(),
            }
            for at_s, text in ((share * job.pace.work_s, text) for share, text in LOG_LINES)
            if at_s <= worked_s
        ]

    def advance(self, job: Job) -> None:
        """Let the time that has passed have its effect."""
        now = time.monotonic()
        starts = job.submitted + job.pace.queue_s
        given_up = job.submitted + job.start_limit_s
        if job.started is None and job.ended is None and now >= min(starts, given_up):
            if starts <= given_up:
                job.started = starts
            else:
                job.ended = given_up
                job.made = platform_failure(504, "Request timed out", "request_timeout")
        if job.started is not None and job.ended is None and job.made is not None:
            ends = job.started + job.pace.work_s
            job.ended = ends if now >= ends else None

    async def _work(self, job: Job) -> None:
        try:
            made = await self._result_of(job)
        except Exception as error:  # a job of ours must end, whatever a picture does to us
            made = platform_failure(500, repr(error), "internal_error")
        if job.ended is None:
            job.made = made

    async def _result_of(self, job: Job) -> dict[str, Any] | Failure:
        outcome = job.outcome
        url = job.input.get("image_url")
        if not isinstance(url, str):
            return model_failure("missing", "Field required", dict(job.input))
        if outcome.kind == "refused":
            return model_failure(
                "content_policy_violation",
                "The content could not be processed because it was flagged by a content checker.",
                dict(job.input),
            )
        if outcome.kind == "error":
            return platform_failure(500, outcome.error, outcome.error_type)
        photo = None if outcome.kind == "file_download_error" else self._fetch(url)
        if photo is None:
            return model_failure(
                "file_download_error", "Failed to download the file from the given URL.", url
            )
        kind: pictures.Kind = "ok"
        if outcome.kind in ("blank", "opaque"):
            kind = cast(pictures.Kind, outcome.kind)
        try:
            cutout, width, height = await self._cut_out(photo, kind)
        except pictures.TooLarge:
            return model_failure("image_too_large", "The image has too many pixels.", url)
        except pictures.NotAPicture:
            return model_failure("image_load_error", "Failed to load the image.", url)
        file = self._dress(cutout, job)
        if job.input.get("sync_mode") is True and file.content == cutout:
            address = "data:image/png;base64," + base64.b64encode(cutout).decode()
        else:
            address = self._files_url + self._files.put(file, "output.png")
        return {
            "image": {
                "url": address,
                "content_type": "image/png",
                "file_name": address.rpartition("/")[2] if address[:5] != "data:" else "output.png",
                "file_size": max(len(file.content), file.length_bytes),
                "width": width,
                "height": height,
            }
        }

    def _fetch(self, url: str) -> bytes | None:
        """The bytes of a data URI or of a file of our own: simulators reach out to nobody."""
        if url.startswith("data:"):
            head, _, body = url.partition(",")
            try:
                return base64.b64decode(body, validate=True) if head.endswith(";base64") else None
            except binascii.Error:
                return None
        name = url.removeprefix(self._files_url)
        if name == url or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
            return None
        file = self._files.get(name)
        return None if file is None else file.content

    async def _cut_out(self, photo: bytes, kind: pictures.Kind) -> tuple[bytes, int, int]:
        key = (hashlib.sha256(photo).hexdigest(), kind)
        if key not in self._cutouts:
            loop = asyncio.get_running_loop()
            self._cutouts[key] = await loop.run_in_executor(
                self._hands, pictures.cut_out, photo, kind
            )
            while len(self._cutouts) > MAX_CUTOUTS_KEPT:
                self._cutouts.popitem(last=False)
        return self._cutouts[key]

    def _dress(self, cutout: bytes, job: Job) -> File:
        """The cutout, or whatever the outcome makes of it."""
        outcome = job.outcome

        def fetched() -> None:
            job.file_fetches += 1

        def file(content: bytes, content_type: str, **how: Any) -> File:
            return File(
                content,
                outcome.content_type or content_type,
                tells_length=outcome.content_length,
                fetched=fetched,
                **how,
            )

        match outcome.kind:
            case "huge":
                return file(cutout, "image/png", length_bytes=outcome.bytes_)
            case "html":
                return file(HTML, "text/html; charset=utf-8")
            case "svg":
                return file(SVG, "image/svg+xml")
            case "truncated":
                return file(cutout, "image/png", cut_at_bytes=len(cutout) // 2)
            case "redirect":
                plain = self._files.put(File(cutout, "image/png"), "output.png")
                return file(b"", "image/png", location=outcome.location or self._files_url + plain)
            case _:
                return file(cutout, "image/png")


HTML = b"<!doctype html><title>Gone</title><script>alert(document.domain)</script>"
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64">'
    b"<script>alert(document.domain)</script></svg>"
)


def model_failure(kind: str, message: str, given: Any) -> Failure:
    """The model's own "no": a list of details, told by the result alone."""
    detail: dict[str, Any] = {
        "loc": ["body", "image_url"],
        "msg": message,
        "type": kind,
        "url": f"{ERROR_DOCS}#{kind}",
        "ctx": {},
        "input": given if len(str(given)) <= 2_000 else None,
    }
    return Failure(422, {"detail": [detail]}, {"x-fal-retryable": "false"})


def platform_failure(status: int, message: str, error_type: str) -> Failure:
    """A failure around the model: flat, in the status as well as in the result."""
    return Failure(
        status,
        {"detail": message, "error_type": error_type},
        {"x-fal-error-type": error_type},
        platform=(message, error_type),
    )
