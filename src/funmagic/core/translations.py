"""Words of database rows in other languages: ``{"de": {"title": "…"}}`` beside the English ones."""

from __future__ import annotations

from collections.abc import Mapping

Translations = dict[str, dict[str, str]]


def text_in(
    translations: Mapping[str, Mapping[str, str]], locale: str, field: str, english: str
) -> str:
    """A field's text in ``locale``; the English one where there is none."""
    return translations.get(locale, {}).get(field) or english
