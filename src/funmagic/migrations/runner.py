"""Bringing a database to the newest migration, and comparing it with the models."""

from __future__ import annotations

from alembic import command
from alembic.config import Config

from funmagic.migrations import FOLDER


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration without a file."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.attributes["database_url"] = database_url
    return config


def upgrade(database_url: str) -> None:
    """Migrate to head. Blocking; call it outside the event loop."""
    command.upgrade(alembic_config(database_url), "head")


def check(database_url: str) -> None:
    """Raise where the models and the migrated database differ."""
    command.check(alembic_config(database_url))
