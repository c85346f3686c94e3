"""Pictures of the shop window, each in the sizes and formats a page may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from funmagic.assets.media import media_url
from funmagic.web.static import front_end


@dataclass(frozen=True, slots=True)
class Source:
    """One format: its media type, and its addresses by width as ``srcset`` has them."""

    type: str
    srcset: str


@dataclass(frozen=True, slots=True)
class ShopPicture:
    """A picture with its size in pixels; ``url`` is for browsers that take none of ``sources``."""

    url: str
    width: int
    height: int
    sources: tuple[Source, ...] = ()


def picture_for(implementation: str, thumbnail: str | None) -> ShopPicture | None:
    """A tool's picture: what an admin chose, else the one its plug-in comes with."""
    built = f"tools/{implementation}.webp"
    url = media_url(thumbnail) or (front_end().url(built) if front_end().has(built) else None)
    return ShopPicture(url, 640, 400) if url else None


def banner_picture(picture: str | None) -> ShopPicture | None:
    """A banner's picture: an admin's, or a built-in one by name."""
    url = media_url(picture)
    return ShopPicture(url, 1280, 720) if url else None


def demo_for(implementation: str) -> tuple[ShopPicture, ShopPicture] | None:
    """What a tool makes of an example: before and after."""
    names = tuple(f"demo/{implementation}-{when}.webp" for when in ("before", "after"))
    if not all(front_end().has(name) for name in names):
        return None
    before, after = (ShopPicture(front_end().url(name), 720, 720) for name in names)
    return before, after
