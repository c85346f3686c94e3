"""OpenAI's wire protocol: models, pictures made and edited; and the routes that control this
simulator.

Everything lies below ``/openai``, the API itself below ``/openai/v1``. Keys that contain ``bad``
are refused, others are welcome. A request's ``keyId`` is the beginning of its key's SHA-256.

Control, JSON in camelCase: ``POST control/faults`` (:class:`~funmagic.simulators.faults.Fault`, at
one of :data:`POINTS`), ``PUT control/pace`` (:class:`~funmagic.simulators.pace.Pace`: the time of
one create, spread over its partial images), ``PUT control/outcome``
(:class:`~funmagic.simulators.openai_jobs.Outcome`), ``GET control/requests`` (with ``fields`` and
``files`` of those that were read), ``GET control/jobs`` (every create that was asked rightly, with
its outcome), and ``DELETE control`` for a clean slate.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from litestar import Litestar, Request, Response, delete, get, post, put
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.pydantic import PydanticPlugin
from litestar.types import ASGIApp as Answer
from PIL import Image

from funmagic.simulators import pictures
from funmagic.simulators.faults import ASGIApp, Fault, FaultLayer, Scope, Trouble, Visit, bearer_of
from funmagic.simulators.openai_answers import answering
from funmagic.simulators.openai_jobs import Jobs, Outcome
from funmagic.simulators.openai_models import MAX_IMAGES, Refused, listed, model_of, wanted
from funmagic.simulators.pace import Pace

POINTS = ("models", "generations", "edits")
#: Sixteen pictures of less than 50 MB may come, but hardly do.
MAX_BODY_BYTES = 256 << 20
MAX_IMAGE_BYTES = 50 << 20
MAX_MASK_BYTES = 4 << 20
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")

PATHS = {
    ("POST", "/openai/v1/images/generations"): "generations",
    ("POST", "/openai/v1/images/edits"): "edits",
    ("GET", "/openai/v1/models"): "models",
}
#: Under this name a request's own visit is found again, to note down what it carried.
ASKED = "openai.asked"

AnyRequest = Request[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class Asked(Visit):
    """A visit with what it carried: ``fields`` as texts, ``files`` without their bytes."""

    body: dict[str, Any] = field(default_factory=dict)


class OpenAi:
    """One simulated OpenAI: its jobs, and the trouble it makes."""

    def __init__(self, pace: Pace) -> None:
        self.usual_pace = pace
        self.jobs = Jobs(pace)
        self.trouble = Trouble(POINTS)

    def clear(self) -> None:
        """A clean slate."""
        self.jobs.clear(self.usual_pace)
        self.trouble.clear()


def application(origin: str, pace: Pace) -> ASGIApp:
    """This vendor as it is served below ``{origin}/openai``; its answers name no addresses."""
    openai = OpenAi(pace)
    app = Litestar(
        route_handlers=[*_api(openai), *_control(openai)],
        exception_handlers={Exception: in_openais_words},
        plugins=[PydanticPlugin(prefer_alias=True)],
        openapi_config=None,
        request_max_body_size=MAX_BODY_BYTES,
        logging_config=None,
    )
    return FaultLayer(cast(ASGIApp, app), openai.trouble, read)


def read(scope: Scope) -> Visit | None:
    """A request in OpenAI's terms; None for control routes and what OpenAI does not know."""
    method, path = scope["method"], scope["path"]
    model = path.removeprefix("/openai/v1/models/")
    point = PATHS.get((method, path)) or ("models" if method == "GET" and model != path else None)
    if point is None:
        return None
    key = bearer_of(scope["headers"], "bearer")
    key_id = None if key is None else key_id_of(key)
    asked = Asked(point, method, path, key_id, None, model if model != path else None)
    scope.setdefault("state", {})[ASKED] = asked
    return asked


