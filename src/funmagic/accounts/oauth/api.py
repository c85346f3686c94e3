"""The way to a provider and back, and which accounts elsewhere are connected."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from limits import parse
from litestar import Request, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery, JSONBody
from litestar.response import Redirect
from pydantic import Field

from funmagic.accounts import sessions
from funmagic.accounts.guards import current_user, recently_authenticated
from funmagic.accounts.limits import SignInLimits
from funmagic.accounts.links import safe_next
from funmagic.accounts.models import Identity, User
from funmagic.accounts.oauth import attempts, service
from funmagic.accounts.oauth.attempts import Attempt, Waiting
from funmagic.accounts.oauth.contract import Denied, Expired, Person, Refusal, Way
from funmagic.accounts.oauth.ways import Ways
from funmagic.accounts.service import normal_email
from funmagic.accounts.write_limits import client_of
from funmagic.core.errors import Forbidden, FunMagicError, Invalid, NotFound, Unauthenticated
from funmagic.core.http import CamelModel, request_locale
from funmagic.core.i18n import LOCALES, N_
from funmagic.core.limits import Limiter
from funmagic.core.log import logger
from funmagic.core.resources import Resources

log = logger(__name__)

PATH = "/api/auth/oauth"
#: Posted to by Apple's own page: the one address that takes a form from another site.
APPLE_CALLBACK = f"{PATH}/apple/callback"
#: From one client: each keeps a row and may ask the provider.
STARTS = parse("60 per minute")
FIRST_SEGMENT = re.compile(r"/([a-z]{2})(?:[/?#]|\Z)")

AnyRequest = Request[Any, Any, Any]


class MethodsView(CamelModel):
    """How people may sign in here; ``oauth`` names providers."""

    password: bool
    magic_link: bool
    oauth: list[str]


class IdentityView(CamelModel):
    """An account elsewhere that signs in to this one."""

    provider: str
    email: str | None
    created_at: datetime
    last_used_at: datetime

    @classmethod
    def of(cls, identity: Identity) -> IdentityView:
        return cls(
            provider=identity.provider,
            email=identity.email,
            created_at=identity.created_at,
            last_used_at=identity.last_used_at,
        )


class IdentitiesView(CamelModel):
    items: list[IdentityView]


class EmailNeeded(CamelModel):
    """``attempt`` is what the page that asks for the address was called with."""

    attempt: UUID
    email: str = Field(max_length=400)


class SentView(CamelModel):
    sent: bool


@get("/methods", opt={"scope": None})
async def show_methods(request: AnyRequest) -> MethodsView:
    """Which ways in there are."""
    return MethodsView(password=True, magic_link=True, oauth=list(_ways(request).names))


@get("/oauth/{provider:str}", status_code=303)
async def start(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    provider: FromPath[str],
    next: FromQuery[str | None] = None,
    purpose: FromQuery[str] = "sign_in",
) -> Redirect:
    """Send the browser to a provider: to ``sign_in``, to ``link`` it to the account signed in here,
    or to ``reauthenticate``. It comes back to ``next``, a path on this site, or to the sign-in page
    with ``error``."""
    way = _ways(request).named(provider)
    _check_comes_from_here(request)
    limiter: Limiter = request.app.state["limiter"]
    await limiter.hit(STARTS, "oauth-start", client_of(request))
    if purpose not in attempts.PURPOSES:
        raise Invalid(fields={"purpose": N_("This value is not valid.")})
    next_path = safe_next(next)
    locale = _locale(request, next_path)
    try:
        user_id = await _whose(request, purpose)
        async with resources.db.transaction() as session:
            challenge = await attempts.begin(
                session,
                resources.vault,
                provider=way.name,
                purpose=purpose,
                user_id=user_id,
                browser_token=sessions.mark_browser(request),
                redirect_uri=f"{resources.settings.public_url}{PATH}/{way.name}/callback",
                next_path=next_path,
                locale=locale,
            )
        return _go(await way.address(challenge))
    except (Refusal, Forbidden, Unauthenticated) as error:
        return _went_wrong(error, way.name, next_path, locale)


@post(
    "/oauth/{provider:str}/callback", status_code=303, opt={"limit": "30 per minute", "scope": None}
)
async def receive(
    request: AnyRequest,
    resources: NamedDependency[Resources],
    provider: FromPath[str],
    data: Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Redirect:
    """An answer posted from the provider's own page, as Apple does. Our cookies do not come with
    it, so it decides nothing: it is kept, and the browser sent to ask for what it means."""
    way = _ways(request).named(provider)
    if not way.posts_its_answer:
        raise NotFound
    state = str(data.get("state", ""))[: attempts.MAX_STATE_CHARS]
    async with resources.db.transaction() as session:
        await attempts.keep_answer(
            session, resources.vault, provider=way.name, state=state, form=data
        )
    return _go(f"{PATH}/{way.name}/callback?{urlencode({'state': state})}")


@get("/oauth/{provider:str}/callback", status_code=303)
async def finish(
    request: AnyRequest, resources: NamedDependency[Resources], provider: FromPath[str]
) -> Redirect:
    """The browser is back from a provider."""
    way = _ways(request).named(provider)
    given = dict(request.query_params.items())
    async with resources.db.transaction() as session:
        attempt = await attempts.take(
            session,
            resources.vault,
            provider=way.name,
            state=given.get("state", ""),
            browser_token=sessions.browser_token(request),
            is_posted=way.posts_its_answer,
        )
    if attempt is None:
        return await _nobody_waits(request, resources, way, given)
    try:
        answer = attempt.answer if way.posts_its_answer else given
        person = await way.person(answer, attempt.challenge)
        return await _welcome(request, resources, attempt, person)
    except (Refusal, FunMagicError) as error:
        return _went_wrong(error, way.name, attempt.next_path, attempt.locale)


@post("/oauth/email", status_code=202, opt={"limit": "10 per minute"})
async def mail_link(
    request: AnyRequest, resources: NamedDependency[Resources], data: JSONBody[EmailNeeded]
) -> SentView:
    """Mail a link to somebody whose provider named no address. It works in this browser."""
    email = normal_email(data.email)
    async with resources.db.transaction() as session:
        waiting = await attempts.waiting(
            session, resources.vault, data.attempt, sessions.browser_token(request)
        )
    if waiting is None:
        raise Invalid(N_("This took too long. Please start again."), type=Expired.kind)
    await _mail_link(request, resources, waiting, email)
    return SentView(sent=True)


@get("/identities")
async def list_identities(
    user: NamedDependency[User], resources: NamedDependency[Resources]
) -> IdentitiesView:
    """The accounts elsewhere that sign in to one's own."""
    async with resources.db.transaction() as session:
        found = await service.identities_of(session, user.id)
    return IdentitiesView(items=[IdentityView.of(identity) for identity in found])


