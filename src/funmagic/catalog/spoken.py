"""What the catalogs of words say of tools that nobody has translated, written down to be found."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.catalog.models import Tool
from funmagic.core.i18n import DEFAULT_LOCALE, LOCALES, translate
from funmagic.core.translations import Translations
from funmagic.jobs import editions

# What of a tool there is in other languages, and how long it may be.
TRANSLATED: Final = {"title": 100, "description": 2000}
BATCH: Final = 500
UNTRANSLATED: Final = text("tools.translations = '{}'")


async def write_down(s: AsyncSession) -> None:
    """Give tools without translations those of their English words. Safe to repeat.

    Pages show these words in any case; a search finds only what the rows hold.
    """
    columns = (Tool.id, Tool.title, Tool.description)
    query = select(*columns).where(UNTRANSLATED).order_by(Tool.id).limit(BATCH)
    for tool_id, title, description in (await s.execute(query)).all():
        if words := spoken(title, description):
            same = {"translations": words, "updated_at": Tool.updated_at}  # no admin changed it
            await s.execute(update(Tool).where(Tool.id == tool_id, UNTRANSLATED).values(**same))
            await editions.bump(s)


def spoken(title: str, description: str) -> Translations:
    """A tool's words in every language that has others for the English ones."""
    known: Translations = {}
    for locale in LOCALES:
        for field, english in (("title", title), ("description", description)):
            words = translate(locale, english)
            if locale != DEFAULT_LOCALE and words != english:
                known.setdefault(locale, {})[field] = words
    return known
