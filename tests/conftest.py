"""The cast and the stage: real servers, a fresh database for every test, people to play with.

Ada pays, Bo is broke, Cy is a stranger, Root is super_admin.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn
from litestar import Litestar
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from funmagic import hooks, seed, worker
from funmagic.accounts import service as accounts
from funmagic.accounts.models import User, UserSession
from funmagic.accounts.sessions import SESSION_COOKIE, SESSION_LIFETIME
from funmagic.app import litestar_app, with_layers
from funmagic.core import log as logs
from funmagic.core.clock import now
from funmagic.core.crypto import hash_token, new_token
from funmagic.core.db import Database
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources, open_resources
from funmagic.core.settings import Settings
from funmagic.credits import service as credits
from funmagic.embedded import stack
from funmagic.mail import delivery
from funmagic.mail.models import OutgoingMail
from funmagic.migrations import runner

HERE = Path(__file__).parent
PHOTOS = HERE / "photos"
LONG = {
    *("test_guides.py", "test_histories.py", "test_kills.py", "test_properties.py"),
    *("test_tool_in_browser.py", "test_tool_runs.py", "test_two_steps.py"),
}
TEMPLATE = "funmagic_template"
MakeUser = Callable[..., Awaitable[User]]
Absence = Callable[[], contextlib.AbstractAsyncContextManager[None]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that no process is left alone with one in the end."""
    items.sort(key=lambda item: item.path.parent.name != "e2e" and item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def only_loopback() -> Iterator[None]:
    """A test that would leave this machine fails at once."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            with contextlib.suppress(ValueError):
                if not ipaddress.ip_address(host).is_loopback:
                    raise AssertionError(f"a test tried to reach {host}")
        return connect(self, address)

    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", guarded)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def servers() -> Iterator[dict[str, str]]:
    """PostgreSQL, Valkey, SeaweedFS and the mail sink, once for the whole run."""
    with (
        tempfile.TemporaryDirectory(prefix="fm-test-", ignore_cleanup_errors=True) as folder,
        stack.running(Path(folder), throwaway=True) as environment,
    ):
        yield environment


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Where the local provider's weights lie; ``bin/test`` has fetched them."""
    default = Path(__file__).parent.parent / ".funmagic" / "models"
    return Path(os.environ.get("MODELS_DIR", default))


@pytest.fixture(scope="session")
def template_database(servers: dict[str, str], models_dir: Path) -> str:
    """A migrated and seeded database, cloned for every test."""
    url = with_database(servers["DATABASE_URL"], TEMPLATE)
    asyncio.run(administer(servers, f'CREATE DATABASE "{TEMPLATE}"'))
    runner.upgrade(url)

    async def plant() -> None:
        settings = settings_on(servers, url, models_dir)
        async with open_resources(settings) as resources:
            hooks.wire(settings)
            await seed.run(resources)
            async with resources.db.transaction() as session:  # no worker has been told of it yet
                await session.execute(text("DELETE FROM outbox"))

    asyncio.run(plant())
    return url


@pytest.fixture
async def database_url(servers: dict[str, str], template_database: str) -> AsyncIterator[str]:
    """A database of this test's own."""
    name = f"t_{secrets.token_hex(6)}"
    await administer(servers, f'CREATE DATABASE "{name}" TEMPLATE "{TEMPLATE}"')
    yield with_database(servers["DATABASE_URL"], name)
    await administer(servers, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def no_database(servers: dict[str, str], database_url: str) -> Absence:
    """``async with no_database():`` is an outage: nobody gets into this test's database."""
    name = database_url.partition("?")[0].rsplit("/", 1)[1]

    @contextlib.asynccontextmanager
    async def away() -> AsyncIterator[None]:
        await administer(servers, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        await administer(
            servers,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        try:
            yield
        finally:
            await administer(servers, f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    return away


@pytest.fixture
def settings(servers: dict[str, str], database_url: str, models_dir: Path) -> Settings:
    """Settings of this test: its own database, its own queues."""
    return settings_on(servers, database_url, models_dir)


@pytest.fixture
async def resources(settings: Settings) -> AsyncIterator[Resources]:
    """Everything a process holds open, on an empty Valkey."""
    logs.configure(settings)
    hooks.wire(settings)
    async with open_resources(settings) as opened:
        await opened.redis.flushall()
        yield opened


@pytest.fixture
def db(resources: Resources) -> Database:
    return resources.db


@pytest.fixture
def make_user(resources: Resources) -> MakeUser:
    """Bring somebody in: verified, with exactly this many credits."""

    async def make(email: str = "ada@example.com", credits_: int = 50, role: str = "user") -> User:
        async with resources.db.transaction() as session:
            user = await accounts.sign_up_or_find(session, email, role=role)
            balance = await credits.balance_of(session, user.id)
            if credits_ != balance.balance:
                await credits.adjust(
                    session,
                    user.id,
                    credits_ - balance.balance,
                    idempotency_key=f"cast:{user.id}:{new_id()}",
                    description="Set for a test",
                    actor="tests",
                )
        return user

    return make


@dataclass(frozen=True)
class Site:
    """The running product: its address, and browsers to visit it with."""

    url: str
    resources: Resources

    @contextlib.asynccontextmanager
    async def browser(self, user: User | None = None) -> AsyncIterator[httpx.AsyncClient]:
        """A client that behaves like a browser on our own pages, signed in as ``user``."""
        headers = {"Origin": self.url, "Sec-Fetch-Site": "same-origin", "User-Agent": "tests"}
        # Certificates, which nobody needs here, would take longer to load than most tests take.
        async with httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=30, verify=False
        ) as client:
            if user is not None:
                client.cookies.set(SESSION_COOKIE, await self.session_of(user))
            yield client

    async def session_of(self, user: User) -> str:
        """The token of a new session of ``user``."""
        token = new_token()
        async with self.resources.db.transaction() as session:
            session.add(
                UserSession(
                    id=new_id(),
                    user_id=user.id,
                    token_hash=hash_token(token),
                    expires_at=now() + SESSION_LIFETIME,
                )
            )
        return token


class QuietServer(uvicorn.Server):
    """A server that leaves the test run's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture(scope="session")
def application(servers: dict[str, str], models_dir: Path) -> Litestar:
    """Routes and templates, made once: every test gives them settings and servers of its own."""
    return litestar_app(settings_on(servers, servers["DATABASE_URL"], models_dir))


@contextlib.asynccontextmanager
async def carried_mail(resources: Resources) -> AsyncIterator[None]:
    """Mail that this process posts is sent as soon as it is committed, without a worker."""
    posted = asyncio.Event()

    def note(session: Session, _: Any) -> None:
        if any(isinstance(row, OutgoingMail) for row in session.new):
            session.info[OutgoingMail] = True

    def wake(session: Session) -> None:
        if session.info.pop(OutgoingMail, False):
            posted.set()

    async def carry() -> None:
        while await posted.wait():
            posted.clear()
            async with resources.db.transaction() as session:
                waiting = select(OutgoingMail.id).where(OutgoingMail.sealed.is_not(None))
                mail_ids = (await session.scalars(waiting.order_by(OutgoingMail.id))).all()
            for mail_id in mail_ids:
                await delivery.deliver(resources, mail_id)

    listeners = (("after_flush", note), ("after_commit", wake))
    for name, listener in listeners:
        event.listen(Session, name, listener)
    carrying = asyncio.create_task(carry())
    try:
        yield
    finally:
        for name, listener in listeners:
            event.remove(Session, name, listener)
        while not carrying.done():  # asyncio.wait_for may lose a cancellation (bpo-37658)
            carrying.cancel()
            await asyncio.wait([carrying], timeout=1)
        if not carrying.cancelled():
            carrying.result()


@pytest.fixture
async def site(
    settings: Settings, resources: Resources, application: Litestar
) -> AsyncIterator[Site]:
    """The web application on a real port, and somebody who carries its mail."""
    # The protocol is named so that answers do not wait for acknowledgements (asyncio looks at it).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = with_layers(application, settings.model_copy(update={"public_url": url}))
    server = QuietServer(
        uvicorn.Config(
            app, log_config=None, lifespan="on", proxy_headers=False, timeout_graceful_shutdown=2
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            assert not serving.done(), serving.exception()
            await asyncio.sleep(0.01)
        async with carried_mail(resources):
            yield Site(url, resources)
    finally:
        server.should_exit = True
        await asyncio.wait([serving])
        listener.close()


@pytest.fixture
async def running_worker(resources: Resources) -> AsyncIterator[None]:
    """A worker in this process, with everything a worker process runs."""
    stop = asyncio.Event()
    working = asyncio.create_task(worker.work(resources, stop))
    yield
    stop.set()
    await asyncio.wait_for(working, 30)


@pytest.fixture
def astronaut() -> bytes:
    """A public-domain portrait, JPEG."""
    return (PHOTOS / "astronaut.jpg").read_bytes()


def plain(settings: Settings) -> dict[str, str]:
    """Settings as plain values, secrets included: they go to a process of our own."""
    given = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is not None:
            shown = value.get_secret_value() if hasattr(value, "get_secret_value") else value
            given[name] = str(shown)
    return given


def environment_of(settings: Settings) -> dict[str, str]:
    """These settings as a process's environment."""
    return {**os.environ, **{name.upper(): value for name, value in plain(settings).items()}}


def settings_on(servers: dict[str, str], database_url: str, models_dir: Path) -> Settings:
    values: dict[str, Any] = {name.lower(): value for name, value in servers.items()}
    values |= {
        "database_url": database_url,
        "funmagic_env": "development",
        "secret_keys": "t1:" + base64.b64encode(bytes(range(32))).decode(),
        "queue_prefix": f"t{secrets.token_hex(4)}",
        "models_dir": str(models_dir),
        "log_level": "WARNING",
        "lease_s": "2",
        "reconcile_every_s": "0.3",
        "write_limit_factor": "100",  # tests are quicker than people
    }
    return Settings(**values)


def with_database(url: str, name: str) -> str:
    head, _, query = url.partition("?")
    base = head.rsplit("/", 1)[0]
    return f"{base}/{name}" + (f"?{query}" if query else "")


async def administer(servers: dict[str, str], statement: str) -> None:
    connection = await asyncpg.connect(with_database(servers["DATABASE_URL"], "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
