"""Round trips to providers: begun here, ended once, by the browser that began them.

``state`` is 256 random bits, kept as a hash like every token. An answer counts only with the cookie
of the browser that was sent away, so nobody can be signed in with somebody else's answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.models import OAuthAttempt
from funmagic.accounts.oauth.contract import Challenge, Person
from funmagic.core.clock import now
from funmagic.core.crypto import Vault, hash_token, new_token
from funmagic.core.ids import new_id

PURPOSES: Final = ("sign_in", "link", "reauthenticate")
LIFETIME: Final = timedelta(minutes=10)
#: How long somebody may take to say where a mail reaches them.
WAITING_LIFETIME: Final = timedelta(minutes=30)
ANSWER_FIELDS: Final = ("code", "error", "iss", "user")
MAX_FIELD_CHARS: Final = 4_000
MAX_STATE_CHARS: Final = 100

FORGET_OLD = text("DELETE FROM oauth_attempts WHERE expires_at < now() - interval '1 day'")
KEEP_ANSWER = text("""
    UPDATE oauth_attempts SET answer = :answer
     WHERE state_hash = :state_hash AND provider = :provider
       AND answer IS NULL AND used_at IS NULL AND expires_at > now()
""")
# Of simultaneous answers the first to lock the row ends it; the others then find it used.
TAKE = text("""
    WITH found AS (
        SELECT id, sealed, answer FROM oauth_attempts
         WHERE state_hash = :state_hash AND provider = :provider AND browser_hash = :browser_hash
           AND (answer IS NOT NULL) = :is_posted AND used_at IS NULL AND expires_at > now()
           FOR UPDATE
    )
    UPDATE oauth_attempts AS attempt SET used_at = now(), sealed = '', answer = NULL
      FROM found WHERE attempt.id = found.id
    RETURNING attempt.id, purpose, user_id, next_path, locale, found.sealed, found.answer
""")
FIND_OWN = text("""
    SELECT purpose, next_path, locale FROM oauth_attempts
     WHERE state_hash = :state_hash AND browser_hash = :browser_hash
""")
KEEP_PERSON = text("""
    UPDATE oauth_attempts SET answer = :answer, expires_at = :expires_at WHERE id = :id
""")
FIND_WAITING = text("""
    SELECT next_path, locale, answer FROM oauth_attempts
     WHERE id = :id AND browser_hash = :browser_hash
       AND used_at IS NOT NULL AND answer IS NOT NULL AND expires_at > now()
""")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A round trip that has just ended. ``answer`` is what was posted, where it is posted."""

    id: UUID
    purpose: str
    user_id: UUID | None
    next_path: str
    locale: str
    challenge: Challenge
    answer: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """Where a browser belongs that comes back to a round trip of its own which is over."""

    purpose: str
    next_path: str
    locale: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody a provider vouches for, of whom an address is still to be proved."""

    person: Person
    next_path: str
    locale: str


async def begin(
    session: AsyncSession,
    vault: Vault,
    *,
    provider: str,
    purpose: str,
    user_id: UUID | None,
    browser_token: str,
    redirect_uri: str,
    next_path: str,
    locale: str,
) -> Challenge:
    """Note that this browser is sent away, and what it must bring back."""
    await session.execute(FORGET_OLD)
    challenge = Challenge(
        state=new_token(),
        nonce=new_token(),
        verifier=new_token(),
        redirect_uri=redirect_uri,
        asks_again=purpose == "reauthenticate",
    )
    state_hash = hash_token(challenge.state)
    session.add(
        OAuthAttempt(
            id=new_id(),
            provider=provider,
            purpose=purpose,
            user_id=user_id,
            state_hash=state_hash,
            browser_hash=hash_token(browser_token),
            sealed=_seal(vault, state_hash.hex(), "challenge", asdict(challenge)),
            next_path=next_path,
            locale=locale,
            expires_at=now() + LIFETIME,
        )
    )
    return challenge


async def keep_answer(
    session: AsyncSession, vault: Vault, *, provider: str, state: str, form: Mapping[str, object]
) -> None:
    """Keep what a provider posted until the browser comes for it. The first one counts."""
    answer = {name: form[name] for name in ANSWER_FIELDS if name in form}
    if any(not isinstance(value, str) or len(value) > MAX_FIELD_CHARS for value in answer.values()):
        answer = {"error": "malformed"}
    state_hash = hash_token(state)
    values = {
        "state_hash": state_hash,
        "provider": provider,
        "answer": _seal(vault, state_hash.hex(), "answer", answer),
    }
    await session.execute(KEEP_ANSWER, values)


async def take(
    session: AsyncSession,
    vault: Vault,
    *,
    provider: str,
    state: str,
    browser_token: str | None,
    is_posted: bool,
) -> Attempt | None:
    """End the round trip that this browser comes back from; None where there is none (any more).

    One statement decides, so of any number of simultaneous answers one counts. The secrets go from
    the row with it.
    """
    if browser_token is None:
        return None
    state_hash = hash_token(state)
    values = {
        "state_hash": state_hash,
        "provider": provider,
        "browser_hash": hash_token(browser_token),
        "is_posted": is_posted,
    }
    row = (await session.execute(TAKE, values)).one_or_none()
    if row is None:
        return None
    challenge = Challenge(**_open(vault, state_hash.hex(), "challenge", row.sealed))
    answer = _open(vault, state_hash.hex(), "answer", row.answer) if is_posted else {}
    return Attempt(row.id, row.purpose, row.user_id, row.next_path, row.locale, challenge, answer)


async def ended(session: AsyncSession, state: str, browser_token: str | None) -> Ended | None:
    """The round trip of this browser's own that ``state`` once stood for."""
    if browser_token is None:
        return None
    values = {"state_hash": hash_token(state), "browser_hash": hash_token(browser_token)}
    row = (await session.execute(FIND_OWN, values)).one_or_none()
    return None if row is None else Ended(*row)


async def keep_person(
    session: AsyncSession, vault: Vault, attempt_id: UUID, person: Person
) -> None:
    """Let an ended round trip remember whom it brought, until they have said where a mail goes."""
    sealed = _seal(vault, str(attempt_id), "person", asdict(person))
    expires_at = now() + WAITING_LIFETIME
    await session.execute(
        KEEP_PERSON, {"id": attempt_id, "answer": sealed, "expires_at": expires_at}
    )


async def waiting(
    session: AsyncSession, vault: Vault, attempt_id: UUID, browser_token: str | None
) -> Waiting | None:
    """Whom a round trip of this browser brought; None once that is too long ago."""
    if browser_token is None:
        return None
    values = {"id": attempt_id, "browser_hash": hash_token(browser_token)}
    row = (await session.execute(FIND_WAITING, values)).one_or_none()
    if row is None:
        return None
    person = Person(**_open(vault, str(attempt_id), "person", row.answer))
    return Waiting(person, row.next_path, row.locale)


def _seal(vault: Vault, of: str, what: str, value: Mapping[str, object]) -> bytes:
    return vault.seal(json.dumps(value).encode(), context=f"oauth_attempts:{of}:{what}")


def _open(vault: Vault, of: str, what: str, sealed: bytes) -> dict[str, Any]:
    opened = json.loads(vault.open(sealed, context=f"oauth_attempts:{of}:{what}"))
    return dict(opened)
