"""One's own password and address, from who has just proved that it is they."""

from __future__ import annotations

import secrets

import httpx
from litestar import Litestar
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.mailbox import newest_mail, text_of, token_in

from funmagic.core.resources import Resources

PASSWORD = "purple elephants sing"


async def log_in(site: Site, email: str, password: str) -> httpx.Response:
    async with site.browser() as browser:
        return await browser.post("/api/auth/login", json={"email": email, "password": password})


async def test_a_password_is_set_changed_and_removed_and_ends_the_other_sessions(
    site: Site, make_user: MakeUser
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser, site.browser(bo) as elsewhere:
        weak = await browser.put("/api/me/password", json={"password": "password"})
        assert set(weak.json()["error"]["fields"]) == {"password"}
        for password in (PASSWORD, f"{PASSWORD} again"):
            changed = await browser.put("/api/me/password", json={"password": password})
            assert changed.status_code == 204
            assert (await browser.get("/api/me")).json()["hasPassword"] is True
        assert (await elsewhere.get("/api/me")).status_code == 401
        assert (await log_in(site, bo.email, PASSWORD)).status_code == 401
        assert (await log_in(site, bo.email, f"{PASSWORD} again")).status_code == 200
        for _ in range(2):
            assert (await browser.delete("/api/me/password")).status_code == 204
        assert (await browser.get("/api/me")).json()["hasPassword"] is False
        assert (await log_in(site, bo.email, f"{PASSWORD} again")).status_code == 401


async def test_an_address_changes_only_by_the_link_mailed_to_it(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    maildir = resources.settings.dev_inbox_dir
    assert maildir is not None
    bo, new = await make_user("bo@example.com"), f"bo-{secrets.token_hex(4)}@example.com"
    async with site.browser(bo) as browser:
        own = await browser.post("/api/me/email", json={"email": bo.email})
        assert set(own.json()["error"]["fields"]) == {"email"}
        asked = await browser.post("/api/me/email", json={"email": new})
        assert (asked.status_code, asked.json()) == (202, {"sent": True})
        taken = await browser.post("/api/me/email", json={"email": "ada@example.com"})
        assert (taken.status_code, taken.json()) == (202, {"sent": True})
        mail = await newest_mail(maildir, new)
        assert f"/en/confirm-email?token={token_in(mail)}" in text_of(mail)
        assert (await browser.get("/api/me")).json()["email"] == bo.email


async def test_what_a_stolen_session_must_not_do_wants_a_proof_first(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser, site.browser() as nobody:
        before = (await browser.get("/api/me")).json()
        async with resources.db.transaction() as session:
            await session.execute(
                text("UPDATE sessions SET authenticated_at = now() - interval '16 minutes'")
            )
        for method, path, body in (
            ("PUT", "/api/me/password", {"password": PASSWORD}),
            ("DELETE", "/api/me/password", None),
            ("POST", "/api/me/email", {"email": "new@example.com"}),
            ("DELETE", "/api/me", {"confirm": bo.email}),
        ):
            refused = await browser.request(method, path, json=body)
            assert refused.status_code == 403, path
            assert refused.json()["error"]["type"] == "reauthentication_required"
            assert (await nobody.request(method, path, json=body)).status_code == 401
        assert (await browser.get("/api/me")).json() == before


def test_everything_is_in_the_description_of_the_api(application: Litestar) -> None:
    paths = application.openapi_schema.to_schema()["paths"]
    described = {
        path: {method for method in about if method in {"get", "put", "post", "patch", "delete"}}
        for path, about in paths.items()
        if path.startswith("/api/me") and "/keys" not in path
    }
    assert described == {
        "/api/me": {"get", "patch", "delete"},
        "/api/me/avatar": {"get", "put", "delete"},
        "/api/me/password": {"put", "delete"},
        "/api/me/email": {"post"},
        "/api/me/exports": {"get", "post"},
        "/api/me/exports/{export_id}/download": {"get"},
        "/api/me/restoration": {"post"},
    }
