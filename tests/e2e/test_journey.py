"""The main job, in a browser: a photo in, its background gone, credits settled."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Request, expect
from tests.conftest import PHOTOS
from tests.e2e import pictures
from tests.e2e.visitors import TOOL, MakeVisitor, Visitor

pytestmark = pytest.mark.browser

ASTRONAUT = PHOTOS / "astronaut.jpg"
KEPT = ((195, 110), (190, 340), (320, 440))  # face, suit, helmet
CLEAR = ((2, 2), (477, 2))  # both upper corners


def download(visitor: Visitor) -> Image.Image:
    """Press "Download" and open what arrives."""
    with visitor.page.expect_download() as arriving:
        visitor.page.click("[data-ref=download]")
    assert arriving.value.suggested_filename.endswith(".png")
    return Image.open(io.BytesIO(arriving.value.path().read_bytes()))


def movements(visitor: Visitor) -> list[tuple[str, int, int]]:
    """Type, amount and reserve of every movement, oldest first."""
    items: list[dict[str, Any]] = visitor.api("/api/credits/transactions")["items"]
    return [(item["type"], item["amount"], item["reservedDelta"]) for item in reversed(items)]


def test_a_photo_goes_in_and_its_cutout_comes_out(visitor: Visitor) -> None:
    page = visitor.page
    visitor.goto("/")
    pictures.take(page, "home")
    visitor.sign_in("ada@example.org")
    expect(page.locator("header [data-available]")).to_have_text("50")

    page.click("main section a:has-text('Background remover') >> nth=0")
    page.wait_for_load_state("networkidle")
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    visitor.choose(ASTRONAUT)
    button = page.get_by_role("button", name="Remove background (5 credits)")
    expect(button).to_be_visible()
    expect(page.locator("img[data-preview] >> nth=0")).to_have_js_property("naturalWidth", 480)
    sent = [request.url for request in requests if not request.url.startswith("blob:")]
    assert sent == [], "nothing may leave the browser before the button is pressed"

    stages = page.evaluate_handle(WATCH_STAGES)
    button.click()
    visitor.wait_for_stage("completed")
    assert stages.json_value() == ["uploading", "running", "completed"]
    assert any(request.method == "PUT" for request in requests)

    expect(page.locator("[data-ref=receipt]")).to_have_text("5 credits charged. 45 left.")
    expect(page.locator("header [data-available]")).to_have_text("45")
    pictures.take(page, "tool")
    result = download(visitor)
    assert (result.format, result.mode, result.size) == ("PNG", "RGBA", (480, 512))
    alpha = result.getchannel("A")
    assert all(_value(alpha, spot) > 230 for spot in KEPT), "the subject must stay"
    assert all(_value(alpha, spot) < 25 for spot in CLEAR), "the background must go"

    task = visitor.api("/api/tasks?limit=1")["items"][0]
    assert visitor.api(f"/api/tasks/{task['id']}")["receipt"] == {
        "held": 5,
        "charged": 5,
        "released": 0,
        "balance": 45,
        "available": 45,
    }
    assert movements(visitor) == [("welcome", 50, 0), ("reservation", 0, 5), ("usage", -5, -5)]

    visitor.goto("/credits")
    expect(page.locator("main ul li")).to_have_count(3)
    expect(page.locator("main dl [data-available]")).to_have_text("45")


def test_who_leaves_finds_the_task_running_and_later_done(visitor: Visitor) -> None:
    page = visitor.page
    visitor.sign_in("leaver@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    with visitor.product.worker_paused():
        page.click("[data-ref=submit]")
        visitor.wait_for_stage("running")
        visitor.goto("/credits")
        expect(page.locator("main dl dd >> nth=1")).to_have_text("5")
        visitor.goto(TOOL)
        assert page.get_attribute("tool-executor", "data-stage") == "running"
        assert page.locator("img[data-preview]:visible").get_attribute("src")
    visitor.wait_for_stage("completed")
    visitor.goto(TOOL)
    assert page.get_attribute("tool-executor", "data-stage") == "completed"
    expect(page.locator("[data-ref=receipt]")).to_have_text("5 credits charged. 45 left.")
    expect(page.locator("[data-runs] li")).to_have_count(1)
    page.wait_for_function(
        "() => document.querySelector('before-after img[data-after]').naturalWidth === 480"
    )

    page.click("[data-act=start-over] >> visible=true")
    page.reload()
    assert page.get_attribute("tool-executor", "data-stage") == "idle"
    page.click("[data-runs] a >> nth=0")
    visitor.wait_for_stage("completed")


def test_a_lost_stream_does_not_lose_the_result(visitor: Visitor) -> None:
    visitor.allowed.append("net::ERR_FAILED")
    visitor.page.route("**/stream", lambda route: route.abort())
    visitor.sign_in("tunnel@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    visitor.page.click("[data-ref=submit]")
    visitor.wait_for_stage("completed")


def test_a_double_click_makes_one_task(visitor: Visitor) -> None:
    visitor.sign_in("twice@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    visitor.page.wait_for_selector("[data-ref=submit]:visible")
    visitor.page.evaluate(
        "() => { const b = document.querySelector('[data-ref=submit]'); b.click(); b.click(); }"
    )
    visitor.wait_for_stage("completed")
    assert len(visitor.api("/api/tasks")["items"]) == 1
    assert visitor.api("/api/credits")["balance"] == 45


def test_an_answer_lost_on_the_way_is_asked_for_again_not_paid_again(visitor: Visitor) -> None:
    """The task is made, its answer never arrives; the second press finds the same task."""
    visitor.allowed.append("net::ERR_")
    visitor.sign_in("dropped@example.org")
    visitor.goto(TOOL)
    visitor.choose(ASTRONAUT)
    lost: list[str] = []

    def lose_first(route: Any) -> None:
        if route.request.method == "POST" and not lost:
            lost.append(route.fetch().text())
            route.abort()
        else:
            route.continue_()

    visitor.page.route("**/api/tasks", lose_first)
    visitor.page.click("[data-ref=submit]")
    expect(visitor.page.locator("[data-ref=complaint]")).to_contain_text("cannot reach the server")
    visitor.page.click("[data-ref=submit]")
    visitor.wait_for_stage("completed")
    assert len(visitor.api("/api/tasks")["items"]) == 1
    assert visitor.api("/api/credits")["balance"] == 45


def test_everything_can_be_done_from_the_keyboard(make_visitor: MakeVisitor) -> None:
    visitor = make_visitor()
    page = visitor.page
    # Choosers are caught from now on: switching that on at the press of the key can come too late.
    page.on("filechooser", lambda _: None)
    visitor.sign_in("keys@example.org")
    visitor.goto(TOOL)
    _tab_to(visitor, "image-picker input[type=file]")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(ASTRONAUT)
    expect(page.locator("[data-ref=submit]")).to_be_focused()
    page.keyboard.press("Enter")
    visitor.wait_for_stage("completed")
    expect(page.locator("[data-ref=title-completed]")).to_be_focused()
    _tab_to(visitor, "[data-ref=download]")
    with page.expect_download():
        page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    slider = page.get_by_role("slider", name="Compare before and after")
    expect(slider).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("51")
    assert page.evaluate(
        "document.querySelector('tool-executor before-after').style.getPropertyValue('--split')"
    ) == ("51%")


def _tab_to(visitor: Visitor, selector: str) -> None:
    for _ in range(30):
        visitor.page.keyboard.press("Tab")
        if visitor.page.evaluate("s => document.activeElement?.matches(s)", selector):
            return
    raise AssertionError(f"{selector} cannot be reached with the Tab key")


def _value(alpha: Image.Image, spot: tuple[int, int]) -> int:
    return alpha.tobytes()[spot[1] * alpha.width + spot[0]]


WATCH_STAGES = """() => {
  const seen = [];
  const element = document.querySelector('tool-executor');
  new MutationObserver(() => {
    const stage = element.dataset.stage;
    if (seen.at(-1) !== stage) seen.push(stage);
  }).observe(element, { attributes: true, attributeFilter: ['data-stage'] });
  return seen;
}"""
