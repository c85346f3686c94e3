"""The guides' examples work as they stand: what they tell to write is written, and tried."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import funmagic

SOURCE = Path(funmagic.__file__).parent
TESTS = Path(__file__).parent.parent
DOCS = TESTS.parent / "docs"
BLOCK = re.compile(r"^```\w+ (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(400)  # a pytest of its own, with servers and simulators
@pytest.mark.parametrize(
    ("guide", "key", "files"),
    [
        pytest.param("adding-a-tool.md", "sticker", 3, id="tool"),
        pytest.param("adding-a-provider.md", "darkroom", 2, id="provider"),
    ],
)
def test_a_guides_example_passes_the_contracts_with_no_edit_elsewhere(
    tmp_path: Path, models_dir: Path, guide: str, key: str, files: int
) -> None:
    written = dict(BLOCK.findall((DOCS / guide).read_text(encoding="utf-8")))
    assert len(written) == files
    house = tmp_path / "src" / "funmagic"
    shutil.copytree(SOURCE, house, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(TESTS, tmp_path / "tests", ignore=shutil.ignore_patterns("node_modules", "e2e"))
    shutil.copy(TESTS.parent / "pyproject.toml", tmp_path)
    own = []
    for path, text in written.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
        own += [path] if path.startswith("tests/") else []
    tried = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(*own, "tests/contracts/test_tools.py", "tests/contracts/test_tool_runs.py"),
            *("tests/contracts/test_adapters.py", "tests/contracts/test_borders.py"),
            # one of the house has the key as a part of its own
            *("-k", f"({key} and not cutout-{key}) or borders"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": f"{house.parent}{os.pathsep}{tmp_path}",
            "MODELS_DIR": str(models_dir),
        },
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert tried.returncode == 0, tried.stdout[-6000:] + tried.stderr[-2000:]
    passed = re.search(r"(\d+) passed", tried.stdout)
    assert passed, tried.stdout
    assert int(passed[1]) >= 8, tried.stdout