@delete("/identities/{provider:str}", status_code=204, guards=[recently_authenticated])
async def remove_identity(
    user: NamedDependency[User], resources: NamedDependency[Resources], provider: FromPath[str]
) -> None:
    """Disconnect an account elsewhere. A mailed link still signs in."""
    async with resources.db.transaction() as session:
        await service.disconnect(session, user.id, provider)


async def _welcome(
    request: AnyRequest, resources: Resources, attempt: Attempt, person: Person
) -> Redirect:
    """Do what the browser was sent away for, now that it is known who came back."""
    if attempt.purpose == "sign_in":
        return await _sign_in(request, resources, attempt, person)
    user = await sessions.user_of(request)
    if user is None or user.id != attempt.user_id:
        raise Expired("somebody else is signed in by now")
    async with resources.db.transaction() as session:
        if attempt.purpose == "link":
            await service.add(session, resources, user, person)
        else:
            await service.confirm(session, user.id, person)
            await sessions.authenticated_again(request, session)
    return _go(attempt.next_path)


async def _sign_in(
    request: AnyRequest, resources: Resources, attempt: Attempt, person: Person
) -> Redirect:
    """Sign in whom an account or a verified address is known of; ask the others for theirs."""
    async with resources.db.transaction() as session:
        user = await service.arrive(session, person, locale=attempt.locale)
        if user is not None:
            await sessions.sign_in(request, session, user, method=person.provider)
            return _go(attempt.next_path)
        await attempts.keep_person(session, resources.vault, attempt.id, person)
    page = {"attempt": str(attempt.id)}
    email = service.address_of(person)
    if email is not None:
        waiting = Waiting(person, attempt.next_path, attempt.locale)
        await _mail_link(request, resources, waiting, email)
        page["sent"] = "1"
    return _go(f"/{attempt.locale}/sign-in/email?{urlencode(page)}")


