"""Sign in with Apple, as an app on the web meets it; and this simulator's controls.

Everything lies below ``/apple``, which is also its issuer: the discovery document, ``auth/keys``,
``auth/authorize`` (a page to choose a demo person on) and ``auth/token``. Asking for ``name`` or
``email`` needs ``response_mode=form_post``; the name is posted at a person's first consent only;
booleans are strings; who hides their address gets a relay address. The one registered app is
:data:`~funmagic.simulators.apple_tokens.CLIENT_ID`; unlike Apple, this sends people to this machine
and nowhere else.

Control, JSON in camelCase: ``POST control/faults`` (:class:`~funmagic.simulators.faults.Fault`, at
one of :data:`POINTS`), ``POST control/forgeries`` (:class:`Forgery`), ``POST control/keys`` (sign
with another key from now on), ``GET control/requests``, ``DELETE control`` for a clean slate.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from litestar import Litestar, Request, Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.pydantic import PydanticPlugin
from pydantic import Field

from funmagic.simulators.apple_tokens import Signer, client_in
from funmagic.simulators.consent import Kept, Somebody, draw, is_ours
from funmagic.simulators.faults import ASGIApp, Body, Fault, FaultLayer, Scope, Trouble, Visit

POINTS = ("discovery", "keys", "authorize", "token")
PATHS = {
    "/apple/.well-known/openid-configuration": "discovery",
    "/apple/auth/keys": "keys",
    "/apple/auth/authorize": "authorize",
    "/apple/auth/token": "token",
}
PEOPLE = {
    person.id: person
    for person in (
        Somebody("001042.ada.1815", "Ada", "Lovelace", "ada@example.com"),
        Somebody("001042.mia.1988", "Mia", "Moon", "mia@example.com"),
        Somebody("001042.noa.1999", "Noa", "North", "noa@example.com"),
    )
}
CHOICES = (("share", "Share my e-mail address"), ("hide", "Hide my e-mail address"))
CODE_LIFETIME_S = 300
TOKEN_LIFETIME_S = 86_400

AnyRequest = Request[Any, Any, Any]


class Forgery(Body):
    """What the next identity token says in place of the truth; a claim that is null is left out."""

    claims: dict[str, Any] = Field(default_factory=dict)
    header: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a code is good for, once."""

    person: Somebody
    is_hidden: bool
    client_id: str
    redirect_uri: str
    nonce: str | None
    code_challenge: str | None
    made_at: float


class Apple:
    """One simulated Apple: who consented to what, the codes it gave out, the trouble it makes."""

    def __init__(self, origin: str, folder: Path) -> None:
        self.issuer = f"{origin}/apple"
        self.client = client_in(folder)
        self.signer = Signer()
        self.codes: Kept[Grant] = Kept()
        self.consents: dict[str, bool] = {}  # person's id to whether they hide their address
        self.forgeries: deque[Forgery] = deque(maxlen=100)
        self.trouble = Trouble(POINTS)

    def clear(self) -> None:
        self.codes.clear()
        self.consents.clear()
        self.forgeries.clear()
        self.trouble.clear()

    def wrong_with(self, asked: dict[str, str]) -> str | None:
        """Why nobody can be asked on behalf of this app; None where they can."""
        if asked.get("client_id") != self.client.id:
            return "invalid_client: no such Services ID"
        if not is_ours(asked.get("redirect_uri", "")):
            return "invalid_request: this redirect_uri is not on this machine"
        if asked.get("response_type") != "code":
            return "unsupported_response_type"
        if asked.get("scope") and asked.get("response_mode") != "form_post":
            return "invalid_request: response_mode must be form_post when name or email is wanted"
        if "code_challenge" in asked and asked.get("code_challenge_method") != "S256":
            return "invalid_request: code_challenge_method must be S256"
        return None

    def consent(self, person: Somebody, asked: dict[str, str], *, hides: bool) -> dict[str, str]:
        """What is posted to the app. The first time a person consents their name is with it, and
        what they choose of their address stays chosen."""
        is_first = person.id not in self.consents
        is_hidden = self.consents.setdefault(person.id, hides)
        grant = Grant(
            person,
            is_hidden,
            asked["client_id"],
            asked["redirect_uri"],
            asked.get("nonce"),
            asked.get("code_challenge"),
            time.time(),
        )
        fields = {"code": self.codes.put(grant, "c"), "state": asked.get("state", "")}
        if is_first and "name" in asked.get("scope", ""):
            name = {"firstName": person.first_name, "lastName": person.last_name}
            fields["user"] = json.dumps({"name": name, "email": self.address(grant)})
        return fields

    def redeem(self, form: dict[str, str]) -> dict[str, Any]:
        """The answer to a code, or ``{"error": …}``."""
        secret = form.get("client_secret", "")
        is_client = form.get("client_id") == self.client.id
        if not is_client or not self.client.signed(secret, audience=self.issuer):
            return {"error": "invalid_client"}
        if form.get("grant_type") != "authorization_code":
            return {"error": "unsupported_grant_type"}
        grant = self.codes.take(form.get("code", ""))
        if (
            grant is None
            or grant.redirect_uri != form.get("redirect_uri")
            or time.time() - grant.made_at > CODE_LIFETIME_S
            or not _fits(grant.code_challenge, form.get("code_verifier"))
        ):
            return {"error": "invalid_grant"}
        return {
            "access_token": self.codes.put(grant, "a"),
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": self.codes.put(grant, "r"),
            "id_token": self._identity_token(grant),
        }

    def address(self, grant: Grant) -> str | None:
        if not grant.is_hidden:
            return grant.person.email
        digest = hashlib.sha256(grant.person.id.encode()).hexdigest()
        return f"{digest[:10]}@privaterelay.appleid.com"

    def _identity_token(self, grant: Grant) -> str:
        issued = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": grant.client_id,
            "sub": grant.person.id,
            "iat": issued,
            "exp": issued + TOKEN_LIFETIME_S,
            "auth_time": issued,
            "nonce_supported": True,
            "email": self.address(grant),
            "email_verified": "true",
        }
        if grant.is_hidden:
            claims["is_private_email"] = "true"
        if grant.nonce is not None:
            claims["nonce"] = grant.nonce
        forgery = self.forgeries.popleft() if self.forgeries else Forgery()
        claims |= forgery.claims
        told = {name: value for name, value in claims.items() if value is not None}
        return self.signer.sign(told, forgery.header)


