"""Browser sessions: an opaque token in a cookie, its hash in the database.

The token is made here and nowhere else: one brought along by the browser is never adopted, so a
session chosen by somebody else (fixation) cannot exist. It is exchanged once a day, when the person
proves again who they are, and when their rights change. Requests under way may carry the one
before: it stays good until its successor was used, and a minute longer. An answer that never
arrived therefore signs nobody out.

A session ends 14 days after its last use and 90 days after it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request
from sqlalchemy import and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts import cookies, devices, keys, mails
from funmagic.accounts.models import ApiKey, User, UserSession
from funmagic.audit import service as audit
from funmagic.core.clock import now
from funmagic.core.crypto import hash_token, new_token
from funmagic.core.errors import NotFound, Unauthenticated
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

SESSION_COOKIE = "fm_session"
BROWSER_COOKIE = "fm_browser"
SESSION_LIFETIME = timedelta(days=90)
IDLE_LIFETIME = timedelta(days=14)
BROWSER_LIFETIME = timedelta(days=1)  # as long as the mailed links that want the same browser
ROTATE_AFTER = timedelta(days=1)
#: For how long requests under way may carry the token before, once its successor was used.
OVERLAP = timedelta(seconds=60)
TOUCH_AFTER = timedelta(minutes=5)
MAX_LISTED = 100
WHO_KEY = "fm_who"
BAD_KEY = N_("This API key is unknown, revoked or expired.")

END = text("DELETE FROM sessions WHERE token_hash = :token_hash OR previous_hash = :token_hash")
END_DEAD = text("""
    DELETE FROM sessions
     WHERE expires_at < now()
        OR (user_id = :user_id AND last_used_at < now() - CAST(:idle AS interval))
""")
END_ONE = text("DELETE FROM sessions WHERE id = :id AND user_id = :user_id RETURNING id")
END_ALL = text("""
    DELETE FROM sessions WHERE user_id = :user_id AND id IS DISTINCT FROM CAST(:but AS uuid)
    RETURNING id
""")
# The condition is looked at again once the row is free: of simultaneous requests one writes. The
# second time a token is noted as used, its predecessor has long had its minute.
TOUCH = text("""
    UPDATE sessions
       SET last_used_at = now(),
           previous_hash = CASE WHEN last_used_at <= rotated_at THEN previous_hash END
     WHERE id = :id AND last_used_at = :last_used_at
""")
# Also decided by the row as it is then. Whoever comes with the token before has not proved anew who
# they are, so what was proved after it was exchanged does not count for them.
ROTATE = text("""
    UPDATE sessions
       SET token_hash = :new_hash, previous_hash = :presented, rotated_at = now(),
           last_used_at = now(),
           authenticated_at = CASE WHEN token_hash = :presented THEN authenticated_at
                                   ELSE created_at END
     WHERE id = :id AND token_hash = :seen_hash AND last_used_at = :last_used_at
    RETURNING id
""")
ROTATE_NOW = text("""
    UPDATE sessions
       SET token_hash = :new_hash, previous_hash = token_hash, rotated_at = now(),
           last_used_at = now(), authenticated_at = now()
     WHERE id = :id
    RETURNING expires_at
""")
ROTATE_SOON = text("""
    UPDATE sessions SET rotated_at = now() - CAST(:age AS interval)
     WHERE user_id = :user_id
