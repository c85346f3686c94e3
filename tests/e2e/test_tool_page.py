"""The parts around a tool's workplace in a browser: bookmark, share, stars; kept, undone, shown to
the next one, by mouse and by keyboard alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from tests.conftest import PHOTOS
from tests.e2e.accessible import check_looks
from tests.e2e.visitors import TOOL, MakeVisitor

pytestmark = pytest.mark.browser

BOOKMARK = "bookmark-button button"
SURFACE = "button => getComputedStyle(button).backgroundColor"
LIT = "[data-island=ratings] .rating-line"


def press(page: Page, selector: str) -> None:
    """By the keyboard."""
    page.locator(selector).focus()
    page.keyboard.press("Enter")


def undo(page: Page, news: str) -> None:
    """Press the button of the message that says so."""
    page.locator("#toaster .toast", has_text=news).last.get_by_role("button").click()


def counts(page: Page) -> list[str]:
    """How many gave five, four, three, two and one star."""
    return [line.split()[-1] for line in page.locator(LIT).all_inner_texts()]


def test_a_tool_is_bookmarked_run_rated_and_shared(make_visitor: MakeVisitor) -> None:
    visitor = make_visitor()
    page = visitor.page
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.goto(TOOL)
    check_looks(page, "tool, signed out")
    page.get_by_role("link", name="Use tool").click()
    expect(page.locator("#use")).to_be_focused()
    page.get_by_role("button", name="Share").click()
    expect(page.locator("#toaster")).to_contain_text("The address is copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{visitor.product.url}/en{TOOL}"

    # Whoever wants to bookmark is asked in first, and finds the tool bookmarked afterwards.
    page.get_by_role("link", name="Bookmark").click()
    page.fill("sign-in-dialog input[name=email]", "stars@example.org")
    page.keyboard.press("Enter")
    page.wait_for_selector("sign-in-dialog [data-sent]:visible")
    page.goto(visitor.product.sign_in_link("stars@example.org"))
    expect(page.locator(BOOKMARK)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(BOOKMARK)).to_have_text("Bookmarked")
    undo(page, "You find it among your bookmarks")
    expect(page.locator(BOOKMARK)).to_have_attribute("aria-pressed", "false")
    press(page, BOOKMARK)
    expect(page.locator(BOOKMARK)).to_have_attribute("aria-pressed", "true")

    # Stars come with the first run, without the page being opened anew.
    expect(page.locator("rating-stars")).to_have_count(0)
    visitor.choose(PHOTOS / "coffee.jpg")
    page.click("[data-ref=submit]")
    visitor.wait_for_stage("completed")
    expect(page.locator("rating-stars")).to_have_count(1)
    press(page, "#star-4")
    expect(page.locator(LIT)).to_have_count(5)
    assert counts(page) == ["0", "1", "0", "0", "0"]
    expect(page.locator("#star-4")).to_be_focused()
    expect(page.locator("[data-island=rating]")).to_contain_text("4.0")
    page.click("#star-2")
    expect(page.locator("[data-island=rating]")).to_contain_text("2.0")
    undo(page, "Thank you for your rating")
    expect(page.locator("[data-island=rating]")).to_contain_text("4.0")
    expect(page.locator("#star-4")).to_have_attribute("aria-pressed", "true")
    check_looks(page, "tool, run and rated")
    press(page, "#rating-back")
    expect(page.locator("[data-island=rating]")).to_contain_text("No ratings yet")
    expect(page.locator("#star-1")).to_be_focused()
    undo(page, "Your rating is taken back")
    expect(page.locator("[data-island=rating]")).to_contain_text("4.0")

    stranger = make_visitor(width=360, height=740)
    stranger.goto(TOOL)
    expect(stranger.page.locator("[data-island=rating]")).to_contain_text("4.0 · 1 rating")
    expect(stranger.page.locator("rating-stars")).to_have_count(0)

    visitor.goto("/bookmarks")
    check_looks(page, "bookmarks")
    page.emulate_media(color_scheme="dark")
    assert page.locator(BOOKMARK).evaluate(SURFACE).startswith("oklch(")
    assert "/" not in page.locator(BOOKMARK).evaluate(SURFACE), "a picture shines through"
    page.emulate_media(color_scheme="light")
    expect(page.locator("[data-bookmark]:visible")).to_have_count(1)
    press(page, BOOKMARK)
    expect(page.locator("[data-no-bookmarks]")).to_be_visible()
    undo(page, "Not bookmarked any more")
    expect(page.locator("[data-bookmark]:visible")).to_have_count(1)
    expect(page.locator("[data-no-bookmarks]")).to_be_hidden()
    page.reload()
    press(page, BOOKMARK)
    expect(page.locator("[data-no-bookmarks]")).to_be_visible()
    page.reload()
    expect(page.locator("[data-no-bookmarks]")).to_be_visible()
    check_looks(page, "no bookmarks")


def test_what_is_not_kept_is_said_and_taken_back(make_visitor: MakeVisitor) -> None:
    visitor = make_visitor()
    page = visitor.page
    visitor.allowed.append("net::ERR_")
    visitor.sign_in("lost@example.org")
    visitor.goto(TOOL)
    page.route("**/bookmark", lambda route: route.abort())
    page.click(BOOKMARK)
    expect(page.locator("#toaster")).to_contain_text("This was not saved")
    expect(page.locator(BOOKMARK)).to_have_attribute("aria-pressed", "false")
    expect(page.locator(BOOKMARK)).to_have_text("Bookmark")
