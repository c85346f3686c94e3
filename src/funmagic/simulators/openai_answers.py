"""How a simulated OpenAI answers a create: whole, or as a stream of events that may break off.

Plain ASGI, because an answer that ends too early is none a framework would send.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from funmagic.simulators.openai_jobs import Job, Made, b64, failure_amid

EVENT_NAMES = {"generations": "image_generation", "edits": "image_edit"}


class Gone(Exception):
    """The client has hung up."""


def answering(job: Job, made: Made) -> ASGIApp:
    """The answer to this job, as an application that gives it to whoever asks."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await (_stream if job.wanted.streams else _whole)(job, made, leaving, send)
        except Gone:
            job.status = "disconnected"
        finally:
            leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leaving

    return answer


async def _whole(job: Job, made: Made, leaving: asyncio.Future[None], send: Send) -> None:
    """One JSON object when all is done."""
    await _work(job, 1, leaving)
    failure = failure_amid(job)
    if failure is not None:
        job.status = "failed"
        body: dict[str, Any] = {"error": failure.error}
        await _send_head(job, failure.status_code, "application/json", send)
        await _send(send, json.dumps(body).encode(), ends=True)
        return
    job.usage = dict(made.usage)
    job.status = "completed"
    details = {"image_tokens": made.usage["output_tokens"], "text_tokens": 0}
    body = {
        "created": int(job.created),
        **made.told,
        "data": [{"b64_json": b64(picture)} for picture in made.finished],
        "usage": {**made.usage, "output_tokens_details": details},
    }
    content = json.dumps(body).encode()
    await _send_head(job, 200, "application/json", send)
    if job.outcome.kind == "cut":
        await _send(send, content[: len(content) // 2])
    else:
        await _send(send, content, ends=True)


async def _stream(job: Job, made: Made, leaving: asyncio.Future[None], send: Send) -> None:
    """Events: the partial images, then the finished ones or an error."""
    await _send_head(job, 200, "text/event-stream; charset=utf-8", send)
    frames = list(_frames(job, made))
    stages = len(made.partials) + 1
    for number, frame in enumerate(frames):
        if number < stages:  # several finished pictures come together
            await _work(job, stages, leaving)
        if job.outcome.kind == "cut" and number == len(made.partials) // 2:
            job.usage, job.status = dict(made.usage), "completed"  # made, billed, and not heard of
            await _send(send, frame[: len(frame) // 2])
            return  # the server finds the answer incomplete and hangs up
        await _send(send, frame)
        job.partials_sent += number < len(made.partials)
    if failure_amid(job) is None:
        job.usage, job.status = dict(made.usage), "completed"
    else:
        job.status = "failed"
    await _send(send, b"", ends=True)


def _frames(job: Job, made: Made) -> Iterator[bytes]:
    """Every frame of the stream, in order."""
    name = EVENT_NAMES[job.endpoint]
    told = {"created_at": int(job.created), **made.told}
    for index, picture in enumerate(made.partials):
        event = {"b64_json": b64(picture), "partial_image_index": index, **told}
        yield _frame(f"{name}.partial_image", event)
    failure = failure_amid(job)
    if failure is not None:
        yield _frame("error", {"error": failure.error})
        return
    for picture in made.finished:
        event = {"b64_json": b64(picture), **told, "usage": made.usage}
        yield _frame(f"{name}.completed", event)


def _frame(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


async def _work(job: Job, stages: int, leaving: asyncio.Future[None]) -> None:
    """Let one stage's time pass. Raises :class:`Gone`."""
    stage_s = (job.pace.queue_s + job.pace.work_s) / stages
    await asyncio.wait({leaving}, timeout=stage_s)
    if leaving.done():
        raise Gone


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_head(job: Job, status: int, content_type: str, send: Send) -> None:
    headers = [
        (b"content-type", content_type.encode()),
        (b"x-request-id", job.id.encode()),
        (b"openai-version", b"2020-10-01"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send(send: Send, content: bytes, *, ends: bool = False) -> None:
    await send({"type": "http.response.body", "body": content, "more_body": not ends})
