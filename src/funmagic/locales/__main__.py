"""Bring the catalogs up to date with the sources, in a checkout: ``python -m funmagic.locales``.

Locales can be named (``python -m funmagic.locales de fr``); without, all are brought up to date.

Messages come from Python (``N_``), templates (``_``, ``ngettext``, ``trans``) and the browser's
TypeScript (``t``, ``tn``). Translations stay, messages no source has any more go, new ones wait
empty; then every message without a translation is named and the exit status is 1.
"""

from __future__ import annotations

import copy
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from funmagic.core.i18n import CATALOGS_DIR, DEFAULT_LOCALE, LOCALES

ROOT = Path(__file__).parents[3]
Keywords = dict[str, tuple[int, int] | None]
PYTHON_KEYWORDS: Keywords = {"N_": None, "ntranslate": (2, 3)}
BROWSER_KEYWORDS: Keywords = {"t": None, "tn": (1, 2)}
TEMPLATE_KEYWORDS: Keywords = {"_": None, "ngettext": (1, 2)}
HEADER = "# Translations of FunMagic."
# Babel's table has the plural of Portugal; Unicode's (CLDR) counts 0 with 1, as Brazil does.
PLURAL_FORMS = {"pt": "nplurals=2; plural=(n > 1);"}


def sources() -> Iterator[tuple[Path, str, Keywords]]:
    """Every file that may hold messages, with the method and keywords to read it by."""
    package = ROOT / "src" / "funmagic"
    for path in sorted(package.rglob("*.py")):
        yield path, "python", PYTHON_KEYWORDS
    for suffix in ("*.html", "*.txt"):
        for path in sorted(package.rglob(f"templates/**/{suffix}")):
            yield path, "jinja2.ext:babel_extract", TEMPLATE_KEYWORDS
    for path in sorted(package.glob("tools/*/*.html")):
        yield path, "jinja2.ext:babel_extract", TEMPLATE_KEYWORDS
    for path in sorted((ROOT / "frontend" / "src").rglob("*.ts")):
        yield path, "javascript", BROWSER_KEYWORDS


def extract() -> Catalog:
    """All messages of all sources; locations are files without line numbers."""
    catalog = Catalog(project="FunMagic", charset="utf-8")
    for path, method, keywords in sources():
        name = path.relative_to(ROOT).as_posix()
        options = {"silent": "false", "extensions": "jinja2.ext.i18n"}
        for _line, message, _comments, _context in extract_from_file(
            method,
            path,
            keywords=keywords,
            options=options if "jinja2" in method else {},
        ):
            if message:
                known = catalog.get(message)
                catalog.add(
                    message,
                    locations=[] if known and _has(known, name) else [(name, 0)],
                )
    return catalog


def updated(locale: str, template: Catalog) -> Catalog:
    """The stored catalog of ``locale`` with exactly the template's messages, none guessed."""
    catalog = stored(locale)
    catalog.update(copy.deepcopy(template), no_fuzzy_matching=True)
    catalog.header_comment, catalog.fuzzy = HEADER, False
    catalog.obsolete.clear()
    if locale == DEFAULT_LOCALE:
        for message in catalog:
            if message.id and not _is_translated(message.string):
                message.string = message.id
    return catalog


def stored(locale: str) -> Catalog:
    """The catalog on disk, or an empty one for a new locale."""
    path = CATALOGS_DIR / f"{locale}.po"
    if not path.exists():
        catalog = Catalog(locale=locale, project="FunMagic", charset="utf-8")
        if locale in PLURAL_FORMS:
            catalog.mime_headers = [("Plural-Forms", PLURAL_FORMS[locale])]
        return catalog
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def as_text(catalog: Catalog) -> str:
    """The catalog as its file's text: no dates, no line numbers, so that changes stay small."""
    buffer = io.BytesIO()
    write_po(
        buffer,
        catalog,
        width=100,
        omit_header=False,
        sort_by_file=True,
        include_lineno=False,
    )
    lines = buffer.getvalue().decode().splitlines()
    volatile = (
        '"POT-Creation-Date',
        '"Report-Msgid',
        '"Language-Team',
        '"PO-Revision-Date',
        '"Last-Translator',
        '"Generated-By',
    )
    return "\n".join(line for line in lines if not line.startswith(volatile)) + "\n"


def untranslated(catalog: Catalog) -> list[str]:
    """Message ids without a usable translation: missing, fuzzy, or with a plural form left out."""
    return [
        message.id if isinstance(message.id, str) else message.id[0]
        for message in catalog
        if message.id and (message.fuzzy or not _is_translated(message.string))
    ]


def _is_translated(string: object) -> bool:
    if isinstance(string, (tuple, list)):
        return bool(string) and all(string)
    return bool(string)


def _has(message: object, name: str) -> bool:
    return any(file == name for file, _ in getattr(message, "locations", []))


def main(*locales: str) -> int:
    template = extract()
    missing = 0
    for locale in locales or LOCALES:
        catalog = updated(locale, template)
        (CATALOGS_DIR / f"{locale}.po").write_text(as_text(catalog), encoding="utf-8")
        for message in untranslated(catalog):
            missing += 1
            print(f"{locale}: not translated: {message!r}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
