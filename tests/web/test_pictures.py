"""Pictures of the shop window are as small as the place they are shown in."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from tests.conftest import Site

from funmagic.toolkit import discovery
from funmagic.web.pictures import ShopPicture, banner_picture, demo_for, picture_for
from funmagic.web.static import front_end

MOST_BYTES = 60_000
# A card's box in CSS pixels: on a phone of 360, at 1280, and at its widest.
BOXES_PX = (166, 264, 306)
ENTRY = re.compile(r"/static/(\S+) (\d+)w")


def candidates(picture: ShopPicture) -> list[dict[int, bytes]]:
    """What each format offers: files by the width they say they have."""
    return [
        {int(width): front_end().files[name].plain for name, width in ENTRY.findall(source.srcset)}
        for source in picture.sources
    ]


@pytest.mark.hazard("P5")
@pytest.mark.parametrize("key", [tool.key for tool in discovery.all_tools()])
@pytest.mark.parametrize("density", [1, 2])
@pytest.mark.parametrize("box_px", BOXES_PX)
def test_a_card_loads_a_thumbnail(key: str, density: int, box_px: int) -> None:
    picture = picture_for(key, None)
    assert picture is not None
    formats = candidates(picture)
    assert len(formats) == 2
    for files in formats:
        # a browser takes the smallest that fills the box, or the largest there is
        width = min((w for w in files if w >= box_px * density), default=max(files))
        assert width <= 2 * box_px * density
        assert len(files[width]) <= MOST_BYTES


@pytest.mark.hazard("P5")
async def test_the_catalog_names_no_picture_but_thumbnails(site: Site) -> None:
    async with site.browser() as browser:
        text = (await browser.get("/en/tools")).text
    pictures = re.findall(r'class="tool-card-picture">\s*<picture.*?</picture>', text, re.DOTALL)
    assert len(pictures) >= 8
    for picture in pictures:
        names = [name for name, _ in ENTRY.findall(picture)]
        assert len(names) == 4
        assert 'loading="lazy"' in picture or 'fetchpriority="high"' in picture
        for name in names:
            assert len(front_end().files[name].plain) <= MOST_BYTES


def test_every_built_picture_is_as_wide_as_it_says() -> None:
    shown = [picture_for(tool.key, None) for tool in discovery.all_tools()]
    shown += [banner_picture(name) for name in ("studio", "painted", "stickers", "shaped")]
    examples = [demo_for(tool.key) for tool in discovery.all_tools()]
    assert None not in examples
    shown += [part for example in examples for part in example or ()]
    for picture in shown:
        assert picture is not None
        for files in candidates(picture):
            assert files
            for width, content in files.items():
                with Image.open(io.BytesIO(content)) as opened:
                    assert opened.width == width
        assert picture.url.removeprefix("/static/") in front_end().files


def test_an_unknown_picture_is_none() -> None:
    assert picture_for("no-such-tool", None) is None
    assert banner_picture("no-such-banner") is None
    assert banner_picture(None) is None
    assert demo_for("no-such-tool") is None
