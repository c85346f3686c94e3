"""Signing in by a mailed link, and what a new account sets off."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import links
from funmagic.accounts.links import ReadLink as ReadLink
from funmagic.accounts.links import safe_next as safe_next
from funmagic.accounts.mails import magic_link_mail
from funmagic.accounts.models import User
from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.mail import MailError
from funmagic.core.resources import Resources

log = logger(__name__)

MAX_EMAIL_CHARS = 254
# What browsers take in an e-mail field (WHATWG HTML, section 4.10.5.1.5), with a dot in the domain.
# Whether the address exists is what the mailed link finds out.
EMAIL = re.compile(
    r"\A[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}\Z"
)

SignUpHook = Callable[[AsyncSession, User], Awaitable[None]]
_sign_up_hooks: list[SignUpHook] = []

ADD_USER = text("""
    INSERT INTO users (id, email, name, role, locale, email_verified_at)
    VALUES (:id, :email, :name, :role, :locale, now())
    ON CONFLICT (email) DO NOTHING
    RETURNING id
""")
VERIFY_USER = text("""
    UPDATE users SET email_verified_at = coalesce(email_verified_at, now()) WHERE email = :email
    RETURNING id
""")


def set_sign_up_hooks(*hooks: SignUpHook) -> None:
    """Say what runs in the transaction of every new account, in place of what was said before."""
    _sign_up_hooks[:] = hooks


def normal_email(email: str) -> str:
    """The address in the one form we store. Raises :class:`errors.Invalid`."""
    normal = email.strip().lower()
    if len(normal) > MAX_EMAIL_CHARS or not EMAIL.match(normal):
        message = N_("This does not look like an e-mail address.")
        raise errors.Invalid(message, fields={"email": message})
    return normal


async def request_magic_link(
    resources: Resources, email: str, *, next_path: str | None, locale: str, browser_token: str
) -> None:
    """Mail a sign-in link, whether or not the address has an account: both look the same.

    Raises :class:`errors.Invalid` for a malformed address and :class:`errors.Unavailable` where the
    mail server does not take the message.
    """
    address = normal_email(email)
    async with resources.db.transaction() as session:
        token = await links.make(
            session,
            purpose="sign_in",
            email=address,
            browser_token=browser_token,
            next_path=next_path,
            locale=locale,
        )
    url = links.address(resources.settings, "sign_in", token, locale)
    try:
        await resources.mailer.send(magic_link_mail(address, url, locale))
    except MailError as error:
        log.error("sign-in mail not accepted", error=str(error))
        raise errors.Unavailable(
            N_("We could not send the e-mail. Please try again in a moment."), retry_after_s=30
        ) from error


async def read_magic_link(session: AsyncSession, token: str) -> ReadLink | None:
    """Look at a sign-in link without using it."""
    return await links.read(session, token, "sign_in")


async def redeem_magic_link(session: AsyncSession, token: str) -> User:
    """Use a sign-in link up and return its person, created if new.

    Raises :class:`errors.Invalid` (type ``link_unusable``) for a link that is unknown, used or
    expired.
    """
    link = await links.redeem(session, token, "sign_in")
    return await sign_up_or_find(session, link.email, locale=link.locale)


async def sign_up_or_find(
    session: AsyncSession, email: str, *, locale: str = "en", name: str = "", role: str = "user"
) -> User:
    """The person of a *verified* address; a new one gets what the sign-up hooks give."""
    values = {"id": new_id(), "email": email, "name": name, "role": role, "locale": locale}
    is_new = (await session.execute(ADD_USER, values)).one_or_none() is not None
    user_id: UUID = (await session.execute(VERIFY_USER, {"email": email})).scalar_one()
    user = await session.get_one(User, user_id, populate_existing=True)
    if is_new:
        for hook in _sign_up_hooks:
            await hook(session, user)
    return user
