"""The providers a fresh installation has: the local one, which needs neither key nor network.

Where vendors are simulated, their rows are there too, with an address on this machine and a key
that means nothing to anybody.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from funmagic.core.crypto import Vault
from funmagic.core.ids import new_id
from funmagic.providers import registry

#: Vendors we have simulators of. A simulator serves one below its key: ``{origin}/fal/…``.
SIMULATED = {  # with keys of the shape each vendor's have
    "fal": "demo:simulated",
    "openai": "sk-demo-simulated",
    "tripo": "tsk_demo_simulated",
}

# What an operator changed stays as it is.
ADD = text("""
    INSERT INTO providers (id, key, label) VALUES (:id, :key, :label)
    ON CONFLICT (key) DO NOTHING
""")

# A simulator may have moved to another port, and our secrets may be new. A row that is not marked
# as simulated is somebody's real account: it is not touched.
ADD_SIMULATED = text("""
    INSERT INTO providers (id, key, label, base_url, credentials_encrypted, credentials_set_at,
                           is_simulated)
    VALUES (:id, :key, :label, :base_url, :credentials, now(), true)
    ON CONFLICT (key) DO UPDATE
       SET base_url = excluded.base_url, credentials_encrypted = excluded.credentials_encrypted,
           updated_at = now()
     WHERE providers.is_simulated
""")


async def seed(s: AsyncSession) -> None:
    """Add the local provider where it is missing. Safe to repeat."""
    local = registry.adapter("local")
    await s.execute(ADD, {"id": new_id(), "key": local.key, "label": local.label})


async def seed_simulated(s: AsyncSession, vault: Vault, simulators_url: str) -> None:
    """Add the simulated vendors, or follow them to this address. Safe to repeat."""
    for key, demo_key in SIMULATED.items():
        vendor = registry.adapter(key)
        assert vendor.credentials_model is not None  # vendors want keys
        credentials = vendor.credentials_model.model_validate({"key": demo_key})
        await s.execute(
            ADD_SIMULATED,
            {
                "id": new_id(),
                "key": key,
                "label": vendor.label,
                "base_url": f"{simulators_url}/{key}",
                "credentials": registry.seal_credentials(vault, key, credentials),
            },
        )
