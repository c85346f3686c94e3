"""The main job by a vendor far away: what a person sees when a worker dies or the vendor fails."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect
from tests.conftest import PHOTOS
from tests.e2e.conftest import TOOL, Product, Visitor, running_product
from tests.vendors import FAL_CONFIG

from funmagic.simulators.server import Running, running

pytestmark = pytest.mark.browser

ASTRONAUT = PHOTOS / "astronaut.jpg"
RESUMED_WITHIN_S = 30
Control = Callable[..., Any]


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
    """The product with fal behind its background remover, and the leases of production."""
    more = {"SIMULATORS_URL": simulators.url, "SIMULATORS_CA_FILE": str(simulators.ca_file)}
    folder = tmp_path_factory.mktemp("survival")
    with running_product(servers, template_database, models_dir, folder, more) as started:
        started.configure("background-remove", FAL_CONFIG)
        yield started


@pytest.fixture
def fal(simulators: Running) -> Iterator[Control]:
    """Ask the simulated fal's control route: method, path, body."""
    trusted = ssl.create_default_context(cafile=simulators.ca_file)
    with httpx.Client(base_url=simulators.url, verify=trusted, timeout=30) as client:

        def ask(method: str, path: str = "", body: Any = None) -> Any:
            answer = client.request(method, f"/fal/control{path}", json=body)
            answer.raise_for_status()
            return answer.json() if answer.content else None

        ask("DELETE")
        yield ask


def until_at_the_vendor(fal: Control) -> None:
    for _ in range(300):
        if fal("GET", "/jobs"):
            return
        time.sleep(0.1)
    raise AssertionError("the vendor was not asked")


@pytest.mark.hazard("M6")
@pytest.mark.hazard("M10")
def test_a_killed_worker_costs_the_person_nothing_but_seconds(
    visitor: Visitor, fal: Control
) -> None:
    page, product = visitor.page, visitor.product
    fal("PUT", "/pace", {"queueS": 1, "workS": 3})
    visitor.sign_in("survivor@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    page.click("[data-ref=submit]")
    until_at_the_vendor(fal)
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
    (job,) = fal("GET", "/jobs")
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
    kind: str, message: str, visitor: Visitor, fal: Control
) -> None:
    page = visitor.page
    fal("PUT", "/outcome", {"kind": kind})
    visitor.sign_in(f"{kind}@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    page.click("[data-ref=submit]")
    visitor.wait_for_stage("failed")
    expect(page.locator("tool-executor")).to_contain_text(message)
    expect(page.locator("header [data-available]")).to_have_text("50")
    credits = visitor.api("/api/credits")
    assert (credits["balance"], credits["reserved"]) == (50, 0)
