"""The frame around every page: language, viewer, language switch; and how an answer is drawn."""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote

from babel.core import get_global, parse_locale
from litestar import Request
from litestar.datastructures import Cookie
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.accounts.guards import is_admin
from funmagic.accounts.models import User
from funmagic.accounts.oauth.ways import methods
from funmagic.assets.media import media_url
from funmagic.core.errors import NotFound
from funmagic.core.http import request_locale
from funmagic.core.i18n import LOCALES, language_name
from funmagic.core.settings import Settings
from funmagic.credits import service as credits
from funmagic.web.contexts import Language, Page, View, Viewer, WayIn, context
from funmagic.web.me.views import avatar_url
from funmagic.web.static import front_end

LOCALE_COOKIE = "fm_locale"
LOCALE_LIFETIME_S = 365 * 24 * 3600
# Pages show a person's own state: a browser may keep them, but asks before it shows them again.
PAGE_HEADERS = {"Cache-Control": "private, no-cache", "Vary": "Cookie"}
AnyRequest = Request[Any, Any, Any]


def known_locale(locale: str) -> str:
    """The locale of a page's address. Raises :class:`NotFound` for one we do not speak."""
    if locale not in LOCALES:
        raise NotFound
    return locale


async def viewer_of(session: AsyncSession, user: User | None) -> Viewer | None:
    """Who is signed in, with what they can spend."""
    if user is None:
        return None
    balance = await credits.balance_of(session, user.id)
    return as_viewer(user, balance.available)


def as_viewer(user: User, available: int) -> Viewer:
    """A signed-in person as pages see them; ``available`` is whole credits."""
    return Viewer(
        email=user.email,
        available=available,
        is_admin=is_admin(user),
        name=user.name,
        avatar_url=avatar_url(user),
        theme=user.theme,
        accent=user.accent,
        deletion_due_at=user.deletion_due_at,
    )


def path_on(next_path: str, locale: str) -> str:
    """Where to go on to on our own site; the root is the first page in the page's language."""
    return f"/{locale}/" if next_path == "/" else next_path


def led_on(next_path: str, locale: str) -> Redirect:
    """The way on for somebody who has just come in."""
    return Redirect(path_on(next_path, locale), status_code=303)


def asked_in(request: AnyRequest, locale: str) -> Redirect:
    """To the sign-in page, and back here from there."""
    query = f"?{request.url.query}" if request.url.query else ""
    here = quote(own_path(request) + query)
    return Redirect(f"/{locale}/sign-in?next={here}", status_code=303)


def own_path(request: AnyRequest) -> str:
    """The path of the request's address as a link has it, without its query."""
    return quote("/" + request.url.path.lstrip("/\\"))  # two slashes would lead to another site


def picture_of(implementation: str, thumbnail: str | None) -> str | None:
    """A tool's picture: what an admin chose, else the one its plug-in comes with."""
    built = f"tools/{implementation}-640.webp"
    return media_url(thumbnail) or (front_end().url(built) if front_end().has(built) else None)


def page_of(
    request: AnyRequest,
    viewer: Viewer | None,
    *,
    public: str | None = None,
    knows_viewer: bool = True,
) -> Page:
    """The frame of the page at the request's address; ``public`` is :attr:`Page.public_path`."""
    settings: Settings = request.app.state["settings"]
    locale = page_locale(request)
    path = own_path(request)
    query = f"?{request.url.query}" if request.url.query else ""
    return Page(
        locale=locale,
        path=path + query,
        viewer=viewer,
        languages=tuple(
            Language(code, language_name(code), _in_language(path, query, code), _region(code))
            for code in LOCALES
        ),
        dev_inbox=settings.dev_inbox_dir is not None,
        ways=tuple(WayIn(name, name.title()) for name in methods(settings)),
        knows_viewer=knows_viewer,
        origin=settings.public_url,
        public_path=public,
    )


def page_locale(request: AnyRequest) -> str:
    """The language of a page: its address says it, else ``lang``, else the person's last choice."""
    for named in (request.url.path.split("/")[1], request.query_params.get("lang")):
        if named in LOCALES:
            return named
    return request_locale(request)


def drawn(
    request: AnyRequest, template: str, page: Page, view: View, *, status_code: int = 200
) -> Template:
    """The page as an answer. A language chosen by address is remembered for the API's words."""
    settings: Settings = request.app.state["settings"]
    is_known = request.cookies.get(LOCALE_COOKIE) == page.locale
    return Template(
        template_name=template,
        context=context(page, view),
        status_code=status_code,
        headers=PAGE_HEADERS,
        cookies=[] if is_known else [locale_cookie(settings, page.locale)],
        media_type="text/html",
    )


def locale_cookie(settings: Settings, locale: str) -> Cookie:
    """By which a chosen language is remembered."""
    return Cookie(
        key=LOCALE_COOKIE,
        value=locale,
        max_age=LOCALE_LIFETIME_S,
        samesite="lax",
        secure=settings.secure_cookies,
    )


def _in_language(path: str, query: str, code: str) -> str:
    """This page's address in another language; pages without one in theirs take ``?lang=``."""
    first, _, rest = path.removeprefix("/").partition("/")
    if first in LOCALES:
        return f"/{code}/{rest}{query}"
    return f"{path}?lang={code}"


@cache
def _region(code: str) -> str:
    """A language with the region most of its readers are in, by Unicode's likely subtags."""
    language, territory, *_ = parse_locale(get_global("likely_subtags")[code])
    return f"{language}_{territory}"
