"""Passwords, tokens and keys go to their person and nowhere else: a walk through every way in."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx
import pytest
from tests.accounts.conftest import Door
from tests.mail.test_secrecy import everything_on_record

from funmagic.accounts.devices import DEVICE_COOKIE
from funmagic.accounts.sessions import BROWSER_COOKIE, SESSION_COOKIE
from funmagic.core import log as logs
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings

COOKIES = (SESSION_COOKIE, BROWSER_COOKIE, DEVICE_COOKIE)
# Not the product's own: the mail sink's, and a log of requests that `funmagic web` switches off.
OF_THE_SERVER = ("mail.log", "uvicorn.access")


def traces_of(secret: str) -> set[str]:
    """A secret in the forms in which it might lie about."""
    plain = secret.encode()
    in_json = json.dumps(secret)[1:-1]
    return {
        secret,
        in_json,
        quote(secret),
        plain.hex(),
        base64.b64encode(plain).decode().rstrip("=")[:-1],
    }


@dataclass
class Walk:
    """Somebody who does everything there is to do about an account, and remembers every secret."""

    door: Door
    browser: httpx.AsyncClient
    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)

    async def post(self, way: str, status: int, **body: object) -> httpx.Response:
        return await self.ask("POST", f"/api/auth/{way}", status, json=body)

    async def ask(self, method: str, path: str, status: int, **more: object) -> httpx.Response:
        answer = await self.browser.request(method, path, **more)  # type: ignore[arg-type]
        assert answer.status_code == status, (path, answer.text)
        self.answers.append(answer.text)
        self.remember_cookies(answer)
        return answer

    async def open(self, page: str, token: str, status: int) -> None:
        """Open a mailed link. Its page has the token in its form, for who has it already."""
        answer = await self.browser.get(f"/en/{page}", params={"token": token})
        assert answer.status_code == status, (page, answer.text)
        self.remember_cookies(answer)

    def remember_cookies(self, answer: httpx.Response) -> None:
        for name in COOKIES:
            if name in answer.cookies:
                for number, token in enumerate(answer.cookies[name].split(".")):
                    self.secrets[f"{name} {len(self.secrets)} {number}"] = token

    async def token(self, mails: int) -> str:
        """The token in the newest mail."""
        token = await self.door.token(self.door.dora, mails=mails)
        self.secrets[f"token of mail {mails}"] = token
        return token

    def password(self) -> str:
        return self.secrets.setdefault(
            f"password {len(self.secrets)}", f"pw {secrets.token_hex(8)} & ünusual"
        )


@asynccontextmanager
async def overheard(resources: Resources) -> AsyncIterator[list[str]]:
    """Every command Valkey is given meanwhile."""
    heard: list[str] = []
    note, listening = heard.append, asyncio.Event()

    async def listen() -> None:
        async with resources.redis.monitor() as monitor:
            listening.set()
            async for command in monitor.listen():
                note(str(command["command"]))

    ear = asyncio.create_task(listen())
    await listening.wait()
    yield heard
    while not ear.done():
        ear.cancel()
        await asyncio.wait([ear], timeout=1)


@pytest.fixture
def log_lines(settings: Settings) -> Iterator[io.StringIO]:
    """All that is logged, as an installation that wants to know everything writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(settings.model_copy(update={"log_format": "json", "log_level": "DEBUG"}))
    written = io.StringIO()
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(written)
            handler.addFilter(lambda record: not record.name.startswith(OF_THE_SERVER))
    yield written
    root.handlers, root.level = handlers, level


@pytest.mark.hazard("U6")
async def test_no_secret_is_kept_said_or_shown_on_any_way_in(
    door: Door, log_lines: io.StringIO
) -> None:
    resources = door.site.resources
    async with overheard(resources) as heard, door.site.browser() as browser:
        walk = Walk(door, browser)
        await everything_there_is_to_do(walk)
        kept = await everything_on_record(resources)
        pages = [
            (await browser.get(path)).text
            for path in (
                "/en/profile",
                "/en/profile/security",
                "/en/profile/keys",
                "/api/me",
                "/api/me/keys",
                "/api/auth/sessions",
                "/api/auth/session",
            )
        ]
    assert len(walk.secrets) >= 20, sorted(walk.secrets)
    said = log_lines.getvalue()
    assert "/api/auth/login" in said, "the log is the product's own"
    assert any("mail" in command for command in heard)
    shown = "\n".join([*walk.answers, *pages])
    for name, secret in walk.secrets.items():
        for trace in traces_of(secret):
            assert trace not in kept, f"{name} is on record"
            assert trace not in said, f"{name} is in the log"
            assert not any(trace in command for command in heard), f"Valkey was told {name}"
            assert trace not in shown or name == "API key", f"{name} is in an answer"
    assert sum(walk.secrets["API key"] in answer for answer in walk.answers) == 1, "shown once"
    assert walk.secrets["API key"] not in "".join(pages)


async def everything_there_is_to_do(walk: Walk) -> None:
    """Register, come in by password and by link, forget the password, prove, make a key."""
    dora, first, second = walk.door.dora, walk.password(), walk.password()
    await walk.post("register", 202, email=dora, password=first, next="/en/credits")
    token = await walk.token(1)
    await walk.open("verify-email", token, 200)
    await walk.post("verify-email", 200, token=token)
    await walk.post("logout", 204)
    await walk.post("login", 401, email=dora, password=walk.password())
    await walk.post("login", 422, email=f"{first} in the wrong field", password="x")
    await walk.post("login", 200, email=dora, password=first)
    await walk.post("magic-link", 202, email=dora)
    await walk.post("logout", 204)
    await walk.open("sign-in/confirm", await walk.token(2), 303)
    await walk.post("forgot-password", 202, email=dora)
    reset = await walk.token(3)
    await walk.open("reset-password", reset, 200)
    await walk.post("reset-password", 422, token=reset, password="password")
    await walk.post("reset-password", 200, token=reset, password=second)
    await walk.door.mail(dora, mails=4)  # the notice
    await walk.post("reauthenticate", 401, password=first)
    await walk.post("reauthenticate", 204, password=second)
    await walk.post("reauthenticate/link", 202, next="/en/profile/keys")
    await walk.open("sign-in/confirm", await walk.token(5), 303)
    key = {"name": "A program", "scopes": ["tasks:read"]}
    made = await walk.ask("POST", "/api/me/keys", 201, json=key)
    walk.secrets["API key"] = made.json()["key"]
    asked = {"Authorization": f"Bearer {walk.secrets['API key']}"}
    await walk.ask("GET", "/api/tasks", 200, headers=asked)
    await walk.ask("GET", "/api/credits", 403, headers=asked)
    unknown = walk.secrets.setdefault("unknown key", f"fm_{secrets.token_urlsafe(32)}")
    await walk.ask("GET", "/api/tasks", 401, headers={"Authorization": f"Bearer {unknown}"})
