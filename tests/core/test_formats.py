"""Sums of money as people of a locale write them."""

from __future__ import annotations

import pytest

from funmagic.core.formats import dollars


@pytest.mark.parametrize(
    ("micros", "english", "german"),
    [
        (0, "$0.00", "0,00 $"),
        (1, "$0.0001", "0,0001 $"),  # what has cost something never looks free
        (4_200, "$0.0042", "0,0042 $"),
        (42_000, "$0.042", "0,042 $"),
        (500_000, "$0.50", "0,50 $"),
        (999_999, "$1.00", "1,00 $"),
        (1_004_900, "$1.00", "1,00 $"),
        (1_234_500_000, "$1,234.50", "1.234,50 $"),
    ],
)
def test_dollars(micros: int, english: str, german: str) -> None:
    assert dollars(micros, "en") == english
    assert dollars(micros, "de").replace("\u00a0", " ") == german
