"""Facebook Login, as an app on the web meets it; and this simulator's controls.

Everything lies below ``/facebook``, of any version: ``v26.0/dialog/oauth`` is www.facebook.com's
page, here one to choose a demo person on; ``v26.0/oauth/access_token`` and ``v26.0/me`` are
graph.facebook.com. Any app id is welcome, with any secret that does not contain ``bad``. People may
keep their e-mail address to themselves, and some have none. Errors come as Facebook words them.

Control, JSON in camelCase: ``POST control/faults`` (:class:`~funmagic.simulators.faults.Fault`, at
one of :data:`POINTS`), ``POST control/expiry`` (no token is good any more: code 190),
``GET control/requests``, ``DELETE control`` for a clean slate.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

from litestar import Litestar, Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.pydantic import PydanticPlugin
from litestar.response import Redirect

from funmagic.simulators.consent import Kept, Somebody, draw, is_ours
from funmagic.simulators.faults import (
    ASGIApp,
    Fault,
    FaultLayer,
    Scope,
    Trouble,
    Visit,
    bearer_of,
)

POINTS = ("dialog", "token", "me")
PATH = re.compile(r"/facebook/v[0-9]+\.[0-9]+/(dialog/oauth|oauth/access_token|me)")
POINT_OF = {"dialog/oauth": "dialog", "oauth/access_token": "token", "me": "me"}
PEOPLE = {
    person.id: person
    for person in (
        Somebody("10150000000000001", "Ada", "Lovelace", "ada@example.com"),
        Somebody("10150000000000002", "Finn", "Field", "finn@example.com"),
        Somebody("10150000000000003", "Gil", "Grove", None),
    )
}
CHOICES = (("share", "Share my e-mail address"), ("keep", "Keep it to myself"))
CODE_LIFETIME_S = 600
TOKEN_LIFETIME_S = 5_184_000  # sixty days

AnyRequest = Request[Any, Any, Any]


class GraphError(Exception):
    """An error as the Graph API words it."""

    def __init__(self, code: int, message: str, type: str = "OAuthException") -> None:
        self.code = code
        self.message = message
        self.type = type


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code, and then a token, is good for. ``secret`` is the app's, once it has shown it."""

    person: Somebody
    shares_email: bool
    client_id: str
    redirect_uri: str
    made_at: float
    secret: str = ""


