"""The first rows of a new installation: providers, tools, banners; in development people too."""

from __future__ import annotations

from funmagic import hooks
from funmagic.accounts import demo
from funmagic.catalog import demo as catalog_demo
from funmagic.catalog import seed as catalog_seed
from funmagic.catalog import spoken
from funmagic.content import seed as content_seed
from funmagic.core.resources import Resources
from funmagic.providers import seed as providers_seed


async def run(resources: Resources) -> None:
    """Add what is missing; what an admin changed stays. Demo people never reach production.

    Where vendors are simulated, a tool that is new works by them.
    """
    settings = resources.settings
    hooks.wire(settings)
    async with resources.db.transaction() as session:
        await providers_seed.seed(session)
        if settings.simulators_url:
            await providers_seed.seed_simulated(session, resources.vault, settings.simulators_url)
        await catalog_seed.seed(session, simulated=bool(settings.simulators_url))
        await spoken.write_down(session)
        await content_seed.seed(session)
        if not settings.is_production:
            await demo.seed(session)
    if not settings.is_production:
        await catalog_demo.give_pictures(resources, demo.ADMIN.email)
