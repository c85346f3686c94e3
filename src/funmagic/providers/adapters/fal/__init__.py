"""fal.ai: background removal by its queue.

A call is: the photo goes to fal's storage (free, and gone after an hour); one POST makes the job;
its status is asked for until it is done; then its result, and the file the result points to. Only
the POST costs, so only it is never repeated. The SDK's handles ask for status and cancel; whatever
the SDK keeps for a whole process (keys, hosts, clients) is not used.
"""

from __future__ import annotations

import json
import math
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fal_client import Completed, InProgress, Queued, Status
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from funmagic.core.clock import now
from funmagic.providers.adapters.fal import trouble
from funmagic.providers.adapters.fal.prices import Prices, micros, units_in
from funmagic.providers.adapters.fal.trouble import Answered
from funmagic.providers.adapters.fal.wire import (
    ANSWER_NAMES,
    HANDLE_NAMES,
    Job,
    Line,
    Sites,
    object_in,
    open_line,
    sites_of,
)
from funmagic.providers.contract import (
    Adapter,
    Answer,
    BackgroundRemoval,
    Call,
    Capability,
    Connection,
    File,
    Finished,
    Health,
    Offer,
    Options,
    Pending,
    Place,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.providers.fetch import Fetcher, Rules, tls_context

RESULTS = Rules(hosts=("fal.media", ".fal.media"), content_types=("image/png",))

PHOTO_KEPT_S = 3600
RESULT_KEPT_S = 86_400
POLL_S, SIMULATED_POLL_S = 1.5, 0.3
QUESTION_LIMIT_S = 20.0
UPLOAD_LIMIT_S = 90.0
CREATE_LIMIT_S = 45.0
CHUNK_BYTES = 1 << 16
# fal takes only a longer one.
SHORTEST_WAIT_S = 1.5


class FalCredentials(BaseModel):
    """``key`` is ``id:secret``, as fal's dashboard shows it once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretStr

    @field_validator("key")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        key = SecretStr(value.get_secret_value().strip())
        if not re.fullmatch(r"[!-~]{1,500}", key.get_secret_value()):
            raise ValueError("a key has printable characters only, without spaces")
        return key


class BackgroundRemovalOptions(Options):
    """``unit_price_usd`` is what one result costs, used where fal does not tell its price."""

    unit_price_usd: float = Field(default=0.018, ge=0, le=100)


class Fal(Adapter):
    key = "fal"
    label = "fal.ai"
    offers: Mapping[Capability, Offer] = {
        Capability.BACKGROUND_REMOVAL: Offer(
            ("fal-ai/bria/background/remove",), BackgroundRemovalOptions
        ),
    }
    credentials_model = FalCredentials

    def __init__(self) -> None:
        self._place: Place | None = None
        self._fetcher: Fetcher | None = None
        self._prices = Prices()
        self._contexts: dict[Path | None, ssl.SSLContext] = {}
        self._networks: dict[Path | None, httpx.AsyncHTTPTransport] = {}

    def open(self, place: Place) -> None:
        if place != self._place:
            self._place = place
            self._fetcher = Fetcher(place)

    async def submit(self, request: Request, call: Call) -> Answer:
        """Upload the photo, then make one job. Raises :class:`ProviderError`."""
        offer = self.offers[Capability.BACKGROUND_REMOVAL]
        if not isinstance(request, BackgroundRemoval):
            raise ProviderError(Trouble.INVALID, f"no such work here: {type(request).__name__}")
        if not isinstance(call.options, BackgroundRemovalOptions) or call.model not in offer.models:
            raise ProviderError(Trouble.INVALID, f"not a call for {call.model[:100]}")
        async with self._line(call.connection) as line:
            photo_url = await _upload(line, request.image, call)
        # Over a connection of its own: one kept open may be closed by fal just as we write to it,
        # and then nobody could say whether a job was made.
        async with self._line(call.connection, fresh=True) as line:
            await call.begin()
            told = object_in(await _create(line, call, {"image_url": photo_url}))
            job = Job.checked(line.sites, told, ANSWER_NAMES)
            return _pending(line, job, _percent_of_place(told.get("queue_position")))

    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        """Ask for the job's status; where it is done, for its cost and, if wanted, its file."""
        async with self._line(call.connection) as line:
            job = Job.checked(line.sites, handle, HANDLE_NAMES)
            status = await _status(line, job, call)
            if not isinstance(status, Completed):
                return _pending(line, job, _percent(status))
            if status.error or status.error_type:
                raise trouble.of_status(status.error, status.error_type, line.key)
            return Finished(await self._result(line, job, status, call))

    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        """Ask for the end of a job; one that has ended, or that fal has forgotten, is fine."""
        async with self._line(call.connection) as line:
            job = Job.checked(line.sites, handle, HANDLE_NAMES)
            try:
                await line.ask(line.handle(job).cancel(), QUESTION_LIMIT_S)
            except ProviderError as error:
                if not (
                    isinstance(error.__cause__, Answered) and error.__cause__.status in (400, 404)
                ):
                    raise

    async def check_health(self, connection: Connection) -> Health:
        """Ask for an upload's token, which is free and needs a key that is accepted."""
        try:
            async with self._line(connection) as line:
                await _token(line, QUESTION_LIMIT_S)
        except ProviderError as error:
            if error.trouble == Trouble.UNAUTHORISED:
                return Health(False, f"fal.ai does not accept the key. {error.vendor_message}")
            return Health(False, f"fal.ai is not usable. {error.vendor_message}")
        return Health(True, "fal.ai accepts the key.")

    async def close(self) -> None:
        networks, self._networks = list(self._networks.values()), {}
        for network in networks:
            await network.aclose()

    async def _result(self, line: Line, job: Job, status: Completed, call: Call) -> Result:
        question = line.client.get(job.response_url)
        try:
            answer = await line.ask(question, _left_s(call, QUESTION_LIMIT_S))
        except ProviderError as error:
            failed = error.__cause__
            if isinstance(failed, Answered) and (units := units_in(failed.headers)):
                error.cost_usd_micros = micros(units, await self._unit_price(line, call))
            raise
        units = units_in(answer.headers)
        price_usd = await self._unit_price(line, call)
        cost = micros(1.0 if units is None else units, price_usd)
        meta = {
            "requestId": job.request_id,
            "billableUnits": units,
            "unitPriceUsd": price_usd,
            "inferenceS": _inference_s(status.metrics),
        }
        if not call.wants_files:
            return Result((), cost, meta)
        try:
            file = await self._fetch(line.sites, object_in(answer), call)
        except ProviderError as error:
            error.cost_usd_micros = cost
            raise
        return Result((file,), cost, meta)

    async def _fetch(self, sites: Sites, told: Mapping[str, Any], call: Call) -> File:
        image = told.get("image")
        url = image.get("url") if isinstance(image, dict) else None
        if not isinstance(url, str):
            raise ProviderError(Trouble.BROKEN, "fal's result names no file")
        assert self._fetcher is not None  # made together with the place that `sites` is of
        return await self._fetcher.fetch(
            url,
            call.work_dir / "cutout.png",
            RESULTS,
            deadline_at=call.deadline_at,
            simulator=sites.simulator,
        )

    async def _unit_price(self, line: Line, call: Call) -> float:
        assert isinstance(call.options, BackgroundRemovalOptions)
        return await self._prices.of_unit(line, call.model, call.options.unit_price_usd)

    @asynccontextmanager
    async def _line(self, connection: Connection, *, fresh: bool = False) -> AsyncIterator[Line]:
        """A line with this connection's key, over kept connections, which know no key, or not."""
        if self._place is None:
            raise ProviderError(Trouble.BROKEN, "fal.ai was not opened at start")
        if not isinstance(connection.credentials, FalCredentials):
            raise ProviderError(Trouble.UNAUTHORISED, "there is no key for fal.ai")
        sites = sites_of(self._place, connection.base_url)
        key = connection.credentials.key.get_secret_value()
        ca_file = self._place.ca_file if sites.simulator is not None else None
        network = self._network(self._place, ca_file) if fresh else self._kept(self._place, ca_file)
        try:
            async with open_line(network, sites, key) as line:
                yield line
        finally:
            if fresh:
                await network.aclose()

    def _kept(self, place: Place, ca_file: Path | None) -> httpx.AsyncHTTPTransport:
        if ca_file not in self._networks:
            self._networks[ca_file] = self._network(place, ca_file)
        return self._networks[ca_file]

    def _network(self, place: Place, ca_file: Path | None) -> httpx.AsyncHTTPTransport:
        if ca_file not in self._contexts:
            self._contexts[ca_file] = tls_context(place, simulated=ca_file is not None)
        return httpx.AsyncHTTPTransport(
            verify=self._contexts[ca_file], trust_env=False, http2=False, retries=0
        )


async def _upload(line: Line, photo: File, call: Call) -> str:
    """Put the photo into fal's storage for an hour; returns its address there. Costs nothing."""
    token = await _token(line, _left_s(call, QUESTION_LIMIT_S))
    lifecycle = json.dumps({"expiration_duration_seconds": PHOTO_KEPT_S})
    question = line.client.post(
        f"{line.sites.cdn}/files/upload",
        content=_chunks(photo.path),
        headers={
            "Authorization": token,
            "Content-Type": photo.content_type,
            "Content-Length": str(_size_bytes(photo.path)),
            "X-Fal-File-Name": "photo",
            "X-Fal-Object-Lifecycle": lifecycle,
            "X-Fal-Object-Lifecycle-Preference": lifecycle,
        },
    )
    told = object_in(await line.ask(question, _left_s(call, UPLOAD_LIMIT_S)))
    address = told.get("access_url")
    if not isinstance(address, str):
        raise ProviderError(Trouble.BROKEN, "fal's storage named no address")
    return address


async def _token(line: Line, limit_s: float) -> str:
    """What an upload is authorised by in place of the key."""
    question = line.client.post(
        f"{line.sites.rest}/storage/auth/token", params={"storage_type": "fal-cdn-v3"}, json={}
    )
    told = object_in(await line.ask(question, limit_s))
    token = f"{told.get('token_type')} {told.get('token')}"
    if not re.fullmatch(r"[A-Za-z]{1,20} [!-~]{1,4000}", token):
        raise ProviderError(Trouble.BROKEN, "fal's storage gave no token")
    return token


async def _create(line: Line, call: Call, model_input: Mapping[str, Any]) -> httpx.Response:
    """The one question that costs. A job that has not begun by our deadline need not begin."""
    wait_s = max(_left_s(call, RESULT_KEPT_S), SHORTEST_WAIT_S)
    lifecycle = json.dumps({"expiration_duration_seconds": RESULT_KEPT_S})
    question = line.client.post(
        f"{line.sites.queue}/{call.model}",
        json=model_input,
        headers={
            "X-Fal-No-Retry": "1",
            "X-Fal-Request-Timeout": f"{wait_s:.1f}",
            "X-Fal-Object-Lifecycle-Preference": lifecycle,
        },
    )
    return await line.ask(question, _left_s(call, CREATE_LIMIT_S), creates=True)


async def _status(line: Line, job: Job, call: Call) -> Status:
    question = line.handle(job).status(with_logs=True)
    try:
        return await line.ask(question, _left_s(call, QUESTION_LIMIT_S))
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:  # the SDK's reader, over another shape
        raise ProviderError(
            Trouble.BROKEN, f"fal's status cannot be read: {error!r}"[:200], may_repeat=True
        ) from None


def _pending(line: Line, job: Job, percent: int) -> Pending:
    poll_after_s = POLL_S if line.sites.simulator is None else SIMULATED_POLL_S
    return Pending(job.as_handle(), percent, poll_after_s)


def _percent(status: Status) -> int:
    """How far a job is: its place in the queue, then what it has said. Never goes back."""
    if isinstance(status, Queued):
        return _percent_of_place(status.position)
    if not isinstance(status, InProgress):
        return 10
    logs: Any = status.logs  # as fal sent them
    entries = logs if isinstance(logs, list) else []
    lines = [str(entry.get("message")) for entry in entries if isinstance(entry, dict)]
    told = [int(found) for line in lines for found in re.findall(r"\b(\d{1,2}|100)\s?%", line)]
    by_lines = 20 + 60 * (1 - 0.8 ** len(lines))
    return round(min(max([by_lines, *(20 + 0.7 * percent for percent in told)]), 90))


def _percent_of_place(position: object) -> int:
    return max(1, 10 - position) if isinstance(position, int) and position >= 0 else 1


def _inference_s(metrics: Any) -> float | None:
    told = metrics.get("inference_time") if isinstance(metrics, dict) else None
    return float(told) if isinstance(told, int | float) and math.isfinite(told) else None


def _left_s(call: Call, limit_s: float) -> float:
    return max(min((call.deadline_at - now()).total_seconds(), limit_s), 0.0)


def _size_bytes(path: Path) -> int:
    return path.stat().st_size


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


ADAPTER = Fal
