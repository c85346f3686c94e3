"""The local provider's child process: ``python -m … MODEL THREADS``, one JSON object a line.

In: ``{"work": "cutout" | "style" | "relief", "source", "target", …}``, see ``WORKS``. Out: lines of
progress and of unfinished pictures, then ``{"meta": {…}}`` or ``{"trouble", "message"}``. Networks
are loaded when first needed. It ends as soon as its input does: it never outlives its parent.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import signal
import sys
import threading
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from funmagic.providers.adapters.local import cutout, relief, stylise
from funmagic.providers.adapters.local.pixels import UnreadableImage

# The largest photo we take (40 megapixels) needs half of this.
MEMORY_LIMIT_BYTES = 2 * 1024**3
# Past this peak a child has memory it will not give back: it asks to be replaced.
RETIRE_AT_BYTES = 900 * 1024**2


class Hands:
    """What every work needs: the networks, and a voice."""

    def __init__(self, model: Path, threads: int, output: IO[str]) -> None:
        self._model, self._threads, self._output = model, threads, output

    @cached_property
    def network(self) -> cutout.Network:
        return cutout.load(self._model, self._threads)

    @cached_property
    def painter(self) -> stylise.Painter:
        return stylise.load(self._threads)

    def progress(self, percent: int) -> None:
        _say(self._output, {"progress": percent})

    def show(self, picture: Path) -> None:
        _say(self._output, {"show": str(picture)})


def cut_out(hands: Hands, job: dict[str, Any]) -> dict[str, Any]:
    return cutout.cut_out(
        hands.network,
        Path(job["source"]),
        Path(job["target"]),
        refine_edges=job["refineEdges"],
        progress=hands.progress,
    )


def draw(hands: Hands, job: dict[str, Any]) -> dict[str, Any]:
    return stylise.stylise(
        hands.painter,
        Path(job["source"]),
        Path(job["target"]),
        references=[Path(each) for each in job["references"]],
        style=job["style"],
        strength=job["strength"],
        keep_colours=job["keepColours"],
        preview=Path(job["preview"]),
        progress=hands.progress,
        show=hands.show,
    )


def shape(hands: Hands, job: dict[str, Any]) -> dict[str, Any]:
    return relief.shape(
        hands.network,
        Path(job["source"]),
        Path(job["target"]),
        Path(job["poster"]),
        depth=job["depth"],
        detail=job["detail"],
        resolution=job["resolution"],
        progress=hands.progress,
    )


WORKS = {"cutout": cut_out, "style": draw, "relief": shape}


def main(model: Path, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    _limit_memory()
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever a library prints must not get between our lines
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    hands = Hands(model, threads, output)
    while True:
        _say(output, _answer(hands, jobs.get()))


def _listen(jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        jobs.put(json.loads(line))
    os._exit(0)  # the parent is gone: drop what is under way


def _answer(hands: Hands, job: dict[str, Any]) -> dict[str, Any]:
    try:
        meta = WORKS[job["work"]](hands, job)
    except (UnreadableImage, relief.NoSubject) as error:
        return {"trouble": "invalid", "message": str(error)}
    except MemoryError:
        return {"trouble": "broken", "message": "out of memory", "retire": True}
    except Exception as error:  # the parent must hear of everything
        return {"trouble": "broken", "message": repr(error)[:500], "retire": True}
    peak_bytes = _peak_bytes()
    meta["peakMegabytes"] = peak_bytes // 1024**2
    return {"meta": meta, "retire": peak_bytes > RETIRE_AT_BYTES}


def _say(output: IO[str], message: dict[str, Any]) -> None:
    output.write(json.dumps(message) + "\n")
    output.flush()


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    # Some containers allow neither; the limits on the image's size hold regardless.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _peak_bytes() -> int:
    """The most memory this process has held at once, in bytes.

    On Linux what getrusage says begins with the peak of whoever started the process: next to a
    large worker every child would look used up.
    """
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
