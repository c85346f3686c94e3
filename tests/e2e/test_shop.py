"""The home page and the catalog in a browser: in every look, by keyboard alone, without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect
from tests.e2e import pictures
from tests.e2e.accessible import check
from tests.e2e.visitors import MakeVisitor, Visitor

pytestmark = pytest.mark.browser

MOST_STEPS = 120  # of somebody who looks for a control by the tabulator key
IN_SIGHT = "track => Math.round(track.scrollLeft / track.clientWidth)"
# The time a slide stays, over at once.
TIME_IS_UP = """() => document.getAnimations()
  .filter((each) => each.animationName === "slide-time")
  .forEach((each) => each.finish())"""
RUNNING = """() => document.getAnimations()
  .filter((each) => each.animationName === "slide-time" && each.playState === "running").length"""
# The address of a picture beside the main banners, when the browser has chosen one.
SIDE_PICTURE = """() => {
  const picture = document.querySelector(".side-picture img");
  picture.scrollIntoView();
  return picture.currentSrc;
}"""
# Whether the arrow of a link follows its last word wherever its words wrap.
FOLLOWS = """(link) => {
  const arrow = link.querySelector("svg");
  const words = document.createRange();
  words.selectNodeContents(link);
  words.setEndBefore(arrow);
  for (let width = link.offsetWidth; width > 20; width -= 2) {
    link.style.width = `${width}px`;
    const last = [...words.getClientRects()].filter((each) => each.width > 0).at(-1);
    const { left, top, bottom } = arrow.getBoundingClientRect();
    const isBeside = left >= last.right && left < last.right + 8;
    if (!isBeside || top >= last.bottom || bottom <= last.top) return false;
  }
  return true;
}"""
# Whether a card's picture and words are covered by their places, once those have appeared.
IS_COVERED = """async (card) => {
  await Promise.all(card.getAnimations({ subtree: true }).map((each) => each.finished));
  return [".tool-card-picture", ".tool-card-words"].every((part) => {
    const cover = getComputedStyle(card.querySelector(part), "::after");
    return cover.content !== "none" && cover.opacity === "1";
  });
}"""


@pytest.mark.parametrize(
    ("locale", "looks"),
    [
        ("en", ((360, "light"), (1280, "dark"))),
        ("zh", ((360, "dark"), (1280, "light"))),
        ("de", ((360, "light"), (1280, "dark"))),
    ],
)
def test_the_shop_fits_and_is_accessible(
    make_visitor: MakeVisitor, locale: str, looks: tuple[tuple[int, Any], ...]
) -> None:
    for width, scheme in looks:
        visitor = make_visitor(locale=locale, width=width, height=800, scheme=scheme)
        for path in ("/", "/tools", "/tools?q=zzzzzz"):
            visitor.goto(path)
            if (locale, width, path) == ("zh", 1280, "/tools"):
                pictures.take(visitor.page, "catalog")
            check(visitor.page, f"{locale}{path}, {width} px, {scheme}")
            if (width, path) == (360, "/"):
                small = visitor.page.wait_for_function(SIDE_PICTURE)
                assert "-320-" in small.json_value(), "a phone fetches a picture for a desk"
        if width == 360:
            visitor.page.locator("header details.menu:visible").last.click()
            check(visitor.page, f"{locale}, menu, {width} px, {scheme}")


def test_the_keyboard_alone_browses_filters_sorts_and_searches(visitor: Visitor) -> None:
    page = visitor.page
    loads: list[str] = []
    page.on("domcontentloaded", lambda loaded: loads.append(loaded.url))
    picture = page.locator(".tool-card-picture img").first
    with _on_their_way(page, "**/static/tools-*"):
        page.goto(f"{visitor.product.url}/en/", wait_until="commit")
        expect(picture).to_have_attribute("data-awaited", "")
    expect(picture).not_to_have_attribute("data-awaited", "")
    track = page.locator("[data-track]")
    _tab_to(page, "[data-move='1']")
    page.keyboard.press("Enter")
    expect(page.locator("[data-dot]").nth(1)).to_have_attribute("aria-current", "true")
    assert track.evaluate(IN_SIGHT) == 1
    expect(page.locator("[data-news]")).not_to_be_empty()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-dot]").first).to_have_attribute("aria-current", "true")

    _tab_to(page, "#kind-photo")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tools?type=photo")
    loads.clear()

    _tab_to(page, "#kind-all")
    page.keyboard.press("Enter")
    expect(page.locator("#kind-all")).to_have_attribute("aria-current", "true")
    expect(page.locator("#catalog-title")).to_have_text("All tools")
    expect(page.locator("#kind-all")).to_be_focused()
    _tab_to(page, "#sort-newest")
    results, card = page.locator("[data-results]"), page.locator("main .tool-card").first
    place = results.bounding_box()
    with _on_their_way(page, "**/tools?sort=newest"):
        page.keyboard.press("Enter")
        expect(results).to_have_attribute("aria-busy", "true")
        assert card.evaluate(IS_COVERED)
        assert results.bounding_box() == place
    expect(page.locator("#sort-newest")).to_have_attribute("aria-current", "true")
    expect(results).to_have_attribute("aria-busy", "false")
    assert not card.evaluate(IS_COVERED)
    assert page.url.endswith("/en/tools?sort=newest")
    expect(page.locator("#sort-newest")).to_be_focused()

    page.focus("#find")
    page.keyboard.type("backgruond")  # as people type
    expect(page.locator("main .tool-card-title").first).to_contain_text("ackground")
    page.wait_for_url("**/tools?q=backgruond&sort=newest")
    expect(page.locator("#find")).to_be_focused()
    assert "q=backgruond" in str(page.locator("header a[hreflang=de]").get_attribute("href"))
    page.keyboard.type("s")
    page.wait_for_url("**/tools?q=backgruonds&sort=newest")
    page.keyboard.press("Enter")
    expect(results).to_have_attribute("aria-busy", "false")
    page.go_back()  # over all that was typed, to what was there before
    page.wait_for_url("**/tools?sort=newest")
    expect(page.locator("#find")).to_have_value("")
    expect(page.locator("#sort-newest")).to_have_attribute("aria-current", "true")
    page.go_back()
    page.wait_for_url("**/tools")
    expect(page.locator("#kind-all")).to_have_attribute("aria-current", "true")
    assert not loads, "the parts of the page are swapped, nothing is loaded whole"

    _tab_to(page, ".tool-card-title > a")
    title = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(title)


def test_without_scripts_the_shop_is_browsed_by_links_and_a_form(make_visitor: MakeVisitor) -> None:
    visitor = make_visitor(scripts=False, width=360, height=740)
    page = visitor.page
    visitor.goto("/")
    page.locator("[data-dot]").nth(1).click()
    expect(page.locator("[data-slide]").nth(1).locator("a")).to_be_in_viewport(ratio=1)
    page.click("#kind-photo")
    page.wait_for_url("**/tools?type=photo")
    page.click("#sort-newest")
    page.wait_for_url("**/tools?type=photo&sort=newest")
    page.fill("#find", "background")
    page.press("#find", "Enter")
    page.wait_for_url("**/tools?q=background&type=photo&sort=newest")
    expect(page.locator(".tool-card").first).to_be_visible()
    page.locator("details.menu:visible").last.click()
    page.get_by_role("link", name="Tools").first.click()
    page.wait_for_url("**/en/tools")
    title = page.locator(".tool-card-title").first
    name = title.inner_text()
    title.click()
    expect(page.locator("h1")).to_have_text(name)
    # What does nothing without scripts is not there, and the tool says what it needs.
    expect(page.locator("noscript .notice")).to_be_visible()
    for control in ("[data-act=submit]", "[data-act=other]", ".dropzone", "[type=range]"):
        expect(page.locator(f"main {control}:visible")).to_have_count(0)
    page.locator("details.menu:visible").last.click()
    expect(page.get_by_role("link", name="Help").first).to_be_visible()
    expect(page.locator("[data-set-theme]:visible")).to_have_count(0)


def test_banners_move_on_until_somebody_takes_them_in_hand(visitor: Visitor) -> None:
    page = visitor.page
    visitor.goto("/")
    carousel = page.locator("banner-carousel")
    stop = page.locator("[data-pause]")
    expect(stop).to_be_hidden()  # who wants less motion gets none
    assert page.evaluate(RUNNING) == 0
    page.emulate_media(reduced_motion="no-preference")
    expect(stop).to_be_visible()
    expect(carousel).to_have_attribute("data-moving", "")
    page.wait_for_function(f"({RUNNING})() === 1")
    page.evaluate(TIME_IS_UP)
    expect(page.locator("[data-dot]").nth(1)).to_have_attribute("aria-current", "true")

    page.locator(".slide-words").nth(1).hover()
    page.wait_for_function(f"({RUNNING})() === 0")
    page.mouse.move(5, 5)
    page.wait_for_function(f"({RUNNING})() === 1")
    stop.click()
    expect(carousel).not_to_have_attribute("data-moving", "")
    expect(stop).to_have_attribute("aria-label", "Let the slides move")
    stop.click()
    expect(carousel).to_have_attribute("data-moving", "")
    assert all(link.evaluate(FOLLOWS) for link in page.locator(".side-link").all())
    page.locator("[data-dot]").first.click()
    expect(carousel).not_to_have_attribute("data-moving", "")
    expect(page.locator("[data-dot]").first).to_have_attribute("aria-current", "true")


@contextmanager
def _on_their_way(page: Page, addresses: str) -> Iterator[None]:
    """No answer from ``addresses`` arrives before the block ends."""
    held: list[Route] = []
    page.route(addresses, lambda route: held.append(route))
    yield
    while held:
        held.pop().continue_()
    page.unroute(addresses)


def _tab_to(page: Page, selector: str) -> None:
    """Go on by the tabulator key until ``selector`` has the focus."""
    for _ in range(MOST_STEPS):
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the tabulator key does not lead to {selector}")
