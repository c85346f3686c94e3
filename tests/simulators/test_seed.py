"""What a seed makes of simulated vendors, and of an installation that had none."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from funmagic import seed
from funmagic.core.crypto import Vault
from funmagic.core.resources import Resources
from funmagic.providers import registry
from funmagic.providers.contract import Connection

HERE, ELSEWHERE = "https://127.0.0.1:9100", "https://127.0.0.1:9101"


async def test_a_new_tool_works_by_the_simulated_vendor(resources: Resources) -> None:
    await forget_the_tool(resources)
    await seed.run(simulated(resources, HERE))
    connection = await connection_to_fal(resources)
    assert connection.base_url == f"{HERE}/fal"
    assert connection.credentials is not None
    key: SecretStr = connection.credentials.key  # type: ignore[attr-defined]
    assert key.get_secret_value() == "demo:simulated"
    step = await step_of_the_tool(resources)
    first = step["providers"][0]
    assert (first["provider"], first["model"]) == ("fal", "fal-ai/bria/background/remove")


async def test_a_tool_that_is_there_and_a_real_account_are_left_alone(
    resources: Resources,
) -> None:
    real = "INSERT INTO providers (id, key, label) VALUES (gen_random_uuid(), 'fal', 'Ours')"
    async with resources.db.transaction() as session:
        await session.execute(text(real))
    await seed.run(simulated(resources, HERE))
    async with resources.db.transaction() as session:
        row = (
            await session.execute(
                text("SELECT label, base_url, credentials_encrypted FROM providers WHERE key='fal'")
            )
        ).one()
    assert tuple(row) == ("Ours", None, None)
    assert (await step_of_the_tool(resources))["providers"][0]["provider"] == "local"


async def test_a_simulated_vendor_is_followed_and_survives_a_seed_without_it(
    resources: Resources,
) -> None:
    await seed.run(simulated(resources, HERE))
    keys = "t2:" + base64.b64encode(bytes(32)).decode()
    moved = replace(simulated(resources, ELSEWHERE), vault=Vault(keys))
    for again in (moved, moved, replace(resources, vault=moved.vault)):
        await seed.run(again)
        assert (await connection_to_fal(moved)).base_url == f"{ELSEWHERE}/fal"


async def test_without_simulators_there_is_no_vendor_but_this_server(resources: Resources) -> None:
    await forget_the_tool(resources)
    await seed.run(resources)
    async with resources.db.transaction() as session:
        assert list(await session.scalars(text("SELECT key FROM providers"))) == ["local"]
    assert (await step_of_the_tool(resources))["providers"][0]["provider"] == "local"


def simulated(resources: Resources, url: str) -> Resources:
    """The same installation with its vendors simulated there."""
    return replace(
        resources, settings=resources.settings.model_copy(update={"simulators_url": url})
    )


async def connection_to_fal(resources: Resources) -> Connection:
    async with resources.db.transaction() as session:
        return await registry.connection_of(session, resources.vault, "fal")


async def forget_the_tool(resources: Resources) -> None:
    async with resources.db.transaction() as session:
        await session.execute(text("DELETE FROM tools"))


async def step_of_the_tool(resources: Resources) -> dict[str, Any]:
    async with resources.db.transaction() as session:
        config = await session.scalar(
            text("SELECT config FROM tools WHERE slug = 'background-remove'")
        )
    step: dict[str, Any] = config["steps"]["remove"]
    return step
