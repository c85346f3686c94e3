"""The programs that tests drive beside our own. A test fails where the one it needs is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

CHROMIUM_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# 3D is drawn by software, and nothing else is: what a graphics card would do for pages takes more
# than twice the work without one.
CHROMIUM_ARGUMENTS: Final = ("--no-sandbox", "--enable-unsafe-swiftshader")


def chromium_path() -> str:
    """A browser."""
    named = os.environ.get("CHROMIUM")
    path = named or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.fail(f"Install one of {', '.join(CHROMIUM_NAMES)}, or set CHROMIUM to its path.")
    return path


def node_path() -> str:
    """Node: the system's, or the one `bin/npm` has fetched."""
    own = Path(__file__).parents[1] / ".venv" / "node" / "node"
    path = str(own) if own.exists() else shutil.which("node")
    if path is None:
        pytest.fail("Node 20 or newer is needed; `bin/setup dev` fetches it.")
    return path
