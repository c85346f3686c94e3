"""The migrations make exactly what the models describe."""

from __future__ import annotations

import asyncio

from funmagic.migrations import runner


async def test_models_and_migrations_agree(database_url: str) -> None:
    await asyncio.to_thread(runner.check, database_url)


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    await asyncio.to_thread(runner.upgrade, database_url)
