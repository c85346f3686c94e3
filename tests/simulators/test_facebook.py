"""The simulated Facebook, met by a client that knows nothing but the protocol."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.simulators.client import Fal

BACK = "http://127.0.0.1:8000/api/auth/oauth/facebook/callback"
ASKED = {
    "client_id": "1",
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "public_profile,email",
    "state": "some state",
}
FINN, GIL = "10150000000000002", "10150000000000003"


class Facebook:
    """An app's view of Facebook, and a person's."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def choose(self, **form: str) -> dict[str, str]:
        """What comes back to the app in the address."""
        answer = self.http.post("/v26.0/dialog/oauth", params=ASKED, data=form)
        assert answer.status_code == 302
        address = urlsplit(answer.headers["location"])
        assert answer.headers["location"].startswith(f"{BACK}?")
        assert address.fragment == "_=_"
        return {name: values[0] for name, values in parse_qs(address.query).items()}

    def redeem(self, code: str, **changed: str) -> httpx.Response:
        form = {"client_id": "1", "client_secret": "s", "redirect_uri": BACK, "code": code}
        return self.http.post("/v26.0/oauth/access_token", data=form | changed)

    def me(self, token: str, **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        query = {"fields": "id,name,email"} | query
        return self.http.get("/v26.0/me", params=query, headers=headers)

    def token(self, **form: str) -> str:
        return str(self.redeem(self.choose(**form)["code"]).json()["access_token"])


@pytest.fixture
def facebook(over_http: Fal) -> Iterator[Facebook]:
    with httpx.Client(base_url=f"{over_http.place.sign_in_url}/facebook") as http:
        http.delete("/control").raise_for_status()
        yield Facebook(http)


def code_of(answer: httpx.Response) -> int:
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "OAuthException"
    return int(error["code"])


def test_a_person_agrees_and_is_known(facebook: Facebook) -> None:
    page = facebook.http.get("/v26.0/dialog/oauth", params=ASKED)
    assert "Finn Field" in page.text
    assert "form-action 'self' http://127.0.0.1:8000;" in page.headers["content-security-policy"]
    told = facebook.choose(person=FINN, email="share")
    assert told["state"] == "some state"
    answer = facebook.redeem(told["code"]).raise_for_status().json()
    assert answer["token_type"] == "bearer"
    me = facebook.me(answer["access_token"]).json()
    assert me == {"id": FINN, "name": "Finn Field", "email": "finn@example.com"}
    proof = hmac.new(b"s", answer["access_token"].encode(), hashlib.sha256).hexdigest()
    assert facebook.me(answer["access_token"], appsecret_proof=proof).is_success
    assert code_of(facebook.me(answer["access_token"], appsecret_proof="0" * 64)) == 100
    bare = facebook.me(answer["access_token"], fields="name").json()
    assert bare == {"id": FINN, "name": "Finn Field"}


def test_an_address_may_be_kept_back_or_missing(facebook: Facebook) -> None:
    for choice in ({"person": FINN, "email": "keep"}, {"person": GIL, "email": "share"}):
        assert set(facebook.me(facebook.token(**choice)).json()) == {"id", "name"}


def test_a_person_says_no(facebook: Facebook) -> None:
    told = facebook.choose(action="cancel")
    assert (told["error"], told["error_reason"]) == ("access_denied", "user_denied")
    assert told["state"] == "some state"


def test_errors_come_as_facebook_words_them(facebook: Facebook) -> None:
    code = facebook.choose(person=FINN)["code"]
    assert code_of(facebook.redeem(code, client_secret="bad")) == 1
    assert code_of(facebook.redeem(code, redirect_uri=f"{BACK}/other")) == 100
    assert code_of(facebook.redeem(code)) == 100
    assert code_of(facebook.me("EAABnothing")) == 190
    token = facebook.token(person=FINN)
    facebook.http.post("/control/expiry").raise_for_status()
    assert code_of(facebook.me(token)) == 190
    elsewhere = ASKED | {"redirect_uri": "https://evil.example/"}
    assert facebook.http.get("/v26.0/dialog/oauth", params=elsewhere).status_code == 400
    facebook.http.post("/control/faults", json={"at": "me", "status": 500}).raise_for_status()
    assert facebook.me(token).status_code == 500
