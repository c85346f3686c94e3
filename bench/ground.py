"""What everything here stands on: real servers, as durable as in production, and some people."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from bench import noop
from funmagic import hooks, seed
from funmagic.accounts import service as accounts
from funmagic.accounts.models import User
from funmagic.assets import service as assets
from funmagic.catalog import config
from funmagic.core import log as logs
from funmagic.core.ids import new_id
from funmagic.core.resources import Resources, open_resources
from funmagic.core.settings import Settings
from funmagic.credits import service as credits
from funmagic.embedded import stack
from funmagic.migrations import runner

POOL_SIZE = 16
CLIENTS = 16  # the most that work at once
RICH = 100_000_000

ADD_TOOL = text("""
    INSERT INTO tools (id, slug, implementation, tool_type_id, title, description, config)
    SELECT :id, :slug, :slug, id, 'Nothing', 'Nothing', :config FROM tool_types LIMIT 1
""").bindparams(bindparam("config", type_=JSONB))
ADD_PROVIDER = text("INSERT INTO providers (id, key, label) VALUES (:id, :key, :key)")


@dataclass(frozen=True)
class Person:
    """One client's account, with one usable photo and credits without end."""

    user: User
    photo: str


@dataclass(frozen=True)
class Ground:
    resources: Resources
    people: list[Person]
    environment: dict[str, str]  # of further processes on the same servers

    @property
    def settings(self) -> Settings:
        return self.resources.settings


@contextmanager
def servers() -> Iterator[dict[str, str]]:
    """PostgreSQL and Valkey, every commit on disk, in a directory that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="fm-bench-", ignore_cleanup_errors=True) as folder,
        stack.running(Path(folder), {"postgres", "valkey"}) as environment,
    ):
        unused = "http://127.0.0.1:9"  # no file is stored here
        yield {
            **environment,
            "FUNMAGIC_ENV": "development",
            "SECRET_KEYS": "b1:" + base64.b64encode(bytes(range(32))).decode(),
            "DATABASE_POOL_SIZE": str(POOL_SIZE),
            "WORKER_CONCURRENCY": str(CLIENTS),
            "S3_ENDPOINT_URL": unused,
            "S3_ACCESS_KEY_ID": "unused",
            "S3_SECRET_ACCESS_KEY": "unused",
            "SMTP_URL": "smtp://127.0.0.1:9",
            "LOG_LEVEL": "ERROR",
            "QUEUE_PREFIX": "bench",
        }


@asynccontextmanager
async def ground(environment: dict[str, str]) -> AsyncIterator[Ground]:
    """The product on those servers: migrated, seeded, with ``CLIENTS`` people."""
    values: dict[str, Any] = {name.lower(): value for name, value in environment.items()}
    settings = Settings(**values)
    logs.configure(settings)
    hooks.wire(settings)
    noop.register()
    async with open_resources(settings) as resources:
        await seed.run(resources)
        async with resources.db.transaction() as session:
            checked = config.check(noop.TOOL, noop.CONFIG)
            stored = checked.model_dump(mode="json", by_alias=True)
            await session.execute(ADD_TOOL, {"id": new_id(), "slug": noop.SLUG, "config": stored})
            await session.execute(ADD_PROVIDER, {"id": new_id(), "key": noop.SLUG})
        people = [await _bring_in(resources, number) for number in range(CLIENTS)]
        yield Ground(resources, people, environment)


def migrate(environment: dict[str, str]) -> None:
    """Bring the database up to date; blocks, so not inside a loop."""
    runner.upgrade(environment["DATABASE_URL"])


async def _bring_in(resources: Resources, number: int) -> Person:
    async with resources.db.transaction() as session:
        user = await accounts.sign_up_or_find(session, f"p{number}@example.com", role="user")
        await credits.adjust(
            session,
            user.id,
            RICH,
            idempotency_key=f"bench-{number}",
            description="For measuring",
            actor="bench",
        )
        photo = await assets.add_output(
            session,
            user_id=user.id,
            kind="image",
            storage_key=f"bench/{number}",
            content_type="image/png",
            size_bytes=1,
            etag="none",
            width=1,
            height=1,
            file_name="photo.png",
            task_id=None,
            step_id=None,
        )
    return Person(user, str(photo))
