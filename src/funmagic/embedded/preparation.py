"""Whether a data directory was already prepared by just this code, so that a start can skip it.

Migrations, seed and models take seconds to look through even where there is nothing to do.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from funmagic.providers import weights

_PACKAGE = Path(__file__).parents[1]
_MARK = "prepared"


def is_prepared(data: Path, cluster: Path, models_dir: Path, vendors: str) -> bool:
    """True where this code prepared this PostgreSQL cluster and the models are still there.

    ``vendors`` is where simulated ones are, or empty: the seed writes that down.
    """
    mark = data / _MARK
    known = mark.exists() and mark.read_text() == fingerprint(cluster, vendors)
    return known and weights.is_ready(models_dir)


def remember(data: Path, cluster: Path, vendors: str) -> None:
    """Note that this code has prepared this cluster for these vendors."""
    (data / _MARK).write_text(fingerprint(cluster, vendors))


def fingerprint(cluster: Path, vendors: str) -> str:
    """Changes with cluster and vendors and with every change to the package's Python and SQL."""
    digest = hashlib.sha256(f"{vendors}\n".encode())
    code = (path for path in sorted(_PACKAGE.rglob("*")) if path.suffix in {".py", ".sql"})
    for path in [cluster / "PG_VERSION", *code]:  # the former is written once, by initdb
        state = path.stat()
        digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
