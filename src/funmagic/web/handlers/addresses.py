"""Addresses for machines, and typed by people: sitemap, robots, pages without a language."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID
from xml.sax.saxutils import escape

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Redirect

from funmagic.catalog import addresses
from funmagic.catalog.cache import CatalogCache
from funmagic.catalog.shelf import CatalogQuery, Kind
from funmagic.core.errors import NotFound
from funmagic.core.http import request_locale
from funmagic.core.i18n import LOCALES
from funmagic.core.resources import Resources
from funmagic.web.pages import AnyRequest
from funmagic.web.shop_contexts import catalog_address
from funmagic.web.static import front_end

# Tools of one part, each with an address in every language: some 2 MB, far from what is allowed
# (sitemaps.org: 50,000 addresses and 50 MB) and little to draw at once.
PART_TOOLS: Final = 250
PAGES: Final = ("/", "/tools", "/help", "/pricing", "/terms", "/privacy")
XML: Final = "application/xml"
HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
MAPS: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"
KEPT: Final = {"Cache-Control": "public, max-age=3600"}

# What is somebody's own has nothing for a search engine, and each visit would cost a page.
ROBOTS: Final = """\
User-agent: *
Disallow: /api/
Disallow: /dev/
Disallow: /*/bookmarks
Disallow: /*/credits
Disallow: /*/dashboard
Disallow: /*/profile
Disallow: /*/sign-in
Sitemap: {origin}/sitemap.xml
"""


@get(
    [
        *("/tools", "/help", "/pricing", "/terms", "/privacy"),
        *("/sign-in", "/register", "/credits", "/bookmarks", "/profile", "/dashboard"),
    ],
    include_in_schema=False,
)
async def send_to_page(request: AnyRequest) -> Redirect:
    """An address without a language leads to the page in the person's: chosen before, else what the
    browser asks for."""
    return _in_own_language(request)


@get("/tools/{slug:str}", include_in_schema=False)
async def send_to_tool(
    request: AnyRequest, catalog_cache: NamedDependency[CatalogCache], slug: FromPath[str]
) -> Redirect:
    """The same for a tool on offer."""
    await catalog_cache.tool(slug)
    return _in_own_language(request)


def _in_own_language(request: AnyRequest) -> Redirect:
    query = f"?{request.url.query}" if request.url.query else ""
    return Redirect(
        f"/{request_locale(request)}{request.url.path}{query}",
        status_code=302,
        headers={"Vary": "Accept-Language, Cookie", "Cache-Control": "private, no-cache"},
    )


@get("/robots.txt", include_in_schema=False)
async def show_robots(resources: NamedDependency[Resources]) -> Response[str]:
    """What machines may read, and where they find it."""
    text = ROBOTS.format(origin=resources.settings.public_url)
    return Response(text, media_type="text/plain", headers=KEPT)


@get("/favicon.ico", include_in_schema=False)
async def send_to_icon() -> Redirect:
    """Where whatever has read no page looks for an icon; to one that anything can read."""
    return Redirect(front_end().url("brand/touch.png"), status_code=302, headers=KEPT)


@get("/sitemap.xml", include_in_schema=False)
async def show_sitemap(
    resources: NamedDependency[Resources], catalog_cache: NamedDependency[CatalogCache]
) -> Response[str]:
    """Every page for everybody in every language; of a large catalog, where its parts are."""
    origin = resources.settings.public_url
    async with resources.db.transaction() as session:
        firsts = await addresses.parts(session, PART_TOOLS)
        tools = await addresses.part(session, firsts[0], PART_TOOLS) if len(firsts) == 1 else ()
    if len(firsts) > 1:
        names = ["pages", *map(str, firsts)]
        maps = (f"<sitemap><loc>{origin}/sitemap/{name}.xml</loc></sitemap>" for name in names)
        return _xml("sitemapindex", maps)
    kinds = (await catalog_cache.kinds()).value
    return _xml("urlset", [*_pages(origin, kinds), *_tools(origin, tools)])


@get("/sitemap/{name:str}", include_in_schema=False)
async def show_part(
    resources: NamedDependency[Resources],
    catalog_cache: NamedDependency[CatalogCache],
    name: FromPath[str],
) -> Response[str]:
    """A part of a large sitemap: ``pages.xml``, or the tools from one id on."""
    origin = resources.settings.public_url
    if name == "pages.xml":
        return _xml("urlset", _pages(origin, (await catalog_cache.kinds()).value))
    try:
        first = UUID(name.removesuffix(".xml"))
    except ValueError:
        raise NotFound from None
    async with resources.db.transaction() as session:
        tools = await addresses.part(session, first, PART_TOOLS)
    if not tools:
        raise NotFound
    return _xml("urlset", _tools(origin, tools))


def _pages(origin: str, kinds: Iterable[Kind]) -> Iterable[str]:
    of_kinds = (catalog_address(CatalogQuery(type=kind.name)) for kind in kinds if kind.tool_count)
    for path in (*PAGES, *of_kinds):
        yield _in_all_languages(origin, path)


def _tools(origin: str, tools: Iterable[addresses.ToolAddress]) -> Iterable[str]:
    for tool in tools:
        yield _in_all_languages(origin, f"/tools/{tool.slug}", tool.updated_at)


def _in_all_languages(origin: str, path: str, changed_at: datetime | None = None) -> str:
    """One page's entries: an address in each language, and each names all of them."""
    found = {code: escape(f"{origin}/{code}{path}") for code in LOCALES}
    others = "".join(
        f'<xhtml:link rel="alternate" hreflang="{code}" href="{address}"/>'
        for code, address in [*found.items(), ("x-default", escape(origin + path))]
    )
    changed = f"<lastmod>{changed_at:%Y-%m-%d}</lastmod>" if changed_at else ""
    return "\n".join(
        f"<url><loc>{address}</loc>{changed}{others}</url>" for address in found.values()
    )


def _xml(name: str, entries: Iterable[str]) -> Response[str]:
    namespaces = f'xmlns="{MAPS}" xmlns:xhtml="http://www.w3.org/1999/xhtml"'
    text = f"{HEAD}<{name} {namespaces}>\n" + "\n".join(entries) + f"\n</{name}>\n"
    return Response(text, media_type=XML, headers=KEPT)
