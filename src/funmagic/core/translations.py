"""Words of database rows in other languages: ``{"de": {"title": "…"}}`` beside the English ones."""

from __future__ import annotations

from collections.abc import Mapping

from funmagic.core.i18n import translate

Translations = dict[str, dict[str, str]]


def text_in(
    translations: Mapping[str, Mapping[str, str]], locale: str, field: str, english: str
) -> str:
    """A field's text in ``locale``.

    Where the row has none, it is said as the catalogs say the same English, and else in English.
    """
    return translations.get(locale, {}).get(field) or translate(locale, english)
