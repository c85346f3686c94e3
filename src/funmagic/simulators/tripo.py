"""Tripo's wire protocol, version 3: uploads, tasks, files, account; and this simulator's controls.

Everything lies below ``/tripo``: ``v3/`` is openapi.tripo3d.ai, ``files/`` and ``storage/`` are
where results come from and presigned uploads go. Keys begin with ``tsk_``; those that contain
``bad`` are refused, others are welcome and known by the word after ``tsk_``.

Control, JSON in camelCase: ``POST control/faults`` (:class:`~funmagic.simulators.faults.Fault`, at
one of :data:`POINTS`), ``PUT control/pace`` (:class:`~funmagic.simulators.pace.Pace`),
``PUT control/outcome`` (:class:`~funmagic.simulators.tripo_jobs.Outcome`), ``PUT control/wallet``
(:class:`~funmagic.simulators.tripo_jobs.Wallet`), ``GET control/requests`` (with the JSON
``fields`` and the ``files`` that came), ``GET control/jobs``, ``DELETE control`` for a clean slate.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl

from litestar import Litestar, Request, Response, delete, get, post, put
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.pydantic import PydanticPlugin

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
from funmagic.simulators.files import Files, serve
from funmagic.simulators.pace import Pace
from funmagic.simulators.tripo_files import Signer, Upload, Uploads
from funmagic.simulators.tripo_jobs import Jobs, Outcome, Wallet
from funmagic.simulators.tripo_params import Refusal, check

POINTS = ("upload", "presign", "put", "create", "task", "tasks", "balance", "usage", "file")
MAX_UPLOAD_BYTES = 150 << 20
MAX_BODY_BYTES = 160 << 20
MAX_IMAGE_BYTES = 20 << 20
MAX_LISTED = 100
PRESIGNED_S = 1_800
SAID = "funmagic.tripo.said"

FILES_PATH = "/tripo/files/"
STORAGE_PATH = "/tripo/storage/"
PLAIN_PATHS = {
    ("POST", "/tripo/v3/files"): "upload",
    ("POST", "/tripo/v3/files/presign"): "presign",
    ("POST", "/tripo/v3/generation/image-to-model"): "create",
    ("POST", "/tripo/v3/tasks/list"): "tasks",
    ("GET", "/tripo/v3/account/balance"): "balance",
    ("GET", "/tripo/v3/account/usage"): "usage",
}
TASK_PATH = re.compile(r"/tripo/v3/tasks/([^/]+)")
KEY = re.compile(r"tsk_([A-Za-z0-9]+)[!-~]*")
EXPIRED = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>'

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Asked(Visit):
    """A request with what was in its body, as far as somebody read it."""

    said: dict[str, Any] = field(default_factory=dict)


class Tripo:
    """One simulated Tripo: its tasks, its files, what was uploaded, the trouble it makes."""

    def __init__(self, origin: str, pace: Pace) -> None:
        self.usual_pace = pace
        self.files = Files()
        self.uploads = Uploads()
        self.signer = Signer(origin + FILES_PATH)
        self.storage = Signer(origin + STORAGE_PATH)
        self.jobs = Jobs(self.files, self.signer, pace)
        self.trouble = Trouble(POINTS)

    def clear(self) -> None:
        self.jobs.clear(self.usual_pace)
        self.files.clear()
        self.uploads.clear()
        self.trouble.clear()


def application(origin: str, pace: Pace) -> ASGIApp:
    """This vendor as it is served below ``{origin}/tripo``."""
    tripo = Tripo(origin, pace)
    app = Litestar(
        route_handlers=[*_files(tripo), *_tasks(tripo), *_account(tripo), *_control(tripo)],
        exception_handlers={Exception: in_tripos_words},
        plugins=[PydanticPlugin(prefer_alias=True)],
        openapi_config=None,
        request_max_body_size=MAX_BODY_BYTES,
        multipart_form_part_limit=10,
        logging_config=None,
    )
    return layer(cast(ASGIApp, app), tripo)


def layer(app: ASGIApp, tripo: Tripo) -> ASGIApp:
    """The routes with what is around them: recording, faults, and the files themselves."""

    async def with_files(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        is_file = scope["type"] == "http" and scope["method"] == "GET"
        if not (is_file and path.startswith(FILES_PATH)):
            await app(scope, receive, send)
            return
        name = path.removeprefix(FILES_PATH)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        file = tripo.files.get(name)
        if file is not None and tripo.signer.is_good(name, query):
            await serve(file, send)
        else:
            headers = [(b"content-type", b"application/xml")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": EXPIRED})

    return FaultLayer(with_files, tripo.trouble, read)


def read(scope: Scope) -> Visit | None:
    """A request in Tripo's terms; None for control routes and what Tripo does not know."""
    method, path = scope["method"], scope["path"]
    known = KEY.fullmatch(bearer_of(scope["headers"], "bearer") or "")
    said: dict[str, Any] = {}
    scope["state"][SAID] = said
    found = TASK_PATH.fullmatch(path)
    at = PLAIN_PATHS.get((method, path))
    if at is None and method == "GET" and found:
        at = "task"
    if at is None and method == "GET" and path.startswith(FILES_PATH):
        at = "file"
    if at is None and method == "PUT" and path.startswith(STORAGE_PATH):
        at = "put"
    if at is None:
        return None
    request_id = found[1] if found and at == "task" else None
    return Asked(at, method, path, known[1] if known else None, request_id, None, said)


