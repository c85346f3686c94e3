"""OpenAI: pictures drawn anew by its Images API.

A call is one POST with the photo and its references; the answer streams unfinished pictures and
then the finished one, in the answer itself. So there is no job to find again: a connection that
breaks takes its result with it, paid or not. Only a call that certainly was not taken on is ever
made again.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import importlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, SecretStr, field_validator

from funmagic.core.clock import now
from funmagic.core.image_types import SNIFF_BYTES, sniff
from funmagic.providers.adapters.openai.costs import OpenAiConfig, Tokens
from funmagic.providers.adapters.openai.options import IMAGE_EDIT, parameters_of
from funmagic.providers.contract import (
    Adapter,
    Answer,
    Call,
    Capability,
    Connection,
    File,
    Finished,
    Health,
    ImageEdit,
    Offer,
    Place,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.providers.fetch import tls_context
from funmagic.providers.origins import is_gateway, simulator_of

if TYPE_CHECKING:
    from funmagic.providers.adapters.openai.wire import Line, Part

WIRE = "funmagic.providers.adapters.openai.wire"
OPENAI = "https://api.openai.com/v1"

QUESTION_LIMIT_S = 20.0
CALL_LIMIT_S = 600.0
MAX_IMAGES = 16
MAX_IMAGE_BYTES = 50_000_000 - 1
MAX_PROMPT_CHARS = 32_000
# Under way, and then a step for each unfinished picture.
FIRST_PERCENT, LAST_PERCENT = 10, 90
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
MAKES_IMAGES = re.compile(r"image|dall-e")
NO_JOB = "OpenAI answers a call directly: there is no job to ask for"


class OpenAiCredentials(BaseModel):
    """A key, and where one account has several, whose bill it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretStr
    organization: SecretStr | None = None
    project: SecretStr | None = None

    @field_validator("key", "organization", "project")
    @classmethod
    def _fits_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        text = value.get_secret_value().strip()
        if not re.fullmatch(r"[!-~]{1,500}", text):
            raise ValueError("printable characters only, without spaces")
        return SecretStr(text)


class OpenAi(Adapter):
    key = "openai"
    label = "OpenAI"
    offers: Mapping[Capability, Offer] = {Capability.IMAGE_EDIT: IMAGE_EDIT}
    credentials_model = OpenAiCredentials
    config_model = OpenAiConfig
    takes_gateway = True

    def __init__(self) -> None:
        self._place: Place | None = None
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def open(self, place: Place) -> None:
        if place != self._place:
            self._place = place
            self._contexts.clear()

    async def submit(self, request: Request, call: Call) -> Answer:
        """Ask for a picture and wait for it. Raises :class:`ProviderError`."""
        parameters = _parameters(request, call)
        assert isinstance(request, ImageEdit)  # checked with the parameters
        images = await asyncio.to_thread(_parts, request)
        until = min(call.deadline_at, now() + timedelta(seconds=CALL_LIMIT_S))
        if until <= now():
            raise ProviderError(Trouble.TIMEOUT, "no time is left for a call", may_repeat=True)
        async with self._line(call.connection) as line:
            await call.begin()
            return Finished(await _draw(line, images, parameters, call, until))

    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        """There are no handles. Raises :class:`ProviderError`."""
        raise ProviderError(Trouble.BROKEN, NO_JOB)

    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        """There are no handles. Raises :class:`ProviderError`."""
        raise ProviderError(Trouble.BROKEN, NO_JOB)

    async def check_health(self, connection: Connection) -> Health:
        """Ask for the models, which is free and needs a key that is accepted."""
        try:
            async with self._line(connection) as line:
                told = await line.models(QUESTION_LIMIT_S)
        except ProviderError as error:
            if error.trouble == Trouble.UNAUTHORISED:
                return Health(False, f"OpenAI does not accept the key. {error.vendor_message}")
            return Health(False, f"OpenAI is not usable. {error.vendor_message}")
        ours = {*IMAGE_EDIT.models, *connection.config.more_models}
        dates = {str(model.get("id"))[:200]: _date(model.get("shutdown_date")) for model in told}
        retiring = {id_: at for id_, at in dates.items() if at is not None and id_ in ours}
        listed = tuple(id_ for id_ in dates if id_ in ours or MAKES_IMAGES.search(id_))
        warning = "".join(f" {id_} ends on {at}." for id_, at in sorted(retiring.items()))
        return Health(True, f"OpenAI accepts the key.{warning}", retiring, listed)

    @asynccontextmanager
    async def _line(self, connection: Connection) -> AsyncIterator[Line]:
        """A line with this connection's key, over connections of its own."""
        if self._place is None:
            raise ProviderError(Trouble.BROKEN, "OpenAI was not opened at start")
        if not isinstance(connection.credentials, OpenAiCredentials):
            raise ProviderError(Trouble.UNAUTHORISED, "there is no key for OpenAI")
        base_url, is_simulated = _where(self._place, connection.base_url)
        context = self._context(self._place, simulated=is_simulated)
        # Over a second of importing: once, and not on the event loop.
        await asyncio.to_thread(importlib.import_module, WIRE)
        from funmagic.providers.adapters.openai import wire

        given = connection.credentials
        account = wire.Account(
            given.key.get_secret_value(), _revealed(given.organization), _revealed(given.project)
        )
        async with wire.open_line(context, base_url, account) as line:
            yield line

    def _context(self, place: Place, *, simulated: bool) -> ssl.SSLContext:
        if simulated not in self._contexts:
            self._contexts[simulated] = tls_context(place, simulated=simulated)
        return self._contexts[simulated]


