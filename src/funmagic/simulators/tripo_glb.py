"""A small solid model of a photo's subject, as GLB (glTF 2.0 binary), made without a network.

The subject is told from its background (:mod:`~funmagic.simulators.pictures`), puffed up to both
sides, and wears the photo. Enough to turn about in a viewer; made in a fraction of a second.
"""

from __future__ import annotations

import io
import json
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from funmagic.simulators.pictures import matte, opened

Floats = npt.NDArray[np.float32]

TEXTURE_SIDE_PX = 512
#: Squares along the longer side of the grid, at most; each has two faces in front and two behind.
MOST_SQUARES = 40
#: How far the middle stands out, in lengths of the longer side.
DEPTH = 0.22
#: glTF's numbers for what an accessor holds and what a buffer view is for.
FLOAT, UNSIGNED_SHORT = 5126, 5123
VERTICES, INDICES = 34962, 34963
MAGIC, JSON_CHUNK, BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942


def shape(photo: bytes, *, most_faces: int, is_textured: bool) -> tuple[bytes, bytes]:
    """A GLB of at most so many triangles (at least 4), and a WebP picture of it.

    Raises :class:`~funmagic.simulators.pictures.NotAPicture` and
    :class:`~funmagic.simulators.pictures.TooLarge`.
    """
    picture = opened(photo)
    picture.thumbnail((TEXTURE_SIDE_PX, TEXTURE_SIDE_PX))
    subject = matte(picture)
    positions, normals, uvs, faces = _solid(subject, most_faces)
    texture = _jpeg(picture) if is_textured else None
    return write_glb(positions, normals, uvs, faces, texture), _portrait(picture, subject)


