"""The providers a fresh installation has: the local one, which needs neither key nor network."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.ids import new_id
from funmagic.providers import registry

# What an operator changed stays as it is.
ADD = text("""
    INSERT INTO providers (id, key, label) VALUES (:id, :key, :label)
    ON CONFLICT (key) DO NOTHING
""")


async def seed(s: AsyncSession) -> None:
    """Add the local provider where it is missing. Safe to repeat."""
    local = registry.adapter("local")
    await s.execute(ADD, {"id": new_id(), "key": local.key, "label": local.label})