class Facebook:
    """One simulated Facebook: the codes and tokens it gave out, the trouble it makes."""

    def __init__(self) -> None:
        self.codes: Kept[Grant] = Kept()
        self.tokens: Kept[Grant] = Kept()
        self.trouble = Trouble(POINTS)

    def clear(self) -> None:
        self.codes.clear()
        self.tokens.clear()
        self.trouble.clear()

    def redeem(self, form: dict[str, str]) -> dict[str, Any]:
        """The answer to a code. Raises :class:`GraphError`."""
        secret = form.get("client_secret", "")
        if not secret or "bad" in secret:
            raise GraphError(1, "Error validating client secret.")
        if form.get("redirect_uri") is None:
            raise GraphError(191, "Missing redirect_uri parameter.")
        grant = self.codes.take(form.get("code", ""))
        if grant is None or time.time() - grant.made_at > CODE_LIFETIME_S:
            raise GraphError(100, "This authorization code has been used.")
        if (grant.client_id, grant.redirect_uri) != (form.get("client_id"), form["redirect_uri"]):
            raise GraphError(100, "Error validating verification code.")
        owned = Grant(
            grant.person,
            grant.shares_email,
            grant.client_id,
            grant.redirect_uri,
            grant.made_at,
            secret,
        )
        return {
            "access_token": self.tokens.put(owned, "EAAB"),
            "token_type": "bearer",
            "expires_in": TOKEN_LIFETIME_S,
        }

    def profile(self, token: str, proof: str | None, fields: str) -> dict[str, Any]:
        """What a token lets an app know. Raises :class:`GraphError`."""
        grant = self.tokens.get(token)
        if grant is None:
            raise GraphError(190, "Error validating access token: The session has expired.")
        wanted = hmac.new(grant.secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if proof is not None and proof != wanted:
            raise GraphError(100, "Invalid appsecret_proof provided in the API argument")
        person = grant.person
        known = {"id": person.id, "name": person.name}
        if grant.shares_email and person.email is not None:
            known["email"] = person.email
        asked = {"id", *fields.split(",")}
        return {name: value for name, value in known.items() if name in asked}


def application(origin: str, folder: Path) -> ASGIApp:
    """This provider as it is served below ``{origin}/facebook``."""
    facebook = Facebook()
    app = Litestar(
        route_handlers=[*_protocol(facebook), *_control(facebook)],
        exception_handlers={GraphError: in_facebooks_words},
        plugins=[PydanticPlugin(prefer_alias=True)],
        openapi_config=None,
        logging_config=None,
    )
    return FaultLayer(cast(ASGIApp, app), facebook.trouble, read)


def read(scope: Scope) -> Visit | None:
    """A request in Facebook's terms; None for control routes and what Facebook does not know."""
    found = PATH.fullmatch(scope["path"])
    return Visit(POINT_OF[found[1]], scope["method"], scope["path"]) if found else None


def in_facebooks_words(_: AnyRequest, error: GraphError) -> Response[dict[str, Any]]:
    told = {
        "message": error.message,
        "type": error.type,
        "code": error.code,
        "fbtrace_id": secrets.token_urlsafe(8),
    }
    return Response({"error": told}, status_code=400)


def _protocol(facebook: Facebook) -> list[HTTPRouteHandler]:
    @get("/facebook/{version:str}/dialog/oauth")
    async def ask(request: AnyRequest) -> Response[str]:
        asked = dict(request.query_params.items())
        wrong = _wrong_with(asked)
        if wrong is not None:
            return _draw("refused.html", status=400, reason=wrong)
        return _draw(
            "people.html",
            goes_to=asked["redirect_uri"],
            people=PEOPLE.values(),
            choices=CHOICES,
        )

    @post("/facebook/{version:str}/dialog/oauth", status_code=302)
    async def answer(request: AnyRequest) -> Response[str] | Redirect:
        asked = dict(request.query_params.items())
        form = await request.form()
        person = PEOPLE.get(str(form.get("person", "")))
        wrong = _wrong_with(asked)
        if wrong is not None:
            return _draw("refused.html", status=400, reason=wrong)
        told = {"state": asked.get("state", "")}
        if person is None:
            told |= {
                "error": "access_denied",
                "error_code": "200",
                "error_description": "Permissions error",
                "error_reason": "user_denied",
            }
        else:
            shares = form.get("email") != "keep" and "email" in asked.get("scope", "")
            grant = Grant(person, shares, asked["client_id"], asked["redirect_uri"], time.time())
            told["code"] = facebook.codes.put(grant, "AQ")
        return Redirect(f"{asked['redirect_uri']}?{urlencode(told)}#_=_", status_code=302)

    @post("/facebook/{version:str}/oauth/access_token", status_code=200)
    async def token(request: AnyRequest) -> dict[str, Any]:
        form = await request.form()
        return facebook.redeem({name: str(value) for name, value in form.items()})

    @get("/facebook/{version:str}/me")
    async def me(request: AnyRequest) -> dict[str, Any]:
        query = request.query_params
        shown = bearer_of(request.scope["headers"], "bearer") or query.get("access_token")
        return facebook.profile(
            shown or "", query.get("appsecret_proof"), query.get("fields", "id,name")
        )

    return [ask, answer, token, me]


def _control(facebook: Facebook) -> list[HTTPRouteHandler]:
    @post("/facebook/control/faults", status_code=204)
    async def add_fault(data: Fault) -> None:
        facebook.trouble.add(data)

    @post("/facebook/control/expiry", status_code=204)
    async def expire() -> None:
        facebook.tokens.clear()

    @get("/facebook/control/requests")
    async def requests() -> list[dict[str, Any]]:
        return [record.as_json() for record in facebook.trouble.records]

    @delete("/facebook/control", status_code=204)
    async def clear() -> None:
        facebook.clear()

    return [add_fault, expire, requests, clear]


def _wrong_with(asked: dict[str, str]) -> str | None:
    if not asked.get("client_id"):
        return "Invalid App ID"
    if not is_ours(asked.get("redirect_uri", "")):
        return "URL blocked: it is not on this machine"
    return None


def _draw(template: str, **more: Any) -> Response[str]:
    return draw(
        template, title="Log in with Facebook", provider="Facebook", colour="#0866ff", **more
    )
