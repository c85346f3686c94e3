"""The main job by a vendor far away: what a person sees when a worker dies or the vendor fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.conftest import PHOTOS
from tests.e2e.product import Product
from tests.e2e.vendors import Controls, controls_of, product_on
from tests.e2e.visitors import TOOL, Visitor
from tests.vendors import FAL_CONFIG

from funmagic.simulators.server import Running, running

pytestmark = pytest.mark.browser

ASTRONAUT = PHOTOS / "astronaut.jpg"
RESUMED_WITHIN_S = 30


@pytest.fixture(scope="module")
def simulators() -> Iterator[Running]:
    """Vendors that answer https, as theirs do."""
    with running(tls=True) as vendors:
        yield vendors


@pytest.fixture(scope="module")
def product(
    servers: dict[str, str],
    template_database: str,
    models_dir: Path,
    simulators: Running,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    """The product with fal behind its background remover."""
    folder = tmp_path_factory.mktemp("survival")
    with product_on(simulators, servers, template_database, models_dir, folder) as started:
        started.configure("background-remove", FAL_CONFIG)
        yield started


@pytest.fixture
def fal(simulators: Running) -> Iterator[Controls]:
    with controls_of(simulators, "fal") as fal:
        yield fal


@pytest.mark.hazard("M6")
@pytest.mark.hazard("M10")
def test_a_killed_worker_costs_the_person_nothing_but_seconds(
    visitor: Visitor, fal: Controls
) -> None:
    page, product = visitor.page, visitor.product
    fal.pace(queue_s=1, work_s=3)
    visitor.sign_in("survivor@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    page.click("[data-ref=submit]")
    fal.until_asked("status")  # the job's handle is on record by then
    product.kill_worker()
    killed_at = time.monotonic()
    assert page.get_attribute("tool-executor", "data-stage") == "running"
    product.another_worker()
    visitor.wait_for_stage("completed")
    assert time.monotonic() - killed_at < RESUMED_WITHIN_S
    expect(page.locator("[data-ref=receipt]")).to_have_text("5 credits charged. 45 left.")
    page.wait_for_function(
        "() => document.querySelector('before-after img[data-after]').naturalWidth === 480"
    )
    (job,) = fal.jobs()
    assert (job["creates"], job["fileFetches"]) == (1, 1)
    types = [item["type"] for item in visitor.api("/api/credits/transactions")["items"]]
    assert types == ["usage", "reservation", "welcome"]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("refused", "The AI service declined this content. Credits refunded."),
        ("error", "AI service error. Please try again."),
        ("blank", "We could not find a subject in this photo. You were not charged."),
    ],
)
def test_trouble_is_told_in_words_with_what_became_of_the_credits(
    kind: str, message: str, visitor: Visitor, fal: Controls
) -> None:
    page = visitor.page
    fal.outcome(kind)
    visitor.sign_in(f"{kind}@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    page.click("[data-ref=submit]")
    visitor.wait_for_stage("failed")
    expect(page.locator("tool-executor")).to_contain_text(message)
    expect(page.locator("header [data-available]")).to_have_text("50")
    credits = visitor.api("/api/credits")
    assert (credits["balance"], credits["reserved"]) == (50, 0)
