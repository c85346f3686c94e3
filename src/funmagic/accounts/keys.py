"""Keys by which programs act for a person: made once, shown once, kept as hashes.

``Authorization: Bearer fm_…`` stands in the place of a session. What a key may do is the scopes it
was made with; a handler says by ``opt={"scope": "tasks:write"}`` which one it wants, and one that
says nothing is closed to keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import ApiKey, User
from funmagic.audit import service as audit
from funmagic.core.clock import now
from funmagic.core.crypto import hash_token, new_token
from funmagic.core.errors import Conflict, Invalid, NotFound
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id

SCOPES: Final = (
    "tasks:read",
    "tasks:write",
    "assets:read",
    "assets:write",
    "credits:read",
    "profile:read",
)
PREFIX: Final = "fm_"
KEY_CHARS: Final = len(PREFIX) + 43
HINT_CHARS: Final = 8
MAX_KEYS: Final = 25
MAX_NAME_CHARS: Final = 100
MAX_LIFETIME_DAYS: Final = 3_650
NOTE_USE_AFTER: Final = timedelta(minutes=1)

NO_NAME = N_("Give the key a name of 1 to 100 characters.")
NO_SCOPE = N_("Choose what the key may do.")
TOO_MANY = N_("You have as many keys as one can have. Revoke one first.")

# Of simultaneous requests one writes: the condition is looked at again once the row is free.
NOTE_USE = text("""
    UPDATE api_keys SET last_used_at = now()
     WHERE id = :id AND coalesce(last_used_at < now() - CAST(:after AS interval), true)
""")
LOCK_OWNER = text("SELECT id FROM users WHERE id = :user_id FOR UPDATE")
REVOKE = text("""
    UPDATE api_keys SET revoked_at = now()
     WHERE id = :id AND user_id = :user_id AND revoked_at IS NULL
    RETURNING name, hint
""")
REVOKE_ALL = text("""
    UPDATE api_keys SET revoked_at = now() WHERE user_id = :user_id AND revoked_at IS NULL
    RETURNING id
""")

_GOOD = (
    ApiKey.revoked_at.is_(None),
    or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now()),
)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. ``secret`` is the key itself: this is the one time it is known."""

    row: ApiKey
    secret: str


async def create(
    session: AsyncSession,
    user_id: UUID,
    *,
    name: str,
    scopes: Sequence[str],
    lifetime: timedelta | None,
) -> NewKey:
    """Make a key; without ``lifetime`` it is good until revoked.

    Raises :class:`Invalid` for a bad name or scopes, :class:`Conflict` (type ``too_many_keys``) at
    the 26th key that is good.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise Invalid(NO_NAME, fields={"name": NO_NAME})
    if not scopes or not set(scopes) <= set(SCOPES):
        raise Invalid(NO_SCOPE, fields={"scopes": NO_SCOPE})
    await session.execute(LOCK_OWNER, {"user_id": user_id})
    if len(await listed(session, user_id)) >= MAX_KEYS:
        raise Conflict(TOO_MANY, type="too_many_keys")
    secret = PREFIX + new_token()
    made_at = now()
    row = ApiKey(
        id=new_id(),
        user_id=user_id,
        name=name,
        hint=secret[:HINT_CHARS],
        token_hash=hash_token(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        created_at=made_at,
        expires_at=made_at + lifetime if lifetime else None,
    )
    session.add(row)
    told = {"name": name, "hint": row.hint, "scopes": row.scopes}
    await _record(session, "key.created", user_id, row.id, told)
    return NewKey(row, secret)


async def listed(session: AsyncSession, user_id: UUID) -> Sequence[ApiKey]:
    """A person's keys that are good, newest first."""
    found = await session.scalars(
        select(ApiKey)
        .where(ApiKey.user_id == user_id, *_GOOD)
        .order_by(ApiKey.id.desc())
        .limit(MAX_KEYS)
    )
    return found.all()


async def revoke(session: AsyncSession, user_id: UUID, key_id: UUID) -> None:
    """End a key at once. Raises :class:`NotFound` for one that is not theirs, or was revoked."""
    row = (await session.execute(REVOKE, {"id": key_id, "user_id": user_id})).one_or_none()
    if row is None:
        raise NotFound
    await _record(session, "key.revoked", user_id, key_id, {"name": row.name, "hint": row.hint})


async def revoke_all(session: AsyncSession, user_id: UUID) -> None:
    """End every key of a person at once."""
    for key_id in await session.scalars(REVOKE_ALL, {"user_id": user_id}):
        await _record(session, "key.revoked", user_id, key_id, {})


async def find(session: AsyncSession, presented: str) -> tuple[ApiKey, User] | None:
    """The key and its owner, where it is good: one query, and a write at most once a minute."""
    if len(presented) != KEY_CHARS or not presented.startswith(PREFIX):
        return None
    statement = (
        select(ApiKey, User, func.now())
        .join(User, User.id == ApiKey.user_id)
        .where(ApiKey.token_hash == hash_token(presented), *_GOOD, User.erased_at.is_(None))
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    key, user, asked_at = row
    if key.last_used_at is None or asked_at - key.last_used_at >= NOTE_USE_AFTER:
        await session.execute(NOTE_USE, {"id": key.id, "after": NOTE_USE_AFTER})
    return key, user


async def _record(
    session: AsyncSession, action: str, user_id: UUID, key_id: UUID, data: Mapping[str, object]
) -> None:
    await audit.record_own(session, user_id, action, {"keyId": str(key_id), **data})
