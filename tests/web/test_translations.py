"""Every message is translated, none is left over, and what people read is filled in right."""

from __future__ import annotations

import gettext
import re
from datetime import date, timedelta

import pytest
from babel import Locale

from funmagic.core import formats
from funmagic.core.clock import now
from funmagic.core.i18n import (
    LOCALES,
    browser_messages,
    language_name,
    negotiate,
    ntranslate,
    translate,
)
from funmagic.core.translations import text_in
from funmagic.locales import __main__ as catalogs

PLACEHOLDER = re.compile(r"\{\w+\}")


@pytest.fixture(scope="module")
def wanted() -> set[str]:
    """The message ids of all sources."""
    return {_key(message.id) for message in catalogs.extract() if message.id}


@pytest.mark.parametrize("locale", LOCALES)
def test_the_catalog_has_exactly_the_messages_of_the_sources(locale: str, wanted: set[str]) -> None:
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
        wanted = sorted(PLACEHOLDER.findall(_key(message.id)))
        for form in forms:
            assert sorted(PLACEHOLDER.findall(str(form))) == wanted, form


@pytest.mark.parametrize("locale", LOCALES)
def test_a_catalog_counts_as_unicode_does(locale: str) -> None:
    """The header says by gettext's means which form a number takes, Unicode's rules by theirs."""
    catalog, rule = catalogs.stored(locale), Locale.parse(locale).plural_form
    index = gettext.c2py(catalog.plural_expr)
    for number in (*range(120), 1_000, 10_001):
        ours = 0 if catalog.num_plurals == 1 or rule(number) == "one" else 1
        assert index(number) == ours, number
    for message in catalog:
        if not isinstance(message.id, str):
            assert len(message.string or ()) == catalog.num_plurals, message.id


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
        ("klingon", "", "en"),
        (None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, "zh-TW", "zh"),
        (None, "PT-br, en;q=0.5", "pt"),
        (None, "it-IT,it;q=0.9,en;q=0.5,de ; q=0.7", "de"),
        (None, "it", "en"),
        (None, "zh;q=0, en;q=nonsense", "en"),
        (None, "ja;q=0.2, ko;q=0.8, vi;q=0.5", "ko"),
        (None, "it, *;q=0.1", "en"),
        (None, "en;q=0, *", "zh"),
        (None, "fr;q=0, fr-CA, es;q=0.3", "es"),
        (None, "*;q=0", "en"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_best_understood(
    chosen: str | None, accept: str, spoken: str
) -> None:
    assert negotiate(chosen, accept) == spoken


def test_a_stored_text_is_said_by_its_own_words_else_by_the_catalogs_else_in_english() -> None:
    own = {"zh": {"title": "我的"}}
    assert text_in(own, "zh", "title", "Sign in") == "我的"
    assert text_in(own, "zh", "description", "Sign in") == translate("zh", "Sign in")
    assert text_in(own, "de", "description", "My own words") == "My own words"


@pytest.mark.parametrize(
    ("locale", "number", "day"),
    [
        ("en", "1,234.5", "November 23, 2026"),
        ("zh", "1,234.5", "2026年11月23日"),
        ("ja", "1,234.5", "2026年11月23日"),
        ("fr", "1\u202f234,5", "23 novembre 2026"),
        ("es", "1.234,5", "23 de noviembre de 2026"),
        ("pt", "1.234,5", "23 de novembro de 2026"),
        ("de", "1.234,5", "23. November 2026"),
        ("vi", "1.234,5", "23 tháng 11, 2026"),
        ("ko", "1,234.5", "2026년 11월 23일"),
    ],
)
def test_numbers_and_days_are_written_as_the_language_does(
    locale: str, number: str, day: str
) -> None:
    assert formats.number(1234.5, locale) == number
    assert formats.day(date(2026, 11, 23), locale) == day


def test_a_span_is_told_in_its_largest_unit_and_a_number_with_the_decimals_asked_for() -> None:
    assert formats.ago(now() - timedelta(days=3, hours=1), "de") == "vor 3 Tagen"
    assert formats.ago(now() - timedelta(days=3, hours=1), "fr") == "il y a 3 jours"
    assert formats.number(4, "es", 1) == "4,0"
    assert formats.number(1234.5, "de", 0) == "1.234"


def test_the_browser_gets_the_messages_of_its_scripts_with_all_forms() -> None:
    words = browser_messages("zh")
    assert words["You were not charged."] == ["未扣除积分。"]
    assert browser_messages("en")["{action} ({number} credit)"] == [
        "{action} ({number} credit)",
        "{action} ({number} credits)",
    ]
    assert "Page not found" not in words


def test_languages_are_called_by_their_own_names() -> None:
    assert [language_name(locale) for locale in LOCALES] == [
        "English",
        "中文",
        "日本語",
        "Français",
        "Español",
        "Português",
        "Deutsch",
        "Tiếng Việt",
        "한국어",
    ]


def _key(message_id: object) -> str:
    return message_id if isinstance(message_id, str) else str(next(iter(message_id)))  # type: ignore[call-overload]
