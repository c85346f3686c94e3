"""Judges a vendor's 3D model before anybody pays for it: glTF 2.0 binary (Khronos, section 4.4).

Only headers and the JSON chunk are read; of the geometry the bounding box its accessors state, as
the standard demands. Nothing in the file is followed: a model that points elsewhere is refused.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any, BinaryIO

from funmagic.core.i18n import N_
from funmagic.toolkit.contract import File, UnusableResult

HEADER_BYTES, CHUNK_HEADER_BYTES = 12, 8
JSON_CHUNK, BINARY_CHUNK = b"JSON", b"BIN\0"
SIZE_LIMIT_BYTES = 100 * 1024**2
# A description of millions of characters is no picture's model, and costs many times its size.
DESCRIPTION_LIMIT_BYTES = 4 * 1024**2
ITEMS_LIMIT = 10_000
FLOAT = 5126
TRIANGLES, TRIANGLE_STRIP, TRIANGLE_FAN = 4, 5, 6

NOT_A_MODEL = N_("The 3D model could not be read. You were not charged.")
EMPTY = N_("The 3D model is empty. You were not charged.")
TOO_LARGE = N_("The 3D model is too large. You were not charged.")
NOT_WHOLE = N_("The 3D model needs files that are not part of it. You were not charged.")


def check(file: File) -> None:
    """Raises :class:`UnusableResult` where ``file`` is no GLB with a mesh to look at.

    Reads at most 4 MB; blocks: run it in a thread.
    """
    try:
        described, binary_bytes = _read(file.path)
        _refuse_addresses(described)
        _check_buffer(described, binary_bytes)
        if not any(_is_visible(each, described) for each in _primitives(described)):
            raise UnusableResult(EMPTY)
    except UnusableResult:
        raise
    except Exception:  # bytes from strangers may be wrong in any way at all
        raise UnusableResult(NOT_A_MODEL) from None


def _read(path: Path) -> tuple[dict[str, Any], int]:
    """The description, and how long the binary chunk is."""
    size_bytes = path.stat().st_size
    if size_bytes > SIZE_LIMIT_BYTES:
        raise UnusableResult(TOO_LARGE)
    with path.open("rb") as opened:
        magic, version, length = struct.unpack("<4sII", opened.read(HEADER_BYTES))
        if (magic, version, length) != (b"glTF", 2, size_bytes):
            raise UnusableResult(NOT_A_MODEL)
        kind, json_bytes = _chunk(opened, size_bytes)
        if kind != JSON_CHUNK:
            raise UnusableResult(NOT_A_MODEL)
        if json_bytes > DESCRIPTION_LIMIT_BYTES:
            raise UnusableResult(TOO_LARGE)
        words = opened.read(json_bytes)
        described: dict[str, Any] = json.loads(words, parse_constant=_refuse_constant)
        binary_bytes = 0
        if opened.tell() < size_bytes:
            kind, binary_bytes = _chunk(opened, size_bytes)
            if kind != BINARY_CHUNK:
                raise UnusableResult(NOT_A_MODEL)
    if described["asset"]["version"] != "2.0":
        raise UnusableResult(NOT_A_MODEL)
    return described, binary_bytes


def _chunk(opened: BinaryIO, size_bytes: int) -> tuple[bytes, int]:
    length, kind = struct.unpack("<I4s", opened.read(CHUNK_HEADER_BYTES))
    if length > size_bytes - opened.tell():
        raise UnusableResult(NOT_A_MODEL)
    return kind, length


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _refuse_addresses(described: dict[str, Any]) -> None:
    """Everything must lie in the file's own binary chunk."""
    for kind in ("buffers", "images"):
        if any("uri" in each for each in _items(described, kind)):
            raise UnusableResult(NOT_WHOLE)


def _check_buffer(described: dict[str, Any], binary_bytes: int) -> None:
    """One buffer at most, which the binary chunk holds (with up to 3 bytes of padding)."""
    buffers = _items(described, "buffers")
    if len(buffers) > 1 or (buffers and _count(buffers[0]["byteLength"]) > binary_bytes):
        raise UnusableResult(NOT_A_MODEL)
    for view in _items(described, "bufferViews"):
        end = _count(view.get("byteOffset", 0)) + _count(view["byteLength"])
        if view["buffer"] != 0 or end > binary_bytes:
            raise UnusableResult(NOT_A_MODEL)


def _primitives(described: dict[str, Any]) -> list[dict[str, Any]]:
    found = [each for mesh in _items(described, "meshes") for each in mesh["primitives"]]
    if len(found) > ITEMS_LIMIT:
        raise UnusableResult(TOO_LARGE)
    return found


def _is_visible(primitive: dict[str, Any], described: dict[str, Any]) -> bool:
    """True where it has at least one triangle and its box is neither endless nor a line."""
    accessors = _items(described, "accessors")
    positions = accessors[_count(primitive["attributes"]["POSITION"])]
    corners = positions
    if "indices" in primitive:
        corners = accessors[_count(primitive["indices"])]
    if primitive.get("mode", TRIANGLES) not in (TRIANGLES, TRIANGLE_STRIP, TRIANGLE_FAN):
        return False
    if positions["type"] != "VEC3" or min(_count(positions["count"]), _count(corners["count"])) < 3:
        return False
    low, high = ([float(edge) for edge in positions[end]] for end in ("min", "max"))
    sides = [above - below for below, above in zip(low, high, strict=True)]
    if len(sides) != 3 or not all(math.isfinite(edge) for edge in (*low, *high, *sides)):
        raise UnusableResult(NOT_A_MODEL)
    return sum(side > 0 for side in sides) >= 2


def _items(described: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = described.get(name, [])
    if not isinstance(found, list) or len(found) > ITEMS_LIMIT:
        raise UnusableResult(NOT_A_MODEL)
    return found


def _count(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise UnusableResult(NOT_A_MODEL)
    return number
