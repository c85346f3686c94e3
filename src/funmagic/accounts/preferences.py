"""How a person wants the product to look."""

from __future__ import annotations

from typing import Final

THEMES: Final = ("system", "light", "dark")
ACCENTS: Final = ("violet", "blue", "green", "orange", "rose", "graphite")
