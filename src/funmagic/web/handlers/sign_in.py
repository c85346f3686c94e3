"""The sign-in page and the pages beside it. Its two forms work without scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from litestar import get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery
from litestar.response import Redirect, Template

from funmagic.accounts import entrance, links
from funmagic.accounts.models import User
from funmagic.core.errors import FunMagicError
from funmagic.core.i18n import N_, translate
from funmagic.core.resources import Resources
from funmagic.web.account_contexts import AskView, SignInView, Way
from funmagic.web.pages import AnyRequest, drawn, known_locale, led_on, page_of, viewer_of

# What went wrong on the way through another company's page, by what the address says.
TROUBLES: Final = {
    "oauth_denied": N_("You did not go on there, so you are not signed in. Nothing has changed."),
    "oauth_failed": N_("Signing in there did not work. Please try again, or take another way."),
    "oauth_expired": N_("That took too long, or came from another browser. Please start again."),
    "oauth_taken": N_("That account is connected to another account here already."),
    "reauthentication_required": N_("Please confirm first that it is you."),
    "rate_limited": N_("Too many requests. Please wait."),
    "email_reserved": N_(
        "The account of this address was moved to another address a short time ago. You can take it"
        " back by the link we mailed you then."
    ),
    "oauth_email_needed": N_(
        "We did not learn your e-mail address there. Try again, or take another way."
    ),
}


@dataclass(frozen=True, slots=True)
class SignInForm:
    """The sign-in page's forms."""

    way: str = "link"
    email: str = ""
    password: str = ""
    next: str = "/"


@get("/{locale:str}/sign-in", include_in_schema=False)
async def show_sign_in(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
    error: FromQuery[str] = "",
) -> Template | Redirect:
    """All ways in; who is signed in already goes on, unless something went wrong on the way."""
    known_locale(locale)
    next_path = links.safe_next(request.query_params.get("next"))
    if user_or_none is not None and not error:
        return led_on(next_path, locale)
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
    view = SignInView(
        next_path=next_path,
        way="password" if request.query_params.get("with") == "password" else "link",
        trouble=trouble_of(error, locale),
    )
    return drawn(request, "pages/sign_in.html", page_of(request, viewer), view)


@post("/{locale:str}/sign-in", include_in_schema=False, status_code=200)
async def come_in(
    request: AnyRequest,
    locale: FromPath[str],
    data: Annotated[SignInForm, Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Template | Redirect:
    """Mail the link and say so, for known and unknown addresses alike; or take the password."""
    known_locale(locale)
    next_path = links.safe_next(data.next)
    way: Way = "password" if data.way == "password" else "link"
    page = page_of(request, None)
    try:
        if way == "password":
            await entrance.log_in(request, data.email, data.password)
            return led_on(next_path, locale)
        address = await entrance.ask_for_link(request, data.email, next=next_path, locale=locale)
    except FunMagicError as error:
        view = SignInView(
            next_path=next_path,
            way=way,
            email=data.email[:254],
            complaints=_complaints(error, way, locale),
        )
        return drawn(request, "pages/sign_in.html", page, view, status_code=error.status)
    view = SignInView(next_path=next_path, sent_to=address)
    return drawn(request, "pages/sign_in.html", page, view)


@get("/{locale:str}/register", include_in_schema=False)
async def show_register(
    request: AnyRequest, user_or_none: NamedDependency[User | None], locale: FromPath[str]
) -> Template | Redirect:
    """A new account with a password."""
    return _asked(request, user_or_none, locale, "pages/account/register.html")


@get("/{locale:str}/forgot-password", include_in_schema=False)
async def show_forgot_password(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    user_or_none: NamedDependency[User | None],
    locale: FromPath[str],
) -> Template:
    """A link to choose a new password."""
    known_locale(locale)
    async with resources.db.transaction() as session:
        viewer = await viewer_of(session, user_or_none)
    view = AskView(next_path=links.safe_next(request.query_params.get("next")))
    return drawn(request, "pages/account/forgot_password.html", page_of(request, viewer), view)


@get("/{locale:str}/sign-in/email", include_in_schema=False)
async def show_email_needed(
    request: AnyRequest, user_or_none: NamedDependency[User | None], locale: FromPath[str]
) -> Template | Redirect:
    """For people whose provider told no address: they say where a mail reaches them."""
    return _asked(request, user_or_none, locale, "pages/account/email_needed.html")


def trouble_of(kind: str, locale: str) -> str:
    """What to say of a round trip to a provider that came to nothing; "" where none did."""
    if kind in {"", "unauthenticated"}:
        return ""
    return translate(locale, TROUBLES.get(kind, TROUBLES["oauth_failed"]))


def _asked(
    request: AnyRequest, user: User | None, locale: str, template: str
) -> Template | Redirect:
    """A page for strangers; others go on."""
    known_locale(locale)
    next_path = links.safe_next(request.query_params.get("next"))
    if user is not None:
        return led_on(next_path, locale)
    attempt = request.query_params.get("attempt", "")[:100]
    is_sent = request.query_params.get("sent") == "1"
    view = AskView(next_path=next_path, attempt=attempt, is_sent=is_sent)
    return drawn(request, template, page_of(request, None), view)


def _complaints(error: FunMagicError, way: Way, locale: str) -> dict[str, str]:
    """What to say beside which field."""
    said = {
        name: translate(locale, message)
        for name, message in error.fields.items()
        if name in {"email", "password"}
    }
    beside = "password" if way == "password" else "email"
    return said or {beside: translate(locale, error.message, **error.params)}
