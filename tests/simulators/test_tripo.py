"""The simulated Tripo as any client of the real one meets it."""

from __future__ import annotations

import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.simulators.client import png
from tests.simulators.tripo_client import MODELS, Tripo, check, refused

from funmagic.simulators.tripo_files import Upload, Uploads

HOUR_S = 3600
PHOTOS = Path(__file__).parent.parent / "photos"
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("photo", ["cat", "coffee", "astronaut"])
def test_a_photo_becomes_a_model_and_a_picture(tripo: Tripo, photo: str, tmp_path: Path) -> None:
    content = (PHOTOS / f"{photo}.jpg").read_bytes()
    task_id = tripo.make(input=tripo.upload(content))
    told = tripo.wait(task_id)
    assert (told["task_id"], told["status"], told["progress"]) == (task_id, "success", 100)
    assert told["credits_consumed"] == 30
    model = httpx.get(told["output"]["model_url"])
    assert model.headers["content-type"] == "model/gltf-binary"
    check(model.content, tmp_path)
    picture = httpx.get(told["output"]["rendered_image_url"])
    with Image.open(io.BytesIO(picture.content)) as opened:
        opened.load()
        assert (opened.format, picture.headers["content-type"]) == ("WEBP", "image/webp")


def test_a_model_has_as_few_faces_as_wanted_and_no_texture_where_none_is(
    tripo: Tripo, tmp_path: Path
) -> None:
    token = tripo.upload((PHOTOS / "cat.jpg").read_bytes())
    counts = []
    for limit in (48, 500, 5_000):
        task_id = tripo.make(model="P1-20260311", input=token, face_limit=limit, pbr=False)
        url = tripo.wait(task_id)["output"]["model_url"]
        counts.append(check(httpx.get(url).content, tmp_path))
        assert 4 <= counts[-1] <= limit
    assert counts == sorted(counts)
    bare = tripo.wait(tripo.make(input=token, texture=False, pbr=False))
    assert bare["credits_consumed"] == 20
    check(httpx.get(bare["output"]["model_url"]).content, tmp_path, is_textured=False)


def test_a_task_waits_then_grows(tripo: Tripo) -> None:
    tripo.set("pace", queueS=HOUR_S, workS=HOUR_S)
    waiting = tripo.look(tripo.make())
    assert (waiting["status"], waiting["progress"]) == ("queued", 0)
    assert "credits_consumed" not in waiting
    tripo.set("pace", queueS=0, workS=1.0)
    task_id = tripo.make()
    seen = []
    while (told := tripo.look(task_id))["status"] != "success":
        seen.append(told["progress"])
        assert told["output"] == {}
        time.sleep(0.02)
    assert seen == sorted(seen)
    assert 0 <= seen[0] < seen[-1] <= 99


@pytest.mark.parametrize("key", ["tsk_bad_secret", "sk_demo", "tsk_", ""])
def test_other_keys_are_refused(tripo: Tripo, key: str) -> None:
    task_id = tripo.make()
    other = {"Authorization": f"Bearer {key}".strip()}
    answers = [
        tripo.http.post("/v3/files", files={"file": b"x"}, headers=other),
        tripo.http.post("/v3/files/presign", json={"format": "png"}, headers=other),
        tripo.http.post("/v3/generation/image-to-model", json={}, headers=other),
        tripo.http.get(f"/v3/tasks/{task_id}", headers=other),
        tripo.http.post("/v3/tasks/list", json={"task_ids": [task_id]}, headers=other),
        tripo.http.get("/v3/account/balance", headers=other),
        tripo.http.get("/v3/account/usage", headers=other),
    ]
    assert {refused(answer) for answer in answers} == {(401, 2)}


