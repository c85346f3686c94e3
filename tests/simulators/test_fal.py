"""The simulated fal as any client of the real one meets it."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.simulators.client import KEY, MODEL, Fal, data_uri, png

from funmagic.simulators.fal_jobs import Job, Jobs, Outcome
from funmagic.simulators.files import File, Files
from funmagic.simulators.pace import Pace
from funmagic.toolkit.contract import UnusableResult
from funmagic.toolkit.cutouts import check as check_cutout

HOUR_S = 3600
PHOTOS = Path(__file__).parent.parent / "photos"


def test_a_job_is_submitted_polled_and_fetched_and_comes_with_its_units(
    either: Fal, astronaut: bytes, tmp_path: Path
) -> None:
    job = either.submit(image_url=either.upload(astronaut))
    below = f"{either.place.url}/fal/queue/fal-ai/bria/requests/{job['request_id']}"
    assert job["status_url"] == f"{below}/status"
    assert (job["response_url"], job["cancel_url"]) == (below, f"{below}/cancel")
    status = either.wait(job)
    assert "logs" in status
    assert status["metrics"]["inference_time"] >= 0
    assert "error" not in status
    answer = either.http.get(job["response_url"])
    assert answer.headers["x-fal-billable-units"] == "1"
    assert answer.headers["x-fal-request-id"] == job["request_id"]
    image = answer.json()["image"]
    assert image["url"].startswith(f"{either.place.url}/fal/cdn/files/")
    assert (image["content_type"], image["width"], image["height"]) == ("image/png", 480, 512)
    file = either.http.get(image["url"])
    assert file.headers["content-type"] == "image/png"
    assert image["file_size"] == len(file.content) == int(file.headers["content-length"])
    check(file.content, tmp_path, width=480, height=512)


@pytest.mark.parametrize("name", ["cat", "coffee", "grass"])
def test_a_cutout_is_usable(fal: Fal, name: str, tmp_path: Path) -> None:
    photo = (PHOTOS / f"{name}.jpg").read_bytes()
    image = fal.result(fal.submit(image_url=fal.upload(photo))).json()["image"]
    check(fal.http.get(image["url"]).content, tmp_path, image["width"], image["height"])


def test_a_waiting_job_has_a_position_and_a_working_one_has_logs(fal: Fal) -> None:
    fal.set("pace", queueS=HOUR_S, workS=HOUR_S)
    waiting = fal.submit(image_url=data_uri())
    assert (waiting["status"], waiting["queue_position"]) == ("IN_QUEUE", 2)
    fal.set("pace", queueS=0, workS=HOUR_S)
    working = fal.submit(image_url=data_uri())
    answer = fal.http.get(waiting["status_url"], params={"logs": "true"})
    assert (answer.status_code, answer.json()["status"]) == (202, "IN_QUEUE")
    assert answer.json()["queue_position"] == 2
    for wanted, shows in {"true": True, "1": True, "false": False, "0": False}.items():
        status = fal.http.get(working["status_url"], params={"logs": wanted}).json()
        assert status["status"] == "IN_PROGRESS"
        assert bool(status["logs"]) is shows
    (line,) = fal.http.get(working["status_url"], params={"logs": "1"}).json()["logs"]
    assert set(line) == {"message", "level", "source", "timestamp"}
    early = fal.http.get(working["response_url"])
    assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})


def test_the_status_is_streamed_until_the_job_has_ended(fal: Fal) -> None:
    fal.set("pace", queueS=0.3, workS=0.3)
    job = fal.submit(image_url=data_uri())
    with fal.http.stream("GET", f"{job['status_url']}/stream", params={"logs": "1"}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = [json.loads(line[5:]) for line in stream.iter_lines() if line.startswith("data:")]
    assert told[-1]["status"] == "COMPLETED"
    assert told[-1]["logs"]
    order = ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert [status["status"] for status in told] == sorted(
        (status["status"] for status in told), key=order.index
    )


def test_the_position_counts_down_and_the_logs_grow() -> None:
    jobs = Jobs("http://localhost", Files(), Pace())
    pace = Pace(queue_s=90, work_s=90)
    now = time.monotonic()
    waiting = [
        Job(MODEL, "demo", {}, Outcome(), pace, submitted=now - waited_s)
        for waited_s in (0, 35, 65, 89)
    ]
    assert [jobs.queue_position(job) for job in waiting] == [2, 1, 0, 0]
    working = [
        Job(MODEL, "demo", {}, Outcome(), pace, started=now - worked_s)
        for worked_s in (0, 25, 50, 70)
    ]
    assert [len(jobs.logs(job)) for job in working] == [1, 2, 3, 4]


@pytest.mark.parametrize("key", ["Key bad:secret", "Key demo", "Bearer demo:secret", ""])
def test_other_keys_are_refused(fal: Fal, key: str) -> None:
    job = fal.submit(image_url=data_uri())
    other = {"Authorization": key}
    answers = [
        fal.http.post(f"/queue/{MODEL}", json={}, headers=other),
        fal.http.get(job["status_url"], headers=other),
        fal.http.get(job["response_url"], headers=other),
        fal.http.put(job["cancel_url"], headers=other),
        fal.http.post("/rest/storage/auth/token", json={}, headers=other),
        fal.http.get("/api/v1/models/pricing", headers=other),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert all(isinstance(answer.json()["detail"], str) for answer in answers)
    assert len(fal.jobs()) == 1


def test_a_job_is_found_below_its_application_alone_and_by_its_own_key(fal: Fal) -> None:
    job = fal.submit(image_url=data_uri())
    name = job["request_id"]
    assert fal.http.get(f"/queue/{MODEL}/requests/{name}/status").status_code == 404
    assert fal.http.get("/queue/fal-ai/bria/requests/nobody/status").status_code == 404
    assert fal.http.get(f"/queue/fal-ai/flux/requests/{name}").status_code == 404
    other = {"Authorization": "Key other:secret"}
    assert fal.http.get(job["status_url"], headers=other).status_code == 404
    assert fal.http.get(f"/queue/fal-ai/bria/requests/{name}/response").status_code == 200
    assert fal.http.post("/queue/fal-ai/nothing", json={}).status_code == 404
    assert fal.jobs()[0]["keyId"] == "demo"


def test_prices_are_told_by_model(fal: Fal) -> None:
    (price,) = fal.http.get("/api/v1/models/pricing", params={"endpoint_id": MODEL}).json()[
        "prices"
    ]
    assert (price["endpoint_id"], price["unit"], price["currency"]) == (MODEL, "image", "USD")
    assert price["unit_price"] > 0


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({}, "missing"),
        ({"image_url": "http://127.0.0.1:1/photo.jpg"}, "file_download_error"),
        ({"image_url": "data:image/png;base64,!"}, "file_download_error"),
        ({"image_url": "data:image/png;base64,AAAA"}, "image_load_error"),
    ],
)
def test_a_bad_input_is_told_by_the_result(fal: Fal, given: dict[str, str], kind: str) -> None:
    job = fal.submit(**given)
    answer = fal.result(job)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] == kind
    assert answer.json()["detail"][0]["loc"] == ["body", "image_url"]
    assert answer.headers["x-fal-retryable"] == "false"
    assert "x-fal-billable-units" not in answer.headers


def test_a_refusal_is_told_by_the_result_and_may_cost(fal: Fal) -> None:
    fal.set("outcome", kind="refused", billableUnits=0.5)
    job = fal.submit(image_url=data_uri())
    assert "error" not in fal.wait(job)
    answer = fal.result(job)
    assert (answer.status_code, answer.headers["x-fal-billable-units"]) == (422, "0.5")
    assert answer.json()["detail"][0]["type"] == "content_policy_violation"


def test_a_broken_job_is_told_by_the_status_too(fal: Fal) -> None:
    fal.set("outcome", kind="error", error="Runner is gone", errorType="runner_disconnected")
    job = fal.submit(image_url=data_uri())
    status = fal.wait(job)
    assert (status["error"], status["error_type"]) == ("Runner is gone", "runner_disconnected")
    answer = fal.result(job)
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Runner is gone", "error_type": "runner_disconnected"}
    assert answer.headers["x-fal-error-type"] == "runner_disconnected"


@pytest.mark.parametrize("kind", ["blank", "opaque"])
def test_a_useless_cutout_has_the_right_size(fal: Fal, kind: str, tmp_path: Path) -> None:
    fal.set("outcome", kind=kind)
    image = fal.result(fal.submit(image_url=data_uri())).json()["image"]
    with pytest.raises(UnusableResult, match="could not find a"):
        check(fal.http.get(image["url"]).content, tmp_path, 40, 30)


@pytest.mark.parametrize(
    ("kind", "content_type"), [("html", "text/html"), ("svg", "image/svg+xml")]
)
def test_a_file_may_be_active_and_lie(fal: Fal, kind: str, content_type: str) -> None:
    for claimed in (None, "image/png"):
        fal.set("outcome", kind=kind, contentType=claimed)
        image = fal.result(fal.submit(image_url=data_uri())).json()["image"]
        file = fal.http.get(image["url"])
        assert b"<script>" in file.content
        assert image["content_type"] == "image/png"
        assert file.headers["content-type"].startswith(claimed or content_type)


def test_half_a_file_ends_early_or_claims_to_be_whole(fal: Fal) -> None:
    fal.set("outcome", kind="truncated")
    image = fal.result(fal.submit(image_url=data_uri())).json()["image"]
    with pytest.raises(httpx.TransportError):
        fal.http.get(image["url"])
    fal.set("outcome", kind="truncated", contentLength=False)
    image = fal.result(fal.submit(image_url=data_uri())).json()["image"]
    assert len(fal.http.get(image["url"]).content) == image["file_size"] // 2


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_huge_file_is_as_long_as_wanted(fal: Fal, tells_length: bool) -> None:
    fal.set("outcome", kind="huge", bytes=20_000_000, contentLength=tells_length)
    image = fal.result(fal.submit(image_url=data_uri())).json()["image"]
    file = fal.http.get(image["url"])
    assert file.content.startswith(b"\x89PNG")
    assert len(file.content) == image["file_size"] == 20_000_000
    assert ("content-length" in file.headers) is tells_length
    fal.set("outcome", kind="huge")
    image = fal.result(fal.submit(image_url=data_uri())).json()["image"]
    with fal.http.stream("GET", image["url"]) as endless:
        assert endless.headers["content-length"] == "2000000000"
    assert fal.jobs()[-1]["fileFetches"] == 1


def test_a_file_may_be_somewhere_else(fal: Fal) -> None:
    for location in (None, "http://169.254.169.254/"):
        fal.set("outcome", kind="redirect", location=location)
        image = fal.result(fal.submit(image_url=data_uri())).json()["image"]
        answer = fal.http.get(image["url"])
        assert answer.status_code == 302
        assert location in (None, answer.headers["location"])
        if location is None:
            assert fal.http.get(answer.headers["location"]).content.startswith(b"\x89PNG")


def test_a_small_result_can_come_inside_the_answer(fal: Fal) -> None:
    image = fal.result(fal.submit(image_url=data_uri(), sync_mode=True)).json()["image"]
    assert image["url"].startswith("data:image/png;base64,")


def test_cancelling_stops_a_job_that_has_not_ended(fal: Fal) -> None:
    done = fal.submit(image_url=data_uri())
    fal.wait(done)
    late = fal.http.put(done["cancel_url"])
    assert (late.status_code, late.json()) == (400, {"status": "ALREADY_COMPLETED"})
    fal.set("pace", workS=HOUR_S)
    job = fal.submit(image_url=data_uri())
    answer = fal.http.put(job["cancel_url"])
    assert (answer.status_code, answer.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert fal.wait(job)["error_type"] == "client_cancelled"
    assert fal.result(job).status_code == 499
    nobody = fal.http.put("/queue/fal-ai/bria/requests/nobody/cancel")
    assert (nobody.status_code, nobody.json()) == (404, {"status": "NOT_FOUND"})


def test_a_job_that_may_not_wait_so_long_never_begins(fal: Fal) -> None:
    fal.set("pace", queueS=HOUR_S)
    for wrong in ("1", "soon", "nan"):
        headers = {"X-Fal-Request-Timeout": wrong}
        assert fal.http.post(f"/queue/{MODEL}", json={}, headers=headers).status_code == 400
    answer = fal.http.post(
        f"/queue/{MODEL}",
        json={"image_url": data_uri()},
        headers={"X-Fal-Request-Timeout": "1.1"},
    )
    status = fal.wait(answer.json())
    assert status["error_type"] == "request_timeout"
    assert fal.result(answer.json()).status_code == 504


def test_a_job_may_not_care_about_being_cancelled(fal: Fal) -> None:
    fal.set("outcome", kind="ok", ignoresCancel=True)
    fal.set("pace", workS=0.5)
    job = fal.submit(image_url=data_uri())
    fal.http.put(job["cancel_url"])
    assert fal.result(job).status_code == 200


def test_uploads_want_a_token_and_have_a_limit(fal: Fal) -> None:
    for wrong in ("Bearer invented", f"Key {KEY}"):
        answer = fal.http.post("/cdn/files/upload", content=b"x", headers={"Authorization": wrong})
        assert answer.status_code == 401
    with pytest.raises(httpx.HTTPStatusError, match="413"):
        fal.upload(bytes(65 << 20))
    address = fal.upload(b"kept", name="../a b.jpg")
    assert address.endswith("_.._a_b.jpg")
    assert fal.http.get(address).content == b"kept"
    assert fal.http.get("/cdn/files/nothing").status_code == 404


def test_the_oldest_files_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funmagic.simulators.files.MAX_KEPT_BYTES", 10)
    files = Files()
    names = [files.put(File(bytes(4), "text/plain"), "x") for _ in range(3)]
    assert [files.get(name) is not None for name in names] == [False, True, True]


def test_many_clients_at_once_get_a_job_each(fal: Fal) -> None:
    address = fal.upload(png())

    def one(number: int) -> str:
        job = fal.submit(image_url=address, number=number)
        assert fal.result(job).status_code == 200
        return str(job["request_id"])

    with ThreadPoolExecutor(16) as clients:
        made = set(clients.map(one, range(120)))
    assert made == {job["id"] for job in fal.jobs()}
    assert len(made) == 120


def check(cutout: bytes, folder: Path, width: int, height: int) -> None:
    """As the tool itself would look at it."""
    path = folder / "cutout.png"
    path.write_bytes(cutout)
    photo: Any = type("Photo", (), {"width": width, "height": height})
    check_cutout(path, photo)
