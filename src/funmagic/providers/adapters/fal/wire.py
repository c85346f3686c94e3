"""fal's addresses, and a line to them: every question is asked exactly once.

fal's SDK repeats what fails, creates among them, up to ten times and without reading Retry-After.
It knows httpx's errors and its own. So our transport speaks of trouble by errors of neither kind,
:class:`Unanswered` and :class:`Answered`, and the SDK's handles pass them on at the first one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass, field
from typing import Any, TypeVar

import httpx
from fal_client import AsyncRequestHandle

from funmagic.providers.adapters.fal import trouble
from funmagic.providers.adapters.fal.trouble import Answered, Unanswered
from funmagic.providers.contract import Place, ProviderError, Trouble
from funmagic.providers.fetch import USER_AGENT
from funmagic.providers.origins import Origin, refuse, simulator_of

T = TypeVar("T")

ANSWER_LIMIT_BYTES = 1 << 20
TIMEOUTS = {"connect": 10.0, "read": 30.0, "write": 30.0, "pool": 10.0}
# What may follow a queue's host in the address of a job: no query, no dots to climb by.
JOB_PATH = re.compile(r"(/(?!\.+(/|\Z))[A-Za-z0-9._~-]+)+")
REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, slots=True)
class Sites:
    """Where fal's parts are, without a slash at the end; ``queues`` are where jobs may be."""

    queues: tuple[str, ...]
    rest: str
    cdn: str
    api: str
    simulator: Origin | None = None

    @property
    def queue(self) -> str:
        """Where jobs are made."""
        return self.queues[0]


FAL = Sites(
    queues=("https://queue.fal.run", "https://queue.falrun.com"),
    rest="https://rest.fal.ai",
    cdn="https://v3.fal.media",
    api="https://api.fal.ai",
)


def sites_of(place: Place, base_url: str | None) -> Sites:
    """fal itself, or where it is simulated: everything below ``base_url``.

    Raises :class:`ProviderError` for a base URL that leads anywhere else.
    """
    simulator = simulator_of(place, base_url)
    if base_url is None or simulator is None:
        return FAL
    base = base_url.rstrip("/")
    return Sites((f"{base}/queue",), f"{base}/rest", f"{base}/cdn", f"{base}/api", simulator)


@dataclass(frozen=True, slots=True)
class Job:
    """What finds a job again. Every address lies at fal's queue: the key is sent there."""

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str

    @classmethod
    def checked(cls, sites: Sites, told: Mapping[str, Any], names: tuple[str, ...]) -> Job:
        """Read the four values by these names. Raises :class:`ProviderError` for any other place.

        What fal answered and what the database kept pass the same check.
        """
        request_id, *addresses = (str(told.get(name) or "") for name in names)
        if not REQUEST_ID.fullmatch(request_id):
            refuse("a job without a request id")
        for address in addresses:
            if not _is_at_a_queue(sites, address):
                refuse(f"a job at {address[:100]!r}, which is not fal's queue")
        return cls(request_id, *addresses)

    def as_handle(self) -> dict[str, str]:
        """JSON for the record."""
        return dict(zip(HANDLE_NAMES, astuple(self), strict=True))


HANDLE_NAMES = ("requestId", "statusUrl", "responseUrl", "cancelUrl")
ANSWER_NAMES = ("request_id", "status_url", "response_url", "cancel_url")


def _is_at_a_queue(sites: Sites, address: str) -> bool:
    return any(
        address.startswith(f"{queue}/") and JOB_PATH.fullmatch(address.removeprefix(queue))
        for queue in sites.queues
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One call's line to fal: a client that holds the key of this call and of no other."""

    client: httpx.AsyncClient
    sites: Sites
    key: str = field(repr=False)

    def handle(self, job: Job) -> AsyncRequestHandle:
        """The SDK's hand on a job, over our line."""
        return AsyncRequestHandle(
            request_id=job.request_id,
            response_url=job.response_url,
            status_url=job.status_url,
            cancel_url=job.cancel_url,
            client=self.client,
        )

    async def ask(self, question: Awaitable[T], limit_s: float, *, creates: bool = False) -> T:
        """Await an answer for at most so long.

        Raises :class:`ProviderError`, whose cause is :class:`Answered` where fal answered. One that
        ``creates`` may be repeated only where it certainly made nothing; any other question also
        where the answer may be another one next time.
        """
        try:
            async with asyncio.timeout(limit_s):
                return await question
        except TimeoutError:
            raise ProviderError(
                Trouble.TIMEOUT,
                f"fal did not answer within {limit_s:.0f} s",
                may_repeat=not creates,
            ) from None
        except Unanswered as silence:
            raise ProviderError(
                silence.trouble, str(silence), may_repeat=silence.never_sent or not creates
            ) from None
        except Answered as answer:
            raise trouble.of_answer(answer, creates=creates, key=self.key) from answer


@asynccontextmanager
async def open_line(
    network: httpx.AsyncBaseTransport, sites: Sites, key: str
) -> AsyncIterator[Line]:
    """A line over a network that others share; the client and its key end with the block."""
    client = httpx.AsyncClient(
        transport=_AskedOnce(network),
        headers={
            "Authorization": f"Key {key}",
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        },
        follow_redirects=False,
        trust_env=False,
    )
    async with client:
        yield Line(client, sites, key)


def object_in(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer. Raises :class:`ProviderError` where it is none."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ProviderError(Trouble.BROKEN, "fal's answer is no JSON object")
    return body


class _AskedOnce(httpx.AsyncBaseTransport):
    """Reads small answers whole; anything but a success is an error that nobody repeats."""

    def __init__(self, network: httpx.AsyncBaseTransport) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # Also in place of what the SDK sets for single questions.
        request.extensions = {**request.extensions, "timeout": TIMEOUTS}
        try:
            answer = await self._network.handle_async_request(request)
            try:
                body = await _read(answer)
            finally:
                await answer.aclose()
        except httpx.TransportError as error:
            raise Unanswered.because_of(error) from None
        if not answer.is_success:
            raise Answered(answer.status_code, answer.headers, body)
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)

    # The network is shared, and outlives this client: no aclose() of our own.


async def _read(answer: httpx.Response) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise Unanswered(Trouble.BROKEN, "fal's answer is encoded, which we did not ask for")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            raise Unanswered(Trouble.BROKEN, "fal's answer is far too long")
    return bytes(body)