""")


@dataclass(frozen=True, slots=True)
class Who:
    """Who asks, by a session or by a key. ``is_current`` is False where the browser came with the
    token before."""

    user: User
    session: UserSession | None = None
    is_current: bool = True
    key: ApiKey | None = None


async def sign_in(
    request: Request[Any, Any, Any], session: AsyncSession, user: User, *, method: str
) -> None:
    """Start a new session for ``user``; the one this browser had ends, whoever's it was.

    ``method`` is how they proved who they are: link, password, google, facebook or apple. It goes
    on record, and a browser they have not used before is told of by mail.
    """
    await _end_presented(request, session)
    await session.execute(END_DEAD, {"user_id": user.id, "idle": IDLE_LIFETIME})
    token, user_agent = new_token(), request.headers.get("user-agent", "")[:300]
    began = now()
    started = UserSession(
        id=new_id(),
        user_id=user.id,
        token_hash=hash_token(token),
        user_agent=user_agent,
        created_at=began,
        last_used_at=began,
        rotated_at=began,
        authenticated_at=began,
        expires_at=began + SESSION_LIFETIME,
        method=method,
    )
    session.add(started)
    is_new_device = await devices.note(request, session, user.id)
    browser, system = devices.words(user_agent)
    told = {"method": method, "browser": browser, "system": system, "isNewDevice": is_new_device}
    await audit.record_own(session, user.id, "session.started", told)
    if is_new_device:
        await _tell_of(started, user, request.app.state["resources"], session)
    cookies.put(request, SESSION_COOKIE, token, SESSION_LIFETIME)
    request.scope["state"][WHO_KEY] = Who(user, started)


async def sign_out(request: Request[Any, Any, Any], session: AsyncSession) -> None:
    """End this browser's session, in the database as well as in the browser."""
    await _end_presented(request, session)
    cookies.put(request, SESSION_COOKIE, "", timedelta(0))
    request.scope["state"][WHO_KEY] = None


async def user_of(request: Request[Any, Any, Any]) -> User | None:
    """Who asks, looked up once per request. ``Authorization`` makes cookies count for nothing."""
    found = await who(request)
    return found.user if found else None


async def current(request: Request[Any, Any, Any]) -> UserSession | None:
    """The session this browser is signed in by; None for strangers and programs."""
    found = await who(request)
    return found.session if found else None


async def who(request: Request[Any, Any, Any]) -> Who | None:
    """Who asks and by what, looked up once per request.

    Raises :class:`Unauthenticated` for a key that is unknown, revoked or expired.
    """
    state = request.scope["state"]
    if WHO_KEY not in state:
        state[WHO_KEY] = await _look_up(request)
    found: Who | None = state[WHO_KEY]
    return found


async def proved_at(request: Request[Any, Any, Any]) -> datetime | None:
    """When the person at this browser last proved who they are.

    None for strangers, programs, and whoever comes with a token that was exchanged since.
    """
    found = await who(request)
    if found is None or found.session is None or not found.is_current:
        return None
    return found.session.authenticated_at


async def authenticated_again(request: Request[Any, Any, Any], session: AsyncSession) -> None:
    """The person at this browser has just proved again who they are; the token changes.

    Whether it was they is the caller's to have found out. Raises :class:`Unauthenticated` where
    nobody is signed in.
    """
    found = await current(request)
    if found is None:
        raise Unauthenticated
    token = new_token()
    values = {"id": found.id, "new_hash": hash_token(token)}
    expires_at = await session.scalar(ROTATE_NOW, values)
    if expires_at is None:
        raise Unauthenticated
    cookies.put(request, SESSION_COOKIE, token, expires_at - now())


async def listed(session: AsyncSession, user_id: UUID) -> Sequence[UserSession]:
    """A person's sessions that are good, the last used first."""
    found = await session.scalars(
        select(UserSession)
        .where(UserSession.user_id == user_id, *_ALIVE)
        .order_by(UserSession.last_used_at.desc(), UserSession.id.desc())
        .limit(MAX_LISTED)
    )
    return found.all()


async def end(session: AsyncSession, user_id: UUID, session_id: UUID) -> None:
    """End one of a person's sessions. Raises :class:`NotFound`."""
    values = {"id": session_id, "user_id": user_id}
    if (await session.execute(END_ONE, values)).one_or_none() is None:
        raise NotFound
    await _record_end(session, user_id, 1)


async def end_all(session: AsyncSession, user_id: UUID, *, but: UUID | None = None) -> int:
    """End a person's sessions, all or all but one; answers how many there were."""
    values = {"user_id": user_id, "but": but}
    ended = len((await session.execute(END_ALL, values)).all())
    if ended:
        await _record_end(session, user_id, ended)
    return ended


async def rotate_soon(session: AsyncSession, user_id: UUID) -> None:
    """Exchange the tokens of a person whose rights have changed, each at its next use."""
    await session.execute(ROTATE_SOON, {"user_id": user_id, "age": ROTATE_AFTER})


def browser_token(request: Request[Any, Any, Any]) -> str | None:
    """The random value by which we recognise the browser that asked for a link."""
    return cookies.presented(request, BROWSER_COOKIE)


