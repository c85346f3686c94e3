"""A line to Tripo over its SDK: every question is asked exactly once, over a connection of its own.

The SDK builds requests and reads answers; what carries them is ours. The SDK's own carrier believes
only the system's certificates or none at all, follows redirects with the key in hand, reads answers
of any length, and asks a second and third time as it sees fit. So its client gets another one, of
the class the SDK has for that purpose. It speaks of trouble by errors that the SDK does not know,
:class:`Unanswered` and :class:`Answered`, and the SDK passes them on at the first one.
"""

from __future__ import annotations

import asyncio
import io
import json
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from funmagic.core.image_types import SNIFF_BYTES, sniff
from funmagic.providers.adapters.tripo import trouble
from funmagic.providers.adapters.tripo.sdk import (
    HttpBackend,
    TripoAPIError,
    TripoClient,
    TripoError,
)
from funmagic.providers.adapters.tripo.trouble import Answered, Unanswered
from funmagic.providers.contract import Place, ProviderError, Trouble
from funmagic.providers.origins import Origin, simulator_of

T = TypeVar("T")

TRIPO = "https://openapi.tripo3d.ai"
ANSWER_LIMIT_BYTES = 1 << 20
CHUNK_BYTES = 1 << 16
TIMEOUTS = aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0)
NO_ANSWER = (aiohttp.ClientError, TimeoutError, OSError)
# What the SDK's readers raise over an answer of another shape.
UNREADABLE = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError),
    *(TypeError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Site:
    """Where Tripo is: what its paths (``/v3/…``) follow, without a slash at the end."""

    base: str
    simulator: Origin | None = None


def site_of(place: Place, base_url: str | None) -> Site:
    """Tripo itself, or where it is simulated: everything below ``base_url``.

    Raises :class:`ProviderError` for a base URL that leads anywhere else.
    """
    simulator = simulator_of(place, base_url)
    if base_url is None or simulator is None:
        return Site(TRIPO)
    return Site(base_url.rstrip("/"), simulator)


@dataclass(frozen=True, slots=True)
class Line:
    """One call's line to Tripo: an SDK client with the key of this call and of no other."""

    client: TripoClient
    site: Site
    key: str = field(repr=False)

    async def ask(self, question: Awaitable[T], limit_s: float, *, creates: bool = False) -> T:
        """Await an answer for at most so long.

        Raises :class:`ProviderError`. One that ``creates`` may be repeated only where it certainly
        made nothing; any other question also where the answer may be another one next time.
        """
        try:
            async with asyncio.timeout(limit_s):
                return await question
        except TimeoutError:
            failure = ProviderError(
                Trouble.TIMEOUT,
                f"Tripo did not answer within {limit_s:.0f} s",
                may_repeat=not creates,
            )
        except Unanswered as silence:
            failure = ProviderError(
                silence.trouble,
                trouble.words(str(silence), self.key),
                may_repeat=silence.never_sent or not creates,
            )
        except Answered as answer:
            failure = trouble.of_answer(answer, creates=creates, key=self.key)
        except TripoAPIError as error:
            failure = trouble.of_code(error, creates=creates, key=self.key)
        except (TripoError, *UNREADABLE) as error:
            failure = ProviderError(
                Trouble.BROKEN,
                trouble.words(f"Tripo's answer cannot be read: {error}", self.key),
                may_repeat=not creates,
            )
        raise failure  # out here, as nothing may come with it that quotes the key


def open_line(site: Site, key: str, context: ssl.SSLContext) -> Line:
    """A line that believes these certificates. It holds nothing open between questions."""
    client = TripoClient(api_key=key, v3_base_url=site.base)
    client._http = _AskedOnce(key, site.base, context)
    return Line(client, site, key)


class _AskedOnce(HttpBackend):  # type: ignore[misc]  # the SDK ships no types
    """Carries one request; anything but a success is an error that nobody repeats."""

    def __init__(self, key: str, base_url: str, context: ssl.SSLContext) -> None:
        super().__init__(key, base_url)
        self._context = context

    async def _send(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None,
        json_data: Mapping[str, Any] | None,
    ) -> tuple[int, str, str | None]:
        """As the SDK wants it: status, text, Retry-After."""
        body = None if json_data is None else json.dumps(json_data).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        return 200, await self._ask(method, url, headers, params=params, data=body), None

    async def upload_multipart(self, path: str, file_path: str, field_name: str = "file") -> Any:
        """A photo as a form. Its name is none of Tripo's business, and its type is what it is."""
        photo = await asyncio.to_thread(Path(file_path).read_bytes)
        content_type = sniff(photo[:SNIFF_BYTES]) or "application/octet-stream"
        name = f"photo.{content_type.rpartition('/')[2]}"
        form = aiohttp.FormData()
        form.add_field(field_name, io.BytesIO(photo), filename=name, content_type=content_type)
        text = await self._ask("POST", self._url(path), {}, data=form)
        return self.parse_envelope(json.loads(text))

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], **more: Any) -> str:
        """The text of a successful answer. Raises :class:`Unanswered` and :class:`Answered`."""
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=self._context, force_close=True),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    timeout=TIMEOUTS,
                    trust_env=False,
                    auto_decompress=False,
                    middlewares=(_fail_at_once,),
                ) as session,
                session.request(
                    method,
                    url,
                    headers={**self._api_headers(), "Accept-Encoding": "identity", **headers},
                    allow_redirects=False,
                    **more,
                ) as answer,
            ):
                body = await _read(answer)
                if not 200 <= answer.status < 300:
                    raise Answered(answer.status, answer.headers.get("Retry-After"), body)
                return body.decode()
        except NO_ANSWER as error:  # or half of one
            raise Unanswered.because_of(error) from None


async def _fail_at_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The carrier below would send a GET twice, if its own errors came through to it."""
    try:
        return await handler(request)
    except NO_ANSWER as error:
        raise Unanswered.because_of(error) from None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Unanswered(Trouble.BROKEN, "Tripo's answer is encoded, which we did not ask for")
    body = bytearray()
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        body += chunk
        if len(body) > ANSWER_LIMIT_BYTES:
            raise Unanswered(Trouble.BROKEN, "Tripo's answer is far too long")
    return bytes(body)
