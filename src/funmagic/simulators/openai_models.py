"""The image models of a simulated OpenAI, and what each of them takes.

What is refused is refused in the vendor's envelope: :class:`Refused`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from litestar.exceptions import HTTPException

SIZES = ("1024x1024", "1536x1024", "1024x1536")
QUALITIES = ("low", "medium", "high")
BETTER_QUALITIES = (*QUALITIES, "xhigh", "max")
FORMATS = ("png", "webp", "jpeg")
MAX_PROMPT_CHARS = 32_000
MAX_IMAGES = 16
MAX_SIDE_PX = 3840
MAX_PIXELS = 3840 * 2160

COMMON_FIELDS = frozenset({
    "prompt", "model", "n", "size", "quality", "background", "output_format",
    "output_compression", "stream", "partial_images", "user", "safety_identifier",
})  # fmt: skip
#: What each of the two ways to make a picture takes besides files.
FIELDS = {
    "generations": COMMON_FIELDS | {"moderation"},
    "edits": COMMON_FIELDS | {"input_fidelity"},
}


class Refused(HTTPException):
    """An error in the vendor's four words: message, type, param and code."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        headers: dict[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status_code=status, detail=message, headers=headers)
        self.error = {"message": message, "type": kind, "param": param, "code": code} | dict(
            more or {}
        )


@dataclass(frozen=True, slots=True)
class Model:
    """``fidelities`` is empty where the field must be left out. Dates are ISO, UTC."""

    id: str
    created: int
    shutdown_date: str | None = None
    any_size: bool = True
    qualities: tuple[str, ...] = BETTER_QUALITIES
    fidelities: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": "openai",
            "shutdown_date": self.shutdown_date,
        }


def _old(id_: str, created: int, *fidelities: str) -> Model:
    return Model(id_, created, "2026-12-01", False, QUALITIES, fidelities)


#: gpt-image-1 and DALL-E have been shut down: they are like models that never were.
MODELS: Mapping[str, Model] = {
    model.id: model
    for model in (
        _old("gpt-image-1.5", 1_764_000_000, "high", "low"),
        _old("gpt-image-1-mini", 1_758_000_000, "low"),
        _old("chatgpt-image-latest", 1_764_000_000),
        Model("gpt-image-2", 1_776_000_000, qualities=QUALITIES),
        Model("gpt-image-2-2026-04-21", 1_776_000_000, qualities=QUALITIES),
        Model("gpt-image-2.5-sunburst", 1_788_000_000),
        Model("gpt-image-2.5-sunburst-2026-09-08", 1_788_000_000),
        Model("gpt-image-2.5-flare", 1_788_000_000),
        Model("gpt-image-2.5-flare-2026-09-08", 1_788_000_000),
        Model("gpt-image-2.6-sunburst", 1_793_000_000),
        Model("gpt-image-2.6-flare", 1_793_000_000),
    )
}
#: Listed besides, as an account lists much that makes no pictures.
OTHER_MODELS = (Model("omni-moderation-latest", 1_731_000_000), Model("tts-1", 1_681_000_000))


def listed() -> list[Model]:
    """What an account may use."""
    return [*MODELS.values(), *OTHER_MODELS]


def model_of(id_: str) -> Model:
    """Raises :class:`Refused` 404 for one that is not there, or not any more."""
    found = next((model for model in listed() if model.id == id_), None)
    if found is None:
        raise Refused(
            404,
            f"The model '{id_}' does not exist or you do not have access to it.",
            "model_not_found",
        )
    return found


@dataclass(frozen=True, slots=True)
class Wanted:
    """One create's parameters, read and found good. ``size`` is None for ``auto``."""

    model: Model
    prompt: str
    number: int
    size: tuple[int, int] | None
    quality: str
    background: str
    output_format: str
    compression: int
    fidelity: str
    streams: bool
    partials: int


def wanted(endpoint: str, fields: Mapping[str, str]) -> Wanted:
    """Read the parameters of a create. Raises :class:`Refused` 400 and 404."""
    for name in fields:
        if name not in FIELDS[endpoint]:
            raise Refused(400, f"Unknown parameter: '{name}'.", "unknown_parameter", param=name)
    model = model_of(fields.get("model", "dall-e-2"))
    if model in OTHER_MODELS:
        _wrong("model", model.id, "a model that makes images")
    prompt = fields.get("prompt", "")
    if not 0 < len(prompt) <= MAX_PROMPT_CHARS:
        _wrong("prompt", f"{len(prompt)} characters", f"1 to {MAX_PROMPT_CHARS} characters")
    output_format = _one_of(fields, "output_format", FORMATS, "png")
    background = _one_of(fields, "background", ("transparent", "opaque", "auto"), "auto")
    if background == "transparent" and output_format == "jpeg":
        _wrong("background", background, "opaque, for output_format jpeg")
    if "output_compression" in fields and output_format == "png":
        _unsupported("output_compression", "output_format png")
    _one_of(fields, "moderation", ("auto", "low"), "auto")
    streams = _one_of(fields, "stream", ("true", "false"), "false") == "true"
    partials = _number(fields, "partial_images", 0, 3, 0)
    if "partial_images" in fields and not streams:
        _unsupported("partial_images", "an answer that is not streamed")
    return Wanted(
        model=model,
        prompt=prompt,
        number=_number(fields, "n", 1, 10, 1),
        size=_size(fields.get("size", "auto"), model),
        quality=_one_of(fields, "quality", (*model.qualities, "auto"), "auto"),
        background=background,
        output_format=output_format,
        compression=_number(fields, "output_compression", 0, 100, 100),
        fidelity=_fidelity(fields, model),
        streams=streams,
        partials=partials,
    )


def _size(text: str, model: Model) -> tuple[int, int] | None:
    if text == "auto":
        return None
    found = re.fullmatch(r"([1-9][0-9]{1,3})x([1-9][0-9]{1,3})", text)
    if text not in SIZES:
        if not model.any_size or found is None:
            _wrong("size", text, ", ".join((*SIZES, "auto")))
        width, height = int(found[1]), int(found[2])
        if width % 16 or height % 16:
            _wrong("size", text, "sides that are multiples of 16")
        if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
            _wrong("size", text, "3840x2160 at most")
        if max(width, height) > 3 * min(width, height):
            _wrong("size", text, "a ratio from 1:3 to 3:1")
    assert found is not None  # the standard sizes are written the same way
    return int(found[1]), int(found[2])


def _fidelity(fields: Mapping[str, str], model: Model) -> str:
    if "input_fidelity" in fields and not model.fidelities:
        _unsupported("input_fidelity", f"the model {model.id}")
    return _one_of(fields, "input_fidelity", model.fidelities, "low")


def _one_of(fields: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = fields.get(name, default)
    if name in fields and value not in choices:
        _wrong(name, value, ", ".join(choices))
    return value


def _number(fields: Mapping[str, str], name: str, least: int, most: int, default: int) -> int:
    text = fields.get(name, str(default))
    value = float(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else math.nan
    if not least <= value <= most:
        _wrong(name, text, f"whole numbers from {least} to {most}")
    return int(value)


def _wrong(name: str, value: str, supported: str) -> NoReturn:
    raise Refused(
        400,
        f"Invalid value: '{value[:200]}'. Supported values are: {supported}.",
        "invalid_value",
        param=name,
    )


def _unsupported(name: str, where: str) -> NoReturn:
    raise Refused(
        400, f"The parameter '{name}' is not supported by {where}.", "unsupported_parameter",
        param=name,
    )  # fmt: skip
