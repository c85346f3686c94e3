"""Pictures of tools: who brings them, what is kept, who sees them, and when they go."""

from __future__ import annotations

import asyncio
import io
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.dashboard.conftest import config_of, save
from tests.uploads import describe, put

from funmagic.assets import service as assets
from funmagic.core.resources import Resources
from funmagic.core.storage import ObjectMissing
from funmagic.tasks import media
from funmagic.toolkit import images
from funmagic.web.pictures import picture_for


def png(width: int = 900, height: int = 600) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(target, "PNG")
    return target.getvalue()


def photo(content: bytes, width: int) -> bytes:
    """A photo as a PNG of this width."""
    target = io.BytesIO()
    with Image.open(io.BytesIO(content)) as opened:
        size = (width, opened.height * width // opened.width)
        opened.convert("RGB").resize(size).save(target, "PNG", compress_level=1)
    return target.getvalue()


async def key_of(resources: Resources, asset_id: str) -> str:
    """Where the picture lies in the storage."""
    async with resources.db.transaction() as session:
        return (await assets.media(session, UUID(asset_id))).storage_key


async def bring(
    browser: httpx.AsyncClient, content: bytes, type: str = "image/png"
) -> tuple[str, httpx.Response]:
    """Upload a picture of a tool; its id, and the answer to the confirmation."""
    asked = await describe(browser, size=len(content), type=type, route="tool-media")
    promised = asked.json()
    assert (await put(promised, content)).status_code == 200
    asset_id = promised["metadata"]["assetId"]
    return asset_id, await browser.post(f"/api/assets/{asset_id}/confirmation")


async def fetch(site: Site, path: str) -> httpx.Response:
    """What anybody's browser gets for an address, redirects followed."""
    async with site.browser() as anybody:
        moved = await anybody.get(path)
        assert moved.status_code == 302, moved.text
        async with httpx.AsyncClient() as storage:
            return await storage.get(moved.headers["location"])


async def test_anybody_sees_a_small_webp_or_the_whole_picture(
    site: Site, root: httpx.AsyncClient
) -> None:
    asset_id, confirmed = await bring(root, png())
    assert confirmed.status_code == 200, confirmed.text
    small = Image.open(io.BytesIO((await fetch(site, f"/media/{asset_id}")).content))
    assert (small.format, max(small.size)) == ("WEBP", 400)
    whole = Image.open(io.BytesIO((await fetch(site, f"/media/{asset_id}?size=full")).content))
    assert (whole.format, whole.size) == ("PNG", (900, 600))
    async with site.browser() as anybody:
        kept = (await anybody.get(f"/media/{asset_id}")).headers["cache-control"]
        assert (await anybody.get(f"/media/{asset_id}?size=huge")).status_code in (400, 422)
    assert kept == "public, max-age=1800"


@pytest.mark.hazard("P5")
async def test_a_shop_window_gets_it_at_the_width_of_its_place(
    site: Site,
    root: httpx.AsyncClient,
    resources: Resources,
    astronaut: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asset_id, _ = await bring(root, photo(astronaut, 2400))
    async with site.browser() as anybody:
        for source in picture_for("figme", asset_id).sources:  # type: ignore[union-attr]
            for entry in source.srcset.split(", "):
                address, width = entry.split()
                answer = await anybody.get(address)
                assert answer.status_code == 200, answer.text
                assert answer.headers["content-type"] == source.type
                assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
                with Image.open(io.BytesIO(answer.content)) as shown:
                    assert f"{shown.width}w" == width
                assert len(answer.content) <= 60_000 or width == "1280w"
        for wrong in ("999.avif", "640.png", "640", ".avif", "0640.avif"):
            assert (await anybody.get(f"/media/{asset_id}/{wrong}")).status_code == 404
        # a picture from before it was drawn at widths
        drawn = f"{await key_of(resources, asset_id)}-320.avif"
        await resources.storage.delete(drawn)
        decoded: list[object] = []
        decode = images.decode

        async def counted(*arguments: Any) -> Any:
            decoded.append(arguments)
            return await decode(*arguments)

        monkeypatch.setattr(images, "decode", counted)
        at_once = [anybody.get(f"/media/{asset_id}/320.avif") for _ in range(8)]
        assert {each.status_code for each in await asyncio.gather(*at_once)} == {200}
        assert len(decoded) == 1
        answer = await anybody.get(f"/media/{asset_id}/320.avif")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert (await resources.storage.head(drawn)).size_bytes == len(answer.content)


async def test_a_small_picture_is_not_blown_up(site: Site, root: httpx.AsyncClient) -> None:
    asset_id, _ = await bring(root, png(500, 300))
    async with site.browser() as anybody:
        answer = await anybody.get(f"/media/{asset_id}/1280.webp")
    with Image.open(io.BytesIO(answer.content)) as shown:
        assert shown.size == (500, 300)


@pytest.mark.hazard("A1")
async def test_nobodys_photo_is_shown_as_a_picture_of_a_tool(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user()) as ada:
        promised = (await describe(ada, size=len(astronaut))).json()
        await put(promised, astronaut)
        asset_id = promised["metadata"]["assetId"]
        assert (await ada.post(f"/api/assets/{asset_id}/confirmation")).status_code == 200
        assert (await ada.get(f"/media/{asset_id}")).status_code == 404
        assert (await ada.get(f"/media/{asset_id}/320.webp")).status_code == 404


async def test_what_does_not_decode_is_refused_and_gone(
    site: Site, root: httpx.AsyncClient, resources: Resources
) -> None:
    asset_id, answer = await bring(root, png()[:400])
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "invalid_file_type")
    assert (await root.get(f"/media/{asset_id}")).status_code == 404
    with pytest.raises(ObjectMissing):
        await resources.storage.head(f"media/{asset_id}")
    too_large = await describe(root, size=(10 << 20) + 1, type="image/png", route="tool-media")
    assert too_large.json()["error"]["type"] == "file_too_large"
    drawing = await describe(root, size=10, type="image/svg+xml", route="tool-media")
    assert drawing.json()["error"]["type"] == "invalid_file_type"


async def age(resources: Resources, *asset_ids: str) -> None:
    """As if nobody had touched these for two days."""
    async with resources.db.transaction() as session:
        await session.execute(
            text("""
                UPDATE assets SET saved_at = saved_at - interval '2 days',
                                  confirmed_at = confirmed_at - interval '2 days',
                                  created_at = created_at - interval '2 days'
                 WHERE id = ANY(:ids)
            """),
            {"ids": [UUID(asset_id) for asset_id in asset_ids]},
        )


async def ready(root: httpx.AsyncClient, *asset_ids: str) -> list[bool]:
    return [(await root.get(f"/media/{each}")).status_code == 302 for each in asset_ids]


async def test_pictures_go_a_day_after_the_last_tool_let_go_of_them(
    root: httpx.AsyncClient, figme: dict[str, Any], resources: Resources
) -> None:
    thumbnail, style, unused, fresh = [(await bring(root, png(40, 40)))[0] for _ in range(4)]
    path = f"/api/admin/tools/{figme['id']}"
    assert (await root.patch(path, json={"thumbnail": thumbnail})).status_code == 200
    view = await config_of(root, figme)
    settings = view["config"]["steps"]["image-gen"]["settings"]
    settings["styles"] = [{"slug": "ink", "name": "Ink", "image": style}]
    saved = await save(root, figme, view)
    assert saved.status_code == 200, saved.text

    key = await key_of(resources, unused)
    await resources.storage.head(f"{key}-640.webp")
    await age(resources, thumbnail, style, unused)
    assert await media.expire(resources) == 1
    assert await ready(root, thumbnail, style, unused, fresh) == [True, True, False, True]
    assert await assets.sweep(resources) == 1
    for gone in (key, f"{key}-thumbnail.webp", f"{key}-320.avif", f"{key}-640.webp"):
        with pytest.raises(ObjectMissing):
            await resources.storage.head(gone)

    view = saved.json()
    view["config"]["steps"]["image-gen"]["settings"]["styles"] = []
    assert (await save(root, figme, view)).status_code == 200
    assert (await root.patch(path, json={"thumbnail": None})).status_code == 200
    assert await media.expire(resources) == 2
    assert await ready(root, thumbnail, style, fresh) == [False, False, True]


async def test_a_picture_an_open_task_was_priced_with_stays(
    root: httpx.AsyncClient, resources: Resources, make_user: MakeUser, remover: dict[str, Any]
) -> None:
    picture, _ = await bring(root, png(40, 40))
    await age(resources, picture)
    ada = await make_user()
    async with resources.db.transaction() as session:
        task = {"user": ada.id, "tool": UUID(remover["id"]), "picture": picture}
        await session.execute(
            text("""
                INSERT INTO tasks (id, user_id, tool_id, price_credits, input, config, deadline_at,
                                   request_hash)
                VALUES (gen_random_uuid(), :user, :tool, 0, '{}',
                        jsonb_build_object('steps', jsonb_build_array(CAST(:picture AS text))),
                        now(), '')
            """),
            task,
        )
    assert await media.expire(resources) == 0
    async with resources.db.transaction() as session:
        await session.execute(text("UPDATE tasks SET status = 'failed'"))
    assert await media.expire(resources) == 1


async def test_a_thumbnail_must_be_a_picture_of_ours(
    root: httpx.AsyncClient, remover: dict[str, Any]
) -> None:
    answer = await root.patch(
        f"/api/admin/tools/{remover['id']}",
        json={"thumbnail": "01890a5d-ac96-774b-bcce-b302099a8057"},
    )
    assert answer.status_code == 422
    assert list(answer.json()["error"]["fields"]) == ["thumbnail"]
