"""Pages for what went wrong: in words, with a way on, and what a program needs to know."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.conftest import Site
from tests.web.crawl import Links

from funmagic.core import errors
from funmagic.core.db import DatabaseAway
from funmagic.web import templates
from funmagic.web.handlers import info

SEARCH = 'action="/en/tools" method="get" role="search"'


async def test_what_is_not_there_can_be_looked_for(site: Site) -> None:
    async with site.browser() as browser:
        for path in ("/en/nowhere", "/en/tools/nothing", "/en/help/deeper"):
            answer = await browser.get(path)
            assert answer.status_code == 404
            assert SEARCH in answer.text, path
            ways = Links(f"{site.url}{path}", answer.text).pages
            assert {f"{site.url}/en/", f"{site.url}/en/tools", f"{site.url}/en/help"} <= ways
        for path in ("/robots.txt", "/en/help"):
            answer = await browser.post(path)
            assert answer.status_code == 405
            assert _methods(answer) == {"GET", "HEAD", "OPTIONS"}, path
        assert _methods(await browser.options("/en/help")) == {"GET", "HEAD", "OPTIONS"}
        assert SEARCH in answer.text
        answer = await browser.put("/api/tools")
        assert _methods(answer) == {"GET", "OPTIONS"}
        assert answer.json()["error"]["type"] == "method_not_allowed"


async def test_what_only_programs_ask_for_is_answered_to_them(site: Site) -> None:
    """No page is drawn for them, and no language is remembered."""
    async with site.browser() as browser:
        icon = await browser.get("/favicon.ico")
        assert (icon.status_code, icon.headers["cache-control"]) == (302, "public, max-age=3600")
        assert (await browser.get(icon.headers["location"])).headers["content-type"] == "image/png"
        for path in ("/static/nope.js", "/static/deeper/nope.js", "/static/"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.text) == (404, "Page not found\n"), path
            assert answer.headers["content-type"].startswith("text/plain")
        assert not browser.cookies


@pytest.mark.parametrize(
    ("trouble", "status", "words", "wait"),
    [
        (errors.TooManyRequests(retry_after_s=42), 429, "Try again in 42 seconds.", "42"),
        (RuntimeError("a secret"), 500, "Something went wrong on our side.", None),
        (DatabaseAway(), 503, "Try again in 5 seconds.", "5"),
    ],
    ids=["429", "500", "503"],
)
async def test_trouble_is_told_with_a_way_to_try_again(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
    status: int,
    words: str,
    wait: str | None,
) -> None:
    def fail(*_: Any) -> None:
        raise trouble

    monkeypatch.setattr(info, "operator_of", fail)
    async with site.browser() as browser:
        answer = await browser.get("/en/help")
    assert answer.status_code == status
    assert answer.headers.get("retry-after") == wait
    assert words in answer.text
    assert "a secret" not in answer.text
    assert SEARCH not in answer.text  # it would only meet the same trouble
    ways = Links(f"{site.url}/en/help", answer.text).pages
    assert {f"{site.url}/en/help", f"{site.url}/en/"} <= ways


async def test_where_no_page_can_be_drawn_there_is_a_plain_one(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The frame that breaks a page is the error page's, too."""

    def fail(*_: Any, **__: Any) -> str:
        raise RuntimeError("a secret")

    monkeypatch.setattr(templates, "translate", fail)
    async with site.browser() as browser:
        broken = await browser.get("/de/help")
        missing = await browser.get("/de/nowhere")
    assert (broken.status_code, missing.status_code) == (500, 404)
    for answer, title in (
        (broken, "Etwas ging kaputt"),
        (missing, "Seite nicht gefunden"),
    ):
        assert f"<h1>{title}</h1>" in answer.text
        assert 'href="/de/"' in answer.text
        assert "a secret" not in answer.text
        assert answer.headers["content-type"].startswith("text/html")
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]
    assert "'page failed'" in caplog.text
    assert "'error page failed'" in caplog.text


def _methods(answer: httpx.Response) -> set[str]:
    return set(answer.headers["allow"].split(", "))
