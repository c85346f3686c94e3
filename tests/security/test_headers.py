"""What every kind of answer carries, word for word: a header that gets lost is seen here."""

from __future__ import annotations

import httpx
import pytest
from litestar import Litestar
from tests.conftest import MakeUser, Site
from tests.security import things
from tests.security.house import House
from tests.security.test_cookies import at_https

from funmagic.core.settings import Settings
from funmagic.web.static import front_end

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
HSTS = "max-age=31536000; includeSubDomains"
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' blob: data: {storage};"
    " connect-src 'self' {storage}; font-src 'self'; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'"
)
POLICY_OF_MODELS = POLICY.replace("connect-src 'self'", "connect-src 'self' blob:")
# What an answer may be kept for, by whom.
NOBODY, ONE_BROWSER, FOR_EVER = "no-store", "private, no-cache", "max-age=31536000, public"
EVIL = "https://evil.example"


def policy_of(answer: httpx.Response, settings: Settings) -> str:
    """Which of our policies the answer has: "plain" or "models"."""
    said = answer.headers.get_list("content-security-policy")
    known = {
        POLICY.format(storage=settings.storage_origin): "plain",
        POLICY_OF_MODELS.format(storage=settings.storage_origin): "models",
    }
    assert len(said) == 1, "two policies are read as both"
    return known.get(said[0], said[0])


@pytest.mark.hazard("U11")
async def test_every_kind_of_answer_is_hardened(house: House) -> None:
    ada = await house.visitor("owner")
    photo, task = await things.photo(house, ada), await things.ended_task(house, ada)
    ended = {"Last-Event-ID": "999999"}
    kinds: tuple[tuple[str, str, int, str, dict[str, str]], ...] = (
        ("GET", "/healthz", 200, NOBODY, {}),
        ("GET", "/", 302, ONE_BROWSER, {}),
        ("GET", "/en", 200, ONE_BROWSER, {}),
        ("GET", "/en/profile/security", 200, ONE_BROWSER, {}),
        ("GET", "/en/tools/figme", 200, ONE_BROWSER, {}),
        ("GET", "/en/nowhere", 404, ONE_BROWSER, {}),
        ("GET", "/en/sign-in/confirm?token=none", 410, ONE_BROWSER, {}),
        ("GET", front_end().url("app.css"), 200, FOR_EVER, {}),
        ("GET", "/api/credits", 200, NOBODY, {}),
        ("GET", "/api/me", 200, NOBODY, {}),
        ("GET", "/api/nope", 404, NOBODY, {}),
        ("GET", f"/api/assets/{photo}/download", 302, NOBODY, {}),
        ("GET", f"/api/tasks/{task}/stream", 204, NOBODY, ended),
        ("GET", f"/api/tasks/{task}/stream", 200, NOBODY, {}),
        ("GET", "/api/docs/openapi.json", 200, NOBODY, {}),
        ("GET", "/api/admin/tools", 403, NOBODY, {}),
        ("GET", "/en/dashboard", 404, ONE_BROWSER, {}),
        ("POST", "/api/tasks", 422, NOBODY, {}),
        ("POST", "/api/tasks", 403, NOBODY, {"Sec-Fetch-Site": "cross-site"}),
        ("PUT", "/api/tasks", 405, NOBODY, {}),
        ("OPTIONS", "/api/tasks", 204, NOBODY, {"Access-Control-Request-Method": "POST"}),
    )
    async with house.site.browser(ada.user) as browser:
        for method, path, status, kept, headers in kinds:
            answer = await browser.request(method, path, headers={"Origin": EVIL, **headers})
            assert answer.status_code == status, (path, answer.text[:200])
            assert answer.headers["cache-control"].startswith(kept), path
            is_of_models = path == "/en/tools/figme"
            expected = "models" if is_of_models else "plain"
            assert policy_of(answer, house.resources.settings) == expected, path
            for name, value in EVERYWHERE.items():
                assert answer.headers.get_list(name) == [value], (path, name)
            assert len(answer.headers["x-request-id"]) == 32
            assert "strict-transport-security" not in answer.headers, "this is http"
            # No other site may read an answer, whatever it asks for and however.
            allowed = [name for name in answer.headers if name.startswith("access-control-")]
            assert allowed == [], (path, allowed)
            if answer.content:
                kind = answer.headers["content-type"]
                assert "charset=utf-8" in kind or kind.endswith("json"), (path, kind)


@pytest.mark.hazard("U11")
async def test_by_https_browsers_are_told_to_stay_with_it(
    application: Litestar, settings: Settings
) -> None:
    async with at_https(application, settings) as browser:
        for path in ("/healthz", "/en", "/en/nowhere", "/api/me", "/"):
            answer = await browser.get(path)
            assert answer.headers.get_list("strict-transport-security") == [HSTS], path


@pytest.mark.hazard("U11")
async def test_an_answer_to_trouble_of_ours_tells_nothing_of_it(
    site: Site, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "password of the database"

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(secret)

    ada = await make_user()
    monkeypatch.setattr("funmagic.credits.service.balance_of", broken)
    async with site.browser(ada) as browser:
        for path, kept in (("/api/credits", NOBODY), ("/en/credits", ONE_BROWSER)):
            answer = await browser.get(path)
            assert answer.status_code == 500
            assert secret not in answer.text
            assert "Traceback" not in answer.text
            assert "RuntimeError" not in answer.text
            assert policy_of(answer, site.resources.settings) == "plain"
            assert answer.headers["cache-control"] == kept
