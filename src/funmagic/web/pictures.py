"""Pictures of the shop window, each in the sizes and formats a page may ask for."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID

from funmagic.assets import media
from funmagic.web.static import front_end

# What a build has of each picture.
WIDTHS_PX: Final = (320, 640, 1024)
# Width to height as they are drawn into; a browser keeps the place until the picture is there.
CARD_PX: Final = (640, 480)
BANNER_PX: Final = (1024, 768)
CHOICE_PX: Final = (media.CHOICE_WIDTH_PX, media.CHOICE_WIDTH_PX)


@dataclass(frozen=True, slots=True)
class Source:
    """One format: its media type, and its addresses by width as ``srcset`` has them."""

    type: str
    srcset: str


@dataclass(frozen=True, slots=True)
class ShopPicture:
    """A picture with its size in pixels; ``url`` is for browsers that take none of ``sources``.

    ``is_fitted`` where the size is that of its place, and the file itself may have another.
    """

    url: str
    width: int
    height: int
    sources: tuple[Source, ...] = ()
    is_fitted: bool = False


def picture_for(implementation: str, thumbnail: str | None) -> ShopPicture | None:
    """A tool's picture: what an admin chose, else the one its plug-in comes with."""
    if thumbnail:
        return _uploaded(thumbnail, *CARD_PX)
    return _built_in(f"tools/{implementation}")


def banner_picture(picture: str | None) -> ShopPicture | None:
    """A banner's picture: an admin's by its id, or a built-in one by its name."""
    if not picture:
        return None
    with suppress(ValueError):
        return _uploaded(UUID(picture), *BANNER_PX)
    return _built_in(f"banners/{picture}")


def choice_picture(picture: UUID | None) -> ShopPicture | None:
    """What shows one of a step's choices: small wherever it stands."""
    return _uploaded(picture, *CHOICE_PX, (media.CHOICE_WIDTH_PX,)) if picture else None


def demo_for(implementation: str) -> tuple[ShopPicture, ShopPicture] | None:
    """What a tool makes of an example: before and after."""
    before = _built_in(f"demo/{implementation}-before")
    after = _built_in(f"demo/{implementation}-after")
    return (before, after) if before and after else None


def _uploaded(
    asset_id: UUID | str, width: int, height: int, widths_px: Sequence[int] = media.WIDTHS_PX
) -> ShopPicture:
    """A picture that an admin uploaded."""
    widest = max(widths_px)
    sources = tuple(
        Source(
            f"image/{kind}",
            ", ".join(f"{media.sized_url(asset_id, each, kind)} {each}w" for each in widths_px),
        )
        for kind in media.FORMATS
    )
    url = media.sized_url(asset_id, widest, "webp")
    return ShopPicture(url, width, height, sources, is_fitted=True)


@cache
def _built_in(name: str) -> ShopPicture | None:
    """What the build has of ``name``, each as ``{name}-{width}.{kind}``; None where nothing."""
    built = front_end()
    widths = [width for width in WIDTHS_PX if built.has(f"{name}-{width}.webp")]
    if not widths:
        return None
    sources = tuple(
        Source(
            f"image/{kind}",
            ", ".join(f"{built.url(f'{name}-{width}.{kind}')} {width}w" for width in widths),
        )
        for kind in media.FORMATS
    )
    across, down = CARD_PX
    size = (widths[-1], widths[-1] * down // across)
    return ShopPicture(built.url(f"{name}-{widths[-1]}.webp"), *size, sources)
