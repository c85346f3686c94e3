"""Tripo's SDK, imported so that it asks nobody where we are.

At its import the SDK starts a thread that asks three strangers over plain HTTP for the country we
are in, and looks up other strangers' names, unless its own switch is set beforehand.
"""

from __future__ import annotations

import os

os.environ["TRIPO_DISABLE_GEO_DETECTION"] = "1"

from tripo3d import (
    Balance,
    Task,
    TaskStatus,
    TripoAPIError,
    TripoClient,
    TripoError,
)
from tripo3d._http import HttpBackend

__all__ = [
    "Balance",
    "HttpBackend",
    "Task",
    "TaskStatus",
    "TripoAPIError",
    "TripoClient",
    "TripoError",
]
