"""Reliefs from photos: what a viewer gets, read byte by byte, and what is refused."""

from __future__ import annotations

import io
import json
import os
import signal
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.providers.conftest import PHOTOS, ignore, make_call

from funmagic.core.ids import new_id
from funmagic.providers.adapters.local import Local, ReliefOptions
from funmagic.providers.contract import File, Finished, ImageTo3d, ProviderError, Trouble
from funmagic.toolkit import glb

Shape = Callable[..., Awaitable[Finished]]


@pytest.fixture
def shape(local: Local, tmp_path: Path) -> Shape:
    async def run(
        photo: str | Path,
        options: ReliefOptions | None = None,
        report: Callable[[int], Awaitable[None]] = ignore,
    ) -> Finished:
        call = make_call(tmp_path / str(new_id()), report, options or ReliefOptions())
        answer = await local.submit(ImageTo3d(File(PHOTOS / photo, "image/jpeg")), call)
        assert isinstance(answer, Finished)
        return answer

    return run


@dataclass
class Model:
    """A GLB as the standard says it is to be read; nothing here is shared with its writer."""

    described: dict[str, Any]
    binary: bytes

    @classmethod
    def of(cls, path: Path) -> Model:
        content = path.read_bytes()
        magic, version, length, json_bytes, kind = struct.unpack_from("<4sIII4s", content)
        assert (magic, version, length, kind) == (b"glTF", 2, len(content), b"JSON")
        assert json_bytes % 4 == 0
        start = 20 + json_bytes
        binary_bytes, kind = struct.unpack_from("<I4s", content, start)
        assert (kind, binary_bytes % 4, start + 8 + binary_bytes) == (b"BIN\0", 0, length)
        return cls(json.loads(content[20:start]), content[start + 8 :])

    def view(self, number: int) -> bytes:
        view = self.described["bufferViews"][number]
        return self.binary[view["byteOffset"] :][: view["byteLength"]]

    def read(self, number: int) -> Any:
        """An accessor's values, one row an element."""
        accessor = self.described["accessors"][number]
        kind = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
        across = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
        values = np.frombuffer(self.view(accessor["bufferView"]), kind)
        assert len(values) == accessor["count"] * across
        return values.reshape(-1, across)


@pytest.mark.parametrize("photo", ["astronaut.jpg", "cat.jpg"])
async def test_a_viewer_can_show_it(shape: Shape, photo: str) -> None:
    answer = await shape(photo)
    made, poster = answer.result.files
    assert made.content_type == "model/gltf-binary"
    assert 100_000 < made.path.stat().st_size < 4_000_000
    glb.check(made)
    model = Model.of(made.path)
    (primitive,) = model.described["meshes"][0]["primitives"]
    places, facings, points = (
        model.read(primitive["attributes"][name]) for name in ("POSITION", "NORMAL", "TEXCOORD_0")
    )
    corners = model.read(primitive["indices"]).reshape(-1, 3)
    stated = model.described["accessors"][primitive["attributes"]["POSITION"]]
    assert np.allclose(stated["min"], places.min(0))
    assert np.allclose(stated["max"], places.max(0))
    assert len(places) == len(facings) == len(points) == answer.result.meta["vertices"]
    assert len(corners) == answer.result.meta["triangles"]
    assert answer.result.meta["isRelief"] is True
    assert corners.max() == len(places) - 1
    assert np.allclose(np.linalg.norm(facings, axis=1), 1, atol=1e-4)
    assert points.min() >= 0
    assert points.max() <= 1
    wide, tall, deep = places.max(0) - places.min(0)
    assert 0.9 < max(wide, tall) <= 1.0001
    assert 0.05 < deep < 0.8
    assert np.abs(places[:, :2].max(0) + places[:, :2].min(0)).max() < 0.15
    assert places[:, 2].max() > -places[:, 2].min() > 0  # it swells to the front, +Z
    assert_faces_outwards(places, facings, corners)
    texture = Image.open(io.BytesIO(model.view(model.described["images"][0]["bufferView"])))
    texture.load()
    assert (texture.format, texture.mode) == ("PNG", "RGBA")
    with Image.open(poster.path) as picture:
        assert (picture.format, picture.size) == ("WEBP", (800, 800))
        assert np.asarray(picture.convert("L")).std() > 20


def assert_faces_outwards(places: Any, facings: Any, corners: Any) -> None:
    """Seen from outside corners run counter-clockwise, and normals agree with that."""
    first, second, third = (places[corners[:, number]] for number in range(3))
    across = np.cross(second - first, third - first)
    assert (across[: len(corners) // 2, 2] > 0).all()
    assert (across[len(corners) // 2 :, 2] < 0).all()
    assert ((across * facings[corners[:, 0]]).sum(1) > 0).mean() > 0.9


async def test_top_of_the_photo_is_top_of_the_model(shape: Shape) -> None:
    model = Model.of((await shape("astronaut.jpg")).result.files[0].path)
    places, points = model.read(0), model.read(2)
    assert np.corrcoef(places[:, 1], points[:, 1])[0, 1] < -0.99
    half = len(places) // 2
    assert np.corrcoef(places[:half, 0], points[:half, 0])[0, 1] > 0.99


async def test_depth_and_resolution_are_heard(shape: Shape) -> None:
    flat, fine = [
        Model.of((await shape("cat.jpg", options)).result.files[0].path)
        for options in (
            ReliefOptions(depth=0.1, detail=0),
            ReliefOptions(depth=1, detail=1, resolution="high"),
        )
    ]
    assert np.ptp(fine.read(0)[:, 2]) > 3 * np.ptp(flat.read(0)[:, 2])
    assert len(fine.read(0)) > 1.5 * len(flat.read(0))
    assert len(fine.binary) < 4_500_000


async def test_a_photo_without_a_subject_is_refused(shape: Shape) -> None:
    with pytest.raises(ProviderError, match="no subject found") as trouble:
        await shape("grass.jpg")
    assert trouble.value.trouble is Trouble.INVALID


@pytest.mark.parametrize("size", [(1, 1), (3, 900)])
async def test_odd_shapes_make_a_model_or_are_refused(
    shape: Shape, tmp_path: Path, size: tuple[int, int]
) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        photo.resize(size).save(tmp_path / "shape.jpg")
    trouble = None
    try:
        made, _ = (await shape(tmp_path / "shape.jpg")).result.files
        glb.check(made)
    except ProviderError as error:
        trouble = error.trouble
    assert trouble in (None, Trouble.INVALID)


async def test_a_process_killed_while_it_shapes_breaks_one_call(shape: Shape, local: Local) -> None:
    heard: list[int] = []

    async def kill_it(percent: int) -> None:
        heard.append(percent)
        (pid,) = local.pids
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(ProviderError) as trouble:
        await shape("cat.jpg", report=kill_it)
    assert trouble.value.trouble is Trouble.BROKEN
    assert heard[0] == 10
