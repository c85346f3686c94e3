"""fal's wire protocol: queue, uploads, files, prices; and the routes that control this simulator.

Everything lies below ``/fal``: ``queue/`` is queue.fal.run, ``rest/`` is rest.fal.ai, ``cdn/`` is
v3.fal.media, ``api/`` is api.fal.ai. Keys that begin with ``bad`` are refused, others are welcome.

Control, JSON in camelCase: ``POST control/faults`` (:class:`~funmagic.simulators.faults.Fault`, at
one of :data:`POINTS`), ``PUT control/pace`` (:class:`~funmagic.simulators.pace.Pace`),
``PUT control/outcome`` (:class:`~funmagic.simulators.fal_jobs.Outcome`), ``GET control/requests``,
``GET control/jobs``, and ``DELETE control`` for a clean slate.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from litestar import Litestar, Request, Response, delete, get, post, put
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.pydantic import PydanticPlugin
from litestar.response import ServerSentEvent

from funmagic.simulators.fal_jobs import Failure, Job, Jobs, Outcome
from funmagic.simulators.faults import (
    ASGIApp,
    Fault,
    FaultLayer,
    Receive,
    Scope,
    Send,
    Trouble,
    Visit,
    bearer_of,
)
from funmagic.simulators.files import File, Files, serve
from funmagic.simulators.pace import Pace

#: What jobs can be made of, with the price of one unit in US dollars.
MODELS = {"fal-ai/bria/background/remove": 0.018}
POINTS = ("submit", "status", "stream", "result", "cancel", "token", "upload", "file", "prices")
MAX_UPLOAD_BYTES = 64 << 20
#: Data URIs come in the body, a third longer than what they carry.
MAX_BODY_BYTES = 96 << 20
MAX_TOKENS = 1_000
STREAM_STEP_S = 0.1
TOKEN_LIFE = timedelta(hours=1)

JOB_PATH = re.compile(
    r"/fal/queue/([^/]+/[^/]+)/requests/([^/]+)(/status|/status/stream|/cancel|/response)?"
)
SUBMIT_PATH = re.compile(r"/fal/queue/([^/]+/[^/]+(?:/[^/]+)*)")
FILES_PATH = "/fal/cdn/files/"
PLAIN_PATHS = {
    ("POST", "/fal/rest/storage/auth/token"): "token",
    ("POST", "/fal/cdn/files/upload"): "upload",
    ("GET", "/fal/api/v1/models/pricing"): "prices",
}
JOB_POINTS = {
    ("GET", "/status"): "status",
    ("GET", "/status/stream"): "stream",
    ("GET", "/response"): "result",
    ("GET", None): "result",
    ("PUT", "/cancel"): "cancel",
}

AnyRequest = Request[Any, Any, Any]


class Fal:
    """One simulated fal: its queue, its files, the tokens it gave out, the trouble it makes."""

    def __init__(self, origin: str, pace: Pace) -> None:
        self.origin = origin
        self.usual_pace = pace
        self.files = Files()
        self.jobs = Jobs(origin, self.files, pace)
        self.tokens: OrderedDict[str, None] = OrderedDict()
        self.trouble = Trouble(POINTS)

    def clear(self) -> None:
        """A clean slate; only tokens stay, as clients keep them."""
        self.jobs.clear(self.usual_pace)
        self.files.clear()
        self.trouble.clear()


def application(origin: str, pace: Pace) -> ASGIApp:
    """This vendor as it is served below ``{origin}/fal``."""
    fal = Fal(origin, pace)
    app = Litestar(
        route_handlers=routes(fal),
        exception_handlers={Exception: in_fals_words},
        plugins=[PydanticPlugin(prefer_alias=True)],
        openapi_config=None,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    return layer(cast(ASGIApp, app), fal)


def layer(app: ASGIApp, fal: Fal) -> ASGIApp:
    """The routes with what is around them: recording, faults, and the files themselves."""

    async def with_files(scope: Scope, receive: Receive, send: Send) -> None:
        is_get = scope["type"] == "http" and scope["method"] == "GET"
        path: str = scope.get("path", "")
        file = fal.files.get(path.removeprefix(FILES_PATH)) if is_get else None
        if file is not None and path.startswith(FILES_PATH):
            await serve(file, send)
        else:
            await app(scope, receive, send)

    return FaultLayer(with_files, fal.trouble, read)


def read(scope: Scope) -> Visit | None:
    """A request in fal's terms; None for control routes and what fal does not know."""
    method, path = scope["method"], scope["path"]
    key = bearer_of(scope["headers"], "key")
    key_id = None if key is None else key.partition(":")[0]
    if plain := PLAIN_PATHS.get((method, path)):
        return Visit(plain, method, path, key_id)
    if method == "GET" and path.startswith(FILES_PATH):
        return Visit("file", method, path, key_id)
    if found := JOB_PATH.fullmatch(path):
        point = JOB_POINTS.get((method, found[3]))
        return None if point is None else Visit(point, method, path, key_id, found[2], found[1])
    if method == "POST" and (found := SUBMIT_PATH.fullmatch(path)):
        return Visit("submit", method, path, key_id, None, found[1])
    return None


