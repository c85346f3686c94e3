"""Every page, on phone and desk, light and dark, in both languages: it fits and is accessible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from tests.conftest import PHOTOS
from tests.e2e import pictures
from tests.e2e.accessible import Scheme, check, check_contrast, check_looks
from tests.e2e.product import Product
from tests.e2e.visitors import TOOL, MakeVisitor, Visitor

from funmagic.accounts.preferences import ACCENTS

pytestmark = pytest.mark.browser

# Each accent in the light and in the dark, against what the system wants; and as the system wants.
LOOKS_THERE_ARE: tuple[tuple[str, str, Scheme], ...] = (
    *((accent, "light", "dark") for accent in ACCENTS),
    *((accent, "dark", "light") for accent in ACCENTS),
    (ACCENTS[0], "system", "light"),
    (ACCENTS[0], "system", "dark"),
)
# As the scripts do it: news of both tones, and a header's menu.
OPEN_EVERYTHING = """() => {
  for (const tone of ["success", "danger"]) {
    const news = document.getElementById(`toast-${tone}`).content.firstElementChild.cloneNode(true);
    for (const place of news.querySelectorAll("h2, p, button")) place.textContent = "News";
    document.getElementById("toaster").append(news);
  }
  document.querySelector("header details.menu").open = true;
}"""
WEAR = "look => { dispatchEvent(new CustomEvent('fm-look', { detail: look })); }"
SIZES = {"phone": (390, 844), "desk": (1280, 860)}


@pytest.fixture(scope="module")
def signed_in(product: Product, chromium: Browser) -> Iterator[Any]:
    """The browser state of somebody with one finished task."""
    context = chromium.new_context()
    ada = Visitor(product, context, context.new_page())
    ada.sign_in("pages@example.org")
    ada.goto(TOOL)
    ada.choose(PHOTOS / "astronaut.jpg")
    ada.page.click("[data-ref=submit]")
    ada.wait_for_stage("completed")
    yield context.storage_state()
    context.close()


# Each two of size, scheme and language meet once.
@pytest.mark.parametrize(
    ("size", "scheme", "locale"),
    [
        ("desk", "dark", "en"),
        ("phone", "dark", "zh"),
        ("phone", "light", "en"),
        ("desk", "light", "zh"),
    ],
)
def test_pages_fit_and_are_accessible(
    make_visitor: MakeVisitor, signed_in: Any, size: str, scheme: str, locale: str
) -> None:
    width, height = SIZES[size]
    look = {"locale": locale, "width": width, "height": height, "scheme": scheme}
    guest = make_visitor(**look)
    guest.allowed.append("status of 4")
    for path in ("/", "/sign-in", "/nowhere", "/sign-in/confirm?token=unknown"):
        guest.goto(path)
        check(guest.page, f"{locale}{path}")
    guest.goto(TOOL)
    check(guest.page, f"{locale}{TOOL}, signed out")
    guest.choose(PHOTOS / "coffee.jpg")
    guest.page.click("[data-ref=submit]")
    guest.page.wait_for_selector("dialog[open] input")
    check(guest.page, f"{locale}{TOOL}, sign-in dialog")

    ada = make_visitor(**look, state=signed_in)
    for path in ("/credits", TOOL):
        ada.goto(path)
        check(ada.page, f"{locale}{path}, signed in")
    expect(ada.page.locator("tool-executor")).to_have_attribute("data-stage", "completed")
    if locale == "en":
        pictures.take(ada.page, "phone" if size == "phone" else "dark")
    ada.page.goto(f"{ada.product.url}/dev/inbox?lang={locale}")
    check(ada.page, f"{locale} inbox")


@pytest.mark.parametrize(
    ("locale", "paths"),
    [
        ("en", ("/help", "/pricing", "/terms", "/privacy")),
        ("de", ("/help", "/pricing", "/terms", "/nowhere")),
        ("zh", ("/help", "/pricing")),
    ],
)
def test_pages_about_the_product_fit_and_are_accessible(
    make_visitor: MakeVisitor, locale: str, paths: tuple[str, ...]
) -> None:
    visitor = make_visitor(locale=locale)
    visitor.allowed.append("status of 404")
    for path in paths:
        visitor.goto(path)
        check_looks(visitor.page, f"{locale}{path}")


def test_every_colour_can_be_read_in_light_and_dark(
    make_visitor: MakeVisitor, signed_in: Any
) -> None:
    """Pages with every kind of part on them, news and a menu open, in each look there is."""
    ada = make_visitor(state=signed_in)
    for path in ("/", TOOL):
        ada.goto(path)
        ada.page.evaluate(OPEN_EVERYTHING)
        for accent, theme, scheme in LOOKS_THERE_ARE:
            ada.page.emulate_media(color_scheme=scheme)
            ada.page.evaluate(WEAR, {"theme": theme, "accent": accent})
            look = ada.page.evaluate("({ ...document.documentElement.dataset })")
            assert (look["theme"], look["accent"]) == (theme, accent)
            is_dark = ada.page.evaluate("document.documentElement.classList.contains('dark')")
            assert is_dark is (theme == "dark" or (theme == "system" and scheme == "dark"))
            bar = ada.page.get_attribute("meta[name=theme-color]", "content")
            assert bar == ("#0c0a10" if is_dark else "#fdfdfe")
            check_contrast(ada.page, f"{path}, {theme} ({scheme}), {accent}")


def test_the_language_chosen_is_the_accounts(make_visitor: MakeVisitor, signed_in: Any) -> None:
    ada = make_visitor(state=signed_in)
    ada.goto("/help")
    ada.page.click("header summary[aria-label='Language']")
    ada.page.click("header a[hreflang=fr]")
    ada.page.wait_for_url("**/fr/help")
    assert ada.api("/api/me")["locale"] == "fr"
    ada.page.goto(f"{ada.product.url}/pricing")
    assert ada.page.url == f"{ada.product.url}/fr/pricing"


def test_the_colour_scheme_chosen_stays(visitor: Visitor) -> None:
    visitor.goto("/")
    visitor.page.click("summary[aria-label='Colour scheme']")
    visitor.page.get_by_role("button", name="Dark").click()
    visitor.page.reload()
    assert visitor.page.evaluate("document.documentElement.classList.contains('dark')")


def test_the_language_switch_keeps_the_page_and_is_remembered(visitor: Visitor) -> None:
    visitor.goto(TOOL)
    visitor.page.click("summary[aria-label='Language']")
    visitor.page.click("a[hreflang=zh]")
    assert visitor.page.url == f"{visitor.product.url}/zh{TOOL}"
    expect(visitor.page.locator("html")).to_have_attribute("lang", "zh")
    visitor.page.goto(f"{visitor.product.url}/")
    assert visitor.page.url == f"{visitor.product.url}/zh/"


def test_files_of_the_front_end_are_cached_for_ever_and_compressed(visitor: Visitor) -> None:
    answers: dict[str, dict[str, str]] = {}
    visitor.page.on("response", lambda answer: answers.update({answer.url: answer.headers}))
    visitor.goto(TOOL)
    scripts = {url: found for url, found in answers.items() if url.endswith((".js", ".css"))}
    assert len(scripts) >= 4
    for url, headers in scripts.items():
        assert "max-age=31536000" in headers["cache-control"], url
        assert headers["content-encoding"] in {"br", "gzip"}, url
    sizes = [int(found["content-length"]) for url, found in scripts.items() if url.endswith(".js")]
    assert sum(sizes) <= 20_000, "the scripts of the tool's page stay light"
