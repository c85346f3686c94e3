"""The dashboard's pages: for admins, in both languages, with every control its form needs."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from tests.conftest import MakeUser, Site
from tests.dashboard.conftest import config_of, save
from tests.uploads import upload

PAGES = [
    "/dashboard",
    "/dashboard/tools",
    "/dashboard/tools/new",
    "/dashboard/providers",
    "/dashboard/providers/local",
    "/dashboard/providers/openai",
]


async def test_strangers_sign_in_first_and_to_others_there_is_nothing(
    site: Site, make_user: MakeUser
) -> None:
    async with site.browser() as anybody, site.browser(await make_user()) as ada:
        for path in PAGES:
            asked = await anybody.get(f"/en{path}?q=a")
            assert asked.status_code == 303, path
            assert asked.headers["location"].startswith(f"/en/sign-in?next=/en{path}")
            refused = await ada.get(f"/en{path}")
            assert refused.status_code == 404, path
            assert "<!doctype html>" in refused.text
        assert "/dashboard" not in (await ada.get("/en/")).text


async def test_admins_find_every_page_in_both_languages(root: httpx.AsyncClient) -> None:
    for locale in ("en", "zh"):
        for path in PAGES:
            answer = await root.get(f"/{locale}{path}")
            assert answer.status_code == 200, (path, answer.text)
    assert 'href="/en/dashboard"' in (await root.get("/en/")).text
    for path in ("/xx/dashboard", f"/en/dashboard/tools/{uuid4()}", "/en/dashboard/providers/x"):
        assert (await root.get(path)).status_code == 404, path


async def test_the_list_is_searched_and_paged(root: httpx.AsyncClient, site: Site) -> None:
    async with site.resources.db.transaction() as s:
        await s.execute(
            text("""
                INSERT INTO tools (id, slug, implementation, tool_type_id, title, description,
                                   config)
                SELECT gen_random_uuid(), 'copy-' || n, implementation, tool_type_id,
                       'Copy <' || n || '>', '', config
                  FROM tools, generate_series(1, 25) AS n WHERE slug = 'background-remove'
            """)
        )
    first = (await root.get("/en/dashboard/tools?q=copy")).text
    assert first.count("data-row") == 20
    assert "Copy &lt;" in first
    older = first.split('href="/en/dashboard/tools?q=copy&amp;cursor=')[1].split('"')[0]
    second = (await root.get(f"/en/dashboard/tools?q=copy&cursor={older}")).text
    assert second.count("data-row") == 5
    assert "No tool matches" in (await root.get("/en/dashboard/tools?q=%25")).text


async def test_a_tools_form_has_a_control_for_everything_its_models_have(
    root: httpx.AsyncClient, figme: dict[str, Any]
) -> None:
    view = await config_of(root, figme)
    view["config"]["steps"]["image-gen"]["settings"]["styles"] = [
        {"slug": "ink", "name": "<Ink>", "prompt": '"Black" & white'}
    ]
    assert (await save(root, figme, view)).status_code == 200
    page = (await root.get(f"/en/dashboard/tools/{figme['id']}")).text
    for step in view["form"]["steps"]:
        assert f'data-field="{step["id"]}"' in page
        for field in step["settings"]:
            assert f'data-field="{field["name"]}" data-kind="{field["kind"]}"' in page
    for name in view["form"]["optionsForms"]:
        assert f'<template data-options="{name}">' in page
    assert 'value="&lt;Ink&gt;"' in page
    assert "&#34;Black&#34; &amp; white" in page
    assert f'href="/en/tools/{figme["slug"]}"' in page
    assert "style=" not in page, "the policy refuses inline styles"


async def test_a_hidden_tool_is_seen_and_tried_by_admins_alone(
    site: Site,
    root: httpx.AsyncClient,
    remover: dict[str, Any],
    make_user: MakeUser,
    astronaut: bytes,
) -> None:
    path = f"/api/admin/tools/{remover['id']}"
    assert (await root.patch(path, json={"isActive": False})).status_code == 200
    async with site.browser(await make_user()) as ada:
        assert (await ada.get("/en/tools/background-remove")).status_code == 404
        assert (await try_it(ada, astronaut)).status_code == 404
        assert (await ada.get("/api/credits")).json()["reserved"] == 0
    assert "it is switched off" in (await root.get("/en/tools/background-remove")).text
    created = await try_it(root, astronaut)
    assert created.status_code == 201, created.text
    task_id = created.json()["taskId"]
    shown = await root.get(f"/en/tools/background-remove?task={task_id}")
    assert f'data-task="{task_id}"' in shown.text


async def try_it(browser: httpx.AsyncClient, photo: bytes) -> httpx.Response:
    """Run the background remover on a photo."""
    asset_id = await upload(browser, photo)
    body = {"tool": "background-remove", "input": {"image": str(asset_id)}}
    return await browser.post("/api/tasks", json=body)