def _where(place: Place, base_url: str | None) -> tuple[str, bool]:
    """What the API's paths follow, and whether it is simulated. Raises :class:`ProviderError`.

    A gateway's address is meant whole, as OpenAI's SDKs mean theirs: with ``/v1`` where it has one.
    """
    if base_url is None:
        return OPENAI, False
    if is_gateway(place, base_url):
        return base_url.rstrip("/"), False
    simulator_of(place, base_url)
    return f"{base_url.rstrip('/')}/v1", True


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The end of a stream: the last event, and what was told about the request."""

    told: Mapping[str, Any]
    request_id: str
    latency_s: float


async def _draw(
    line: Line,
    images: list[Part],
    parameters: Mapping[str, Any],
    call: Call,
    until: datetime,
) -> Result:
    """The finished picture, with its cost. A stream without one is no result."""
    drawn = await _watch(line, images, parameters, call, until)
    tokens = Tokens.told(drawn.told.get("usage"))
    config = call.connection.config
    rates = (config if isinstance(config, OpenAiConfig) else OpenAiConfig()).rates_of(call.model)
    cost = tokens.cost_usd_micros(rates)
    picture = await asyncio.to_thread(
        _written, drawn.told.get("b64_json"), call.work_dir / "picture"
    )
    if picture is None:
        raise ProviderError(
            Trouble.BROKEN,
            f"OpenAI's result is no picture [request {drawn.request_id}]",
            cost_usd_micros=cost,
        )
    meta = {
        "requestId": drawn.request_id,
        "latencyS": round(drawn.latency_s, 3),
        "size": str(drawn.told.get("size"))[:20],
        "quality": str(drawn.told.get("quality"))[:20],
        **tokens.as_json(),
    }
    return Result((picture,), cost, meta)


async def _watch(
    line: Line,
    images: list[Part],
    parameters: Mapping[str, Any],
    call: Call,
    until: datetime,
) -> _Drawn:
    """Ask, show what is unfinished, and wait for the end. Raises :class:`ProviderError`."""
    asked = time.monotonic()
    wanted, shown = parameters["partial_images"], 0
    events = await line.edit(images, parameters, _left_s(until))
    async with aclosing(events):
        await call.report(FIRST_PERCENT)
        while (told := await events.next(_left_s(until))) is not None:
            match told.get("type"):
                case "image_edit.partial_image" if shown < wanted:
                    shown += 1
                    await _show(call, told, shown)
                    await call.report(
                        FIRST_PERCENT + (LAST_PERCENT - FIRST_PERCENT) * shown // (wanted + 1)
                    )
                case "image_edit.completed":
                    return _Drawn(told, events.request_id, time.monotonic() - asked)
    raise ProviderError(
        Trouble.BROKEN, f"OpenAI's answer ended without a result [request {events.request_id}]"
    )


async def _show(call: Call, told: Mapping[str, Any], number: int) -> None:
    """Show an unfinished picture; one that is none is not worth a result."""
    picture = await asyncio.to_thread(
        _written, told.get("b64_json"), call.work_dir / f"unfinished-{number}"
    )
    if picture is not None:
        await call.show(picture)


def _parameters(request: Request, call: Call) -> dict[str, Any]:
    """The question without its files. Raises :class:`ProviderError` where it is none of ours."""
    if not isinstance(request, ImageEdit):
        raise ProviderError(Trouble.INVALID, f"no such work here: {type(request).__name__}")
    if not isinstance(call.options, IMAGE_EDIT.options_of(call.model)):
        raise ProviderError(Trouble.INVALID, f"not options of {call.model[:100]}")
    if not 0 < len(request.prompt) <= MAX_PROMPT_CHARS:
        raise ProviderError(Trouble.INVALID, f"a prompt of {len(request.prompt)} characters")
    if 1 + len(request.references) > MAX_IMAGES:
        raise ProviderError(Trouble.INVALID, f"more than {MAX_IMAGES} pictures")
    return {"model": call.model, "prompt": request.prompt, **parameters_of(call.options)}


def _parts(request: ImageEdit) -> list[Part]:
    """The files to send: the photo, then the references. Raises :class:`ProviderError`."""
    parts = []
    for number, file in enumerate((request.image, *request.references)):
        suffix = SUFFIXES.get(file.content_type)
        if suffix is None or file.path.stat().st_size > MAX_IMAGE_BYTES:
            raise ProviderError(Trouble.INVALID, "a picture OpenAI does not take")
        name = f"reference-{number}{suffix}" if number else f"photo{suffix}"
        parts.append((name, file.path.read_bytes(), file.content_type))
    return parts


def _written(told: Any, stem: Path) -> File | None:
    """The picture in an event, as a file; None where it is no PNG, JPEG or WebP."""
    try:
        content = base64.b64decode(told, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return None
    content_type = sniff(content[:SNIFF_BYTES])
    if content_type not in SUFFIXES:
        return None
    path = stem.with_suffix(SUFFIXES[content_type])
    path.write_bytes(content)
    return File(path, content_type)


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _left_s(until: datetime) -> float:
    return max((until - now()).total_seconds(), 0.0)


def _date(told: Any) -> date | None:
    try:
        return date.fromisoformat(told)
    except (TypeError, ValueError):
        return None


ADAPTER = OpenAi