def application(origin: str, folder: Path) -> ASGIApp:
    """This provider as it is served below ``{origin}/apple``; ``folder`` keeps the app's key."""
    apple = Apple(origin, folder)
    app = Litestar(
        route_handlers=[*_protocol(apple), *_control(apple)],
        plugins=[PydanticPlugin(prefer_alias=True)],
        openapi_config=None,
        logging_config=None,
    )
    return FaultLayer(cast(ASGIApp, app), apple.trouble, read)


def read(scope: Scope) -> Visit | None:
    """A request in Apple's terms; None for control routes and what Apple does not know."""
    at = PATHS.get(scope["path"])
    return Visit(at, scope["method"], scope["path"]) if at else None


def _protocol(apple: Apple) -> list[HTTPRouteHandler]:
    @get("/apple/.well-known/openid-configuration")
    async def discovery() -> dict[str, Any]:
        return {
            "issuer": apple.issuer,
            "authorization_endpoint": f"{apple.issuer}/auth/authorize",
            "token_endpoint": f"{apple.issuer}/auth/token",
            "jwks_uri": f"{apple.issuer}/auth/keys",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "name"],
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    @get("/apple/auth/keys")
    async def keys() -> dict[str, Any]:
        return apple.signer.published()

    @get("/apple/auth/authorize")
    async def ask(request: AnyRequest) -> Response[str]:
        asked = dict(request.query_params.items())
        wrong = apple.wrong_with(asked)
        if wrong is not None:
            return _draw("refused.html", status=400, reason=wrong)
        return _draw(
            "people.html",
            goes_to=asked["redirect_uri"],
            people=PEOPLE.values(),
            choices=CHOICES,
        )

    @post("/apple/auth/authorize", status_code=200)
    async def answer(request: AnyRequest) -> Response[str]:
        asked = dict(request.query_params.items())
        form = await request.form()
        person = PEOPLE.get(str(form.get("person", "")))
        wrong = apple.wrong_with(asked)
        if wrong is not None:
            return _draw("refused.html", status=400, reason=wrong)
        if person is None:
            fields = {"error": "user_cancelled_authorize", "state": asked.get("state", "")}
        else:
            fields = apple.consent(person, asked, hides=form.get("email") == "hide")
        return _draw("answer.html", goes_to=asked["redirect_uri"], fields=fields)

    @post("/apple/auth/token", status_code=200)
    async def token(request: AnyRequest) -> Response[dict[str, Any]]:
        form = await request.form()
        told = apple.redeem({name: str(value) for name, value in form.items()})
        return Response(told, status_code=400 if "error" in told else 200)

    return [discovery, keys, ask, answer, token]


def _control(apple: Apple) -> list[HTTPRouteHandler]:
    @post("/apple/control/faults", status_code=204)
    async def add_fault(data: Fault) -> None:
        apple.trouble.add(data)

    @post("/apple/control/forgeries", status_code=204)
    async def add_forgery(data: Forgery) -> None:
        apple.forgeries.append(data)

    @post("/apple/control/keys", status_code=204)
    async def change_key() -> None:
        apple.signer.change_key()

    @get("/apple/control/requests")
    async def requests() -> list[dict[str, Any]]:
        return [record.as_json() for record in apple.trouble.records]

    @delete("/apple/control", status_code=204)
    async def clear() -> None:
        apple.clear()

    return [add_fault, add_forgery, change_key, requests, clear]


def _draw(template: str, **more: Any) -> Response[str]:
    return draw(template, title="Sign in with Apple", provider="Apple", colour="#000", **more)


def _fits(challenge: str | None, verifier: str | None) -> bool:
    """PKCE by S256 (RFC 7636, section 4.6), where the app asked with it."""
    if challenge is None:
        return True
    digest = hashlib.sha256((verifier or "").encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
