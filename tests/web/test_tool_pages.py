"""Pages of tools, drawn from their contracts and the admin's choices: forms, steps, families."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Literal
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.plugins.jinja import JinjaTemplateEngine
from pydantic import Field
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.tasks.figures import FIGME, configure, draw, shape
from tests.uploads import upload
from tests.web.families import finished_drawing, finished_family

from funmagic.core.resources import Resources
from funmagic.toolkit import discovery
from funmagic.toolkit.drawing import DrawInput
from funmagic.tools.figme import TOOL
from funmagic.web import templates
from funmagic.web.handlers import tools

PAGE = f"/en/tools/{FIGME}"
STAGE = re.compile(r'data-stage="(\w+)"')
STEP = re.compile(r'data-state="(\w+)"')
ANT = "/media/01a2058e-4a48-70e6-95e6-a979c197c14f"
# A button that starts a run says its price; a form has a place for photos.
STARTS = re.compile(r"data-price-label|<image-picker|data-act=\"(?:submit|start-over)")
FAIL = text("""
    UPDATE tasks SET status = 'failed', error_type = 'internal', error_message = 'Broken.',
                     completed_at = now()
     WHERE id = :id
""")
AGE = text("UPDATE tasks SET created_at = now() - make_interval(days => :days) WHERE id = :id")


def slugs(page: str) -> list[str]:
    """The styles to choose from, as the page lists them."""
    return re.findall(r'name="image-gen-style" value="([a-z-]+)"', page)


async def test_the_form_is_the_contracts_with_the_admins_choices_in_their_order(
    site: Site, resources: Resources
) -> None:
    styles = [
        {"slug": "zebra", "name": "Zebra <stripes>"},
        {"slug": "ant", "name": "Ant", "image": ANT.removeprefix("/media/")},
    ]
    await configure(resources, ["image-gen", "settings"], {"styles": styles})
    async with site.browser() as browser:
        page = (await browser.get(PAGE)).text
    assert slugs(page) == ["zebra", "ant"]
    assert "Zebra &lt;stripes&gt;" in page
    for wanted in (
        f'type="image/avif" srcset="{ANT}/320.avif 320w" sizes="7rem"',
        f'src="{ANT}/320.webp" width="320" height="320" alt="" loading="lazy"',
    ):
        assert wanted in page
    assert "Generate (20 credits)" in page
    assert "Figme (30 credits)" not in page, "the second step needs a picture"
    assert STAGE.search(page).group(1) == "idle"  # type: ignore[union-attr]
    assert STEP.findall(page) == ["current", "todo"]


async def test_a_form_without_choices_says_so(site: Site, resources: Resources) -> None:
    await configure(resources, ["image-gen", "settings"], {"styles": []})
    async with site.browser() as browser:
        assert "There is nothing to choose from yet." in (await browser.get(PAGE)).text


class MoreInput(DrawInput):
    words: str = Field(default="so", max_length=400, title="Words")
    name: str = Field(max_length=40, title="Name")
    strength: float = Field(default=0.5, ge=0, le=1, title="Strength")
    ground: Literal["plain", "as-it-is"] = Field(default="as-it-is", title="Ground")
    is_glossy: bool = Field(default=True, title="Glossy", description="Shines a little")


async def test_every_kind_of_field_has_its_control(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dataclasses.replace(TOOL.steps[0], input_model=MoreInput)
    wide = dataclasses.replace(TOOL, steps=(first, *TOOL.steps[1:]))
    monkeypatch.setattr(discovery, "tool", lambda key: wide)
    async with site.browser() as browser:
        page = (await browser.get(PAGE)).text
    for wanted in (
        '<textarea id="image-gen-words" class="textarea w-full" rows="3" maxlength="400"',
        ">2 / 400<",
        '<input type="text" id="image-gen-name"',
        'step="any" min="0" max="1" value="0.5"',
        '<option value="as-it-is" selected>As it is</option>',
        'role="switch" class="input" name="image-gen-isGlossy" checked',
        'id="image-gen-isGlossy-help"',
        'data-control="image" data-kind="image" data-route="tool-input"',
    ):
        assert wanted in page


async def test_a_finished_picture_offers_every_step_that_follows(
    site: Site, resources: Resources, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=500)) as browser:
        parent = await finished_drawing(browser, resources, astronaut)
        page = (await browser.get(PAGE)).text
        assert STAGE.search(page).group(1) == "completed"  # type: ignore[union-attr]
        assert f'data-task="{parent}"' in page
        for words in ("Figme (30 credits)", "Run again (20 credits)", "Save", "Download", "Pencil"):
            assert words in page
        assert "Show it" not in page
        child = (await shape(browser, parent)).json()["taskId"]
        page = (await browser.get(PAGE, params={"task": parent})).text
        assert STEP.findall(page) == ["current", "running"]
        assert page.count(f"?task={child}") >= 2, "the row of steps and the result lead to it"
        assert "Show it" in page


@pytest.mark.parametrize("days", [0, 1])
async def test_the_page_opens_on_the_newest_of_a_family_wherever_and_whenever(
    site: Site, resources: Resources, make_user: MakeUser, astronaut: bytes, days: int
) -> None:
    ada = await make_user(credits_=500)
    async with site.browser(ada) as browser:
        family = await finished_family(browser, resources, astronaut)
        async with resources.db.transaction() as session:
            for task in (family.parent, family.child):
                await session.execute(AGE, {"id": UUID(task), "days": days})
    async with site.browser(ada) as elsewhere:
        page = (await elsewhere.get(PAGE)).text
        assert f'data-task="{family.child}"' in page
        assert "<model-scene" in page
        assert STEP.findall(page) == ["done", "current"]
        assert f"?task={family.parent}" in page
        page = (await elsewhere.get(PAGE, params={"task": "new"})).text
        assert STAGE.search(page).group(1) == "idle"  # type: ignore[union-attr]


async def test_a_relief_is_marked_and_a_model_has_its_picture(
    site: Site, resources: Resources, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=500)) as browser:
        await finished_family(browser, resources, astronaut, is_relief=True)
        scene = (await browser.get(PAGE)).text.split("<model-scene")[1].split("</model-scene>")[0]
    assert " data-relief" in scene
    assert "<img data-poster src=" in scene


async def test_a_task_leads_to_its_own_tool_as_it_is_called_today(
    site: Site, resources: Resources, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=500)) as browser:
        task = (await draw(browser, await upload(browser, astronaut))).json()["taskId"]
        await alter(resources, "slug = 'statuette'")
        for slug in ("background-remove", FIGME, "never-heard-of"):
            page = await browser.get(f"/zh/tools/{slug}", params={"task": task})
            assert page.status_code == 302, slug
            assert page.headers["location"] == f"/zh/tools/statuette?task={task}"
        page = await browser.get("/zh/tools/statuette", params={"task": task})
        assert f'data-task="{task}"' in page.text
        assert (await browser.get(PAGE)).status_code == 404
    async with site.browser(await make_user("bob@example.com")) as stranger:
        for slug in (FIGME, "statuette"):
            page = await stranger.get(f"/en/tools/{slug}", params={"task": task})
            assert page.status_code == 404


async def test_a_tool_that_is_no_longer_offered_keeps_its_results_for_those_who_have_some(
    site: Site, resources: Resources, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=500)) as browser:
        family = await finished_family(browser, resources, astronaut)
        failed = (await draw(browser, await upload(browser, astronaut))).json()["taskId"]
        async with resources.db.transaction() as session:
            await session.execute(FAIL, {"id": UUID(failed)})
            await session.execute(AGE, {"id": UUID(failed), "days": 99})
        await alter(resources, "is_active = false")
        for task in (family.parent, family.child):
            page = (await browser.get(PAGE, params={"task": task})).text
            assert f'data-task="{task}"' in page
            assert 'data-act="save"' in page
            assert 'data-ref="download"' in page
            assert f"?task={family.child}" in page
            assert STARTS.findall(page) == []
        page = (await browser.get(PAGE)).text
        assert f'data-task="{failed}"' in page, "the newest, however old"
        assert STARTS.findall(page) == []
        page = (await browser.get(PAGE, params={"task": "new"})).text
        assert "This tool is not offered any more." in page
        assert STARTS.findall(page) == []
    async with site.browser(await make_user("bob@example.com")) as stranger:
        assert (await stranger.get(PAGE)).status_code == 404
        assert (await stranger.get(PAGE, params={"task": family.child})).status_code == 404
    async with site.browser() as anybody:
        assert (await anybody.get(PAGE, params={"task": family.child})).status_code == 404


async def alter(resources: Resources, assignment: str) -> None:
    """What an admin does to figme."""
    async with resources.db.transaction() as session:
        await session.execute(text(f"UPDATE tools SET {assignment} WHERE slug = 'figme'"))


async def test_only_pages_that_show_models_let_a_browser_read_its_own_addresses(site: Site) -> None:
    async with site.browser() as browser:
        for path, reads in ((PAGE, True), ("/en/tools/background-remove", False), ("/en", False)):
            policy = (await browser.get(path)).headers["content-security-policy"]
            connects = next(part for part in policy.split("; ") if part.startswith("connect-src"))
            assert ("blob:" in connects) == reads, path
            assert "unsafe" not in policy


async def test_ones_own_runs_are_paged_by_the_last_one(
    site: Site, make_user: MakeUser, astronaut: bytes
) -> None:
    async with site.browser(await make_user(credits_=5000)) as browser:
        photo = await upload(browser, astronaut)
        made = [(await draw(browser, photo)).json()["taskId"] for _ in range(tools.RUNS_SHOWN + 2)]
        first = (await browser.get(PAGE, params={"task": "new"})).text
        older = first.split('href="/en/tools/figme?runs=')[1].split('"')[0]
        second = (await browser.get(PAGE, params={"task": "new", "runs": older})).text
        assert (await browser.get(PAGE, params={"runs": "nonsense"})).status_code == 422
    runs = [re.findall(r'href="/en/tools/figme\?task=([0-9a-f-]+)" class="run"', page)
            for page in (first, second)]  # fmt: skip
    assert runs[0] + runs[1] == made[::-1]
    assert "data-more" not in second


async def test_without_runs_their_list_is_hidden(site: Site) -> None:
    async with site.browser() as browser:
        page = (await browser.get(PAGE)).text
    assert re.search(r"<section data-runs[^>]* hidden>", page)


@pytest.fixture
def own_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, application: Litestar) -> None:
    """Figme with a page of its own, in its folder."""
    folder = tmp_path / "tools" / "figme"
    folder.mkdir(parents=True)
    (folder / "page.html").write_text(
        '{% extends "pages/tool.html" %}'
        "{% block intro %}<h1>Our own {{ view.title }}</h1>{% endblock %}"
        "{% block aside %}{{ super() }}<p>And more.</p>{% endblock %}"
    )
    engine = application.template_engine
    assert isinstance(engine, JinjaTemplateEngine)
    folders = [*map(str, templates.FOLDERS), str(tmp_path)]
    monkeypatch.setattr(engine.engine.loader, "searchpath", folders)
    own = dataclasses.replace(TOOL, template="page.html")
    monkeypatch.setattr(discovery, "tool", lambda key: own)


async def test_a_tool_may_have_a_page_of_its_own(own_template: None, site: Site) -> None:
    async with site.browser() as browser:
        page = (await browser.get(PAGE)).text
    assert "<h1>Our own Figme</h1>" in page
    assert "What you get" in page
    assert "And more." in page
    assert "Generate (20 credits)" in page
