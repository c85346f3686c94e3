"""What a person sees of a result: while it is drawn, small in lists, whole; and what they keep."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from PIL import Image
from sqlalchemy import text
from tests.conftest import PHOTOS
from tests.tasks.figures import DRAW_CREDITS, SHAPE, configure, shape
from tests.tasks.studio import Person, Studio
from tests.tasks.test_stream import frames
from tests.triangle import WHOLE, packed

from funmagic.core.storage import ObjectMissing, StorageError
from funmagic.providers.contract import (
    Answer,
    Call,
    Capability,
    File,
    Finished,
    ImageTo3d,
    Offer,
    Request,
    Result,
    Trouble,
)
from funmagic.tasks import previews, steps
from funmagic.toolkit.contract import StepInput, StepSettings

PREVIEWS = text("SELECT data FROM task_events WHERE type = 'partial_result' ORDER BY seq")


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unfinished pictures may follow each other at once."""
    monkeypatch.setattr(previews, "SHORTEST_PAUSE_S", 0.0)


async def run(studio: Studio, ada: Person, task_id: str) -> dict[str, Any]:
    await studio.engine.run(UUID(task_id), 1)
    return await ada.ended(task_id)


async def shown(studio: Studio) -> list[dict[str, Any]]:
    async with studio.resources.db.transaction() as session:
        return [row.data for row in await session.execute(PREVIEWS)]


def showing(times: int) -> Callable[[Call], Any]:
    """A vendor that shows the picture so often before it is done."""

    async def show(call: Call) -> None:
        for number in range(times):
            path = call.work_dir / f"partial-{number}.jpg"
            path.write_bytes((PHOTOS / "astronaut.jpg").read_bytes())
            await call.show(File(path, "image/jpeg"))

    return show


@pytest.mark.usefixtures("restless")
async def test_unfinished_pictures_are_small_few_and_gone_afterwards(studio: Studio) -> None:
    studio.steady.on_create = showing(previews.MOST + 4)
    await studio.ask_in_turn("steady")
    async with studio.person() as ada:
        task_id = await ada.draw()
        live: list[dict[str, Any]] = []

        async def look() -> bool:
            async with ada.browser.stream("GET", f"/api/tasks/{task_id}/stream") as stream:
                async for _, frame in frames(stream):
                    if frame["type"] == "partial_result":
                        live.append(frame)
                    if len(live) == previews.MOST:
                        break
            async with httpx.AsyncClient() as storage:
                picture = (await storage.get(live[0]["data"]["url"])).content
            with Image.open(io.BytesIO(picture)) as opened:
                assert (opened.format, max(opened.size)) == ("WEBP", 400)
            return True

        studio.steady.on_poll = look
        assert (await run(studio, ada, task_id))["status"] == "completed"
        assert [frame["data"]["index"] for frame in live] == list(range(previews.MOST))
        assert {frame["stepId"] for frame in live} == {"image-gen"}
        assert {"key"}.isdisjoint(live[0]["data"]), "an object's key is nobody's business"
        keys = [each["key"] for each in await shown(studio)]
        assert await previews.sweep(studio.resources) == previews.MOST
        assert await previews.sweep(studio.resources) == 0
        for key in keys:
            with pytest.raises(ObjectMissing):
                await studio.resources.storage.head(key)
        async with ada.browser.stream("GET", f"/api/tasks/{task_id}/stream") as stream:
            replayed = [frame["type"] async for _, frame in frames(stream)]
    assert "partial_result" not in replayed
    assert replayed[-1] == "completed"


async def test_pictures_that_follow_too_fast_are_dropped(studio: Studio) -> None:
    studio.steady.on_create = showing(5)
    await studio.ask_in_turn("steady")
    async with studio.person() as ada:
        assert (await run(studio, ada, await ada.draw()))["status"] == "completed"
    assert 1 <= len(await shown(studio)) < 5


