"""API keys: shown once, good for what they were made for, dead when revoked or run out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.mailbox import newest_mail, text_of

from funmagic.accounts.keys import MAX_KEYS, SCOPES
from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core.crypto import hash_token
from funmagic.core.resources import Resources

ALL = {"name": "Everything", "scopes": list(SCOPES)}


@pytest.fixture
async def ada(site: Site, make_user: MakeUser) -> AsyncIterator[httpx.AsyncClient]:
    """Ada's browser."""
    async with site.browser(await make_user()) as browser:
        yield browser


async def made(browser: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await browser.post("/api/me/keys", json=ALL | changes)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def program(site: Site, key: str, method: str, path: str, **more: Any) -> httpx.Response:
    """A request as programs make it: no cookie, no origin."""
    async with httpx.AsyncClient(base_url=site.url, timeout=30, verify=False) as client:
        headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
        return await client.request(method, path, headers=headers, **more)


def trouble(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["type"]


async def test_a_key_is_shown_once_and_kept_as_a_hash(
    site: Site, ada: httpx.AsyncClient, resources: Resources
) -> None:
    key = await made(ada, name="  My   laptop ", scopes=["tasks:write", "tasks:read"])
    secret = key.pop("key")
    assert secret.startswith("fm_")
    assert len(secret) == 46
    assert key["name"] == "My laptop"
    assert key["scopes"] == ["tasks:read", "tasks:write"]
    assert secret.startswith(key["hint"])
    shown = await ada.get("/api/me/keys")
    assert shown.json()["items"] == [key]
    assert secret not in shown.text
    async with resources.db.transaction() as session:
        stored = (await session.execute(text("SELECT * FROM api_keys"))).one()
        assert stored.token_hash == hash_token(secret)
        assert secret not in str(stored)
        acts = (await session.execute(text("SELECT action, data FROM audit_log"))).all()
        assert [act.action for act in acts] == ["key.created"]
        assert secret not in str(acts)


async def test_a_new_key_is_told_of_by_mail(ada: httpx.AsyncClient, maildir: Path) -> None:
    key = await made(ada, name="My laptop")
    mail = await newest_mail(maildir, "ada@example.com")
    assert "My laptop" in text_of(mail)
    assert "/en/profile/keys" in text_of(mail)
    assert key["key"] not in str(mail)


async def test_a_program_asks_for_what_a_person_does(site: Site, ada: httpx.AsyncClient) -> None:
    secret = (await made(ada))["key"]
    me = await program(site, secret, "GET", "/api/me")
    assert me.json()["email"] == "ada@example.com"
    credits = await program(site, secret, "GET", "/api/credits")
    assert credits.json()["available"] == 50
    described = {
        "route": "tool-input",
        "files": [{"name": "a.png", "size": 10, "type": "image/png"}],
    }
    upload = await program(site, secret, "POST", "/api/upload", json=described)
    assert upload.status_code == 200, upload.text
    for path in ("/api/tools", "/api/tasks", "/healthz"):
        assert (await program(site, secret, "GET", path)).status_code == 200


async def test_a_key_does_what_its_scopes_say_and_nothing_else(
    site: Site, ada: httpx.AsyncClient
) -> None:
    secret = (await made(ada, scopes=["tasks:read"]))["key"]
    assert (await program(site, secret, "GET", "/api/tasks")).status_code == 200
    for method, path in (
        ("POST", "/api/tasks"),
        ("POST", f"/api/tasks/{uuid4()}/retry"),
        ("GET", "/api/credits"),
        ("GET", "/api/me"),
        ("POST", "/api/upload"),
    ):
        answer = await program(site, secret, method, path, json={} if method == "POST" else None)
        assert trouble(answer) == (403, "scope_missing"), path


async def test_no_key_whatever_its_scopes_is_as_good_as_a_person(
    site: Site, make_user: MakeUser
) -> None:
    root = await make_user("root@example.com", role="super_admin")
    async with site.browser(root) as browser:
        secret = (await made(browser))["key"]
    for method, path in (
        ("GET", "/api/me/keys"),
        ("POST", "/api/me/keys"),
        ("PATCH", "/api/me"),
        ("GET", "/api/auth/session"),
        ("GET", "/api/auth/sessions"),
        ("POST", "/api/auth/reauthenticate"),
        ("POST", "/api/auth/login"),
        ("GET", "/api/admin/users"),
        ("GET", "/api/admin/providers"),
    ):
        answer = await program(site, secret, method, path, json=ALL if method != "GET" else None)
        assert trouble(answer) == (403, "key_not_allowed"), path
    page = await program(site, secret, "GET", "/en/dashboard")
    assert page.status_code in {403, 404}


async def test_beside_a_key_a_cookie_counts_for_nothing(
    site: Site, ada: httpx.AsyncClient, make_user: MakeUser
) -> None:
    key = await made(ada)
    cookie = {
        "Cookie": f"{SESSION_COOKIE}={await site.session_of(await make_user('cy@example.com'))}"
    }
    me = await program(site, key["key"], "GET", "/api/me", headers=cookie)
    assert me.json()["email"] == "ada@example.com"
    wrong = await program(site, "fm_" + "x" * 43, "GET", "/api/me", headers=cookie)
    assert trouble(wrong) == (401, "key_unusable")
    async with httpx.AsyncClient(base_url=site.url, verify=False) as client:
        basic = await client.get("/api/me", headers={"Authorization": "Basic YTpi", **cookie})
    assert trouble(basic) == (401, "unauthenticated")


async def test_a_key_that_has_ended_opens_nothing(
    site: Site, ada: httpx.AsyncClient, resources: Resources
) -> None:
    async def opens(secret: str) -> bool:
        answer = await program(site, secret, "GET", "/api/tasks")
        if answer.status_code != 200:
            assert trouble(answer) == (401, "key_unusable")
        return answer.status_code == 200

    async def change(statement: str) -> None:
        async with resources.db.transaction() as session:
            await session.execute(text(statement))

    revoked, short, kept = [await made(ada, expiresInDays=days) for days in (None, 1, 2)]
    assert all([await opens(key["key"]) for key in (revoked, short, kept)])
    address = f"/api/me/keys/{revoked['id']}"
    assert (await ada.delete(address)).status_code == 204
    assert (await ada.delete(address)).status_code == 404
    assert not await opens(revoked["key"])
    await change("UPDATE api_keys SET expires_at = expires_at - interval '1 day 1 second'")
    assert not await opens(short["key"])
    assert [key["id"] for key in (await ada.get("/api/me/keys")).json()["items"]] == [kept["id"]]
    assert await opens(kept["key"])
    await change("UPDATE users SET erased_at = now()")
    assert not await opens(kept["key"])


async def test_nobody_revokes_a_strangers_key(
    site: Site, ada: httpx.AsyncClient, make_user: MakeUser
) -> None:
    key = await made(ada)
    async with site.browser(await make_user("cy@example.com")) as cy:
        assert (await cy.delete(f"/api/me/keys/{key['id']}")).status_code == 404
        assert (await cy.get("/api/me/keys")).json()["items"] == []
    assert (await program(site, key["key"], "GET", "/api/me")).status_code == 200


async def test_the_last_use_is_written_at_most_once_a_minute(
    site: Site, ada: httpx.AsyncClient, resources: Resources
) -> None:
    secret = (await made(ada))["key"]

    async def use() -> tuple[str, str]:
        await asyncio.gather(*(program(site, secret, "GET", "/api/me") for _ in range(3)))
        async with resources.db.transaction() as session:
            row = text("SELECT last_used_at::text, xmin::text FROM api_keys")
            return tuple((await session.execute(row)).one())

    first = await use()
    assert await use() == first
    async with resources.db.transaction() as session:
        await session.execute(
            text("UPDATE api_keys SET last_used_at = last_used_at - interval '61 seconds'")
        )
    assert await use() > first


async def test_what_makes_no_sense_makes_no_key(ada: httpx.AsyncClient) -> None:
    for wrong, field in (
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["tasks:read", "admin"]}, "scopes"),
        ({"expiresInDays": 0}, "expiresInDays"),
        ({"expiresInDays": 4_000}, "expiresInDays"),
    ):
        answer = await ada.post("/api/me/keys", json=ALL | wrong)
        assert answer.status_code == 422, wrong
        assert field in answer.json()["error"]["fields"], answer.text


async def test_nobody_has_more_keys_than_a_list_shows(
    ada: httpx.AsyncClient, resources: Resources
) -> None:
    answers = await asyncio.gather(
        *(ada.post("/api/me/keys", json=ALL) for _ in range(MAX_KEYS + 3))
    )
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(201), statuses.count(409)) == (MAX_KEYS, 3)
    items = (await ada.get("/api/me/keys")).json()["items"]
    assert len(items) == MAX_KEYS
    assert (await ada.delete(f"/api/me/keys/{items[0]['id']}")).status_code == 204
    assert (await ada.post("/api/me/keys", json=ALL)).status_code == 201
