"""Three roles: nobody raises themselves, and somebody always can raise others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text
from tests.accounts.locks import until_somebody_waits
from tests.conftest import MakeUser, Site

from funmagic.accounts import roles
from funmagic.accounts.models import User
from funmagic.accounts.sessions import SESSION_COOKIE
from funmagic.core.errors import Conflict
from funmagic.core.resources import Resources


@pytest.mark.hazard("U2")
async def test_only_a_super_admin_says_who_is_what(site: Site, make_user: MakeUser) -> None:
    cy = await make_user("cy@example.com")
    address = f"/api/admin/users/{cy.id}"
    async with site.browser() as nobody:
        assert (await nobody.patch(address, json={"role": "admin"})).status_code == 401
    for role in ("user", "admin"):
        async with site.browser(await make_user(f"{role}@example.com", role=role)) as browser:
            assert (await browser.patch(address, json={"role": "admin"})).status_code == 403
            assert (await browser.get("/api/admin/users")).status_code == (
                200 if role == "admin" else 403
            )
    async with site.browser(await make_user("root@example.com", role="super_admin")) as root:
        for role in ("admin", "super_admin", "user"):
            changed = await root.patch(address, json={"role": role})
            assert changed.json()["role"] == role
        assert (await root.patch(address, json={"role": "king"})).status_code == 422


@pytest.mark.hazard("U2")
async def test_nobody_changes_their_own_role_by_any_door(site: Site, make_user: MakeUser) -> None:
    for role in ("user", "admin", "super_admin"):
        user = await make_user(f"{role}@example.com", role=role)
        async with site.browser(user) as browser:
            for wish in ("super_admin", "user"):
                answer = await browser.patch(f"/api/admin/users/{user.id}", json={"role": wish})
                assert answer.status_code == 403
            wanted = "own_role" if role == "super_admin" else "forbidden"
            assert answer.json()["error"]["type"] == wanted
            await browser.patch("/api/me", json={"role": "super_admin"})
            assert (await browser.get("/api/me")).json()["role"] == role


@pytest.mark.hazard("U2")
async def test_a_role_is_changed_by_who_has_just_proved_who_they_are(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    cy = await make_user("cy@example.com")
    async with site.browser(await make_user("root@example.com", role="super_admin")) as root:
        async with resources.db.transaction() as session:
            await session.execute(
                text("UPDATE sessions SET authenticated_at = now() - interval '16 minutes'")
            )
        answer = await root.patch(f"/api/admin/users/{cy.id}", json={"role": "admin"})
        assert answer.json()["error"]["type"] == "reauthentication_required"


@pytest.mark.hazard("U2")
async def test_super_admins_who_demote_each_other_leave_one(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    people = [await make_user(f"root{n}@example.com", role="super_admin") for n in range(4)]
    async with resources.db.transaction() as session:
        others = text("UPDATE users SET role = 'user' WHERE NOT id = ANY(:ids)")
        await session.execute(others, {"ids": [user.id for user in people]})
    async with AsyncExitStack() as stack:
        browsers = [await stack.enter_async_context(site.browser(user)) for user in people]

        async def demote(actor: int, target: int) -> int:
            address = f"/api/admin/users/{people[target].id}"
            return (await browsers[actor].patch(address, json={"role": "user"})).status_code

        statuses = await asyncio.gather(
            *(demote(actor, target) for actor in range(4) for target in range(4) if actor != target)
        )
    assert set(statuses) <= {200, 403}
    async with resources.db.transaction() as session:
        left = await session.scalar(text("SELECT count(*) FROM users WHERE role = 'super_admin'"))
        assert left == 1


@pytest.mark.hazard("U2")
async def test_the_last_super_admin_cannot_go(make_user: MakeUser, resources: Resources) -> None:
    """Whoever takes people away asks first; two who ask at once do not both hear yes."""
    async with resources.db.transaction() as session:
        await session.execute(text("UPDATE users SET role = 'user'"))
    first = await make_user("root1@example.com", role="super_admin")
    second = await make_user("root2@example.com", role="super_admin")

    async def leave(user: User) -> None:
        async with resources.db.transaction() as session:
            await roles.refuse_last(session, user)

    async with resources.db.transaction() as session:
        await roles.refuse_last(session, first)
        other = asyncio.create_task(leave(second))
        await until_somebody_waits(session)
        leaving = text("UPDATE users SET deletion_due_at = now() WHERE id = :id")
        await session.execute(leaving, {"id": first.id})
    with pytest.raises(Conflict) as refused:
        await other
    assert refused.value.type == "last_super_admin"
    async with resources.db.transaction() as session:
        await roles.refuse_last(session, await make_user("cy@example.com"))
        assert await roles.is_super_admin_there(session)


async def test_new_rights_come_with_a_new_token_and_are_written_down(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    cy, root = (
        await make_user("cy@example.com"),
        await make_user("r@example.com", role="super_admin"),
    )
    token = await site.session_of(cy)
    async with site.browser(root) as browser:
        await browser.patch(f"/api/admin/users/{cy.id}", json={"role": "admin"})
        await browser.patch(f"/api/admin/users/{cy.id}", json={"role": "admin"})
    async with site.browser() as browser:
        cookie = {"Cookie": f"{SESSION_COOKIE}={token}"}
        answer = await browser.get("/api/admin/users", headers=cookie)
        assert answer.status_code == 200
        assert answer.cookies[SESSION_COOKIE] != token
    async with resources.db.transaction() as session:
        acts = text(
            "SELECT actor_id, subject_id, data FROM audit_log WHERE action = 'role.changed'"
        )
        assert [tuple(act) for act in await session.execute(acts)] == [
            (root.id, str(cy.id), {"from": "user", "to": "admin"})
        ]
