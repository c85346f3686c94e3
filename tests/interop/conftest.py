"""Other people's clients, unmodified: a browser page with npm packages, and a Node process."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from litestar import Litestar
from playwright.async_api import Browser, Page, async_playwright
from tests import conftest as stage
from tests.conftest import Site
from tests.programs import chromium_path, node_path

from funmagic.accounts.models import User
from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.app import with_layers
from funmagic.core.middleware import ASGIApp, Receive, Scope, SecurityHeaders, Send
from funmagic.core.settings import Settings

ROOT = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"
PAGE = "/interop/upload.html"
OpenPage = Callable[[User | None], Awaitable[Page]]


@pytest.fixture(scope="session")
def upload_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's script, bundled from the packages as they are."""
    built = tmp_path_factory.mktemp("interop") / "upload.js"
    packages = [ROOT / "frontend" / "node_modules", Path(__file__).parent / "node_modules"]
    esbuild = packages[0] / "esbuild" / "bin" / "esbuild"
    options = ["--bundle", "--format=esm", "--log-level=warning", f"--outfile={built}"]
    environment = {
        **os.environ,
        "NODE_PATH": os.pathsep.join(map(str, packages)),
        "PATH": os.pathsep.join([str(Path(node_path()).parent), os.environ["PATH"]]),
    }
    command = [str(esbuild), str(CLIENTS / "upload.mjs"), *options]
    subprocess.run(command, env=environment, check=True, timeout=60)
    return built


@pytest.fixture
def with_page(monkeypatch: pytest.MonkeyPatch, upload_script: Path) -> None:
    """The site serves one page more: somebody's own, under our headers."""
    files = {
        PAGE: (CLIENTS / "upload.html", b"text/html; charset=utf-8"),
        "/interop/upload.js": (upload_script, b"text/javascript; charset=utf-8"),
    }

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path, content_type = files[scope["path"]]
        headers = [(b"content-type", content_type)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": path.read_bytes(), "more_body": False})

    def with_page_too(inner: Litestar, settings: Settings) -> ASGIApp:
        app = with_layers(inner, settings)
        page = SecurityHeaders(serve, storage_origin=settings.storage_origin, https=False)

        async def either(scope: Scope, receive: Receive, send: Send) -> None:
            await (page if scope.get("path") in files else app)(scope, receive, send)

        return either

    monkeypatch.setattr(stage, "with_layers", with_page_too)


@pytest.fixture(scope="package")
async def chromium() -> AsyncIterator[Browser]:
    """One browser for all these tests."""
    path = chromium_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(with_page: None, site: Site, chromium: Browser) -> AsyncIterator[OpenPage]:
    """Open the page in a profile of its own, signed in as somebody or as nobody."""
    contexts = []

    async def open_as(user: User | None) -> Page:
        context = await chromium.new_context(locale="en-GB")
        contexts.append(context)
        if user is not None:
            token = await site.session_of(user)
            await context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": site.url}])
        page = await context.new_page()
        page.set_default_timeout(30_000)
        await page.goto(site.url + PAGE)
        await page.wait_for_function("() => window.upload !== undefined")
        return page

    yield open_as
    for context in contexts:
        await context.close()


class NodeQueue:
    """``clients/queue.mjs`` at work: what it hears, and what it answers when asked."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self.heard: list[dict[str, Any]] = []
        self.ready = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Have a command done and await its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(20):
            return await self._answers.get()

    async def hears(self, event: str, job_id: str) -> dict[str, Any]:
        """The event of this job, once it has come."""
        async with asyncio.timeout(30):
            while True:
                for told in self.heard:
                    if (told["heard"], told["jobId"]) == (event, job_id):
                        return told
                if self._listening.done():
                    raise AssertionError("the Node client has ended")
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(20):
            await self._listening
            assert await self._process.wait() == 0

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            if "heard" in told:
                self.heard.append(told)
            elif "answer" in told:
                self._answers.put_nowait(told["answer"])
            else:
                self.ready.set()


@pytest.fixture
async def node_queue(settings: Settings) -> AsyncIterator[NodeQueue]:
    """A Node process with BullMQ's own client on this test's queue."""
    async with running_node(settings) as queue:
        yield queue


@asynccontextmanager
async def running_node(settings: Settings, queue: str = "ai-tasks") -> AsyncIterator[NodeQueue]:
    socket = urlsplit(settings.redis_url.get_secret_value()).path
    process = await asyncio.create_subprocess_exec(
        node_path(),
        str(CLIENTS / "queue.mjs"),
        env={**os.environ, "SOCKET": socket, "PREFIX": settings.queue_prefix, "QUEUE": queue},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        client = NodeQueue(process)
        async with asyncio.timeout(60):
            await client.ready.wait()
        yield client
        await client.close()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
