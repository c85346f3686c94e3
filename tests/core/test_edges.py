"""What every answer carries, and how errors look to programs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import structlog
from tests.conftest import MakeUser, Site

from funmagic.accounts.limits import PER_ADDRESS
from funmagic.core import log as logs
from funmagic.core.settings import Settings

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "strict-origin-when-cross-origin",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/healthz", "/en/", "/api/credits", "/no/such/page", "/en/nope"])
async def test_every_answer_is_hardened_and_tagged(site: Site, path: str) -> None:
    async with site.browser() as browser:
        answer = await browser.get(path)
    policy = answer.headers["content-security-policy"]
    storage = site.resources.settings.storage_origin
    for rule in (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "object-src 'none'",
    ):
        assert rule in policy
    assert "unsafe" not in policy
    assert f"connect-src 'self' {storage}" in policy
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert len(answer.headers["x-request-id"]) == 32


async def test_a_request_id_is_kept_only_where_it_is_well_formed(site: Site) -> None:
    async with site.browser() as browser:
        kept = await browser.get("/healthz", headers={"X-Request-Id": "abc-12345678"})
        made = await browser.get("/healthz", headers={"X-Request-Id": "x y; z"})
    assert kept.headers["x-request-id"] == "abc-12345678"
    assert made.headers["x-request-id"] != "x y; z"


async def test_head_is_answered_as_get_without_the_body(site: Site) -> None:
    async with site.browser() as browser:
        for path in ("/en/", "/en/tools", "/sitemap.xml", "/healthz", "/en/nope"):
            whole, head = await browser.get(path), await browser.head(path)
            assert head.status_code == whole.status_code, path
            assert head.content == b""
            for name in ("content-type", "content-security-policy", "cache-control"):
                assert head.headers[name] == whole.headers[name], (path, name)
        assert (await browser.head("/api/tasks/stream")).status_code == 405


async def test_errors_of_the_api_have_one_shape(site: Site) -> None:
    async with site.browser() as browser:
        for method, path, status in (
            ("GET", "/api/nope", 404),
            ("GET", "/api/credits", 401),
            ("DELETE", "/api/credits", 405),
            ("POST", "/api/auth/magic-link", 422),
            ("GET", "/api/tasks/not-an-id", 404),
        ):
            answer = await browser.request(method, path, json={} if method == "POST" else None)
            assert answer.status_code == status, path
            assert set(answer.json()) == {"error"}
            assert answer.json()["error"]["type"]
            assert answer.json()["error"]["message"]


async def test_messages_speak_the_readers_language(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/api/credits", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert answer.json()["error"]["message"] != "Please sign in first."
    assert any("\u4e00" <= char <= "\u9fff" for char in answer.json()["error"]["message"])


async def test_a_body_beyond_the_limit_is_refused(site: Site) -> None:
    async with site.browser() as browser:
        body = json.dumps({"email": "x" * (2 << 20)}).encode()
        answer = await browser.post(
            "/api/auth/magic-link", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code == 413
    assert answer.json()["error"]["type"] == "too_large"


async def test_readiness_names_what_is_down(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.browser() as browser:
        ready = await browser.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (200, True)

        async def down() -> None:
            raise ConnectionError("gone")

        monkeypatch.setattr(type(site.resources.storage), "ping", lambda _self: down())
        answer = await browser.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {"database": "ok", "redis": "ok", "storage": "down"}
        assert (await browser.get("/healthz")).status_code == 200


@pytest.mark.hazard("U3")
async def test_a_forged_forwarding_header_does_not_pick_the_rate_limit(site: Site) -> None:
    async with site.browser() as browser:
        statuses = []
        for number in range(PER_ADDRESS.amount + 1):
            answer = await browser.post(
                "/api/auth/magic-link",
                json={"email": f"n{number}@example.com"},
                headers={"X-Forwarded-For": f"203.0.113.{number}"},
            )
            statuses.append(answer.status_code)
    assert statuses == [202] * PER_ADDRESS.amount + [429]


async def test_the_api_describes_itself(site: Site) -> None:
    async with httpx.AsyncClient(base_url=site.url) as program:
        described = (await program.get("/api/docs/openapi.json")).json()
    for path in ("/api/tasks", "/api/upload", "/api/credits", "/api/auth/magic-link"):
        assert path in described["paths"], sorted(described["paths"])


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def test_secrets_are_struck_out_of_logs(
    restored_logging: None, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    logs.configure(settings.model_copy(update={"log_format": "json", "log_level": "INFO"}))
    logs.logger("tests").info("signed in", token="hunter2", api_key="hunter2", path="/x")
    line = capsys.readouterr().err
    assert "hunter2" not in line
    assert json.loads(line)["path"] == "/x"


async def test_requests_are_logged_a_line_each_in_the_order_of_all_lines(
    restored_logging: None, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    logs.configure(settings.model_copy(update={"log_format": "json", "log_level": "INFO"}))
    logs.begin("request-2")
    for number in (0, 1):
        logs.answered("GET", f"/{number}", 200, 0.4, f"request-{number}")
    logs.logger("tests").info("something else")
    logs.answered("GET", "/2", 200, 0.4, "request-2")
    await asyncio.sleep(0)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("path") for line in lines] == ["/0", "/1", None, "/2"]
    assert [line["request_id"][-1] for line in lines] == ["0", "1", "2", "2"]
    assert lines[3].keys() >= {"method", "status", "duration_ms", "event", "level", "timestamp"}


async def test_a_log_that_cannot_be_written_stops_nobody(
    restored_logging: None, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Full())
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logs.configure(settings.model_copy(update={"log_format": "json", "log_level": "INFO"}))
    logs.answered("GET", "/0", 200, 0.4, "request-0")
    logs.logger("tests").error("a page failed")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/en/tools/%00", 404),
        ("/en/tools/a%22b", 404),
        ("/tools/%00", 404),
        ("/api/tools/%00", 404),
        ("/api/tasks?tool=%00", 422),
    ],
)
async def test_a_nul_in_an_address_is_the_askers_fault(
    site: Site, make_user: MakeUser, path: str, status: int
) -> None:
    """And comes back in no link but as it was sent."""
    for user in (None, await make_user()):
        async with site.browser(user) as browser:
            answer = await browser.get(path)
        expected = 401 if user is None and path.startswith("/api/tasks") else status
        assert answer.status_code == expected
        assert "\0" not in answer.text
        if path.startswith("/en/"):
            assert f'href="/de{path[3:]}"' in answer.text
