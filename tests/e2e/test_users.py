"""A super admin at work: finds somebody, changes their role, and proves again who they are."""

from __future__ import annotations

import secrets

import pytest
from playwright.sync_api import expect
from tests.e2e.accessible import check
from tests.e2e.visitors import MakeVisitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ROOT = "root@example.com"


def test_a_super_admin_finds_somebody_and_makes_them_an_admin(make_visitor: MakeVisitor) -> None:
    email = f"cy-{secrets.token_hex(4)}@example.com"
    make_visitor().sign_in(email)
    root = make_visitor()
    root.sign_in(ROOT)
    root.goto("/dashboard/users")
    page = root.page
    page.fill("main input[name=q]", email)
    page.click("main form[role=search] button[type=submit]")
    page.click(f"main a:has-text('{email}')")
    expect(page.get_by_role("heading", level=1)).to_have_text(email)
    check(page, "/dashboard/users/…, at a desk")
    phone = make_visitor(width=390, height=844, scheme="dark", state=root.context.storage_state())
    phone.goto("/dashboard/users")
    check(phone.page, "/dashboard/users, on a phone in the dark")

    badge = page.locator("[data-part=user-badges]")
    for answer, wanted in (("no", "User"), ("yes", "Admin")):
        page.select_option("#role", "admin")
        page.click("json-form button[type=submit]")
        dialog = page.locator("dialog#confirm")
        expect(dialog).to_contain_text(email)
        dialog.locator(f"[data-answer={answer}]").click()
        expect(badge).to_contain_text(wanted)
    expect(page.locator("[data-part=acts]")).to_contain_text("User → Admin")

    root.product.forget_proof(ROOT)
    root.allowed.append("status of 403")
    page.select_option("#role", "user")
    page.click("json-form button[type=submit]")
    page.locator("dialog#confirm [data-answer=yes]").click()
    expect(page.get_by_role("heading", name="Is it you?")).to_be_visible()
    expect(badge).to_contain_text("Admin")
