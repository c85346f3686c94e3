"""What anybody may read of the catalog, and what nobody reads there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import text
from tests.conftest import Site

from funmagic.core.db import Database
from funmagic.core.ids import new_id

PICTURE = new_id()
SECRETS = ("canary-prompt", "canary-style", "gpt-image-1.5", "canary-size", "openai", "tripo")
DRAWN_BY = [{"provider": "openai", "model": "gpt-image-1.5", "options": {"x": "canary-size"}}]
CONFIG: dict[str, Any] = {
    "steps": {
        "image-gen": {
            "priceCredits": 21,
            "providers": DRAWN_BY,
            "settings": {
                "prompt": "canary-prompt",
                "styles": [
                    {"slug": "ink", "name": "Ink", "prompt": "canary-style", "image": str(PICTURE)},
                    {"slug": "wet", "name": "Watercolour", "prompt": "canary-style"},
                ],
            },
        },
        "3d-gen": {
            "priceCredits": 31,
            "providers": [{"provider": "tripo", "model": "canary-style", "options": {}}],
            "settings": {},
        },
    }
}

ADD = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, config,
                       is_active)
    SELECT :id, :slug, 'figme', id, :title, 'Drawn.', CAST(:config AS jsonb), :is_active
      FROM tool_types WHERE name = 'photo'
""")


async def add(db: Database, slug: str, *, is_active: bool = True, title: str = "Ink") -> None:
    async with db.transaction() as s:
        await s.execute(
            ADD,
            {
                "id": new_id(),
                "slug": slug,
                "title": title,
                "config": json.dumps(CONFIG),
                "is_active": is_active,
            },
        )


@pytest.mark.hazard("A13")
async def test_prompts_providers_models_and_hidden_tools_stay_inside(
    site: Site, db: Database
) -> None:
    await add(db, "ink")
    await add(db, "canary-hidden", is_active=False, title="canary-title")
    async with site.browser() as anybody:
        everything = [
            (await anybody.get("/api/tools")).text,
            (await anybody.get("/api/tools/ink")).text,
            (await anybody.get("/api/tools", params={"q": "canary"})).text,
        ]
        hidden = await anybody.get("/api/tools/canary-hidden")
        card = next(item for item in json.loads(everything[0])["items"] if item["slug"] == "ink")
        tool = json.loads(everything[1])
    assert hidden.status_code == 404
    for secret in (*SECRETS, "canary"):
        assert all(secret not in answer for answer in everything), secret
    shown = {"slug", "title", "description", "type", "features", "thumbnail", "isFeatured", "steps"}
    shown |= {"usageCount"}
    assert set(card) == shown | {"ratingAverage", "ratingCount", "createdAt"}
    assert set(tool) == shown | {"rating"}
    step = {"id", "title", "action", "priceCredits", "follows"}
    assert set(card["steps"][0]) == step
    assert set(tool["steps"][0]) == step | {"input", "choices"}


async def test_a_step_tells_its_price_its_input_and_the_choices_people_have(
    site: Site, db: Database
) -> None:
    await add(db, "ink")
    async with site.browser() as anybody:
        first, second = (await anybody.get("/api/tools/ink")).json()["steps"]
    assert (first["priceCredits"], second["priceCredits"]) == (21, 31)
    assert (first["follows"], second["follows"]) == (None, "image-gen")
    assert first["choices"] == {
        "style": [
            {"slug": "ink", "name": "Ink", "imageUrl": f"/media/{PICTURE}"},
            {"slug": "wet", "name": "Watercolour", "imageUrl": None},
        ]
    }
    assert first["input"]["properties"]["image"]["x-upload-route"] == "tool-input"


async def test_the_list_is_paged_filtered_and_refuses_what_it_does_not_know(
    site: Site, db: Database
) -> None:
    for number in range(5):
        await add(db, f"ink-{number}", title=f"50% ink {number}")
    async with site.browser() as anybody:
        seen: list[str] = []
        last: Any = None
        cursor: Any = None
        for _ in range(3):
            given = {"q": "ink", "sort": "newest", "limit": "2"}
            given |= {"cursor": cursor} if cursor else {}
            page = (await anybody.get("/api/tools", params=given)).json()
            seen += [item["slug"] for item in page["items"]]
            last, cursor = cursor, page["nextCursor"]
        assert seen == [f"ink-{number}" for number in (4, 3, 2, 1, 0)]
        assert cursor is None
        of_type = (await anybody.get("/api/tools", params={"type": "photo"})).json()["items"]
        assert {item["type"] for item in of_type} == {"photo"}
        assert len((await anybody.get("/api/tools", params={"q": "50%"})).json()["items"]) == 5
        assert (await anybody.get("/api/tools", params={"q": "_"})).json()["items"] == []
        for wrong in (
            *({"limit": "0"}, {"limit": "101"}, {"cursor": "x"}, {"cursor": "WyJhIl0"}),
            *(
                {"type": "no"},
                {"sort": "no"},
                {"q": "a" * 101},
                {"sort": "popular", "cursor": last},
            ),
        ):
            assert (await anybody.get("/api/tools", params=wrong)).status_code == 422, wrong
        assert (await anybody.get("/api/tools/no-such-tool")).status_code == 404


async def test_an_answer_is_in_the_language_it_is_asked_in(site: Site, db: Database) -> None:
    await add(db, "ink")
    async with db.transaction() as s:
        await s.execute(
            text("UPDATE tools SET translations = CAST(:words AS jsonb) WHERE slug = 'ink'"),
            {"words": json.dumps({"de": {"title": "Tinte"}})},
        )
    async with site.browser() as anybody:
        for path in ("/api/tools/ink", "/api/tools"):
            for asked, title in (("de", "Tinte"), ("fr", "Ink"), ("xx", "Ink")):
                answer = (await anybody.get(path, params={"locale": asked, "q": "tinte"})).json()
                assert answer.get("items", [answer])[0]["title"] == title
        for asked, names in (("de", ["Ink", "Aquarell"]), ("en", ["Ink", "Watercolour"])):
            tool = (await anybody.get("/api/tools/ink", params={"locale": asked})).json()
            styles = tool["steps"][0]["choices"]["style"]
            assert [style["name"] for style in styles] == names
