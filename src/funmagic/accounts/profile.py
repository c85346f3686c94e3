"""What people say of themselves and how they want the product to look."""

from __future__ import annotations

import unicodedata
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import User
from funmagic.accounts.preferences import ACCENTS, THEMES
from funmagic.core import errors
from funmagic.core.i18n import LOCALES, N_

MAX_NAME_CHARS: Final = 100
# Joiners are part of words in some scripts and of many emoji; they are not seen by themselves.
JOINERS: Final = "\u200c\u200d"
# Unicode general categories: control, format, surrogate, private, unassigned, separators of lines.
NEVER_IN_A_NAME: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

BAD_NAME: Final = N_("A name has at most 100 characters, all of them visible.")
UNKNOWN_CHOICE: Final = N_("This is none of the choices.")


async def change(
    session: AsyncSession,
    user_id: UUID,
    *,
    name: str | None = None,
    theme: str | None = None,
    accent: str | None = None,
    locale: str | None = None,
) -> User:
    """Change what is given and return the person as they are then.

    Raises :class:`errors.Invalid`, with every field that cannot be as it is given, and
    :class:`errors.NotFound` for a person who was erased meanwhile.
    """
    wrong: dict[str, str] = {}
    changed: dict[str, Any] = {}
    if name is not None:
        changed["name"] = plain = plain_name(name)
        if plain is None:
            wrong["name"] = BAD_NAME
    for field, value, known in (
        ("theme", theme, THEMES),
        ("accent", accent, ACCENTS),
        ("locale", locale, LOCALES),
    ):
        if value is not None:
            changed[field] = value
            if value not in known:
                wrong[field] = UNKNOWN_CHOICE
    if wrong:
        raise errors.Invalid(fields=wrong)
    user = await _held(session, user_id)
    for field, value in changed.items():
        setattr(user, field, value)
    return user


async def set_avatar(session: AsyncSession, user_id: UUID, key: str | None) -> str | None:
    """Have the picture stored under ``key``, or none; returns the key of the one before.

    The person's row is locked first, so of two changes at once the second sees the first one's.
    Raises :class:`errors.NotFound` for a person who was erased.
    """
    user = await _held(session, user_id)
    before = user.avatar_key
    user.avatar_key = key
    await session.flush()
    return before


def plain_name(name: str) -> str | None:
    """The name in normal form C with single spaces; None where it cannot be shown as one.

    Refused are control and format characters (directions written by hand among them), and a name
    in which nothing can be seen. The empty name is fine.
    """
    if any(unicodedata.category(char) in NEVER_IN_A_NAME and char not in JOINERS for char in name):
        return None
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    is_seen = any(unicodedata.category(char)[0] in "LNPS" for char in plain)
    if len(plain) > MAX_NAME_CHARS or (plain and not is_seen):
        return None
    return plain


async def _held(session: AsyncSession, user_id: UUID) -> User:
    """The person as they are now, changed by nobody else before the transaction ends."""
    user = await session.get(User, user_id, populate_existing=True, with_for_update=True)
    if user is None or user.erased_at is not None:
        raise errors.NotFound
    return user