def test_what_is_somebody_elses_is_not_there(tripo: Tripo) -> None:
    task_id, token = tripo.make(), tripo.upload(png())
    other = {"Authorization": "Bearer tsk_other_secret"}
    assert refused(tripo.http.get(f"/v3/tasks/{task_id}", headers=other)) == (404, 2001)
    assert refused(tripo.http.get("/v3/tasks/nobody")) == (404, 2001)
    body = {"model": MODELS[0], "input": token}
    answer = tripo.http.post("/v3/generation/image-to-model", json=body, headers=other)
    assert refused(answer) == (400, 1004)
    told = tripo.http.post("/v3/tasks/list", json={"task_ids": [task_id]}, headers=other)
    assert tripo.data(told) == {"tasks": {}, "missed": [task_id]}


def test_several_tasks_are_looked_at_at_once(tripo: Tripo) -> None:
    ids = [tripo.make(), tripo.make()]
    for each in ids:
        tripo.wait(each)
    told = tripo.data(tripo.http.post("/v3/tasks/list", json={"task_ids": [*ids, "nobody"]}))
    assert (set(told["tasks"]), told["missed"]) == (set(ids), ["nobody"])
    assert all(task["output"]["model_url"] for task in told["tasks"].values())
    for wrong in ([], "x", ["x"] * 101):
        answer = tripo.http.post("/v3/tasks/list", json={"task_ids": wrong})
        assert refused(answer) == (400, 1004)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"model": None}, "model"),
        ({"model": "tripo-v3.1"}, "v3.1-20260211, v3.0"),
        ({"style": "lego"}, "style"),
        ({"texture": "yes"}, "texture"),
        ({"texture_quality": "fast"}, "standard, detailed, extreme"),
        ({"face_limit": 1_500_001}, "face_limit"),
        ({"face_limit": "many"}, "face_limit"),
        ({"smart_low_poly": True, "face_limit": 499}, "500"),
        ({"quad": True, "face_limit": 150_001}, "150000"),
        ({"generate_parts": True}, "texture, pbr"),
        ({"input": "file_nobody"}, "input"),
        ({"input": "data:image/png;base64,AAAA"}, "input"),
        ({"model": "v2.5-20250123", "texture_quality": "standard"}, "texture_quality"),
        ({"model": "v2.5-20250123", "auto_size": False}, "auto_size"),
        ({"model": "v2.5-20250123", "face_limit": 500_001}, "500000"),
        ({"model": "v3.0-20250812", "face_limit": 1_000_001}, "1000000"),
        ({"model": "P1-20260311", "geometry_quality": "standard"}, "geometry_quality"),
        ({"model": "P1-20260311", "smart_low_poly": False}, "smart_low_poly"),
        ({"model": "P1-20260311", "face_limit": 47}, "48"),
        ({"model": "P2-20260801", "face_limit": 50_001}, "50000"),
    ],
)
def test_a_parameter_that_is_wrong_is_named(tripo: Tripo, given: dict[str, Any], word: str) -> None:
    answer = tripo.create(**{"input": tripo.upload(png()), **given})
    assert refused(answer) == (400, 1004)
    assert word in answer.json()["message"]
    assert (tripo.seen("jobs"), tripo.balance()) == ([], (5000, 0))


def test_what_is_no_object_or_no_route_or_no_image_is_refused(tripo: Tripo) -> None:
    create = "/v3/generation/image-to-model"
    assert refused(tripo.http.post(create, content=b"{", headers=JSON)) == (400, 1003)
    assert refused(tripo.http.post(create, json=[1])) == (400, 1003)
    assert refused(tripo.http.post(create, content=b"x=1")) == (415, 1003)
    assert refused(tripo.http.get("/v3/nothing")) == (404, 4001)
    assert refused(tripo.http.delete("/v3/files")) == (405, 1003)
    assert refused(tripo.http.post("/v3/files", files={"photo": b"x"})) == (400, 1003)
    assert refused(tripo.http.post("/v3/files", files={"file": b""})) == (400, 2003)
    assert refused(tripo.create(input=tripo.upload(b"GIF89a"))) == (400, 2004)
    huge = b"\xff\xd8\xff" + bytes(20 << 20)
    assert refused(tripo.create(input=tripo.upload(huge))) == (400, 1004)
    broken = tripo.wait(tripo.make(input=tripo.upload(b"\xff\xd8\xff and nothing more")))
    assert (broken["status"], broken["error_code"]) == ("failed", 2004)


