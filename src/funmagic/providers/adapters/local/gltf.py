"""Writing a textured mesh as GLB (Khronos: glTF 2.0, binary form, section 4.4). Child only."""

from __future__ import annotations

import io
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from funmagic.providers.adapters.local.pixels import Floats

FLOAT, UNSIGNED_INT = 5126, 5125
VERTICES_TARGET, TRIANGLES_TARGET = 34962, 34963
JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942


@dataclass(frozen=True, slots=True)
class Mesh:
    """``positions`` and ``normals`` (n, 3), ``points`` of the texture (n, 2), ``triangles``
    (m, 3) counter-clockwise as seen from outside."""

    positions: Floats
    normals: Floats
    points: Floats
    triangles: npt.NDArray[np.uint32]


def normals(heights: Floats, step: float) -> Floats:
    """Unit normals (h, w, 3) of a height field whose points lie ``step`` apart, rows downwards."""
    down, across = np.gradient(heights, step)
    upright = np.dstack([-across, down, np.ones_like(heights)])
    unit: Floats = (upright / np.linalg.norm(upright, axis=-1, keepdims=True)).astype(np.float32)
    return unit


def closed(front: Floats, back: Floats, inside: npt.NDArray[np.bool_], step: float) -> Mesh:
    """Two height fields (h, w) over one grid as one mesh, in the cells whose corners are inside."""
    height, width = front.shape
    cells = inside[:-1, :-1] & inside[:-1, 1:] & inside[1:, :-1] & inside[1:, 1:]
    rows, columns = np.nonzero(cells)
    corner = rows * width + columns
    below = corner + width
    facing = np.concatenate(
        [
            np.stack([corner, below, corner + 1], axis=1),
            np.stack([corner + 1, below, below + 1], axis=1),
        ]
    )
    used, numbered = np.unique(facing, return_inverse=True)
    numbered = numbered.reshape(facing.shape)
    down, across = used // width, used % width
    flat = np.stack([(across - (width - 1) / 2) * step, ((height - 1) / 2 - down) * step], axis=1)
    points = np.stack([across / (width - 1), down / (height - 1)], axis=1)
    sides = [
        np.column_stack([flat, field.ravel()[used]]).astype(np.float32) for field in (front, back)
    ]
    facings = [
        normals(front, step).reshape(-1, 3)[used],
        -normals(back, step).reshape(-1, 3)[used],
    ]
    return Mesh(
        positions=np.concatenate(sides),
        normals=np.concatenate(facings),
        points=np.concatenate([points, points]).astype(np.float32),
        triangles=np.concatenate([numbered, numbered[:, ::-1] + len(used)]).astype(np.uint32),
    )


def write(target: Path, mesh: Mesh, texture: Image.Image, *, trim: float) -> None:
    """One mesh, one material, the texture within as PNG; less opaque than ``trim`` is not drawn."""
    picture = io.BytesIO()
    texture.save(picture, "PNG", compress_level=7)
    parts = [
        mesh.positions.tobytes(),
        mesh.normals.tobytes(),
        mesh.points.tobytes(),
        mesh.triangles.tobytes(),
        picture.getvalue(),
    ]
    views: list[dict[str, Any]] = []
    binary = b""
    for part, kind in zip(parts, [VERTICES_TARGET] * 3 + [TRIANGLES_TARGET, None], strict=True):
        view = {"buffer": 0, "byteOffset": len(binary), "byteLength": len(part)}
        views.append(view if kind is None else {**view, "target": kind})
        binary += part + bytes(-len(part) % 4)
    described = {
        "asset": {"version": "2.0", "generator": "FunMagic relief"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "relief"}],
        "meshes": [{"primitives": [_PRIMITIVE]}],
        "materials": [{**_MATERIAL, "alphaCutoff": trim}],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": 4, "mimeType": "image/png"}],
        "accessors": _accessors(mesh),
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    words = json.dumps(described, separators=(",", ":")).encode()
    words += b" " * (-len(words) % 4)
    with target.open("wb") as file:
        file.write(struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(words) + 8 + len(binary)))
        file.write(struct.pack("<II", len(words), JSON_CHUNK) + words)
        file.write(struct.pack("<II", len(binary), BINARY_CHUNK) + binary)


_PRIMITIVE = {
    "attributes": {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2},
    "indices": 3,
    "material": 0,
}
_MATERIAL = {
    "pbrMetallicRoughness": {
        "baseColorTexture": {"index": 0},
        "metallicFactor": 0,
        "roughnessFactor": 0.8,
    },
    "alphaMode": "MASK",
    "doubleSided": True,
}


def _accessors(mesh: Mesh) -> list[dict[str, Any]]:
    count = len(mesh.positions)
    return [
        {
            "bufferView": 0,
            "componentType": FLOAT,
            "count": count,
            "type": "VEC3",
            "min": mesh.positions.min(0).tolist(),
            "max": mesh.positions.max(0).tolist(),
        },
        {"bufferView": 1, "componentType": FLOAT, "count": count, "type": "VEC3"},
        {"bufferView": 2, "componentType": FLOAT, "count": count, "type": "VEC2"},
        {
            "bufferView": 3,
            "componentType": UNSIGNED_INT,
            "count": mesh.triangles.size,
            "type": "SCALAR",
        },
    ]
