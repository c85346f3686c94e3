"""Message ids and their translations.

Messages are English sentences in the source. ``N_`` marks one where it is written,
:func:`translate` and :func:`ntranslate` turn it into words of a locale where it is shown.
The catalogs are the ``.po`` files below ``funmagic/locales``, read once per process; nothing
has to be compiled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.plural import PluralRule

DEFAULT_LOCALE = "en"
CATALOGS_DIR = Path(__file__).parent.parent / "locales"
# In the order the language switch shows them.
LOCALES: tuple[str, ...] = ("en", "zh", "ja", "fr", "es", "pt", "de", "vi", "ko")


def N_(message: str) -> str:
    """Mark an English message id for the catalogs; it is translated where it is shown."""
    return message


def translate(locale: str, message: str, **params: str | int) -> str:
    """``message`` in the words of ``locale``, ``{name}`` placeholders filled from ``params``.

    A message the catalog lacks is shown as it is written, so that a person never sees nothing.
    """
    return _fill(_messages(_known(locale)).singular.get(message, message), params)


def ntranslate(locale: str, singular: str, plural: str, number: int, **params: str | int) -> str:
    """The plural form of ``locale`` for ``number``; ``{number}`` becomes it, in local digits."""
    locale = _known(locale)
    messages = _messages(locale)
    forms = messages.plural.get(singular)
    if forms is None:
        text = singular if number == 1 else plural
    else:
        text = forms[min(messages.form_of(number), len(forms) - 1)]
    return _fill(text, {"number": decimal(number, locale), **params})


@lru_cache(maxsize=4_096)  # a catalog's page has dozens, and mostly the same
def decimal(value: float, locale: str, pattern: str | None = None) -> str:
    """A number as ``locale`` writes it, grouped; ``pattern`` is Unicode's (``#,##0.0``)."""
    return format_decimal(value, pattern, locale=locale)


def negotiate(chosen: str | None, accept_language: str) -> str:
    """The locale to speak: the one ``chosen`` before, else the best of ``Accept-Language``.

    A region's language is the language (``pt-BR``, ``zh-TW``). ``*`` is any language that is not
    refused (``q=0``), English before others.
    """
    if chosen in LOCALES:
        return chosen
    wanted, refused = _by_preference(accept_language)
    for tag in wanted:
        language = tag.split("-")[0]
        if language in LOCALES and language not in refused:
            return language
        if tag == "*":
            return next((known for known in LOCALES if known not in refused), DEFAULT_LOCALE)
    return DEFAULT_LOCALE


@cache
def language_name(locale: str) -> str:
    """The language's name for itself, as a language switch shows it: "English", "中文"."""
    name = Locale.parse(locale).get_display_name(locale) or locale
    return name[:1].upper() + name[1:]


@cache
def browser_messages(locale: str, folder: str = "frontend/") -> Mapping[str, list[str]]:
    """The messages whose source lies below ``folder``, with all their forms, for the browser."""
    found: dict[str, list[str]] = {}
    for message in load_catalog(locale):
        if any(file.startswith(folder) for file, _line in message.locations):
            key, forms = _forms(message.id, message.string)
            found[key] = forms
    return found


@cache
def load_catalog(locale: str) -> Catalog:
    """The catalog of ``locale`` as it is on disk. Raises FileNotFoundError for an unknown one."""
    with (CATALOGS_DIR / f"{locale}.po").open("rb") as file:
        return read_po(file, locale=locale, abort_invalid=True)


@dataclass(frozen=True, slots=True)
class _Messages:
    singular: Mapping[str, str]
    plural: Mapping[str, list[str]]
    rule: PluralRule

    def form_of(self, number: int) -> int:
        """Index into a message's forms; every locale we speak has "one" first or one form only."""
        return 0 if self.rule(number) == "one" else 1


@cache
def _messages(locale: str) -> _Messages:
    singular: dict[str, str] = {}
    plural: dict[str, list[str]] = {}
    for message in load_catalog(locale):
        if not message.id or message.fuzzy:
            continue
        key, forms = _forms(message.id, message.string)
        singular[key] = forms[0]
        if not isinstance(message.id, str):
            plural[key] = forms
    return _Messages(singular, plural, Locale.parse(locale).plural_form)


def _known(locale: str) -> str:
    return locale if locale in LOCALES else DEFAULT_LOCALE


def _forms(message_id: object, string: object) -> tuple[str, list[str]]:
    """Key and forms of a message; an empty translation stands for the English itself."""
    ids = [message_id] if isinstance(message_id, str) else list(_strings(message_id))
    forms = [string] if isinstance(string, str) else list(_strings(string))
    return ids[0], forms if all(forms) and forms else ids


def _strings(value: object) -> Iterable[str]:
    return (str(part) for part in value) if isinstance(value, (tuple, list)) else ()


def _fill(text: str, params: Mapping[str, str | int]) -> str:
    for name, value in params.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def _by_preference(accept_language: str) -> tuple[list[str], set[str]]:
    """Tags of an ``Accept-Language`` header, most wanted first, and those refused by ``q=0``."""
    wanted: list[tuple[float, str]] = []
    refused: set[str] = set()
    for part in accept_language.lower().split(",")[:20]:
        tag, *options = (piece.strip() for piece in part.split(";"))
        quality = next((option[2:] for option in options if option.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            weight = 0.0
        if tag and weight > 0:
            wanted.append((-weight, tag))
        elif tag:
            refused.add(tag)
    return [tag for _, tag in sorted(wanted, key=lambda item: item[0])], refused
