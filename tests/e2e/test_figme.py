"""Figme in a browser: an admin sets it up, a customer draws, leaves, returns, and makes it 3D."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.conftest import PHOTOS
from tests.e2e import pictures
from tests.e2e.accessible import check
from tests.e2e.product import Product
from tests.e2e.vendors import Controls, controls_of, product_on
from tests.e2e.visitors import MakeVisitor, Visitor

from funmagic.simulators.server import Running, running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

FIGME = "/tools/figme"
CAT = PHOTOS / "cat.jpg"
BY_VENDORS = (
    ("image-gen", [{"provider": "openai", "model": "gpt-image-1.5"}]),
    ("3d-gen", [{"provider": "tripo", "model": "v3.1-20260211"}]),
)


@pytest.fixture(scope="module")
def simulators() -> Iterator[Running]:
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
    """The product as it is fresh, with figme by this server alone, knowing two vendors more."""
    folder = tmp_path_factory.mktemp("figme")
    with product_on(simulators, servers, template_database, models_dir, folder) as started:
        yield started


@pytest.fixture
def openai(simulators: Running) -> Iterator[Controls]:
    with controls_of(simulators, "openai") as openai:
        yield openai


@pytest.fixture
def tripo(simulators: Running) -> Iterator[Controls]:
    with controls_of(simulators, "tripo") as tripo:
        yield tripo


@pytest.fixture
def by_vendors(product: Product) -> None:
    """Let OpenAI draw and Tripo shape."""
    for step, providers in BY_VENDORS:
        product.set_config("figme", ["steps", step, "providers"], providers)


def customer(visitor: Visitor, email: str) -> Page:
    visitor.sign_in(email)
    visitor.product.set_credits(email, 200)
    visitor.goto(FIGME)
    return visitor.page


def draw(visitor: Visitor, style: str) -> None:
    """Choose a style and a photo, and press the button."""
    page = visitor.page
    page.locator("label.pick", has_text=style).click()
    visitor.choose(CAT)
    expect(page.locator("[data-ref=submit]")).to_have_text("Generate (20 credits)")
    page.click("[data-ref=submit]")


def test_an_admin_sets_figme_up(make_visitor: MakeVisitor) -> None:
    root = make_visitor()
    page = root.page
    root.sign_in("root@example.com")
    root.goto("/dashboard/tools")
    check(page, "dashboard, tools")
    pictures.take(page, "dashboard")
    page.get_by_role("link", name="Figme").first.click()
    page.wait_for_selector("config-form")
    draw = page.locator('[data-field="image-gen"]')
    draw.get_by_label("Price in credits").fill("21")

    # Who does it: OpenAI first, this server where OpenAI cannot.
    providers = draw.locator('[data-field="providers"]')
    providers.get_by_role("button", name="Add", exact=True).click()
    second = providers.locator("[data-item]").nth(1)
    second.get_by_label("Provider").select_option("openai")
    second.get_by_label("Model").select_option("gpt-image-1.5")
    second.get_by_label("Quality").select_option("low")
    assert "xhigh" not in second.get_by_label("Quality").inner_text()
    second.get_by_label("Model").select_option("gpt-image-2.5-flare")
    second.get_by_label("Quality").select_option("xhigh")
    second.get_by_role("button", name="Move up").click()
    expect(providers.locator("[data-title]").first).to_contain_text("OpenAI")

    styles = draw.locator('[data-field="styles"]')
    expect(styles.locator("[data-item]")).to_have_count(8)
    expect(styles.get_by_role("button", name="Add", exact=True)).to_be_disabled()
    expect(styles).to_contain_text("8 is the most")
    rename_and_move(styles)
    check(page, "dashboard, figme")
    page.get_by_role("button", name="Save configuration").click()
    expect(page.locator("#toaster")).to_contain_text("Saved.")

    page.reload()
    expect(draw.get_by_label("Price in credits")).to_have_value("21")
    expect(styles.locator("[data-title]").nth(1)).to_have_text("Graphite")
    a_ninth_is_refused_by_the_server_too(root)
    visitors_see_it(make_visitor())


def rename_and_move(styles: Locator) -> None:
    """What was typed in one style stays while it moves, and while others are opened."""
    first = styles.locator("[data-item]").first
    first.locator("[data-act=toggle]").click()
    first.get_by_label("Name").fill("Graphite")
    first.get_by_label("Prompt").fill("Soft graphite, much paper left white.")
    first.locator("input[type=file]").set_input_files(PHOTOS / "coffee.jpg")
    uploaded = first.locator("[data-picture]")  # coffee.jpg is wider than the sample it replaces
    expect(uploaded).to_have_js_property("naturalHeight", 267)
    first.get_by_role("button", name="Move down").click()
    moved = styles.locator("[data-item]").nth(1)
    expect(moved.get_by_label("Name")).to_have_value("Graphite")
    expect(moved.get_by_label("Prompt")).to_have_value("Soft graphite, much paper left white.")
    expect(moved.get_by_label("Slug")).to_have_value("pencil")


def a_ninth_is_refused_by_the_server_too(root: Visitor) -> None:
    url = f"/api/admin/tools/{root.page.url.rsplit('/', 1)[1]}/config"
    told = root.api(url)
    config = told["config"]
    config["steps"]["image-gen"]["settings"]["styles"].append({"slug": "ninth", "name": "Ninth"})
    answer = root.context.request.put(
        f"{root.product.url}{url}",
        data=json.dumps({"config": config, "updatedAt": told["updatedAt"]}),
        headers={"Content-Type": "application/json", "Origin": root.product.url},
    )
    assert answer.status == 422, answer.text()
    assert "styles" in next(iter(answer.json()["error"]["fields"]))


def visitors_see_it(guest: Visitor) -> None:
    guest.goto(FIGME)
    expect(guest.page.get_by_role("button", name="Generate (21 credits)")).to_be_visible()
    names = guest.page.locator(".pick-name").all_inner_texts()
    assert names[:2] == ["Watercolour", "Graphite"]
    assert "graphite, much paper" not in guest.page.content()
    guest.product.set_config("figme", ["steps", "image-gen", "priceCredits"], 20)


def test_an_admin_tests_a_connection_and_is_warned(make_visitor: MakeVisitor) -> None:
    root = make_visitor()
    root.allowed.append("status of 4")
    page = root.page
    root.sign_in("root@example.com")
    root.goto("/dashboard/providers/openai")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("[data-checked]")).to_contain_text("gpt-image-1.5")
    expect(page.locator("#provider-status")).to_contain_text("Healthy")
    expect(page.get_by_role("button", name="Test connection")).to_be_enabled()
    check(page, "dashboard, openai")

    page.get_by_label("Key").fill("sk-bad-key")
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("[data-checked].tone-danger")).to_be_visible()
    told = json.dumps(root.api("/api/admin/providers/openai")) + page.content()
    assert "sk-bad-key" not in told.replace('value="sk-bad-key"', "")
    assert "sk-demo" not in told


@pytest.mark.draws_3d
@pytest.mark.usefixtures("by_vendors")
def test_a_customer_draws_leaves_returns_and_makes_it_3d(
    make_visitor: MakeVisitor, openai: Controls, tripo: Controls
) -> None:
    visitor = make_visitor()
    page = customer(visitor, "figurine@example.org")
    check(page, "figme, idle")
    pictures.take(page, "figme")
    openai.pace(work_s=15)  # time to leave and to look from elsewhere, on slow machines too
    draw(visitor, "Watercolour")
    unfinished = page.locator("[data-ref=unfinished]")
    expect(unfinished).to_be_visible()
    expect(unfinished).not_to_have_js_property("naturalWidth", 0)

    # Left, and found again in another browser.
    page.goto("about:blank")
    elsewhere = make_visitor(state=visitor.context.storage_state())
    elsewhere.goto(FIGME)
    expect(elsewhere.page.locator("tool-executor")).to_have_attribute("data-stage", "running")
    elsewhere.wait_for_stage("completed")
    page = elsewhere.page
    expect(page.locator("[data-ref=receipt]")).to_contain_text("20 credits charged.")
    check(page, "figme, drawn")
    save = page.locator("[data-act=save]")
    save.click()
    expect(save).to_have_attribute("aria-pressed", "true")
    (asset,) = output_of(elsewhere)["assets"]
    assert elsewhere.api(f"/api/assets/{asset['id']}")["savedAt"]

    tripo.pace(work_s=1)
    page.get_by_role("button", name="Figme (30 credits)").click()
    wait_for_model(page)
    expect(page.locator("[data-ref=receipt]")).to_contain_text("30 credits charged.")
    turn(page, by=0.05)
    check(page, "figme, in 3D")
    pictures.take(page, "figme-3d")
    page.locator("[data-act=save]").click()
    expect(page.locator("[data-act=save]")).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as arriving:
        page.click("[data-ref=download]")
    assert arriving.value.path().read_bytes()[:4] == b"glTF"
    assert [job["creates"] for job in (*openai.jobs(), *tripo.jobs())] == [1, 1]
    assert elsewhere.api("/api/credits")["balance"] == 150


@pytest.mark.usefixtures("by_vendors")
@pytest.mark.parametrize("outcome", ["moderation_input", "moderation_output"])
def test_a_declined_photo_is_explained_and_costs_nothing(
    visitor: Visitor, openai: Controls, outcome: str
) -> None:
    page = customer(visitor, f"declined-{outcome[11:]}@example.org")
    openai.outcome(outcome)
    draw(visitor, "Engraving")
    visitor.wait_for_stage("failed")
    expect(page.locator("tool-executor")).to_contain_text(
        "The AI service declined this content. Credits refunded."
    )
    assert "moderation" not in page.content()
    assert visitor.api("/api/credits")["balance"] == 200


@pytest.mark.draws_3d
def test_all_of_it_works_by_this_server_alone(visitor: Visitor) -> None:
    for step, model in (("image-gen", "styletransfer"), ("3d-gen", "relief")):
        choice = {"provider": "local", "model": model}
        visitor.product.set_config("figme", ["steps", step, "providers"], [choice])
    page = customer(visitor, "alone@example.org")
    draw(visitor, "Oil painting")
    page.wait_for_selector("tool-executor[data-stage=completed]", timeout=90_000)
    page.get_by_role("button", name="Figme (30 credits)").click()
    wait_for_model(page)
    (asset,) = output_of(visitor)["assets"]
    assert asset["isRelief"] is True
    turn(page, by=0.4)
    for _ in range(10):  # as far as it goes
        page.locator("model-viewer .userInput").press("ArrowLeft")
    assert abs(page.evaluate(HEADING_AT_REST)) < 0.6, "a relief is seen from its front"


def wait_for_model(page: Page) -> None:
    """Until the 3D model is loaded and drawn; by software a first frame may take half a minute."""
    model = page.locator("model-scene[data-state=ready] model-viewer")
    expect(model).to_have_css("opacity", "1", timeout=150_000)


def turn(page: Page, *, by: float) -> None:
    """Press the arrow twice and see the camera go round at least so far, in radians."""
    before = page.evaluate(HEADING)
    for _ in range(2):
        page.locator("model-viewer .userInput").press("ArrowLeft")
    page.wait_for_function(
        f"([before, by]) => Math.abs({HEADING} - before) > by", arg=[before, by], timeout=90_000
    )


def output_of(visitor: Visitor) -> dict[str, Any]:
    """The output of the newest task."""
    task = visitor.api("/api/tasks?limit=1")["items"][0]
    output: dict[str, Any] = visitor.api(f"/api/tasks/{task['id']}")["output"]
    return output


# How far round the model the camera stands, in radians: now, and when it moves no more.
HEADING = "document.querySelector('model-viewer').getCameraOrbit().theta"
HEADING_AT_REST = f"""async () => {{
  for (let before = NaN, still = 0; still < 5; ) {{
    await new Promise(requestAnimationFrame);
    const now = {HEADING};
    still = now === before ? still + 1 : 0;
    before = now;
  }}
  return {HEADING};
}}"""
