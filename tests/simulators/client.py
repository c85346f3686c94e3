"""A client that knows nothing but fal's protocol, with a hand on the simulator's controls."""

from __future__ import annotations

import base64
import io
import ssl
import time
from typing import Any

import httpx
from PIL import Image as Pillow

from funmagic.simulators.server import Running

KEY = "demo:secret"
MODEL = "fal-ai/bria/background/remove"


class Fal:
    """The vendor as seen from outside."""

    def __init__(self, place: Running) -> None:
        self.place = place
        trust: ssl.SSLContext | bool = True
        if place.ca_file is not None:
            trust = ssl.create_default_context(cafile=place.ca_file)
        self.http = httpx.Client(
            base_url=f"{place.url}/fal",
            headers={"Authorization": f"Key {KEY}"},
            verify=trust,
            timeout=60,
        )

    def set(self, what: str, **values: Any) -> None:
        """Pace or outcome of jobs made from now on."""
        self.http.put(f"/control/{what}", json=values).raise_for_status()

    def fault(self, at: str, **values: Any) -> None:
        self.http.post("/control/faults", json={"at": at, **values}).raise_for_status()

    def jobs(self) -> list[dict[str, Any]]:
        return list(self.http.get("/control/jobs").json())

    def requests(self) -> list[dict[str, Any]]:
        return list(self.http.get("/control/requests").json())

    def upload(self, content: bytes, name: str = "photo.jpg") -> str:
        """Put a file into the vendor's store; returns its address."""
        token = self.http.post("/rest/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
        headers = {
            "Authorization": f"{token['token_type']} {token['token']}",
            "Content-Type": "image/jpeg",
            "X-Fal-File-Name": name,
        }
        answer = self.http.post("/cdn/files/upload", content=content, headers=headers)
        return str(answer.raise_for_status().json()["access_url"])

    def submit(self, **given: Any) -> dict[str, Any]:
        answer = self.http.post(f"/queue/{MODEL}", json=given).raise_for_status()
        told: dict[str, Any] = answer.json()
        assert answer.headers["x-fal-request-id"] == told["request_id"]
        return told

    def wait(self, job: dict[str, Any]) -> dict[str, Any]:
        """Poll until it has ended; returns the last status."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            status: dict[str, Any] = self.http.get(job["status_url"]).raise_for_status().json()
            if status["status"] == "COMPLETED":
                return status
            time.sleep(0.02)
        raise AssertionError("the job does not end")

    def result(self, job: dict[str, Any]) -> httpx.Response:
        """The result once it has ended, whatever it is."""
        self.wait(job)
        return self.http.get(job["response_url"])

    def clean(self) -> Fal:
        """Begin on a clean slate, with jobs that neither wait nor work."""
        self.http.delete("/control").raise_for_status()
        self.set("pace", queueS=0, workS=0)
        return self


def png() -> bytes:
    """A small picture with something in it."""
    picture = Pillow.new("RGB", (40, 30), (20, 30, 40))
    picture.paste((220, 60, 30), (12, 8, 28, 24))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def data_uri() -> str:
    return "data:image/png;base64," + base64.b64encode(png()).decode()
