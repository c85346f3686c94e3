"""What an adapter promises: typed requests in, files and a cost out, trouble named.

A *capability* is a kind of work a vendor can do, with one request type each. An *adapter* is one
module that speaks one vendor's protocol. The task engine, never the adapter, decides when a call is
made, writes down that it will be made, and writes down what came back; so an adapter is free of
retries, of money and of the database.

The life of one call, as the engine drives it:

1. ``submit`` is called once. It awaits ``call.begin()`` directly before the request that makes a
   job, after all that is free (uploads, tokens), and lets through what that raises. It answers
   :class:`Finished` where the vendor returns the result directly, or :class:`Pending` with a handle
   where the vendor works in the background.
2. The handle is stored. From then on only ``poll`` is called, by whichever worker holds the task.
3. ``cancel`` asks the vendor to stop; what happened afterwards is still learned by ``poll``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from funmagic.core.i18n import N_


class Capability(StrEnum):
    """A kind of work; each has exactly one request type in this module."""

    BACKGROUND_REMOVAL = "background_removal"
    IMAGE_EDIT = "image_edit"
    IMAGE_TO_3D = "image_to_3d"


class Trouble(StrEnum):
    """What went wrong at a vendor, in the only distinctions the product acts on."""

    BUSY = "busy"  # rate limit or overload: the same call may succeed later
    REFUSED = "refused"  # the vendor will not do this content
    INVALID = "invalid"  # the input or an option is not acceptable
    BROKEN = "broken"  # the vendor failed
    TIMEOUT = "timeout"  # no answer in time
    # what we are not given: our key is missing, wrong or out of funds, or the model is not ours
    UNAUTHORISED = "unauthorised"


class ProviderError(Exception):
    """A vendor's failure. ``vendor_message`` is for operators and is never shown to a user.

    ``may_repeat`` says that asking changed nothing and the same question may be asked again: a
    ``submit`` that certainly made no job, a ``poll`` or a download that got no answer. Without it a
    failed ``submit`` may have made a job, and a failed ``poll`` is the end of the job.
    ``retry_after_s`` is how long the vendor wants to be left alone. ``cost_usd_micros`` is what the
    failed call cost the operator all the same.
    """

    def __init__(
        self,
        trouble: Trouble,
        vendor_message: str,
        *,
        may_repeat: bool = False,
        retry_after_s: float | None = None,
        cost_usd_micros: int = 0,
    ) -> None:
        super().__init__(f"{trouble}: {vendor_message}")
        self.trouble = trouble
        self.vendor_message = vendor_message
        self.may_repeat = may_repeat
        self.retry_after_s = retry_after_s
        self.cost_usd_micros = cost_usd_micros


@dataclass(frozen=True, slots=True)
class File:
    """A file on the worker's disk, alive as long as the call's work directory."""

    path: Path
    content_type: str


@dataclass(frozen=True, slots=True)
class BackgroundRemoval:
    """Request of ``background_removal``: one upright RGB(A) PNG, JPEG or WebP.

    Result: one PNG of the same width and height with an alpha channel.
    """

    image: File


@dataclass(frozen=True, slots=True)
class ImageEdit:
    """Request of ``image_edit``: one photo, drawn anew as ``prompt`` says.

    ``image`` and ``references`` (at most 8, pictures whose style is wanted) are upright PNG, JPEG
    or WebP; ``prompt`` has at most 8,000 characters. Result: one PNG, JPEG or WebP of any size.
    """

    image: File
    prompt: str
    references: tuple[File, ...] = ()


@dataclass(frozen=True, slots=True)
class ImageTo3d:
    """Request of ``image_to_3d``: one upright PNG, JPEG or WebP of a single subject.

    Result: one GLB (glTF 2.0 binary, ``model/gltf-binary``), then, where the vendor makes one, a
    PNG, JPEG or WebP picture of it. ``meta["isRelief"]`` is True where the model has a front only.
    """

    image: File


Request = BackgroundRemoval | ImageEdit | ImageTo3d


@dataclass(frozen=True, slots=True)
class Result:
    """Files a vendor made. ``cost_usd_micros`` is what the call cost the operator."""

    files: tuple[File, ...]
    cost_usd_micros: int = 0
    meta: Mapping[str, Any] = field(
        default_factory=dict
    )  # tokens, latency, request ids: no secrets


@dataclass(frozen=True, slots=True)
class Pending:
    """The vendor is working. ``handle`` is JSON and enough to find the job again after a crash."""

    handle: Mapping[str, Any]
    progress: int | None = None  # percent, where the vendor tells
    poll_after_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Finished:
    result: Result


Answer = Pending | Finished


class Options(BaseModel):
    """Base of every options model: what an admin may set for one model of one capability.

    A field's ``title`` and ``description`` are English message ids: the admin's form is drawn from
    them. Every field has a default.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class AdapterConfig(BaseModel):
    """Base of what an operator may set for a whole vendor and that is no secret: price tables.

    Drawn as a form and stored as JSON (camelCase). ``more_models`` are ids the vendor has come out
    with since this release; they take the options of ``Offer.options_model``.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    more_models: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        default=(),
        max_length=20,
        title=N_("Further models"),
        description=N_("Model ids the vendor has added since this release."),
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """What an adapter can do for one capability. The first model is the recommended one.

    A model not in ``options_by_model`` takes ``options_model``.
    """

    models: tuple[str, ...]
    options_model: type[Options] = Options
    options_by_model: Mapping[str, type[Options]] = field(default_factory=dict)

    def options_of(self, model: str) -> type[Options]:
        """What may be set for this model, also for one that is not in ``models``."""
        return self.options_by_model.get(model, self.options_model)


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the vendor: decrypted credentials live here and nowhere else.

    ``config`` is the adapter's ``config_model`` as the operator filled it in.
    """

    credentials: BaseModel | None = field(default=None, repr=False)
    base_url: str | None = None
    config: AdapterConfig = field(default_factory=AdapterConfig)


