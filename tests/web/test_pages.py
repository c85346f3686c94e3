"""Pages as they are served: languages, caching, errors, the development inbox, open redirects."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest
from tests.conftest import MakeUser, Site

from funmagic.core.errors import NotFound
from funmagic.core.resources import Resources
from funmagic.core.settings import Settings
from funmagic.web.handlers import inbox
from funmagic.web.static import front_end


async def test_the_root_leads_to_the_language_of_the_browser(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/", headers={"Accept-Language": "zh-TW,zh;q=0.8"})
        assert (answer.status_code, answer.headers["location"]) == (302, "/zh/")
        browser.cookies.set("fm_locale", "en")
        answer = await browser.get("/", headers={"Accept-Language": "zh"})
        assert answer.headers["location"] == "/en/"


async def test_a_page_remembers_its_language_once(site: Site) -> None:
    async with site.browser() as browser:
        first = await browser.get("/zh")
        assert first.cookies["fm_locale"] == "zh"
        second = await browser.get("/zh")
        assert "set-cookie" not in second.headers


async def test_pages_of_ones_own_are_never_kept_by_shared_caches(
    site: Site, make_user: MakeUser
) -> None:
    async with site.browser(await make_user()) as browser:
        for path in ("/en", "/en/credits", "/en/nowhere"):
            answer = await browser.get(path)
            assert answer.headers["cache-control"] == "private, no-cache", path


async def test_no_page_has_anything_inline(site: Site, make_user: MakeUser) -> None:
    """What the policy forbids would only show as a console error in somebody's browser."""
    async with site.browser(await make_user()) as browser:
        for path in (
            "/en",
            "/en/tools/background-remove",
            "/en/credits",
            "/en/nowhere",
            "/en/profile",
            "/en/profile/security",
            "/en/profile/keys",
            "/en/profile/data",
            "/en/reauthentication",
            "/en/forgot-password",
        ):
            text = (await browser.get(path)).text
            assert " style=" not in text, path
            assert "<style" not in text, path
            assert " onclick=" not in text, path
            for tag in text.split("<script")[1:]:
                head = tag.split(">", 1)[0]
                data = 'type="application/json"' in head or 'type="application/ld+json"' in head
                assert " src=" in head or data, path


