"""Trouble on demand: queued, met by the requests it was meant for, and on record."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.simulators.client import Fal, data_uri


def submit(fal: Fal, **headers: str) -> httpx.Response:
    return fal.http.post(
        "/queue/fal-ai/bria/background/remove", json={"image_url": data_uri()}, headers=headers
    )


def test_a_fault_is_met_as_often_as_it_says(fal: Fal) -> None:
    fal.fault("submit", times=2, status=429, headers={"Retry-After": "3"}, body={"detail": "slow"})
    answers = [submit(fal) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["retry-after"] == "3"
    assert answers[0].json() == {"detail": "slow"}
    assert len(fal.jobs()) == 1


def test_faults_wait_in_line_and_a_text_is_sent_as_it_is(fal: Fal) -> None:
    fal.fault(
        "submit", status=502, body="<html>nginx</html>", headers={"Content-Type": "text/html"}
    )
    fal.fault("submit", status=503)
    first, second = submit(fal), submit(fal)
    assert (first.status_code, first.text) == (502, "<html>nginx</html>")
    assert first.headers["content-type"] == "text/html"
    assert second.status_code == 503


def test_a_lost_answer_leaves_a_job_and_a_lost_request_leaves_none(either: Fal) -> None:
    either.fault("submit", cut="before")
    either.fault("submit", cut="after")
    for made in (0, 1):
        with pytest.raises(httpx.TransportError):
            submit(either)
        assert len(either.jobs()) == made
    assert submit(either).status_code == 200


@pytest.mark.parametrize(
    "at", ["status", "stream", "result", "cancel", "token", "upload", "file", "prices"]
)
def test_every_point_can_fail(fal: Fal, at: str) -> None:
    job = fal.submit(image_url=data_uri())
    image = fal.result(job).json()["image"]
    asks: dict[str, tuple[str, str]] = {
        "status": ("GET", job["status_url"]),
        "stream": ("GET", f"{job['status_url']}/stream"),
        "result": ("GET", job["response_url"]),
        "cancel": ("PUT", job["cancel_url"]),
        "token": ("POST", "/rest/storage/auth/token"),
        "upload": ("POST", "/cdn/files/upload"),
        "file": ("GET", image["url"]),
        "prices": ("GET", "/api/v1/models/pricing"),
    }
    fal.fault(at, status=503)
    fal.fault(at, cut="before")
    assert fal.http.request(*asks[at]).status_code == 503
    with pytest.raises(httpx.TransportError):
        fal.http.request(*asks[at])
    assert [record["status"] for record in fal.requests() if record["at"] == at][-2:] == [503, None]


def test_a_fault_meets_only_what_it_was_meant_for(fal: Fal) -> None:
    fal.fault("submit", status=503, match={"keyId": "other"})
    job = fal.submit(image_url=data_uri())
    assert submit(fal, Authorization="Key other:secret").status_code == 503
    fal.fault("status", status=503, match={"requestId": job["request_id"]})
    other = fal.submit(image_url=data_uri())
    assert fal.http.get(other["status_url"]).status_code != 503
    assert fal.http.get(job["status_url"]).status_code == 503
    fal.fault("file", status=503, match={"path": "output.png"})
    assert fal.http.get(fal.upload(b"x")).status_code == 200
    assert fal.http.get(fal.result(job).json()["image"]["url"]).status_code == 503


def test_a_delay_alone_changes_nothing_else(fal: Fal) -> None:
    fal.fault("submit", delayS=0.2)
    assert submit(fal).status_code == 200
    assert len(fal.jobs()) == 1


@pytest.mark.parametrize("wrong", [{"at": "nowhere"}, {"at": "submit", "sometimes": 1}, {}])
def test_a_fault_nobody_understands_is_refused(fal: Fal, wrong: dict[str, Any]) -> None:
    assert fal.http.post("/control/faults", json=wrong).status_code == 400


def test_requests_are_on_record_without_what_is_secret(fal: Fal) -> None:
    fal.result(fal.submit(image_url=fal.upload(b"no picture")))
    records = fal.requests()
    assert [record["at"] for record in records][:3] == ["token", "upload", "submit"]
    token, upload, create = records[:3]
    assert token["headers"]["authorization"] == "Key demo:…"
    assert upload["headers"]["authorization"] == "Bearer …"
    assert (create["keyId"], create["status"]) == ("demo", 200)
    assert create["receivedAt"] > token["receivedAt"]
    assert "secret" not in str(records)


def test_a_clean_slate_forgets_everything(fal: Fal) -> None:
    fal.submit(image_url=fal.upload(b"x"))
    fal.fault("submit", times=9, status=503)
    fal.set("outcome", kind="refused")
    assert fal.http.delete("/control").status_code == 204
    assert (fal.jobs(), fal.requests()) == ([], [])
    assert fal.result(fal.submit(image_url=data_uri())).status_code == 200
