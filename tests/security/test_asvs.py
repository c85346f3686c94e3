"""The security page leaves nothing out and names no test that is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text()
ROW = re.compile(r"^\| (\d+\.\d+\.\d+)( \(L2\))? \| (.+) \| (.+) \| (.*?) ?\|$", re.MULTILINE)
STATES = ("**holds**", "**partly**", "**not yet**", "**operator**", "**n/a**")
TEST = re.compile(r"`(tests/\S+?)`")

# Numbers of ASVS 5.0.0: all of level 1, and of level 2 what concerns sign-in, sessions and money.
LEVEL_1 = {
    "1.2": 5, "1.3": 2, "1.5": 1, "2.1": 1, "2.2": 2, "2.3": 1, "3.2": 2, "3.3": 1, "3.4": 2,
    "3.5": 3, "4.1": 1, "4.4": 1, "5.2": 2, "5.3": 2, "6.1": 1, "6.2": 8, "6.3": 2, "6.4": 2,
    "7.2": 4, "7.4": 2, "8.1": 1, "8.2": 2, "8.3": 1, "9.1": 3, "9.2": 1, "10.4": 5, "11.3": 2,
    "11.4": 1, "12.1": 1, "12.2": 2, "13.4": 1, "14.2": 1, "14.3": 1, "15.1": 1, "15.2": 1,
    "15.3": 1,
}  # fmt: skip
LEVEL_2 = {
    *(f"2.{number}" for number in ("1.2", "1.3", "2.3", "3.2", "3.3", "3.4", "4.1")),
    *(f"6.{number}" for number in ("1.2", "1.3", "2.9", "2.10", "2.11", "2.12", "3.3", "3.4")),
    *(f"6.{number}" for number in ("4.3", "4.4", "5.1", "5.2", "5.3", "5.4", "5.5", "6.1", "6.2")),
    *(f"6.{number}" for number in ("6.3", "8.1", "8.2", "8.3", "8.4")),
    *(f"7.{number}" for number in ("1.1", "1.2", "1.3", "3.1", "3.2", "4.3", "4.4", "4.5", "5.1")),
    *("7.5.2", "7.6.1", "7.6.2", "8.1.2", "8.2.3", "8.4.1"),
}


def test_every_requirement_has_its_line_and_says_how_it_stands() -> None:
    rows = {number: (bool(level), stands) for number, level, _, stands, _ in ROW.findall(PAGE)}
    level_1 = {f"{part}.{n}" for part, count in LEVEL_1.items() for n in range(1, count + 1)}
    assert len(level_1) == 70
    assert not level_1 - set(rows)
    assert not LEVEL_2 - set(rows)
    for number, (is_of_level_2, stands) in rows.items():
        assert is_of_level_2 is (number not in level_1), number
        assert any(state in stands for state in STATES), number


def test_what_holds_names_its_test_and_what_does_not_says_what_is_missing() -> None:
    for number, _, _, stands, shown in ROW.findall(PAGE):
        if stands.startswith("**holds**"):
            is_a_matter_of_words = stands in {"**holds**: above", "**holds**: there are none"}
            assert TEST.search(shown) or is_a_matter_of_words, number
        else:
            assert len(stands) > len("**not yet**") + 5, number


def test_every_test_named_is_there() -> None:
    named = set(TEST.findall(PAGE))
    assert {path for path in named if not (ROOT / path).is_file()} == set()