async def test_unknown_pages_and_languages_are_told_in_the_readers_language(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/zh/nowhere")
        assert answer.status_code == 404
        assert "页面不存在" in answer.text
        answer = await browser.get("/xx/credits", headers={"Accept-Language": "zh"})
        assert answer.status_code == 404
        assert "页面不存在" in answer.text
        assert (await browser.get("/en/tools/unknown")).status_code == 404


async def test_the_price_on_the_button_is_the_catalogs(site: Site) -> None:
    async with site.browser() as browser:
        text = (await browser.get("/en/tools/background-remove")).text
    assert "Remove background (5 credits)" in text
    assert 'data-price="5"' in text


@pytest.mark.parametrize("task", ["01a2058e-4a48-70e6-95e6-a979c197c14f", "nonsense"])
async def test_a_task_that_is_not_ones_own_is_not_found(
    site: Site, make_user: MakeUser, task: str
) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await browser.get("/en/tools/background-remove", params={"task": task})
    assert answer.status_code == 404


async def test_the_credit_history_is_paged_by_the_last_entry(
    site: Site, make_user: MakeUser
) -> None:
    ada = await make_user()
    for _ in range(24):
        await make_user(credits_=1)
        await make_user(credits_=2)
    async with site.browser(ada) as browser:
        first = (await browser.get("/en/credits")).text
        assert first.count("<time") == 20
        older = first.split('href="/en/credits?cursor=')[1].split('"')[0]
        second = (await browser.get(f"/en/credits?cursor={older}")).text
        assert second.count("<time") == 20
        assert "Newest" in second
        assert (await browser.get("/en/credits?cursor=nonsense")).status_code == 422


async def test_credits_ask_a_guest_to_sign_in(site: Site) -> None:
    async with site.browser() as browser:
        answer = await browser.get("/zh/credits")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/zh/sign-in?next=/zh/credits"


@pytest.mark.parametrize("path", ["https://evil.example/", "//evil.example", "/\\evil.example"])
async def test_next_never_leaves_the_site(site: Site, make_user: MakeUser, path: str) -> None:
    async with site.browser(await make_user()) as browser:
        answer = await browser.get("/en/sign-in", params={"next": path})
    assert answer.headers["location"] == "/en/"


async def test_the_look_of_ones_account_is_in_the_page_itself(
    site: Site, make_user: MakeUser
) -> None:
    """A script would come too late: the page would flash."""
    async with site.browser(await make_user()) as browser:
        await browser.patch("/api/me", json={"theme": "dark", "accent": "green"})
        for path in ("/en", "/en/credits", "/en/tools/background-remove", "/en/profile/keys"):
            tag = (await browser.get(path)).text.split("<html", 1)[1].split(">")[0]
            for attribute in ('class="dark"', 'data-theme="dark"', 'data-accent="green"'):
                assert attribute in tag, path
    async with site.browser() as browser:
        tag = (await browser.get("/en")).text.split("<html", 1)[1].split(">")[0]
        assert "data-accent" not in tag


async def test_the_sign_in_page_says_what_went_wrong_elsewhere(
    site: Site, make_user: MakeUser
) -> None:
    query = {"next": "/en/credits", "error": "oauth_denied"}
    async with site.browser() as browser:
        text = (await browser.get("/en/sign-in", params=query)).text
        assert "You did not go on there" in text
        assert 'name="next" value="/en/credits"' in text
        assert "Continue with" not in text  # no keys, no such way
    async with site.browser(await make_user()) as browser:
        text = (await browser.get("/en/sign-in", params=query)).text
        assert "You did not go on there" in text
        assert 'href="/en/credits" class="btn' in text


async def test_a_built_file_comes_in_the_encoding_the_browser_takes(site: Site) -> None:
    url = front_end().url("app.css")
    async with site.browser() as browser:
        for accepts, encoding in (("br, gzip", "br"), ("gzip", "gzip"), ("identity", None)):
            answer = await browser.get(url, headers={"Accept-Encoding": accepts})
            assert answer.headers.get("content-encoding") == encoding
            assert "max-age=31536000" in answer.headers["cache-control"]
        assert (await browser.get("/static/..%2f..%2fpages.py")).status_code == 404


async def test_the_inbox_shows_text_only_and_only_its_own_files(
    site: Site, resources: Resources
) -> None:
    folder = resources.settings.dev_inbox_dir
    assert folder is not None
    mail = EmailMessage()
    mail["From"], mail["To"] = "a@example.com", "b@example.com"
    mail["Subject"] = "<script>alert(1)</script>"
    mail.set_content("See http://localhost/x?a=1&b=2 or javascript:alert(1) <b>now</b>")
    (folder / "new" / "1.hand.made").write_bytes(mail.as_bytes())
    async with site.browser() as browser:
        text = (await browser.get("/dev/inbox/1.hand.made")).text
        assert "<script>alert" not in text
        assert "&lt;b&gt;now" in text
        assert 'href="http://localhost/x?a=1&amp;b=2"' in text
        assert 'href="javascript' not in text
        assert (await browser.get("/dev/inbox/..%2f..%2fdata")).status_code == 404
    (folder / "new" / "1.hand.made").unlink()


@pytest.mark.parametrize(
    ("changed", "host"),
    [
        ({"dev_inbox_dir": None}, "localhost:8000"),
        ({"funmagic_env": "production"}, "localhost:8000"),
        ({}, "evil.example:8000"),
        ({}, ""),
    ],
    ids=["not configured", "production", "rebound name", "no name"],
)
def test_the_inbox_is_closed(settings: Settings, changed: dict[str, Any], host: str) -> None:
    with pytest.raises(NotFound):
        inbox._folder(settings.model_copy(update=changed), host)


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:9", "[::1]:8000"])
def test_the_inbox_is_open_to_this_machine(settings: Settings, host: str) -> None:
    assert inbox._folder(settings, host) == settings.dev_inbox_dir


async def test_an_address_with_two_slashes_leads_nowhere_else(site: Site) -> None:
    async with site.browser() as browser:
        page = await browser.get(site.url + "//evil.example/x")
    assert page.status_code == 404
    assert "//evil.example" not in page.text
