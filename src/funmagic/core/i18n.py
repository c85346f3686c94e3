"""Message ids and their translations."""

from __future__ import annotations


def N_(message: str) -> str:
    """Mark an English message id for the catalogs; it is translated where it is shown."""
    return message
