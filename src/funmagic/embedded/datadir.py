"""The data directory of one installation: locked by one supervisor, with its secrets and state."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from funmagic.embedded.process import StartFailed

#: How the directories of sockets begin.
_SOCKETS = Path("/tmp/fm-")  # noqa: S108 (mkdtemp makes private ones)
#: How long the servers of a killed supervisor may take to end before we give up.
_ORPHANS_PATIENCE_S = 20.0


class DataDirectory:
    """Use :meth:`take` first; everything else needs the lock.

    Two locks: ``supervisor.lock`` is held by the supervisor alone and tells whether it lives;
    ``servers.lock`` is inherited by the servers and tells whether anybody still writes data.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._supervisor_lock: int | None = None
        #: Descriptor for servers to inherit.
        self.servers_lock: int | None = None

    def take(self) -> None:
        """Become the only supervisor here. Raises StartFailed naming the running one."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._supervisor_lock = _try_lock(self.path / "supervisor.lock")
        if self._supervisor_lock is None:
            raise StartFailed(self._occupied())
        deadline = time.monotonic() + _ORPHANS_PATIENCE_S
        while (lock := _try_lock(self.path / "servers.lock")) is None:
            if time.monotonic() > deadline:
                raise StartFailed(
                    f"Servers of an earlier start still use {self.path}.\n"
                    "End them (their command lines name that directory), then start again."
                )
            time.sleep(0.1)
        self.servers_lock = lock
        self._remove_sockets()

    def dedicate(self, vendors: Literal["real", "simulated"]) -> None:
        """Keep this directory's results apart for ever: those of simulated vendors are inventions.

        Raises StartFailed where it already holds results of the other kind.
        """
        record = self.path / "vendors"
        is_new = not (self.path / "secrets.json").exists()
        kept = record.read_text().strip() if record.exists() else "real"
        if is_new or kept == vendors:
            record.write_text(vendors + "\n")
            return
        self.give_back()
        how = "with" if kept == "simulated" else "without"
        raise StartFailed(
            f"The data in {self.path} was made with {kept} vendors.\n"
            f"To go on with it, start {how} --simulators; "
            "otherwise choose another directory with --data."
        )

    def give_back(self) -> None:
        """Release the directory after everything has stopped."""
        self._remove_sockets()
        for name in ("run.json", "environment.json"):
            (self.path / name).unlink(missing_ok=True)
        for lock in (self.servers_lock, self._supervisor_lock):
            if lock is not None:
                os.close(lock)
        self.servers_lock = self._supervisor_lock = None

    def make_sockets_directory(self) -> Path:
        """A new private directory with a short name: a socket's path may have 103 bytes at most.

        In /tmp itself: macOS's own temporary directory is too deep.
        """
        made = Path(tempfile.mkdtemp(prefix=_SOCKETS.name, dir=_SOCKETS.parent))
        self.write_state(sockets=str(made))
        return made

    def secrets(self) -> dict[str, str]:
        """Development secrets, made once and kept: sealed values must stay readable."""
        record = self.path / "secrets.json"
        if not record.exists():
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            write_private(record, json.dumps({"SECRET_KEYS": f"dev1:{key}"}))
        kept: dict[str, str] = json.loads(record.read_text())
        return kept

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Let ``funmagic doctor`` and its like find the running servers."""
        write_private(self.path / "environment.json", json.dumps(dict(environment), indent=2))

    def write_state(self, **values: str) -> None:
        """Add to what is known about the running supervisor."""
        state = self._state() | {"pid": str(os.getpid())} | values
        write_private(self.path / "run.json", json.dumps(state))

    def _state(self) -> dict[str, Any]:
        return _read_json(self.path / "run.json")

    def _occupied(self) -> str:
        state = self._state()
        where = f"at {state['address']}" if "address" in state else "and is still starting"
        process = state.get("pid", "unknown")
        return (
            f"FunMagic already runs on {self.path} {where} (process {process}).\n"
            "Use that one, stop it with Ctrl-C in its terminal, "
            "or start another with --data and another directory."
        )

    def _remove_sockets(self) -> None:
        sockets = self._state().get("sockets", "")
        if sockets.startswith(str(_SOCKETS)):
            shutil.rmtree(sockets, ignore_errors=True)
        (self.path / "run.json").unlink(missing_ok=True)


def environment_of(data: Path) -> dict[str, str]:
    """The settings of the ``funmagic up`` that runs on this directory; empty where none does."""
    known: dict[str, str] = _read_json(data / "environment.json")
    return known


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            return content
    return {}


def _try_lock(path: Path) -> int | None:
    """The locked descriptor, or None where somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
