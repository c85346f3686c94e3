"""Signing in by a mailed link.

Opened in the browser that asked for it, the link signs in at once. Opened anywhere else (another
browser, a mail scanner, a preview) it shows whose link it is and one button: looking is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect, Template

from funmagic.accounts import service, sessions
from funmagic.accounts.limits import SignInLimits
from funmagic.accounts.models import User
from funmagic.accounts.service import ReadLink
from funmagic.core.errors import FunMagicError, Invalid
from funmagic.core.i18n import translate
from funmagic.core.resources import Resources
from funmagic.web.contexts import ConfirmView, SignInView
from funmagic.web.pages import AnyRequest, drawn, known_locale, page_of, viewer_of

MAX_TOKEN_CHARS = 100


@dataclass(frozen=True, slots=True)
class LinkForm:
    """The sign-in page's form."""

    email: str = ""
    next: str = "/"


@dataclass(frozen=True, slots=True)
class ConfirmForm:
    token: str = ""


@get("/{locale:str}/sign-in", include_in_schema=False)
async def show_sign_in(
    request: AnyRequest, user_or_none: NamedDependency[User | None], locale: FromPath[str]
) -> Template | Redirect:
    """The form; who is signed in already goes on."""
    known_locale(locale)
    next_path = service.safe_next(request.query_params.get("next"))
    if user_or_none is not None:
        return _on(next_path, locale)
    view = SignInView(next_path=next_path)
    return drawn(request, "pages/sign_in.html", page_of(request, None), view)


@post("/{locale:str}/sign-in", include_in_schema=False, status_code=200)
async def ask_for_link(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    locale: FromPath[str],
    data: Annotated[LinkForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Template:
    """Mail the link; the page says so, for known and unknown addresses alike."""
    known_locale(locale)
    next_path = service.safe_next(data.next)
    page = page_of(request, None)
    try:
        address = service.normal_email(data.email)
        limits: SignInLimits = request.app.state["sign_in_limits"]
        await limits.count(email=address, client=request.client.host if request.client else "")
        await service.request_magic_link(
            resources,
            address,
            next_path=next_path,
            locale=locale,
            browser_token=sessions.mark_browser(request),
        )
    except FunMagicError as error:
        complaint = translate(locale, error.message, **error.params)
        view = SignInView(next_path=next_path, email=data.email[:254], complaint=complaint)
        return drawn(request, "pages/sign_in.html", page, view, status_code=error.status)
    view = SignInView(next_path=next_path, sent_to=address)
    return drawn(request, "pages/sign_in.html", page, view)


@get("/{locale:str}/sign-in/confirm", include_in_schema=False)
async def open_link(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    token: FromQuery[str] = "",
) -> Template | Redirect:
    """Sign in where the link was asked for; elsewhere show it and ask."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        link = await service.read_magic_link(session, token[:MAX_TOKEN_CHARS])
        viewer = await viewer_of(session, user_or_none)
    if link is not None and user_or_none is not None and user_or_none.email == link.email:
        return _on(link.next_path, locale)
    usable = link is not None and link.usable
    if link is not None and usable and _is_same_browser(request, link):
        try:
            return await _redeemed(request, resources, token, link, locale)
        except Invalid:
            usable = False
    view = ConfirmView(
        token=token,
        email=link.email if link is not None and usable else None,
        next_path=link.next_path if link is not None else "/",
    )
    status_code = 200 if usable else 410
    return drawn(
        request, "pages/confirm.html", page_of(request, viewer), view, status_code=status_code
    )


@post("/{locale:str}/sign-in/confirm", include_in_schema=False)
async def confirm_link(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    locale: FromPath[str],
    data: Annotated[ConfirmForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Template | Redirect:
    """The button: use the link up and sign in."""
    known_locale(locale)
    token = data.token[:MAX_TOKEN_CHARS]
    async with resources.db.transaction() as session:
        link = await service.read_magic_link(session, token)
    if link is not None and link.usable:
        try:
            return await _redeemed(request, resources, token, link, locale)
        except Invalid:
            pass
    view = ConfirmView(token="", email=None, next_path=link.next_path if link else "/")
    page = page_of(request, None)
    return drawn(request, "pages/confirm.html", page, view, status_code=410)


async def _redeemed(
    request: AnyRequest, resources: Resources, token: str, link: ReadLink, locale: str
) -> Redirect:
    async with resources.db.transaction() as session:
        user = await service.redeem_magic_link(session, token)
        await sessions.sign_in(request, session, user, method="link")
    return _on(link.next_path, locale)


def _is_same_browser(request: AnyRequest, link: ReadLink) -> bool:
    """Whether a person in the asking browser opens the link, not something fetching ahead."""
    is_ahead = "prefetch" in request.headers.get("sec-purpose", "")
    return not is_ahead and link.asked_by(sessions.browser_token(request))


def _on(next_path: str, locale: str) -> Redirect:
    return Redirect(f"/{locale}/" if next_path == "/" else next_path, status_code=303)
