"""Asks abandoned calls what they cost: the results are nobody's, the bill is the operator's."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Final

from funmagic.core.clock import now
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.providers import calls, registry
from funmagic.providers.contract import Call, Capability, Finished, ProviderError, Trouble
from funmagic.providers.models import ProviderCall

log = logger(__name__)

BATCH: Final = 4
ANSWER_S: Final = 10.0


async def book_costs(resources: Resources) -> None:
    """Ask the vendors of calls that are due, and book what has ended. Safe to run twice."""
    async with resources.db.transaction() as session:
        due = await calls.take_unasked(session, BATCH)
    await asyncio.gather(*(_try_to_book(resources, call) for call in due))


async def _try_to_book(resources: Resources, call: ProviderCall) -> None:
    try:
        async with asyncio.timeout(ANSWER_S):
            await _book(resources, call)
    except Exception as error:  # one call must not keep the others from being asked
        log.warning("cost of an abandoned call unknown", call=str(call.id), error=repr(error))


async def _book(resources: Resources, row: ProviderCall) -> None:
    adapter = registry.adapter(row.provider_key)
    offer = adapter.offers[Capability(row.request["capability"])]
    async with resources.db.transaction() as session:
        connection = await registry.connection_of(
            session, resources.vault, row.provider_key, for_new_work=False
        )
    with tempfile.TemporaryDirectory(prefix="funmagic-") as folder:
        call = Call(
            id=row.id,
            model=row.model,
            options=offer.options_of(row.model).model_validate(row.request["options"]),
            connection=connection,
            work_dir=Path(folder),
            deadline_at=now() + timedelta(seconds=ANSWER_S),
            report=_nobody_listens,
            wants_files=False,
        )
        try:
            answer = await adapter.poll(row.handle or {}, call)
        except ProviderError as error:
            # A key that is not accepted today says nothing about the job.
            if not error.may_repeat and error.trouble != Trouble.UNAUTHORISED:
                async with resources.db.transaction() as session:
                    await calls.ended_unused(
                        session, row.id, error.trouble, error.vendor_message, error.cost_usd_micros
                    )
            return
    if isinstance(answer, Finished):
        result = answer.result
        log.info("abandoned call has ended", call=str(row.id), cost=result.cost_usd_micros)
        async with resources.db.transaction() as session:
            await calls.done(
                session, row.id, {"discarded": True}, result.meta, result.cost_usd_micros
            )


async def _nobody_listens(_: int) -> None:
    """Progress of a job nobody waits for."""
