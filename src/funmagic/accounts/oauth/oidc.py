"""OpenID Connect: a provider's own description, its keys, and whether an identity token is good.

Both documents are remembered for a limited time. A token signed with a key we do not know makes us
look at the keys once more, at most once a minute, so that forged tokens cost the provider nothing.
Rules: OpenID Connect Core 1.0, section 3.1.3.7; Discovery 1.0, section 4.3; RFC 9207 for ``iss``.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from funmagic.accounts.oauth.contract import Challenge, Failed, code_of
from funmagic.accounts.oauth.wire import Wire, read

REMEMBERED_S: Final = 3_600.0
ASKED_AGAIN_AFTER_S: Final = 60.0
FAILURE_REMEMBERED_S: Final = 5.0
LEEWAY_S: Final = 60
OLDEST_TOKEN_S: Final = 600  # an attempt does not live longer either
ALGORITHM: Final = "RS256"
MAX_TOKEN_CHARS: Final = 16_384
MAX_KEYS: Final = 50
MIN_KEY_BITS: Final = 2_048

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The addresses in a provider's discovery document."""

    authorization: str
    token: str
    keys: str


class Issuer:
    """One provider, known by the address that it signs with, and who we are to it."""

    def __init__(
        self, wire: Wire, issuer: str, client_id: str, *, also: frozenset[str] = frozenset()
    ) -> None:
        """``also`` are other names the provider gives itself in its tokens."""
        self.issuer = issuer
        self._client_id = client_id
        self._names = frozenset({issuer}) | also
        self._wire = wire
        self._endpoints = Remembered(self._read_endpoints)
        self._keys = Remembered(self._read_keys)

    async def address(self, challenge: Challenge, *, scope: str, **more: str) -> str:
        """Where a person is asked, with PKCE (S256) and nonce. Raises :class:`Failed`."""
        endpoints = await self._endpoints.get(REMEMBERED_S)
        async with self._wire.line(
            client_id=self._client_id, scope=scope, code_challenge_method="S256"
        ) as line:
            url, _ = line.create_authorization_url(
                endpoints.authorization,
                state=challenge.state,
                nonce=challenge.nonce,
                code_verifier=challenge.verifier,
                redirect_uri=challenge.redirect_uri,
                **more,
            )
        return str(url)

    async def redeem(
        self,
        answer: Mapping[str, str],
        challenge: Challenge,
        *,
        secret: str,
        denials: frozenset[str],
    ) -> Mapping[str, Any]:
        """What the identity token says that an answer is good for.

        Raises :class:`Denied` where the answer is one of ``denials``, and :class:`Failed`.
        """
        if answer.get("iss", self.issuer) not in self._names:
            raise Failed("the answer names another issuer")
        code = code_of(answer, denials=denials)
        endpoints = await self._endpoints.get(REMEMBERED_S)
        async with self._wire.line(client_id=self._client_id, client_secret=secret) as line:
            token = await line.fetch_token(
                endpoints.token,
                grant_type="authorization_code",
                code=code,
                code_verifier=challenge.verifier,
                redirect_uri=challenge.redirect_uri,
            )
        return await self.claims(token.get("id_token"), challenge)

    async def claims(self, id_token: Any, challenge: Challenge) -> Mapping[str, Any]:
        """What a good identity token says. Raises :class:`Failed` for any other."""
        if not isinstance(id_token, str) or len(id_token) > MAX_TOKEN_CHARS:
            raise Failed("it sent no identity token")
        key = await self._key(_key_id(id_token))
        try:
            claims = jwt.decode(id_token, key, algorithms=[ALGORITHM]).claims
        except (JoseError, ValueError, TypeError) as error:
            raise Failed(f"identity token: {type(error).__name__}") from None
        self._check(claims, challenge)
        return claims

    def _check(self, claims: Mapping[str, Any], challenge: Challenge) -> None:
        if str(claims.get("iss")) not in self._names:
            raise Failed("identity token: another issuer")
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        if self._client_id not in audiences:
            raise Failed("identity token: for somebody else")
        alone = self._client_id if len(audiences) == 1 else None
        if claims.get("azp", alone) != self._client_id:
            raise Failed("identity token: given to somebody else")
        seconds = time.time()
        if not _instant(claims.get("exp")) > seconds - LEEWAY_S:
            raise Failed("identity token: expired")
        age_s = seconds - _instant(claims.get("iat"))
        if not -LEEWAY_S <= age_s <= OLDEST_TOKEN_S + LEEWAY_S:
            raise Failed("identity token: not made just now")
        if claims.get("nonce") != challenge.nonce:
            raise Failed("identity token: made for another attempt")

    async def _key(self, key_id: str | None) -> RSAKey:
        """The key of this name, or the provider's only one where a token names none."""
        for newer_than_s in (REMEMBERED_S, ASKED_AGAIN_AFTER_S):
            keys = await self._keys.get(newer_than_s)
            if key_id in keys:
                return keys[key_id]
            if key_id is None and len(keys) == 1:
                return next(iter(keys.values()))
        raise Failed("identity token: signed with an unknown key")

    async def _read_endpoints(self) -> Endpoints:
        async with self._wire.line() as line:
            found = await read(line, f"{self.issuer}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise Failed("its discovery document is another issuer's")
        return Endpoints(
            authorization=self._endpoint(found.get("authorization_endpoint")),
            token=self._endpoint(found.get("token_endpoint")),
            keys=self._endpoint(found.get("jwks_uri")),
        )

    def _endpoint(self, address: Any) -> str:
        """No less safe than the issuer's own address."""
        parts = urlsplit(address) if isinstance(address, str) else None
        if parts is None or not parts.hostname:
            raise Failed("its discovery document lacks an address")
        if parts.scheme != "https" and parts.scheme != urlsplit(self.issuer).scheme:
            raise Failed("its discovery document leads away from https")
        return str(address)

    async def _read_keys(self) -> dict[str | None, RSAKey]:
        endpoints = await self._endpoints.get(REMEMBERED_S)
        async with self._wire.line() as line:
            found = await read(line, endpoints.keys)
        listed = found.get("keys")
        if not isinstance(listed, list):
            raise Failed("its keys cannot be read")
        return dict(filter(None, map(_usable_key, listed[:MAX_KEYS])))


class Remembered(Generic[T]):
    """Something to fetch, kept for a while; who asks while it is fetched waits for the same."""

    def __init__(self, fetch: Callable[[], Awaitable[T]]) -> None:
        self._fetch = fetch
        self._lock = asyncio.Lock()
        self._known: tuple[float, T] | None = None
        self._failed: tuple[float, Failed] | None = None

    async def get(self, newer_than_s: float) -> T:
        """What is known, if not older than this, else what is fetched now. Raises :class:`Failed`,
        for some seconds without asking again."""
        async with self._lock:
            seconds = time.monotonic()
            if self._known is not None and seconds - self._known[0] < newer_than_s:
                return self._known[1]
            if self._failed is not None and seconds - self._failed[0] < FAILURE_REMEMBERED_S:
                raise Failed(str(self._failed[1]))
            try:
                self._known = (time.monotonic(), await self._fetch())
            except Failed as failure:
                self._failed = (time.monotonic(), failure)
                raise
            return self._known[1]


def _usable_key(listed: Any) -> tuple[str | None, RSAKey] | None:
    if not isinstance(listed, dict) or listed.get("kty") != "RSA" or "d" in listed:
        return None
    key_id = listed.get("kid")
    if not isinstance(key_id, str | None) or listed.get("use", "sig") != "sig":
        return None
    if listed.get("alg", ALGORITHM) != ALGORITHM:
        return None
    try:
        key = RSAKey.import_key(listed)
        return (key_id, key) if key.public_key.key_size >= MIN_KEY_BITS else None
    except (JoseError, ValueError, TypeError):
        return None


def _key_id(id_token: str) -> str | None:
    """The key a token names, if any, before it is believed."""
    head = id_token.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        raise Failed("identity token: malformed") from None
    key_id = header.get("kid") if isinstance(header, dict) else None
    if not isinstance(key_id, str | None):
        raise Failed("identity token: malformed")
    return key_id


def _instant(value: Any) -> float:
    """Seconds since 1970; long ago where a token has none."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
