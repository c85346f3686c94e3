"""Tools by the back office's JSON: adding, changing, configuring, and every way to do it wrong."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from tests.conftest import Site
from tests.dashboard.conftest import config_of, save, tool_called

from funmagic.core.db import Database
from funmagic.core.i18n import translate

Config = dict[str, Any]

LOCALLY = {"provider": "local", "model": "u2netp"}
STORE = text("UPDATE tools SET config = CAST(:config AS jsonb) WHERE id = CAST(:id AS uuid)")


async def test_a_new_tool_is_hidden_and_configured_as_its_plug_in_recommends(
    site: Site, root: httpx.AsyncClient, figme: dict[str, Any]
) -> None:
    assert (figme["isActive"], figme["prices"]) == (False, {"image-gen": 20, "3d-gen": 30})
    assert list(figme["prices"]) == ["image-gen", "3d-gen"]
    config = (await config_of(root, figme))["config"]
    # no vendor has a key here, so the one that needs none does the work
    assert [step["providers"][0]["provider"] for step in config["steps"].values()] == ["local"] * 2
    async with site.browser() as anybody:
        assert (await anybody.get("/api/tools/pencil-portrait")).status_code == 404
        switched = await root.patch(f"/api/admin/tools/{figme['id']}", json={"isActive": True})
        assert switched.status_code == 200, switched.text
        assert (await anybody.get("/api/tools/pencil-portrait")).status_code == 200


IMPOSSIBLE: list[tuple[dict[str, Any], int, str | None]] = [
    ({"implementation": "nothing"}, 422, "implementation"),
    ({"toolType": "nothing"}, 422, "toolType"),
    ({"slug": "background-remove"}, 409, "slug"),
    ({"slug": "Not A Slug"}, 422, "slug"),
    ({"slug": "a" * 81}, 422, "slug"),
    ({"title": "   "}, 422, "title"),
    ({"title": "a" * 101}, 422, "title"),
    ({"description": "a" * 2001}, 422, "description"),
    ({"surprise": 1}, 422, None),
    ({"title": "NUL \0"}, 422, None),
]


async def test_a_tool_that_cannot_be_is_not_added(root: httpx.AsyncClient) -> None:
    body = {
        "implementation": "figme",
        "slug": "ink",
        "title": "Ink",
        "description": "",
        "toolType": "photo",
    }
    for change, status, field in IMPOSSIBLE:
        answer = await root.post("/api/admin/tools", json=body | change)
        assert answer.status_code == status, (change, answer.text)
        assert field is None or field in answer.json()["error"]["fields"], change
    assert (await root.get("/api/admin/tools", params={"q": "ink"})).json()["items"] == []


async def test_words_change_alone_and_never_over_somebody_elses(
    root: httpx.AsyncClient, remover: dict[str, Any]
) -> None:
    path = f"/api/admin/tools/{remover['id']}"
    read = remover["updatedAt"]
    switched = (await root.patch(path, json={"isFeatured": False, "updatedAt": read})).json()
    assert (switched["isFeatured"], switched["isActive"]) == (False, True)
    assert switched["updatedAt"] == read, "a switch collides with nothing"
    changed = (await root.patch(path, json={"title": "Cut out", "updatedAt": read})).json()
    assert (changed["title"], changed["slug"]) == ("Cut out", "background-remove")
    late = await root.patch(path, json={"title": "Mine", "updatedAt": read})
    assert late.status_code == 409
    assert (await root.get(path)).json()["title"] == "Cut out"


async def test_a_tools_words_are_translated_field_by_field(
    site: Site, root: httpx.AsyncClient, remover: dict[str, Any]
) -> None:
    path = f"/api/admin/tools/{remover['id']}"
    words = {"de": {"title": " Freisteller ", "description": ""}, "fr": {"title": ""}}
    saved = await root.patch(path, json={"translations": words})
    assert saved.status_code == 200, saved.text
    others = {name: said for name, said in remover["translations"].items() if name not in words}
    assert saved.json()["translations"] == others | {"de": {"title": "Freisteller"}}
    assert saved.json()["title"] == remover["title"], "English stays as it is"
    page = (await root.get(f"/en/dashboard/tools/{remover['id']}")).text
    assert 'value="Freisteller"' in page
    assert f'placeholder="{translate("fr", remover["title"])}"' in page
    async with site.browser() as anybody:
        for locale, title in (("de", "Freisteller"), ("fr", translate("fr", remover["title"]))):
            answer = await anybody.get(
                "/api/tools/background-remove", headers={"Accept-Language": locale}
            )
            assert answer.json()["title"] == title
            assert answer.json()["description"] == translate(locale, remover["description"])
    for wrong, place in (
        ({"tlh": {"title": "Qapla'"}}, "tlh"),
        ({"en": {"title": "Two"}}, "en"),
        ({"de": {"slug": "frei"}}, "de.slug"),
        ({"de": {"title": "a" * 101}}, "de.title"),
        ({"de": {"description": "a" * 2001}}, "de.description"),
    ):
        refused = await root.patch(path, json={"translations": wrong})
        assert refused.status_code == 422, wrong
        assert list(refused.json()["error"]["fields"]) == [f"translations.{place}"]
    german, french = {"de": {"title": "Freisteller"}}, {"fr": {"title": "Détoureur"}}
    about = {"fr": {"description": "Sans fond."}}
    for change, left in (
        (french, german | french),
        (about, german | about),
        ({}, german | about),
        ({"de": None}, about),
        (german, german | about),
        ({"fr": {"title": " "}, "de": {}}, {}),
    ):
        saved = await root.patch(path, json={"translations": change})
        assert saved.json()["translations"] == others | left, change


async def test_of_two_admins_who_read_the_same_one_saves(
    root: httpx.AsyncClient, remover: dict[str, Any], db: Database
) -> None:
    views = []
    for price in (6, 7):
        view = await config_of(root, remover)
        view["config"]["steps"]["remove"]["priceCredits"] = price
        views.append(view)
    answers = await asyncio.gather(*(save(root, remover, view) for view in views))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    won = next(answer for answer in answers if answer.status_code == 200).json()
    async with db.transaction() as s:
        stored = await s.scalar(text("SELECT config FROM tools WHERE slug = 'background-remove'"))
    assert stored == won["config"]
    again = {"config": won["config"], "updatedAt": won["updatedAt"]}
    assert (await save(root, remover, again)).status_code == 200


def styles(number: int) -> list[dict[str, Any]]:
    return [{"slug": f"style-{n}", "name": f"Style {n}"} for n in range(number)]


def at(path: str, value: Any) -> Callable[[Config], None]:
    """A change of a configuration at one place."""

    def change(config: Config) -> None:
        *way, last = path.split(".")
        node: Any = config["steps"]
        for part in way:
            node = node[int(part) if part.isdigit() else part]
        node[int(last) if last.isdigit() else last] = value

    return change


WRONG: list[tuple[Callable[[Config], None], str]] = [
    (at("image-gen.priceCredits", -1), "steps.image-gen.priceCredits"),
    (at("image-gen.priceCredits", 1_000_001), "steps.image-gen.priceCredits"),
    (at("image-gen.priceCredits", 2.5), "steps.image-gen.priceCredits"),
    (at("image-gen.priceCredits", None), "steps.image-gen.priceCredits"),
    (at("image-gen.providers", []), "steps.image-gen.providers"),
    (at("image-gen.providers.0.provider", "nobody"), "steps.image-gen.providers.0.provider"),
    (at("image-gen.providers.0.provider", "tripo"), "steps.image-gen.providers.0.provider"),
    (at("image-gen.providers.0.model", "gone-1"), "steps.image-gen.providers.0.model"),
    (
        at("image-gen.providers.0.options", {"quality": "odd"}),
        "steps.image-gen.providers.0.options.quality",
    ),
    (at("image-gen.settings.styles", styles(9)), "steps.image-gen.settings.styles.8"),
    (
        at("image-gen.settings.styles", [{"slug": "No Slug", "name": "A"}]),
        "steps.image-gen.settings.styles.0.slug",
    ),
    (
        at("image-gen.settings.styles", [{"slug": "a", "name": ""}]),
        "steps.image-gen.settings.styles.0.name",
    ),
    (
        at("image-gen.settings.styles", [{"slug": "a", "name": "A", "image": str(uuid4())}]),
        "steps.image-gen.settings.styles.0.image",
    ),
    (at("image-gen.settings.styles", styles(1) * 2), "steps.image-gen.settings"),
    (at("image-gen.settings.surprise", 1), "steps.image-gen.settings.surprise"),
    (at("extra", {"priceCredits": 1, "providers": []}), "steps.extra.providers"),
]


async def test_a_wrong_configuration_is_refused_by_its_field_and_changes_nothing(
    root: httpx.AsyncClient, figme: dict[str, Any]
) -> None:
    before = await config_of(root, figme)
    before["config"]["steps"]["image-gen"]["providers"][0] = {
        "provider": "openai",
        "model": "gpt-image-1.5",
        "options": {},
    }
    for change, field in WRONG:
        view = copy.deepcopy(before)
        change(view["config"])
        answer = await save(root, figme, view)
        assert answer.status_code == 422, (field, answer.text)
        assert list(answer.json()["error"]["fields"]) == [field]
    missing = copy.deepcopy(before)
    del missing["config"]["steps"]["3d-gen"]
    assert list((await save(root, figme, missing)).json()["error"]["fields"]) == ["steps.3d-gen"]
    assert (await config_of(root, figme))["updatedAt"] == before["updatedAt"]
    shapeless: list[dict[str, Any]] = [{}, {"config": []}, {"config": {"steps": {}}}]
    for body in (*shapeless, {"config": {}, "updatedAt": "yesterday"}):
        path = f"/api/admin/tools/{figme['id']}/config"
        assert (await root.put(path, json=body)).status_code == 422, body


async def test_everything_wrong_is_said_at_once(
    root: httpx.AsyncClient, figme: dict[str, Any]
) -> None:
    view = await config_of(root, figme)
    at("image-gen.priceCredits", -1)(view["config"])
    at("image-gen.settings.styles", [{"slug": "a", "name": ""}])(view["config"])
    fields = (await save(root, figme, view)).json()["error"]["fields"]
    assert set(fields) == {
        "steps.image-gen.priceCredits",
        "steps.image-gen.settings.styles.0.name",
    }


async def test_a_model_the_vendor_lists_can_be_chosen_and_its_end_is_told(
    root: httpx.AsyncClient, figme: dict[str, Any], db: Database
) -> None:
    async with db.transaction() as s:
        await s.execute(
            text("""
                INSERT INTO providers (id, key, label, config, health_listed, health_retiring)
                VALUES (gen_random_uuid(), 'openai', 'OpenAI', '{"moreModels": ["new-1"]}',
                        '["listed-1", "gpt-image-1.5"]', '{"gpt-image-1.5": "2026-12-01"}')
            """)
        )
    for model in ("new-1", "listed-1", "gpt-image-1.5"):
        view = await config_of(root, figme)
        choice: Config = {"provider": "openai", "model": model, "options": {}}
        view["config"]["steps"]["image-gen"]["providers"] = [choice]
        saved = await save(root, figme, view)
        assert saved.status_code == 200, saved.text
    form = saved.json()["form"]
    assert form["warnings"] == ["gpt-image-1.5 retires on December 1, 2026."]
    models = {
        model["id"]: model
        for provider in form["steps"][0]["providers"]
        if provider["key"] == "openai"
        for model in provider["models"]
    }
    assert models["gpt-image-1.5"]["retiresOn"] == "2026-12-01"
    assert models["listed-1"]["isListed"] is True
    assert models["new-1"]["isListed"] is False
    assert models["new-1"]["warning"] == "The provider does not list new-1: it may be refused."
    assert models["listed-1"]["warning"] is None
    assert set(form["optionsForms"]) >= {model["options"] for model in models.values()}


async def test_what_cannot_run_is_not_offered(
    root: httpx.AsyncClient, figme: dict[str, Any], db: Database
) -> None:
    async with db.transaction() as s:
        await s.execute(
            text("""
                UPDATE tools SET config = jsonb_set(config, '{steps,3d-gen,providers,0,model}',
                                                    '"gone"')
                 WHERE slug = 'pencil-portrait'
            """)
        )
    answer = await root.patch(f"/api/admin/tools/{figme['id']}", json={"isActive": True})
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "not_ready")
    assert (await tool_called(root, "pencil-portrait"))["isActive"] is False


MISFITS: list[Any] = [
    {"steps": {}},
    {"steps": {"remove": None}},
    {"steps": {"remove": {"priceCredits": "five", "providers": []}}},
    {"steps": {"remove": {"priceCredits": 5, "providers": [LOCALLY], "settings": {"odd": 1}}}},
]


async def test_a_tool_that_no_longer_fits_takes_nothing_else_down(
    site: Site, root: httpx.AsyncClient, remover: dict[str, Any], db: Database
) -> None:
    path = f"/dashboard/tools/{remover['id']}"
    for config in MISFITS:
        async with db.transaction() as s:
            await s.execute(STORE, {"config": json.dumps(config), "id": remover["id"]})
        home = await root.get("/en")
        assert home.status_code == 200, config
        assert "/en/tools/figme" in home.text
        assert "/en/tools/background-remove" not in home.text
        listed = {tool["slug"] for tool in (await root.get("/api/tools")).json()["items"]}
        assert "figme" in listed
        assert "background-remove" not in listed
        assert (await root.get("/en/tools/background-remove")).status_code == 404
        asked = await root.post("/api/tasks", json={"tool": "background-remove", "input": {}})
        assert asked.status_code == 404, asked.text
        table = await root.get("/en/dashboard/tools")
        assert table.status_code == 200, config
        assert table.text.count("Broken") == 1
        assert "does not fit this release" in (await root.get(f"/en{path}")).text
    view = await config_of(root, remover)
    view["config"] = {"steps": {"remove": {"priceCredits": 5, "providers": [LOCALLY]}}}
    assert (await save(root, remover, view)).status_code == 200
    assert "does not fit this release" not in (await root.get(f"/en{path}")).text
    assert (await root.get("/en/tools/background-remove")).status_code == 200
