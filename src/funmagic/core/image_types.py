"""What kind of image a file is, believed by its first bytes and never by its name or header."""

from __future__ import annotations

SNIFF_BYTES = 16


def sniff(first_bytes: bytes) -> str | None:
    """The content type of PNG, JPEG, WebP and GIF by their first 16 bytes; None for all else."""
    if first_bytes.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if first_bytes[:4] == b"RIFF" and first_bytes[8:12] == b"WEBP":
        return "image/webp"
    if first_bytes[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return None
