"""A client that knows nothing but Tripo's protocol, with a hand on the simulator's controls."""

from __future__ import annotations

import io
import json
import struct
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image
from tests.simulators.client import png

from funmagic.providers.contract import File
from funmagic.simulators.server import Running
from funmagic.toolkit import glb

KEY = "tsk_demo_secret"
MODELS = ("v3.1-20260211", "v3.0-20250812", "v2.5-20250123", "P1-20260311", "P2-20260801")


class Tripo:
    """The vendor as seen from outside, with a hand on its controls."""

    def __init__(self, place: Running) -> None:
        self.url = f"{place.url}/tripo"
        headers = {"Authorization": f"Bearer {KEY}"}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def clean(self) -> Tripo:
        """Begin on a clean slate, with tasks that neither wait nor work."""
        self.http.delete("/control").raise_for_status()
        self.set("pace", queueS=0, workS=0)
        return self

    def set(self, what: str, **values: Any) -> None:
        self.http.put(f"/control/{what}", json=values).raise_for_status()

    def fault(self, at: str, **values: Any) -> None:
        self.http.post("/control/faults", json={"at": at, **values}).raise_for_status()

    def seen(self, what: str) -> list[dict[str, Any]]:
        """``jobs`` or ``requests``."""
        return list(self.http.get(f"/control/{what}").json())

    def data(self, answer: httpx.Response) -> dict[str, Any]:
        """What a successful answer holds."""
        body = answer.raise_for_status().json()
        assert (body["code"], body["status"]) == (0, "success")
        told: dict[str, Any] = body["data"]
        return told

    def upload(self, content: bytes, name: str = "photo.jpg") -> str:
        files = {"file": (name, content, "image/jpeg")}
        return str(self.data(self.http.post("/v3/files", files=files))["file_token"])

    def create(self, **given: Any) -> httpx.Response:
        body = {"model": MODELS[0], **given}
        return self.http.post("/v3/generation/image-to-model", json=body)

    def make(self, **given: Any) -> str:
        """A task of a small photo; returns its id."""
        given.setdefault("input", self.upload(png()))
        told = self.data(self.create(**given))
        assert (told["type"], told["status"]) == ("image_to_model", "queued")
        return str(told["task_id"])

    def look(self, task_id: str) -> dict[str, Any]:
        return self.data(self.http.get(f"/v3/tasks/{task_id}"))

    def wait(self, task_id: str) -> dict[str, Any]:
        """Poll until it has ended; returns the last answer."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            told = self.look(task_id)
            if told["status"] not in ("queued", "running"):
                return told
            time.sleep(0.02)
        raise AssertionError("the task does not end")

    def balance(self) -> tuple[float, float]:
        told = self.data(self.http.get("/v3/account/balance"))
        return told["balance"], told["frozen"]


def refused(answer: httpx.Response) -> tuple[int, int]:
    """HTTP status and code of a failure, in Tripo's shape."""
    body = answer.json()
    assert set(body) == {"code", "status", "message", "suggestion", "request_id"}
    assert body["status"] == "error"
    assert answer.headers["x-request-id"] == body["request_id"]
    return answer.status_code, body["code"]


def check(content: bytes, folder: Path, *, is_textured: bool = True) -> int:
    """As a tool would look at it, then every number in it; returns how many faces it has."""
    path = folder / "model.glb"
    path.write_bytes(content)
    glb.check(File(path, "model/gltf-binary"))
    json_bytes = struct.unpack_from("<I", content, 12)[0]
    told = json.loads(content[20 : 20 + json_bytes])
    buffer = content[28 + json_bytes :]
    assert json_bytes % 4 == len(buffer) % 4 == 0
    assert told["buffers"] == [{"byteLength": len(buffer)}]

    def part(view: int) -> bytes:
        of = told["bufferViews"][view]
        assert of["byteOffset"] % 4 == 0
        assert of["byteOffset"] + of["byteLength"] <= len(buffer)
        return buffer[of["byteOffset"] :][: of["byteLength"]]

    def numbers(accessor: int) -> Any:
        of = told["accessors"][accessor]
        kind = np.dtype({5126: "<f4", 5123: "<u2"}[of["componentType"]])
        wide = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[of["type"]]
        found = np.frombuffer(part(of["bufferView"]), kind).reshape(-1, wide)
        assert len(found) == of["count"]
        return found

    ((primitive,),) = [mesh["primitives"] for mesh in told["meshes"]]
    positions, normals, uvs = (
        numbers(primitive["attributes"][name]) for name in ("POSITION", "NORMAL", "TEXCOORD_0")
    )
    bounds = told["accessors"][primitive["attributes"]["POSITION"]]
    assert np.allclose(positions.min(axis=0), bounds["min"])
    assert np.allclose(positions.max(axis=0), bounds["max"])
    assert np.ptp(positions[:, 2]) > 0.05, "it has a front and a back"
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-4)
    assert (uvs.min(), uvs.max()) == (0, 1)
    faces = numbers(primitive["indices"]).reshape(-1, 3)
    assert faces.max() < len(positions)
    assert (len(told.get("images", [])) == 1) is is_textured
    for image in told.get("images", []):
        Image.open(io.BytesIO(part(image["bufferView"]))).load()
    return len(faces)
