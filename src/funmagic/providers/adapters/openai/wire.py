"""A line to OpenAI by the official SDK: one client for one call, every question asked once.

The SDK reads keys, addresses and headers from the environment, repeats what fails, follows
redirects and reads answers of any length. So each client is given everything, repeats nothing, and
speaks through a transport of ours that sends this call's headers and no others.

Importing this module imports the SDK, which takes over a second.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
import openai

from funmagic.providers.adapters.openai import trouble
from funmagic.providers.adapters.openai.trouble import Unreadable
from funmagic.providers.contract import ProviderError, Trouble
from funmagic.providers.fetch import USER_AGENT

T = TypeVar("T")
# Name, content and content type of a file to send.
Part = tuple[str, bytes, str]

CONNECT_LIMIT_S = 10.0
# One finished picture and three unfinished ones of 4K, in base64.
ANSWER_LIMIT_BYTES = 192 << 20
# What the SDK may say about a request; everything else it was told by the environment.
SDK_HEADERS = ("host", "accept", "content-type", "content-length", "transfer-encoding")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom OpenAI lets in, and who pays."""

    key: str = field(repr=False)
    organization: str | None = field(default=None, repr=False)
    project: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(it for it in (self.key, self.organization, self.project) if it)

    @property
    def headers(self) -> dict[str, str]:
        named = {"openai-organization": self.organization, "openai-project": self.project}
        return {"authorization": f"Bearer {self.key}"} | {
            name: value for name, value in named.items() if value
        }


@dataclass(frozen=True, slots=True)
class Line:
    """One call's line: a client that holds the key of this call and of no other."""

    client: openai.AsyncOpenAI
    secrets: tuple[str, ...] = field(repr=False)

    async def edit(
        self, images: Sequence[Part], parameters: Mapping[str, Any], limit_s: float
    ) -> Events:
        """The one question that costs; answered by events. Raises :class:`ProviderError`."""
        question = self.client.images.edit(image=list(images), stream=True, **parameters)
        return Events(await self.ask(question, limit_s), self)

    async def models(self, limit_s: float) -> list[dict[str, Any]]:
        """What the account may use, as told: ``id``, ``shutdown_date`` and more."""
        page = await self.ask(_first_page(self.client), limit_s)
        told = page.get("data")
        return [it for it in told if isinstance(it, dict)] if isinstance(told, list) else []

    async def ask(self, question: Awaitable[T], limit_s: float) -> T:
        """Await an answer for at most so long. Raises :class:`ProviderError`.

        It is raised outside of where the SDK's error is caught, which may quote the key.
        """
        try:
            async with asyncio.timeout(limit_s):
                return await question
        except TimeoutError:
            failure = ProviderError(
                Trouble.TIMEOUT, f"OpenAI did not answer within {limit_s:.0f} s"
            )
        except openai.OpenAIError as error:
            failure = trouble.of_error(error, self.secrets)
        except Unreadable as error:
            failure = ProviderError(Trouble.BROKEN, str(error))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # the SDK's reader, over another shape than it knows
            text = f"OpenAI's answer cannot be read: {type(error).__name__}"
            failure = ProviderError(Trouble.BROKEN, text)
        raise failure


class Events:
    """What OpenAI says while it works, each a plain JSON object."""

    def __init__(self, stream: openai.AsyncStream[Any], line: Line) -> None:
        self.request_id = str(stream.response.headers.get("x-request-id", ""))[:200]
        self._stream = stream
        self._line = line

    async def next(self, limit_s: float) -> dict[str, Any] | None:
        """The next event; None where there are no more. Raises :class:`ProviderError`."""
        event = await self._line.ask(anext(self._stream, None), limit_s)
        if event is None:
            return None
        return event.to_dict(warnings=False) if isinstance(event, openai.BaseModel) else {}

    async def aclose(self) -> None:
        """Hang up."""
        await self._stream.close()


@asynccontextmanager
async def open_line(
    context: ssl.SSLContext, base_url: str, account: Account
) -> AsyncIterator[Line]:
    """A line over connections of its own, which end with the block as the key does."""
    network = httpx2.AsyncHTTPTransport(verify=context, trust_env=False, http2=False, retries=0)
    http = httpx2.AsyncClient(
        transport=_OurHeaders(network, account), trust_env=False, follow_redirects=False
    )
    client = openai.AsyncOpenAI(
        api_key=account.key,
        base_url=base_url,
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=CONNECT_LIMIT_S),  # the rest is asked with a limit
        http_client=http,
    )
    async with client:
        yield Line(client, account.secrets)


async def _first_page(client: openai.AsyncOpenAI) -> dict[str, Any]:
    page = await client.models.list()
    return page.to_dict(warnings=False)


class _OurHeaders(httpx2.AsyncBaseTransport):
    """Sends what was to be sent, by this account's headers alone; reads plain, bounded answers."""

    def __init__(self, network: httpx2.AsyncBaseTransport, account: Account) -> None:
        self._network = network
        self._headers = {
            "user-agent": USER_AGENT,
            "accept-encoding": "identity",
            **account.headers,
        }

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        said = {name: request.headers[name] for name in SDK_HEADERS if name in request.headers}
        answer = await self._network.handle_async_request(
            httpx2.Request(
                request.method,
                request.url,
                headers=said | self._headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        )
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            raise Unreadable("OpenAI's answer is encoded, which we did not ask for")
        assert isinstance(answer.stream, httpx2.AsyncByteStream)  # of an asynchronous network
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_Bounded(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._network.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """A body that ends, if not by itself."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen_bytes = 0
        async for chunk in self._body:
            seen_bytes += len(chunk)
            if seen_bytes > ANSWER_LIMIT_BYTES:
                raise Unreadable("OpenAI's answer is far too long")
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
