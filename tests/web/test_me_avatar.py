"""A picture of oneself: square, small, upright, and nothing of the photo's own data."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import httpx
import pytest
from PIL import Image
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.stored import keys
from tests.tasks.runs import create
from tests.uploads import describe, put, upload

from funmagic.assets import avatars
from funmagic.assets import service as assets
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

MEBIBYTE = 1 << 20
RED, GREEN, BLUE = (220, 30, 30), (30, 180, 30), (30, 30, 220)


def striped(width: int, height: int, *, orientation: int = 1, format_: str = "JPEG") -> bytes:
    """A red band, a green square in the middle, a blue band, along the longer side; with EXIF."""
    picture = Image.new("RGB", (width, height), GREEN)
    band = (max(width, height) - min(width, height)) // 2
    if width > height:
        picture.paste(RED, (0, 0, band, height))
        picture.paste(BLUE, (width - band, 0, width, height))
    else:
        picture.paste(RED, (0, 0, width, band))
        picture.paste(BLUE, (0, height - band, width, height))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[29] = "2026:01:01"
    buffer = io.BytesIO()
    picture.save(buffer, format_, quality=95, exif=exif, comment=b"secret comment")
    return buffer.getvalue()


def quartered(orientation: int) -> bytes:
    """Green, with red in the corner that is top left as it is stored: shows which way is up."""
    picture = Image.new("RGB", (200, 200), GREEN)
    picture.paste(RED, (0, 0, 100, 100))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, exif=exif)
    return buffer.getvalue()


async def choose(browser: httpx.AsyncClient, content: bytes, type: str = "image/jpeg") -> Any:
    asset_id = await upload(browser, content, type, route="avatar")
    return await browser.put("/api/me/avatar", json={"assetId": str(asset_id)})


async def seen(browser: httpx.AsyncClient, url: str) -> Image.Image:
    """The picture as the browser gets it, after the redirect."""
    redirected = await browser.get(url)
    assert redirected.status_code == 302, redirected.text
    async with httpx.AsyncClient() as storage:
        fetched = await storage.get(redirected.headers["location"])
    assert fetched.headers["content-type"] == "image/webp"
    for secret in (b"SecretCamera", b"secret comment", b"2026:01:01", b"EXIF", b"Exif"):
        assert secret not in fetched.content
    return Image.open(io.BytesIO(fetched.content))


def is_near(picture: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    found = picture.convert("RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(a - b) < 40 for a, b in zip(found, colour, strict=True))


@pytest.mark.hazard("A7")
async def test_a_photo_becomes_a_square_of_its_middle_without_its_metadata(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser:
        for content, type_ in (
            (striped(900, 300), "image/jpeg"),
            (striped(60, 90, format_="WEBP"), "image/webp"),
        ):
            me = (await choose(browser, content, type_)).json()
            picture = await seen(browser, me["avatarUrl"])
            assert (picture.format, picture.size) == ("WEBP", (512, 512))
            assert not picture.getexif()
            assert "icc_profile" not in picture.info
            for corner in ((40, 40), (470, 40), (40, 470), (470, 470)):
                assert is_near(picture, corner, GREEN)
        assert (await browser.get("/api/me")).json() == me
    assert await keys(resources, f"uploads/{bo.id}") == set(), "the original is gone"
    assert len(await keys(resources, f"avatars/{bo.id}")) == 1, "and so are earlier pictures"


async def test_a_photo_taken_sideways_stands_upright(site: Site, make_user: MakeUser) -> None:
    corners = {3: (490, 490), 6: (490, 20), 8: (20, 490)}
    async with site.browser(await make_user()) as browser:
        for orientation, red_at in corners.items():
            me = (await choose(browser, quartered(orientation))).json()
            picture = await seen(browser, me["avatarUrl"])
            assert is_near(picture, red_at, RED), orientation
            others = set(corners.values()) - {red_at}
            assert all(is_near(picture, at, GREEN) for at in others), orientation


@pytest.mark.hazard("A7")
async def test_what_is_no_picture_or_too_much_of_one_is_refused(
    site: Site, make_user: MakeUser
) -> None:
    bomb = io.BytesIO()
    Image.new("1", (9_000, 9_000)).save(bomb, "PNG")
    half = striped(900, 300)[:6_000]
    async with site.browser(await make_user()) as browser:
        too_large = await describe(browser, size=5 * MEBIBYTE + 1, route="avatar")
        assert too_large.json()["error"]["type"] == "file_too_large"
        svg = await describe(browser, size=10, type="image/svg+xml", route="avatar")
        assert svg.json()["error"]["type"] == "invalid_file_type"
        html = b"<html><script>alert(1)</script></html>"
        promised = (await describe(browser, size=len(html), route="avatar")).json()
        await put(promised, html)
        confirmation = f"/api/assets/{promised['metadata']['assetId']}/confirmation"
        assert (await browser.post(confirmation)).status_code == 422
        for content, type_ in ((bomb.getvalue(), "image/png"), (half, "image/jpeg")):
            refused = await choose(browser, content, type_)
            assert (refused.status_code, refused.json()["error"]["type"]) == (
                422,
                "invalid_file_type",
            )
        assert (await browser.get("/api/me")).json()["avatarUrl"] is None


async def test_only_ones_own_upload_for_it_becomes_ones_picture_and_is_for_nothing_else(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    ada, cy = await make_user(), await make_user("cy@example.com")
    async with site.browser(ada) as browser, site.browser(cy) as stranger:
        for_a_tool = await upload(browser, astronaut)
        picture = await upload(browser, striped(90, 60), route="avatar")
        for who, asset_id in ((browser, for_a_tool), (stranger, picture)):
            refused = await who.put("/api/me/avatar", json={"assetId": str(asset_id)})
            assert refused.status_code == 404
        assert (await create(browser, for_a_tool)).status_code == 201  # the tool is remembered now
        assert (await create(browser, picture)).status_code == 404
        promised = (await describe(browser, size=10, route="avatar")).json()
        unfinished = {"assetId": promised["metadata"]["assetId"]}
        assert (await browser.put("/api/me/avatar", json=unfinished)).status_code == 404
        async with site.browser() as nobody:
            assert (await nobody.put("/api/me/avatar", json=unfinished)).status_code == 401


async def test_it_is_seen_by_oneself_and_by_admins_alone(site: Site, make_user: MakeUser) -> None:
    ada, cy = await make_user(), await make_user("cy@example.com")
    root = await make_user("root@example.com", role="super_admin")
    address = f"/api/admin/users/{ada.id}/avatar"
    async with site.browser(ada) as browser:
        assert (await browser.get("/api/me/avatar")).status_code == 404
        me = (await choose(browser, striped(90, 60))).json()
        answer = await browser.get(me["avatarUrl"])
        assert answer.headers["cache-control"] == "private, max-age=300"
        assert (await browser.get(address)).status_code == 403
    async with site.browser(cy) as browser:
        assert (await browser.get(me["avatarUrl"])).status_code == 404, "Cy has none"
        assert (await browser.get(address)).status_code == 403
    async with site.browser() as browser:
        assert (await browser.get(me["avatarUrl"])).status_code == 401
        assert (await browser.get(address)).status_code == 401
    async with site.browser(root) as browser:
        assert (await seen(browser, address)).size == (512, 512)
        assert (await browser.get(f"/api/admin/users/{cy.id}/avatar")).status_code == 404
        unknown = f"/api/admin/users/{new_id()}/avatar"
        assert (await browser.get(unknown)).status_code == 404


@pytest.mark.hazard("A10")
async def test_a_picture_that_is_replaced_or_removed_leaves_no_object(
    site: Site, make_user: MakeUser, resources: Resources
) -> None:
    bo = await make_user("bo@example.com")
    async with site.browser(bo) as browser:
        first = (await choose(browser, striped(90, 60))).json()["avatarUrl"]
        asset_id = await upload(browser, striped(60, 90), route="avatar")
        at_once = [browser.put("/api/me/avatar", json={"assetId": str(asset_id)}) for _ in range(3)]
        codes = sorted(answer.status_code for answer in await asyncio.gather(*at_once))
        assert codes == [200, 404, 404], "an upload is used once"
        me = (await browser.get("/api/me")).json()
        assert me["avatarUrl"] != first, "a browser may keep the old picture's answer"
        await _days_later(resources)
        assert len(await keys(resources, f"avatars/{bo.id}")) == 1
        assert (await seen(browser, me["avatarUrl"])).size == (512, 512)

        for _ in range(2):
            removed = await browser.delete("/api/me/avatar")
            assert (removed.status_code, removed.json()["avatarUrl"]) == (200, None)
        await upload(browser, striped(90, 60), route="avatar")  # and never chosen
        assert (await browser.get("/api/me/avatar")).status_code == 404
        await _days_later(resources)
    for folder in ("avatars", "uploads"):
        assert not await keys(resources, f"{folder}/{bo.id}")
    async with resources.db.transaction() as session:
        rows = text("SELECT count(*) FROM assets WHERE user_id = :id")
        assert await session.scalar(rows, {"id": bo.id}) == 0


@pytest.mark.hazard("A10")
async def test_a_crash_between_the_copy_and_its_row_leaves_nothing_behind(
    site: Site, make_user: MakeUser, resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    bo = await make_user("bo@example.com")

    async def crash(*_: Any) -> None:
        raise RuntimeError("killed")

    async with site.browser(bo) as browser:
        before = (await choose(browser, striped(90, 60))).json()
        with monkeypatch.context() as patch:
            patch.setattr(avatars, "_take_place", crash)
            assert (await choose(browser, striped(60, 90))).status_code == 500
        assert (await browser.get("/api/me")).json() == before
        assert len(await keys(resources, f"avatars/{bo.id}")) == 2
        await _days_later(resources)
        assert len(await keys(resources, f"avatars/{bo.id}")) == 1
        assert (await seen(browser, before["avatarUrl"])).size == (512, 512)


async def _days_later(resources: Resources) -> None:
    """Let two days pass, and the worker's rounds with them."""
    async with resources.db.transaction() as session:
        await session.execute(
            text("""
                UPDATE assets SET created_at = created_at - interval '2 days',
                                  confirmed_at = confirmed_at - interval '2 days'
            """)
        )
    await avatars.sweep(resources)
    await assets.sweep(resources)
