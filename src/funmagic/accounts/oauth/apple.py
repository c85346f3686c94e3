"""Apple: OpenID Connect with a secret signed for every request and an answer that is posted.

Asking for name or e-mail makes Apple post its answer by a form. The name is in that form, and only
the first time a person consents; it is never in the identity token.
Sources: "Sign in with Apple REST API", "Creating a client secret".
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey
from pydantic import SecretStr

from funmagic.accounts.oauth.contract import Challenge, Person, person
from funmagic.accounts.oauth.oidc import Issuer
from funmagic.accounts.oauth.wire import Wire

SECRET_LIFETIME_S = 300  # Apple takes up to half a year; one request needs seconds


class Apple:
    name = "apple"
    denials = frozenset({"user_cancelled_authorize", "access_denied"})
    posts_its_answer = True

    def __init__(
        self,
        wire: Wire,
        issuer: str,
        *,
        client_id: str,
        team_id: str,
        key_id: str,
        private_key: SecretStr,
    ) -> None:
        self._issuer = Issuer(wire, issuer, client_id)
        self._client_id = client_id
        self._team_id = team_id
        self._key_id = key_id
        self._key = ECKey.import_key(private_key.get_secret_value())

    async def address(self, challenge: Challenge) -> str:
        return await self._issuer.address(challenge, scope="name email", response_mode="form_post")

    async def person(self, answer: Mapping[str, str], challenge: Challenge) -> Person:
        claims = await self._issuer.redeem(
            answer, challenge, secret=self._client_secret(), denials=self.denials
        )
        return person(
            self.name,
            subject=claims.get("sub"),
            email=claims.get("email"),
            is_email_verified=claims.get("email_verified") in (True, "true"),
            name=name_in(answer.get("user", "")),
        )

    def _client_secret(self) -> str:
        issued = int(time.time())
        return jwt.encode(
            {"alg": "ES256", "kid": self._key_id},
            {
                "iss": self._team_id,
                "iat": issued,
                "exp": issued + SECRET_LIFETIME_S,
                "aud": self._issuer.issuer,
                "sub": self._client_id,
            },
            self._key,
            algorithms=["ES256"],
        )


def name_in(user: str) -> str:
    """The name in the form's ``user``; empty where there is none. It is what the browser said."""
    try:
        name: Any = json.loads(user)["name"]
        parts = [name.get("firstName"), name.get("lastName")]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ""
    return " ".join(part for part in parts if isinstance(part, str))
