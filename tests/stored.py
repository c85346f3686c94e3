"""What lies in the storage, whatever the database says."""

from __future__ import annotations

from funmagic.core.resources import Resources


async def keys(resources: Resources, prefix: str) -> set[str]:
    """The objects' keys. The storage outlives a test: ask for somebody new to this one."""
    listed = await resources.storage._client.list_objects_v2(
        Bucket=resources.storage.bucket, Prefix=prefix
    )
    return {entry["Key"] for entry in listed.get("Contents", ())}


async def keys_of(resources: Resources, user_id: object) -> set[str]:
    """Every object of one person."""
    return {
        key
        for folder in ("uploads", "outputs", "previews", "avatars", "exports")
        for key in await keys(resources, f"{folder}/{user_id}")
    }
