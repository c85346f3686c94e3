"""One's own account: who one is, how one is called, how the product looks."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.conftest import MakeUser, Site


async def test_who_is_signed_in_sees_themselves_and_their_credits(
    site: Site, make_user: MakeUser
) -> None:
    ada = await make_user(credits_=70)
    async with site.browser(ada) as browser:
        me = (await browser.get("/api/me")).json()
    assert me == {
        "id": str(ada.id),
        "email": "ada@example.com",
        "name": "Ada",
        "role": "user",
        "avatarUrl": None,
        "hasPassword": False,
        "theme": "system",
        "accent": "violet",
        "locale": "en",
        "credits": {"available": 70, "balance": 70, "reserved": 0},
        "deletionDueAt": None,
        "createdAt": me["createdAt"],
    }


async def test_nobody_has_no_account(site: Site) -> None:
    async with site.browser() as browser:
        assert (await browser.get("/api/me")).status_code == 401
        assert (await browser.patch("/api/me", json={"name": "Bo"})).status_code == 401


async def test_what_is_changed_stays_and_the_rest_is_left_alone(
    site: Site, make_user: MakeUser
) -> None:
    ada, bo = await make_user(), await make_user("bo@example.com")
    async with site.browser(ada) as browser:
        await browser.patch("/api/me", json={"theme": "dark", "accent": "rose"})
        changed = await browser.patch(
            "/api/me", json={"name": "  Ada \u00a0 King ", "locale": "zh"}
        )
        assert changed.status_code == 200
        me = (await browser.get("/api/me")).json()
    assert changed.json() == me
    assert (me["name"], me["theme"], me["accent"], me["locale"]) == (
        "Ada King",
        "dark",
        "rose",
        "zh",
    )
    async with site.browser(bo) as browser:
        assert (await browser.get("/api/me")).json()["theme"] == "system"


@pytest.mark.parametrize(
    "name",
    ["", "x" * 100, "林黛玉", "Zoë O’Neill-Ørsted", "👩‍🚀", "می\u200cخواهم", "e\u0301" * 100],
)
async def test_a_name_may_be_of_any_script(site: Site, make_user: MakeUser, name: str) -> None:
    async with site.browser(await make_user()) as browser:
        assert (await browser.patch("/api/me", json={"name": name})).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 101},
        {"name": "a\nb"},
        {"name": "a\x00b"},
        {"name": "ada\u202egnp.exe"},
        {"name": "\u200d\u200d"},
        {"name": "\u2028"},
        {"theme": "sepia"},
        {"accent": "#ff0000"},
        {"locale": "xx"},
        {"locale": "../en"},
    ],
)
async def test_what_cannot_be_shown_or_is_unknown_is_refused_by_field(
    site: Site, make_user: MakeUser, change: dict[str, Any]
) -> None:
    async with site.browser(await make_user()) as browser:
        before = (await browser.get("/api/me")).json()
        refused = await browser.patch("/api/me", json={"accent": "blue", **change})
        assert refused.status_code == 422
        assert set(refused.json()["error"]["fields"]) == set(change)
        assert (await browser.get("/api/me")).json() == before


@pytest.mark.parametrize("field", ["email", "role", "id", "credits", "avatarUrl", "erasedAt"])
async def test_nothing_else_of_oneself_is_changed_by_asking(
    site: Site, make_user: MakeUser, field: str
) -> None:
    async with site.browser(await make_user()) as browser:
        refused: httpx.Response = await browser.patch("/api/me", json={field: "super_admin"})
    assert refused.status_code == 422
