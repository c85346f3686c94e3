"""3D models from strangers: a small whole one passes, and everything else is refused politely."""

from __future__ import annotations

import copy
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.triangle import BINARY, WHOLE, packed

from funmagic.toolkit import glb
from funmagic.toolkit.contract import File, UnusableResult

Change = Callable[[dict[str, Any]], object]


def judge(folder: Path, content: bytes) -> str | None:
    """The reason it is refused, None where it is not; whatever else is raised gets out."""
    path = folder / "model.glb"
    path.write_bytes(content)
    try:
        glb.check(File(path, "model/gltf-binary"))
    except UnusableResult as refusal:
        return refusal.reason
    return None


def test_a_triangle_is_a_model(tmp_path: Path) -> None:
    assert judge(tmp_path, packed(WHOLE)) is None


def position(changes: dict[str, Any]) -> Change:
    return lambda described: described["accessors"][0].update(changes)


def primitive(changes: dict[str, Any]) -> Change:
    return lambda described: described["meshes"][0]["primitives"][0].update(changes)


@pytest.mark.hazard("M22")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda described: described.update(meshes=[]), glb.EMPTY),
        (lambda described: described["meshes"][0].update(primitives=[]), glb.EMPTY),
        (primitive({"mode": 1}), glb.EMPTY),
        (position({"count": 2}), glb.EMPTY),
        (position({"max": [1, 0, 0]}), glb.EMPTY),
        (position({"max": [0, 0, 0]}), glb.EMPTY),
        (position({"max": [1e999, 1, 1]}), glb.NOT_A_MODEL),
        (position({"max": [float("nan"), 1, 1]}), glb.NOT_A_MODEL),
        (position({"max": [10**400, 1, 1]}), glb.NOT_A_MODEL),
        (position({"max": [1, 1]}), glb.NOT_A_MODEL),
        (position({"count": -3}), glb.NOT_A_MODEL),
        (position({"count": "3"}), glb.NOT_A_MODEL),
        (primitive({"attributes": {}}), glb.NOT_A_MODEL),
        (primitive({"attributes": {"POSITION": 99}}), glb.NOT_A_MODEL),
        (primitive({"attributes": {"POSITION": -1}}), glb.NOT_A_MODEL),
        (primitive({"indices": -1}), glb.NOT_A_MODEL),
        (lambda described: described.update(meshes={}), glb.NOT_A_MODEL),
        (lambda described: described.pop("asset"), glb.NOT_A_MODEL),
        (lambda described: described["asset"].update(version="1.0"), glb.NOT_A_MODEL),
        (lambda described: described["buffers"][0].update(byteLength=49), glb.NOT_A_MODEL),
        (lambda described: described["bufferViews"][1].update(byteLength=13), glb.NOT_A_MODEL),
        (lambda described: described["bufferViews"][1].update(buffer=1), glb.NOT_A_MODEL),
        (lambda described: described["buffers"].append({"byteLength": 1}), glb.NOT_A_MODEL),
        (lambda described: described["buffers"][0].update(uri="x.bin"), glb.NOT_WHOLE),
        (lambda described: described["buffers"][0].update(uri="data:,x"), glb.NOT_WHOLE),
        (lambda described: described.update(images=[{"uri": "//x/y.png"}]), glb.NOT_WHOLE),
    ],
)
def test_what_shows_nothing_or_leads_elsewhere_is_not_paid_for(
    tmp_path: Path, change: Change, reason: str
) -> None:
    described = copy.deepcopy(WHOLE)
    change(described)
    assert judge(tmp_path, packed(described)) == reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"glTF",
        packed(WHOLE)[:-1],
        packed(WHOLE) + b"\0",
        b"glTX" + packed(WHOLE)[4:],
        struct.pack("<4sI", b"glTF", 1) + packed(WHOLE)[8:],
        packed(b"[]"),
        packed(b"null"),
        packed(b"\xff\xfe"),
        packed(b"{" * 5000),
        packed(b"[" * 100_000 + b"]" * 100_000),
        packed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
        packed(b"1" * 100_000),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    assert judge(tmp_path, content) == glb.NOT_A_MODEL


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "huge.glb"
    path.write_bytes(packed(WHOLE))
    with path.open("r+b") as opened:
        opened.truncate(glb.SIZE_LIMIT_BYTES + 1)
    with pytest.raises(UnusableResult) as refusal:
        glb.check(File(path, "model/gltf-binary"))
    assert refusal.value.reason == glb.TOO_LARGE


def test_a_long_description_takes_little_memory(tmp_path: Path) -> None:
    longest = packed(b'{"a":[' + b"0," * 400_000 + b"0]}")
    longer = packed(b" " * (glb.DESCRIPTION_LIMIT_BYTES + 4))
    tracemalloc.start()
    try:
        assert judge(tmp_path, longest) == glb.NOT_A_MODEL
        assert judge(tmp_path, longer) == glb.TOO_LARGE
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20 * 1024**2


def test_a_large_model_is_not_read_whole(tmp_path: Path) -> None:
    content = packed(WHOLE, BINARY + bytes(64 * 1024**2))
    tracemalloc.start()
    try:
        (tmp_path / "model.glb").write_bytes(content)
        glb.check(File(tmp_path / "model.glb", "model/gltf-binary"))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 4 * 1024**2


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
quickly = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quickly
@given(st.data())
def test_no_description_raises_anything_else(tmp_path: Path, data: st.DataObject) -> None:
    """One value somewhere within is replaced by any other."""
    described = copy.deepcopy(WHOLE)
    place: Any = described
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            place[key] = data.draw(anything)
            break
        place = inner
    judge(tmp_path, packed(described))


@quickly
@given(st.integers(0, len(packed(WHOLE)) - 1), st.binary(min_size=1, max_size=8))
def test_no_bytes_raise_anything_else(tmp_path: Path, at: int, bent: bytes) -> None:
    whole = packed(WHOLE)
    judge(tmp_path, whole[:at] + bent + whole[at + len(bent) :])
