"""Proving once more who one is, by a mailed link: for people without a password."""

from __future__ import annotations

from typing import Any

from litestar import Request
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import links, mails, sessions
from funmagic.accounts.models import User
from funmagic.core.clock import now
from funmagic.core.errors import Forbidden
from funmagic.core.i18n import N_
from funmagic.core.resources import Resources
from funmagic.mail import service as mail

PURPOSE = "reauthenticate"
ELSEWHERE = N_("Open this link in the browser you asked from, while you are signed in there.")


async def mail_link(
    request: Request[Any, Any, Any],
    resources: Resources,
    session: AsyncSession,
    user: User,
    *,
    next_path: str | None,
    locale: str,
) -> None:
    """Post a link to the person's own address that works in this browser alone."""
    token = await links.make(
        session,
        purpose=PURPOSE,
        email=user.email,
        user_id=user.id,
        browser_token=sessions.mark_browser(request),
        next_path=next_path,
        locale=locale,
    )
    url = links.address(resources.settings, PURPOSE, token, locale)
    letter = mails.reauthenticate_mail(user.email, url, locale)
    expires_at = now() + links.LIFETIMES[PURPOSE]
    await mail.post(session, resources.vault, letter, kind=PURPOSE, expires_at=expires_at)


async def redeem(request: Request[Any, Any, Any], session: AsyncSession, token: str) -> str:
    """Use a link up; answers the path to go on to.

    Raises :class:`Forbidden` (type ``other_browser``), and uses nothing up, where another browser
    asked for it or somebody else is signed in here; :class:`Invalid` (type ``link_unusable``).
    """
    found = await links.read(session, token, PURPOSE)
    if found is None:
        raise links.unusable()
    here = await sessions.current(request)
    if (
        here is None
        or here.user_id != found.user_id
        or not found.asked_by(sessions.browser_token(request))
    ):
        raise Forbidden(ELSEWHERE, type="other_browser")
    await links.redeem(session, token, PURPOSE)
    await sessions.authenticated_again(request, session)
    return found.next_path
