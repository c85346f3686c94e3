"""Leaving: two weeks to come back, then nothing is left that says who somebody was."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.mailbox import mails_to, newest_mail, text_of
from tests.stored import keys_of
from tests.tasks.runs import create, ended
from tests.uploads import upload

from funmagic import worker
from funmagic.accounts import erasure, exports
from funmagic.accounts import service as accounts
from funmagic.accounts.models import Identity, User
from funmagic.assets import service as assets
from funmagic.audit import service as audit
from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.core.mail import Mail
from funmagic.core.resources import Resources
from funmagic.core.storage import Storage, StorageError
from funmagic.mail import service as mails
from funmagic.reports import export
from funmagic.reports.reconcile import reconcile
from funmagic.tasks import previews

CANARY = "Xanadu"
LEDGER = text("SELECT * FROM credit_transactions WHERE user_id = :id ORDER BY entry_no")
ACCOUNT = text("SELECT * FROM credit_accounts WHERE user_id = :id")
TABLES = text("""
    SELECT relname FROM pg_class
     WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
""")


def maildir(resources: Resources) -> Path:
    assert resources.settings.dev_inbox_dir is not None
    return resources.settings.dev_inbox_dir


async def leave(browser: httpx.AsyncClient, confirm: str) -> httpx.Response:
    return await browser.request("DELETE", "/api/me", json={"confirm": confirm})


async def days_pass(resources: Resources, days: int) -> None:
    """Move what is counted from, rather than the clock."""
    async with resources.db.transaction() as session:
        for statement in (
            "UPDATE users SET deletion_due_at = deletion_due_at - make_interval(days => :days)",
            "UPDATE assets SET created_at = created_at - make_interval(days => :days)",
        ):
            await session.execute(text(statement), {"days": days})


async def rounds(resources: Resources) -> None:
    """What every worker does again and again."""
    await worker.look_after_people(resources)
    await assets.sweep(resources)
    await previews.sweep(resources)


async def where_found(resources: Resources, words: str) -> dict[str, int]:
    """Every table of the database with a row that holds these words anywhere."""
    found = {}
    async with resources.db.transaction() as session:
        for table in (await session.scalars(TABLES)).all():
            hits = await session.scalar(
                text(f'SELECT count(*) FROM "{table}" t WHERE t::text ILIKE :words'),
                {"words": f"%{words}%"},
            )
            if hits:
                found[table] = hits
    return found


async def everything(resources: Resources) -> dict[str, list[str]]:
    """Every row of every table, but for the times :func:`days_pass` moves."""
    rows = {}
    async with resources.db.transaction() as session:
        for table in (await session.scalars(TABLES)).all():
            moved = "'deletion_due_at' - 'created_at'"
            query = text(f'SELECT (to_jsonb(t) - {moved})::text FROM "{table}" t')
            rows[table] = sorted(await session.scalars(query))
    return rows


async def post_for_tomorrow(resources: Resources, to: str, *, kind: str) -> None:
    """A mail that waits to be sent again."""
    mail = Mail(to=to, subject="s", text="t", html="h")
    async with resources.db.transaction() as session:
        await mails.post(
            session, resources.vault, mail, kind=kind, expires_at=now() + timedelta(days=3)
        )
        tomorrow = text("UPDATE mails SET due_at = now() + interval '1 day' WHERE kind = :kind")
        await session.execute(tomorrow, {"kind": kind})


async def all_mail_is_sent(resources: Resources) -> None:
    """Wait until the postman has nothing to carry."""
    waiting = text("SELECT count(*) FROM mails WHERE sealed IS NOT NULL")
    async with asyncio.timeout(20):
        while True:
            async with resources.db.transaction() as session:
                if not await session.scalar(waiting):
                    return
            await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Life:
    """Somebody with one of everything; a task and an export wait to be done."""

    user: User
    session: str
    key: str
    task_id: str


@pytest.fixture
async def life(site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes) -> Life:
    user = await make_user(f"{CANARY.lower()}-{secrets.token_hex(4)}@example.com")
    async with site.browser(user) as browser:
        browser.headers["User-Agent"] = f"{CANARY} Browser"
        await browser.patch("/api/me", json={"name": f"{CANARY} Khan", "theme": "dark"})
        photo = await upload(browser, astronaut, name=f"{CANARY}.jpg")
        task = (await create(browser, photo, key=f"{CANARY}-key")).json()
        picture = await upload(browser, astronaut, route="avatar", name=f"{CANARY}-me.jpg")
        await browser.put("/api/me/avatar", json={"assetId": str(picture)})
        made = await browser.post(
            "/api/me/keys", json={"name": f"{CANARY} key", "scopes": ["tasks:read"]}
        )
        await browser.put("/api/me/password", json={"password": f"{CANARY} pleasure dome"})
        async with resources.db.transaction() as session:
            session.add(
                Identity(
                    id=new_id(),
                    user_id=user.id,
                    provider="google",
                    subject=f"{CANARY}-1",
                    email=f"{CANARY.lower()}@gmail.com",
                )
            )
        await browser.post("/api/auth/forgot-password", json={"email": user.email})
        await browser.post("/api/me/email", json={"email": f"new-{user.email}"})
        assert (await browser.post("/api/me/exports")).status_code == 202
    return Life(user, await site.session_of(user), made.json()["key"], task["taskId"])


async def test_leaving_ends_every_way_in_but_signing_in_again_and_that_way_back_stays_open(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    email = f"bo-{secrets.token_hex(4)}@example.com"
    bo = await make_user(email)
    async with site.browser(bo) as browser, site.browser(bo) as elsewhere:
        key = (
            await browser.post("/api/me/keys", json={"name": "k", "scopes": ["profile:read"]})
        ).json()["key"]
        refused = await leave(browser, "cy@example.com")
        assert set(refused.json()["error"]["fields"]) == {"confirm"}
        async with resources.db.transaction() as session:
            await session.execute(
                text("UPDATE sessions SET authenticated_at = now() - interval '16 minutes'")
            )
        refused = await leave(elsewhere, email)
        assert refused.json()["error"]["type"] == "reauthentication_required"
        async with resources.db.transaction() as session:
            await session.execute(text("UPDATE sessions SET authenticated_at = now()"))
        asked = await leave(browser, email)
        due = asked.json()["deletionDueAt"]
        left = datetime.fromisoformat(due) - datetime.now(UTC)
        assert timedelta(days=13, hours=23) < left <= timedelta(days=14)
        assert "Max-Age=0" in asked.headers["set-cookie"]
        assert (await browser.get("/api/me")).status_code == 401
        assert (await elsewhere.get("/api/me")).status_code == 401
        async with httpx.AsyncClient(base_url=site.url) as program:
            me = await program.get("/api/me", headers={"Authorization": f"Bearer {key}"})
        assert me.status_code == 401
    mail = await newest_mail(maildir(resources), email, mails=2)
    assert "/en/profile/data" in text_of(mail)

    async with site.browser(bo) as browser:
        assert (await browser.get("/api/me")).json()["deletionDueAt"] == due
        again = await leave(browser, email)
        assert again.json()["deletionDueAt"] == due, "asking twice does not buy time"
    async with site.browser(bo) as browser:
        await days_pass(resources, 13)
        await rounds(resources)
        for _ in range(2):
            me = await browser.post("/api/me/restoration")
            assert (me.status_code, me.json()["deletionDueAt"]) == (200, None)
        await days_pass(resources, 3)
        await rounds(resources)
        assert (await browser.get("/api/me")).json()["email"] == email
    await newest_mail(maildir(resources), email, mails=3)
    assert len(mails_to(maildir(resources), email)) == 3, "told once of the key and of each act"
    async with site.browser() as nobody:
        assert (await leave(nobody, email)).status_code == 401
        assert (await nobody.post("/api/me/restoration")).status_code == 401


async def test_the_last_super_admin_cannot_leave_and_of_two_at_once_one_stays(
    site: Site, make_user: MakeUser
) -> None:
    root = await make_user("root@example.com", role="super_admin")
    async with site.browser(root) as browser:
        refused = await leave(browser, root.email)
        assert (refused.status_code, refused.json()["error"]["type"]) == (409, "last_super_admin")
        assert (await browser.get("/api/me")).json()["deletionDueAt"] is None
    rita = await make_user("rita@example.com", role="super_admin")
    async with site.browser(root) as first, site.browser(rita) as second:
        answers = await asyncio.gather(leave(first, root.email), leave(second, rita.email))
    assert sorted(answer.status_code for answer in answers) == [200, 409]


@pytest.mark.hazard("M13")
@pytest.mark.hazard("A10")
async def test_an_erased_person_leaves_their_sums_and_nothing_else(
    site: Site, resources: Resources, life: Life
) -> None:
    user = life.user
    async with site.browser(user) as browser:
        stop = asyncio.Event()
        working = asyncio.create_task(worker.work(resources, stop))
        assert (await ended(browser, life.task_id))["status"] == "completed"
        stop.set()
        await asyncio.wait_for(working, 30)
        await export.make_all(resources)
        assert (await leave(browser, user.email.upper())).status_code == 200
    async with resources.db.transaction() as session:
        before = (await session.execute(LEDGER, {"id": user.id})).all()
        account = (await session.execute(ACCOUNT, {"id": user.id})).all()
    assert [entry.type for entry in before] == ["welcome", "reservation", "usage"]
    assert len(await keys_of(resources, user.id)) == 5
    assert {"users", "tasks", "assets", "api_keys", "identities", "audit_log"} <= set(
        await where_found(resources, CANARY)
    )

    await days_pass(resources, 15)
    await post_for_tomorrow(resources, user.email, kind="theirs")
    await post_for_tomorrow(resources, "di@example.com", kind="another's")
    await asyncio.gather(*(erasure.erase_due(resources) for _ in range(3)))
    await newest_mail(maildir(resources), user.email)
    await rounds(resources)

    assert await where_found(resources, CANARY) == {}
    assert await keys_of(resources, user.id) == set()
    async with resources.db.transaction() as session:
        assert (await session.execute(LEDGER, {"id": user.id})).all() == before
        assert (await session.execute(ACCOUNT, {"id": user.id})).all() == account
        row = await session.get_one(User, user.id, populate_existing=True)
        assert row.email == f"erased-{user.id}@invalid"
        assert row.password_hash is None
        assert (await session.execute(text("SELECT price_credits FROM tasks"))).scalars().all() == [
            5
        ]
        waiting = text("SELECT kind FROM mails WHERE sealed IS NOT NULL")
        assert (await session.scalars(waiting)).all() == ["another's"]
        for table in ("sessions", "api_keys", "identities", "devices", "mailed_links", "assets"):
            rows = text(f"SELECT count(*) FROM {table} WHERE user_id = :id")
            assert await session.scalar(rows, {"id": user.id}) == 0, table
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []

    told = [text_of(mail) for mail in mails_to(maildir(resources), user.email)]
    assert sum("are deleted" in words for words in told) == 1
    async with site.browser() as browser:
        browser.cookies.set("fm_session", life.session)
        assert (await browser.get("/api/me")).status_code == 401
        assert (await browser.post("/api/me/restoration")).status_code == 401
    async with resources.db.transaction() as session:
        new = await accounts.sign_up_or_find(session, user.email)
    assert new.id != user.id
    async with site.browser(new) as browser:
        assert (await browser.get("/api/tasks")).json()["items"] == []


@pytest.mark.hazard("M13")
async def test_erasing_is_done_whole_or_not_at_all_wherever_it_breaks(
    site: Site, resources: Resources, life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.browser(life.user) as browser:
        await browser.post(f"/api/tasks/{life.task_id}/cancellation")
        await export.make_all(resources)
        assert (await leave(browser, life.user.email)).status_code == 200
    await all_mail_is_sent(resources)
    await days_pass(resources, 15)
    before = await everything(resources)

    def breaks(*_: Any, **__: Any) -> Any:
        raise RuntimeError("killed")

    hooks = list(erasure._erase_hooks)
    for number in range(len(hooks)):
        with monkeypatch.context() as patch:
            broken = [*hooks[:number], breaks, *hooks[number + 1 :]]
            patch.setattr(erasure, "_erase_hooks", broken)
            assert await erasure.erase_due(resources) == 0
        assert await everything(resources) == before
        await days_pass(resources, 1)
    for room, verb in (
        (exports, "erase"),
        (audit, "forget"),
        (mails, "withdraw"),
        (erasure, "tell"),
        (erasure, "_record"),
        (erasure, "_make_nameless"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(room, verb, breaks)
            assert await erasure.erase_due(resources) == 0, verb
        await days_pass(resources, 1)
    assert await everything(resources) == before

    assert await erasure.erase_due(resources) == 1
    delete, calls = Storage.delete, 0

    async def falters(storage: Storage, key: str) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise StorageError("away")
        await delete(storage, key)

    monkeypatch.setattr(Storage, "delete", falters)
    for _ in range(20):
        try:
            await rounds(resources)
        except StorageError:
            continue
        if not await keys_of(resources, life.user.id):
            break
    assert await keys_of(resources, life.user.id) == set()
    assert await where_found(resources, CANARY) == {}


@pytest.mark.hazard("M13")
async def test_somebody_whose_task_runs_is_erased_when_it_has_ended(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser:
        task = await create(browser, await upload(browser, astronaut))
        assert (await leave(browser, bo.email)).status_code == 200
    await days_pass(resources, 15)
    async with resources.db.transaction() as session:
        await session.execute(
            text("INSERT INTO users (id, email, deletion_due_at) VALUES (:id, 'di@x.org', now())"),
            {"id": new_id()},
        )
    assert await erasure.erase_due(resources) == 1, "nobody else waits for them"
    assert set(await where_found(resources, bo.email)) == {"users"}
    assert await erasure.erase_due(resources) == 0

    async with site.browser(bo) as browser:
        task_id = task.json()["taskId"]
        await browser.post(f"/api/tasks/{task_id}/cancellation")
        await ended(browser, task_id)
    await days_pass(resources, 1)
    assert await erasure.erase_due(resources) >= 1
    assert await where_found(resources, bo.email) == {}
    async with resources.db.transaction() as session:
        assert await reconcile(session) == []


async def test_what_a_request_under_way_leaves_is_erased_an_hour_later(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser:
        assert (await leave(browser, bo.email)).status_code == 200
    await days_pass(resources, 15)
    assert await erasure.erase_due(resources) == 1
    async with resources.db.transaction() as session:  # as a task that was let in just before
        key = f"outputs/{bo.id}/late.png"
        late = {"user_id": bo.id, "kind": "image", "storage_key": key, "size_bytes": 3}
        await assets.add_output(
            session, **late, content_type="image/png", file_name=f"{CANARY}.png", etag="x"
        )
    await resources.storage.put(key, b"png", content_type="image/png")
    await rounds(resources)
    assert CANARY in str(await everything(resources))
    async with resources.db.transaction() as session:
        erased = await session.get_one(User, bo.id, populate_existing=True)
        assert erased.deletion_due_at is not None
        assert now() < erased.deletion_due_at <= now() + timedelta(hours=1)
    await days_pass(resources, 1)
    await rounds(resources)
    assert CANARY not in str(await everything(resources))
    assert await keys_of(resources, bo.id) == set()
    assert await erasure.erase_due(resources) == 0, "and that is that"
