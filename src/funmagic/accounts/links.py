"""Mailed links of every purpose: a random token, single use, of limited life.

The database keeps the SHA-256 of a token only. Looking at a link is free; using it is one
conditional UPDATE, so of any number of simultaneous uses one succeeds.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import MailedLink
from funmagic.core import errors
from funmagic.core.clock import now
from funmagic.core.crypto import hash_token, new_token
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.mail import Mail
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.mail.service import post

MAX_NEXT_CHARS: Final = 2_000
LIFETIMES: Final[Mapping[str, timedelta]] = {
    "sign_in": timedelta(minutes=10),
    "reauthenticate": timedelta(minutes=10),
    "confirm_account": timedelta(hours=24),
    "change_email": timedelta(hours=24),
    "link_identity": timedelta(hours=24),
    "reset_password": timedelta(minutes=30),
    "keep_email": timedelta(days=7),
}
PAGES: Final[Mapping[str, str]] = {
    "sign_in": "sign-in/confirm",
    "reauthenticate": "sign-in/confirm",
    "link_identity": "sign-in/confirm",
    "confirm_account": "verify-email",
    "reset_password": "reset-password",
    "change_email": "confirm-email",
    "keep_email": "keep-email",
}

# Nobody wants to return there, and the address of a link's page carries its token.
NO_RETURN = re.compile(
    r"\A/[a-z]{2}/(?:sign-in|register|forgot-password|reset-password|verify-email|confirm-email"
    r"|keep-email)(?:[/?#]|\Z)"
)

FIND = text("""
    SELECT id, purpose, email, user_id, next_path, locale, data, browser_hash,
           used_at IS NULL AND expires_at > now() AS usable
      FROM mailed_links WHERE token_hash = :token_hash AND purpose = ANY(:purposes)
""").columns(data=JSONB)
REDEEM = text("""
    UPDATE mailed_links SET used_at = now()
     WHERE token_hash = :token_hash AND purpose = ANY(:purposes)
       AND used_at IS NULL AND expires_at > now()
    RETURNING id, purpose, email, user_id, next_path, locale, data, browser_hash,
              true AS usable
""").columns(data=JSONB)
END = text("""
    UPDATE mailed_links SET used_at = now()
     WHERE user_id = :user_id AND purpose = ANY(:purposes) AND used_at IS NULL
""")
FORGET_OLD = text("DELETE FROM mailed_links WHERE expires_at < now() - interval '1 day'")


@dataclass(frozen=True, slots=True)
class ReadLink:
    """A link as looked at or as used up.

    ``usable`` is False once used or expired, seen before the use; ``email`` is where it went;
    ``data`` what its purpose needs besides.
    """

    id: UUID
    purpose: str
    email: str
    user_id: UUID | None
    next_path: str
    locale: str
    data: Mapping[str, Any]
    browser_hash: bytes
    usable: bool

    def asked_by(self, browser_token: str | None) -> bool:
        """Whether this browser is the one that asked for the link."""
        return browser_token is not None and secrets.compare_digest(
            hash_token(browser_token), self.browser_hash
        )


async def make(
    session: AsyncSession,
    *,
    purpose: str,
    email: str,
    browser_token: str,
    next_path: str | None,
    locale: str,
    lifetime: timedelta | None = None,
    user_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
) -> str:
    """A new link's token, to be mailed to ``email`` and kept nowhere.

    ``lifetime`` is the purpose's own (:data:`LIFETIMES`) where none is given; a ``next_path`` that
    is not a place on this site becomes ``/``.
    """
    token = new_token()
    await session.execute(FORGET_OLD)
    session.add(
        MailedLink(
            id=new_id(),
            purpose=purpose,
            email=email,
            user_id=user_id,
            token_hash=hash_token(token),
            browser_hash=hash_token(browser_token),
            next_path=safe_next(next_path),
            locale=locale,
            data=dict(data or {}),
            expires_at=now() + (lifetime or LIFETIMES[purpose]),
        )
    )
    await session.flush()
    return token


async def send(
    resources: Resources,
    session: AsyncSession,
    compose: Callable[[str, str, str], Mail],
    *,
    purpose: str,
    email: str,
    browser_token: str,
    next_path: str | None,
    locale: str,
    kind: str = "",
    user_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
) -> None:
    """Make a link and post the mail that carries it, in the caller's transaction.

    ``compose`` is one of :mod:`funmagic.accounts.mails`, called with the address, the link and the
    locale; ``kind`` names the mail for operators where the purpose alone does not.
    """
    token = await make(
        session,
        purpose=purpose,
        email=email,
        browser_token=browser_token,
        next_path=next_path,
        locale=locale,
        user_id=user_id,
        data=data,
    )
    mail = compose(email, address(resources.settings, purpose, token, locale), locale)
    await post(
        session,
        resources.vault,
        mail,
        kind=kind or purpose,
        expires_at=now() + LIFETIMES[purpose],
    )


def address(settings: Settings, purpose: str, token: str, locale: str) -> str:
    """The page a link of ``purpose`` opens, as it is mailed."""
    return f"{settings.public_url}/{locale}/{PAGES[purpose]}?token={token}"


async def read(session: AsyncSession, token: str, *purposes: str) -> ReadLink | None:
    """Look at a link of one of ``purposes`` without using it."""
    found = await session.execute(
        FIND, {"token_hash": hash_token(token), "purposes": list(purposes)}
    )
    row = found.one_or_none()
    return None if row is None else ReadLink(**row._asdict())


async def redeem(session: AsyncSession, token: str, *purposes: str) -> ReadLink:
    """Use a link of one of ``purposes`` up.

    Raises :class:`errors.Invalid` (type ``link_unusable``) for a link that is unknown, of another
    purpose, used or expired.
    """
    used = await session.execute(
        REDEEM, {"token_hash": hash_token(token), "purposes": list(purposes)}
    )
    row = used.one_or_none()
    if row is None:
        raise unusable()
    return ReadLink(**row._asdict())


def unusable() -> errors.Invalid:
    """What is said of a link that cannot be used, whatever the reason."""
    return errors.Invalid(
        N_("This link was already used or has expired. Please ask for a new one."),
        type="link_unusable",
    )


async def end(session: AsyncSession, user_id: UUID | None, *purposes: str) -> None:
    """Make the unused links of these purposes about one person worthless."""
    await session.execute(END, {"user_id": user_id, "purposes": list(purposes)})


def safe_next(path: str | None) -> str:
    """A path on our own site to go to after signing in; anything else becomes ``/``."""
    if (
        not path
        or len(path) > MAX_NEXT_CHARS
        or not path.startswith("/")
        or path.startswith(("//", "/\\"))
        or any(ord(char) < 33 for char in path)
        or "\\" in path
        or NO_RETURN.match(path)
    ):
        return "/"
    return path
