"""What a request does at the door: limits, the service, one transaction, the cookie.

Pages and JSON call the same functions. An answer never says whether an address has an account, and
takes as long either way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar import Request

from funmagic.accounts import devices, links, passwords, recovery, registration, service, sessions
from funmagic.accounts.limits import SignInLimits
from funmagic.accounts.models import User
from funmagic.accounts.write_limits import client_of
from funmagic.core.errors import Forbidden, Unauthenticated
from funmagic.core.i18n import N_
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources

AnyRequest = Request[Any, Any, Any]


async def ask_for_link(request: AnyRequest, email: str, *, next: str | None, locale: str) -> str:
    """Mail a sign-in link; answers the address in our own form.

    Raises :class:`Invalid` for what is no address and :class:`TooManyRequests`.
    """
    return await _mail(request, email, service.request_magic_link, next=next, locale=locale)


async def register(
    request: AnyRequest, email: str, password: str, *, name: str, next: str | None, locale: str
) -> str:
    """Mail a link that makes an account with this password; answers the address in our own form.

    Raises :class:`Invalid` for what is no address or a password we do not take, and
    :class:`TooManyRequests`.
    """
    address = service.normal_email(email)
    passwords.check(password, email=address)
    await _may_mail(request, address)
    password_hash = await passwords.hash_of(password)
    resources = _resources(request)
    async with resources.db.transaction() as session:
        await registration.register(
            resources,
            session,
            address,
            password_hash=password_hash,
            name=name,
            next_path=next,
            locale=locale,
            browser_token=sessions.mark_browser(request),
        )
    return address


async def confirm_account(
    request: AnyRequest, token: str, *, password: str | None = None, without_password: bool = False
) -> tuple[User, str]:
    """Make the account and sign in; answers the person and the path they were on.

    The browser that asked needs nothing else. Any other brings the password that was registered, or
    goes on ``without_password``. Raises :class:`Invalid` (type ``link_unusable``),
    :class:`Forbidden` (``password_needed``), :class:`Unauthenticated` (``wrong_credentials``) and
    :class:`TooManyRequests`.
    """
    resources = _resources(request)
    async with resources.db.transaction() as session:
        link = await links.read(session, token, "confirm_account")
    if link is None or not link.usable:
        raise links.unusable()
    if not without_password and not link.asked_by(sessions.browser_token(request)):
        if password is None:
            raise Forbidden(
                N_("Please type the password you registered with."), type="password_needed"
            )
        await _prove(request, link.email, password, link.data["passwordHash"], is_known=False)
    async with resources.db.transaction() as session:
        user = await registration.confirm(
            resources, session, token, keeps_password=not without_password
        )
        await sessions.sign_in(request, session, user, method="link")
    return user, link.next_path


async def log_in(request: AnyRequest, email: str, password: str) -> User:
    """Sign in by password.

    Raises :class:`Invalid` for what is no address, :class:`Unauthenticated` (type
    ``wrong_credentials``) and :class:`TooManyRequests`.
    """
    address = service.normal_email(email)
    resources = _resources(request)
    async with resources.db.transaction() as session:
        user = await service.find(session, address)
        is_known = await devices.is_known(request, session, user.id if user else new_id())
    password_hash = user.password_hash if user and user.email_verified_at else None
    await _prove(request, address, password, password_hash, is_known=is_known)
    newer = None
    if password_hash is not None and passwords.is_outdated(password_hash):
        newer = await passwords.hash_of(password)
    async with resources.db.transaction() as session:
        found = await service.find(session, address, lock=True)
        if found is None or found.password_hash != password_hash:
            raise wrong_credentials()  # changed at this very moment
        if newer is not None:
            found.password_hash = newer
        await sessions.sign_in(request, session, found, method="password")
    return found


async def prove_password(request: AnyRequest, user: User, password: str) -> None:
    """Whether the person who is signed in knows their password.

    Raises :class:`Unauthenticated` (type ``wrong_credentials``) and :class:`TooManyRequests`.
    """
    async with _resources(request).db.transaction() as session:
        is_known = await devices.is_known(request, session, user.id)
    await _prove(request, user.email, password, user.password_hash, is_known=is_known)


async def ask_for_reset(request: AnyRequest, email: str, *, next: str | None, locale: str) -> str:
    """Mail a link to set a new password; answers the address in our own form.

    Raises :class:`Invalid` for what is no address and :class:`TooManyRequests`.
    """
    return await _mail(request, email, recovery.ask_for_reset, next=next, locale=locale)


async def reset_password(request: AnyRequest, token: str, password: str) -> tuple[User, str]:
    """Set the password and sign in; every other session ends. Answers the person and their path.

    Raises :class:`Invalid` for a link that cannot be used (``link_unusable``) or a password we do
    not take: the link stays good then.
    """
    resources = _resources(request)
    async with resources.db.transaction() as session:
        link = await links.read(session, token, "reset_password")
    if link is None or not link.usable:
        raise links.unusable()
    passwords.check(password, email=link.email)
    password_hash = await passwords.hash_of(password)
    async with resources.db.transaction() as session:
        user = await recovery.reset_password(resources, session, token, password_hash)
        await sessions.sign_in(request, session, user, method="link")
    return user, link.next_path


async def change_password(request: AnyRequest, user: User, password: str | None) -> None:
    """Set, change or (None) remove the password of the person signed in; other sessions end.

    Raises :class:`Invalid` for a password we do not take.
    """
    password_hash = None
    if password is not None:
        passwords.check(password, email=user.email)
        password_hash = await passwords.hash_of(password)
    current = await sessions.current(request)
    resources = _resources(request)
    async with resources.db.transaction() as session:
        await passwords.set_password(
            resources, session, user, password_hash, but_session=current.id if current else None
        )


async def ask_email_change(request: AnyRequest, user: User, email: str, *, locale: str) -> str:
    """Mail a link to the address the person signed in wants; answers it in our own form.

    Raises :class:`Invalid` for what is no address or theirs already, and :class:`TooManyRequests`.
    """
    address = await _may_mail(request, email)
    resources = _resources(request)
    async with resources.db.transaction() as session:
        await recovery.ask_email_change(
            resources,
            session,
            user,
            address,
            locale=locale,
            browser_token=sessions.mark_browser(request),
        )
    return address


async def confirm_email_change(request: AnyRequest, token: str) -> User:
    """Use the link mailed to a new address. Raises as the recovery's verb."""
    user_id: UUID | None = None
    if (user := await sessions.user_of(request)) is not None:
        user_id = user.id
    resources = _resources(request)
    async with resources.db.transaction() as session:
        return await recovery.confirm_email_change(
            resources,
            session,
            token,
            user_id=user_id,
            browser_token=sessions.browser_token(request),
        )


