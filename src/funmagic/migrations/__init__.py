"""The database's history. Models of every room are imported here, so nothing is overlooked."""

from __future__ import annotations

from pathlib import Path

import funmagic.accounts.models
import funmagic.assets.models
import funmagic.audit.models
import funmagic.catalog.models
import funmagic.content.models
import funmagic.credits.models
import funmagic.jobs.models
import funmagic.mail.models
import funmagic.providers.models
import funmagic.tasks.models  # noqa: F401  # importing registers the tables
from funmagic.core.db import Base

FOLDER = Path(__file__).parent
METADATA = Base.metadata

__all__ = ["FOLDER", "METADATA"]
