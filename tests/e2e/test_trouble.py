"""What goes wrong is said in words, and costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Request, expect
from tests.conftest import PHOTOS
from tests.e2e.visitors import TOOL, Visitor

pytestmark = pytest.mark.browser


def complaint(visitor: Visitor) -> str:
    """The words shown in the tool's place for complaints."""
    place = visitor.page.locator("[data-ref=complaint]")
    expect(place).to_be_visible(timeout=30_000)
    return place.inner_text()


def test_a_text_called_png_is_refused_before_anything_is_sent(
    visitor: Visitor, tmp_path: Path
) -> None:
    fake = tmp_path / "holiday.png"
    fake.write_text("This is a letter, not a picture.\n" * 50)
    visitor.goto(TOOL)
    visitor.page.wait_for_load_state("networkidle")
    requests: list[Request] = []
    visitor.page.on("request", lambda request: requests.append(request))
    visitor.choose(fake)
    assert "not an image we can read" in complaint(visitor)
    assert visitor.page.get_attribute("tool-executor", "data-stage") == "idle"
    assert [request.url for request in requests if not request.url.startswith("blob:")] == []


def test_a_file_too_large_is_refused_with_its_size(visitor: Visitor, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes((PHOTOS / "astronaut.jpg").read_bytes() + bytes(21 * 1024 * 1024))
    visitor.goto(TOOL)
    visitor.choose(large)
    assert complaint(visitor).strip() == "This file is 21 MB. The largest we take is 20 MB."


def test_a_truncated_photo_costs_nothing(visitor: Visitor, tmp_path: Path) -> None:
    """Half a photo looks like a photo until it is decoded; then it is said and given back."""
    half = tmp_path / "half.jpg"
    half.write_bytes((PHOTOS / "astronaut.jpg").read_bytes()[:30_000])
    visitor.sign_in("half@example.org")
    visitor.goto(TOOL)
    visitor.choose(half)
    visitor.page.wait_for_selector("[data-ref=submit]:visible, [data-ref=complaint]:visible")
    if visitor.page.is_visible("[data-ref=submit]"):
        visitor.page.click("[data-ref=submit]")
        visitor.wait_for_stage("failed")
        expect(visitor.page.locator("[data-ref=failure]")).to_have_text(
            "This image is damaged or incomplete."
        )
        expect(visitor.page.locator("[data-ref=failure-credits]")).to_have_text(
            "5 credits are back in your account. You have 50."
        )
    else:
        assert "damaged" in complaint(visitor)
    assert visitor.api("/api/credits") == {
        "balance": 50,
        "reserved": 0,
        "available": 50,
        "owed": 0,
    }


def test_a_photo_without_a_subject_is_not_charged(visitor: Visitor) -> None:
    visitor.sign_in("grass@example.org")
    visitor.goto(TOOL)
    visitor.choose(PHOTOS / "grass.jpg")
    visitor.page.click("[data-ref=submit]")
    visitor.wait_for_stage("failed")
    expect(visitor.page.locator("[data-ref=failure]")).to_contain_text("You were not charged.")
    expect(visitor.page.locator("header [data-available]")).to_have_text("50")
    expect(visitor.page.get_by_role("button", name="Try again")).to_be_visible()
    visitor.page.get_by_role("button", name="Choose another photo").click()
    visitor.wait_for_stage("idle")


def test_too_few_credits_are_said_and_nothing_is_held(visitor: Visitor) -> None:
    visitor.allowed.append("status of 402")
    visitor.sign_in("bo@example.org")
    visitor.product.set_credits("bo@example.org", 3)
    visitor.goto(TOOL)
    visitor.choose(PHOTOS / "coffee.jpg")
    visitor.page.click("[data-ref=submit]")
    words = complaint(visitor)
    assert "Not enough credits." in words
    assert "You were not charged." in words
    assert visitor.api("/api/credits")["available"] == 3
    assert visitor.api("/api/tasks")["items"] == []


def test_a_price_changed_meanwhile_is_shown_before_it_is_charged(visitor: Visitor) -> None:
    visitor.allowed.append("status of 409")
    visitor.sign_in("prices@example.org")
    visitor.goto(TOOL)
    visitor.choose(PHOTOS / "coffee.jpg")
    visitor.product.set_price("background-remove", "remove", 7)
    try:
        visitor.page.click("[data-ref=submit]")
        assert "The price has changed to 7 credits." in complaint(visitor)
        assert visitor.api("/api/credits")["available"] == 50
        visitor.page.get_by_role("button", name="Remove background (7 credits)").click()
        visitor.wait_for_stage("completed")
    finally:
        visitor.product.set_price("background-remove", "remove", 5)
    expect(visitor.page.locator("[data-ref=receipt]")).to_have_text("7 credits charged. 43 left.")
    expect(visitor.page.locator("[data-runs] li")).to_have_count(1)


def test_a_stranger_cannot_open_somebodys_task(visitor: Visitor) -> None:
    visitor.allowed.append("status of 404")
    visitor.sign_in("stranger@example.org")
    visitor.goto(f"{TOOL}?task=01a2058e-4a48-70e6-95e6-a979c197c14f")
    expect(visitor.page.locator("h1")).to_have_text("Page not found")