async def _mail_link(
    request: AnyRequest, resources: Resources, waiting: Waiting, email: str
) -> None:
    limits: SignInLimits = request.app.state["sign_in_limits"]
    await limits.count_mail(email=email, client=client_of(request))
    async with resources.db.transaction() as session:
        await service.mail_link(
            session, resources, waiting, email, browser_token=sessions.mark_browser(request)
        )


async def _nobody_waits(
    request: AnyRequest, resources: Resources, way: Way, given: dict[str, str]
) -> Redirect:
    """An answer without a round trip under way in this browser: a page loaded again, one that took
    too long, or somebody else's. Who was signed in by it already goes on."""
    async with resources.db.transaction() as session:
        ended = await attempts.ended(
            session, given.get("state", ""), sessions.browser_token(request)
        )
    if ended is None:
        said_no = given.get("error") in way.denials
        error = Denied("without a state") if said_no else Expired("unknown here")
        return _went_wrong(error, way.name, "/", request_locale(request))
    if ended.purpose == "sign_in" and await sessions.user_of(request) is not None:
        return _go(ended.next_path)
    return _went_wrong(Expired("over"), way.name, ended.next_path, ended.locale)


async def _whose(request: AnyRequest, purpose: str) -> UUID | None:
    """Whose account this is about. Raises :class:`Unauthenticated`, and :class:`Forbidden` where
    connecting wants a proof that is too long ago."""
    if purpose == "sign_in":
        return None
    if purpose == "link":
        await recently_authenticated(request, request.route_handler)
    return (await current_user(request)).id


def _check_comes_from_here(request: AnyRequest) -> None:
    """Another site cannot send a person on this way, whose end may change their account. Browsers
    that do not say where they come from are believed: their cookies are theirs all the same."""
    if request.headers.get("sec-fetch-site", "") in {"cross-site", "same-site"}:
        raise Forbidden(type="cross_site")


def _ways(request: AnyRequest) -> Ways:
    ways: Ways = request.app.state["ways"]
    return ways


def _locale(request: AnyRequest, next_path: str) -> str:
    """The language of the page the person comes from, as far as its address tells."""
    found = FIRST_SEGMENT.match(next_path)
    return found[1] if found and found[1] in LOCALES else request_locale(request)


def _went_wrong(
    error: Refusal | FunMagicError, provider: str, next_path: str, locale: str
) -> Redirect:
    """Back to the sign-in page, which says what happened by its kind."""
    kind = error.kind if isinstance(error, Refusal) else error.type
    log.warning("not signed in", provider=provider, kind=kind, reason=str(error))
    return _go(f"/{locale}/sign-in?next={quote(next_path, safe='/')}&error={kind}")


def _go(address: str) -> Redirect:
    return Redirect(address, status_code=303)


router = Router(
    "/api/auth",
    route_handlers=[
        show_methods,
        start,
        receive,
        finish,
        mail_link,
        list_identities,
        remove_identity,
    ],
)
