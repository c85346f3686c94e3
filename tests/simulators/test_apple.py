"""The simulated Apple, met by a client that knows nothing but the protocol."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from tests.simulators.client import Fal

from funmagic.embedded.janitor import Janitor
from funmagic.embedded.server import Site
from funmagic.embedded.simulators import Simulators
from funmagic.simulators.apple_tokens import CLIENT_ID, KEY_ID, TEAM_ID
from funmagic.simulators.server import Running, sign_in_environment

BACK = "http://127.0.0.1:8000/api/auth/oauth/apple/callback"
VERIFIER = "v" * 43
FIELD = re.compile(r'<input type="hidden" name="([a-z_]+)" value="([^"]*)">')


@dataclass
class Apple:
    """An app's view of Apple, and a person's."""

    place: Running
    http: httpx.Client
    asked: dict[str, str] = field(default_factory=dict)

    def ask(self, **changed: str | None) -> httpx.Response:
        """Open the page where people are asked."""
        digest = hashlib.sha256(VERIFIER.encode()).digest()
        usual: dict[str, str | None] = {
            "client_id": CLIENT_ID,
            "redirect_uri": BACK,
            "response_type": "code",
            "response_mode": "form_post",
            "scope": "name email",
            "state": "some state",
            "nonce": "some nonce",
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        query = usual | changed
        self.asked = {name: value for name, value in query.items() if value is not None}
        return self.http.get("/auth/authorize", params=self.asked)

    def choose(self, **form: str) -> dict[str, str]:
        """What Apple's page posts to the app after this choice."""
        answer = self.http.post("/auth/authorize", params=self.asked, data=form)
        assert answer.status_code == 200, answer.text
        assert f'action="{BACK}"' in answer.text
        return {name: html.unescape(value) for name, value in FIELD.findall(answer.text)}

    def secret(self, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """The app's secret, signed as Apple's documents say."""
        now = int(time.time())
        claims = {"iss": TEAM_ID, "sub": CLIENT_ID, "iat": now, "exp": now + 300}
        claims |= {"aud": self.place.sign_in_url + "/apple"} | changed
        key = ECKey.import_key(self.place.apple_key_file.read_bytes())
        return jwt.encode({"alg": "ES256", "kid": KEY_ID} | (header or {}), claims, key)

    def redeem(self, code: str, **changed: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "client_id": CLIENT_ID,
            "client_secret": self.secret(),
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
        }
        return self.http.post("/auth/token", data=form | changed)

    def claims(self, id_token: str) -> dict[str, Any]:
        """What a token says, once its signature is found good."""
        keys = KeySet.import_key_set(self.http.get("/auth/keys").json())
        return jwt.decode(id_token, keys, algorithms=["RS256"]).claims


@pytest.fixture
def apple(over_http: Fal) -> Iterator[Apple]:
    with httpx.Client(base_url=f"{over_http.place.sign_in_url}/apple") as http:
        http.delete("/control").raise_for_status()
        yield Apple(over_http.place, http)


ADA = "001042.ada.1815"


def test_a_person_consents_and_is_named_once(apple: Apple) -> None:
    page = apple.ask()
    assert "Ada Lovelace" in page.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://127.0.0.1:8000;" in policy
    first = apple.choose(person=ADA, email="share")
    assert first["state"] == "some state"
    name = {"firstName": "Ada", "lastName": "Lovelace"}
    assert json.loads(first["user"]) == {"name": name, "email": "ada@example.com"}
    answer = apple.redeem(first["code"]).raise_for_status().json()
    assert answer["token_type"] == "Bearer"
    claims = apple.claims(answer["id_token"])
    assert (claims["sub"], claims["aud"], claims["nonce"]) == (ADA, CLIENT_ID, "some nonce")
    assert (claims["email"], claims["email_verified"]) == ("ada@example.com", "true")
    assert "name" not in claims
    apple.ask()
    second = apple.choose(person=ADA, email="hide")  # what was chosen first stays
    assert "user" not in second
    claims = apple.claims(apple.redeem(second["code"]).json()["id_token"])
    assert claims["email"] == "ada@example.com"


def test_who_hides_their_address_has_a_relay(apple: Apple) -> None:
    apple.ask()
    told = apple.choose(person=ADA, email="hide")
    claims = apple.claims(apple.redeem(told["code"]).json()["id_token"])
    assert claims["email"].endswith("@privaterelay.appleid.com")
    assert claims["is_private_email"] == "true"
    assert json.loads(told["user"])["email"] == claims["email"]


def test_a_person_cancels(apple: Apple) -> None:
    apple.ask()
    told = apple.choose(action="cancel")
    assert told == {"error": "user_cancelled_authorize", "state": "some state"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "com.example.other"},
        {"redirect_uri": "https://evil.example/back"},
        {"response_type": "token"},
        {"response_mode": "query"},
        {"response_mode": None},
        {"code_challenge_method": "plain"},
    ],
)
def test_a_request_apple_does_not_take(apple: Apple, wrong: dict[str, str | None]) -> None:
    assert apple.ask(**wrong).status_code == 400
    refused = apple.http.post("/auth/authorize", params=apple.asked, data={"person": ADA})
    assert refused.status_code == 400


