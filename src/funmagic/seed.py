"""The first rows of a new installation: providers, tool types, tools; in development people too."""

from __future__ import annotations

from funmagic import hooks
from funmagic.accounts import demo
from funmagic.catalog import seed as catalog_seed
from funmagic.core.resources import Resources
from funmagic.providers import seed as providers_seed


async def run(resources: Resources) -> None:
    """Add what is missing; what an admin changed stays. Demo people never reach production."""
    hooks.wire(resources.settings)
    async with resources.db.transaction() as session:
        await providers_seed.seed(session)
        await catalog_seed.seed(session)
        if not resources.settings.is_production:
            await demo.seed(session)
