"""What search engines and link previews read: one address for a page, in every language it has."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import pytest
from PIL import Image
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.web.crawl import Links

from funmagic.core.i18n import LOCALES
from funmagic.web.handlers import addresses

MAP = {"s": addresses.MAPS, "x": "http://www.w3.org/1999/xhtml"}
EVERY = {*LOCALES, "x-default"}
NOTHING_3D = """
    UPDATE tools SET is_active = false
     WHERE tool_type_id = (SELECT id FROM tool_types WHERE name = '3d')
"""


async def test_each_public_page_has_one_address_in_each_language(
    site: Site, make_user: MakeUser
) -> None:
    asked = {
        "/en": "/en/",
        "/zh/": "/zh/",
        "/de/tools?sort=newest&q=photo": "/de/tools",
        "/fr/tools?type=photo&sort=top_rated": "/fr/tools?type=photo",
        "/ja/tools?type=%22%3E%3Cscript%3E": "/ja/tools",
        "/ja/tools?type=made-up": "/ja/tools",
        "/ko/tools/background-remove?task=new": "/ko/tools/background-remove",
        "/vi/help": "/vi/help",
        "/pt/pricing/": "/pt/pricing",
        "/es/terms": "/es/terms",
        "/en/privacy": "/en/privacy",
    }
    async with site.browser() as browser:
        for path, address in asked.items():
            found = Links(f"{site.url}{path}", (await browser.get(path)).text)
            assert found.canonical == f"{site.url}{address}", path
            rest = address[3:]
            assert found.alternates == {
                **{code: f"{site.url}/{code}{rest}" for code in LOCALES},
                "x-default": f"{site.url}{rest}",
            }
            assert "robots" not in found.meta
            assert found.meta["og:url"] == [found.canonical]
            assert len(found.meta["og:title"][0]) > 3
            assert len(found.meta["og:description"][0]) > 10
            assert len(found.meta["og:locale"]) == 1
            assert len(found.meta["og:locale:alternate"]) == len(LOCALES) - 1
            assert found.meta["twitter:card"] == ["summary_large_image"]
            shared = Image.open(io.BytesIO((await browser.get(found.meta["og:image"][0])).content))
            assert found.meta["og:image:width"] == [str(shared.width)]
            assert found.meta["og:image:height"] == [str(shared.height)]
            assert found.meta["og:image:alt"][0]
            assert (await browser.get(f"{site.url}{rest}")).status_code == 302
    async with site.browser(await make_user()) as browser:
        for path in ("/en/nowhere", "/en/tools/nothing", "/en/profile", "/en/credits"):
            found = Links(f"{site.url}{path}", (await browser.get(path)).text)
            assert found.meta["robots"] == ["noindex"], path
            assert (found.canonical, found.alternates) == (None, {})


async def test_an_address_without_a_language_leads_to_the_persons(site: Site) -> None:
    async with site.browser() as browser:
        for path in ("/tools", "/tools/figme", "/help", "/pricing", "/privacy", "/sign-in"):
            answer = await browser.get(path, headers={"Accept-Language": "pt-BR,pt;q=0.9"})
            assert (answer.status_code, answer.headers["location"]) == (302, f"/pt{path}")
            assert answer.headers["vary"] == "Accept-Language, Cookie"
            assert answer.headers["cache-control"] == "private, no-cache"
        browser.cookies.set("fm_locale", "ko")
        answer = await browser.get("/tools?q=caf%C3%A9", headers={"Accept-Language": "de"})
        assert answer.headers["location"] == "/ko/tools?q=caf%C3%A9"
        assert (await browser.get("/tools/nothing")).status_code == 404
        assert (await browser.post("/tools")).status_code == 405


async def test_the_sitemap_lists_every_page_in_every_language(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.resources.db.transaction() as session:
        await session.execute(text(NOTHING_3D))
    async with site.browser() as browser:
        robots = (await browser.get("/robots.txt")).text
        assert f"Sitemap: {site.url}/sitemap.xml" in robots.splitlines()
        answer = await browser.get("/sitemap.xml")
        assert answer.headers["content-type"].startswith("application/xml")
        whole = _entries(answer.content)
        async with site.resources.db.transaction() as session:
            slugs = (await session.scalars(text("SELECT slug FROM tools WHERE is_active"))).all()
        assert len(slugs) > 1
        rest = {*addresses.PAGES, *(f"/tools/{slug}" for slug in slugs)}
        rest |= {"/tools?type=photo", "/tools?type=art"}
        assert whole == {f"{site.url}/{code}{path}" for code in LOCALES for path in rest}
        sample = [address for address in sorted(whole) if "/vi" in address]
        for address in sample:
            assert (await browser.get(address)).status_code == 200, address

        monkeypatch.setattr(addresses, "PART_TOOLS", 1)  # as if the catalog were large
        index = ElementTree.fromstring((await browser.get("/sitemap.xml")).content)
        parts = [str(each.text) for each in index.findall("s:sitemap/s:loc", MAP)]
        assert len(parts) == 1 + len(slugs)
        listed = [_entries((await browser.get(part)).content) for part in parts]
        assert set.union(*listed) == whole
        assert sum(map(len, listed)) == len(whole)
        for name in ("nothing", "nothing.xml", "ffffffff-ffff-ffff-ffff-ffffffffffff.xml"):
            assert (await browser.get(f"/sitemap/{name}")).status_code == 404


def _entries(document: bytes) -> set[str]:
    """The addresses a sitemap lists, each of which names all languages it is in."""
    found = set()
    for entry in ElementTree.fromstring(document).findall("s:url", MAP):
        address = str(entry.findtext("s:loc", namespaces=MAP))
        others = {link.get("hreflang"): link.get("href") for link in entry.findall("x:link", MAP)}
        assert set(others) == EVERY
        assert address in others.values()
        assert address not in found
        found.add(address)
    return found