async def _note_nothing() -> None:
    """For calls that are not on record."""


async def _show_nobody(_: File) -> None:
    """For calls nobody watches."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call's surroundings.

    ``report`` takes a percentage 0..99 and may be awaited as often as the vendor speaks: the engine
    thins it out. ``begin`` writes down that a job is about to be made, and raises where it must not
    be made any more. ``work_dir`` is the call's own empty directory and is deleted afterwards.
    ``show`` takes an unfinished picture (PNG, JPEG or WebP in ``work_dir``) for the person who
    waits; it is copied before ``show`` returns.
    Where ``wants_files`` is False nobody waits for the result any more: ``poll`` tells the cost
    alone and fetches no file.
    """

    id: UUID
    model: str
    options: Options
    connection: Connection
    work_dir: Path
    deadline_at: datetime
    report: Callable[[int], Awaitable[None]]
    begin: Callable[[], Awaitable[None]] = _note_nothing
    show: Callable[[File], Awaitable[None]] = _show_nobody
    wants_files: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where an adapter runs: what one process of ours lends to every adapter in it.

    ``models_dir`` holds weights taken there at set-up; ``parallel_calls`` is how many calls the
    process makes at once at most. Where vendors are simulated on this machine, and only there,
    ``loopback_allowed`` is True, and ``ca_file`` holds the certificate (PEM) they answer with.
    ``gateways`` are the origins (``https://host``) of the operator's own gateways to vendors: what
    reads the environment decides where keys may go, not a row in a table.
    """

    models_dir: Path
    parallel_calls: int = 2
    loopback_allowed: bool = False
    ca_file: Path | None = None
    gateways: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Health:
    """``ok`` is None where the adapter cannot tell without spending money.

    ``retiring`` holds the days from which models of ours will be (or are) gone, as the vendor tells
    them; ``listed`` the ids of models the vendor says this account may use, where it says so.
    """

    ok: bool | None
    message: str
    retiring: Mapping[str, date] = field(default_factory=dict)
    listed: tuple[str, ...] = ()


class Adapter(ABC):
    """One vendor. Class attributes describe it; the methods raise only :class:`ProviderError`."""

    key: str
    label: str
    offers: Mapping[Capability, Offer]
    credentials_model: type[BaseModel] | None = None
    config_model: type[AdapterConfig] = AdapterConfig
    # True where a create costs nothing and leaves nothing behind: after a crash between the intent
    # and the answer the engine may simply submit again.
    repeatable: bool = False
    # True where the vendor's protocol may be spoken to a gateway of the operator's in its place:
    # nothing in an answer leads back to the vendor's own addresses.
    takes_gateway: bool = False

    def open(self, place: Place) -> None:
        """Learn where this process runs. Called before anything else; starts nothing yet."""

    @abstractmethod
    async def submit(self, request: Request, call: Call) -> Answer:
        """Ask once. Never retries: a lost answer to a create may mean a paid job."""

    @abstractmethod
    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        """Ask how a background job is doing. Safe to repeat."""

    @abstractmethod
    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        """Ask the vendor to stop a background job. Says nothing about whether it did."""

    @abstractmethod
    async def check_health(self, connection: Connection) -> Health:
        """Say whether the vendor is reachable with these credentials, at no cost."""

    async def close(self) -> None:
        """Free what the adapter holds (pools, clients). Called once, at the worker's end."""
