"""The simulators as processes: started by a test or a person, ended with them."""

from __future__ import annotations

import json
import os
import signal
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from click.testing import CliRunner
from tests.embedded.house import eventually
from tests.simulators.client import Fal

from funmagic.cli import main
from funmagic.embedded.server import answers
from funmagic.simulators import tls
from funmagic.simulators.server import listen, running

RUN_AND_WAIT = """
import time
from funmagic.simulators.server import running
with running() as place:
    print(place.url, flush=True)
    time.sleep(600)
"""


def test_the_process_ends_with_the_block() -> None:
    with running() as place:
        assert is_up(place.url)
    assert not is_up(place.url)


def test_the_process_ends_with_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", RUN_AND_WAIT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent, parent.stdout:
        url = parent.stdout.readline().decode().strip()
        assert is_up(url)
        parent.kill()
        assert eventually(lambda: not is_up(url))


def test_the_certificate_is_good_here_and_nowhere_else(over_https: Fal) -> None:
    address = f"{over_https.place.url}/fal/control/jobs"
    for url in (address, address.replace("127.0.0.1", "localhost")):
        assert over_https.http.get(url).status_code == 200
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(address)


def test_a_certificate_is_kept_until_it_nears_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tls.certificate_in(tmp_path / "new")
    first = kept.ca_file.read_bytes()
    assert stat.S_IMODE(kept.server_file.stat().st_mode) == 0o600
    assert tls.certificate_in(tmp_path / "new") == kept
    assert kept.ca_file.read_bytes() == first
    monkeypatch.setattr(tls, "RENEWED_BEFORE_END", tls.VALID)
    tls.certificate_in(tmp_path / "new")
    second = kept.ca_file.read_bytes()
    assert second != first
    monkeypatch.undo()
    kept.ca_file.write_bytes(first)  # an authority that did not sign it
    tls.certificate_in(tmp_path / "new")
    assert kept.ca_file.read_bytes() not in (first, second)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_says_what_to_set_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    with listen(0) as free, listen(0) as another:
        port, sign_in_port = free.getsockname()[1], another.getsockname()[1]
    command = [sys.executable, "-P", "-m", "funmagic.cli", "simulators", "--port", str(port)]
    command += ["--sign-in-port", str(sign_in_port)]
    process = subprocess.Popen(
        [*command, "--folder", tmp_path / "kept"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    with process, process.stdout:
        said = ""
        while "funmagic seed" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert f"SIMULATORS_URL=https://127.0.0.1:{port}" in said
        assert f"SIMULATORS_CA_FILE={tmp_path / 'kept' / 'ca.pem'}" in said
        assert f"APPLE_PRIVATE_KEY_FILE={tmp_path / 'kept' / 'apple.p8'}" in said
        assert f"FACEBOOK_URL=http://127.0.0.1:{sign_in_port}/facebook" in said
        assert is_up(f"http://127.0.0.1:{sign_in_port}")
        trusting = ssl.create_default_context(cafile=tmp_path / "kept" / "ca.pem")
        jobs = httpx.get(f"https://127.0.0.1:{port}/fal/control/jobs", verify=trusting)
        assert json.loads(jobs.content) == []
        process.send_signal(number)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read().strip() == ""


def test_a_taken_port_is_said() -> None:
    with listen(0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = CliRunner().invoke(main, ["simulators", "--port", port])
    assert ended.exit_code == 1
    assert f"Port {port} is taken" in ended.output


def is_up(url: str) -> bool:
    return answers(urlsplit(url).port or 0)
