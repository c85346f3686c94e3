"""A forgotten password, another address, and the way back when somebody else changed it."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import links, passwords, service
from funmagic.accounts.links import ReadLink
from funmagic.accounts.mails import (
    account_exists_mail,
    change_email_mail,
    email_changed_mail,
    no_account_mail,
    reset_password_mail,
)
from funmagic.accounts.models import User
from funmagic.audit import service as audit
from funmagic.core import errors
from funmagic.core.clock import now
from funmagic.core.crypto import new_token
from funmagic.core.i18n import N_
from funmagic.core.resources import Resources

# A link back to an address the account had earlier stays good: it is the older owner's.
END_LATER = text("""
    UPDATE mailed_links SET used_at = now()
     WHERE user_id = :user_id AND used_at IS NULL AND (purpose <> 'keep_email' OR id > :id)
""")


async def ask_for_reset(
    resources: Resources,
    session: AsyncSession,
    email: str,
    *,
    next_path: str | None,
    locale: str,
    browser_token: str,
) -> None:
    """Mail a link to set a new password; links mailed before end.

    An address without an account is told so and may begin by the link it gets: the answer, and the
    time it takes, are the same.
    """
    user = await service.find(session, email)
    await links.end(session, user.id if user else None, "reset_password")
    await links.send(
        resources,
        session,
        reset_password_mail if user else no_account_mail,
        purpose="reset_password" if user else "sign_in",
        kind="" if user else "no_account",
        email=email,
        user_id=user.id if user else None,
        browser_token=browser_token,
        next_path=next_path,
        locale=locale,
    )


async def reset_password(
    resources: Resources, session: AsyncSession, token: str, password_hash: str
) -> User:
    """Use a reset link up: the person has this password, and every session of theirs has ended.

    Raises :class:`errors.Invalid` (type ``link_unusable``), also where the account has moved to
    another address since.
    """
    link = await links.redeem(session, token, "reset_password")
    holder = await service.find(session, link.email)
    if holder is None or holder.id != link.user_id:
        raise links.unusable()
    user = await service.sign_up_or_find(session, link.email)
    await passwords.set_password(resources, session, user, password_hash)
    await session.refresh(user)
    return user


async def ask_email_change(
    resources: Resources,
    session: AsyncSession,
    user: User,
    email: str,
    *,
    locale: str,
    browser_token: str,
) -> None:
    """Mail a link to the address ``user`` wants to have; nothing changes before it is opened.

    An address that has an account is told so, by mail alone. Raises :class:`errors.Invalid` where
    it is the person's own already.
    """
    if email == user.email:
        message = N_("This is your address already.")
        raise errors.Invalid(message, fields={"email": message})
    is_taken = await service.find(session, email) is not None
    await links.end(session, user.id, "change_email")
    await links.send(
        resources,
        session,
        account_exists_mail if is_taken else change_email_mail,
        purpose="sign_in" if is_taken else "change_email",
        kind="account_exists" if is_taken else "",
        email=email,
        user_id=None if is_taken else user.id,
        browser_token=browser_token,
        next_path="/",
        locale=locale,
    )


async def confirm_email_change(
    resources: Resources,
    session: AsyncSession,
    token: str,
    *,
    user_id: UUID | None,
    browser_token: str | None,
) -> User:
    """Use the link up: the account has the new address, and the old one is mailed a way back.

    Only the person signed in (``user_id``) or the browser that asked may: a mistyped address must
    not give the account to a stranger. Raises :class:`errors.Forbidden` (type ``other_browser``),
    :class:`errors.Invalid` (type ``link_unusable``) and :class:`errors.Conflict` (``email_taken``).
    """
    link = await links.read(session, token, "change_email")
    if link is not None and link.usable and not is_of(link, user_id, browser_token):
        raise errors.Forbidden(
            N_("Please open this link in the browser you asked from, or sign in here first."),
            type="other_browser",
        )
    link = await links.redeem(session, token, "change_email")
    user = await _owner(session, link)
    before = user.email
    await _move(session, user, link.email)
    await links.end(session, user.id, "reset_password", "reauthenticate", "change_email")
    await links.send(
        resources,
        session,
        partial(email_changed_mail, new_email=user.email),
        purpose="keep_email",
        kind="email_changed",
        email=before,
        user_id=user.id,
        browser_token=new_token(),
        next_path="/",
        locale=user.locale,
    )
    return user


async def keep_email(session: AsyncSession, token: str) -> User:
    """Use the way back up: the account has its old address again, and nobody else a way in.

    Whoever held the account may have set its password, connected accounts or made keys: all of that
    goes, as do sessions and links mailed later. Raises :class:`errors.Invalid` (type
    ``link_unusable``) and :class:`errors.Conflict` (``email_taken``).
    """
    link = await links.redeem(session, token, "keep_email")
    user = await _owner(session, link)
    await _move(session, user, link.email)
    await service.remove_ways_in(session, user.id)
    await session.execute(END_LATER, {"user_id": user.id, "id": link.id})
    await session.refresh(user)
    return user


def is_of(link: ReadLink, user_id: UUID | None, browser_token: str | None) -> bool:
    """Whether a link about a person is opened by them, as far as their browser shows."""
    return (user_id is not None and link.user_id == user_id) or link.asked_by(browser_token)


async def _owner(session: AsyncSession, link: ReadLink) -> User:
    """The person a link is about, kept as they are until the transaction ends."""
    user = await session.get(User, link.user_id, with_for_update=True, populate_existing=True)
    if user is None or user.erased_at is not None:
        raise links.unusable()
    return user


async def _move(session: AsyncSession, user: User, email: str) -> None:
    """Give an account another address, proved by a link. Raises :class:`errors.Conflict`."""
    taken = errors.Conflict(
        N_("This address has an account of its own by now."), type="email_taken"
    )
    if await service.is_reserved(session, email, but=user.id):
        raise taken
    before = user.email
    try:
        async with session.begin_nested():
            user.email, user.email_verified_at = email, now()
    except IntegrityError:
        raise taken from None
    await audit.record_own(session, user.id, "email.changed", {"from": before, "to": email})
