"""How a build of the front end takes the place of the last one."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.programs import node_path

PLACE = Path(__file__).parents[2] / "frontend" / "place.mjs"
FILES = 20
# Builds again and again: a folder with some files, each of which says which build it is of.
BUILDER = """
    import { mkdirSync, rmSync, writeFileSync } from "node:fs";
    import { join } from "node:path";
    const [place, built, files, builds] = process.argv.slice(1);
    const { ownFolder, takePlace } = await import(place);
    for (let build = 0; build < Number(builds); build += 1) {
      const own = ownFolder(built);
      const whole = join(own, "next");
      mkdirSync(whole);
      for (let file = 0; file < Number(files); file += 1) {
        writeFileSync(join(whole, `${file}`), `${process.pid}-${build}`);
      }
      takePlace(whole, built);
      rmSync(own, { recursive: true });
    }
"""


def build(built: Path, builds: int) -> None:
    command = [node_path(), "--input-type=module", "--eval", BUILDER]
    told = [PLACE.as_uri(), str(built), str(FILES), str(builds)]
    subprocess.run([*command, *told], check=True, timeout=60)


def test_builds_at_the_same_time_leave_one_of_them_whole(tmp_path: Path) -> None:
    built = tmp_path / "dist"
    with ThreadPoolExecutor(3) as builders:
        list(builders.map(lambda _: build(built, 60), range(3)))
    assert len(list(built.iterdir())) == FILES
    assert len({file.read_text() for file in built.iterdir()}) == 1
    assert list(tmp_path.iterdir()) == [built]


def test_what_killed_builds_left_is_cleared_and_nobody_elses(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        left = tmp_path / f"dist.{ended.pid}-abc"
    others = {tmp_path / f"dist.{os.getpid()}-abc", tmp_path / "dist.notes"}
    for folder in (left, *others):
        (folder / "next").mkdir(parents=True)
    built = tmp_path / "dist"
    build(built, 1)
    assert set(tmp_path.iterdir()) == {built, *others}
