"""The real product under a real browser: web and worker as processes of their own.

Every page a test opens is watched: an error in its console, a refused script or style, or an
exception nobody caught fails the test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)
from tests.conftest import TEMPLATE

from funmagic.embedded.process import tethered

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# 3D is drawn by software, and nothing else is: what a graphics card would do for pages takes more
# than twice the work without one.
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--enable-unsafe-swiftshader"]
DRAWING = "GL Driver Message"  # what the drawing software says of its own speed
TOOL = "/tools/background-remove"
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)
BROWSER_LOCALES = {
    "en": "en-GB",
    "zh": "zh-CN",
    "ja": "ja-JP",
    "fr": "fr-FR",
    "es": "es-ES",
    "pt": "pt-BR",
    "de": "de-DE",
    "vi": "vi-VN",
    "ko": "ko-KR",
}
LINK = re.compile(r"https?://\S+?/([a-z/-]+)\?token=[\w-]+")


@dataclass
class Product:
    """The running product: its address, its mailbox, and a hand on its worker."""

    url: str
    maildir: Path
    database_url: str
    start_worker: Callable[[], subprocess.Popen[bytes]]
    worker: subprocess.Popen[bytes]
    opened: set[str] = field(default_factory=set)

    def kill_worker(self) -> None:
        """As the kernel does when memory runs out."""
        self.worker.kill()
        self.worker.wait()

    def another_worker(self) -> None:
        """Start one in place of the one that was killed."""
        self.worker = self.start_worker()

    @contextmanager
    def worker_paused(self) -> Iterator[None]:
        """Nothing is worked on meanwhile: a task created now stays waiting."""
        self.worker.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.worker.send_signal(signal.SIGCONT)

    def sign_in_link(self, email: str) -> str:
        """The newest sign-in link mailed to ``email``; waits until there is one."""
        return self.mailed_link(email, "sign-in/confirm")

    def mailed_link(self, email: str, page: str) -> str:
        """The newest link to ``page`` mailed to ``email`` that nobody was given before; waits until
        there is one."""
        for _ in range(600):
            for path in sorted(self.maildir.glob("new/*"), key=_written_at, reverse=True):
                text = path.read_text()
                if f"To: {email}" not in text:
                    continue
                for found in LINK.finditer(text.replace("=\n", "").replace("=3D", "=")):
                    is_ours = found[0].startswith(self.url)  # products share the mail server
                    if is_ours and found[1].endswith(page) and found[0] not in self.opened:
                        self.opened.add(found[0])
                        return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no link to {page} for {email}")

    def set_credits(self, email: str, balance: int) -> None:
        """Correct an account through the ledger to exactly ``balance``."""

        self._write(ADJUST, email, balance, f"cast:{secrets.token_hex(8)}")

    def set_price(self, slug: str, step: str, price_credits: int) -> None:
        """Change what a tool's step costs, as an admin would."""
        self.set_config(slug, ["steps", step, "priceCredits"], price_credits)

    def set_config(self, slug: str, place: list[str], value: Any) -> None:
        """Change one place of a tool's configuration, as an admin would."""
        self._write(SET_CONFIG, slug, place, json.dumps(value))

    def configure(self, slug: str, config: dict[str, Any]) -> None:
        """Replace a tool's configuration, as an admin would."""
        self._write("UPDATE tools SET config = $2::jsonb WHERE slug = $1", slug, json.dumps(config))

    def forget_proof(self, email: str) -> None:
        """As if ``email`` had signed in everywhere an hour ago."""
        self._write(FORGET_PROOF, email)

    def _write(self, statement: str, *values: Any) -> None:
        async def write() -> None:
            connection = await asyncpg.connect(self.database_url)
            try:
                await connection.execute(statement, *values)
            finally:
                await connection.close()

        _outside_loop(lambda: asyncio.run(write()))


SET_CONFIG = "UPDATE tools SET config = jsonb_set(config, $2::text[], $3::jsonb) WHERE slug = $1"
FORGET_PROOF = """
    UPDATE sessions SET authenticated_at = now() - interval '1 hour'
      FROM users WHERE users.id = user_id AND email = $1
"""
ADJUST = """
    SELECT credit_adjust(users.id, $2 - balance, false, $3, 'Set for a test', NULL, NULL, 'tests')
      FROM users JOIN credit_accounts ON user_id = users.id
     WHERE email = $1 AND balance <> $2
"""


