"""The pages mailed links open.

Opened in the browser that asked for it, a link that signs in does so at once. Opened anywhere else
(another browser, a mail scanner, a preview) it shows whose it is and one button: looking is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import quote

from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect, Template

from funmagic.accounts import links, reauthentication, service, sessions
from funmagic.accounts.links import ReadLink
from funmagic.accounts.models import User
from funmagic.accounts.oauth import service as oauth
from funmagic.accounts.oauth.contract import Refusal
from funmagic.core.errors import FunMagicError
from funmagic.core.i18n import N_, translate
from funmagic.core.resources import Resources
from funmagic.web.account_contexts import ConfirmView, LinkView
from funmagic.web.pages import (
    AnyRequest,
    drawn,
    known_locale,
    led_on,
    page_of,
    path_on,
    viewer_of,
)

MAX_TOKEN_CHARS: Final = 100
SIGNING_IN: Final = ("sign_in", "link_identity", "reauthenticate")
ELSEWHERE: Final = N_("Please open this link in the browser you asked from.")

# What to do where a link of a purpose cannot be used any more: words, page.
AGAIN: Final = {
    "confirm_account": (N_("Register again"), "register"),
    "reset_password": (N_("Get a new link"), "forgot-password"),
    "change_email": (N_("Go to your profile"), "profile"),
    "keep_email": (N_("Go to your profile"), "profile"),
    "reauthenticate": (N_("Go to your profile"), "profile"),
}


@dataclass(frozen=True, slots=True)
class TokenForm:
    token: str = ""


Form = Annotated[TokenForm, Body(media_type=RequestEncodingType.URL_ENCODED)]


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
    link = await read(resources, token, *SIGNING_IN)
    if link is None:
        return await answer(request, resources, user_or_none, spent(locale, None))
    if link.purpose == "sign_in" and user_or_none is not None and user_or_none.email == link.email:
        return led_on(link.next_path, locale)
    if not link.usable:
        return await answer(request, resources, user_or_none, spent(locale, link))
    if _is_same_browser(request, link):
        return await _used(request, resources, user_or_none, locale, token, link)
    if link.purpose != "sign_in":
        view = spent(locale, link, translate(locale, ELSEWHERE))
        return await answer(request, resources, user_or_none, view, status_code=403)
    view = ConfirmView(
        title=translate(locale, N_("Sign in as")),
        email=link.email,
        text=translate(
            locale,
            N_(
                "You opened the link in another browser than the one that asked for it. If this is"
                " you, go on."
            ),
        ),
        button=translate(locale, N_("Sign in")),
        icon="log-in",
        action_path=f"/{locale}/sign-in/confirm",
        token=token,
        is_usable=True,
    )
    return await answer(request, resources, user_or_none, view)


@post("/{locale:str}/sign-in/confirm", include_in_schema=False)
async def confirm_link(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    data: Form,
) -> Template | Redirect:
    """The button: use the link up and sign in."""
    known_locale(locale)
    link = await read(resources, data.token, *SIGNING_IN)
    if link is None or not link.usable:
        return await answer(request, resources, user_or_none, spent(locale, link))
    return await _used(request, resources, user_or_none, locale, data.token, link)


@get("/{locale:str}/verify-email", include_in_schema=False)
async def open_confirmation(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    token: FromQuery[str] = "",
) -> Template:
    """A new account's address: the browser that registered confirms it by itself, another one by
    the password."""
    known_locale(locale)
    link = await read(resources, token, "confirm_account")
    return await _link_page(
        request, resources, user_or_none, locale, token, link, "pages/account/verify_email.html"
    )


@get("/{locale:str}/reset-password", include_in_schema=False)
async def open_reset(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    token: FromQuery[str] = "",
) -> Template:
    """Choose a new password."""
    known_locale(locale)
    link = await read(resources, token, "reset_password")
    return await _link_page(
        request, resources, user_or_none, locale, token, link, "pages/account/reset_password.html"
    )


async def _link_page(
    request: AnyRequest,
    resources: Resources,
    user: User | None,
    locale: str,
    token: str,
    link: ReadLink | None,
    template: str,
) -> Template:
    if link is None or not link.usable:
        return await answer(request, resources, user, spent(locale, link))
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user)
    view = LinkView(
        token=token,
        email=link.email,
        next_path=path_on(link.next_path, locale),
        is_same_browser=_is_same_browser(request, link),
    )
    return drawn(request, template, page_of(request, viewer), view)


async def _used(
    request: AnyRequest,
    resources: Resources,
    user: User | None,
    locale: str,
    token: str,
    link: ReadLink,
) -> Template | Redirect:
    """Use a link up that signs in, or say why it could not be."""
    try:
        async with resources.db.transaction() as session:
            if link.purpose == "reauthenticate":
                await reauthentication.redeem(request, session, token)
            elif link.purpose == "link_identity":
                mark = sessions.browser_token(request)
                found, _ = await oauth.redeem_link(session, token, mark)
                await sessions.sign_in(request, session, found, method=link.data["provider"])
            else:
                found = await service.redeem_magic_link(session, token)
                await sessions.sign_in(request, session, found, method="link")
    except Refusal as refusal:
        return Redirect(f"/{locale}/sign-in?error={refusal.kind}", status_code=303)
    except FunMagicError as error:
        view = spent(locale, link, translate(locale, error.message, **error.params))
        return await answer(request, resources, user, view, status_code=error.status)
    return led_on(link.next_path, locale)


async def read(resources: Resources, token: str, *purposes: str) -> ReadLink | None:
    async with resources.db.transaction() as session:
        return await links.read(session, token[:MAX_TOKEN_CHARS], *purposes)


async def answer(
    request: AnyRequest,
    resources: Resources,
    user: User | None,
    view: ConfirmView,
    *,
    status_code: int = 0,
) -> Template:
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user)
    return drawn(
        request,
        "pages/confirm.html",
        page_of(request, viewer),
        view,
        status_code=status_code or (200 if view.is_usable else 410),
    )


def spent(locale: str, link: ReadLink | None, text: str = "") -> ConfirmView:
    """The page of a link that cannot be used (any more), with the way to another one."""
    button, page = AGAIN.get(link.purpose if link else "", (N_("Get a new link"), "sign-in"))
    next_path = f"?next={quote(link.next_path)}" if link and page != "profile" else ""
    said = text or translate(
        locale,
        N_("Every link works once, and for a limited time. Ask for a new one: it takes a moment."),
    )
    return ConfirmView(
        title=translate(locale, N_("This link cannot be used any more")),
        text=said,
        button=translate(locale, button),
        icon="link-2-off",
        action_path=f"/{locale}/{page}{next_path}",
    )


def _is_same_browser(request: AnyRequest, link: ReadLink) -> bool:
    """Whether a person in the asking browser opens the link, not something fetching ahead."""
    is_ahead = "prefetch" in request.headers.get("sec-purpose", "")
    return not is_ahead and link.asked_by(sessions.browser_token(request))
