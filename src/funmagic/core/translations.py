"""Words of database rows in other languages: ``{"de": {"title": "…"}}`` beside the English ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from funmagic.core.errors import Invalid
from funmagic.core.i18n import DEFAULT_LOCALE, LOCALES, N_, translate

Translations = dict[str, dict[str, str]]

UNKNOWN_LOCALE = N_("There is no such language.")
UNKNOWN_FIELD = N_("This is not translated.")
TOO_LONG = N_("This text is too long.")


def text_in(
    translations: Mapping[str, Mapping[str, str]], locale: str, field: str, english: str
) -> str:
    """A field's text in ``locale``.

    Where the row has none, it is said as the catalogs say the same English, and else in English.
    """
    return translations.get(locale, {}).get(field) or translate(locale, english)


def changed(
    stored: Translations,
    given: Mapping[str, Mapping[str, Any] | None],
    max_chars: Mapping[str, int],
) -> Translations:
    """What is stored with each given language in place of what it said: trimmed, without empty
    texts.

    A language that is given as None or without a text is removed, one that is not given stays.
    ``max_chars`` names the fields there are. Raises :class:`Invalid` with each wrong place:
    ``translations.de.title``.
    """
    merged = {locale: texts for locale, texts in stored.items() if locale not in given}
    wrong: dict[str, str] = {}
    for locale, texts in given.items():
        if locale not in LOCALES or locale == DEFAULT_LOCALE:
            wrong[f"translations.{locale}"] = UNKNOWN_LOCALE
            continue
        for field, text in (texts or {}).items():
            if field not in max_chars:
                wrong[f"translations.{locale}.{field}"] = UNKNOWN_FIELD
            elif len(text) > max_chars[field]:
                wrong[f"translations.{locale}.{field}"] = TOO_LONG
            elif text.strip():
                merged.setdefault(locale, {})[field] = text.strip()
    if wrong:
        raise Invalid(fields=wrong)
    return merged