def test_credits_are_frozen_then_kept_or_given_back(tripo: Tripo) -> None:
    tripo.set("wallet", balance=100)
    tripo.set("pace", workS=HOUR_S)
    tripo.make()
    assert tripo.balance() == (70, 30)
    tripo.make(texture_quality="extreme", geometry_quality="detailed")
    assert tripo.balance() == (0, 100)
    assert refused(tripo.create(input=tripo.upload(png()))) == (403, 2010)
    tripo.http.delete("/control")
    tripo.set("wallet", balance=100)
    tripo.set("pace", workS=0)
    tripo.wait(tripo.make(model="P2-20260801", texture=False, pbr=False))
    assert tripo.balance() == (0, 0)
    tripo.set("wallet", balance=100)
    tripo.set("outcome", kind="failed")
    assert tripo.wait(tripo.make())["credits_consumed"] == 0
    assert tripo.balance() == (100, 0)
    told = tripo.data(tripo.http.get("/v3/account/usage", params={"limit": 1, "offset": 1}))
    (item,) = told["items"]
    assert (item["status"], item["credits_consumed"]) == ("success", 100)


def test_only_so_many_tasks_run_at_once(tripo: Tripo) -> None:
    tripo.set("pace", workS=HOUR_S)
    token = tripo.upload(png())
    for model, limit in (("v3.1-20260211", 10), ("P1-20260311", 5)):
        for _ in range(limit):
            tripo.make(model=model, input=token)
        assert refused(tripo.create(model=model, input=token)) == (429, 2000)
    tripo.set("wallet", tasksAtOnce=11)
    tripo.make(input=token)


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        ({"kind": "moderated"}, "failed", 2008),
        ({"kind": "failed"}, "failed", 2018),
        ({"kind": "failed", "errorCode": 1000}, "failed", 1000),
        ({"kind": "cancelled"}, "cancelled", None),
    ],
)
def test_a_task_may_fail(
    tripo: Tripo, outcome: dict[str, Any], status: str, code: int | None
) -> None:
    tripo.set("outcome", **outcome)
    told = tripo.wait(tripo.make())
    assert (told["status"], told["error_code"], told["output"]) == (status, code, {})
    assert told["error_message"]


def test_content_may_be_refused_before_there_is_a_task(tripo: Tripo) -> None:
    tripo.set("outcome", kind="refused")
    assert refused(tripo.create(input=tripo.upload(png()))) == (400, 2008)
    assert tripo.seen("jobs") == []


def test_addresses_are_signed_made_anew_and_expire(tripo: Tripo) -> None:
    task_id = tripo.make()
    tripo.wait(task_id)
    first, second = (tripo.look(task_id)["output"]["model_url"] for _ in range(2))
    assert first != second
    assert httpx.get(first).content == httpx.get(second).content
    for wrong in (first.partition("?")[0], first[:-1], first.replace("Expires=", "Expires=9")):
        assert httpx.get(wrong).status_code == 403
    tripo.set("outcome", staleUrls=1, urlLifeS=HOUR_S)
    stale = tripo.make()
    told = tripo.wait(stale)
    tellings = next(job for job in tripo.seen("jobs") if job["id"] == stale)["tellings"]
    assert httpx.get(told["output"]["model_url"]).status_code == (403 if tellings == 1 else 200)
    assert httpx.get(tripo.look(stale)["output"]["model_url"]).status_code == 200
    tripo.set("outcome", urlLifeS=0)
    assert httpx.get(tripo.wait(tripo.make())["output"]["model_url"]).status_code == 403


def model_of(tripo: Tripo, **outcome: Any) -> str:
    """Where the model of a task with this outcome is."""
    tripo.set("outcome", **outcome)
    return str(tripo.wait(tripo.make())["output"]["model_url"])


