"""One's own account: who one is, how one is called, how the product looks."""

from __future__ import annotations

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


async def test_a_name_may_be_of_any_script(site: Site, make_user: MakeUser) -> None:
    names = (
        "",
        "x" * 100,
        "林黛玉",
        "Zoë O’Neill-Ørsted",
        "👩\u200d🚀",
        "می\u200cخواهم",
        "e\u0301" * 100,
    )
    async with site.browser(await make_user()) as browser:
        for name in names:
            changed = await browser.patch("/api/me", json={"name": name})
            assert changed.status_code == 200, name
            assert changed.json()["name"] == name.replace("e\u0301", "é")


async def test_what_cannot_be_shown_or_is_unknown_is_refused_by_field(
    site: Site, make_user: MakeUser
) -> None:
    hidden = ("a\nb", "a\x00b", "ada\u202egnp.exe", "\u200d\u200d", "\u2028", "x" * 101, "\u200b")
    changes: list[dict[str, str]] = [
        *({"name": name} for name in hidden),
        {"theme": "sepia"},
        {"accent": "#ff0000"},
        {"locale": "xx"},
        {"locale": "../en", "theme": "x"},
    ]
    async with site.browser(await make_user()) as browser:
        before = (await browser.get("/api/me")).json()
        for change in changes:
            refused = await browser.patch("/api/me", json={"accent": "blue", **change})
            assert refused.status_code == 422, change
            assert set(refused.json()["error"]["fields"]) == set(change)
        assert (await browser.get("/api/me")).json() == before


async def test_nothing_else_of_oneself_is_changed_by_asking(
    site: Site, make_user: MakeUser
) -> None:
    async with site.browser(await make_user()) as browser:
        before = (await browser.get("/api/me")).json()
        for field in ("email", "role", "id", "credits", "avatarUrl", "erasedAt"):
            refused = await browser.patch("/api/me", json={field: "super_admin", "theme": "dark"})
            assert refused.status_code == 422, field
        assert (await browser.get("/api/me")).json() == before
