"""fal's own client works against the simulated fal as it does against the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.simulators.client import Fal

SCRIPT = Path(__file__).with_name("sdk.py")


def test_fals_own_client_finds_everything_it_expects(either: Fal) -> None:
    told = what_the_client_meets(either)

    life = told["life"]
    assert (life["last"], life["status"]) == ("Completed", "Completed")
    assert (life["result"]["image"]["width"], life["result"]["image"]["height"]) == (40, 30)
    assert life["again"] == life["result"]
    jobs = {job["id"]: job for job in either.jobs()}
    assert jobs[life["id"]]["resultFetches"] == 2

    states = told["states"]
    assert states["position"] == 2
    assert {"message", "level", "source", "timestamp"} <= set(states["logs"][0])
    assert states["cancelled"] == "Completed"  # fal has no other word for the end

    assert told["errors"] == [
        {"status": 422, "type": "content_policy_violation"},
        {"status": 500, "type": "startup_timeout"},
        {"status": 401, "type": None},
    ]


def what_the_client_meets(fal: Fal) -> dict[str, Any]:
    environment = dict(os.environ)
    if fal.place.ca_file is not None:
        environment["SSL_CERT_FILE"] = str(fal.place.ca_file)
    run = subprocess.run(
        [sys.executable, str(SCRIPT), f"{fal.place.url}/fal"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert run.returncode == 0, run.stderr
    met: dict[str, Any] = json.loads(run.stdout)
    return met
