"""What a browser fetches for a page of the catalog: little, and most of it only once."""

from __future__ import annotations

import re

import httpx
from sqlalchemy import text
from tests.conftest import Site

MOST_BYTES = 100_000  # page, styles, scripts, fonts; pictures have a budget of their own
MOST_SCRIPT_BYTES = 20_000
FETCHED = re.compile(r'<(?:link|script)\b[^>]*?(?:href|src)="(/static/[^"]+\.(?:js|css|woff2))"')
MORE_TOOLS = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, config)
    SELECT gen_random_uuid(), slug || '-' || n, implementation, tool_type_id, title || ' ' || n,
           description, config
      FROM tools, generate_series(1, 24) n WHERE slug = 'figme'
""")


async def test_a_page_of_twenty_four_tools_is_light(site: Site) -> None:
    async with site.resources.db.transaction() as session:
        await session.execute(MORE_TOOLS)
    async with site.browser() as browser:
        page, size = await fetched(browser, "/en/tools")
        assert page.count("<article") == 24
        sizes = {path: (await fetched(browser, path))[1] for path in set(FETCHED.findall(page))}
    scripts = sum(size for path, size in sizes.items() if path.endswith(".js"))
    assert 0 < scripts <= MOST_SCRIPT_BYTES, sizes
    assert any(path.endswith(".css") for path in sizes)
    assert size + sum(sizes.values()) <= MOST_BYTES, (size, sizes)


async def fetched(browser: httpx.AsyncClient, path: str) -> tuple[str, int]:
    """A text, and how many bytes of it come over the wire."""
    headers = {"Accept-Encoding": "gzip, br"}
    async with browser.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200, path
        size = int(answer.headers["content-length"])
        await answer.aread()
    return answer.text, size
