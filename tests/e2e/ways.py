"""The product with every way in, and what people do at other companies' pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route
from tests.accounts.oauth_stage import APPLE_PEOPLE, FACEBOOK_PEOPLE, GOOGLE_PEOPLE, providers
from tests.e2e.product import Product, running_product
from tests.e2e.visitors import Visitor

PASSWORD = "four words in a row"


@pytest.fixture(scope="module")
def product(
    servers: dict[str, str],
    template_database: str,
    models_dir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    """The product with stand-ins for Google, Facebook and Apple."""
    folder = tmp_path_factory.mktemp("e2e-ways")
    with (
        providers() as place,
        running_product(
            servers, template_database, models_dir, folder, place.environment
        ) as running,
    ):
        yield running


def consent(page: Page, provider: str, person: str) -> None:
    """Be ``person`` at the provider's page that the browser shows."""
    people = {"google": GOOGLE_PEOPLE, "facebook": FACEBOOK_PEOPLE, "apple": APPLE_PEOPLE}
    page.click(f"button[value='{people[provider][person]}']")


def keep_from_the_net(visitor: Visitor) -> None:
    """The Google stand-in's page asks a host elsewhere for a style sheet; it gets an empty one."""

    def answer(route: Route) -> None:
        route.fulfill(body="", content_type="text/css")

    visitor.context.route(re.compile("^https://"), answer)


def register(visitor: Visitor, email: str, next_path: str = "") -> None:
    """Fill in the page that makes an account, up to the mail."""
    page = visitor.page
    visitor.goto("/register" + (f"?next={next_path}" if next_path else ""))
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.get_by_role("heading", name="Check your mail").wait_for()


def sign_out(visitor: Visitor) -> None:
    """By the menu of the header."""
    visitor.page.click("summary[aria-label='Your account']")
    visitor.page.get_by_role("button", name="Sign out", exact=True).click()
    visitor.page.get_by_role("link", name="Sign in", exact=True).wait_for()
