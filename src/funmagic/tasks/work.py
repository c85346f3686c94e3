"""What a step's worker has in hand, and the ways its work can end without a result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from funmagic.core import errors
from funmagic.core.clock import now
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.providers import registry
from funmagic.providers.contract import Adapter, Call, File, ProviderError, Result, Trouble
from funmagic.providers.models import ProviderCall
from funmagic.tasks.claims import Claim
from funmagic.tasks.messages import BY_TROUBLE, CANCELLED
from funmagic.tasks.settlement import Failure
from funmagic.tasks.steps import TaskStepContext
from funmagic.toolkit.contract import Step

log = logger(__name__)

NO_ANSWER: Final = "no answer by the deadline"
# A call that ended so says nothing against another provider; a job that took too long does.
JOB_PASSED_ON: Final = frozenset({Trouble.BUSY, Trouble.BROKEN, Trouble.UNAUTHORISED})
PASSED_ON: Final = JOB_PASSED_ON | {Trouble.TIMEOUT}


@dataclass
class Stopped(Exception):
    """The step ended without a result worth charging.

    With ``may_pass_on`` the next provider may be asked instead.
    """

    failure: Failure
    call_id: UUID | None = None
    trouble: Trouble = Trouble.BROKEN
    vendor_message: str = ""
    cost_usd_micros: int = 0
    answered: Result | None = None  # the vendor did its part and may have been paid for it
    is_still_running: bool = False  # at the vendor, for all we know
    had_job: bool = False
    may_pass_on: bool = False

    def booking(self) -> dict[str, Any]:
        """What is written down of the call that ended so."""
        return {
            "call_id": self.call_id,
            "trouble": self.trouble,
            "vendor_message": self.vendor_message,
            "cost_usd_micros": self.cost_usd_micros,
            "is_still_running": self.is_still_running,
        }


class HandedOver(Exception):
    """This worker is stopping; the vendor's job goes on and another worker will ask for it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One step of a claimed task, and the providers that may do it, in the admin's order.

    ``cancelling`` is set when the owner wants it to end.
    """

    held: Claim
    step: Step
    context: TaskStepContext
    choices: tuple[Mapping[str, Any], ...]
    report: Callable[[int], Awaitable[None]]
    show: Callable[[File], Awaitable[None]]
    cancelling: asyncio.Event

    def place_of(self, last: ProviderCall | None) -> int:
        """Where to go on after the step's newest call: what has failed on record stays behind."""
        if last is None:
            return 0
        asked = (last.provider_key, last.model)
        place = [(choice["provider"], choice["model"]) for choice in self.choices].index(asked)
        if last.state in ("intent", "submitted") or last.meta.get("askedAgain"):
            return place
        return min(place + 1, len(self.choices) - 1)

    async def with_provider(
        self, resources: Resources, place: int, *, for_new_work: bool = True
    ) -> Work:
        """Open the way to one of the providers. Raises :class:`Stopped` where there is none.

        One that is switched off is still asked for a job it has: not ``for_new_work``.
        """
        chosen = self.choices[place]
        key, model = chosen["provider"], chosen["model"]
        try:
            adapter = registry.adapter(key)
            options = adapter.offers[self.step.capability].options_of(model)
            given = options.model_validate(chosen["options"])
            async with resources.db.transaction() as session:
                connection = await registry.connection_of(
                    session, resources.vault, key, for_new_work=for_new_work
                )
        except (
            errors.Unavailable,
            registry.BrokenCredentials,
            KeyError,  # no such adapter in this release, or it does this no more
            ValidationError,
        ) as error:
            log.error("provider not usable", provider=key, reason=type(error).__name__)
            failure = Failure(*BY_TROUBLE[Trouble.UNAUTHORISED])
            raise Stopped(failure, trouble=Trouble.UNAUTHORISED, may_pass_on=True) from error
        call = Call(
            id=new_id(),
            model=model,
            options=given,
            connection=connection,
            work_dir=self.context.work_dir,
            deadline_at=self.held.deadline_at,
            report=self.report,
            show=self.show,
        )
        return Work(self.held, self.step, adapter, self.context, call, self.cancelling)


@dataclass(frozen=True, slots=True)
class Work:
    """One step of a claimed task with everything the calls to one provider need."""

    held: Claim
    step: Step
    adapter: Adapter
    context: TaskStepContext
    call: Call  # the next one to be made: each has an id and a directory of its own
    cancelling: asyncio.Event

    def with_call(self, call_id: UUID) -> Work:
        """The same work with the call of this id."""
        work_dir = self.context.work_dir / f"call-{call_id}"
        work_dir.mkdir(exist_ok=True)
        return replace(self, call=replace(self.call, id=call_id, work_dir=work_dir))


def left_s(held: Claim) -> float:
    """Seconds until the task's deadline; 0 where it has passed."""
    return max((held.deadline_at - now()).total_seconds(), 0.0)


def too_late(work: Work, *, is_still_running: bool = True) -> Stopped:
    """The deadline has passed without a result."""
    return Stopped(
        Failure(*BY_TROUBLE[Trouble.TIMEOUT]),
        work.call.id,
        Trouble.TIMEOUT,
        NO_ANSWER,
        is_still_running=is_still_running,
    )


def cancelled(stop: Stopped | None = None) -> Stopped:
    """The end the owner asked for. A job that is over is asked for its cost all the same."""
    ended = stop or Stopped(Failure(*CANCELLED))
    return replace(
        ended,
        failure=Failure(*CANCELLED),
        is_still_running=ended.is_still_running or ended.had_job,
        may_pass_on=False,
    )


def may_have_made_a_job(work: Work, error: ProviderError) -> bool:
    """Whether a failed submit may have left a job at the vendor all the same."""
    return (
        not error.may_repeat
        and not error.cost_usd_micros  # what was billed is over, and nobody will ask again
        and error.trouble in {Trouble.BROKEN, Trouble.TIMEOUT, Trouble.BUSY}
        and not work.adapter.repeatable
    )


def job_failed(work: Work, error: ProviderError) -> Stopped:
    """A job's own end; but a key that is no longer accepted says nothing about the job."""
    is_still_running = error.trouble == Trouble.UNAUTHORISED
    return stopped(work, error, is_still_running=is_still_running, had_job=True)


def stopped(
    work: Work, error: ProviderError, *, is_still_running: bool = False, had_job: bool = False
) -> Stopped:
    """A provider's failure as the end of the step, or of this provider's part in it."""
    note(work, "provider failed", error)
    return Stopped(
        Failure(*BY_TROUBLE[error.trouble]),
        work.call.id,
        error.trouble,
        error.vendor_message,
        error.cost_usd_micros,
        is_still_running=is_still_running,
        had_job=had_job,
        may_pass_on=error.trouble in PASSED_ON
        and not (error.trouble == Trouble.TIMEOUT and had_job),
    )


def note(work: Work, event: str, error: ProviderError) -> None:
    """Tell the operator, in the vendor's words."""
    log.warning(
        event,
        task_id=str(work.held.id),
        provider=work.adapter.key,
        trouble=error.trouble,
        vendor_message=error.vendor_message,
    )
