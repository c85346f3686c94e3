"""All simulators as one process on loopback: AI vendors below ``{origin}/fal/…``, and on an address
of its own, since people's browsers go there and trust no throw-away certificate, by plain HTTP what
signs people in: ``{origin}/apple/…``.

:func:`running` is how tests have one, in a process of its own: a server inside the tests' event
loop would hold its answers back exactly when the code under test keeps that loop busy.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from funmagic.simulators import apple, facebook, fal, openai, tripo
from funmagic.simulators.apple_tokens import CLIENT_ID, KEY_FILE, KEY_ID, TEAM_ID
from funmagic.simulators.faults import DROP, ASGIApp, Receive, Scope, Send
from funmagic.simulators.pace import Pace
from funmagic.simulators.tls import Certificate, certificate_in

__all__ = ["Pace", "Running", "Simulators", "listen", "running", "sign_in_environment"]

#: Each serves what lies below its name.
VENDORS: dict[str, Callable[[str, Pace], ASGIApp]] = {
    "fal": fal.application,
    "openai": openai.application,
    "tripo": tripo.application,
}
#: The same for those who sign people in; each may keep something in a folder.
SIGN_IN: dict[str, Callable[[str, Path], ASGIApp]] = {
    "apple": apple.application,
    "facebook": facebook.application,
}
#: Requests still being answered when we are told to stop get this long.
SHUTDOWN_S = 1
START_PATIENCE_S = 60
STOP_PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class Running:
    """Where simulators listen. ``ca_file`` (PEM) vouches for them where they answer https.

    ``sign_in_url`` is where people are signed in; ``apple_key_file`` what Apple's one app signs by.
    """

    url: str
    ca_file: Path | None
    sign_in_url: str
    apple_key_file: Path


@contextmanager
def running(*, tls: bool = False) -> Iterator[Running]:
    """Simulators on free loopback ports for the length of the block, in their own process.

    The process ends with the block and, however that comes to pass, with the caller's process.
    """
    with tempfile.TemporaryDirectory(prefix="fm-simulators-") as folder:
        process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "funmagic.simulators"),
                *(folder, "https" if tls else "http"),
            ],
            stdin=subprocess.PIPE,  # its end is the child's: the kernel closes it for the killed
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdin is not None  # opened as pipes above
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            if not said:
                raise RuntimeError(f"the simulators did not start (status {process.wait(10)})")
            place = json.loads(said)
            yield Running(
                place["url"],
                Path(place["caFile"]) if place["caFile"] else None,
                place["signInUrl"],
                Path(folder) / KEY_FILE,
            )
        finally:
            process.stdin.close()
            try:
                process.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def sign_in_environment(sign_in_url: str, apple_key_file: Path) -> dict[str, str]:
    """What the product must be told to sign people in here."""
    return {
        "APPLE_ISSUER": f"{sign_in_url}/apple",
        "APPLE_CLIENT_ID": CLIENT_ID,
        "APPLE_TEAM_ID": TEAM_ID,
        "APPLE_KEY_ID": KEY_ID,
        "APPLE_PRIVATE_KEY_FILE": str(apple_key_file),
        "FACEBOOK_URL": f"{sign_in_url}/facebook",
        "FACEBOOK_GRAPH_URL": f"{sign_in_url}/facebook",
        "FACEBOOK_CLIENT_ID": "1000000000000001",
        "FACEBOOK_CLIENT_SECRET": "simulated",
    }


class Simulators:
    """The servers in this process, on sockets that already listen."""

    def __init__(
        self,
        listener: socket.socket,
        sign_in_listener: socket.socket,
        *,
        tls: bool,
        folder: Path,
        pace: Pace | None = None,
    ) -> None:
        """``folder`` keeps the certificate and the key of Apple's app, so that a server started
        again is the same to all."""
        certificate = certificate_in(folder) if tls else None
        self.url = _origin(listener, "http" if certificate is None else "https")
        self.sign_in_url = _origin(sign_in_listener, "http")
        self.ca_file = None if certificate is None else certificate.ca_file
        self.apple_key_file = folder / KEY_FILE
        self._listener = listener
        self._server = _Server(_config(build(self.url, pace), certificate))
        self._sign_in_listener = sign_in_listener
        self._sign_in = _Beside(_config(build_sign_in(self.sign_in_url, folder), None))

    def run(self, announce: Callable[[], None]) -> None:
        """Serve until asked to stop, by :meth:`stop` or a signal; ``announce`` once both answer."""
        asyncio.run(self._serve(announce))

    async def _serve(self, announce: Callable[[], None]) -> None:
        started = asyncio.Event()
        self._sign_in.announce = started.set
        beside = asyncio.create_task(self._sign_in.serve(sockets=[self._sign_in_listener]))
        try:
            await asyncio.wait_for(started.wait(), START_PATIENCE_S)
            self._server.announce = announce
            await self._server.serve(sockets=[self._listener])
        finally:
            self._sign_in.should_exit = True
            await beside

    def stop(self) -> None:
        """May be called from any thread."""
        self._server.should_exit = True


def listen(port: int) -> socket.socket:
    """A loopback socket on this port, or on a free one for 0. Raises OSError where it is taken."""
    # The protocol is named so that answers do not wait for acknowledgements (asyncio looks at it).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


def build(origin: str, pace: Pace | None = None) -> ASGIApp:
    """The simulators as an application that names itself by this origin."""
    return _by_first_segment(
        {name: serve(origin, pace or Pace()) for name, serve in VENDORS.items()}
    )


def build_sign_in(origin: str, folder: Path) -> ASGIApp:
    """Those who sign people in, as an application that names itself by this origin."""
    return _by_first_segment({name: serve(origin, folder) for name, serve in SIGN_IN.items()})


def _by_first_segment(vendors: Mapping[str, ASGIApp]) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        vendor = vendors.get(str(scope["path"]).split("/")[1])
        await (vendor or _nobody)(scope, receive, send)

    return serve


async def _nobody(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b"no such vendor"})


class _Server(uvicorn.Server):
    announce: Callable[[], None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True  # and nothing more: being told to stop is no failure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.announce is not None:
            self.announce()


class _Beside(_Server):
    """A server that leaves the signals to the one it stands beside."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Droppable(HttpToolsProtocol):
    """Lets the application end a connection without an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][DROP] = self.transport.abort


def _origin(listener: socket.socket, scheme: str) -> str:
    return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"


def _config(app: ASGIApp, certificate: Certificate | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Droppable,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="critical",  # dropped connections are what we are here for
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ssl_certfile=None if certificate is None else certificate.server_file,
    )
