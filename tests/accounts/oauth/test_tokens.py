"""Identity tokens that are not what they should be, keys that change, and providers in trouble."""

from __future__ import annotations

import json
import logging
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from litestar import Litestar
from pydantic import SecretStr
from tests.accounts.oauth.journey import NEXT, Journey, count, trouble, who
from tests.conftest import Site

from funmagic.accounts.oauth import oidc, wire
from funmagic.accounts.oauth.contract import Challenge, Failed
from funmagic.accounts.oauth.ways import Ways
from funmagic.core import log as logs
from funmagic.core.settings import Settings
from funmagic.simulators.apple_tokens import CLIENT_ID

FORGERIES: tuple[dict[str, Any], ...] = (
    {"claims": {"nonce": "another attempt's"}},
    {"claims": {"nonce": None}},
    {"claims": {"aud": "com.example.other"}},
    {"claims": {"aud": ["com.example.other"]}},
    {"claims": {"aud": [CLIENT_ID, "com.example.other"]}},
    {"claims": {"aud": None}},
    {"claims": {"azp": "com.example.other"}},
    {"claims": {"iss": "https://appleid.apple.com"}},
    {"claims": {"iss": None}},
    {"claims": {"iss": ["a list"]}},
    {"claims": {"exp": int(time.time()) - 3_600}},
    {"claims": {"exp": None}},
    {"claims": {"exp": "tomorrow"}},
    {"claims": {"exp": True}},
    {"claims": {"nonce": "ünïcödé"}},
    {"claims": {"aud": {CLIENT_ID: True}}},
    {"claims": {"iat": int(time.time()) - 86_400}},
    {"claims": {"iat": int(time.time()) + 86_400}},
    {"claims": {"iat": None}},
    {"claims": {"sub": None}},
    {"claims": {"sub": ""}},
    {"claims": {"sub": "x" * 256}},
    {"claims": {"sub": "001042\x00"}},
    {"header": {"alg": "none"}},
    {"header": {"alg": "HS256"}},
    {"header": {"alg": "PS256"}},
    {"header": {"kid": ["a", "list"]}},
    {"header": {"crit": 1}},
)


@pytest.mark.hazard("U14")
async def test_a_token_that_is_not_for_us_and_for_now_signs_nobody_in(
    site: Site, journey: Journey
) -> None:
    async with site.browser() as browser:
        for forgery in FORGERIES:
            await journey.elsewhere.control("apple", "forgeries", **forgery)
            ended = trouble(await journey.whole(browser, "apple", "mia"))
            assert ended == ("oauth_failed", NEXT), forgery
            assert await who(browser) is None
        assert await count(site.resources, "sessions") == 0
        good = {"aud": [CLIENT_ID, "com.example.other"], "azp": CLIENT_ID}
        await journey.elsewhere.control("apple", "forgeries", claims=good)
        assert await journey.whole(browser, "apple", "mia") == NEXT


