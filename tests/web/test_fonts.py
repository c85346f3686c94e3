"""The parts of the font a page makes a browser fetch."""

from __future__ import annotations

import re

import pytest

from funmagic.locales import __main__ as catalogs

STYLES = catalogs.ROOT / "frontend" / "src" / "styles" / "tokens.css"
FACE = re.compile(
    r"@font-face \{[^}]*?inter-([a-z-]+)\.woff2[^}]*?unicode-range:([^;]+);", re.DOTALL
)


@pytest.fixture(scope="module")
def faces() -> dict[str, list[tuple[int, int]]]:
    """The font's parts in their order, with the characters each is fetched for."""
    found = {}
    for name, ranges in FACE.findall(STYLES.read_text(encoding="utf-8")):
        pairs = (each.strip().removeprefix("U+").split("-") for each in ranges.split(","))
        found[name] = [(int(pair[0], 16), int(pair[-1], 16)) for pair in pairs]
    return found


@pytest.mark.parametrize(
    ("locale", "parts"),
    [
        *((locale, {"latin"}) for locale in ("en", "de", "fr", "es", "pt")),
        ("vi", {"latin", "vietnamese"}),
    ],
)
def test_a_language_fetches_the_smallest_parts_its_letters_lie_in(
    locale: str, parts: set[str], faces: dict[str, list[tuple[int, int]]]
) -> None:
    """Where parts share a character, a browser takes the last one: the small ones are last."""
    assert list(faces)[-1] == "latin"
    words = "".join(str(message.string) for message in catalogs.stored(locale) if message.id)
    used = set()
    for letter in {letter for letter in words if letter.isalpha()}:
        fitting = [
            name
            for name, ranges in faces.items()
            if any(first <= ord(letter) <= last for first, last in ranges)
        ]
        assert fitting, letter
        used.add(fitting[-1])
    assert used == parts
