"""What a simulated OpenAI makes: one job a create, its pictures, its tokens, its ways to fail."""

from __future__ import annotations

import asyncio
import base64
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from PIL import Image
from pydantic import Field

from funmagic.simulators import openai_pictures
from funmagic.simulators.faults import Body
from funmagic.simulators.openai_models import Refused, Wanted
from funmagic.simulators.openai_pictures import Drawing
from funmagic.simulators.pace import Pace

MAX_JOBS = 5_000
#: Output tokens of one picture by quality: square, portrait, landscape; a third as much for each
#: step above ``high``. Other sizes cost by their area.
OUTPUT_TOKENS = {
    "low": (272, 408, 400),
    "medium": (1056, 1584, 1568),
    "high": (4160, 6240, 6208),
    "xhigh": (5547, 8320, 8277),
    "max": (6933, 10400, 10347),
}
PARTIAL_TOKENS = 100
CHARS_PER_TOKEN = 4
#: Tokens of a picture given: a base and so many for every 512 × 512 pixels.
IMAGE_TOKENS = {"low": (65, 129), "high": (65, 645)}
GARBAGE = b"this is no picture " * 40

Status = Literal["working", "completed", "failed", "refused", "disconnected"]


class Outcome(Body):
    """What comes of creates from now on.

    ``ok`` a picture; ``blank`` a white one; ``garbage`` bytes that are none; ``moderation_input``
    a 400 before anything is made; ``moderation_output`` one after the partial images;
    ``insufficient_quota`` and ``rate_limited`` a 429, the latter with ``retry_after_s``;
    ``unverified`` a 403; ``model_not_found`` a 404; ``cut`` an answer that breaks off half-way;
    ``error_frame`` an error of ``error_type`` and ``error_code`` amid the stream, or a 500.
    """

    kind: Literal[
        "ok", "blank", "garbage", "moderation_input", "moderation_output", "insufficient_quota",
        "rate_limited", "unverified", "model_not_found", "cut", "error_frame",
    ] = "ok"  # fmt: skip
    retry_after_s: float = Field(default=2.0, ge=0.0, le=86_400.0)
    error_type: str = "server_error"
    error_code: str | None = "server_error"
    error_message: str = "The server had an error while processing your request."


@dataclass(slots=True)
class Job:
    """One create that was asked rightly. ``usage`` is told, and billed, where it came to that."""

    endpoint: str
    key_id: str
    wanted: Wanted
    body: Mapping[str, Any]
    outcome: Outcome
    pace: Pace
    id: str = field(default_factory=lambda: f"req_{uuid.uuid4().hex}")
    created: float = field(default_factory=time.time)
    status: Status = "working"
    partials_sent: int = 0
    usage: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """For the control route. ``creates`` is how many requests led to this very job."""
        return {
            "id": self.id,
            "endpoint": self.endpoint,
            "model": self.wanted.model.id,
            "status": self.status,
            "outcome": self.outcome.kind,
            "keyId": self.key_id,
            "submittedAt": datetime.fromtimestamp(self.created, UTC).isoformat(),
            "isStreamed": self.wanted.streams,
            "partialsSent": self.partials_sent,
            "usage": self.usage,
            "creates": 1,  # OpenAI knows no idempotency: every create that gets through is one
            **self.body,
        }


@dataclass(frozen=True, slots=True)
class Made:
    """A job's pictures as files, with what is told about them."""

    finished: tuple[bytes, ...]
    partials: tuple[bytes, ...]
    told: Mapping[str, Any]
    usage: Mapping[str, Any]


class Jobs:
    """Every job of one simulator. One event loop alone may touch it; the oldest jobs go first."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.outcome = Outcome()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._hands = ThreadPoolExecutor(1, thread_name_prefix="drawings")

    def create(self, endpoint: str, key_id: str, wanted: Wanted, body: Mapping[str, Any]) -> Job:
        """Take a create on. Raises :class:`Refused` for those this outcome lets nothing come of."""
        job = Job(endpoint, key_id, wanted, body, self.outcome, self.pace)
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_JOBS:
            self._jobs.popitem(last=False)
        refusal = refusal_of(job)
        if refusal is not None:
            job.status = "refused"
            raise refusal
        return job

    def all(self) -> list[Job]:
        return list(self._jobs.values())

    def clear(self, pace: Pace) -> None:
        self._jobs.clear()
        self.pace = pace
        self.outcome = Outcome()

    async def make(
        self, job: Job, pictures: Sequence[Image.Image], mask: Image.Image | None
    ) -> Made:
        """Draw what the job is to come to."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._hands, _make, job, tuple(pictures), mask)