async def test_a_new_key_is_fetched_and_an_unknown_one_once_a_minute(
    site: Site, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = journey.elsewhere
    async with site.browser() as browser:
        assert await journey.whole(browser, "apple", "mia") == NEXT
        assert await journey.whole(browser, "apple", "mia") == NEXT
        assert await elsewhere.asked("apple", "keys") == 1
        for _ in range(5):
            await elsewhere.control("apple", "forgeries", header={"kid": "unknown"})
            kind, _ = trouble(await journey.whole(browser, "apple", "mia"))
            assert kind == "oauth_failed"
        assert await elsewhere.asked("apple", "keys") == 1  # fetched less than a minute ago
        monkeypatch.setattr(oidc, "ASKED_AGAIN_AFTER_S", 0.0)
        await elsewhere.control("apple", "keys")
        assert await journey.whole(browser, "apple", "mia") == NEXT
        assert await elsewhere.asked("apple", "keys") == 2
        assert await elsewhere.asked("apple", "discovery") == 1


async def test_documents_are_remembered_for_a_while_and_failures_for_seconds(
    site: Site, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = journey.elsewhere
    async with site.browser() as browser:
        await elsewhere.control("apple", "faults", at="discovery", status=503)
        for _ in range(3):
            query = {"next": NEXT}
            answer = await browser.get("/api/auth/oauth/apple", params=query)
            assert trouble(answer.headers["location"]) == ("oauth_failed", NEXT)
        assert await elsewhere.asked("apple", "discovery") == 1
        monkeypatch.setattr(oidc, "FAILURE_REMEMBERED_S", 0.0)
        assert await journey.whole(browser, "apple", "mia") == NEXT
        asked = await elsewhere.asked("apple", "discovery")
        monkeypatch.setattr(oidc, "REMEMBERED_S", 0.0)
        assert await journey.whole(browser, "apple", "mia") == NEXT
        assert await elsewhere.asked("apple", "discovery") > asked


async def test_a_provider_in_trouble_signs_nobody_in(
    site: Site, journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = f"{journey.elsewhere.place.simulators.sign_in_url}/apple"
    address = f"{issuer}/.well-known/openid-configuration"
    async with httpx.AsyncClient() as client:
        found = (await client.get(address)).json()
    another = found | {"issuer": "https://evil.example"}
    monkeypatch.setattr(oidc, "FAILURE_REMEMBERED_S", 0.0)
    monkeypatch.setattr(oidc, "REMEMBERED_S", 0.0)
    faults: tuple[dict[str, Any], ...] = (
        {"at": "discovery", "status": 200, "body": another},
        {"at": "discovery", "status": 200, "body": {"issuer": issuer}},
        {"at": "discovery", "status": 302, "headers": {"location": address}},
        {"at": "discovery", "status": 200, "body": json.dumps(found) + " " * (1 << 20)},
    )
    async with site.browser() as browser:
        for fault in faults:
            await journey.elsewhere.control("apple", "faults", **fault)
            answer = await browser.get("/api/auth/oauth/apple", params={"next": NEXT})
            ended = trouble(answer.headers["location"])
            assert ended == ("oauth_failed", NEXT), fault
        for fault in (
            {"at": "keys", "status": 200, "body": {"keys": "none"}},
            {"at": "keys", "status": 200, "body": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
            {"at": "token", "status": 200, "body": {"access_token": "a"}},
            {"at": "token", "status": 400, "body": {"error": {"not": "a word"}}},
        ):
            await journey.elsewhere.control("apple", "faults", **fault)
            ended = trouble(await journey.whole(browser, "apple", "mia"))
            assert ended == ("oauth_failed", NEXT), fault
        monkeypatch.setattr(wire, "LIMIT_S", 0.2)
        await journey.elsewhere.control("apple", "faults", at="token", delayS=30)
        kind, _ = trouble(await journey.whole(browser, "apple", "mia"))
        assert kind == "oauth_failed"


async def test_a_discovery_document_cannot_lead_away_from_https(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = "https://accounts.example"
    safe = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "jwks_uri": f"{issuer}/keys",
    }
    challenge = Challenge("state", "nonce", "verifier", "https://here.example/callback")
    own_wire = wire.Wire(settings)

    async def address(document: dict[str, Any]) -> str:
        async def read(*_: object) -> dict[str, Any]:
            return document

        monkeypatch.setattr(oidc, "read", read)
        asked = oidc.Issuer(own_wire, issuer, "client")
        return await asked.address(challenge, scope="openid")

    assert (await address(safe)).startswith(f"{issuer}/authorize?")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        for unsafe in ("http://accounts.example/x", "javascript:1", "//accounts.example/x", "", 1):
            with pytest.raises(Failed):
                await address(safe | {name: unsafe})


async def test_apple_wants_our_own_signature(
    site: Site, journey: Journey, application: Litestar
) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    pem = stranger.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    own = site.resources.settings
    wrong: tuple[dict[str, Any], ...] = (
        {"apple_private_key": SecretStr(pem)},
        {"apple_team_id": "ANOTHER"},
        {"apple_key_id": "ANOTHER"},
    )
    async with site.browser() as browser:
        for changed in wrong:
            application.state["ways"] = Ways(own.model_copy(update=changed))
            ended = trouble(await journey.whole(browser, "apple", "mia"))
            assert ended == ("oauth_failed", NEXT), changed
        application.state["ways"] = Ways(own)
        assert await journey.whole(browser, "apple", "mia") == NEXT


@pytest.mark.hazard("U6")
async def test_no_secret_is_logged(
    site: Site,
    journey: Journey,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = site.resources.settings
    logs.configure(settings.model_copy(update={"log_level": "DEBUG"}))
    # The web process has no log of accesses but its own; this server, made for tests, would.
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "disabled", True)
    refusal = {"status": 400, "body": {"error": "canary_error"}}
    secrets = ["eyJ", "EAAB", "appsecret_proof", "PRIVATE KEY", "google-canary-secret"]
    async with site.browser() as browser:
        for provider, person in (("google", "gus"), ("facebook", "finn"), ("apple", "mia")):
            for _ in range(2):
                address = await journey.leave(browser, provider)
                back = await journey.elsewhere.consent(address, person=person)
                told = parse_qs(urlsplit(address).query) | parse_qs(urlsplit(back).query)
                names = ("state", "nonce", "code", "code_challenge")
                secrets += [told[name][0] for name in names if name in told]
                await journey.arrive(browser, back)
        await journey.elsewhere.control("apple", "faults", at="token", **refusal)
        await journey.whole(browser, "apple", "mia")
    logged = capsys.readouterr().err
    assert "canary_error" in logged
    assert "not signed in" in logged
    for secret in secrets:
        assert secret not in logged, secret