def mark_browser(request: Request[Any, Any, Any]) -> str:
    """The browser's own value, given to it now if it has none."""
    token = browser_token(request) or new_token()
    cookies.put(request, BROWSER_COOKIE, token, BROWSER_LIFETIME)
    return token


_ALIVE = (
    UserSession.expires_at > func.now(),
    UserSession.last_used_at > func.now() - IDLE_LIFETIME,
)
# Good is the newest token, and the one before until a minute after its successor's first use.
_OVERLAPS = or_(
    UserSession.last_used_at <= UserSession.rotated_at,
    UserSession.last_used_at > func.now() - OVERLAP,
)


async def _look_up(request: Request[Any, Any, Any]) -> Who | None:
    resources: Resources = request.app.state["resources"]
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return await _by_key(resources, authorization)
    token = cookies.presented(request, SESSION_COOKIE)
    return None if token is None else await _by_session(request, resources, token)


async def _by_key(resources: Resources, authorization: str) -> Who | None:
    """Other schemes than ours name nobody here: a proxy in front may want them."""
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return None
    async with resources.db.transaction() as session:
        found = await keys.find(session, secret.strip())
    if found is None:
        raise Unauthenticated(BAD_KEY, type="key_unusable")
    key, user = found
    return Who(user, key=key)


async def _by_session(
    request: Request[Any, Any, Any], resources: Resources, token: str
) -> Who | None:
    """One query, but for the few requests that have a use or an exchange to note."""
    presented = hash_token(token)
    statement = (
        select(UserSession, User, func.now())
        .join(User, User.id == UserSession.user_id)
        .where(
            or_(
                UserSession.token_hash == presented,
                and_(UserSession.previous_hash == presented, _OVERLAPS),
            ),
            *_ALIVE,
            User.erased_at.is_(None),
        )
    )
    async with resources.db.transaction() as session:
        row = (await session.execute(statement)).one_or_none()
        if row is None:
            return None
        found, user, asked_at = row
        await _keep_up(request, session, found, presented, asked_at)
        return Who(user, found, is_current=found.token_hash == presented)


async def _keep_up(
    request: Request[Any, Any, Any],
    session: AsyncSession,
    found: UserSession,
    presented: bytes,
    asked_at: datetime,
) -> None:
    """Note a session's use now and then, and exchange its token where that is due."""
    is_current = found.token_hash == presented
    is_unused = found.previous_hash is not None and found.last_used_at <= found.rotated_at
    age = asked_at - found.rotated_at
    if age >= ROTATE_AFTER if is_current else is_unused and age >= OVERLAP:
        await _rotate(request, session, found, presented, found.expires_at - asked_at)
    elif is_current and (is_unused or asked_at - found.last_used_at >= TOUCH_AFTER):
        await session.execute(TOUCH, {"id": found.id, "last_used_at": found.last_used_at})


async def _rotate(
    request: Request[Any, Any, Any],
    session: AsyncSession,
    found: UserSession,
    presented: bytes,
    left: timedelta,
) -> None:
    token = new_token()
    values = {
        "id": found.id,
        "new_hash": hash_token(token),
        "presented": presented,
        "seen_hash": found.token_hash,
        "last_used_at": found.last_used_at,
    }
    if (await session.execute(ROTATE, values)).one_or_none() is not None:
        cookies.put(request, SESSION_COOKIE, token, left)


async def _tell_of(
    started: UserSession, user: User, resources: Resources, session: AsyncSession
) -> None:
    """Post the mail by which a person hears of a sign-in that may not be theirs."""
    mail = mails.new_sign_in_mail(
        user.email,
        f"{resources.settings.public_url}/{user.locale}/forgot-password",
        user.locale,
        device=devices.described(started.user_agent, user.locale),
        at=started.created_at,
    )
    await mails.tell(resources, session, mail, kind="new_sign_in")


async def _end_presented(request: Request[Any, Any, Any], session: AsyncSession) -> None:
    token = cookies.presented(request, SESSION_COOKIE)
    if token is not None:
        await session.execute(END, {"token_hash": hash_token(token)})


async def _record_end(session: AsyncSession, user_id: UUID, count: int) -> None:
    await audit.record_own(session, user_id, "session.ended", {"count": count})
