"""Registering with a password: no account is made before its address is confirmed.

What somebody typed waits in the mailed link. The browser it was typed in may confirm it; anywhere
else the password must be typed once more, or is dropped: nobody gets one of a stranger's choice.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import links, passwords, service
from funmagic.accounts.mails import account_exists_mail, confirm_account_mail
from funmagic.accounts.models import User
from funmagic.core.resources import Resources


async def register(
    resources: Resources,
    session: AsyncSession,
    email: str,
    *,
    password_hash: str,
    name: str,
    next_path: str | None,
    locale: str,
    browser_token: str,
) -> None:
    """Mail a link that makes the account. One that exists already is told so and gets a sign-in
    link: the answer, and the time it takes, are the same."""
    user = await service.find(session, email)
    is_known = user is not None and user.email_verified_at is not None
    await links.send(
        resources,
        session,
        account_exists_mail if is_known else confirm_account_mail,
        purpose="sign_in" if is_known else "confirm_account",
        kind="account_exists" if is_known else "",
        email=email,
        browser_token=browser_token,
        next_path=next_path,
        locale=locale,
        data={} if is_known else {"passwordHash": password_hash, "name": name},
    )


async def confirm(
    resources: Resources, session: AsyncSession, token: str, *, keeps_password: bool
) -> User:
    """Use a confirmation up and return its person, created if new.

    With ``keeps_password`` the account gets the password that was registered, unless it has one by
    now. Raises :class:`errors.Invalid` (type ``link_unusable``).
    """
    link = await links.redeem(session, token, "confirm_account")
    before = await service.find(session, link.email)
    was_known = before is not None and before.email_verified_at is not None
    user = await service.sign_up_or_find(
        session, link.email, locale=link.locale, name=link.data["name"]
    )
    if not keeps_password or user.password_hash is not None:
        return user
    if was_known:
        await passwords.set_password(resources, session, user, link.data["passwordHash"])
    else:
        await passwords.write(session, user.id, link.data["passwordHash"])
    await session.refresh(user)
    return user
