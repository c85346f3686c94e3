"""A browser on the pages of the application in this process: web only, nothing is worked on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from playwright.async_api import Page, async_playwright
from tests.catalog.conftest import put as put
from tests.conftest import Site
from tests.programs import CHROMIUM_ARGUMENTS, chromium_path

from funmagic.accounts.models import User
from funmagic.accounts.sessions import SESSION_COOKIE

PATIENCE_MS = 30_000
SignIn = Callable[[User], Awaitable[None]]


@pytest.fixture
async def page(site: Site) -> AsyncIterator[Page]:
    """A visitor's page; what the browser complains about fails the test."""
    path = chromium_path()
    complaints: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_ARGUMENTS])
        context = await browser.new_context(
            base_url=site.url, viewport={"width": 800, "height": 700}, reduced_motion="reduce"
        )
        opened = await context.new_page()
        opened.set_default_timeout(PATIENCE_MS)
        opened.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
        opened.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type in {"error", "warning"} and "status of 4" not in message.text
                else None
            ),
        )
        yield opened
        await browser.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def sign_in(site: Site, page: Page) -> SignIn:
    """Give the page's browser a session."""

    async def enter(user: User) -> None:
        token = await site.session_of(user)
        await page.context.add_cookies([{"name": SESSION_COOKIE, "value": token, "url": site.url}])

    return enter
