"""How providers of identities are asked: with limits of time and size, and at no other address.

No redirect is followed, no proxy of the environment is used, and what was said is never logged.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client

from funmagic import __version__
from funmagic.accounts.oauth.contract import Failed, plain
from funmagic.core.settings import Settings

LIMIT_S = 10.0
MAX_ANSWER_BYTES = 1 << 20
IN_THE_FORM = "client_secret_post"
HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": f"funmagic/{__version__}",
}


class Unreadable(Exception):
    """An answer of a kind or size that is not read."""


class Wire:
    """Opens connections; holds what vouches for those at their ends."""

    def __init__(self, settings: Settings) -> None:
        self._context = ssl.create_default_context()
        if settings.simulators_ca_file is not None and not settings.is_production:
            self._context.load_verify_locations(settings.simulators_ca_file)

    @asynccontextmanager
    async def line(self, **client: Any) -> AsyncIterator[AsyncOAuth2Client]:
        """A client for one conversation. All that can go wrong in it raises :class:`Failed`.

        ``client`` are Authlib's: client_id, client_secret, scope, … A secret goes in the form.
        """
        network = httpx2.AsyncHTTPTransport(verify=self._context, trust_env=False, retries=0)
        try:
            async with (
                asyncio.timeout(LIMIT_S),
                AsyncOAuth2Client(
                    transport=_Bounded(network),
                    timeout=LIMIT_S,
                    follow_redirects=False,
                    trust_env=False,
                    headers=HEADERS,
                    token_endpoint_auth_method=IN_THE_FORM,
                    **client,
                ) as line,
            ):
                yield line
        except AuthlibBaseError as error:
            raise Failed(f"it answers {plain(str(error.error), 60)!r}") from None
        except httpx2.HTTPStatusError as error:
            raise Failed(f"it answers with status {error.response.status_code}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, Unreadable) as error:
            raise Failed(f"it cannot be reached: {type(error).__name__}") from None
        except ValueError as error:
            raise Failed(f"its answer cannot be read: {type(error).__name__}") from None


async def read(line: AsyncOAuth2Client, url: str) -> dict[str, Any]:
    """A public JSON object at this address."""
    answer = await line.request("GET", url, withhold_token=True)
    answer.raise_for_status()
    found = answer.json()
    if not answer.is_success or not isinstance(found, dict):
        raise Unreadable
    return found


class _Bounded(httpx2.AsyncBaseTransport):
    """Reads plain answers of a limited size."""

    def __init__(self, network: httpx2.AsyncBaseTransport) -> None:
        self._network = network

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._network.handle_async_request(request)
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            raise Unreadable
        assert isinstance(answer.stream, httpx2.AsyncByteStream)  # of an asynchronous network
        return httpx2.Response(
            answer.status_code,
            headers=answer.headers,
            stream=_BoundedBody(answer.stream),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._network.aclose()


class _BoundedBody(httpx2.AsyncByteStream):
    """A body that ends, if not by itself."""

    def __init__(self, body: httpx2.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ANSWER_BYTES
        async for chunk in self._body:
            left -= len(chunk)
            if left < 0:
                raise Unreadable
            yield chunk

    async def aclose(self) -> None:
        await self._body.aclose()
