"""A copy of one's own data: whole, of nobody else's, in bounded memory, and gone in a week."""

from __future__ import annotations

import asyncio
import io
import json
import secrets
import zipfile
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.mailbox import newest_mail, text_of
from tests.stored import keys
from tests.tasks.runs import create
from tests.uploads import upload

from funmagic.accounts import erasure, exports
from funmagic.core.resources import Resources
from funmagic.core.storage import Storage, StorageError
from funmagic.reports import export

MINUTES_PASS = text("""
    UPDATE data_exports SET taken_until = taken_until - interval '2 minutes'
""")


async def fetched(browser: httpx.AsyncClient, export_id: str) -> zipfile.ZipFile:
    redirected = await browser.get(f"/api/me/exports/{export_id}/download")
    assert redirected.status_code == 302, redirected.text
    async with httpx.AsyncClient() as storage:
        answer = await storage.get(redirected.headers["location"])
    assert "attachment" in answer.headers["content-disposition"]
    return zipfile.ZipFile(io.BytesIO(answer.content))


RAN_FIGME = """
    INSERT INTO tool_runs (user_id, tool_id)
    SELECT users.id, tools.id FROM users, tools
     WHERE users.email LIKE 'bo-%' AND tools.slug = 'figme'
"""


async def state_of(browser: httpx.AsyncClient) -> str:
    items = (await browser.get("/api/me/exports")).json()["items"]
    state: str = items[0]["state"]
    return state


async def change(resources: Resources, statement: str) -> None:
    async with resources.db.transaction() as session:
        await session.execute(text(statement))