def write_glb(
    positions: Floats,
    normals: Floats,
    uvs: Floats,
    faces: npt.NDArray[np.uint16],
    texture: bytes | None,
) -> bytes:
    """One mesh with one material as GLB. Arrays are (n, 3), (n, 3), (n, 2) and (m, 3).

    After the glTF 2.0 specification, chapter "GLB File Format": a header of 12 bytes, then a chunk
    of JSON and one of buffers, each padded to 4 bytes. ``texture`` is a JPEG.
    """
    views: list[dict[str, Any]] = []
    buffer = bytearray()

    def view(content: bytes, target: int | None = None) -> int:
        told = {"buffer": 0, "byteOffset": len(buffer), "byteLength": len(content)}
        views.append(told if target is None else told | {"target": target})
        buffer.extend(content + bytes(-len(content) % 4))
        return len(views) - 1

    def accessor(
        values: npt.NDArray[Any], kind: str, component: int, target: int
    ) -> dict[str, Any]:
        count = values.size if kind == "SCALAR" else len(values)
        return {
            "bufferView": view(values.tobytes(), target),
            "componentType": component,
            "count": count,
            "type": kind,
        }

    bounds = {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
    accessors = [
        accessor(positions, "VEC3", FLOAT, VERTICES) | bounds,
        accessor(normals, "VEC3", FLOAT, VERTICES),
        accessor(uvs, "VEC2", FLOAT, VERTICES),
        accessor(faces, "SCALAR", UNSIGNED_SHORT, INDICES),
    ]
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 0.9}
    more: dict[str, Any] = {}
    if texture is None:
        surface["baseColorFactor"] = [0.75, 0.75, 0.75, 1.0]
    else:
        surface["baseColorTexture"] = {"index": 0}
        more = {
            "images": [{"bufferView": view(texture), "mimeType": "image/jpeg"}],
            "samplers": [{"magFilter": 9729, "minFilter": 9729, "wrapS": 33071, "wrapT": 33071}],
            "textures": [{"sampler": 0, "source": 0}],
        }
    attributes = {"POSITION": 0, "NORMAL": 1, "TEXCOORD_0": 2}
    told = {
        "asset": {"version": "2.0", "generator": "Simulated Tripo"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": "tripo_node"}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": 3, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": surface, "doubleSided": True}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(buffer)}],
        **more,
    }
    described = json.dumps(told, separators=(",", ":")).encode()
    described += b" " * (-len(described) % 4)
    length = 12 + 8 + len(described) + 8 + len(buffer)
    return b"".join(
        (
            struct.pack("<III", MAGIC, 2, length),
            struct.pack("<II", len(described), JSON_CHUNK),
            described,
            struct.pack("<II", len(buffer), BIN_CHUNK),
            bytes(buffer),
        )
    )


def _solid(
    subject: Image.Image, most_faces: int
) -> tuple[Floats, Floats, Floats, npt.NDArray[np.uint16]]:
    """Two skins over a grid that meet where the subject ends: positions, normals, uvs, faces."""
    columns, rows = _grid(subject.size, most_faces)
    soft = subject.filter(ImageFilter.GaussianBlur(max(subject.size) / 24))
    size = (columns + 1, rows + 1)
    inside = np.asarray(subject.resize(size, Image.Resampling.BOX), np.float32) / np.float32(255)
    swell = np.asarray(soft.resize(size, Image.Resampling.BOX), np.float32) / np.float32(255)
    depth: Floats = np.where(inside > 0.5, np.sqrt(swell) * np.float32(DEPTH), 0).astype(np.float32)
    u, v = np.meshgrid(np.linspace(0, 1, columns + 1), np.linspace(0, 1, rows + 1))
    longer = max(subject.size)
    x = (u - 0.5) * (subject.width / longer)
    y = (0.5 - v) * (subject.height / longer)
    front = np.stack([x, y, depth], axis=2).reshape(-1, 3)
    skins = np.concatenate([front, front * [1, 1, -1]]).astype(np.float32)
    uv = np.stack([u, v], axis=2).reshape(-1, 2)
    faces = _faces(inside > 0.5)
    return (
        skins,
        _normals(skins, faces),
        np.concatenate([uv, uv]).astype(np.float32),
        faces.astype(np.uint16),
    )


def _grid(size: tuple[int, int], most_faces: int) -> tuple[int, int]:
    """Columns and rows of squares."""
    width, height = size
    squares = max(most_faces // 4, 1)
    longer = max(min(MOST_SQUARES, math.isqrt(squares)), 1)
    columns = max(round(longer * width / max(size)), 1)
    rows = max(round(longer * height / max(size)), 1)
    return columns, rows


def _faces(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Triangles of both skins, counter-clockwise seen from outside."""
    touched = inside[:-1, :-1] | inside[:-1, 1:] | inside[1:, :-1] | inside[1:, 1:]
    row, column = np.nonzero(touched if touched.any() else np.ones_like(touched))
    wide = inside.shape[1]
    corner = row * wide + column
    a, b, c, d = corner, corner + 1, corner + wide, corner + wide + 1
    front = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
    behind = front[:, ::-1] + inside.size
    return np.concatenate([front, behind])


def _normals(positions: Floats, faces: npt.NDArray[np.int64]) -> Floats:
    """Each vertex's mean of its faces' normals, of length 1; forward where it has no face."""
    one, two, three = (positions[faces[:, corner]] for corner in range(3))
    of_faces = np.cross(two - one, three - one)
    sums = np.zeros_like(positions)
    for corner in range(3):
        np.add.at(sums, faces[:, corner], of_faces)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    forward = np.array([0, 0, 1], np.float32)
    normals: Floats = np.where(lengths > 1e-12, sums / np.maximum(lengths, 1e-12), forward)
    return normals.astype(np.float32)


def _jpeg(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=88)
    return written.getvalue()


def _portrait(picture: Image.Image, subject: Image.Image) -> bytes:
    """The subject before a light wall, as a renderer would leave it."""
    wall = Image.linear_gradient("L").resize(picture.size).point([235 - n // 6 for n in range(256)])
    seen = Image.composite(picture, wall.convert("RGB"), subject)
    written = io.BytesIO()
    seen.save(written, "WEBP", quality=85, method=2)
    return written.getvalue()
