"""A tool's page in a browser: what is chosen is kept, what is wrong stands beside its field, what
waits can be stopped and run again, and a model that cannot be shown has its picture."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route, expect
from tests.conftest import PHOTOS, MakeUser, Site
from tests.tasks.figures import FIGME, configure
from tests.web.conftest import PATIENCE_MS, SignIn
from tests.web.families import finished_family

from funmagic.core.resources import Resources

expect.set_options(timeout=PATIENCE_MS)
pytestmark = pytest.mark.browser

PAGE = f"/en/tools/{FIGME}"
DATABASES = "async () => (await indexedDB.databases()).map((each) => each.name)"
STYLE = "[data-control=style]"
NO_WEBGL = "HTMLCanvasElement.prototype.getContext = () => null"


# The names of choices that have a word wider than their place, where it would be broken.
TOO_WIDE = """() => [...document.querySelectorAll(".pick-name")].filter((name) => {
  name.style.overflowWrap = "normal";
  name.style.hyphens = "manual";
  return name.scrollWidth > name.clientWidth;
}).map((name) => name.textContent)"""


async def choose_photo(page: Page) -> None:
    await page.set_input_files("image-picker input[type=file]", PHOTOS / "coffee.jpg")
    await expect(page.locator("[data-ref=submit]")).to_be_visible()


async def at_stage(page: Page, stage: str) -> None:
    await page.wait_for_selector(f"tool-executor[data-stage={stage}]")


async def test_photo_and_choice_are_kept_while_signing_in_then_run_stopped_and_run_again(
    page: Page, sign_in: SignIn, make_user: MakeUser
) -> None:
    await page.goto(PAGE.replace("/en/", "/de/"))
    await expect(page.locator(".pick-name", has_text="Impressionismus")).to_be_visible()
    for width in (360, 768, 1024, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        assert await page.evaluate(TOO_WIDE) == [], f"{width} px"
    await page.goto(PAGE)
    await choose_photo(page)
    await page.click("[data-ref=submit]")
    await expect(page.locator(f"{STYLE} [data-complaint]")).to_have_text("Please choose one.")
    await page.keyboard.press("ArrowRight")  # from the first style, where the complaint leads
    await expect(page.locator(f"{STYLE} [data-complaint]")).to_be_hidden()
    chosen = await page.locator(f"{STYLE} input:checked").get_attribute("value")
    await page.click("[data-ref=submit]")
    await page.wait_for_selector("sign-in-dialog dialog[open] input")

    await sign_in(await make_user(credits_=50))
    await page.reload()
    await expect(page.locator("[data-ref=submit]")).to_be_visible()
    await expect(page.locator(f"{STYLE} input:checked")).to_have_value(chosen or "")
    await page.click("[data-ref=submit]")
    await at_stage(page, "running")
    await expect(page.locator("[data-ref=run-time]")).to_contain_text("You are next")

    await page.click("[data-act=ask-to-cancel]")
    await expect(page.locator("[data-ref=cancel-waiting]")).to_be_visible()
    await page.click("[data-act=cancel-run]")
    await at_stage(page, "failed")
    await expect(page.locator("[data-ref=failure-credits]")).to_have_text(
        "20 credits are back in your account. You have 50."
    )
    await page.reload()  # the photo is not in this browser any more
    await page.get_by_role("button", name="Try again (20 credits)").click()
    await at_stage(page, "running")
    await expect(page.locator("[data-runs] li")).to_have_count(2)


async def test_who_signs_out_leaves_no_photo_in_the_browser(
    page: Page, sign_in: SignIn, make_user: MakeUser
) -> None:
    await page.goto(PAGE)
    await choose_photo(page)
    await page.click(f"{STYLE} label:has(input[value=pencil])")
    await page.click("[data-ref=submit]")
    await page.wait_for_selector("sign-in-dialog dialog[open] input")
    await sign_in(await make_user())
    await page.reload()
    await expect(page.locator(f"{STYLE} input:checked")).to_have_value("pencil")
    assert await page.evaluate(DATABASES) == ["funmagic"]
    await page.locator("header details", has=page.locator("[data-sign-out]")).click()
    await page.click("[data-sign-out]")
    await page.wait_for_selector("a[data-sign-in]")
    assert await page.evaluate(DATABASES) == []


async def test_what_the_server_refuses_stands_beside_its_field_and_a_new_price_on_the_button(
    page: Page, sign_in: SignIn, make_user: MakeUser, resources: Resources
) -> None:
    await sign_in(await make_user())
    await page.goto(PAGE)
    await choose_photo(page)
    await page.click(f"{STYLE} label:has(input[value=pencil])")
    styles = [{"slug": "engraving", "name": "Engraving"}]
    await configure(resources, ["image-gen", "settings"], {"styles": styles})
    await page.click("[data-ref=submit]")
    await expect(page.locator(f"{STYLE} [data-complaint]")).to_contain_text("not offered any more")
    await expect(page.locator("[data-ref=complaint]")).to_contain_text("You were not charged.")

    await page.click(f"{STYLE} label:has(input[value=engraving])")
    await configure(resources, ["image-gen", "priceCredits"], 21)
    await page.click("[data-ref=submit]")
    await expect(page.locator("[data-ref=complaint]")).to_contain_text("21 credits")
    await expect(page.locator("[data-price-of=image-gen]")).to_have_text("21 credits")
    await page.get_by_role("button", name="Generate (21 credits)").click()
    await at_stage(page, "running")


async def test_where_a_model_cannot_be_shown_its_picture_stands_with_words(
    page: Page,
    sign_in: SignIn,
    site: Site,
    make_user: MakeUser,
    resources: Resources,
    astronaut: bytes,
) -> None:
    ada = await make_user(credits_=100)
    async with site.browser(ada) as browser:
        await finished_family(browser, resources, astronaut)
    await sign_in(ada)

    async def spoil(route: Route) -> None:
        await route.fulfill(body=b"not a model", content_type="model/gltf-binary")

    model = await page.context.new_page()
    await model.route("**/outputs/**", spoil)
    await model.goto(PAGE)
    await model.wait_for_selector("model-scene[data-state=failed]")
    await expect(model.get_by_role("button", name="Try again", exact=True)).to_be_visible()
    await model.close()

    await page.add_init_script(NO_WEBGL)
    await page.goto(PAGE)
    scene = page.locator("model-scene[data-state=no-webgl]")
    await expect(scene.locator("[data-ref=trouble]")).to_contain_text("cannot show 3D models")
    await expect(scene.locator("img[data-poster]")).to_be_visible()
    async with page.expect_download() as arriving:
        await page.click("[data-ref=download]")
    assert (await arriving.value).suggested_filename.endswith(".glb")
