"""Ids sort by the time they were made, and are version 7."""

from __future__ import annotations

import time

from funmagic.core.ids import new_id


def test_ids_grow_however_fast_they_are_made() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_carry_the_time_and_the_version() -> None:
    before_ms = time.time_ns() // 1_000_000
    made = new_id()
    after_ms = time.time_ns() // 1_000_000
    assert before_ms <= made.int >> 80 <= after_ms + 10
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
