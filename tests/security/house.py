"""People of every role at the door of every route."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import httpx
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.security.rules import EMAIL, Access, Key, Rule, filled

from funmagic.accounts import keys
from funmagic.accounts.models import User
from funmagic.accounts.sessions import SESSION_COOKIE

ROLES: Final = ("anonymous", "owner", "stranger", "admin", "super_admin")
PURSE: Final = 1_000  # credits, enough for all that is tried
# What a page answers in place of a status for programs.
TO_SIGN_IN, NOT_HERE = 303, 404

PROVE = text("""
    UPDATE sessions SET authenticated_at = now() - CAST(:ago AS interval) WHERE user_id = :user_id
""")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody at the door, by a session's token or a program's key; neither for strangers."""

    role: str
    user: User | None = None
    token: str | None = None
    key: keys.NewKey | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer, without what may differ from one id to another."""

    status: int
    location: str
    text: str

    @classmethod
    def of(cls, answer: httpx.Response, thing_id: str) -> Seen:
        location = answer.headers.get("location", "").replace(thing_id, "…")
        return cls(answer.status_code, location, answer.text.replace(thing_id, "…"))


class House:
    """The running product, one client for all visitors, and the photo they bring along."""

    def __init__(
        self, site: Site, make_user: MakeUser, client: httpx.AsyncClient, photo: bytes
    ) -> None:
        self.site, self.photo = site, photo
        self.resources = site.resources
        self._make_user, self._client = make_user, client
        self._numbers = itertools.count(1)
        self._regulars: dict[str, Visitor] = {}
        self._programs: dict[tuple[UUID, tuple[str, ...]], Visitor] = {}

    async def visitor(self, role: str) -> Visitor:
        """A new person of this role, signed in."""
        if role == "anonymous":
            return Visitor(role)
        email = f"{role.replace('_', '-')}{next(self._numbers)}@example.com"
        is_admin = role in {"admin", "super_admin"}
        user = await self._make_user(email, PURSE, role if is_admin else "user")
        return Visitor(role, user, await self.site.session_of(user))

    async def visitors(self, rule: Rule) -> dict[str, Visitor]:
        """One of every role: always the same, but new ones for what is the last they do."""
        if rule.is_last:
            return {role: await self.visitor(role) for role in ROLES}
        if not self._regulars:
            self._regulars = {role: await self.visitor(role) for role in ROLES}
        return self._regulars

    async def ask(
        self,
        key: Key,
        rule: Rule,
        visitor: Visitor,
        *,
        thing_id: str = "",
        path: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request as the table describes it; ``path`` has values in place of the table's."""
        method, address = key
        for name, value in {**rule.path, **(path or {})}.items():
            address = address.replace(f"{{{name}}}", filled(value, thing_id))
        assert "{" not in address, f"tests/security/table.py: {key} needs a value in path={{…}}"
        sent = {**filled(rule.headers, thing_id), **(headers or {})}
        if visitor.token is not None:
            sent["Cookie"] = f"{SESSION_COOKIE}={visitor.token}"
        if visitor.key is not None:
            sent["Authorization"] = f"Bearer {visitor.key.secret}"
        if method != "GET":
            await self.resources.redis.flushall()  # nobody has asked too often yet
        given: dict[str, Any] = {"params": filled(rule.query, thing_id) or None}
        if rule.body is not None:
            email = visitor.user.email if visitor.user else "nobody@example.com"
            given["json"] = filled(filled(rule.body, thing_id), email, EMAIL)
        if rule.form is not None:
            given["data"] = filled(rule.form, thing_id)
        return await self._client.request(method, address, headers=sent, **given)

    async def program(self, visitor: Visitor, *scopes: str) -> Visitor:
        """A program of this person's, with a key of these scopes."""
        assert visitor.user is not None
        known = self._programs.get((visitor.user.id, scopes))
        if known is None:
            async with self.resources.db.transaction() as session:
                made = await keys.create(
                    session, visitor.user.id, name="A program", scopes=scopes, lifetime=None
                )
            known = Visitor("program", visitor.user, key=made)
            self._programs[visitor.user.id, scopes] = known
        return known

    async def prove(self, visitor: Visitor, *, ago: timedelta = timedelta()) -> None:
        """This person proved so long ago who they are."""
        assert visitor.user is not None
        async with self.resources.db.transaction() as session:
            await session.execute(PROVE, {"user_id": visitor.user.id, "ago": ago})


@asynccontextmanager
async def open_house(site: Site, make_user: MakeUser, photo: bytes) -> AsyncIterator[House]:
    headers = {"Origin": site.url, "Sec-Fetch-Site": "same-origin", "User-Agent": "tests"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=30) as client:
        yield House(site, make_user, client, photo)


def wanted(key: Key, rule: Rule, role: str) -> int:
    """The status this role gets, for one's own thing where it is about things."""
    may = {
        Access.EVERYBODY: True,
        Access.PEOPLE: role != "anonymous",
        Access.OWNER: role == "owner",
        Access.ADMINS: role in {"admin", "super_admin"},
        Access.SUPER_ADMINS: role == "super_admin",
    }[rule.access]
    if role in rule.otherwise or may:
        return rule.otherwise.get(role, rule.status)
    if role == "anonymous":
        return TO_SIGN_IN if is_page(key) else 401
    if rule.access is Access.OWNER or is_page(key):
        return NOT_HERE
    return 403


def told(answer: httpx.Response) -> str:
    """What an answer says, in short: an error's type, or a page's title."""
    if answer.headers.get("content-type", "").startswith("application/json"):
        error = answer.json().get("error") or {}
        return str(error.get("type", ""))
    return answer.text.partition("<title>")[2].partition("</title>")[0].strip()


def is_page(key: Key) -> bool:
    return not key[1].startswith("/api/")
