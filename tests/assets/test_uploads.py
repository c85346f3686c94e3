"""Files come in by presigned PUT, and only what was promised ever becomes usable."""

from __future__ import annotations

import io
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.uploads import describe, put, upload

from funmagic.assets import service
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing

MEBIBYTE = 1 << 20


async def stored_key(resources: Resources, asset_id: str) -> str:
    async with resources.db.transaction() as session:
        key = await session.scalar(
            text("SELECT storage_key FROM assets WHERE id = :id"), {"id": UUID(asset_id)}
        )
    assert isinstance(key, str)
    return key


async def test_a_photo_comes_in_and_can_be_downloaded_by_its_owner(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    ada = await make_user()
    async with site.browser(ada) as browser:
        asset_id = await upload(browser, astronaut, name="My astronaut.jpg")
        shown = (await browser.get(f"/api/assets/{asset_id}")).json()
        assert shown["status"] == "ready"
        assert shown["sizeBytes"] == len(astronaut)
        redirected = await browser.get(f"/api/assets/{asset_id}/download")
        assert redirected.status_code == 302
        async with httpx.AsyncClient() as storage:
            fetched = await storage.get(redirected.headers["location"])
            plain = await storage.get(redirected.headers["location"].partition("?")[0])
    assert fetched.content == astronaut
    assert "attachment" in fetched.headers["content-disposition"]
    assert "My%20astronaut.jpg" in fetched.headers["content-disposition"]
    assert plain.status_code == 403, "without its signature the address must open nothing"


async def test_the_answer_follows_the_upload_protocol(site: Site, make_user: MakeUser) -> None:
    async with site.browser(await make_user()) as browser:
        answer = (await describe(browser, size=10, name="a b.jpg")).json()
    entry = answer["files"][0]
    assert {name: entry["file"][name] for name in ("name", "size", "type")} == {
        "name": "a b.jpg",
        "size": 10,
        "type": "image/jpeg",
    }
    assert entry["file"]["objectInfo"]["metadata"] == {}
    assert entry["headers"] == {"If-None-Match": "*"}
    UUID(answer["metadata"]["assetId"])


@pytest.mark.hazard("A8")
@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (b"\xff\xd8\xff" + b"x" * 8, {}),
        (b"\xff\xd8\xff" + b"x" * 6, {}),
        (b"\xff\xd8\xff" + b"x" * 7, {"Content-Type": "image/svg+xml"}),
        (b"\xff\xd8\xff" + b"x" * 7, {"If-None-Match": ""}),
    ],
    ids=["longer", "shorter", "other type", "may overwrite"],
)
async def test_the_storage_refuses_a_put_other_than_the_promised_one(
    site: Site, make_user: MakeUser, content: bytes, changed: dict[str, str]
) -> None:
    async with site.browser(await make_user()) as browser:
        promised = (await describe(browser, size=10)).json()
        assert (await put(promised, content, **changed)).status_code == 403
        asset_id = promised["metadata"]["assetId"]
        answer = await browser.post(f"/api/assets/{asset_id}/confirmation")
        assert answer.status_code == 409
        assert answer.json()["error"]["type"] == "not_uploaded"


@pytest.mark.hazard("A8")
async def test_a_confirmed_photo_cannot_be_replaced_by_its_old_address(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        promised = (await describe(browser, size=len(astronaut))).json()
        assert (await put(promised, astronaut)).status_code == 200
        asset_id = promised["metadata"]["assetId"]
        assert (await browser.post(f"/api/assets/{asset_id}/confirmation")).status_code == 200
        other = astronaut[:-10] + b"0123456789"
        assert (await put(promised, other)).status_code == 412
        assert (await put(promised, other, **{"If-None-Match": ""})).status_code == 403
        shown = (await browser.get(f"/api/assets/{asset_id}")).json()
        async with httpx.AsyncClient() as storage:
            assert (await storage.get(shown["url"])).content == astronaut


@pytest.mark.hazard("A8")
async def test_an_unconfirmed_upload_is_unusable_and_swept(
    site: Site, make_user: MakeUser, resources: Resources, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as browser:
        promised = (await describe(browser, size=len(astronaut))).json()
        await put(promised, astronaut)
        asset_id = promised["metadata"]["assetId"]
        body = {"tool": "background-remove", "input": {"image": asset_id}}
        assert (await browser.post("/api/tasks", json=body)).status_code == 404
        assert (await browser.get(f"/api/assets/{asset_id}/download")).status_code == 404

        key = await stored_key(resources, asset_id)
        assert await service.sweep(resources) == 0
        await resources.storage.head(key)
        async with resources.db.transaction() as session:
            await session.execute(
                text("UPDATE assets SET created_at = now() - interval '31 minutes'")
            )
        assert await service.sweep(resources) == 1
        with pytest.raises(ObjectMissing):
            await resources.storage.head(key)
        assert (await browser.get(f"/api/assets/{asset_id}")).status_code == 404


def picture(format_: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, format_)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "type_", "word"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "image/png", "PNG"),
        (b"<html><script>1</script></html>", "image/jpeg", "PNG"),
        (b"%PDF-1.7 something", "image/webp", "PNG"),
        (picture("PNG"), "image/jpeg", "kind"),
    ],
    ids=["svg", "html", "pdf", "png named jpeg"],
)
async def test_a_file_that_is_not_what_it_claims_is_refused_and_removed(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    content: bytes,
    type_: str,
    word: str,
) -> None:
    async with site.browser(await make_user()) as browser:
        promised = (await describe(browser, size=len(content), type=type_)).json()
        assert (await put(promised, content)).status_code == 200
        asset_id = promised["metadata"]["assetId"]
        key = await stored_key(resources, asset_id)
        answer = await browser.post(f"/api/assets/{asset_id}/confirmation")
        assert answer.status_code == 422
        assert answer.json()["error"]["type"] == "invalid_file_type"
        assert word in answer.json()["error"]["message"]
        assert (await browser.get(f"/api/assets/{asset_id}")).status_code == 404
    with pytest.raises(ObjectMissing):
        await resources.storage.head(key)


