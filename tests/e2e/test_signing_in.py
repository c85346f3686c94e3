"""Every way in, from the middle of work, in the same browser and in another one."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from tests.conftest import PHOTOS
from tests.e2e import pictures
from tests.e2e.accessible import check, check_looks
from tests.e2e.visitors import TOOL, MakeVisitor, Visitor
from tests.e2e.ways import PASSWORD, consent, keep_from_the_net, register, sign_out
from tests.e2e.ways import product as product

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
    visitor.product.sign_in_link(
        "inbox@example.org"
    )  # mails are sent by the worker, a moment later
    visitor.page.goto(f"{visitor.product.url}/dev/inbox")
    visitor.page.click("main a:has-text('inbox@example.org') >> nth=0")
    visitor.page.click("article a")
    expect(visitor.page.locator("header [data-available]")).to_have_text("50")


def test_google_brings_a_visitor_back_and_the_run_goes_on_with_one_click(visitor: Visitor) -> None:
    keep_from_the_net(visitor)
    page = visitor.page
    visitor.goto(TOOL)
    visitor.choose(PHOTOS / "coffee.jpg")
    page.click("[data-ref=submit]")
    page.get_by_role("link", name="Continue with Google").click()
    consent(page, "google", "gus")
    page.wait_for_url(f"{visitor.product.url}/en{TOOL}")
    _goes_on(page)
    assert visitor.api("/api/auth/session")["user"]["email"] == "gus@example.com"


def test_a_password_is_registered_confirmed_and_signs_in_from_the_dialog(visitor: Visitor) -> None:
    page, email = visitor.page, "pia@example.org"
    register(visitor, email, f"/en{TOOL}")
    page.goto(visitor.product.mailed_link(email, "verify-email"))
    page.wait_for_url(f"{visitor.product.url}/en{TOOL}")  # the browser that asked is not asked
    sign_out(visitor)

    visitor.goto(TOOL)
    visitor.choose(PHOTOS / "coffee.jpg")
    page.click("[data-ref=submit]")
    dialog = page.get_by_role("dialog", name="Sign in to go on")
    dialog.get_by_label("E-mail").fill(email)
    dialog.get_by_role("tab", name="Mailed link").press("ArrowRight")
    expect(dialog.get_by_role("tab", name="Password")).to_be_focused()
    visitor.allowed.append("status of 401")
    dialog.locator("input[name=password]").fill("not the right one")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("wrong")
    dialog.locator("input[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    _goes_on(page)


def test_signing_in_from_the_header_keeps_the_photo_and_the_style(visitor: Visitor) -> None:
    page = visitor.page
    visitor.goto("/tools/figme")
    visitor.choose(PHOTOS / "coffee.jpg")
    style = page.locator("[data-form] .pick").nth(1)
    style.click()
    chosen = style.locator("input").get_attribute("value")
    page.get_by_role("link", name="Sign in", exact=True).click()
    page.get_by_role("link", name="Continue with Apple").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("alert")).to_contain_text("You did not go on there")
    page.get_by_role("link", name="Continue with Apple").click()
    consent(page, "apple", "ada")
    page.wait_for_url(f"{visitor.product.url}/en/tools/figme")
    expect(page.locator("[data-ref=file-name]").first).to_have_text("coffee.jpg")
    expect(page.locator(f"[data-form] input[value='{chosen}']")).to_be_checked()
    expect(page.locator("[data-ref=submit]")).to_be_focused()


def test_facebook_without_an_address_asks_for_one(visitor: Visitor) -> None:
    page = visitor.page
    visitor.goto("/sign-in?next=/en/credits")
    page.get_by_role("link", name="Continue with Facebook").click()
    consent(page, "facebook", "gil")
    expect(page.get_by_role("heading", name="One thing is missing")).to_be_visible()
    check(page, "an address is asked for")
    page.get_by_label("E-mail").fill("gil@example.org")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Check your mail")).to_be_focused()
    page.goto(visitor.product.sign_in_link("gil@example.org"))
    page.wait_for_url(f"{visitor.product.url}/en/credits")
    assert visitor.api("/api/auth/identities")["items"][0]["provider"] == "facebook"


@pytest.mark.parametrize("keeps", [True, False], ids=["with its password", "without"])
def test_a_confirmation_in_another_browser_wants_the_password(
    make_visitor: MakeVisitor, keeps: bool
) -> None:
    asking, opening = make_visitor(), make_visitor(width=360, scheme="dark")
    email = f"else{keeps}@example.org".lower()
    register(asking, email)
    page = opening.page
    page.goto(asking.product.mailed_link(email, "verify-email"))
    expect(page.get_by_role("heading", name="Is this you?")).to_be_visible()
    if keeps:
        check(page, "confirmation in another browser")
        opening.allowed.append("status of 401")
        page.get_by_label("Password", exact=True).fill("somebody's guess")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("wrong")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
    else:
        page.get_by_role("button", name="Go on without a password").click()
    expect(page.locator("header [data-available]")).to_have_text("50")
    assert opening.api("/api/me")["hasPassword"] is keeps


def test_a_forgotten_password_is_replaced(visitor: Visitor) -> None:
    page, email = visitor.page, "forgetful@example.org"
    visitor.sign_in(email)
    sign_out(visitor)
    visitor.goto("/sign-in?with=password&next=/en/credits")
    page.get_by_role("link", name="Forgot your password?").click()
    page.get_by_label("E-mail").fill(email)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Check your mail")).to_be_focused()
    page.goto(visitor.product.mailed_link(email, "reset-password"))
    visitor.allowed.append("status of 422")
    box = page.get_by_label("New password")
    box.press_sequentially("12345")
    expect(page.locator("[data-hint]")).to_have_text("3 more characters")
    box.press_sequentially("678")
    expect(page.locator("[data-hint]")).to_contain_text("Long enough")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Too many people use this password")
    expect(box).to_be_focused()
    box.fill(PASSWORD)
    page.get_by_role("button", name="Show the password").click()
    expect(box).to_have_attribute("type", "text")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{visitor.product.url}/en/credits")
    assert visitor.api("/api/me")["hasPassword"]


def test_both_forms_work_without_scripts(make_visitor: MakeVisitor) -> None:
    email = "plain@example.org"
    first = make_visitor()
    register(first, email)
    first.page.goto(first.product.mailed_link(email, "verify-email"))
    expect(first.page.locator("header [data-available]")).to_have_text("50")

    plain = make_visitor(scripts=False)
    page = plain.page
    plain.goto("/sign-in?next=/en/credits")
    page.fill("main input[name=email]", email)
    page.click("main button[type=submit]")
    expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()
    page.goto(plain.product.sign_in_link(email))
    assert page.url == f"{plain.product.url}/en/credits"

    plain.context.clear_cookies()
    plain.allowed.append("status of 401")
    plain.goto("/sign-in?next=/en/credits")
    page.get_by_role("link", name="Password", exact=True).click()
    for password in ("wrong and long", PASSWORD):
        page.fill("main input[name=email]", email)
        page.fill("main input[name=password]", password)
        page.click("main button[type=submit]")
        if password != PASSWORD:
            expect(page.get_by_role("alert")).to_contain_text("wrong")
    assert page.url == f"{plain.product.url}/en/credits"


def test_pages_of_ways_in_fit_and_are_accessible(make_visitor: MakeVisitor) -> None:
    guest = make_visitor()
    guest.allowed += ["status of 410", "status of 4"]
    register(guest, "axe@example.org")
    page = guest.page
    guest.goto("/forgot-password")
    page.get_by_label("E-mail").fill("axe@example.org")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Check your mail").wait_for()
    for path in (
        "/sign-in?error=oauth_failed",
        "/sign-in?with=password",
        "/register",
        "/forgot-password",
        "/sign-in/email?attempt=x&sent=1",
        "/verify-email?token=unknown",
    ):
        guest.goto(path)
        check_looks(page, path)


def _goes_on(page: Page) -> None:
    """Signed in and back: the photo is there, and one press of a key runs the tool."""
    expect(page.locator("tool-executor[data-stage=ready]")).to_be_visible()
    expect(page.locator("[data-ref=file-name]")).to_have_text("coffee.jpg")
    expect(page.locator("#toaster")).to_contain_text("You are signed in")
    expect(page.locator("[data-ref=submit]")).to_be_focused()
    page.keyboard.press("Enter")
    receipt = page.locator("[data-ref=receipt]")
    expect(receipt).to_have_text("5 credits charged. 45 left.", timeout=60_000)
