"""The banners a fresh installation shows. Rows that exist are left as their admin wants them."""

from __future__ import annotations

from typing import Final
from uuid import UUID, uuid5

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.content.models import BannerRow
from funmagic.core.i18n import N_
from funmagic.jobs import editions

# Names of a banner's id: the same in every installation, so that planting again adds nothing.
PLACE: Final = UUID("6f1e4a0c-8d0e-4c52-9d35-6b1f60a3c7d2")

# In other languages they are said as the catalogs say them.
BANNERS: Final = (
    {
        "placement": "main",
        "title": N_("Small tools that make pictures better"),
        "text": N_("Pick a tool, add a photo and pay only for what you run."),
        "badge": N_("Studio backdrop"),
        "link": "/tools/studio-backdrop",
        "link_label": N_("Use tool"),
        "picture": "studio",
    },
    {
        "placement": "main",
        "title": N_("Your photo, painted"),
        "text": N_("Choose from eight styles and see the painting appear while it is made."),
        "badge": N_("Art styles"),
        "link": "/tools/art-styles",
        "link_label": N_("Paint my photo"),
        "picture": "painted",
    },
    {
        "placement": "side",
        "title": N_("Stickers of your own"),
        "text": N_("Cut out, with a border, ready to place anywhere."),
        "badge": "",
        "link": "/tools/cutout-sticker",
        "link_label": N_("Make a sticker"),
        "picture": "stickers",
    },
    {
        "placement": "side",
        "title": N_("From photo to 3D"),
        "text": N_("Turn your photo into a figure that you can turn and download."),
        "badge": "",
        "link": "/tools/figme",
        "link_label": N_("Use tool"),
        "picture": "shaped",
    },
)


async def seed(s: AsyncSession) -> None:
    """Add the banners that are missing. Safe to repeat."""
    rows = [
        {"id": uuid5(PLACE, banner["picture"]), "position": position, **banner}
        for position, banner in enumerate(BANNERS, 1)
    ]
    adding = insert(BannerRow).values(rows).on_conflict_do_nothing().returning(BannerRow.id)
    if (await s.execute(adding)).all():
        await editions.bump(s)
