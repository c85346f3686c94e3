"""Acts: on record if and only if they happened, found by whom they are about and who did them."""

from __future__ import annotations

from uuid import UUID

import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site

from funmagic.audit import service as audit
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources


async def record(resources: Resources, actor_id: UUID, subject_id: object, action: str) -> None:
    async with resources.db.transaction() as session:
        await audit.record(
            session, actor_id=actor_id, action=action, subject_type="user", subject_id=subject_id
        )


async def test_what_is_rolled_back_is_not_on_record(resources: Resources) -> None:
    async def fail() -> None:
        async with resources.db.transaction() as session:
            await audit.record(
                session, actor_id=None, action="role.changed", subject_type="user", subject_id=1
            )
            await session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with resources.db.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM audit_log")) == 0


async def test_acts_are_found_by_both_sides_the_newest_first(resources: Resources) -> None:
    ada, root = new_id(), new_id()
    for actor, subject, action in (
        (ada, ada, "key.created"),
        (root, ada, "role.changed"),
        (root, root, "session.started"),
        (root, new_id(), "role.changed"),
    ):
        await record(resources, actor, subject, action)
    async with resources.db.transaction() as session:
        about = await audit.about(session, "user", ada, limit=10)
        assert [act.action for act in about] == ["role.changed", "key.created"]
        assert len(await audit.about(session, "user", ada, limit=1)) == 1
        assert await audit.about(session, "tool", ada, limit=10) == []
        done = await audit.by(session, root, limit=10)
        assert [act.action for act in done] == ["role.changed", "role.changed"], "to others alone"


async def test_an_act_names_the_request_it_was_done_by(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    async with site.browser(await make_user()) as browser:
        headers = {"X-Request-Id": "the-one-that-did-it"}
        key = {"name": "Laptop", "scopes": ["tasks:read"]}
        assert (await browser.post("/api/me/keys", json=key, headers=headers)).status_code == 201
    async with resources.db.transaction() as session:
        named = await session.scalar(text("SELECT request_id FROM audit_log"))
    assert named == "the-one-that-did-it"
