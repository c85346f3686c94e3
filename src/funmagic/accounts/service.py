"""Signing in by a mailed link, and what a new account sets off."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.mails import magic_link_mail
from funmagic.accounts.models import MailedLink, User
from funmagic.core import errors
from funmagic.core.clock import now
from funmagic.core.crypto import hash_token, new_token
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.log import logger
from funmagic.core.mail import MailError
from funmagic.core.resources import Resources

log = logger(__name__)

LINK_LIFETIME = timedelta(minutes=10)
MAX_EMAIL_CHARS = 254
MAX_NEXT_CHARS = 2_000
# What browsers take in an e-mail field (WHATWG HTML, section 4.10.5.1.5), with a dot in the domain.
# Whether the address exists is what the mailed link finds out.
EMAIL = re.compile(
    r"\A[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}\Z"
)

# Nobody wants to return there, and the address of a link's page carries its token.
SIGN_IN_PAGES = re.compile(r"\A/[a-z]{2}/sign-in(?:[/?#]|\Z)")

SignUpHook = Callable[[AsyncSession, User], Awaitable[None]]
_sign_up_hooks: list[SignUpHook] = []

REDEEM = text("""
    UPDATE mailed_links SET used_at = now()
     WHERE token_hash = :token_hash AND purpose = 'sign_in'
       AND used_at IS NULL AND expires_at > now()
    RETURNING email, locale
""")
ADD_USER = text("""
    INSERT INTO users (id, email, name, role, locale, email_verified_at)
    VALUES (:id, :email, :name, :role, :locale, now())
    ON CONFLICT (email) DO NOTHING
    RETURNING id
""")
FIND_LINK = text("""
    SELECT email, next_path, locale, browser_hash, used_at IS NULL AND expires_at > now() AS usable
      FROM mailed_links WHERE token_hash = :token_hash AND purpose = 'sign_in'
""")
VERIFY_USER = text("""
    UPDATE users SET email_verified_at = coalesce(email_verified_at, now()) WHERE email = :email
    RETURNING id
""")
FORGET_OLD_LINKS = text("DELETE FROM mailed_links WHERE expires_at < now() - interval '1 day'")


@dataclass(frozen=True, slots=True)
class ReadLink:
    """A link as looked at, not used. ``usable`` is False once used or expired."""

    email: str
    next_path: str
    locale: str
    browser_hash: bytes
    usable: bool

    def asked_by(self, browser_token: str | None) -> bool:
        """Whether this browser is the one that asked for the link."""
        return browser_token is not None and secrets.compare_digest(
            hash_token(browser_token), self.browser_hash
        )


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


def safe_next(path: str | None) -> str:
    """A path on our own site to go to after signing in; anything else becomes ``/``."""
    if (
        not path
        or len(path) > MAX_NEXT_CHARS
        or not path.startswith("/")
        or path.startswith(("//", "/\\"))
        or any(ord(char) < 33 for char in path)
        or "\\" in path
        or SIGN_IN_PAGES.match(path)
    ):
        return "/"
    return path


async def request_magic_link(
    resources: Resources, email: str, *, next_path: str | None, locale: str, browser_token: str
) -> None:
    """Mail a sign-in link, whether or not the address has an account: both look the same.

    Raises :class:`errors.Invalid` for a malformed address and :class:`errors.Unavailable` where the
    mail server does not take the message.
    """
    address = normal_email(email)
    token = new_token()
    link = MailedLink(
        id=new_id(),
        email=address,
        token_hash=hash_token(token),
        browser_hash=hash_token(browser_token),
        next_path=safe_next(next_path),
        locale=locale,
        expires_at=now() + LINK_LIFETIME,
    )
    async with resources.db.transaction() as session:
        await session.execute(FORGET_OLD_LINKS)
        session.add(link)
    url = f"{resources.settings.public_url}/{locale}/sign-in/confirm?token={token}"
    try:
        await resources.mailer.send(magic_link_mail(address, url, locale))
    except MailError as error:
        log.error("sign-in mail not accepted", error=str(error))
        raise errors.Unavailable(
            N_("We could not send the e-mail. Please try again in a moment."), retry_after_s=30
        ) from error


async def read_magic_link(session: AsyncSession, token: str) -> ReadLink | None:
    """Look at a link without using it."""
    row = (await session.execute(FIND_LINK, {"token_hash": hash_token(token)})).one_or_none()
    return None if row is None else ReadLink(*row)


async def redeem_magic_link(session: AsyncSession, token: str) -> User:
    """Use a link up and return its person, created if new.

    One conditional UPDATE decides, so of any number of simultaneous uses one succeeds. Raises
    :class:`errors.Invalid` (type ``link_unusable``) for a link that is unknown, used or expired.
    """
    row = (await session.execute(REDEEM, {"token_hash": hash_token(token)})).one_or_none()
    if row is None:
        raise errors.Invalid(
            N_("This link was already used or has expired. Please ask for a new one."),
            type="link_unusable",
        )
    return await sign_up_or_find(session, row.email, locale=row.locale)


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
