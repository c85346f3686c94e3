"""The smallest 3D model: a GLB of one triangle, to be taken as it is or spoilt."""

from __future__ import annotations

import json
import struct
from typing import Any

# One triangle: three corners of three floats each, then three numbers of corners.
BINARY = struct.pack("<9f3I", 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1, 2)
WHOLE: dict[str, Any] = {
    "asset": {"version": "2.0"},
    "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
    "accessors": [
        {
            "bufferView": 0,
            "componentType": 5126,
            "count": 3,
            "type": "VEC3",
            "min": [0, 0, 0],
            "max": [1, 1, 0],
        },
        {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"},
    ],
    "bufferViews": [
        {"buffer": 0, "byteLength": 36},
        {"buffer": 0, "byteOffset": 36, "byteLength": 12},
    ],
    "buffers": [{"byteLength": 48}],
}


def packed(described: dict[str, Any] | bytes, binary: bytes = BINARY) -> bytes:
    """A GLB of this description and this data."""
    words = described if isinstance(described, bytes) else json.dumps(described).encode()
    words += b" " * (-len(words) % 4)
    body = struct.pack("<I4s", len(words), b"JSON") + words
    if binary:
        body += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body
