"""Words find tools, in any language and mistyped too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from tests.catalog.conftest import Put, slugs

from funmagic.catalog import service, shelf, spoken
from funmagic.catalog.shelf import CatalogQuery
from funmagic.core.db import Database
from funmagic.core.i18n import LOCALES

Ask = Callable[..., Awaitable[list[str]]]

WORDS = {
    "zh": {"title": "移除背景", "description": "从照片中取出主体。"},
    "ja": {"title": "背景リムーバー", "description": "写真から被写体を切り抜きます。"},
    "ko": {"title": "배경 지우기", "description": "사진에서 피사체를 오려냅니다."},
    "vi": {"title": "Xóa phông nền", "description": "Tách chủ thể khỏi ảnh, đẹp và nhanh."},
    "fr": {"title": "Détourage", "description": "Découpe le sujet d'une photo."},
}


@pytest.fixture
async def ask(put: Put, db: Database) -> Ask:
    """What a search finds, in its order, on a shelf of four."""
    about = "Cuts the subject out of a photo."
    await put("cut", "Background remover", description=about, usage_count=5, translations=WORDS)
    await put("paint", "Portrait painter", description="Oil on canvas. 50% paint.", usage_count=3)
    await put("blur", "Soft focus", description="Blurs the background.", usage_count=900)
    await put("figure", "Figurine", description="A photo becomes a 3D model.", type="3d")

    async def asked(q: str, **more: Any) -> list[str]:
        async with db.transaction() as s:
            return slugs((await shelf.page(s, CatalogQuery(q=q, **more))).cards)

    return asked


FINDS: list[tuple[str, list[str]]] = [
    ("background", ["cut", "blur"]),  # its title has it, though the other is used far more
    ("  BACKground ", ["cut", "blur"]),
    ("back", ["cut", "blur"]),
    ("remover background", ["cut"]),
    ("remover photo", ["cut"]),  # a word of the title, a word of the description
    ("photo", ["cut", "figure"]),
    ("50%", ["paint"]),
    ("3d", ["figure"]),
    # other languages: without spaces, with and without their accents, composed or not
    ("背景", ["cut"]),
    ("移除", ["cut"]),
    ("除", ["cut"]),
    ("リムーバー", ["cut"]),
    ("写真", ["cut"]),
    ("배경", ["cut"]),
    ("지우기", ["cut"]),
    ("xoa phong", ["cut"]),
    ("XÓA PHÔNG NỀN", ["cut"]),
    ("dep", ["cut"]),
    ("detourage", ["cut"]),
    ("decoupe sujet", ["cut"]),
    ("tach chu the", ["cut"]),
    ("De\u0301tourage", ["cut"]),
    ("ｂａｃｋｇｒｏｕｎｄ", ["cut", "blur"]),  # full width
    # mistyped
    ("backgroud", ["cut"]),
    ("remoev", ["cut"]),
    ("figurin", ["figure"]),
    ("portriat panter", ["paint"]),
    ("remove the background please", ["cut"]),  # a word too many
    # nothing like it
    ("spreadsheet", []),
    ("猫", []),
    # signs that mean something to those who search, or to a database
    ("_", []),
    ("%", []),
    ("' & ! | \\ :* ( <-> \"", []),
    ("back' | 'subject", ["cut"]),
    ("a" * 10_000, []),
]


async def test_words_find_what_they_mean(ask: Ask) -> None:
    for q, expected in FINDS:
        assert await ask(q) == expected, q


# What people call what the first of all tools takes away.
BACKGROUND = {
    "en": ("background",),
    "zh": ("背景",),
    "ja": ("背景",),
    "fr": ("arriere-plan", "arrière plan", "fond", "détourage"),
    "es": ("fondo", "quitar fondo", "quitar el fondo"),
    "pt": ("fundo",),
    "de": ("hintergrund",),
    "vi": ("xoa nen",),
    "ko": ("배경",),
}


async def test_a_seeded_tool_is_found_by_its_name_in_every_language(db: Database) -> None:
    async with db.transaction() as s:
        await spoken.write_down(s)
        await s.execute(text("UPDATE tools SET usage_count = 1 WHERE slug = 'background-remove'"))
    async with db.transaction() as s:
        tool = await service.tool_by_slug(s, "background-remove")
        for locale in LOCALES:
            for words in (tool.title_in(locale), *BACKGROUND[locale]):
                (first, *_) = (await shelf.page(s, CatalogQuery(q=words))).cards
                assert first.slug == "background-remove", words


async def test_a_search_keeps_to_its_kind_and_to_what_is_offered(
    ask: Ask, put: Put, db: Database
) -> None:
    assert await ask("photo", type="3d") == ["figure"]
    assert await ask("backgroud", type="3d") == []
    await put("hidden", "Background wizard")
    async with db.transaction() as s:
        await s.execute(text("UPDATE tools SET is_active = false WHERE slug = 'hidden'"))
    assert await ask("background") == ["cut", "blur"]


async def test_a_search_is_paged_through_both_of_its_parts(put: Put, db: Database) -> None:
    for number in range(3):
        await put(f"title-{number}", f"Night {number}", usage_count=number)
        await put(f"text-{number}", description="For the night.", usage_count=50 + number)
    expected = [f"{part}-{number}" for part in ("title", "text") for number in (2, 1, 0)]
    async with db.transaction() as s:
        for limit in (1, 2, 3, 4, 6):
            seen: list[str] = []
            cursor: str | None = None
            while cursor is not None or not seen:
                page = await shelf.page(s, CatalogQuery(q="night", cursor=cursor, limit=limit))
                assert page.cards, "no empty page at the end"
                seen += slugs(page.cards)
                cursor = page.next_cursor
            assert seen == expected, limit
