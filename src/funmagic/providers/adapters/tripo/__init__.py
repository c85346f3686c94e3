"""Tripo: a 3D model of a picture's subject, by its API of version 3.

A call is: the photo goes to Tripo (free); one POST makes the task; the task is asked for until it
is done; then come the files its addresses lead to, which are signed and made anew for every answer.
Only the POST costs, so only it is never repeated. Credits are taken when a task succeeds.
"""

from __future__ import annotations

import math
import re
import ssl
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from funmagic.core.clock import now
from funmagic.core.i18n import N_
from funmagic.providers.adapters.tripo import trouble
from funmagic.providers.adapters.tripo.options import (
    ModelOptions,
    P1Options,
    P2Options,
    V25Options,
    V30Options,
    V31Options,
)
from funmagic.providers.adapters.tripo.sdk import Balance, Task, TaskStatus
from funmagic.providers.adapters.tripo.wire import Line, Site, open_line, site_of
from funmagic.providers.contract import (
    Adapter,
    AdapterConfig,
    Answer,
    Call,
    Capability,
    Connection,
    File,
    Finished,
    Health,
    ImageTo3d,
    Offer,
    Pending,
    Place,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.providers.fetch import GLB, MEBIBYTE, Fetcher, Rules, tls_context

# Files come from names like tripo-data.rg1.data.tripo3d.com.
HOSTS = (".tripo3d.com", ".tripo3d.ai")
VAGUE = ("application/octet-stream", "binary/octet-stream")
MODELS = Rules(HOSTS, (GLB,), VAGUE, expire=True, limit_bytes=100 * MEBIBYTE)
PICTURES = Rules(HOSTS, vague_types=VAGUE, expire=True, limit_bytes=32 * MEBIBYTE)

POLL_S, SIMULATED_POLL_S = 3.0, 0.3
QUESTION_LIMIT_S = 20.0
UPLOAD_LIMIT_S = 90.0
CREATE_LIMIT_S = 45.0
PHOTO_LIMIT_BYTES = 20_000_000
MOST_CREDITS = 1e6

# The SDK takes anything else for a file of ours to upload, or for an address.
FILE_TOKEN = re.compile(r"file_[A-Za-z0-9-]{1,100}")
TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


class TripoCredentials(BaseModel):
    """``key`` is ``tsk_…``, as Tripo's platform shows it once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: SecretStr

    @field_validator("key")
    @classmethod
    def _is_one_of_tripos(cls, value: SecretStr) -> SecretStr:
        key = SecretStr(value.get_secret_value().strip())
        if not re.fullmatch(r"tsk_[!-~]{1,500}", key.get_secret_value()):
            raise ValueError("a Tripo key starts with tsk_ and has no spaces")
        return key


class TripoConfig(AdapterConfig):
    """What Tripo's credits are worth to this operator."""

    usd_per_100_credits: float = Field(
        default=1.0,
        ge=0,
        le=1_000,
        title=N_("US dollars for 100 credits"),
        description=N_("What the operator pays Tripo; costs are reckoned by it."),
    )
    assumed_credits: float = Field(
        default=30.0,
        ge=0,
        le=10_000,
        title=N_("Credits where Tripo tells none"),
        description=N_("Counted for a finished model whose answer does not say what it consumed."),
    )


class Tripo(Adapter):
    key = "tripo"
    label = "Tripo"
    offers: Mapping[Capability, Offer] = {
        Capability.IMAGE_TO_3D: Offer(
            models=(
                "v3.1-20260211",
                "v3.0-20250812",
                "v2.5-20250123",
                "P1-20260311",
                "P2-20260801",
            ),
            options_model=ModelOptions,
            options_by_model={
                "v3.1-20260211": V31Options,
                "v3.0-20250812": V30Options,
                "v2.5-20250123": V25Options,
                "P1-20260311": P1Options,
                "P2-20260801": P2Options,
            },
        ),
    }
    credentials_model = TripoCredentials
    config_model = TripoConfig

    def __init__(self) -> None:
        self._place: Place | None = None
        self._fetcher: Fetcher | None = None
        self._contexts: dict[bool, ssl.SSLContext] = {}

    def open(self, place: Place) -> None:
        if place != self._place:
            self._place = place
            self._fetcher = Fetcher(place)
            self._contexts = {}

    async def submit(self, request: Request, call: Call) -> Answer:
        """Upload the photo, then make one task. Raises :class:`ProviderError`."""
        if not isinstance(request, ImageTo3d):
            raise ProviderError(Trouble.INVALID, f"no such work here: {type(request).__name__}")
        offer = self.offers[Capability.IMAGE_TO_3D]
        known = (*offer.models, *call.connection.config.more_models)
        if call.model not in known:
            raise ProviderError(Trouble.UNAUTHORISED, f"not a model of ours: {call.model[:100]}")
        options = call.options
        if not isinstance(options, offer.options_of(call.model)):
            raise ProviderError(Trouble.INVALID, f"not options of {call.model[:100]}")
        assert isinstance(options, ModelOptions)  # as every model of the offer has
        line = self._line(call.connection)
        token = await _upload(line, request.image, call)
        if _left_s(call, CREATE_LIMIT_S) == 0:
            raise ProviderError(Trouble.TIMEOUT, "the deadline has passed")
        await call.begin()
        question = line.client.image_to_model(
            token, model_version=call.model, **options.parameters()
        )
        created = await line.ask(question, _left_s(call, CREATE_LIMIT_S), creates=True)
        return _pending(line, _checked_id(created), 0)

    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        """Ask for the task; where it is done, for its cost and, if wanted, its files."""
        line = self._line(call.connection)
        task_id = _checked_id(handle.get("taskId"))
        question = line.client.get_task(task_id)
        task: Task = await line.ask(question, _left_s(call, QUESTION_LIMIT_S))
        match task.status:
            case TaskStatus.QUEUED | TaskStatus.RUNNING:
                return _pending(line, task_id, min(max(task.progress, 0), 99))
            case TaskStatus.SUCCESS:
                return Finished(await self._result(line.site, task, call))
            case TaskStatus.UNKNOWN:
                told = str(task.raw.get("status"))[:100]
                raise ProviderError(Trouble.BROKEN, f"a task that is {told!r}", may_repeat=True)
            case _:
                credits = _credits(task) or 0.0
                raise trouble.of_task(task, line.key, _micros(credits, _config(call.connection)))

    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        """Nothing: Tripo has no way to stop a task. One that succeeds all the same is paid for."""

    async def check_health(self, connection: Connection) -> Health:
        """Ask for the balance, which is free and needs a key that is accepted."""
        try:
            line = self._line(connection)
            balance: Balance = await line.ask(line.client.get_balance(), QUESTION_LIMIT_S)
        except ProviderError as error:
            if error.trouble == Trouble.UNAUTHORISED:
                return Health(False, f"Tripo does not accept the key. {error.vendor_message}")
            return Health(False, f"Tripo is not usable. {error.vendor_message}")
        if not balance.balance > 0:
            return Health(False, "Tripo accepts the key, but the account is out of credits.")
        told = f"Balance: {balance.balance:,.10g} credits, {balance.frozen:,.10g} set aside."
        return Health(True, f"Tripo accepts the key. {told}")

    async def _result(self, site: Site, task: Task, call: Call) -> Result:
        config = _config(call.connection)
        told = _credits(task)
        cost = _micros(config.assumed_credits if told is None else told, config)
        meta: dict[str, Any] = {
            "taskId": task.task_id,
            "creditsConsumed": told,
            "usdPer100Credits": config.usd_per_100_credits,
            "isRelief": False,
        }
        if not call.wants_files:
            return Result((), cost, meta)
        try:
            model = await self._model(site, task, call)
        except ProviderError as error:
            error.cost_usd_micros = cost
            raise
        try:
            picture = await self._picture(site, task, call)
        except ProviderError as error:  # a picture is not worth a model
            return Result((model,), cost, meta | {"pictureTrouble": error.vendor_message})
        return Result((model,) if picture is None else (model, picture), cost, meta)

    async def _model(self, site: Site, task: Task, call: Call) -> File:
        url = task.output.model_url
        if not isinstance(url, str):
            raise ProviderError(Trouble.BROKEN, "Tripo's result names no model")
        file = await self._fetch(site, url, call.work_dir / "model.glb", MODELS, call)
        if not _is_whole(file.path):
            file.path.unlink()
            raise ProviderError(Trouble.BROKEN, "refused: kind: not a whole GLB of version 2")
        return file

    async def _picture(self, site: Site, task: Task, call: Call) -> File | None:
        url = task.output.rendered_image_url
        if not isinstance(url, str):
            return None
        return await self._fetch(site, url, call.work_dir / "picture", PICTURES, call)

    async def _fetch(self, site: Site, url: str, target: Path, rules: Rules, call: Call) -> File:
        assert self._fetcher is not None  # made together with the place that `site` is of
        return await self._fetcher.fetch(
            url, target, rules, deadline_at=call.deadline_at, simulator=site.simulator
        )

    def _line(self, connection: Connection) -> Line:
        """A line with this connection's key and no other's."""
        if self._place is None:
            raise ProviderError(Trouble.BROKEN, "Tripo was not opened at start")
        if not isinstance(connection.credentials, TripoCredentials):
            raise ProviderError(Trouble.UNAUTHORISED, "there is no key for Tripo")
        site = site_of(self._place, connection.base_url)
        is_simulated = site.simulator is not None
        if is_simulated not in self._contexts:
            self._contexts[is_simulated] = tls_context(self._place, simulated=is_simulated)
        key = connection.credentials.key.get_secret_value()
        return open_line(site, key, self._contexts[is_simulated])


async def _upload(line: Line, photo: File, call: Call) -> str:
    """Give Tripo the photo; returns its token. Costs nothing."""
    size_bytes = photo.path.stat().st_size
    if size_bytes > PHOTO_LIMIT_BYTES:
        raise ProviderError(Trouble.INVALID, f"a photo of {size_bytes} bytes is too large")
    question = line.client.upload_file(photo.path)
    told: dict[str, str] = await line.ask(question, _left_s(call, UPLOAD_LIMIT_S))
    if not FILE_TOKEN.fullmatch(told["file_token"]):
        raise ProviderError(Trouble.BROKEN, "Tripo named no token for the photo")
    return told["file_token"]


def _pending(line: Line, task_id: str, percent: int) -> Pending:
    poll_after_s = POLL_S if line.site.simulator is None else SIMULATED_POLL_S
    return Pending({"taskId": task_id}, percent, poll_after_s)


def _checked_id(told: Any) -> str:
    """What Tripo answered and what the database kept pass the same check: it goes into a path."""
    if not isinstance(told, str) or not TASK_ID.fullmatch(told):
        raise ProviderError(Trouble.BROKEN, "refused: a task without an id")
    return told


def _credits(task: Task) -> float | None:
    """What the task consumed; None where Tripo does not say."""
    told = task.credits_consumed
    return told if told is not None and 0 <= told <= MOST_CREDITS else None


def _micros(credits: float, config: TripoConfig) -> int:
    """Millionths of a US dollar, rounded up: a cost is not told smaller than it is."""
    return math.ceil(round(credits * config.usd_per_100_credits * 1e4, 3))


def _config(connection: Connection) -> TripoConfig:
    config = connection.config
    return config if isinstance(config, TripoConfig) else TripoConfig()


def _is_whole(path: Path) -> bool:
    """Whether a GLB is as long as it says and begins with its JSON (glTF 2.0, 4.4)."""
    with path.open("rb") as file:
        head = file.read(20)
    if len(head) < 20:
        return False
    _, version, length, json_bytes, kind = struct.unpack("<4sIII4s", head)
    size_bytes = path.stat().st_size
    return bool(
        version == 2 and length == size_bytes and kind == b"JSON" and 20 + json_bytes <= size_bytes
    )


def _left_s(call: Call, limit_s: float) -> float:
    return max(min((call.deadline_at - now()).total_seconds(), limit_s), 0.0)


ADAPTER = Tripo
