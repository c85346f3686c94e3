"""How often somebody may ask for mail or try a password.

Tries of one account are counted in several windows, so that whoever guesses has to wait longer and
longer. Browsers the person has signed in with before are counted apart: a stranger cannot lock the
owner out.
"""

from __future__ import annotations

from typing import Final

from limits import parse

from funmagic.core.limits import Limiter

PER_EMAIL: Final = (parse("5 per 15 minutes"), parse("30 per 1 day"))
PER_ADDRESS: Final = parse("30 per 15 minutes")
TRIES_PER_ACCOUNT: Final = (
    parse("5 per 1 minute"),
    parse("10 per 15 minutes"),
    parse("30 per 1 day"),
)
TRIES_PER_CLIENT: Final = (parse("30 per 15 minutes"), parse("300 per 1 day"))


class SignInLimits:
    """Counts by e-mail address (protects people) and by client (protects the server), which is
    whom :func:`funmagic.accounts.write_limits.client_of` names."""

    def __init__(self, limiter: Limiter) -> None:
        self._limiter = limiter

    async def count_mail(self, *, email: str, client: str, is_known: bool = False) -> None:
        """Count one mail somebody asks for; ``is_known`` as for a try.

        Raises :class:`TooManyRequests`.
        """
        await self._limiter.hit(PER_ADDRESS, "mail-client", client)
        for window in PER_EMAIL:
            await self._limiter.hit(window, "mail-known" if is_known else "mail-stranger", email)

    async def count_try(self, *, email: str, client: str, is_known: bool) -> None:
        """Count one password tried, before it is looked at: simultaneous ones cannot slip by.

        ``is_known`` says that the account's owner has signed in with this browser before. Raises
        :class:`TooManyRequests`.
        """
        if not is_known:
            for window in TRIES_PER_CLIENT:
                await self._limiter.hit(window, "try-client", client)
        for window in TRIES_PER_ACCOUNT:
            await self._limiter.hit(window, *_account(email, is_known))

    async def forget_tries(self, *, email: str, is_known: bool) -> None:
        """The password was right: only wrong ones count for the account."""
        for window in TRIES_PER_ACCOUNT:
            await self._limiter.clear(window, *_account(email, is_known))


def _account(email: str, is_known: bool) -> tuple[str, str]:
    return "try-known" if is_known else "try-stranger", email
