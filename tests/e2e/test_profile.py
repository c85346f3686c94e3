"""One's own account in a browser: look, picture, password, sessions, keys, data, the end."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect
from tests.conftest import PHOTOS
from tests.e2e.accessible import check, check_looks
from tests.e2e.visitors import MakeVisitor, Visitor
from tests.e2e.ways import PASSWORD, consent, keep_from_the_net
from tests.e2e.ways import product as product

pytestmark = pytest.mark.browser


def test_the_look_is_kept_with_the_account_and_written_by_the_server(
    make_visitor: MakeVisitor,
) -> None:
    here, elsewhere = make_visitor(), make_visitor()
    here.sign_in("looks@example.org")
    here.page.click("summary[aria-label='Your account']")
    here.page.get_by_role("link", name="Profile").click()
    page = here.page
    html = page.locator("html")
    page.get_by_label("Dark").check(force=True)
    expect(html).to_have_class("dark")
    with page.expect_response("**/api/me") as saved:
        page.get_by_label("Rose").check(force=True)
    assert saved.value.ok
    expect(html).to_have_attribute("data-accent", "rose")

    elsewhere.sign_in("looks@example.org")
    text = elsewhere.context.request.get(f"{here.product.url}/en/credits").text()
    tag = text[text.index("<html") :].split(">")[0]
    for attribute in ('data-theme="dark"', 'data-accent="rose"', 'class="dark"'):
        assert attribute in tag
    elsewhere.goto("/nowhere")  # a page that does not know who asks
    elsewhere.allowed.append("status of 404")
    expect(elsewhere.page.locator("html")).to_have_attribute("data-accent", "rose")
    page.reload()
    check_looks(page, "profile in rose")


def test_name_picture_and_language(visitor: Visitor) -> None:
    visitor.sign_in("named@example.org")
    page = visitor.page
    visitor.goto("/profile")
    page.get_by_label("Display name").fill("Nell Named")
    page.keyboard.press("Enter")
    expect(page.locator("#toaster")).to_contain_text("Saved")

    page.set_input_files("avatar-picker input[type=file]", PHOTOS / "astronaut.jpg")
    expect(page.get_by_alt_text("Preview of your picture")).to_be_visible()
    expect(page.get_by_role("button", name="Save picture")).to_be_focused()
    page.keyboard.press("Enter")
    shown = page.locator("header [data-avatar] img")
    expect(page.locator("#toaster")).to_contain_text("Your picture is saved")
    page.reload()
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 512
    page.locator("avatar-picker").get_by_role("button", name="Remove").click()
    expect(shown).to_be_hidden()
    assert visitor.api("/api/me")["avatarUrl"] is None

    page.get_by_role("combobox", name="Language", exact=True).select_option("zh")
    page.locator("#language").get_by_role("button", name="Save").click()
    page.wait_for_url(f"{visitor.product.url}/zh/profile")
    assert visitor.api("/api/me")["locale"] == "zh"
    assert visitor.api("/api/me")["name"] == "Nell Named"


def test_a_password_is_changed_after_a_proof_and_other_browsers_are_signed_out(
    make_visitor: MakeVisitor,
) -> None:
    here, elsewhere = make_visitor(), make_visitor()
    email = "careful@example.org"
    here.sign_in(email)
    elsewhere.sign_in(email)
    page = here.page
    here.goto("/profile/security")
    page.locator("#sessions").get_by_role("button", name="Sign out Chrome on Linux").click()
    expect(page.locator("#sessions li")).to_have_count(1)
    assert elsewhere.api("/api/auth/session")["user"] is None

    elsewhere.sign_in(email)
    page.get_by_label("New password").fill(PASSWORD)
    with page.expect_response("**/api/me/password"):
        page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#password")).to_contain_text("You have a password.")
    assert elsewhere.api("/api/auth/session")["user"] is None

    here.product.forget_proof(email)
    here.allowed += ["status of 403", "status of 401"]
    page.get_by_label("New password").fill(PASSWORD + " and more")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Is it you?")
    dialog.get_by_label("Password", exact=True).fill("a stranger's guess")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("wrong")
    check(page, "proof of who one is")
    dialog.get_by_label("Password", exact=True).fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#toaster")).to_contain_text("Your password is saved")
    expect(dialog).to_be_hidden()

    page.get_by_role("button", name="Remove the password").click()
    with page.expect_response("**/api/me/password"):
        page.locator("#confirm").get_by_role("button", name="Remove").click()
    expect(page.locator("#password")).to_contain_text("You have no password.")
    assert not here.api("/api/me")["hasPassword"]


def test_an_account_elsewhere_is_connected_and_disconnected(visitor: Visitor) -> None:
    keep_from_the_net(visitor)
    email = "connects@example.org"
    visitor.sign_in(email)
    page = visitor.page
    visitor.goto("/profile/security")
    page.get_by_role("link", name="Connect Google").click()
    consent(page, "google", "gus")
    page.wait_for_url(f"{visitor.product.url}/en/profile/security")
    expect(page.locator("#elsewhere")).to_contain_text("gus@example.com")
    check_looks(page, "security")
    page.get_by_role("button", name="Disconnect Google").click()
    page.locator("#confirm").get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("link", name="Connect Google")).to_be_visible()
    assert visitor.api("/api/auth/identities")["items"] == []


def test_a_key_is_shown_once_and_works_until_it_is_revoked(visitor: Visitor) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.sign_in("programs@example.org")
    page = visitor.page
    visitor.goto("/profile/keys")
    visitor.allowed.append("status of 422")
    page.get_by_role("button", name="Make a key").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Name", exact=True).fill("my script")
    page.keyboard.press("Enter")
    made = page.get_by_role("dialog", name="Your new key")
    made.get_by_role("button", name="Copy", exact=True).click()
    expect(made.get_by_role("status")).to_have_text("Copied")
    key = page.evaluate("navigator.clipboard.readText()")
    assert key == made.get_by_role("textbox").input_value()
    check(page, "a new key")
    made.get_by_role("button", name="I have copied it").click()

    url, headers = f"{visitor.product.url}/api/me", {"Authorization": f"Bearer {key}"}
    assert httpx.get(url, headers=headers).json()["email"] == "programs@example.org"
    page.reload()
    assert key not in page.content()
    expect(page.locator("#keys")).to_contain_text(key[:8])
    expect(page.locator("#keys")).not_to_contain_text("never used")
    check_looks(page, "keys")
    page.get_by_role("button", name="Revoke my script").click()
    page.locator("#confirm").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("heading", name="No keys yet")).to_be_visible()
    assert httpx.get(url, headers=headers).status_code == 401


def test_an_address_is_changed_and_taken_back(visitor: Visitor) -> None:
    before, after = "old@example.org", "new@example.org"
    visitor.sign_in(before)
    page, product = visitor.page, visitor.product
    visitor.goto("/profile")
    page.get_by_label("New address").fill(after)
    page.keyboard.press("Enter")
    expect(page.locator("#address")).to_contain_text(f"We wrote to {after}")
    page.goto(product.mailed_link(after, "confirm-email"))
    assert visitor.api("/api/me")["email"] == before  # looking changes nothing
    page.get_by_role("button", name="Use this address").click()
    expect(page.get_by_role("heading", name="Your address is changed")).to_be_visible()
    assert visitor.api("/api/me")["email"] == after

    page.goto(product.mailed_link(before, "keep-email"))
    check_looks(page, "the way back")
    page.get_by_role("button", name="Take my account back").click()
    expect(page.get_by_role("heading", name="Your account is back")).to_be_visible()
    assert visitor.api("/api/me")["email"] == before


def test_a_copy_of_ones_data_is_made_and_downloaded(visitor: Visitor, tmp_path: Path) -> None:
    visitor.sign_in("leaving@example.org")
    page = visitor.page
    visitor.goto("/profile/data")
    page.get_by_role("button", name="Make a copy of my data").click()
    link = page.get_by_role("link", name="Download")
    expect(link).to_be_visible(timeout=90_000)
    with page.expect_download() as download:
        link.click()
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    assert "data.json" in archive.namelist()
    check_looks(page, "data")


def test_an_account_ends_after_a_proof_by_mail_and_can_be_kept(visitor: Visitor) -> None:
    email = "ends@example.org"
    visitor.sign_in(email)
    visitor.allowed += ["status of 403", "status of 422"]
    page, product = visitor.page, visitor.product
    product.forget_proof(email)
    visitor.goto("/profile/data")
    page.get_by_role("button", name="Delete my account…").click()
    asked = page.get_by_role("dialog", name="Delete your account?")
    asked.get_by_label(f"Type {email} to confirm").fill(email)
    asked.get_by_role("button", name="Delete my account").click()
    proof = page.get_by_role("dialog", name="Is it you?")
    proof.get_by_role("button", name="Mail me a link").click()
    expect(proof.get_by_role("heading", name="Check your mail")).to_be_focused()
    tab = visitor.watch(visitor.context.new_page())
    tab.goto(product.sign_in_link(email))
    expect(tab.get_by_role("heading", name="Thank you, it is you")).to_be_visible()
    tab.close()
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    assert visitor.api("/api/auth/session")["user"] is None

    visitor.sign_in(email)
    expect(page.get_by_label("Deletion of your account")).to_be_visible()
    check_looks(page, "a page of an account that ends")
    page.get_by_role("button", name="Keep my account").click()
    expect(page.get_by_label("Deletion of your account")).to_be_hidden()
    assert visitor.api("/api/me")["deletionDueAt"] is None
