"""The real product under a real browser.

Every page a test opens is watched: an error in its console, a refused script or style, or an
exception nobody caught fails the test.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, sync_playwright
from tests.e2e.product import Product, running_product
from tests.e2e.visitors import MakeVisitor, Visitor
from tests.programs import CHROMIUM_ARGUMENTS, chromium_path

BROWSER_LOCALES = {
    "en": "en-GB",
    "zh": "zh-CN",
    "ja": "ja-JP",
    "fr": "fr-FR",
    "es": "es-ES",
    "pt": "pt-BR",
    "de": "de-DE",
    "vi": "vi-VN",
    "ko": "ko-KR",
}


@pytest.fixture(scope="package")
def product(
    servers: dict[str, str],
    template_database: str,
    models_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    """The product as a fresh installation has it."""
    folder = tmp_path_factory.mktemp("e2e")
    with running_product(servers, template_database, models_dir, folder) as running:
        yield running


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; every visitor gets a profile of their own."""
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.fixture
def browser_of_its_own(chromium: Browser) -> Iterator[Browser]:
    """For a test that draws in 3D, which is done by software: what a browser is still drawing when
    such a page is closed holds up its other pages, on small machines for longer than a test waits.
    """
    browser = launch(chromium.browser_type)
    yield browser
    browser.close()


def launch(browser_type: BrowserType) -> Browser:
    return browser_type.launch(executable_path=chromium_path(), args=[*CHROMIUM_ARGUMENTS])


FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether a test failed, so that its visitors tell what they saw."""
    report = yield
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report


@pytest.fixture
def make_visitor(request: pytest.FixtureRequest, product: Product) -> Iterator[MakeVisitor]:
    """Send a visitor; at the end nothing may have been complained about."""
    draws_3d = request.node.get_closest_marker("draws_3d") is not None
    browser = request.getfixturevalue("browser_of_its_own" if draws_3d else "chromium")
    visitors: list[Visitor] = []
    product.forget_limits()

    def make(
        *,
        locale: str = "en",
        width: int = 1280,
        height: int = 860,
        scheme: Any = "light",
        state: Any = None,
        scripts: bool = True,
    ) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale=BROWSER_LOCALES[locale],
            storage_state=state,
            reduced_motion="reduce",
            java_script_enabled=scripts,
        )
        visitor = Visitor(product, context, context.new_page(), locale)
        visitor.watch(visitor.page)
        visitors.append(visitor)
        return visitor

    yield make
    complaints = [text for visitor in visitors for text in visitor.complaints()]
    for visitor in visitors:
        if request.node.stash.get(FAILED, False):
            visitor.tell()
        visitor.context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def visitor(make_visitor: MakeVisitor) -> Visitor:
    """Somebody at a desk, in English, in the light."""
    return make_visitor()
