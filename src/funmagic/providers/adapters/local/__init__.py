"""The local provider: real results on our own processor, with no key and no network.

Background removal by u2netp (U-2-Net, Qin et al. 2020, the small variant). The work is done by
child processes, so neither the event loop nor the worker's memory suffers; a child that crashes or
takes too long costs its own call and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from funmagic.core.clock import now
from funmagic.providers import weights
from funmagic.providers.contract import (
    Adapter,
    Answer,
    BackgroundRemoval,
    Call,
    Capability,
    Connection,
    File,
    Finished,
    Health,
    Offer,
    Options,
    Place,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.providers.processes import ProcessDied, ProcessPool, TookTooLong

CHILD = "funmagic.providers.adapters.local.child"
# 40 megapixels, the largest photo we take, need a tenth of this on one slow core.
CALL_LIMIT_S = 120.0


class BackgroundRemovalOptions(Options):
    """``refine_edges`` lets the outline follow hair and edges in the photo, at about 0.2 s more."""

    refine_edges: bool = True


class Local(Adapter):
    key = "local"
    label = "This server"
    offers: Mapping[Capability, Offer] = {
        Capability.BACKGROUND_REMOVAL: Offer(("u2netp",), BackgroundRemovalOptions),
        Capability.IMAGE_EDIT: Offer(("styletransfer",)),
        Capability.IMAGE_TO_3D: Offer(("relief",)),
    }
    repeatable = True

    def __init__(self, *, call_limit_s: float = CALL_LIMIT_S) -> None:
        self._call_limit_s = call_limit_s
        self._place: Place | None = None
        self._pool: ProcessPool | None = None

    def open(self, place: Place) -> None:
        if place == self._place:
            return
        if self._pool is not None:
            self._pool.end()
        processes = max(1, min(place.parallel_calls, os.cpu_count() or 1))
        threads = max(1, (os.cpu_count() or 1) // processes)
        self._place = place
        self._pool = ProcessPool(
            (sys.executable, "-m", CHILD, str(weights.place_of(place.models_dir)), str(threads)),
            size=processes,
        )

    async def submit(self, request: Request, call: Call) -> Answer:
        """Do the work and answer with the result. Raises :class:`ProviderError`."""
        if not isinstance(request, BackgroundRemoval):
            raise ProviderError(Trouble.INVALID, f"no such work here: {type(request).__name__}")
        if not isinstance(call.options, BackgroundRemovalOptions):
            raise ProviderError(Trouble.INVALID, "the options are of another capability")
        target = call.work_dir / "cutout.png"
        await call.begin()
        answer = await self._ask(
            {
                "source": str(request.image.path),
                "target": str(target),
                "refineEdges": call.options.refine_edges,
            },
            call,
        )
        return Finished(Result(files=(File(target, "image/png"),), meta=answer["meta"]))

    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        raise ProviderError(Trouble.INVALID, "this provider answers directly and has no handles")

    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        """Nothing runs in the background; cancelling the awaited submit stops its process."""

    async def check_health(self, connection: Connection) -> Health:
        if self._place is None:
            return Health(None, "Not opened in this process.")
        if not weights.is_ready(self._place.models_dir):
            return Health(False, "The model is missing or damaged. Run: funmagic up")
        return Health(True, "u2netp is ready.")

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The process ids of the children at work or waiting for work."""
        return self._pool.pids if self._pool is not None else ()

    async def _ask(self, job: Mapping[str, Any], call: Call) -> dict[str, Any]:
        if self._pool is None:
            raise ProviderError(Trouble.BROKEN, "the local provider was not opened at start")
        time_left_s = (call.deadline_at - now()).total_seconds()
        try:
            answer = await self._pool.run(
                job, timeout_s=min(time_left_s, self._call_limit_s), report=call.report
            )
        except TookTooLong:
            raise ProviderError(Trouble.TIMEOUT, "the local process took too long") from None
        except ProcessDied as error:
            raise ProviderError(Trouble.BROKEN, str(error)) from None
        if "trouble" in answer:
            raise ProviderError(Trouble(answer["trouble"]), answer["message"])
        return answer


ADAPTER = Local
