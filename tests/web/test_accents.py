"""Every accent colour in light and in dark: its words can be read, its outlines be seen."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from funmagic.accounts.preferences import ACCENTS

STYLES = Path(__file__).parents[2] / "frontend" / "src" / "styles"
BLOCK = re.compile(r"^([^\n{}@]+) \{\n((?:  --[^\n]+\n)+)\}", re.MULTILINE)
TOKEN = re.compile(r"--([a-z-]+): (?:oklch\(([\d.]+) ([\d.]+) ([\d.]+)\)|var\(--([a-z-]+)\));")
# WCAG 2.2: 1.4.3 for words, 1.4.11 for what is drawn.
WORDS, SHAPES = 4.5, 3.0
PAIRS = [
    ("primary-foreground", "primary", WORDS),
    *(
        ("brand", surface, WORDS)
        for surface in ("background", "card", "popover", "muted", "accent")
    ),
    ("accent-foreground", "accent", WORDS),
    ("muted-foreground", "accent", WORDS),
    *(("ring", surface, SHAPES) for surface in ("background", "card", "popover")),
    *(("primary", surface, SHAPES) for surface in ("background", "card")),
]

Colour = tuple[float, float, float]


@pytest.mark.parametrize("accent", ACCENTS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_accent_can_be_read(scheme: str, accent: str) -> None:
    colours = _colours(scheme, accent)
    weak = {
        f"{front} on {back}": round(ratio, 2)
        for front, back, least in PAIRS
        if (ratio := _contrast(colours[front], colours[back])) < least
    }
    assert not weak


def test_the_accent_of_a_new_account_is_the_page_without_any() -> None:
    for scheme in ("light", "dark"):
        plain = _colours(scheme, None)
        chosen = _colours(scheme, ACCENTS[0])
        assert {name: chosen[name] for name in plain} == plain


def _colours(scheme: str, accent: str | None) -> dict[str, Colour]:
    """The tokens a page of this look has, by name; later and narrower blocks win, as in CSS."""
    selectors = [":root"]
    selectors += [".dark"] if scheme == "dark" else []
    if accent:
        selectors += [f'[data-accent="{accent}"]']
        selectors += [f':is(.dark, .dark *)[data-accent="{accent}"]'] if scheme == "dark" else []
    text = "".join((STYLES / name).read_text() for name in ("tokens.css", "accents.css"))
    blocks = dict(BLOCK.findall(text))
    found: dict[str, Colour] = {}
    for selector in selectors:
        for name, light, chroma, hue, other in TOKEN.findall(blocks[selector]):
            found[name] = found[other] if other else (float(light), float(chroma), float(hue))
    return found


def _contrast(one: Colour, other: Colour) -> float:
    """The contrast ratio of WCAG 2.2: 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Colour) -> float:
    """Relative luminance of an OKLCH colour, what sRGB cannot show cut off (CSS Color 4, 18.1)."""
    light, chroma, hue = colour
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short
    red, green, blue = (min(1.0, max(0.0, part)) for part in (red, green, blue))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
