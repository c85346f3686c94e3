"""Fetches what a vendor made: the only way this product opens an address it was told by a vendor.

An address in a vendor's answer is a stranger's word. So before anything is sent, the scheme, the
host (one the adapter declares), the port and every address the host resolves to are checked, and
the connection is made to the address that was checked: nothing resolves the name a second time.
A redirect is a new address and passes the same checks. No key, cookie or proxy is involved.

The answer is bounded in bytes and time, written to disk as it comes, and believed to be an image
or a 3D model only where its type is wanted and its first bytes agree.
"""

from __future__ import annotations

import asyncio
import email.utils
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

import httpcore
import httpx

from funmagic import __version__
from funmagic.core.clock import now
from funmagic.core.image_types import SNIFF_BYTES, sniff
from funmagic.providers.addresses import is_loopback, is_public
from funmagic.providers.contract import File, Place, ProviderError, Trouble
from funmagic.providers.origins import Origin, parse, plain, refuse

GLB = "model/gltf-binary"
MEBIBYTE = 1 << 20
REDIRECTS_LIMIT = 3
CONNECT_LIMIT_S = 10.0
LONGEST_RETRY_AFTER_S = 86_400.0
USER_AGENT = f"funmagic/{__version__}"

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What one adapter's results look like.

    ``hosts`` are the vendor's names; one that begins with a dot stands for every name below it.
    ``content_types`` are types by their names in headers: images, and GLB. Under ``vague_types`` a
    storage serves what it does not know: there the first bytes alone say which of
    ``content_types`` it is. Where addresses ``expire``, one that is not good any more may pass: the
    vendor tells a new one when it is asked again. ``attempt_limit_s`` bounds one fetch with its
    redirects, ``idle_limit_s`` the silence within it.
    """

    hosts: tuple[str, ...]
    content_types: tuple[str, ...] = ("image/png", "image/jpeg", "image/webp")
    vague_types: tuple[str, ...] = ()
    expire: bool = False
    ports: tuple[int, ...] = (443,)
    limit_bytes: int = 128 * MEBIBYTE
    attempt_limit_s: float = 120.0
    idle_limit_s: float = 20.0


@dataclass(frozen=True, slots=True)
class _Checked:
    """An address that may be connected to, and nowhere else."""

    url: str
    origin: Origin
    target: str  # path and query
    addresses: tuple[str, ...]
    is_simulated: bool


def retry_after_s(value: str | None) -> float | None:
    """``Retry-After`` (RFC 9110, 10.2.3) in seconds from now, at most a day; None if unreadable."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        return min(float(text), LONGEST_RETRY_AFTER_S)
    try:
        at = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max((at - now()).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


async def look_up(host: str, port: int) -> tuple[str, ...]:
    """Every address of ``host``, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(item[4][0]) for item in found))


class Fetcher:
    """Fetches for one adapter in one process. ``resolve`` and ``network`` are the system's."""

    def __init__(
        self,
        place: Place,
        *,
        resolve: Resolve = look_up,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._place = place
        self._resolve = resolve
        self._network = network or httpcore.AnyIOBackend()
        self._contexts: dict[bool, ssl.SSLContext] = {}

    async def fetch(
        self,
        url: str,
        target: Path,
        rules: Rules,
        *,
        deadline_at: datetime,
        simulator: Origin | None = None,
    ) -> File:
        """Stream one file to ``target`` (replaced) and return it.

        Where the vendor is simulated, ``simulator`` is the only place to fetch from, and
        ``rules.hosts`` do not count. Raises :class:`ProviderError`: what may pass (no answer, a cut
        connection, 429, 5xx) with ``may_repeat``; a broken rule without, and with the rule's name.
        A failed fetch leaves no file.
        """
        left_s = (deadline_at - now()).total_seconds()
        try:
            async with asyncio.timeout(min(rules.attempt_limit_s, left_s)):
                return await self._follow(url, target, rules, simulator)
        except (TimeoutError, httpcore.TimeoutException) as error:
            raise _passing(Trouble.TIMEOUT, f"no whole file in time: {error!r}") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                refuse(f"certificate: {error}")
            raise _passing(Trouble.BROKEN, f"the connection broke: {error!r}") from error
        except OSError as error:
            raise _passing(Trouble.BROKEN, f"no file: {error!r}") from error

    async def _follow(self, url: str, target: Path, rules: Rules, simulator: Origin | None) -> File:
        for _ in range(1 + REDIRECTS_LIMIT):
            checked = await self._check(url, rules, simulator)
            answer = await self._get(checked, target, rules)
            if isinstance(answer, File):
                return answer
            url = answer
        refuse(f"redirects: more than {REDIRECTS_LIMIT}")

    async def _check(self, url: str, rules: Rules, simulator: Origin | None) -> _Checked:
        """Hold an address against the rules; resolve its host this once."""
        origin, path_and_query = parse(url)
        if simulator is not None:
            if not self._place.loopback_allowed:
                refuse("loopback: simulated vendors are not allowed in this process")
            if origin != simulator:
                refuse(f"host: {origin} is not where this vendor is simulated")
        else:
            if origin.scheme != "https":
                refuse(f"scheme: {origin.scheme!r} is not https")
            if not _is_declared(origin.host, rules.hosts):
                refuse(f"host: {origin.host!r} is not one of this vendor's")
            if origin.port not in rules.ports:
                refuse(f"port: {origin.port} is not one of this vendor's")
        addresses = tuple(await self._resolve(origin.host, origin.port))
        if not addresses:
            raise _passing(Trouble.BROKEN, f"{origin.host!r} has no address")
        fits = is_loopback if simulator is not None else is_public
        for address in addresses:
            if not fits(address):
                refuse(f"address: {origin.host!r} is at {address!r}")
        return _Checked(url, origin, path_and_query, addresses, simulator is not None)

    async def _get(self, checked: _Checked, target: Path, rules: Rules) -> File | str:
        """One request: the file, or the address it redirects to."""
        origin, idle_s = checked.origin, rules.idle_limit_s
        url = httpcore.URL(
            scheme=origin.scheme.encode(),
            host=origin.host.encode(),
            port=origin.port,
            target=checked.target.encode(),
        )
        connection = httpcore.AsyncHTTPConnection(
            url.origin,
            ssl_context=self._context(checked),
            network_backend=_Pinned(self._network, checked),
        )
        timeouts = {"connect": CONNECT_LIMIT_S, "read": idle_s, "write": idle_s}
        headers: Mapping[bytes | str, bytes | str] = {
            "Host": origin.netloc,
            "User-Agent": USER_AGENT,
            "Accept": ", ".join(rules.content_types),
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        async with (
            connection,
            connection.stream(
                "GET", url, headers=headers, extensions={"timeout": timeouts}
            ) as answer,
        ):
            if answer.status in (301, 302, 303, 307, 308):
                return urljoin(checked.url, plain(_header(answer, "location") or ""))
            _check_status(answer, rules)
            announced = _check_headers(answer, rules)
            with _new_file(target) as file:
                content_type = await _copy(answer, file, announced, rules)
            return File(target, content_type)

    def _context(self, checked: _Checked) -> ssl.SSLContext | None:
        """Whom to believe: the simulators' own certificate for them, everybody's for the rest."""
        if checked.origin.scheme != "https":
            return None
        simulated = checked.is_simulated
        if simulated not in self._contexts:
            self._contexts[simulated] = tls_context(self._place, simulated=simulated)
        return self._contexts[simulated]


class _Pinned(httpcore.AsyncNetworkBackend):
    """A network on which one host exists, at the addresses that were checked."""

    def __init__(self, network: httpcore.AsyncNetworkBackend, checked: _Checked) -> None:
        self._network = network
        self._checked = checked

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  # the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if (host, port) != (self._checked.origin.host, self._checked.origin.port):
            refuse(f"host: {host!r} was never checked")
        failure: Exception | None = None
        for address in self._checked.addresses:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure


def tls_context(place: Place, *, simulated: bool) -> ssl.SSLContext:
    """Certificates to believe: the public authorities', or the simulators' own and no other."""
    if simulated and place.ca_file is not None:
        return ssl.create_default_context(cafile=str(place.ca_file))
    return httpx.create_ssl_context()


def _passing(trouble: Trouble, message: str, wait_s: float | None = None) -> ProviderError:
    return ProviderError(trouble, message[:500], may_repeat=True, retry_after_s=wait_s)


def _is_declared(host: str, declared: tuple[str, ...]) -> bool:
    return any(
        host.endswith(name) and host != name if name.startswith(".") else host == name
        for name in declared
    )


def _check_status(answer: httpcore.Response, rules: Rules) -> None:
    if answer.status == 200:
        return
    message = f"the file's address answered {answer.status}"
    wait_s = retry_after_s(_header(answer, "retry-after"))
    if answer.status in (429, 503):
        raise _passing(Trouble.BUSY, message, wait_s)
    has_expired = rules.expire and answer.status in (403, 404, 410)
    if answer.status == 408 or answer.status >= 500 or has_expired:
        raise _passing(Trouble.BROKEN, message, wait_s)
    raise ProviderError(Trouble.BROKEN, message)


def _check_headers(answer: httpcore.Response, rules: Rules) -> str:
    """The announced type of an answer worth reading."""
    if (_header(answer, "content-encoding") or "identity").lower() != "identity":
        refuse("encoding: only plain bytes are read")
    announced = (_header(answer, "content-type") or "").partition(";")[0].strip().lower()
    if announced not in (*rules.content_types, *rules.vague_types):
        refuse(f"type: {announced[:100]!r} is not wanted")
    length = _header(answer, "content-length") or "0"
    if not length.isdecimal() or int(length[:20]) > rules.limit_bytes:
        refuse(f"size: {length[:20]} bytes are more than {rules.limit_bytes}")
    return announced


def _header(answer: httpcore.Response, name: str) -> str | None:
    """A header's value; several are joined, as HTTP means them."""
    values = [value for key, value in answer.headers if key.decode("latin-1").lower() == name]
    return b", ".join(values).decode("latin-1") if values else None


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that stays only where nothing goes wrong."""
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def _copy(answer: httpcore.Response, file: BinaryIO, announced: str, rules: Rules) -> str:
    """Write what comes, in chunks of at most 64 KiB, as long as it is what was announced.

    Returns its type.
    """
    head, written = b"", 0
    async for chunk in answer.aiter_stream():
        written += len(chunk)
        if written > rules.limit_bytes:
            refuse(f"size: more than {rules.limit_bytes} bytes")
        if len(head) < SNIFF_BYTES:
            head += chunk[: SNIFF_BYTES - len(head)]
            if len(head) == SNIFF_BYTES:
                _check_kind(head, announced, rules)
        file.write(chunk)
    return _check_kind(head, announced, rules)


def _check_kind(head: bytes, announced: str, rules: Rules) -> str:
    found = GLB if head.startswith(b"glTF") else sniff(head)
    wanted = rules.content_types if announced in rules.vague_types else (announced,)
    if found is None or found not in wanted:
        refuse(f"kind: announced as {announced}, its bytes are {found or 'nothing we know'}")
    return found
