"""Passwords: what is taken, how it is kept, and what changes with it.

Kept is an argon2id hash (RFC 9106) with the parameters of the OWASP Password Storage Cheat Sheet.
Hashing takes some 20 ms and 19 MiB, so it is done in a few threads of its own and only so many wait
for it; for people we do not know, or who have no password, it is done all the same.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Final, TypeVar
from uuid import UUID

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from zxcvbn.frequency_lists import FREQUENCY_LISTS

from funmagic.accounts import links, sessions
from funmagic.accounts.mails import password_changed_mail, tell
from funmagic.accounts.models import User
from funmagic.audit import service as audit
from funmagic.core import errors
from funmagic.core.i18n import N_
from funmagic.core.resources import Resources

MIN_CHARS: Final = 8
MAX_CHARS: Final = 256
PRODUCT_NAME: Final = "funmagic"
HASHER: Final = PasswordHash((Argon2Hasher(time_cost=2, memory_cost=19_456, parallelism=1),))
THREADS: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="argon2")
MOST_WAITING: Final = 200  # some five seconds on two processors
RETRY_AFTER_S: Final = 5

T = TypeVar("T")
_waiting = 0

TOO_SHORT = N_("A password has at least 8 characters.")
TOO_LONG = N_("A password has at most 256 characters.")
NOT_TEXT = N_("This value is not valid.")
TOO_COMMON = N_("Too many people use this password. Please choose another.")
TOO_NEAR = N_("Please choose a password that is not your address or our name.")

SET = text("""
    UPDATE users SET password_hash = :password_hash,
           password_set_at = CASE WHEN CAST(:password_hash AS text) IS NOT NULL THEN now() END
     WHERE id = :user_id AND erased_at IS NULL
    RETURNING id
""")


def check(password: str, *, email: str) -> None:
    """Raises :class:`errors.Invalid` (field ``password``) for one we do not take from ``email``."""
    problem = _problem_of(normal(password), email)
    if problem is not None:
        raise errors.Invalid(problem, fields={"password": problem})


def normal(password: str) -> str:
    """As typed, but in one form where keyboards differ (Unicode NFC)."""
    return unicodedata.normalize("NFC", password)


async def hash_of(password: str) -> str:
    """What is kept of a password."""
    return await _in_thread(partial(HASHER.hash, _bytes(password)))


async def matches(password: str, password_hash: str | None) -> bool:
    """Whether this is the password. Without a hash it takes as long to say no."""
    if password_hash is None:
        await _in_thread(lambda: HASHER.verify(_bytes(password), _nobodys_hash()))
        return False
    return await _in_thread(partial(HASHER.verify, _bytes(password), password_hash))


def is_outdated(password_hash: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return HASHER.current_hasher.check_needs_rehash(password_hash)


async def set_password(
    resources: Resources,
    session: AsyncSession,
    user: User,
    password_hash: str | None,
    *,
    but_session: UUID | None = None,
) -> None:
    """Give a person a password, another one or, with None, none any more.

    All sessions but ``but_session`` end, links to set a password are worth nothing any more, and
    the person is told by mail. Raises :class:`errors.NotFound` for one who was erased meanwhile.
    """
    await write(session, user.id, password_hash)
    await sessions.end_all(session, user.id, but=but_session)
    await links.end(session, user.id, "reset_password")
    mail = password_changed_mail(
        user.email,
        f"{resources.settings.public_url}/{user.locale}/forgot-password",
        user.locale,
        is_removed=password_hash is None,
    )
    await tell(resources, session, mail, kind="password_changed")


async def write(session: AsyncSession, user_id: UUID, password_hash: str | None) -> None:
    """Store a password's hash, or that there is none. Raises :class:`errors.NotFound`."""
    values = {"user_id": user_id, "password_hash": password_hash}
    if (await session.execute(SET, values)).one_or_none() is None:
        raise errors.NotFound
    action = "password.changed" if password_hash else "password.removed"
    await audit.record_own(session, user_id, action)


def _problem_of(password: str, email: str) -> str | None:
    if len(password) < MIN_CHARS:
        return TOO_SHORT
    if len(password) > MAX_CHARS:
        return TOO_LONG
    if any(unicodedata.category(char) == "Cs" for char in password):
        return NOT_TEXT  # half a character: no keyboard makes one, and it has no UTF-8
    plain = password.casefold()
    if plain in {email, email.partition("@")[0], PRODUCT_NAME}:
        return TOO_NEAR
    return TOO_COMMON if plain in _common() else None


@cache
def _common() -> frozenset[str]:
    """The 30 000 passwords most often found in leaks, as the zxcvbn package ships them."""
    return frozenset(FREQUENCY_LISTS["passwords"])


@cache
def _nobodys_hash() -> str:
    return HASHER.hash("nobody has this password")


def _bytes(password: str) -> bytes:
    return normal(password)[: MAX_CHARS + 1].encode("utf-8", "surrogatepass")


async def _in_thread(work: Callable[[], T]) -> T:
    global _waiting  # the one queue of the process, touched by its event loop alone
    if _waiting >= MOST_WAITING:
        raise errors.Unavailable(retry_after_s=RETRY_AFTER_S)
    _waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(THREADS, work)
    finally:
        _waiting -= 1
