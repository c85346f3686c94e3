"""The model's verbs through the service, and its answers from what the service does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from tests.credits.model import Answer, Ledger, Refusal, Verb, possible

from funmagic.core.errors import Conflict, NotEnoughCredits, NotFound
from funmagic.credits import service as credits
from funmagic.credits.service import Movement

#: What the service raises where it refuses.
REFUSED: Final = (NotEnoughCredits, NotFound, Conflict, ValueError, DBAPIError)


async def perform(s: AsyncSession, verb: Verb) -> Movement | None:
    """One verb in the caller's transaction. Raises one of ``REFUSED``."""
    hold_verbs: dict[str, Callable[[], Any]] = {
        "hold": lambda: credits.hold(
            s, UUID(verb.key), verb.user, verb.amount or 0, description="A task"
        ),
        "capture": lambda: credits.capture(s, UUID(verb.key), verb.amount, description="Done"),
        "release": lambda: credits.release(s, UUID(verb.key), description="Failed"),
    }
    if verb.kind in hold_verbs:
        made: Movement | None = await hold_verbs[verb.kind]()
        return made
    words: dict[str, Any] = {"idempotency_key": verb.key, "description": "Booked by a test"}
    if verb.kind == "adjust":
        return await credits.adjust(s, verb.user, verb.amount or 0, actor="tests", **words)
    words |= {"reference_type": verb.reference[0], "reference_id": verb.reference[1]}
    if verb.kind == "take_back":
        return await credits.take_back(s, verb.user, verb.amount or 0, **words)
    type: Any = verb.type  # wrong ones too
    return await credits.grant(s, verb.user, verb.amount or 0, type=type, **words)


def refusal(error: BaseException) -> Refusal:
    """The model's name for what was raised. Raises it again where it is no refusal."""
    for kind, name in (
        (NotEnoughCredits, Refusal.NOT_ENOUGH),
        (NotFound, Refusal.NO_HOLD),
        (Conflict, Refusal.CONFLICT),
        (ValueError, Refusal.IMPOSSIBLE),
    ):
        if isinstance(error, kind):
            return name
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        if state in (Refusal.IMPOSSIBLE, Refusal.TABLE):
            return Refusal(state)
    raise error


def act_by_service(ledger: Ledger, verb: Verb) -> Answer:
    """What the model answers where the service is asked: it looks at an amount before the hold."""
    if verb.kind == "capture" and verb.amount is not None and not possible(verb.amount):
        return Refusal.IMPOSSIBLE
    return ledger.act(verb)
