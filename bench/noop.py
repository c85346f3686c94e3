"""A tool that asks for nothing and an adapter that does nothing, for this process alone.

What is left of a task is the house's own work: create, queue, claim, call on record, settle.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from funmagic.providers import registry
from funmagic.providers.contract import (
    Adapter,
    Answer,
    Call,
    Capability,
    Connection,
    Finished,
    Health,
    Offer,
    ProviderError,
    Request,
    Result,
    Trouble,
)
from funmagic.toolkit import discovery
from funmagic.toolkit.contract import Output, Step, StepContext, StepInput, Tool

SLUG = "noop"
PRICE_CREDITS = 1
NOBODY = {"provider": SLUG, "model": SLUG}
CONFIG = {"steps": {"nothing": {"priceCredits": PRICE_CREDITS, "providers": [NOBODY]}}}


class Nothing(StepInput):
    """The empty form."""


class NoopAdapter(Adapter):
    """Answers at once, with no file, at no cost."""

    key = SLUG
    label = "Nothing"
    offers = MappingProxyType({Capability.BACKGROUND_REMOVAL: Offer(models=(SLUG,))})
    repeatable = True

    async def submit(self, request: Request, call: Call) -> Answer:
        await call.begin()
        return Finished(Result(files=()))

    async def poll(self, handle: Mapping[str, Any], call: Call) -> Answer:
        raise ProviderError(Trouble.INVALID, "answers directly and has no handles")

    async def cancel(self, handle: Mapping[str, Any], call: Call) -> None:
        """Nothing runs in the background."""

    async def check_health(self, connection: Connection) -> Health:
        return Health(True, "")


async def _prepare(ctx: StepContext) -> Any:
    return None  # the adapter above reads no request


async def _finish(ctx: StepContext, result: Result) -> list[Output]:
    return []


TOOL = Tool(
    key=SLUG,
    title="Nothing",
    description="Nothing",
    features=(),
    steps=(
        Step(
            id="nothing",
            title="Nothing",
            action="Nothing",
            capability=Capability.BACKGROUND_REMOVAL,
            input_model=Nothing,
            prepare=_prepare,
            finish=_finish,
            price_credits=PRICE_CREDITS,
            recommended_provider=SLUG,
            recommended_model=SLUG,
        ),
    ),
)


def register() -> None:
    """Make tool and adapter known in this process, as if their modules stood in the house."""
    find_tools, find_adapters = discovery.find, registry.find
    discovery.find = lambda place: {**find_tools(place), SLUG: TOOL}
    registry.find = lambda place: {**find_adapters(place), SLUG: NoopAdapter()}
