"""The embedded servers by themselves: who may read what, who may run them, when to give up."""

from __future__ import annotations

import http.client
import os
import shutil
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from funmagic.embedded import postgres, watch
from funmagic.embedded.janitor import Janitor
from funmagic.embedded.process import Child, StartFailed
from funmagic.embedded.stack import running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


def test_strangers_read_the_public_bucket_and_nothing_else(servers: dict[str, str]) -> None:
    private, public = servers["S3_PRIVATE_BUCKET"], servers["S3_PUBLIC_BUCKET"]
    assert ask(servers, "GET", f"/{private}/photo.png") == 403
    assert ask(servers, "GET", f"/{private}") == 403
    assert ask(servers, "PUT", f"/{private}/photo.png") == 403
    assert ask(servers, "GET", f"/{public}/no-such-file") == 404
    assert ask(servers, "GET", f"/{public}") == 403
    assert ask(servers, "PUT", f"/{public}/photo.png") == 403
    assert ask(servers, "DELETE", f"/{public}/photo.png") == 403


def test_mail_to_anybody_lands_in_the_development_inbox(servers: dict[str, str]) -> None:
    address = urlsplit(servers["SMTP_URL"])
    with smtplib.SMTP(address.hostname or "", address.port or 0) as client:
        client.sendmail("us@example.com", ["gia@example.com"], "Subject: Grüße\n\nHallo".encode())
    arrived = [
        message_from_bytes(path.read_bytes())
        for path in Path(servers["DEV_INBOX_DIR"], "new").iterdir()
    ]
    assert any(mail["X-Envelope-To"] == "gia@example.com" for mail in arrived)


@as_root
def test_root_without_user_namespaces_runs_postgres_as_nobody(
    tmp_path: Path, home_of_nobody: Path
) -> None:
    (tmp_path / "postgres.identity").write_text("nobody\n")
    with running(tmp_path, {"postgres"}, throwaway=True) as environment:
        assert environment["DATABASE_URL"].startswith("postgresql://postgres@/funmagic")
        lines = subprocess.run(
            ["ps", "-ww", "-eo", "user=,args="], capture_output=True, text=True
        ).stdout
        (line,) = [line for line in lines.splitlines() if f"-D {home_of_nobody}" in line]
        assert line.split()[0] in {"nobody", "65534"}
    assert not (tmp_path / "postgres").exists()


@as_root
def test_data_of_an_ordinary_user_is_not_opened_by_root(tmp_path: Path) -> None:
    (tmp_path / "postgres.identity").write_text("self\n")
    refused = pytest.raises(StartFailed, match="made by an ordinary user, and you are root")
    with refused, running(tmp_path, {"postgres"}):
        pass


def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    refused = pytest.raises(StartFailed, match="PostgreSQL ended at once")
    with refused, running(tmp_path, {"postgres"}):
        pass


def test_part_that_dies_each_time_is_given_up_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_LONGEST_DELAY_S", 0.0)
    janitor = Janitor()
    part = Doomed(tmp_path, janitor)
    said: list[str] = []
    watching = watch.Watch(said.append)
    watching.add(part)
    part.start()

    def watch_for_ever() -> None:
        while True:
            watching.tick()

    with pytest.raises(watch.GaveUp, match="cannot go on"):
        watch_for_ever()
    janitor.close()
    assert part.starts == 8


class Doomed:
    title = "Doomed"

    def __init__(self, folder: Path, janitor: Janitor) -> None:
        self.child: Child | None = None
        self.starts = 0
        self._folder = folder
        self._janitor = janitor

    def start(self) -> None:
        self.starts += 1
        command = [sys.executable, "-S", "-c", "raise SystemExit('cannot go on')"]
        self.child = Child("doomed", command, log=self._folder / "log", janitor=self._janitor)


@pytest.fixture
def home_of_nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place of its own that nobody can enter, instead of the system's."""
    home = Path(tempfile.mkdtemp(prefix="fm-nobody-"))
    home.chmod(0o755)
    monkeypatch.setattr(postgres, "_HOME_OF_NOBODY", home)
    yield home
    shutil.rmtree(home, ignore_errors=True)


def ask(servers: dict[str, str], method: str, path: str) -> int:
    """The status a stranger gets."""
    connection = http.client.HTTPConnection(urlsplit(servers["S3_ENDPOINT_URL"]).netloc, timeout=10)
    connection.request(method, path, b"x" if method == "PUT" else None)
    status = connection.getresponse().status
    connection.close()
    return status