def test_a_model_may_be_anything_else(tripo: Tripo) -> None:
    whole = httpx.get(model_of(tripo, kind="ok")).content
    page = httpx.get(model_of(tripo, kind="html", contentType="text/html"))
    assert (page.headers["content-type"], b"<script>" in page.content) == ("text/html", True)
    half = httpx.get(model_of(tripo, kind="short")).content
    assert half == whole[: len(whole) // 2]
    with pytest.raises(httpx.TransportError):
        httpx.get(model_of(tripo, kind="truncated"))
    huge = httpx.get(model_of(tripo, kind="huge", bytes=20_000_000, contentLength=False))
    assert (len(huge.content), "content-length" in huge.headers) == (20_000_000, False)
    moved = httpx.get(model_of(tripo, kind="redirect"))
    assert (moved.status_code, httpx.get(moved.headers["location"]).content) == (302, whole)
    far = httpx.get(model_of(tripo, kind="redirect", location="http://169.254.169.254/"))
    assert far.headers["location"] == "http://169.254.169.254/"
    tripo.set("outcome", kind="no_picture")
    assert list(tripo.wait(tripo.make())["output"]) == ["model_url"]
    tripo.set("outcome", kind="ok")
    quad = httpx.get(tripo.wait(tripo.make(quad=True))["output"]["model_url"])
    assert quad.content.startswith(b"Kaydara FBX Binary")


def test_a_large_file_goes_to_an_address_of_its_own(tripo: Tripo) -> None:
    told = tripo.data(tripo.http.post("/v3/files/presign", json={"format": "png"}))
    assert told["expires_in"] == 1800
    assert refused(tripo.create(input=told["file_token"])) == (400, 1004)
    assert httpx.put(told["presigned_url"] + "0", content=png()).status_code == 403
    put = httpx.put(told["presigned_url"], content=png(), headers={"Content-Type": "image/png"})
    assert put.status_code == 200
    assert tripo.wait(tripo.make(input=told["file_token"]))["status"] == "success"
    assert refused(tripo.http.post("/v3/files/presign", json={"format": "/"})) == (400, 1004)


def test_what_came_is_on_record_without_the_key(tripo: Tripo) -> None:
    tripo.make(pbr=False)
    upload, create = tripo.seen("requests")
    assert (upload["at"], create["at"]) == ("upload", "create")
    (file,) = upload["files"]
    assert file == {
        "field": "file",
        "name": "photo.jpg",
        "contentType": "image/jpeg",
        "sizeBytes": len(png()),
    }
    assert (create["fields"]["model"], create["fields"]["pbr"]) == (MODELS[0], False)
    assert (create["keyId"], create["status"]) == ("demo", 200)
    assert "secret" not in json.dumps([upload, create])
    (job,) = tripo.seen("jobs")
    assert (job["creates"], job["given"]["pbr"]) == (1, False)


def test_trouble_comes_on_demand(tripo: Tripo) -> None:
    tripo.fault("create", status=200, body={"code": 1001, "status": "error"}, times=1)
    assert tripo.create().json()["code"] == 1001
    tripo.fault("task", cut="before")
    task_id = tripo.make()
    with pytest.raises(httpx.TransportError):
        tripo.look(task_id)
    assert tripo.wait(task_id)["status"] == "success"
    assert tripo.http.post("/control/faults", json={"at": "nowhere"}).status_code == 400


def test_many_clients_at_once_get_a_task_each(tripo: Tripo) -> None:
    tripo.set("wallet", tasksAtOnce=100)
    token = tripo.upload(png())
    with ThreadPoolExecutor(8) as clients:
        made = set(clients.map(lambda _: tripo.make(input=token), range(60)))
    assert made == {job["id"] for job in tripo.seen("jobs")}
    assert len(made) == 60
    for each in made:
        tripo.wait(each)
    assert tripo.balance() == (5000 - 60 * 30, 0)


def test_the_oldest_uploads_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funmagic.simulators.tripo_files.MAX_KEPT_BYTES", 10)
    uploads = Uploads()
    tokens = [uploads.put(Upload("ada", bytes(4), "image/png")) for _ in range(3)]
    assert [uploads.get(token) is not None for token in tokens] == [False, True, True]
