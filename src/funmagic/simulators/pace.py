"""How fast simulated vendors work."""

from __future__ import annotations

from pydantic import Field

from funmagic.simulators.faults import Body


class Pace(Body):
    """How long jobs made from now on wait and work, in seconds."""

    queue_s: float = Field(default=0.0, ge=0.0, le=86_400.0)
    work_s: float = Field(default=0.3, ge=0.0, le=86_400.0)
