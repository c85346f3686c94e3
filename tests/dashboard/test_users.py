"""People in the back office: found, looked at, raised and lowered; what admins did is on record."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.credits.tasks_for_holds import add_task
from tests.dashboard.conftest import config_of, save

from funmagic.accounts import people
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

CROWD = text("""
    INSERT INTO users (id, email, name, role, email_verified_at)
    SELECT CAST(lpad(to_hex(n), 32, '0') AS uuid), 'crowd' || n || '@example.com',
           'Member <' || n || '>', CASE WHEN n % 100 = 0 THEN 'admin' ELSE 'user' END, now()
      FROM generate_series(1, CAST(:people AS integer)) AS n
""")

RENAMED = text("""
    UPDATE tools SET title = 'Nothing else', translations = '{"zh": {"title": "别无其他"}}'
""")


async def crowd(resources: Resources, people: int) -> None:
    """Bring in so many people with the same words in address and name; every 100th is an admin."""
    async with resources.db.transaction() as session:
        await session.execute(CROWD, {"people": people})
        await session.execute(text("ANALYZE users"))


async def test_people_are_found_by_address_name_and_role_page_by_page(
    root: httpx.AsyncClient, resources: Resources
) -> None:
    await crowd(resources, 250)
    seen: list[str] = []
    query: dict[str, Any] = {"q": "CROWD", "limit": 100}
    while True:
        page = (await root.get("/api/admin/users", params=query)).json()
        seen += [item["email"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]
    assert seen == [f"crowd{n}@example.com" for n in range(250, 0, -1)]

    async def found(**query: Any) -> list[str]:
        answer = await root.get("/api/admin/users", params=query)
        return [item["email"] for item in answer.json()["items"]]

    assert await found(q="member <249>") == ["crowd249@example.com"]
    assert await found(q="crowd", role="admin") == ["crowd200@example.com", "crowd100@example.com"]
    assert await found(q="%") == []
    assert await found(role="super_admin") == ["root@example.com"]
    for wrong in ({"role": "king"}, {"cursor": "x"}, {"limit": 101}, {"q": "x" * 201}):
        assert (await root.get("/api/admin/users", params=wrong)).status_code == 422, wrong


async def test_a_page_of_people_is_read_from_an_index(resources: Resources) -> None:
    await crowd(resources, 20_000)
    async with resources.db.transaction() as session:
        first, cursor = await people.page(session, limit=20)
        assert len(first) == 20
        assert cursor is not None
        plan = text("""
            EXPLAIN SELECT * FROM users WHERE erased_at IS NULL AND id < :last
             ORDER BY id DESC LIMIT 21
        """)
        lines = "\n".join(await session.scalars(plan, {"last": first[-1].id}))
    assert "Index Scan Backward using pk_users" in lines
    assert "Sort" not in lines


async def test_a_person_is_shown_with_credits_ways_in_and_what_happened(
    site: Site, root: httpx.AsyncClient, make_user: MakeUser
) -> None:
    cy = await make_user("cy@example.com", 30)
    async with site.browser(cy) as browser:
        made = await browser.post("/api/me/keys", json={"name": "Laptop", "scopes": ["tasks:read"]})
        secret = made.json()["key"]
    address = f"/api/admin/users/{cy.id}"
    assert (await root.patch(address, json={"role": "admin"})).status_code == 200
    answer = await root.get(address)
    person = answer.json()
    assert person["email"] == "cy@example.com"
    assert person["credits"] == {"available": 30, "balance": 30, "reserved": 0, "owed": 0}
    assert (person["sessions"], person["keys"], person["role"]) == (1, 1, "admin")
    assert [(act["action"], act["by"]) for act in person["acts"]] == [
        ("role.changed", "root@example.com"),
        ("key.created", "cy@example.com"),
    ]
    assert secret not in answer.text
    for word in ("token", "hash"):
        assert word not in answer.text.lower()
    unknown = "/api/admin/users/00000000-0000-7000-8000-000000000000"
    assert (await root.get(unknown)).status_code == 404
    assert (await root.patch(unknown, json={"role": "user"})).status_code == 404


@pytest.mark.hazard("U2")
async def test_only_super_admins_are_offered_to_change_a_role(
    site: Site, root: httpx.AsyncClient, make_user: MakeUser
) -> None:
    cy = await make_user("cy@example.com")
    pages = ("/en/dashboard/users", f"/en/dashboard/users/{cy.id}")
    me = (await root.get("/api/me")).json()["id"]
    async with site.browser(await make_user("admin@example.com", role="admin")) as admin:
        for path in pages:
            assert (await admin.get(path)).status_code == 200
        assert "json-form" not in (await admin.get(pages[1])).text
    async with site.browser(cy) as browser:
        for path in pages:
            assert (await browser.get(path)).status_code == 404
    shown = (await root.get(pages[1])).text
    assert f'data-url="/api/admin/users/{cy.id}"' in shown
    assert "json-form" not in (await root.get(f"/en/dashboard/users/{me}")).text


async def test_the_pages_show_people_safely_in_both_languages(
    site: Site, root: httpx.AsyncClient, make_user: MakeUser, resources: Resources
) -> None:
    await crowd(resources, 25)
    first = (await root.get("/en/dashboard/users?q=crowd&role=user")).text
    assert first.count("data-row") == 20
    assert "Member &lt;25&gt;" in first
    older = first.split('href="/en/dashboard/users?q=crowd&amp;role=user&amp;cursor=')[1].split(
        '"'
    )[0]
    second = await root.get(f"/en/dashboard/users?q=crowd&role=user&cursor={older}")
    assert second.text.count("data-row") == 5
    assert "Nobody matches" in (await root.get("/en/dashboard/users?q=nowhere")).text
    cy = await make_user("cy@example.com")
    async with resources.db.transaction() as session:
        await session.execute(
            text("""
                INSERT INTO audit_log (id, actor_id, action, subject_type, subject_id, data)
                SELECT gen_random_uuid(), CAST(:id AS uuid), action, 'user', :id, data
                  FROM (VALUES
                    ('session.started', CAST('{"method": "password", "browser": "Firefox",
                      "system": "Linux", "isNewDevice": true}' AS jsonb)),
                    ('role.changed', '{"from": "user", "to": "admin"}'),
                    ('something.new', '{"name": "<script>", "count": 3}')) AS act (action, data)
            """),
            {"id": str(cy.id)},
        )
        await session.execute(RENAMED)
        await add_task(session, new_id(), cy.id, status="queued", price_credits=5)
    shown = (await root.get(f"/en/dashboard/users/{cy.id}")).text
    acts = ("Password · Firefox · Linux · new device", "User → Admin", "something.new")
    for words in (*acts, "Nothing else"):
        assert words in shown
    assert "&lt;script&gt; · count: 3" in shown
    for locale, title in (("zh", "别无其他"), ("de", "Nothing else")):
        assert title in (await root.get(f"/{locale}/dashboard/users/{cy.id}")).text
    assert "style=" not in shown


async def test_what_admins_do_is_on_record_without_a_secret(
    root: httpx.AsyncClient, remover: dict[str, Any], resources: Resources
) -> None:
    tool = f"/api/admin/tools/{remover['id']}"
    await root.patch(tool, json={"isFeatured": True})
    await root.patch(tool, json={"title": "Cut out"})
    renamed = (await root.get("/api/admin/tools", params={"q": "background-remove"})).json()
    view = await config_of(root, renamed["items"][0])
    assert (await save(root, renamed["items"][0], view)).status_code == 200
    new = {"implementation": "figme", "slug": "ink", "title": "Ink", "toolType": "photo"}
    assert (await root.post("/api/admin/tools", json=new)).status_code == 201
    read_at = (await root.get("/api/admin/providers/openai")).json()["updatedAt"]
    provider = {
        "label": "OpenAI",
        "isEnabled": True,
        "credentials": {"key": "sk-very-secret"},
        "config": {},
        "updatedAt": read_at,
    }
    saved = await root.put("/api/admin/providers/openai", json=provider)
    assert saved.status_code == 200, saved.text
    refused = await root.put("/api/admin/providers/openai", json=provider)
    assert refused.status_code == 409, "a change that failed is no act"
    async with resources.db.transaction() as session:
        rows = await session.execute(
            text(
                "SELECT action, subject_type, subject_id, data, request_id, actor_id FROM audit_log"
                " ORDER BY id"
            )
        )
        acts = rows.all()
    assert [act.action for act in acts] == [
        "tool.switched",
        "tool.saved",
        "tool.configured",
        "tool.created",
        "provider.saved",
        "provider.credentials_replaced",
    ]
    assert acts[0].data == {"tool": "background-remove", "isFeatured": True}
    assert acts[5].data == {"fields": ["key"]}
    assert "sk-very-secret" not in str(acts)
    assert all(act.request_id and act.actor_id for act in acts)