@pytest.mark.parametrize(
    ("described", "status", "type_"),
    [
        ({"size": 20 * MEBIBYTE + 1}, 422, "file_too_large"),
        ({"size": 0}, 422, "rejected"),
        ({"size": -1}, 422, "invalid_input"),
        ({"size": 9, "type": "image/svg+xml"}, 422, "invalid_file_type"),
        ({"size": 9, "type": ""}, 422, "invalid_file_type"),
        ({"size": 9, "type": "image/jpeg; x=y"}, 422, "invalid_file_type"),
        ({"size": 9, "name": ""}, 422, "invalid_input"),
        ({"size": 9, "route": "no-such-route"}, 404, "invalid_request"),
    ],
)
async def test_what_a_route_does_not_take_is_refused_before_anything_is_stored(
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    described: dict[str, Any],
    status: int,
    type_: str,
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await describe(browser, **described)
    assert answer.status_code == status
    assert answer.json()["error"]["type"] == type_
    async with resources.db.transaction() as session:
        assert (
            await session.scalar(text("SELECT count(*) FROM assets WHERE source = 'upload'")) == 0
        )


@pytest.mark.hazard("A8")
async def test_a_refused_upload_that_is_put_again_is_swept_too(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    content = b"<html>not a picture</html>"
    async with site.browser(await make_user()) as browser:
        promised = (await describe(browser, size=len(content))).json()
        asset_id = promised["metadata"]["assetId"]
        key = await stored_key(resources, asset_id)
        await put(promised, content)
        assert (await browser.post(f"/api/assets/{asset_id}/confirmation")).status_code == 422
        assert (await put(promised, content)).status_code == 200
        assert (await browser.post(f"/api/assets/{asset_id}/confirmation")).status_code == 404
    assert await service.sweep(resources) == 0, "not before the address has died"
    async with resources.db.transaction() as session:
        await session.execute(text("UPDATE assets SET created_at = now() - interval '31 minutes'"))
    assert await service.sweep(resources) == 1
    with pytest.raises(ObjectMissing):
        await resources.storage.head(key)


async def test_twenty_megabytes_exactly_are_taken(site: Site, make_user: MakeUser) -> None:
    async with site.browser(await make_user()) as browser:
        assert (await describe(browser, size=20 * MEBIBYTE)).status_code == 200


async def test_promises_are_limited_per_person(site: Site, make_user: MakeUser) -> None:
    async with site.browser(await make_user()) as browser:
        for _ in range(service.MAX_PENDING_PER_USER):
            assert (await describe(browser, size=10)).status_code == 200
        answer = await describe(browser, size=10)
        assert answer.status_code == 429
        assert "retry-after" in answer.headers


@pytest.mark.hazard("A9")
@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\x.png", "a/b/c.png", "\u202egnp.exe", "x" * 300, "~/.ssh"]
)
async def test_keys_are_made_by_the_server_of_ids_alone(
    site: Site, make_user: MakeUser, resources: Resources, name: str
) -> None:
    ada = await make_user()
    async with site.browser(ada) as browser:
        promised = (await describe(browser, size=10, name=name)).json()
    asset_id = promised["metadata"]["assetId"]
    key = await stored_key(resources, asset_id)
    assert key == f"uploads/{ada.id}/{asset_id}"
    assert promised["files"][0]["file"]["objectInfo"]["key"] == key
    shown = service.plain_file_name(name)
    assert not set(shown) & set('/\\\u202e<>"')
    assert len(shown) <= 150


@pytest.mark.hazard("A2")
@pytest.mark.hazard("A3")
async def test_somebody_elses_file_is_not_found_whatever_is_asked_of_it(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    ada, cy = await make_user(), await make_user("cy@example.com")
    async with site.browser(ada) as browser:
        asset_id = await upload(browser, astronaut)
        pending = (await describe(browser, size=5)).json()["metadata"]["assetId"]
    async with site.browser(cy) as stranger:
        for wanted in (asset_id, pending, new_id()):
            body = {"tool": "background-remove", "input": {"image": str(wanted)}}
            answers = [
                await stranger.get(f"/api/assets/{wanted}"),
                await stranger.get(f"/api/assets/{wanted}/download"),
                await stranger.post(f"/api/assets/{wanted}/confirmation"),
                await stranger.post("/api/tasks", json=body),
            ]
            assert [answer.status_code for answer in answers] == [404] * 4
            assert len({answer.json()["error"]["message"] for answer in answers}) == 1
    async with site.browser() as nobody:
        assert (await nobody.get(f"/api/assets/{asset_id}")).status_code == 401
        assert (await describe(nobody, size=5)).status_code == 401
