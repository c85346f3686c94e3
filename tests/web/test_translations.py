"""Every message is translated, none is left over, and what people read is filled in right."""

from __future__ import annotations

import re

import pytest

from funmagic.core.i18n import (
    LOCALES,
    browser_messages,
    language_name,
    negotiate,
    ntranslate,
    translate,
)
from funmagic.locales import __main__ as catalogs

PLACEHOLDER = re.compile(r"\{\w+\}")


@pytest.mark.parametrize("locale", LOCALES)
def test_the_catalog_has_exactly_the_messages_of_the_sources(locale: str) -> None:
    wanted = {_key(message.id) for message in catalogs.extract() if message.id}
    stored = {_key(message.id) for message in catalogs.stored(locale) if message.id}
    assert wanted - stored == set(), "run: python -m funmagic.locales"
    assert stored - wanted == set(), "no source has these any more: python -m funmagic.locales"


@pytest.mark.parametrize("locale", LOCALES)
def test_every_message_is_translated_and_none_is_fuzzy(locale: str) -> None:
    assert catalogs.untranslated(catalogs.stored(locale)) == []
    assert not catalogs.stored(locale).obsolete


@pytest.mark.parametrize("locale", LOCALES)
def test_translations_keep_their_placeholders(locale: str) -> None:
    for message in catalogs.stored(locale):
        if not message.id:
            continue
        forms = [message.string] if isinstance(message.string, str) else list(message.string or ())
        wanted = set(PLACEHOLDER.findall(_key(message.id)))
        for form in forms:
            assert set(PLACEHOLDER.findall(str(form))) == wanted, form


def test_plural_forms_follow_the_language() -> None:
    forms = ("{number} credit", "{number} credits")
    assert ntranslate("en", *forms, 1) == "1 credit"
    assert ntranslate("en", *forms, 1234) == "1,234 credits"
    assert ntranslate("zh", *forms, 1) == "1 积分"
    assert ntranslate("zh", *forms, 5) == "5 积分"


def test_a_placeholder_is_filled_and_an_unknown_message_is_shown_as_it_is() -> None:
    assert translate("en", "The limit is {limit} MB.", limit=20) == "The limit is 20 MB."
    assert translate("zh", "Nobody translated this") == "Nobody translated this"
    assert translate("xx", "Sign in") == "Sign in"


@pytest.mark.parametrize(
    ("chosen", "accept", "spoken"),
    [
        ("zh", "en", "zh"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "fr-FR,fr;q=0.9,en;q=0.5,zh;q=0.7", "zh"),
        (None, "fr", "en"),
        ("klingon", "", "en"),
        (None, "zh;q=0, en;q=nonsense", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_best_understood(
    chosen: str | None, accept: str, spoken: str
) -> None:
    assert negotiate(chosen, accept) == spoken


def test_the_browser_gets_the_messages_of_its_scripts_with_all_forms() -> None:
    words = browser_messages("zh")
    assert words["You were not charged."] == ["未扣除积分。"]
    assert browser_messages("en")["{action} ({number} credit)"] == [
        "{action} ({number} credit)",
        "{action} ({number} credits)",
    ]
    assert "Page not found" not in words


def test_languages_are_called_by_their_own_names() -> None:
    assert [language_name(locale) for locale in LOCALES] == ["English", "中文"]


def _key(message_id: object) -> str:
    return message_id if isinstance(message_id, str) else str(next(iter(message_id)))  # type: ignore[call-overload]
