"""better-upload's own client, in a browser, against our upload endpoint and a real storage."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from playwright.async_api import Route
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.interop.conftest import OpenPage

from funmagic.accounts.models import User

pytestmark = pytest.mark.browser

MEBIBYTE = 1 << 20
JPEG_START = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00").decode()

PROMISE_MANY = text("""
    INSERT INTO assets (id, user_id, kind, source, status, storage_key, content_type, size_bytes,
                        file_name)
    SELECT gen_random_uuid(), :user_id, 'image', 'upload', 'pending', 'key-' || n, 'image/png', 1,
           'photo.png'
      FROM generate_series(1, 30) AS n
""")


@pytest.fixture
async def ada(make_user: MakeUser) -> User:
    return await make_user()


def photo(**changed: Any) -> dict[str, Any]:
    """A file as the page makes it: JPEG by its first bytes, 1,000 bytes long."""
    return {
        "name": "My photo é.jpg",
        "type": "image/jpeg",
        "start": JPEG_START,
        "size": 1000,
        **changed,
    }


async def test_a_photo_goes_up_with_progress_and_becomes_an_asset(
    open_page: OpenPage, site: Site, ada: User
) -> None:
    """Large enough that the client hears of it more than once."""
    page = await open_page(ada)
    files = [photo(size=8 * MEBIBYTE)]
    uploaded = await page.evaluate("upload", {"files": files, "metadata": {"mine": 1}})
    assert "error" not in uploaded, uploaded
    asset_id = uploaded["done"]["metadata"]["assetId"]
    assert uploaded["begun"]["metadata"] == {"assetId": asset_id}
    told = uploaded["done"]["file"]
    assert (told["name"], told["size"]) == ("My photo é.jpg", 8 * MEBIBYTE)
    assert told["status"] == "complete"
    progress = [share for status, share in uploaded["states"] if status == "uploading"]
    assert progress == sorted(progress)
    assert any(0 < share < 1 for share in progress)
    assert uploaded["states"][-1] == ["complete", 1]
    async with site.browser(ada) as browser:
        confirmed = await browser.post(f"/api/assets/{asset_id}/confirmation")
    assert confirmed.json()["status"] == "ready"
    assert confirmed.json()["sizeBytes"] == 8 * MEBIBYTE


@pytest.mark.hazard("A7")
async def test_another_kind_of_file_is_refused_by_its_name(open_page: OpenPage, ada: User) -> None:
    page = await open_page(ada)
    for content_type in ("image/svg+xml", "text/html", "application/pdf", ""):
        refused = await page.evaluate("upload", {"files": [photo(type=content_type)]})
        assert refused["error"] == {
            "type": "invalid_file_type",
            "message": "This file is not a PNG, JPEG, WebP or GIF image.",
        }
        assert refused["begun"] is None


async def test_errors_of_the_protocol_arrive_as_its_client_knows_them(
    open_page: OpenPage, site: Site, ada: User
) -> None:
    page = await open_page(ada)

    async def error(**asked: Any) -> Any:
        return (await page.evaluate("upload", asked))["error"]

    large, empty, fine = photo(size=20 * MEBIBYTE + 1), photo(start="", size=0), photo()
    assert await error(files=[large]) == {
        "type": "file_too_large",
        "message": "This file is too large. The limit is 20 MB.",
    }
    assert await error(files=[empty]) == {"type": "rejected", "message": "This file is empty."}
    assert await error(files=[fine, photo(name="b.jpg")]) == {
        "type": "too_many_files",
        "message": "Please choose one file.",
    }
    assert await error(files=[fine], route="nowhere") == {
        "type": "invalid_request",
        "message": "There is no such kind of upload.",
    }
    async with site.resources.db.transaction() as session:
        await session.execute(PROMISE_MANY, {"user_id": ada.id})
    assert await error(files=[fine]) == {
        "type": "rate_limited",
        "message": "Too many requests. Please wait.",
    }


async def test_who_is_not_signed_in_hears_so(open_page: OpenPage) -> None:
    page = await open_page(None)
    refused = await page.evaluate("upload", {"files": [photo()]})
    assert refused["error"] == {"type": "unauthenticated", "message": "Please sign in first."}


@pytest.mark.hazard("A8")
async def test_the_storage_refuses_what_was_not_described(
    open_page: OpenPage, site: Site, ada: User
) -> None:
    """Another size, another type, an address that was changed, a missing condition."""
    refused = {"type": "s3_upload", "message": "Failed to upload file to S3."}
    page = await open_page(ada)

    async def put(**changed: Any) -> list[Any]:
        asked = {"files": [photo(**changed)]}
        answered: dict[str, Any] = await page.evaluate("uploadAll", asked)
        return list(answered["errors"])

    assert await put() == []
    assert await put(claims={"size": 10}) == [refused]

    tampered: dict[str, Any] = {}

    async def tamper(route: Route) -> None:
        headers = {**route.request.headers, **tampered.get("headers", {})}
        for name in tampered.get("without", ()):
            headers.pop(name, None)
        await route.continue_(headers=headers, url=route.request.url + tampered.get("more", ""))

    await page.route(f"{site.resources.settings.storage_origin}/**", tamper)
    assert await put() == []
    for change in (
        {"headers": {"content-type": "text/html"}},
        {"without": ["if-none-match"]},
        {"more": "&x-amz-acl=public-read"},
    ):
        tampered = change
        assert await put() == [refused], change