def in_tripos_words(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    """Errors as Tripo words them: a code of its own beside the HTTP status."""
    match error:
        case Refusal():
            refusal = error
        case HTTPException(status_code=404):
            refusal = Refusal(404, 4001, "The requested route was not found.")
        case HTTPException():
            refusal = Refusal(error.status_code, 1003, f"{error.detail} {error.extra or ''}")
        case _:
            refusal = Refusal(500, 1000, f"Internal error: {error!r}")
    request_id = str(uuid.uuid4())
    body = {
        "code": refusal.code,
        "status": "error",
        "message": refusal.message,
        "suggestion": refusal.suggestion,
        "request_id": request_id,
    }
    return Response(body, status_code=refusal.status, headers=_about(request, request_id))


def _files(tripo: Tripo) -> list[HTTPRouteHandler]:
    @post("/tripo/v3/files", status_code=200)
    async def upload(request: AnyRequest) -> Response[dict[str, Any]]:
        key_id = _key_id(request)
        form = await request.form()
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Refusal(400, 1003, "The form has no field 'file'.")
        content = await file.read()
        _note(
            request,
            files=[
                {
                    "field": "file",
                    "name": file.filename,
                    "contentType": file.content_type,
                    "sizeBytes": len(content),
                }
            ],
        )
        _check_size(content)
        token = tripo.uploads.put(Upload(key_id, content, file.content_type))
        return _success(request, {"file_token": token})

    @post("/tripo/v3/files/presign", status_code=200)
    async def presign(request: AnyRequest) -> Response[dict[str, Any]]:
        key_id = _key_id(request)
        given = await _object(request)
        if not re.fullmatch(r"[a-z0-9]{2,5}", str(given.get("format", ""))):
            raise Refusal(400, 1004, "Parameter 'format' is not a file format.")
        token = tripo.uploads.put(Upload(key_id, None, "application/octet-stream"))
        address = tripo.storage.address(token, PRESIGNED_S)
        told = {"presigned_url": address, "file_token": token, "expires_in": PRESIGNED_S}
        return _success(request, told)

    @put("/tripo/storage/{token:str}", status_code=200)
    async def store(request: AnyRequest, token: str) -> None:
        waiting = tripo.uploads.get(token)
        if waiting is None or not tripo.storage.is_good(token, dict(request.query_params)):
            raise HTTPException(status_code=403, detail="AccessDenied")
        content = await request.body()
        _note(request, files=[{"sizeBytes": len(content)}])
        _check_size(content)
        waiting.content = content
        waiting.content_type = request.headers.get("content-type", waiting.content_type)

    return [upload, presign, store]


def _tasks(tripo: Tripo) -> list[HTTPRouteHandler]:
    @post("/tripo/v3/generation/image-to-model", status_code=200)
    async def create(request: AnyRequest) -> Response[dict[str, Any]]:
        key_id = _key_id(request)
        given = await _object(request)
        if "model_version" in given and "model" not in given:
            given["model"] = given.pop("model_version")
        model = check(given)
        job = tripo.jobs.submit(key_id, model, given, _photo(tripo, key_id, given.get("input")))
        return _success(request, {"task_id": job.id, "type": "image_to_model", "status": "queued"})

    @get("/tripo/v3/tasks/{task_id:str}")
    async def look(request: AnyRequest, task_id: str) -> Response[dict[str, Any]]:
        job = tripo.jobs.find(task_id, _key_id(request))
        if job is None:
            raise Refusal(404, 2001, "The task was not found.")
        return _success(request, tripo.jobs.describe(job))

    @post("/tripo/v3/tasks/list", status_code=200)
    async def look_at_many(request: AnyRequest) -> Response[dict[str, Any]]:
        key_id = _key_id(request)
        ids = (await _object(request)).get("task_ids")
        if not isinstance(ids, list) or not 0 < len(ids) <= MAX_LISTED:
            raise Refusal(400, 1004, f"Parameter 'task_ids' must have 1 to {MAX_LISTED} ids.")
        found = {str(each): tripo.jobs.find(str(each), key_id) for each in ids}
        return _success(
            request,
            {
                "tasks": {name: tripo.jobs.describe(job) for name, job in found.items() if job},
                "missed": [name for name, job in found.items() if job is None],
            },
        )

    return [create, look, look_at_many]


def _account(tripo: Tripo) -> list[HTTPRouteHandler]:
    @get("/tripo/v3/account/balance")
    async def balance(request: AnyRequest) -> Response[dict[str, Any]]:
        account = tripo.jobs.account(_key_id(request))
        return _success(request, {"balance": account.balance, "frozen": account.frozen})

    @get("/tripo/v3/account/usage")
    async def usage(request: AnyRequest, limit: int = 50, offset: int = 0) -> Response[Any]:
        key_id = _key_id(request)
        mine = [job for job in reversed(tripo.jobs.all()) if job.key_id == key_id]
        items = [
            {
                "task_id": job.id,
                "type": "image_to_model",
                "status": job.status,
                "created_at": job.submitted_at.isoformat(),
                "credits_consumed": job.consumed,
            }
            for job in mine[max(offset, 0) :][: max(min(limit, MAX_LISTED), 0)]
        ]
        return _success(request, {"items": items})

    return [balance, usage]


def _control(tripo: Tripo) -> list[HTTPRouteHandler]:
    @post("/tripo/control/faults", status_code=204)
    async def add_fault(data: Fault) -> None:
        tripo.trouble.add(data)

    @put("/tripo/control/pace", status_code=204)
    async def set_pace(data: Pace) -> None:
        tripo.jobs.pace = data

    @put("/tripo/control/outcome", status_code=204)
    async def set_outcome(data: Outcome) -> None:
        tripo.jobs.outcome = data

    @put("/tripo/control/wallet", status_code=204)
    async def set_wallet(data: Wallet) -> None:
        tripo.jobs.endow(data)

    @get("/tripo/control/requests")
    async def requests() -> list[dict[str, Any]]:
        return [
            record.as_json() | (record.visit.said if isinstance(record.visit, Asked) else {})
            for record in tripo.trouble.records
        ]

    @get("/tripo/control/jobs")
    async def jobs() -> list[dict[str, Any]]:
        return [job.as_json() for job in tripo.jobs.all()]

    @delete("/tripo/control", status_code=204)
    async def clear() -> None:
        tripo.clear()

    return [add_fault, set_pace, set_outcome, set_wallet, requests, jobs, clear]


def _key_id(request: AnyRequest) -> str:
    """The word an accepted key is known by; raises 401 for others."""
    key = bearer_of(request.scope["headers"], "bearer") or ""
    known = KEY.fullmatch(key)
    if known is None or "bad" in key:
        raise Refusal(401, 2, "Authentication failed.", "Check your API key.")
    return known[1]


async def _object(request: AnyRequest) -> dict[str, Any]:
    """The JSON object of a body; raises 400 for anything else."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(415, 1003, "The content type must be application/json.")
    try:
        given = json.loads(await request.body())
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise Refusal(400, 1003, "The body must be a JSON object.")
    _note(request, fields=dict(given))
    return given


def _photo(tripo: Tripo, key_id: str, wanted: Any) -> bytes:
    """The image a task is to be made of. Simulators reach out to nobody: only uploads count."""
    upload = tripo.uploads.get(wanted) if isinstance(wanted, str) else None
    if upload is None or upload.key_id != key_id or upload.content is None:
        raise Refusal(400, 1004, "Parameter 'input' is not a file token that can be used.")
    if not upload.content.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF")):
        raise Refusal(400, 2004, "The file type is not supported.", "Use PNG, JPEG or WebP.")
    if len(upload.content) > MAX_IMAGE_BYTES:
        raise Refusal(400, 1004, "The image is larger than 20 MB.")
    return upload.content


def _check_size(content: bytes) -> None:
    if not content:
        raise Refusal(400, 2003, "The file is empty.")
    if len(content) > MAX_UPLOAD_BYTES:
        raise Refusal(413, 1004, "The file is larger than 150 MB.")


def _success(request: AnyRequest, data: Mapping[str, Any]) -> Response[dict[str, Any]]:
    body = {"code": 0, "status": "success", "data": dict(data)}
    return Response(body, headers=_about(request, str(uuid.uuid4())))


def _about(request: AnyRequest, request_id: str) -> dict[str, str]:
    """Headers by which a request is found again."""
    trace_id = request.headers.get("x-tripo-trace-id", request_id)
    return {"X-Tripo-Trace-ID": trace_id, "X-Request-ID": request_id}


def _note(request: AnyRequest, **said: Any) -> None:
    """Put what came in a body on record."""
    request.scope["state"][SAID].update(said)
