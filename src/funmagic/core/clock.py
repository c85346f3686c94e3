"""The time, always aware and always UTC."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """The current instant."""
    return datetime.now(UTC)
