"""What tools that make a 3D model share: the judgement of what comes back."""

from __future__ import annotations

from funmagic.toolkit import glb, images
from funmagic.toolkit.contract import Output, Result, StepContext, UnusableResult


async def finish(ctx: StepContext, result: Result) -> list[Output]:
    """Accept a GLB with something in it. Raises :class:`UnusableResult`."""
    if not result.files:
        raise UnusableResult(images.UNREADABLE)
    made, *pictures = result.files
    await images.in_thread(lambda: glb.check(made))
    return [
        Output(
            "model",
            made,
            kind="3d",
            poster=pictures[0] if pictures else None,
            is_relief=result.meta.get("isRelief") is True,
        )
    ]
