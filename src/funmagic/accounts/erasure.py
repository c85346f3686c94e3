"""Leaving: two weeks to think better of it, then nothing is left that says who somebody was.

Erasing is one transaction: rows that are a person's own go or lose what is personal, and whatever
lies in the storage is marked to be removed by the sweeps. So a crash leaves it done or not begun.
The row of the person stays, nameless, because the ledger's entries are theirs for good. It is
erased once more an hour later, for what a request under way at that moment left.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import exports, keys, roles, sessions
from funmagic.accounts.mails import (
    deleted_mail,
    deletion_asked_mail,
    deletion_cancelled_mail,
    tell,
)
from funmagic.accounts.models import User
from funmagic.audit import service as audit
from funmagic.core import errors
from funmagic.core.clock import now
from funmagic.core.http import OUTAGES
from funmagic.core.i18n import DEFAULT_LOCALE, N_
from funmagic.core.log import logger
from funmagic.core.resources import Resources
from funmagic.mail import service as mails

log = logger(__name__)

GRACE: Final = timedelta(days=14)
ONCE_MORE_AFTER: Final = timedelta(hours=1)
POSTPONED_BY: Final = timedelta(minutes=1)
BATCH: Final = 20

NOT_THE_ADDRESS: Final = N_("This is not the address of your account.")

DUE = text("""
    SELECT id FROM users WHERE deletion_due_at <= now() ORDER BY deletion_due_at LIMIT :batch
""")
POSTPONE = text("""
    UPDATE users SET deletion_due_at = :until WHERE id = :user_id AND deletion_due_at <= now()
""")
WAYS_IN = (
    text("DELETE FROM sessions WHERE user_id = :user_id"),
    text("DELETE FROM api_keys WHERE user_id = :user_id"),
    text("DELETE FROM identities WHERE user_id = :user_id"),
    text("DELETE FROM devices WHERE user_id = :user_id"),
    text("DELETE FROM oauth_attempts WHERE user_id = :user_id"),
    text("DELETE FROM mailed_links WHERE user_id = :user_id OR email = :email"),
)

EraseHook = Callable[[AsyncSession, UUID], Awaitable[None]]
_erase_hooks: list[EraseHook] = []


class NotYet(Exception):
    """Raised by a hook: something of the person's is under way and must end first."""


def set_erase_hooks(*hooks: EraseHook) -> None:
    """Say what is erased with a person, in one transaction, in place of what was said before.

    A hook may be called again for somebody who is erased already.
    """
    _erase_hooks[:] = hooks


async def ask(resources: Resources, session: AsyncSession, user: User, *, confirm: str) -> datetime:
    """Have a person erased in two weeks, and sign them out everywhere; when that will be.

    ``confirm`` is their address, typed once more. Asking again changes nothing. Raises
    :class:`errors.Invalid` for another address and :class:`errors.Conflict` (``last_super_admin``).
    """
    if confirm.strip().lower() != user.email:
        raise errors.Invalid(NOT_THE_ADDRESS, fields={"confirm": NOT_THE_ADDRESS})
    await roles.refuse_last(session, user)
    leaving = await session.get(User, user.id, with_for_update=True, populate_existing=True)
    if leaving is None or leaving.erased_at is not None or leaving.role != user.role:
        raise errors.Conflict
    await keys.revoke_all(session, user.id)
    await sessions.end_all(session, user.id)
    if leaving.deletion_due_at is None:
        leaving.deletion_due_at = due_at = now() + GRACE
        await _record(session, "account.deletion_asked", user.id, actor_id=user.id)
        mail = deletion_asked_mail(
            leaving.email, _page(resources, leaving), leaving.locale, due_at=due_at
        )
        await tell(resources, session, mail, kind="deletion_asked")
    return leaving.deletion_due_at


async def restore(resources: Resources, session: AsyncSession, user_id: UUID) -> User:
    """Keep somebody who had asked to be erased. Repeating is fine. Raises :class:`errors.NotFound`
    where they are erased."""
    staying = await session.get(User, user_id, with_for_update=True, populate_existing=True)
    if staying is None or staying.erased_at is not None:
        raise errors.NotFound
    if staying.deletion_due_at is not None:
        staying.deletion_due_at = None
        await _record(session, "account.deletion_cancelled", user_id, actor_id=user_id)
        mail = deletion_cancelled_mail(staying.email, _page(resources, staying), staying.locale)
        await tell(resources, session, mail, kind="deletion_cancelled")
    return staying


async def erase_due(resources: Resources) -> int:
    """Erase whoever's time has come; returns how many. Safe to run twice, and at once."""
    async with resources.db.transaction() as session:
        due = (await session.scalars(DUE, {"batch": BATCH})).all()
    return sum([await _try_to_erase(resources, user_id) for user_id in due])


async def _try_to_erase(resources: Resources, user_id: UUID) -> bool:
    """One person must not keep the others waiting, whatever stands in the way."""
    try:
        async with resources.db.transaction() as session:
            return await _erase(resources, session, user_id)
    except NotYet as reason:
        log.info("a person is not erased yet", user_id=str(user_id), reason=str(reason))
    except OUTAGES:
        raise
    except Exception as error:
        log.error("a person was not erased", user_id=str(user_id), exc_info=error)
    async with resources.db.transaction() as session:
        await session.execute(POSTPONE, {"user_id": user_id, "until": now() + POSTPONED_BY})
    return False


async def _erase(resources: Resources, session: AsyncSession, user_id: UUID) -> bool:
    """Held against everything that refers to the row: a task being created, a file promised."""
    user = await session.scalar(
        select(User)
        .where(User.id == user_id, User.deletion_due_at <= now())
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )
    if user is None:
        return False
    for hook in _erase_hooks:
        await hook(session, user_id)
    await exports.erase(session, user_id)
    for statement in WAYS_IN:
        await session.execute(statement, {"user_id": user_id, "email": user.email})
    await audit.forget(session, user_id)
    if user.erased_at is not None:
        user.deletion_due_at = None
        return True
    await mails.withdraw(session, resources.vault, user.email)
    await tell(resources, session, deleted_mail(user.email, user.locale), kind="deleted")
    await _record(session, "account.erased", user_id, actor_id=None)
    _make_nameless(user)
    return True


def _make_nameless(user: User) -> None:
    """Leave of a person an id, the day they came and the day they went."""
    user.email = f"erased-{user.id}@invalid"
    user.email_verified_at = None
    user.name = ""
    user.role = "user"
    user.locale = DEFAULT_LOCALE
    user.theme, user.accent = "system", "violet"
    user.password_hash = user.password_set_at = None
    user.avatar_key = None
    user.erased_at = now()
    user.deletion_due_at = user.erased_at + ONCE_MORE_AFTER


async def _record(
    session: AsyncSession, action: str, user_id: UUID, *, actor_id: UUID | None
) -> None:
    await audit.record(
        session, actor_id=actor_id, action=action, subject_type="user", subject_id=user_id
    )


def _page(resources: Resources, user: User) -> str:
    return f"{resources.settings.public_url}/{user.locale}/profile/data"
