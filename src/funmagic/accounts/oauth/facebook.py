"""Facebook Login: plain OAuth 2.0, where the profile is asked for with the token.

There is no identity token, so ``state`` and the secret exchange of the code carry the proof. An
e-mail address may be missing and is never said to be verified.
Sources: "Manually Build a Login Flow", "Secure Graph API Calls" (``appsecret_proof``).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import SecretStr

from funmagic.accounts.oauth.contract import Challenge, Failed, Person, code_of, person, plain
from funmagic.accounts.oauth.wire import Wire


class Facebook:
    name = "facebook"
    denials = frozenset({"access_denied"})
    posts_its_answer = False

    def __init__(
        self,
        wire: Wire,
        *,
        url: str,
        graph_url: str,
        version: str,
        client_id: str,
        secret: SecretStr,
    ) -> None:
        self._wire = wire
        self._dialog = f"{url}/{version}/dialog/oauth"
        self._graph = f"{graph_url}/{version}"
        self._client_id = client_id
        self._secret = secret

    async def address(self, challenge: Challenge) -> str:
        async with self._wire.line(client_id=self._client_id, scope="public_profile,email") as line:
            again = {"auth_type": "reauthenticate"} if challenge.asks_again else {}
            url, _ = line.create_authorization_url(
                self._dialog,
                state=challenge.state,
                redirect_uri=challenge.redirect_uri,
                **again,
            )
        return str(url)

    async def person(self, answer: Mapping[str, str], challenge: Challenge) -> Person:
        code = code_of(answer, denials=self.denials)
        secret = self._secret.get_secret_value()
        async with self._wire.line(
            client_id=self._client_id,
            client_secret=secret,
        ) as line:
            token = await line.fetch_token(
                f"{self._graph}/oauth/access_token",
                grant_type="authorization_code",
                code=code,
                redirect_uri=challenge.redirect_uri,
            )
            access_token = token.get("access_token")
            if not isinstance(access_token, str) or not access_token.isascii():
                raise Failed("it sent no token")
            proof = hmac.new(secret.encode(), access_token.encode(), hashlib.sha256).hexdigest()
            answered = await line.request(
                "GET",
                f"{self._graph}/me",
                params={"fields": "id,name,email", "appsecret_proof": proof},
                headers={"authorization": f"Bearer {access_token}"},
                withhold_token=True,
            )
        try:
            profile = answered.json()
        except ValueError:
            profile = None
        if not isinstance(profile, dict):
            raise Failed("its answer cannot be read")
        if "error" in profile or not answered.is_success:
            raise Failed(f"it answers with code {_code(profile)}")
        return person(
            self.name,
            subject=profile.get("id"),
            email=profile.get("email"),
            is_email_verified=False,
            name=profile.get("name"),
        )


def _code(profile: Mapping[str, object]) -> str:
    """The number of an error, such as 190 for a token that is not good any more."""
    error = profile.get("error")
    return plain(str(error.get("code")), 20) if isinstance(error, dict) else "none"
