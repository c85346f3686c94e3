"""Help, pricing, terms and privacy: whose they are, that they are true, that they lead on."""

from __future__ import annotations

from urllib.parse import urldefrag, urlsplit

import pytest
from tests.conftest import MakeUser, Site
from tests.web.crawl import Links

from funmagic.core.i18n import LOCALES
from funmagic.core.settings import Settings
from funmagic.web.handlers import info
from funmagic.web.info_contexts import operator_of, section_in
from funmagic.web.info_texts import HELP, NUMBERS, PRIVACY, TERMS

PAGES = ("/help", "/pricing", "/terms", "/privacy")
SAMPLE = {"/", "/tools", "/tools/background-remove", *PAGES}  # of other languages than English
MOST_ADDRESSES = 1_500


def test_every_number_of_the_texts_is_filled_in() -> None:
    sections = [*TERMS, *PRIVACY, *(each for topic in HELP for each in topic.questions)]
    texts = [text for section in sections for text in section_in(section, "en").paragraphs]
    assert not [text for text in texts if "{" in text]
    written = " ".join(text for section in sections for text in section.paragraphs)
    assert all("{" + name + "}" in written for name in NUMBERS)
    assert "up to 20 MB" in " ".join(texts)
    assert "after 14 days" in " ".join(texts)


async def test_pages_speak_in_the_name_of_whoever_runs_the_installation(
    site: Site, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.browser() as browser:
        for path in ("/help", "/terms", "/privacy"):
            assert "has not given a name yet" in (await browser.get(f"/en{path}")).text, path
        pricing = (await browser.get("/en/pricing")).text
        assert "mailto:" not in pricing
        assert 'href="/en/tools/background-remove"' in pricing
        assert "50 free credits for new accounts" in pricing
    named = site.resources.settings.model_copy(
        update={
            "operator_name": "Lantern & Sons",
            "operator_email": "hello@lantern.example",
            "operator_address": r"Example Street 1\n 12345 Exampletown ",
        }
    )
    monkeypatch.setattr(info, "operator_of", lambda _: operator_of(named))
    async with site.browser(await make_user()) as browser:  # who is signed in gets no kept page
        for path in ("/help", "/terms", "/privacy"):
            page = (await browser.get(f"/en{path}")).text
            assert "Lantern &amp; Sons" in page, path
            assert "<p>12345 Exampletown</p>" in page, path
            assert 'href="mailto:hello@lantern.example"' in page, path
        pricing = (await browser.get("/en/pricing")).text
        assert 'href="mailto:hello@lantern.example"' in pricing
        assert "/en/register" not in pricing


def test_an_address_is_given_by_lines(settings: Settings) -> None:
    one = settings.model_copy(update={"operator_address": "Example Street 1\n\nExampletown"})
    assert operator_of(one).address == ("Example Street 1", "Exampletown")
    assert operator_of(settings).address == ()


async def test_every_link_a_visitor_can_follow_leads_somewhere(site: Site) -> None:
    """All pages reached in English, with what is loaded by them; of other languages a sample."""
    waiting = [f"{site.url}/en/", *(f"{site.url}/{code}/" for code in LOCALES)]
    asked: dict[str, int] = {}
    pages: dict[str, Links] = {}
    aims: dict[str, str] = {}  # what is linked to, and from where
    async with site.browser() as browser:
        while waiting:
            address = waiting.pop(0)
            if address in asked:
                continue
            assert len(asked) < MOST_ADDRESSES, sorted(asked)
            answer = await browser.get(address, follow_redirects=True)
            asked[address] = answer.status_code
            assert answer.status_code == 200, (address, aims.get(address))
            if not answer.headers["content-type"].startswith("text/html"):
                continue
            pages[address] = found = Links(address, answer.text)
            if _locale(address) != "en" and _path(address) != "/":
                continue
            for link in found.pages | found.parts:
                if _locale(link) in {*LOCALES} - {"en"} and _path(link) not in SAMPLE:
                    continue
                aims.setdefault(link, address)
                waiting.append(_once(link))
    assert len(pages) > 30
    for link, source in aims.items():
        page, fragment = urldefrag(link)
        if fragment and page in pages:
            assert fragment in pages[page].ids, f"{source} leads to {link}"
    for code in LOCALES:
        assert {f"{site.url}/{code}{path}" for path in PAGES} <= set(pages)


def _once(link: str) -> str:
    """One of all links that differ only in where they lead back to, or within their page."""
    page, _ = urldefrag(link)
    return page.split("?next=")[0]


def _locale(address: str) -> str:
    return urlsplit(address).path.split("/")[1]


def _path(address: str) -> str:
    return "/" + "/".join(urlsplit(address).path.split("/")[2:])