def key_id_of(key: str) -> str:
    """By which a key is known in records, that are no place for keys."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def in_openais_words(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    """Errors as OpenAI words them: ``{"error": {message, type, param, code}}``."""
    status, headers, kind = 500, {}, "server_error"
    told = {"message": f"Internal error: {error!r}", "type": kind, "param": None, "code": None}
    if isinstance(error, HTTPException):
        status, headers = error.status_code, dict(error.headers or {})
        told |= {"message": error.detail, "type": "invalid_request_error"}
    if isinstance(error, Refused):
        told = error.error
    headers["x-request-id"] = f"req_{secrets.token_hex(16)}"
    return Response({"error": told}, status_code=status, headers=headers)


def _api(openai: OpenAi) -> list[HTTPRouteHandler]:
    @get("/openai/v1/models")
    async def models(request: AnyRequest) -> dict[str, Any]:
        _key_id(request)
        return {"object": "list", "data": [model.as_json() for model in listed()]}

    @get("/openai/v1/models/{id_:str}")
    async def model(request: AnyRequest, id_: str) -> dict[str, Any]:
        _key_id(request)
        return model_of(id_).as_json()

    @post("/openai/v1/images/generations", status_code=200)
    async def generations(request: AnyRequest) -> Answer:
        key_id = _key_id(request)
        given = await request.json()
        if not isinstance(given, dict):
            raise Refused(400, "We could not parse the JSON body of your request.")
        fields = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in given.items()
            if value is not None
        }
        body = _note(request, {"fields": fields, "files": []})
        job = openai.jobs.create("generations", key_id, wanted("generations", fields), body)
        return answering(job, await openai.jobs.make(job, (), None))

    @post("/openai/v1/images/edits", status_code=200)
    async def edits(request: AnyRequest) -> Answer:
        key_id = _key_id(request)
        fields, files = await _parts(request)
        body = _note(request, {"fields": fields, "files": [file.as_json() for file in files]})
        parameters = wanted("edits", fields)
        images, mask = _images(files), _mask(files)
        job = openai.jobs.create("edits", key_id, parameters, body)
        return answering(job, await openai.jobs.make(job, images, mask))

    return [models, model, generations, edits]


def _control(openai: OpenAi) -> list[HTTPRouteHandler]:
    @post("/openai/control/faults", status_code=204)
    async def add_fault(data: Fault) -> None:
        openai.trouble.add(data)

    @put("/openai/control/pace", status_code=204)
    async def set_pace(data: Pace) -> None:
        openai.jobs.pace = data

    @put("/openai/control/outcome", status_code=204)
    async def set_outcome(data: Outcome) -> None:
        openai.jobs.outcome = data

    @get("/openai/control/requests")
    async def requests() -> list[dict[str, Any]]:
        return [
            record.as_json() | cast(Asked, record.visit).body for record in openai.trouble.records
        ]

    @get("/openai/control/jobs")
    async def jobs() -> list[dict[str, Any]]:
        return [job.as_json() for job in openai.jobs.all()]

    @delete("/openai/control", status_code=204)
    async def clear() -> None:
        openai.clear()

    return [add_fault, set_pace, set_outcome, requests, jobs, clear]


def _key_id(request: AnyRequest) -> str:
    """The id of an accepted key; raises 401 for others."""
    key = bearer_of(request.scope["headers"], "bearer")
    if not key:
        raise Refused(401, "You didn't provide an API key.")
    if "bad" in key:
        shown = f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 12 else "***"
        raise Refused(401, f"Incorrect API key provided: {shown}.", "invalid_api_key")
    return key_id_of(key)


def _note(request: AnyRequest, body: dict[str, Any]) -> Mapping[str, Any]:
    """Keep what a request carried with the record of it."""
    asked: Asked = request.scope["state"][ASKED]
    asked.body.update(body)
    return body


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a form."""

    name: str
    filename: str
    content_type: str
    content: bytes

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "filename": self.filename,
            "contentType": self.content_type,
            "sizeBytes": len(self.content),
            "sha256": hashlib.sha256(self.content).hexdigest(),
        }


async def _parts(request: AnyRequest) -> tuple[dict[str, str], list[Part]]:
    """A form's texts and files. Raises 400 for what is no form."""
    if request.content_type[0] != "multipart/form-data":
        raise Refused(400, "Invalid content type: multipart/form-data is wanted.")
    form = await request.form()
    fields: dict[str, str] = {}
    files: list[Part] = []
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                content = await value.read()
                files.append(Part(name, value.filename, value.content_type, content))
            elif name in fields:
                raise Refused(400, f"Duplicate parameter: '{name}'.", param=name)
            else:
                fields[name] = str(value)
    finally:
        await form.close()
    return fields, files


def _images(files: list[Part]) -> list[Image.Image]:
    """The pictures to edit, as one ``image`` or several ``image[]``. Raises 400."""
    given = [file for file in files if file.name in ("image", "image[]")]
    if strange := [file.name for file in files if file not in given and file.name != "mask"]:
        raise Refused(400, f"Unknown parameter: '{strange[0]}'.", "unknown_parameter")
    if not given:
        raise Refused(400, "Missing required parameter: 'image'.", param="image")
    if len(given) > MAX_IMAGES:
        raise Refused(400, f"At most {MAX_IMAGES} images are taken.", param="image")
    return [_opened(file) for file in given]


def _opened(file: Part) -> Image.Image:
    if file.content_type not in IMAGE_TYPES:
        raise Refused(400, f"Unsupported mimetype ('{file.content_type}').", "unsupported_file")
    if len(file.content) >= MAX_IMAGE_BYTES:
        raise Refused(413, "An image must be smaller than 50 MB.")
    try:
        return pictures.opened(file.content)
    except (pictures.NotAPicture, pictures.TooLarge) as error:
        raise Refused(
            400, "Invalid image file or mode for image.", "invalid_image_file", param="image"
        ) from error


def _mask(files: list[Part]) -> Image.Image | None:
    """Opaque where the first image stays. Raises 400."""
    given = [file for file in files if file.name == "mask"]
    if not given:
        return None
    first = next(file for file in files if file.name in ("image", "image[]"))
    try:
        with Image.open(io.BytesIO(given[0].content), formats=("PNG",)) as mask:
            if len(given[0].content) < MAX_MASK_BYTES and mask.size == _opened(first).size:
                return mask.convert("RGBA").getchannel("A")
    except (OSError, SyntaxError, ValueError):
        pass
    raise Refused(400, "Invalid mask: a PNG of the image's size is wanted.", param="mask")