def refusal_of(job: Job) -> Refused | None:
    """The answer to a create of which nothing comes."""
    outcome = job.outcome
    match outcome.kind:
        case "moderation_input":
            return moderation_blocked("input", job.id)
        case "insufficient_quota":
            return Refused(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                kind="insufficient_quota",
            )
        case "rate_limited":
            return Refused(
                429,
                f"Rate limit reached for {job.wanted.model.id} on images per min.",
                "rate_limit_exceeded",
                kind="requests",
                headers={
                    "retry-after": f"{outcome.retry_after_s:g}",
                    "retry-after-ms": f"{outcome.retry_after_s * 1000:.0f}",
                    "x-ratelimit-limit-requests": "5",
                    "x-ratelimit-remaining-requests": "0",
                    "x-ratelimit-reset-requests": f"{outcome.retry_after_s:g}s",
                },
            )
        case "unverified":
            return Refused(
                403,
                "Your organization must be verified to use the model "
                f"`{job.wanted.model.id}`. If you just verified, it can take up to 15 minutes.",
            )
        case "model_not_found":
            return Refused(
                404,
                f"The model '{job.wanted.model.id}' does not exist.",
                "model_not_found",
            )
        case _:
            return None


def moderation_blocked(stage: str, request_id: str) -> Refused:
    """The vendor's own "no" to a content."""
    return Refused(
        400,
        "Your request was rejected by the safety system. If you believe this is an error, contact "
        f"us and include the request ID {request_id}. safety_violations=[sexual].",
        "moderation_blocked",
        kind="image_generation_user_error",
        more={"moderation_details": {"moderation_stage": stage, "categories": ["sexual"]}},
    )


def failure_amid(job: Job) -> Refused | None:
    """What ends a job that had begun; None for one that comes to its end."""
    outcome = job.outcome
    if outcome.kind == "moderation_output":
        return moderation_blocked("output", job.id)
    if outcome.kind == "error_frame":
        return Refused(500, outcome.error_message, outcome.error_code, kind=outcome.error_type)
    return None


def _make(job: Job, pictures: tuple[Image.Image, ...], mask: Image.Image | None) -> Made:
    wanted = job.wanted
    size = wanted.size or openai_pictures.size_for(pictures)
    quality = "medium" if wanted.quality == "auto" else wanted.quality
    drawn = [
        openai_pictures.draw(
            Drawing(
                wanted.prompt,
                size,
                pictures,
                mask,
                is_transparent=wanted.background == "transparent",
                kind="blank" if job.outcome.kind == "blank" else "ok",
                seed=seed,
            )
        )
        for seed in range(wanted.number)
    ]
    rough = [openai_pictures.unfinished(drawn[0], index) for index in range(wanted.partials)]
    finished, partials = (
        tuple(
            openai_pictures.encoded(picture, wanted.output_format, wanted.compression)
            for picture in some
        )
        for some in (drawn, rough)
    )
    return Made(
        finished if job.outcome.kind != "garbage" else (GARBAGE,) * wanted.number,
        partials,
        {
            "background": "transparent" if wanted.background == "transparent" else "opaque",
            "output_format": wanted.output_format,
            "quality": quality,
            "size": f"{size[0]}x{size[1]}",
        },
        _usage(wanted, quality, size, pictures),
    )


def _usage(
    wanted: Wanted, quality: str, size: tuple[int, int], pictures: Sequence[Image.Image]
) -> dict[str, Any]:
    base, each = IMAGE_TOKENS[wanted.fidelity]
    text_tokens = math.ceil(len(wanted.prompt) / CHARS_PER_TOKEN)
    image_tokens = sum(
        base + each * math.ceil(picture.width / 512) * math.ceil(picture.height / 512)
        for picture in pictures
    )
    output_tokens = _output_tokens(quality, size) * wanted.number
    output_tokens += PARTIAL_TOKENS * wanted.partials
    return {
        "input_tokens": text_tokens + image_tokens,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": image_tokens},
        "output_tokens": output_tokens,
        "total_tokens": text_tokens + image_tokens + output_tokens,
    }


def _output_tokens(quality: str, size: tuple[int, int]) -> int:
    square, portrait, landscape = OUTPUT_TOKENS[quality]
    standard = {(1024, 1024): square, (1024, 1536): portrait, (1536, 1024): landscape}
    return standard.get(size) or math.ceil(square * size[0] * size[1] / 1024**2)


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()