async def keep_email(request: AnyRequest, token: str) -> User:
    """Take an account back to its old address and sign in. Raises as the recovery's verb."""
    async with _resources(request).db.transaction() as session:
        user = await recovery.keep_email(session, token)
        await sessions.sign_in(request, session, user, method="link")
    return user


def wrong_credentials() -> Unauthenticated:
    """What is said of a wrong password and of an account there is not."""
    return Unauthenticated(
        N_("The e-mail address or the password is wrong."), type="wrong_credentials"
    )


async def _mail(
    request: AnyRequest,
    email: str,
    send: Callable[..., Awaitable[None]],
    *,
    next: str | None,
    locale: str,
) -> str:
    """Have ``send`` mail a link to this address; answers the address in our own form."""
    address = await _may_mail(request, email)
    resources = _resources(request)
    async with resources.db.transaction() as session:
        await send(
            resources,
            session,
            address,
            next_path=next,
            locale=locale,
            browser_token=sessions.mark_browser(request),
        )
    return address


async def _may_mail(request: AnyRequest, email: str) -> str:
    address = service.normal_email(email)
    async with _resources(request).db.transaction() as session:
        user = await service.find(session, address)
        is_known = await devices.is_known(request, session, user.id if user else new_id())
    await _limits(request).count_mail(email=address, client=client_of(request), is_known=is_known)
    return address


async def _prove(
    request: AnyRequest, email: str, password: str, password_hash: str | None, *, is_known: bool
) -> None:
    """Count the try, compare, and take it back where the password is right."""
    limits = _limits(request)
    await limits.count_try(email=email, client=client_of(request), is_known=is_known)
    if not await passwords.matches(password, password_hash):
        raise wrong_credentials()
    await limits.forget_tries(email=email, is_known=is_known)


def _limits(request: AnyRequest) -> SignInLimits:
    limits: SignInLimits = request.app.state["sign_in_limits"]
    return limits


def _resources(request: AnyRequest) -> Resources:
    resources: Resources = request.app.state["resources"]
    return resources
