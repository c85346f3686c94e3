"""Whether a data directory was already prepared by just this code, so that a start can skip it.

Migrations, seed and models take seconds to look through even where there is nothing to do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from funmagic.providers import weights

_PACKAGE = Path(__file__).parents[1]
_MARK = "prepared"


def is_prepared(data: Path, models_dir: Path) -> bool:
    """True where this code prepared this directory before and the models are still there."""
    mark = data / _MARK
    known = mark.exists() and mark.read_text() == fingerprint()
    return known and weights.is_ready(models_dir)


def remember(data: Path) -> None:
    """Note that this code has prepared this directory."""
    (data / _MARK).write_text(fingerprint())


def fingerprint() -> str:
    """Changes with every change to the package's Python and SQL files."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.suffix in {".py", ".sql"}:
            state = path.stat()
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
