"""Where a lower room sets off something in a higher one: wired here, once per process."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.erasure import set_erase_hooks
from funmagic.accounts.models import User
from funmagic.accounts.service import set_sign_up_hooks
from funmagic.assets import service as assets
from funmagic.catalog import runs
from funmagic.core.i18n import N_
from funmagic.core.settings import Settings
from funmagic.credits import service as credits
from funmagic.tasks import erasure as tasks

WELCOME = N_("Welcome credits")


def wire(settings: Settings) -> None:
    """Register every hook. Doing it again replaces what was registered."""

    async def give_welcome_credits(session: AsyncSession, user: User) -> None:
        if settings.welcome_credits:
            await credits.grant(
                session,
                user.id,
                settings.welcome_credits,
                type="welcome",
                idempotency_key=f"welcome:{user.id}",
                description=WELCOME,
            )

    set_sign_up_hooks(give_welcome_credits)
    set_erase_hooks(tasks.erase, assets.erase, runs.erase)
