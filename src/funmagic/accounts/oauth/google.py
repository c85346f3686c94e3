"""Google: OpenID Connect as it stands.

Source: "OpenID Connect" at developers.google.com/identity.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from funmagic.accounts.oauth.contract import Challenge, Person, person
from funmagic.accounts.oauth.oidc import Issuer
from funmagic.accounts.oauth.wire import Wire


class Google:
    name = "google"
    denials = frozenset({"access_denied"})
    posts_its_answer = False

    def __init__(self, wire: Wire, issuer: str, *, client_id: str, secret: SecretStr) -> None:
        # Google's tokens may name it without https://, as they once all did.
        plain = frozenset({issuer.removeprefix("https://")})
        self._issuer = Issuer(wire, issuer, client_id, also=plain)
        self._secret = secret

    async def address(self, challenge: Challenge) -> str:
        # Google cannot be made to want the password again; it can be made to ask who it is.
        again = {"prompt": "select_account"} if challenge.asks_again else {}
        return await self._issuer.address(challenge, scope="openid email profile", **again)

    async def person(self, answer: Mapping[str, str], challenge: Challenge) -> Person:
        claims = await self._issuer.redeem(
            answer, challenge, secret=self._secret.get_secret_value(), denials=self.denials
        )
        return person(
            self.name,
            subject=claims.get("sub"),
            email=claims.get("email"),
            is_email_verified=claims.get("email_verified") is True,
            name=claims.get("name"),
        )
