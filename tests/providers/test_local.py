"""The local provider on real photos: what is kept, what goes, and what happens when it breaks."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.providers.conftest import PHOTOS, CutOut, make_call

from funmagic.providers import weights
from funmagic.providers.adapters.local import BackgroundRemovalOptions, Local, cutout
from funmagic.providers.contract import (
    BackgroundRemoval,
    Connection,
    File,
    Finished,
    Options,
    Place,
    ProviderError,
    Trouble,
)


def cutout_of(answer: Finished) -> Image.Image:
    (file,) = answer.result.files
    with Image.open(file.path) as opened:
        opened.load()
        return opened.copy()


def alpha_at(picture: Image.Image, x: int, y: int) -> int:
    return int(np.asarray(picture)[y % picture.height, x % picture.width, 3])


@pytest.mark.parametrize(
    ("photo", "kept", "gone"),
    [
        ("astronaut.jpg", [(195, 110), (190, 340), (320, 440)], [(0, 0), (-1, 0), (400, 100)]),
        ("coffee.jpg", [(290, 150), (150, 200)], [(0, 0), (-1, 0), (0, -1), (-1, -1)]),
        ("cat.jpg", [(265, 240), (160, 110)], [(0, 0), (-1, 0), (430, 200)]),
    ],
)
async def test_the_subject_stays_and_the_background_goes(
    cut_out: CutOut, photo: str, kept: list[tuple[int, int]], gone: list[tuple[int, int]]
) -> None:
    picture = cutout_of(await cut_out(photo))
    with Image.open(PHOTOS / photo) as before:
        assert (picture.mode, picture.size) == ("RGBA", before.size)
        for point in kept:
            assert alpha_at(picture, *point) == 255, point
            assert picture.getpixel(point)[:3] == pytest.approx(before.getpixel(point), abs=2)  # type: ignore[index]
    for point in gone:
        assert alpha_at(picture, *point) == 0, point


async def test_nothing_of_the_background_hides_under_transparent_pixels(cut_out: CutOut) -> None:
    pixels = np.asarray(cutout_of(await cut_out("coffee.jpg")))
    assert pixels[pixels[..., 3] == 0].max() == 0


async def test_a_photo_without_a_subject_comes_back_empty(cut_out: CutOut) -> None:
    assert np.asarray(cutout_of(await cut_out("grass.jpg")))[..., 3].max() == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (2000, 2), (1031, 1999)])
async def test_any_shape_keeps_its_size(
    cut_out: CutOut, tmp_path: Path, size: tuple[int, int]
) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        photo.resize(size).save(tmp_path / "shape.png")
    assert cutout_of(await cut_out(tmp_path / "shape.png")).size == size


def test_working_strip_by_strip_changes_no_pixel(
    models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = cutout.load(weights.place_of(models_dir), threads=1)
    results = []
    for strip_pixels in (10_000_000, 600 * 7):
        monkeypatch.setattr(cutout, "STRIP_PIXELS", strip_pixels)
        target = tmp_path / f"{strip_pixels}.png"
        cutout.cut_out(
            network, PHOTOS / "coffee.jpg", target, refine_edges=True, progress=lambda _: None
        )
        with Image.open(target) as picture:
            results.append(np.asarray(picture).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1


async def test_its_own_transparency_is_kept(cut_out: CutOut, tmp_path: Path) -> None:
    with Image.open(PHOTOS / "coffee.jpg") as photo:
        holed = photo.convert("RGBA")
    holed.paste((0, 0, 0, 0), (280, 140, 300, 160))
    holed.save(tmp_path / "holed.png")
    picture = cutout_of(await cut_out(tmp_path / "holed.png"))
    assert alpha_at(picture, 290, 150) == 0
    assert alpha_at(picture, 150, 200) == 255


async def test_edges_can_be_left_as_the_network_saw_them(cut_out: CutOut) -> None:
    plain = await cut_out("coffee.jpg", options=BackgroundRemovalOptions(refine_edges=False))
    refined = await cut_out("coffee.jpg")
    one, other = (np.asarray(cutout_of(each))[..., 3].astype(int) for each in (plain, refined))
    assert 0 < np.abs(one - other).mean() < 10


async def test_progress_climbs_through_the_stages(cut_out: CutOut) -> None:
    heard: list[int] = []

    async def report(percent: int) -> None:
        heard.append(percent)

    await cut_out("coffee.jpg", report=report)
    assert heard == sorted(heard)
    assert heard[0] == 10
    assert 60 in heard
    assert heard[-1] == 99


async def test_a_file_that_is_no_image_is_our_callers_mistake(
    cut_out: CutOut, tmp_path: Path
) -> None:
    (tmp_path / "x.jpg").write_bytes(b"not an image")
    with pytest.raises(ProviderError) as trouble:
        await cut_out(tmp_path / "x.jpg")
    assert trouble.value.trouble is Trouble.INVALID


async def test_options_of_something_else_are_invalid(cut_out: CutOut) -> None:
    with pytest.raises(ProviderError) as trouble:
        await cut_out("coffee.jpg", options=Options())
    assert trouble.value.trouble is Trouble.INVALID


async def test_a_killed_process_breaks_one_call_and_the_next_works(
    cut_out: CutOut, local: Local
) -> None:
    async def kill_it(percent: int) -> None:
        os.kill(only_child(local), signal.SIGKILL)

    with pytest.raises(ProviderError) as trouble:
        await cut_out("coffee.jpg", report=kill_it)
    assert trouble.value.trouble is Trouble.BROKEN
    assert alpha_at(cutout_of(await cut_out("coffee.jpg")), 290, 150) == 255


async def test_a_child_is_measured_by_its_own_memory(cut_out: CutOut, local: Local) -> None:
    """Next to a large worker it would be replaced after every photo."""
    await local.close()
    held = b"\1" * (600 * 1024**2)
    del held
    peak_megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    answer = await cut_out("coffee.jpg")
    assert 20 < answer.result.meta["peakMegabytes"] < peak_megabytes - 100


async def test_a_process_killed_while_idle_is_not_noticed(cut_out: CutOut, local: Local) -> None:
    await cut_out("coffee.jpg")
    os.kill(only_child(local), signal.SIGKILL)
    await asyncio.sleep(0.1)
    assert alpha_at(cutout_of(await cut_out("coffee.jpg")), 290, 150) == 255


async def test_a_call_that_takes_too_long_is_stopped_with_its_process(
    cut_out: CutOut, local: Local
) -> None:
    await cut_out("coffee.jpg")
    child = only_child(local)
    os.kill(child, signal.SIGSTOP)  # hangs, as a network stuck in a loop would
    started = time.monotonic()
    with pytest.raises(ProviderError) as trouble:
        await cut_out("coffee.jpg", time_s=0.5)
    assert trouble.value.trouble is Trouble.TIMEOUT
    assert time.monotonic() - started < 2
    await until_gone(child)
    assert alpha_at(cutout_of(await cut_out("coffee.jpg")), 290, 150) == 255


async def test_a_deadline_already_past_starts_nothing(cut_out: CutOut, local: Local) -> None:
    before = local.pids
    with pytest.raises(ProviderError) as trouble:
        await cut_out("coffee.jpg", time_s=-1)
    assert trouble.value.trouble is Trouble.TIMEOUT
    assert local.pids == before


async def test_a_cancelled_call_stops_its_process(cut_out: CutOut, local: Local) -> None:
    working = asyncio.Event()

    async def report(percent: int) -> None:
        working.set()

    call = asyncio.ensure_future(cut_out("coffee.jpg", report=report))
    await working.wait()
    child = only_child(local)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until_gone(child)


async def test_an_error_in_the_listener_ends_the_call_as_it_is(cut_out: CutOut) -> None:
    class LeaseLost(Exception):
        pass

    async def report(percent: int) -> None:
        raise LeaseLost

    with pytest.raises(LeaseLost):
        await cut_out("coffee.jpg", report=report)


async def test_the_event_loop_stays_free(cut_out: CutOut) -> None:
    call = asyncio.ensure_future(cut_out("astronaut.jpg"))
    longest_s = 0.0
    while not call.done():
        started = time.monotonic()
        await asyncio.sleep(0.01)
        longest_s = max(longest_s, time.monotonic() - started - 0.01)
    await call
    assert longest_s < 0.2


@pytest.mark.hazard("U6")
async def test_a_child_knows_none_of_our_secrets(
    cut_out: CutOut, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEYS", "canary-5f1c")
    monkeypatch.setenv("DATABASE_URL", "postgresql://canary-5f1c@host/db")
    await cut_out("coffee.jpg")
    environment = environment_of(only_child(local))
    assert b"PATH=" in environment
    assert b"canary-5f1c" not in environment


@pytest.mark.parametrize("moment", ["working", "idle"])
async def test_children_go_when_their_parent_is_killed(
    models_dir: Path, tmp_path: Path, moment: str
) -> None:
    """A worker that dies by SIGKILL leaves no process behind, even in the middle of a photo."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    photo = tmp_path / "photo.jpg"
    with Image.open(PHOTOS / "astronaut.jpg") as small:
        small.resize((5400, 5760) if moment == "working" else small.size).save(photo)
    parent = subprocess.Popen(  # noqa: ASYNC220 (it must be killed, not awaited)
        [sys.executable, str(script), str(models_dir), str(photo), str(tmp_path), moment],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = int(await asyncio.to_thread(parent.stdout.readline))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await until_gone(child, limit_s=2)


PARENT = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.providers.adapters.local import BackgroundRemovalOptions, Local
from funmagic.providers.contract import BackgroundRemoval, Call, Connection, File, Place

models, photo, folder, moment = sys.argv[1:]

async def tell(percent=0):
    print(*adapter.pids, flush=True)
    await asyncio.sleep(60)

async def ignore(percent):
    pass

async def main():
    await adapter.submit(BackgroundRemoval(File(Path(photo), "image/jpeg")), call)
    await tell()

adapter = Local()
adapter.open(Place(Path(models), 1))
call = Call(new_id(), "u2netp", BackgroundRemovalOptions(), Connection(), Path(folder),
            now() + timedelta(seconds=60), tell if moment == "working" else ignore)
asyncio.run(main())
"""


async def test_health_says_what_to_do(tmp_path: Path, models_dir: Path) -> None:
    adapter = Local()
    assert (await adapter.check_health(Connection())).ok is None
    adapter.open(Place(models_dir=tmp_path))
    missing = await adapter.check_health(Connection())
    assert missing.ok is False
    assert "funmagic up" in missing.message
    adapter.open(Place(models_dir=models_dir))
    assert (await adapter.check_health(Connection())).ok is True


async def test_a_missing_model_is_a_broken_provider(tmp_path: Path) -> None:
    adapter = Local()
    adapter.open(Place(models_dir=tmp_path / "nothing", parallel_calls=1))
    call = make_call(tmp_path)
    request = BackgroundRemoval(File(PHOTOS / "coffee.jpg", "image/jpeg"))
    try:
        with pytest.raises(ProviderError) as trouble:
            await adapter.submit(request, call)
        assert trouble.value.trouble is Trouble.BROKEN
    finally:
        await adapter.close()


def only_child(local: Local) -> int:
    (pid,) = local.pids
    return pid


async def until_gone(pid: int, limit_s: float = 5) -> None:
    started = time.monotonic()
    while time.monotonic() - started < limit_s:
        if not is_running(pid):
            return
        await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the process is still running")


def environment_of(pid: int) -> bytes:
    """What ``ps`` shows of a process and its environment, on Linux and macOS alike."""
    shown = subprocess.run(["ps", "eww", "-p", str(pid)], capture_output=True, check=True)
    return shown.stdout


def is_running(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(state) and not state.startswith("Z")
