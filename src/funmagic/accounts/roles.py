"""The three roles: who may give them, and that somebody always can.

Admins keep tools and providers and look at people; super_admins also say who is what.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import links, service, sessions
from funmagic.accounts.models import ROLES, User
from funmagic.audit import service as audit
from funmagic.core.crypto import new_token
from funmagic.core.errors import Conflict, Forbidden, Invalid, NotFound
from funmagic.core.i18n import N_
from funmagic.core.settings import Settings

SUPER_ADMIN: Final = "super_admin"
LINK_LIFETIME: Final = timedelta(hours=1)
ROLE_NAMES: Final = {
    "user": N_("User"),
    "admin": N_("Admin"),
    "super_admin": N_("Super admin"),
}

NOT_ONES_OWN = N_("Nobody changes their own role. Ask another super admin.")
LAST_ONE = N_("This is the last super admin. Make somebody else one first.")
NO_SUCH_ROLE = N_("There is no such role.")

# Whoever takes a super admin away holds all of them meanwhile, always in the same order: a second
# one waits, and then sees who is left.
LOCK_SUPER_ADMINS = text("""
    SELECT id FROM users
     WHERE role = 'super_admin' AND deletion_due_at IS NULL AND erased_at IS NULL
     ORDER BY id
       FOR UPDATE
""")
IS_ANYBODY = text("""
    SELECT EXISTS (SELECT FROM users
                    WHERE role = 'super_admin' AND deletion_due_at IS NULL AND erased_at IS NULL)
""")


async def change(session: AsyncSession, actor_id: UUID, user_id: UUID, role: str) -> User:
    """Give somebody a role. Their sessions get new tokens.

    Raises :class:`Forbidden` where the actor is no super_admin (any more) or means themselves,
    :class:`NotFound`, :class:`Invalid` for an unknown role.
    """
    if role not in ROLES:
        raise Invalid(NO_SUCH_ROLE, fields={"role": NO_SUCH_ROLE})
    if actor_id not in await _super_admins(session):
        raise Forbidden
    if actor_id == user_id:
        raise Forbidden(NOT_ONES_OWN, type="own_role")
    found = await session.scalar(
        select(User)
        .where(User.id == user_id, User.erased_at.is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if found is None:
        raise NotFound
    if found.role != role:
        await _set(session, found, role, actor_id)
    return found


async def create_super_admin(
    session: AsyncSession, settings: Settings, email: str
) -> tuple[str, str]:
    """Make somebody a super_admin, with a new account where they have none, for whoever has the
    command line.

    Answers their address as it is stored, and a link that signs them in once. Raises
    :class:`Invalid` for a malformed address.
    """
    address = service.normal_email(email)
    user = await service.sign_up_or_find(session, address)
    if user.role != SUPER_ADMIN:
        await _set(session, user, SUPER_ADMIN, None)
    token = await links.make(
        session,
        purpose="sign_in",
        email=address,
        browser_token=new_token(),  # no browser asked, so it takes a click in any
        next_path=f"/{user.locale}/dashboard",
        locale=user.locale,
        lifetime=LINK_LIFETIME,
    )
    return address, links.address(settings, "sign_in", token, user.locale)


async def refuse_last(session: AsyncSession, user: User) -> None:
    """Stop whoever is about to take a super_admin away from leaving none.

    Raises :class:`Conflict` (type ``last_super_admin``). Until the caller's transaction ends nobody
    else takes one away.
    """
    if user.role == SUPER_ADMIN and not await _super_admins(session) - {user.id}:
        raise Conflict(LAST_ONE, type="last_super_admin")


async def is_super_admin_there(session: AsyncSession) -> bool:
    """Whether anybody could give somebody else a role."""
    return bool(await session.scalar(IS_ANYBODY))


async def _super_admins(session: AsyncSession) -> set[UUID]:
    return set(await session.scalars(LOCK_SUPER_ADMINS))


async def _set(session: AsyncSession, user: User, role: str, actor_id: UUID | None) -> None:
    before, user.role = user.role, role
    await session.flush()
    await sessions.rotate_soon(session, user.id)
    await audit.record(
        session,
        actor_id=actor_id,
        action="role.changed",
        subject_type="user",
        subject_id=user.id,
        data={"from": before, "to": role},
    )
