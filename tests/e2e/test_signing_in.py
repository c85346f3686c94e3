"""Signing in from the middle of work, in the same browser and in another one."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.conftest import PHOTOS
from tests.e2e import pictures
from tests.e2e.conftest import TOOL, MakeVisitor, Visitor

pytestmark = pytest.mark.browser


def test_a_visitor_signs_in_and_comes_back_to_the_same_photo(visitor: Visitor) -> None:
    page = visitor.page
    visitor.goto(TOOL)
    visitor.choose(PHOTOS / "coffee.jpg")
    page.click("[data-ref=submit]")
    dialog = page.get_by_role("dialog", name="Sign in to go on")
    expect(dialog.get_by_label("E-mail")).to_be_focused()
    expect(dialog).to_contain_text("Your photo stays in this browser")
    pictures.take(page, "sign-in")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("[data-ref=submit]")).to_be_focused()

    page.keyboard.press("Enter")
    expect(dialog.get_by_label("E-mail")).to_be_focused()
    dialog.get_by_label("E-mail").fill("nobody")
    visitor.allowed.append("status of 422")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("This does not look like an e-mail address.")
    dialog.get_by_label("E-mail").fill("visitor@example.org")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Check your mail")).to_be_focused()

    tab = visitor.watch(visitor.context.new_page())
    tab.goto(visitor.product.sign_in_link("visitor@example.org"))
    assert tab.url == f"{visitor.product.url}/en{TOOL}"
    expect(tab.locator("tool-executor[data-stage=ready]")).to_be_visible()
    expect(tab.locator("[data-ref=file-name]")).to_have_text("coffee.jpg")
    expect(tab.locator("#toaster")).to_contain_text("You are signed in")
    expect(tab.locator("[data-ref=submit]")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(tab.locator("[data-ref=receipt]")).to_have_text(
        "5 credits charged. 45 left.", timeout=30_000
    )


def test_a_link_opened_in_another_browser_needs_one_click(make_visitor: MakeVisitor) -> None:
    asking, opening = make_visitor(), make_visitor()
    asking.goto("/sign-in?next=/en/credits")
    asking.page.fill("main input[name=email]", "cy@example.org")
    asking.page.click("main form button[type=submit]")
    asking.page.wait_for_selector("main strong")
    link = asking.product.sign_in_link("cy@example.org")

    for _ in range(2):  # looking twice uses nothing up
        opening.page.goto(link)
        expect(opening.page.locator("h1")).to_contain_text("cy@example.org")
        assert opening.api("/api/auth/session")["user"] is None
    opening.page.click("main form button")
    assert opening.page.url == f"{opening.product.url}/en/credits"
    expect(opening.page.locator("header [data-available]")).to_have_text("50")

    asking.allowed.append("status of 410")
    asking.page.goto(link)
    expect(asking.page.locator("h1")).to_have_text("This link cannot be used any more")
    assert asking.api("/api/auth/session")["user"] is None


def test_signing_out_ends_the_session(visitor: Visitor) -> None:
    visitor.sign_in("leaving@example.org")
    visitor.page.click("summary[aria-label='Your account']")
    visitor.page.get_by_role("button", name="Sign out").click()
    expect(visitor.page.get_by_role("link", name="Sign in")).to_be_visible()
    assert visitor.api("/api/auth/session")["user"] is None


def test_the_development_inbox_shows_the_mail_and_its_link_works(visitor: Visitor) -> None:
    visitor.goto("/sign-in")
    visitor.page.fill("main input[name=email]", "inbox@example.org")
    visitor.page.click("main form button[type=submit]")
    visitor.page.wait_for_selector("main strong")
    visitor.page.goto(f"{visitor.product.url}/dev/inbox")
    visitor.page.click("main a:has-text('inbox@example.org') >> nth=0")
    visitor.page.click("article a")
    expect(visitor.page.locator("header [data-available]")).to_have_text("50")