def test_a_secret_is_checked_whole(apple: Apple) -> None:
    now = int(time.time())
    secrets = [
        "nonsense",
        apple.secret(iss="OTHER"),
        apple.secret(sub="com.example.other"),
        apple.secret(aud="https://appleid.apple.com"),
        apple.secret(exp=now - 10),
        apple.secret(exp=now + 16_000_000),
        apple.secret(iat=now + 1_000),
        apple.secret({"kid": "OTHER"}),
        apple.secret()[:-4] + "AAAA",
    ]
    apple.ask()
    code = apple.choose(person=ADA)["code"]
    for secret in secrets:
        refused = apple.redeem(code, client_secret=secret)
        assert (refused.status_code, refused.json()) == (400, {"error": "invalid_client"})
    assert apple.redeem(code).is_success


def test_a_code_is_good_once_for_its_own_request(apple: Apple) -> None:
    wrong = ({"code_verifier": "w" * 43}, {"redirect_uri": f"{BACK}/other"}, {"code_verifier": ""})
    for changed in wrong:
        apple.ask()
        code = apple.choose(person=ADA)["code"]
        assert apple.redeem(code, **changed).json() == {"error": "invalid_grant"}
        assert apple.redeem(code).json() == {"error": "invalid_grant"}
    apple.ask(code_challenge=None, code_challenge_method=None)
    code = apple.choose(person=ADA)["code"]
    assert apple.redeem(code, grant_type="password").json() == {"error": "unsupported_grant_type"}
    assert apple.redeem(code, code_verifier="").is_success
    assert apple.redeem(code).json() == {"error": "invalid_grant"}


def test_trouble_on_demand(apple: Apple) -> None:
    forged = {"claims": {"aud": "other", "nonce": None}}
    apple.http.post("/control/forgeries", json=forged).raise_for_status()
    apple.ask()
    token = apple.redeem(apple.choose(person=ADA)["code"]).json()["id_token"]
    claims = apple.claims(token)
    assert claims["aud"] == "other"
    assert "nonce" not in claims
    before = apple.http.get("/auth/keys").json()
    apple.http.post("/control/keys").raise_for_status()
    assert apple.http.get("/auth/keys").json() != before
    fault = {"at": "discovery", "status": 503}
    apple.http.post("/control/faults", json=fault).raise_for_status()
    assert apple.http.get("/.well-known/openid-configuration").status_code == 503
    found = apple.http.get("/.well-known/openid-configuration").json()
    assert found["issuer"] == f"{apple.place.sign_in_url}/apple"
    assert urlsplit(found["jwks_uri"]).path == "/apple/auth/keys"
    seen = apple.http.get("/control/requests").json()
    assert [request["at"] for request in seen].count("discovery") == 2


def test_up_tells_the_product_of_the_very_app_that_is_registered(tmp_path: Any) -> None:
    janitor = Janitor()
    try:
        server = Simulators(
            Site(tmp_path, tmp_path, janitor, tmp_path / "lock", throwaway=True), ["funmagic"]
        )
        server.prepare()
        told = server.environment()
        url = f"http://127.0.0.1:{server.sign_in_port}"
        wanted = sign_in_environment(url, server.data / "apple.p8")
        assert {name: told[name] for name in wanted} == wanted
    finally:
        janitor.close()