@dataclass
class Visitor:
    """A person with a browser of their own."""

    product: Product
    context: BrowserContext
    page: Page
    locale: str = "en"
    allowed: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)

    def goto(self, path: str) -> None:
        """Open a page of the visitor's language."""
        self.page.goto(f"{self.product.url}/{self.locale}{path}")

    def sign_in(self, email: str) -> None:
        """Ask for a link on the sign-in page, open it in this browser."""
        self.goto("/sign-in")
        self.page.fill("main input[name=email]", email)
        self.page.click("main form button[type=submit]")
        self.page.wait_for_selector(f"main strong:text-is('{email}')")
        self.page.goto(self.product.sign_in_link(email))

    def api(self, path: str) -> Any:
        """What the JSON API answers this browser."""
        answer = self.context.request.get(f"{self.product.url}{path}")
        assert answer.ok, f"{path}: {answer.status} {answer.text()}"
        return answer.json()

    def choose(self, photo: Path) -> None:
        """Pick a photo in the file dialog."""
        self.page.set_input_files("image-picker input[type=file]", photo)
        self.page.wait_for_selector(
            "image-picker[data-filled], [data-ref=complaint]:visible, [data-complaint]:visible"
        )

    def wait_for_stage(self, stage: str) -> None:
        """Until the tool's page shows ``stage``."""
        self.page.wait_for_selector(f"tool-executor[data-stage={stage}]", timeout=PATIENCE_MS)

    def watch(self, page: Page) -> Page:
        """Note everything the browser complains about on ``page``."""
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.seen.append(f"exception: {error}"))
        page.set_default_timeout(PATIENCE_MS)
        return page

    def tell(self) -> None:
        """Print what is on this person's pages, for whoever reads why a test failed."""
        for page in self.context.pages:
            with suppress(Exception):
                sys.stderr.write(f"— {page.url}\n{page.inner_text('body', timeout=2000)[:3000]}")
        sys.stderr.write("\n".join(self.seen))

    def complaints(self) -> list[str]:
        """What was noted and is not allowed in this test."""
        return [text for text in self.seen if not any(part in text for part in self.allowed)]

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and DRAWING not in message.text:
            self.seen.append(f"{message.type}: {message.text} ({message.location['url']})")


MakeVisitor = Callable[..., Visitor]


@contextmanager
def running_product(
    servers: dict[str, str],
    template_database: str,
    models_dir: Path,
    folder: Path,
    more: dict[str, str] | None = None,
) -> Iterator[Product]:
    """Web and worker, started as in production, on a database of their own."""
    name = f"e2e_{secrets.token_hex(4)}"
    database_url = template_database.replace(TEMPLATE, name)
    _outside_loop(lambda: asyncio.run(_create_database(servers["DATABASE_URL"], name)))
    port = _free_port()
    url = f"http://localhost:{port}"
    environment = {
        **os.environ,
        **servers,
        "FUNMAGIC_ENV": "development",
        "DATABASE_URL": database_url,
        "PUBLIC_URL": url,
        "SECRET_KEYS": "t1:" + base64.b64encode(bytes(range(32))).decode(),
        "QUEUE_PREFIX": name,
        "MODELS_DIR": str(models_dir),
        "LOG_LEVEL": "WARNING",
        **(more or {}),
    }
    path = folder / "product.log"
    with path.open("wb") as log, ExitStack() as processes:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            return processes.enter_context(_process(list(arguments), environment, log))

        if more:  # what it says may change what is planted
            assert start("seed").wait(60) == 0, path.read_text()
        start("web", "--port", str(port))
        worker = start("worker")
        _wait_until_up(f"{url}/readyz", path)
        yield Product(
            url, Path(servers["DEV_INBOX_DIR"]), database_url, lambda: start("worker"), worker
        )


@pytest.fixture(scope="package")
def product(
    servers: dict[str, str],
    template_database: str,
    models_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    """The product as a fresh installation has it."""
    folder = tmp_path_factory.mktemp("e2e")
    with running_product(servers, template_database, models_dir, folder) as running:
        yield running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; every visitor gets a profile of their own."""
    named = os.environ.get("CHROMIUM")
    path = named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.fail(f"Install one of {', '.join(CHROMIUM_NAMES)}, or set CHROMIUM to its path.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether a test failed, so that its visitors tell what they saw."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def make_visitor(
    request: pytest.FixtureRequest, product: Product, chromium: Browser
) -> Iterator[MakeVisitor]:
    """Send a visitor; at the end nothing may have been complained about."""
    visitors: list[Visitor] = []

    def make(
        *,
        locale: str = "en",
        width: int = 1280,
        height: int = 860,
        scheme: Any = "light",
        state: Any = None,
        scripts: bool = True,
    ) -> Visitor:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale=BROWSER_LOCALES[locale],
            storage_state=state,
            reduced_motion="reduce",
            java_script_enabled=scripts,
        )
        visitor = Visitor(product, context, context.new_page(), locale)
        visitor.watch(visitor.page)
        visitors.append(visitor)
        return visitor

    yield make
    complaints = [text for visitor in visitors for text in visitor.complaints()]
    for visitor in visitors:
        if request.node.stash.get(FAILED, False):
            visitor.tell()
        visitor.context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def visitor(make_visitor: MakeVisitor) -> Visitor:
    """Somebody at a desk, in English, in the light."""
    return make_visitor()


@contextmanager
def _process(
    arguments: list[str], environment: dict[str, str], log: Any
) -> Iterator[subprocess.Popen[bytes]]:
    # a run of the tests that is killed leaves nothing behind
    command = tethered([sys.executable, "-m", "funmagic.cli", *arguments])
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _written_at(path: Path) -> int:
    return path.stat().st_mtime_ns


def _wait_until_up(url: str, log: Path) -> None:
    for _ in range(900):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer:\n{log.read_text()[-3000:]}")


def _outside_loop(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread: the browser's driver keeps an event loop running in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


async def _create_database(server_url: str, name: str) -> None:
    head, _, query = server_url.partition("?")
    url = f"{head.rsplit('/', 1)[0]}/postgres" + (f"?{query}" if query else "")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    finally:
        await connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