async def test_a_copy_holds_all_that_is_ones_own_and_no_secret(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    email = f"bo-{secrets.token_hex(4)}@example.com"
    bo, ada = await make_user(email), await make_user()
    async with site.browser(ada) as browser:
        await upload(browser, astronaut, name="adas.jpg")
    async with site.browser(bo) as browser, site.browser(ada) as stranger:
        photo = await upload(browser, astronaut, name="../..\\bös: photo?.jpg")
        task = (await create(browser, photo)).json()
        key = await browser.post("/api/me/keys", json={"name": "robot", "scopes": ["tasks:read"]})
        await browser.put("/api/me/password", json={"password": "purple elephants sing"})
        picture = await upload(browser, astronaut, route="avatar")
        await browser.put("/api/me/avatar", json={"assetId": str(picture)})
        await change(resources, RAN_FIGME)
        await browser.put("/api/tools/figme/rating", json={"stars": 4})
        await browser.put("/api/tools/figme/bookmark")
        # no upload is called so, but an archive must not depend on that
        await change(resources, "UPDATE assets SET file_name = '../../C:\\photo.jpg'")
        asked = await browser.post("/api/me/exports")
        assert (asked.status_code, asked.json()["state"]) == (202, "pending")
        export_id = asked.json()["id"]
        again = await browser.post("/api/me/exports")
        assert (again.status_code, again.json()["error"]["type"]) == (409, "export_running")
        address = f"/api/me/exports/{export_id}/download"
        assert (await browser.get(address)).status_code == 404, "not ready yet"
        await asyncio.gather(*(export.make_all(resources) for _ in range(3)))
        assert await state_of(browser) == "ready"
        assert (await stranger.get(address)).status_code == 404
        assert (await stranger.get("/api/me/exports")).json()["items"] == []
        again = await browser.post("/api/me/exports")
        assert again.status_code == 429
        assert 86_000 < int(again.headers["retry-after"]) <= 86_400
        archive = await fetched(browser, export_id)
    assert archive.testzip() is None
    packed = archive.read("data.json").decode()
    data = json.loads(packed)
    assert data["profile"][0]["email"] == email
    assert data["profile"][0]["hasPassword"] is True
    assert [one["name"] for one in data["keys"]] == ["robot"]
    assert [entry["type"] for entry in data["ledger"]] == ["welcome", "reservation"]
    assert data["credits"] == [{"balance": 50, "reserved": 5, "owed": 0}]
    assert [(one["id"], one["tool"]) for one in data["tasks"]] == [
        (task["taskId"], "background-remove")
    ]
    assert data["tasks"][0]["input"] == {"image": str(photo)}
    assert {"key.created", "password.changed"} <= {act["action"] for act in data["acts"]}
    assert len(data["signIns"]) == 1
    assert [(one["tool"], one["runCount"]) for one in data["toolRuns"]] == [("figme", 1)]
    assert [(one["tool"], one["stars"]) for one in data["ratings"]] == [("figme", 4)]
    assert [one["tool"] for one in data["bookmarks"]] == ["figme"]
    files = {one["source"]: one for one in data["files"]}
    assert set(files) == {"upload", "avatar"}
    assert archive.read(files["upload"]["place"]) == astronaut
    names = archive.namelist()
    assert sorted(names) == sorted(["data.json", *(one["place"] for one in data["files"])])
    assert not any(".." in name or "\\" in name or ":" in name for name in names)
    for secret in (key.json()["key"], "argon2", "token_hash", "adas", "storage_key", "uploads/"):
        assert secret not in packed
    mail = await newest_mail(resources.settings.dev_inbox_dir, email, mails=2)  # type: ignore[arg-type]
    assert "/en/profile/data" in text_of(mail)
    assert "exports/" not in text_of(mail)


async def test_what_does_not_fit_or_is_gone_is_left_out_and_said_so(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bo = await make_user("bo@example.com")
    monkeypatch.setattr(export, "MAX_FILES_BYTES", 2 * len(astronaut))
    monkeypatch.setattr(export, "BATCH", 2)
    async with site.browser(bo) as browser:
        ids = [str(await upload(browser, astronaut)) for _ in range(4)]
        await resources.storage.delete(f"uploads/{bo.id}/{ids[3]}")
        export_id = (await browser.post("/api/me/exports")).json()["id"]
        await export.make_all(resources)
        shown = (await browser.get("/api/me/exports")).json()["items"][0]
        archive = await fetched(browser, export_id)
    assert shown["leftOut"] == 2
    assert shown["sizeBytes"] > 2 * len(astronaut)
    files = {one["id"]: one for one in json.loads(archive.read("data.json"))["files"]}
    assert [files[each]["leftOut"] for each in ids] == ["beyond the limit", None, None, "missing"]
    assert [files[each]["place"] is not None for each in ids] == [False, True, True, False]
    assert len(json.loads(archive.read("data.json"))["ledger"]) == 1


async def test_an_archive_lives_a_week_and_then_its_object_is_gone(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser:
        export_id = (await browser.post("/api/me/exports")).json()["id"]
        await export.make_all(resources)
        assert await exports.tidy(resources) == 0
        assert len(await keys(resources, f"exports/{bo.id}")) == 1
        await change(resources, "UPDATE data_exports SET expires_at = now() - interval '1 second'")
        download = await browser.get(f"/api/me/exports/{export_id}/download")
        assert download.status_code == 404, "even before the sweep comes"
        assert await exports.tidy(resources) == 1
        assert await keys(resources, f"exports/{bo.id}") == set()
        assert await state_of(browser) == "expired"
        await change(resources, "UPDATE data_exports SET created_at = now() - interval '25 hours'")
        assert (await browser.post("/api/me/exports")).status_code == 202


async def test_what_a_killed_worker_had_begun_is_taken_up_again(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser:
        export_id = (await browser.post("/api/me/exports")).json()["id"]
        async with resources.db.transaction() as session:
            dead = await exports.take(session)
        assert dead is not None
        await resources.storage.put(dead.key, b"half of it", content_type="application/zip")
        await export.make_all(resources)
        assert await state_of(browser) == "pending", "somebody may still be at it"
        async with resources.db.transaction() as session:
            await session.execute(MINUTES_PASS)
        await export.make_all(resources)
        assert await state_of(browser) == "ready"
        async with resources.db.transaction() as session:
            assert await exports.finish(session, dead, size_bytes=1, left_out=0) is None
            assert not await exports.hold(session, dead)
        (await fetched(browser, export_id)).testzip()


async def test_what_fails_again_and_again_has_failed_for_all_to_see_and_leaves_nothing(
    site: Site, make_user: MakeUser, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    bo = await make_user("bo@example.com")
    put = Storage.put
    faults: list[Exception] = [StorageError("away")] * 5 + [RuntimeError("a bug")] * 3

    async def faulty(storage: Storage, key: str, body: Any, **about: Any) -> Any:
        await put(storage, key, body, **about)
        raise faults.pop(0)

    monkeypatch.setattr(Storage, "put", faulty)
    async with site.browser(bo) as browser:
        await browser.post("/api/me/exports")
        for _ in range(8):
            await exports.tidy(resources)
            assert await state_of(browser) == "pending", "an outage is no attempt"
            await export.make_all(resources)
            async with resources.db.transaction() as session:
                await session.execute(MINUTES_PASS)
        assert not faults
        assert await exports.tidy(resources) == 1
        assert await state_of(browser) == "failed"
        assert await keys(resources, f"exports/{bo.id}") == set()
        monkeypatch.undo()
        assert (await browser.post("/api/me/exports")).status_code == 202, "one may ask again"


async def test_whoever_is_stopped_gives_the_export_back_and_whoever_lost_it_stops(
    site: Site, make_user: MakeUser, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    bo = await make_user("bo@example.com")
    put, storing, go_on = Storage.put, asyncio.Event(), asyncio.Event()

    async def slow(storage: Storage, key: str, body: Any, **about: Any) -> Any:
        storing.set()
        await go_on.wait()
        return await put(storage, key, body, **about)

    monkeypatch.setattr(Storage, "put", slow)
    async with site.browser(bo) as browser:
        await browser.post("/api/me/exports")
        making = asyncio.create_task(export.make_one(resources))
        await asyncio.wait_for(storing.wait(), 20)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        async with resources.db.transaction() as session:
            given_back = (await session.scalars(text("SELECT attempts FROM data_exports"))).one()
            await session.execute(MINUTES_PASS)
        assert given_back == 0

        storing.clear()
        making = asyncio.create_task(export.make_one(resources))
        await asyncio.wait_for(storing.wait(), 20)
        await change(resources, "UPDATE users SET deletion_due_at = now()")
        assert await erasure.erase_due(resources) >= 1
        async with resources.db.transaction() as session:
            await session.execute(MINUTES_PASS)
        await exports.tidy(resources)
        go_on.set()
        assert await making
        assert await keys(resources, f"exports/{bo.id}") == set()
        async with resources.db.transaction() as session:
            row = (await session.scalars(text("SELECT state FROM data_exports"))).one()
        assert row == "expired"
