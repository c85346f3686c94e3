"""People by their verified addresses: the one door every way in leads through.

Whoever proves that an address is theirs gets its account, made if there is none. What an account
had before its address was proved may be a stranger's, and is taken from it at that moment.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import keys, links, sessions
from funmagic.accounts.mails import magic_link_mail
from funmagic.accounts.models import User
from funmagic.audit import service as audit
from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

MAX_EMAIL_CHARS = 254
# What browsers take in an e-mail field (WHATWG HTML, section 4.10.5.1.5), with a dot in the domain.
# Whether the address exists is what the mailed link finds out.
EMAIL = re.compile(
    r"\A[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}\Z"
)

SignUpHook = Callable[[AsyncSession, User], Awaitable[None]]
_sign_up_hooks: list[SignUpHook] = []

# Decided by the row as it is once it is free: of simultaneous sign-ins one empties the account.
VERIFY = text("""
    UPDATE users SET email_verified_at = now()
     WHERE email = :email AND email_verified_at IS NULL
    RETURNING id
""")
ADD = text("""
    INSERT INTO users (id, email, name, role, locale, email_verified_at)
    VALUES (:id, :email, :name, :role, :locale, now())
    ON CONFLICT (email) DO NOTHING
    RETURNING id
""")
IS_RESERVED = text("""
    SELECT EXISTS (SELECT FROM mailed_links
                    WHERE purpose = 'keep_email' AND email = :email
                      AND user_id IS DISTINCT FROM CAST(:but AS uuid)
                      AND used_at IS NULL AND expires_at > now())
""")
# Keys and sessions end by verbs of their own. The way back from another address stays: it is an
# earlier owner's.
WAYS_IN = (
    text("UPDATE users SET password_hash = NULL, password_set_at = NULL WHERE id = :id"),
    text("DELETE FROM identities WHERE user_id = :id"),
    text("DELETE FROM oauth_attempts WHERE user_id = :id"),
    text("DELETE FROM devices WHERE user_id = :id"),
    text("""
        UPDATE mailed_links SET used_at = now()
         WHERE user_id = :id AND purpose <> 'keep_email' AND used_at IS NULL
    """),
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


async def request_magic_link(
    resources: Resources,
    session: AsyncSession,
    email: str,
    *,
    next_path: str | None,
    locale: str,
    browser_token: str,
) -> None:
    """Mail a sign-in link, whether or not the address has an account: both look the same."""
    await links.send(
        resources,
        session,
        magic_link_mail,
        purpose="sign_in",
        email=email,
        browser_token=browser_token,
        next_path=next_path,
        locale=locale,
    )


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
    """The person of a *verified* address; a new one gets what the sign-up hooks give.

    An account whose address nobody had proved yet loses every way in it had: password, sessions,
    accounts elsewhere, keys. Raises :class:`errors.Conflict` (type ``email_reserved``) for an
    address whose account has moved to another one, while it may still be taken back.
    """
    proved_id: UUID | None = await session.scalar(VERIFY, {"email": email})
    if proved_id is not None:
        await remove_ways_in(session, proved_id)
        await audit.record_own(session, proved_id, "account.claimed")
    user = await find(session, email)
    if user is not None:
        return user
    if await is_reserved(session, email):
        raise errors.Conflict(
            N_(
                "The account of this address was moved to another address a short time ago. You"
                " can take it back by the link we mailed you then."
            ),
            type="email_reserved",
        )
    values = {"id": new_id(), "email": email, "name": name, "role": role, "locale": locale}
    is_new = (await session.execute(ADD, values)).one_or_none() is not None
    user = await find(session, email)
    if user is None:  # moved away at this very moment
        raise errors.Conflict
    if is_new:
        for hook in _sign_up_hooks:
            await hook(session, user)
    return user


async def find(session: AsyncSession, email: str, *, lock: bool = False) -> User | None:
    """The person who has this address, in the form of :func:`normal_email`; with ``lock`` nobody
    changes them before the transaction ends."""
    statement = select(User).where(User.email == email)
    found = await session.scalars(
        statement.with_for_update(read=True) if lock else statement,
        execution_options={"populate_existing": True},
    )
    return found.one_or_none()


async def is_reserved(session: AsyncSession, email: str, *, but: UUID | None = None) -> bool:
    """Whether an account other than ``but`` may still be taken back to this address."""
    return bool(await session.scalar(IS_RESERVED, {"email": email, "but": but}))


async def remove_ways_in(session: AsyncSession, user_id: UUID) -> None:
    """Leave a person no way in but their mailbox: somebody else may have set the others."""
    for statement in WAYS_IN:
        await session.execute(statement, {"id": user_id})
    await keys.revoke_all(session, user_id)
    await sessions.end_all(session, user_id)