def routes(fal: Fal) -> list[HTTPRouteHandler]:
    """Every route of this simulator."""
    return [*_queue(fal), *_storage(fal), *_control(fal)]


def in_fals_words(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    """Errors as fal words them: ``{"detail": "…"}``."""
    if isinstance(error, HTTPException):
        extra = f": {error.extra}" if error.extra else ""
        return Response({"detail": f"{error.detail}{extra}"}, status_code=error.status_code)
    return Response({"detail": f"Internal error: {error!r}"}, status_code=500)


def _queue(fal: Fal) -> list[HTTPRouteHandler]:
    @post("/fal/queue/{path:path}", status_code=200)
    async def submit(request: AnyRequest) -> Response[dict[str, Any]]:
        key_id = _key_id(request)
        model = request.url.path.removeprefix("/fal/queue/")
        if model not in MODELS:
            raise HTTPException(status_code=404, detail=f"Application '{model}' not found")
        given = await request.json()
        if not isinstance(given, dict):
            raise HTTPException(status_code=422, detail="The input must be an object")
        job = fal.jobs.submit(model, key_id, given, _start_limit_s(request))
        return _about(job, {**_place(fal, job), "status": "IN_QUEUE"} | _position(fal, job))

    @get("/fal/queue/{path:path}")
    async def look(request: AnyRequest) -> Response[Any]:
        job, point = _find(fal, request)
        logs = request.query_params.get("logs", "0")
        if point == "stream":
            return ServerSentEvent(_statuses(fal, job, logs))
        return _result(job) if point == "result" else _about(job, *_status(fal, job, logs))

    @put("/fal/queue/{path:path}")
    async def cancel(request: AnyRequest) -> Response[dict[str, Any]]:
        try:
            job, _ = _find(fal, request)
        except HTTPException as error:
            if error.status_code != 404:
                raise
            return Response({"status": "NOT_FOUND"}, status_code=404)
        if job.status == "COMPLETED":
            return _about(job, {"status": "ALREADY_COMPLETED"}, 400)
        fal.jobs.cancel(job)
        return _about(job, {"status": "CANCELLATION_REQUESTED"}, 202)

    return [submit, look, cancel]


def _storage(fal: Fal) -> list[HTTPRouteHandler]:
    @post("/fal/rest/storage/auth/token", status_code=200)
    async def token(request: AnyRequest) -> dict[str, str]:
        _key_id(request)
        made = secrets.token_urlsafe(24)
        fal.tokens[made] = None
        while len(fal.tokens) > MAX_TOKENS:
            fal.tokens.popitem(last=False)
        return {
            "token": made,
            "token_type": "Bearer",
            "base_url": f"{fal.origin}/fal/cdn",
            "expires_at": (datetime.now(UTC) + TOKEN_LIFE).isoformat(),
        }

    @post("/fal/cdn/files/upload", status_code=200)
    async def upload(request: AnyRequest) -> dict[str, str]:
        if bearer_of(request.scope["headers"], "bearer") not in fal.tokens:
            raise HTTPException(status_code=401, detail="Invalid token")
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_UPLOAD_BYTES:
                raise HTTPException(status_code=413, detail="The file is too large")
        content_type = request.headers.get("content-type", "application/octet-stream")
        name = request.headers.get("x-fal-file-name", "upload")
        return {
            "access_url": fal.origin
            + FILES_PATH
            + fal.files.put(File(bytes(content), content_type), name)
        }

    @get("/fal/api/v1/models/pricing")
    async def prices(request: AnyRequest) -> dict[str, Any]:
        _key_id(request)
        wanted = request.query_params.getall("endpoint_id", list(MODELS))
        wanted = [model for text in wanted for model in text.split(",")]
        if unknown := [model for model in wanted if model not in MODELS]:
            raise HTTPException(status_code=404, detail=f"No prices for {', '.join(unknown)}")
        return {
            "prices": [
                {
                    "endpoint_id": model,
                    "unit_price": MODELS[model],
                    "unit": "image",
                    "currency": "USD",
                }
                for model in wanted
            ],
            "next_cursor": None,
            "has_more": False,
        }

    return [token, upload, prices]


def _control(fal: Fal) -> list[HTTPRouteHandler]:
    @post("/fal/control/faults", status_code=204)
    async def add_fault(data: Fault) -> None:
        fal.trouble.add(data)

    @put("/fal/control/pace", status_code=204)
    async def set_pace(data: Pace) -> None:
        fal.jobs.pace = data

    @put("/fal/control/outcome", status_code=204)
    async def set_outcome(data: Outcome) -> None:
        fal.jobs.outcome = data

    @get("/fal/control/requests")
    async def requests() -> list[dict[str, Any]]:
        return [record.as_json() for record in fal.trouble.records]

    @get("/fal/control/jobs")
    async def jobs() -> list[dict[str, Any]]:
        return [job.as_json() for job in fal.jobs.all()]

    @delete("/fal/control", status_code=204)
    async def clear() -> None:
        fal.clear()

    return [add_fault, set_pace, set_outcome, requests, jobs, clear]


def _key_id(request: AnyRequest) -> str:
    """The id of an accepted key; raises 401 for others."""
    key = bearer_of(request.scope["headers"], "key")
    key_id, colon, secret = (key or "").partition(":")
    if not (key_id and colon and secret) or key_id.startswith("bad"):
        raise HTTPException(status_code=401, detail="Cannot access application: invalid key")
    return key_id


def _start_limit_s(request: AnyRequest) -> float:
    """How long the client lets its job wait; raises 400 where that is not over a second."""
    try:
        limit_s = float(request.headers.get("x-fal-request-timeout", "inf"))
    except ValueError:
        limit_s = 0.0
    if not limit_s > 1:
        raise HTTPException(
            status_code=400, detail="X-Fal-Request-Timeout must be a number of seconds over 1"
        )
    return limit_s


def _find(fal: Fal, request: AnyRequest) -> tuple[Job, str]:
    """The job this path names, and what is wanted of it; raises 401 and 404."""
    key_id = _key_id(request)
    visit = read(request.scope)  # type: ignore[arg-type]  # Litestar's scope is a TypedDict
    if visit is not None and visit.request_id is not None and visit.model is not None:
        job = fal.jobs.find(visit.request_id, visit.model, key_id)
        if job is not None:
            return job, visit.at
    raise HTTPException(status_code=404, detail="Request not found")


async def _statuses(fal: Fal, job: Job, logs: str) -> AsyncIterator[str]:
    """The status each time it changes, until the job has ended."""
    before = None
    while before is None or job.ended is None:
        fal.jobs.advance(job)
        told, _ = _status(fal, job, logs)
        if told != before:
            yield json.dumps(told)
        before = told
        await asyncio.sleep(STREAM_STEP_S)


def _status(fal: Fal, job: Job, logs: str) -> tuple[dict[str, Any], int]:
    """What is told of a job as it stands, and the HTTP status it is told with."""
    told: dict[str, Any] = {"status": job.status, **_place(fal, job)}
    if job.status == "IN_QUEUE":
        return told | _position(fal, job), 202
    told["logs"] = fal.jobs.logs(job) if logs.lower() in ("1", "true") else None
    if job.ended is None:
        return told, 202
    worked_s = 0.0 if job.started is None else job.ended - job.started
    told["metrics"] = {"inference_time": round(worked_s, 3)}
    if job.failure is not None and job.failure.platform is not None:
        told["error"], told["error_type"] = job.failure.platform
    return told, 200


def _result(job: Job) -> Response[dict[str, Any]]:
    job.result_fetches += 1
    if job.status != "COMPLETED" or job.made is None:
        return _about(job, {"detail": "Request is still in progress"}, 400)
    units = job.outcome.billable_units
    if isinstance(job.made, Failure):
        return _about(job, job.made.body, job.made.status, units, job.made.headers)
    return _about(job, job.made, units=1.0 if units is None else units)


def _about(
    job: Job,
    body: dict[str, Any],
    status: int = 200,
    units: float | None = None,
    headers: dict[str, str] | None = None,
) -> Response[dict[str, Any]]:
    """An answer about one job, with fal's headers."""
    named = {"x-fal-request-id": job.id, **(headers or {})}
    if units is not None:
        named["x-fal-billable-units"] = f"{units:g}"
    return Response(body, status_code=status, headers=named)


def _place(fal: Fal, job: Job) -> dict[str, str]:
    """Where the job is found again: below the model's owner and alias alone."""
    here = f"{fal.origin}/fal/queue/{job.app}/requests/{job.id}"
    return {
        "request_id": job.id,
        "response_url": here,
        "status_url": f"{here}/status",
        "cancel_url": f"{here}/cancel",
    }


def _position(fal: Fal, job: Job) -> dict[str, int]:
    return {"queue_position": fal.jobs.queue_position(job)}
