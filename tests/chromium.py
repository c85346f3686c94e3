"""The browser that tests drive."""

from __future__ import annotations

import os
import shutil
from typing import Final

import pytest

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# 3D is drawn by software, and nothing else is: what a graphics card would do for pages takes more
# than twice the work without one.
ARGUMENTS: Final = ("--no-sandbox", "--enable-unsafe-swiftshader")


def chromium_path() -> str:
    """Where it is installed. A test that needs it fails where it is not."""
    named = os.environ.get("CHROMIUM")
    path = named or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail(f"Install one of {', '.join(NAMES)}, or set CHROMIUM to its path.")
    return path