@pytest.mark.usefixtures("restless")
async def test_a_picture_that_cannot_be_shown_is_not_the_vendors_trouble(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = studio.resources.storage.put

    async def away(key: str, body: Any, *, content_type: str) -> Any:
        if key.startswith("previews/"):
            raise StorageError("away")
        return await put(key, body, content_type=content_type)

    async def show_no_picture(call: Call) -> None:
        path = call.work_dir / "broken.png"
        path.write_bytes(b"no picture")
        await call.show(File(path, "image/png"))
        await showing(1)(call)

    monkeypatch.setattr(studio.resources.storage, "put", away)
    studio.steady.on_create = show_no_picture
    await studio.ask_in_turn("steady")
    async with studio.person() as ada:
        assert (await run(studio, ada, await ada.draw()))["status"] == "completed"
    await studio.assert_one_end()


async def test_a_storage_that_stalls_does_not_cost_the_picture(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = studio.resources.storage.put

    async def stall(key: str, body: Any, *, content_type: str) -> Any:
        if key.startswith("previews/"):
            await asyncio.Event().wait()
        return await put(key, body, content_type=content_type)

    async def show(call: Call) -> None:
        await asyncio.wait_for(showing(1)(call), 20)

    monkeypatch.setattr(studio.resources.storage, "put", stall)
    monkeypatch.setattr(previews, "SHOW_LIMIT_S", 3.0)
    studio.direct.on_create = show
    await studio.ask_in_turn("direct")
    async with studio.person() as ada:
        assert (await run(studio, ada, await ada.draw()))["status"] == "completed"


@pytest.mark.hazard("P5")
async def test_thumbnails_are_thumbnails_and_a_model_shows_a_poster_or_its_parent(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    posters = [File(PHOTOS / "cat.jpg", "image/jpeg")]

    async def submit(request: Request, call: Call) -> Answer:
        assert isinstance(request, ImageTo3d)
        await call.begin()
        model = File(call.work_dir / "model.glb", "model/gltf-binary")
        model.path.write_bytes(packed(WHOLE))
        return Finished(Result((model, *posters), meta={"isRelief": True}))

    studio.direct.offers = {**studio.direct.offers, Capability.IMAGE_TO_3D: Offer(("model-1",))}
    await studio.ask_in_turn("direct")
    choice = {"provider": "direct", "model": "model-1", "options": {}}
    await configure(studio.resources, [SHAPE, "providers"], [choice])
    async with studio.person() as ada, httpx.AsyncClient() as storage:

        async def look_of(asset: dict[str, Any]) -> Image.Image:
            opened = Image.open(io.BytesIO((await storage.get(asset["thumbnailUrl"])).content))
            assert (opened.format, max(opened.size)) == ("WEBP", 400)
            return opened

        parent = await run(studio, ada, await ada.draw())
        (picture,) = parent["output"]["assets"]
        assert max((await look_of(picture)).size) < picture["width"]
        assert (picture["posterUrl"], picture["isRelief"]) == (None, False)
        monkeypatch.setattr(studio.direct, "submit", submit)
        looks = []
        for _ in range(2):
            answer = await shape(ada.browser, parent["id"])
            task = await run(studio, ada, answer.json()["taskId"])
            assert task["status"] == "completed", task["error"]
            (model,) = task["output"]["assets"]
            assert (model["kind"], model["contentType"]) == ("3d", "model/gltf-binary")
            assert model["fileName"] == "figme-model.glb"
            assert (model["isRelief"], model["posterUrl"] is None) == (True, False)
            looks.append((await look_of(model)).size)
            posters.clear()
        rows = (await ada.browser.get("/api/tasks")).json()["items"]
        whole = {asset["url"].split("?")[0] for asset in (picture, model)}
        for row in rows:
            assert row["thumbnailUrl"].split("?")[0] not in whole
            assert (await storage.get(row["thumbnailUrl"])).headers["content-type"] == "image/webp"
    for look, name in zip(looks, ("cat.jpg", "astronaut.jpg"), strict=True):
        with Image.open(PHOTOS / name) as photo:
            assert look[0] / look[1] == pytest.approx(photo.width / photo.height, rel=0.02), name


async def test_a_picture_to_start_from_may_be_larger_than_an_upload(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def submit(request: Request, call: Call) -> Answer:
        await call.begin()
        path = call.work_dir / "huge.png"
        with Image.open(PHOTOS / "astronaut.jpg") as photo:
            photo.resize((2700, 2700)).save(path, compress_level=0)
        assert path.stat().st_size > steps.MAX_INPUT_BYTES
        return Finished(Result((File(path, "image/png"),)))

    monkeypatch.setattr(studio.direct, "submit", submit)
    await studio.ask_in_turn("direct")
    async with studio.person() as ada:
        task = await run(studio, ada, await ada.draw())
        assert task["status"] == "completed", task["error"]
    context = steps.TaskStepContext(
        resources=studio.resources,
        user_id=await studio.execute("SELECT user_id FROM tasks"),
        parent_task_id=UUID(task["id"]),
        input=StepInput(),
        settings=StepSettings(),
        work_dir=tmp_path,
    )
    picture = await context.open_parent()
    assert (picture.width, picture.height) == (2700, 2700)


async def test_results_are_saved_and_no_longer_saved_by_their_owner_alone(studio: Studio) -> None:
    await studio.ask_in_turn("direct")
    async with studio.person() as ada, studio.person("cy@example.com") as cy:
        task = await run(studio, ada, await ada.draw())
        (asset,) = task["output"]["assets"]
        assert asset["savedAt"] is None
        place = f"/api/assets/{asset['id']}/save"
        assert (await cy.browser.post(place)).status_code == 404
        first = (await ada.browser.post(place)).json()["savedAt"]
        again = (await ada.browser.post(place)).json()["savedAt"]
        assert first
        assert first == again, "saved once, whatever is clicked"
        assert (await cy.browser.delete(place)).status_code == 404
        assert (await ada.browser.get(f"/api/assets/{asset['id']}")).json()["savedAt"] == first
        assert (await ada.browser.delete(place)).json()["savedAt"] is None
        upload = task["input"]["image"]["assetId"]
        assert (await ada.browser.post(f"/api/assets/{upload}/save")).status_code == 404


async def test_an_ended_task_is_run_again_at_todays_price(studio: Studio) -> None:
    studio.direct.always(Trouble.REFUSED)
    await studio.ask_in_turn("direct")
    async with studio.person() as ada, studio.person("cy@example.com") as cy:
        task_id = await ada.draw(style="engraving")
        place = f"/api/tasks/{task_id}/retry"
        early = await ada.browser.post(place)
        assert (early.status_code, early.json()["error"]["type"]) == (409, "not_ended")
        assert (await run(studio, ada, task_id))["error"]["type"] == "refused"
        assert (await cy.browser.post(place)).status_code == 404
        await configure(studio.resources, ["image-gen", "priceCredits"], 23)
        outdated = await ada.browser.post(place, json={"expectedCredits": DRAW_CREDITS})
        assert (outdated.status_code, outdated.json()["error"]["credits"]) == (409, 23)
        key = {"Idempotency-Key": "again"}
        answers = [await ada.browser.post(place, headers=key) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert [answer.json()["credits"] for answer in answers] == [23, 23]
        assert len({answer.json()["taskId"] for answer in answers}) == 1
        studio.direct.on_create = showing(0)
        task = await run(studio, ada, answers[0].json()["taskId"])
        assert (task["status"], task["receipt"]["charged"]) == ("completed", 23)
        assert task["input"]["style"]["slug"] == "engraving"
        child = (await shape(ada.browser, task["id"])).json()["taskId"]
        await ada.cancel(child)
        again = await ada.browser.post(f"/api/tasks/{child}/retry")
        assert again.status_code == 201
        newest = (await ada.browser.get(f"/api/tasks/{again.json()['taskId']}")).json()
        assert (newest["parentTaskId"], newest["step"]) == (task["id"], SHAPE)
        await studio.execute("UPDATE tools SET is_active = false")
        assert (await ada.browser.post(place)).status_code == 404
