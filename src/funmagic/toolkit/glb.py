"""Judges a vendor's 3D model before anybody pays for it: glTF 2.0 binary (Khronos, section 4.4)."""

from __future__ import annotations

import json
import struct

from funmagic.core.i18n import N_
from funmagic.toolkit.contract import File, UnusableResult

HEADER_BYTES = 12
NOT_A_MODEL = N_("The 3D model could not be read. You were not charged.")


def check(file: File) -> None:
    """Raises :class:`UnusableResult` where ``file`` is no GLB with a mesh in it."""
    try:
        with file.path.open("rb") as opened:
            magic, version, length = struct.unpack("<4sII", opened.read(HEADER_BYTES))
            size, kind = struct.unpack("<I4s", opened.read(8))
            described = json.loads(opened.read(min(size, 1 << 24)))
    except (OSError, ValueError, struct.error):
        raise UnusableResult(NOT_A_MODEL) from None
    whole = magic == b"glTF" and version == 2 and length == file.path.stat().st_size
    if not (whole and kind == b"JSON" and isinstance(described, dict) and described.get("meshes")):
        raise UnusableResult(NOT_A_MODEL)
