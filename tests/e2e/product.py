"""The real product for a browser: web and worker as processes of their own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from redis import Redis
from tests.conftest import TEMPLATE, administer

from funmagic.embedded.process import tethered
from funmagic.embedded.server import free_ports

LINK = re.compile(r"https?://\S+?/([a-z/-]+)\?token=[\w-]+")


@dataclass
class Product:
    """The running product: its address, its mailbox, and a hand on its worker."""

    url: str
    maildir: Path
    database_url: str
    valkey_url: str
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

    def forget_limits(self) -> None:
        """As if nobody had asked for anything yet: all visitors come from one address."""
        with Redis.from_url(self.valkey_url) as valkey:
            for key in valkey.scan_iter("LIMITS:*"):
                valkey.delete(key)

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
    clone = f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"'
    _outside_loop(lambda: asyncio.run(administer(servers, clone)))
    port = free_ports(1)[0]
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
            url=url,
            maildir=Path(servers["DEV_INBOX_DIR"]),
            database_url=database_url,
            valkey_url=servers["REDIS_URL"],
            start_worker=lambda: start("worker"),
            worker=worker,
        )


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
