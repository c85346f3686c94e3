"""S3 through aiobotocore: small files in and out, presigned addresses for browsers.

The server's own traffic goes to ``S3_ENDPOINT_URL``; presigned addresses are signed for
``S3_PUBLIC_URL``, the address browsers use. Signing is local computation, no request is made.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError

from funmagic.core.settings import Settings

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60
MAX_ATTEMPTS = 3
CHUNK_BYTES = 1 << 20
PUT_EXPIRES_S = 600
GET_EXPIRES_S = 3600
# The last is what a connection cut inside a body raises.
FAILURES = (ClientError, BotoCoreError, aiohttp.ClientError)


class StorageError(Exception):
    """The storage refused or could not be reached."""


class ObjectMissing(StorageError):
    """There is no such object, or not in the version asked for."""


class ObjectTooLarge(StorageError):
    """The object has more bytes than the caller takes."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the storage says of an object. ``etag`` is kept with its quotes, as S3 sends it."""

    size_bytes: int
    content_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class PresignedPut:
    """An address for exactly one PUT and the headers it must carry."""

    url: str
    headers: dict[str, str]


class Storage:
    """One client pair for one process; opened by :func:`open_storage`."""

    def __init__(self, client: Any, signer: Any, bucket: str) -> None:
        self._client = client
        self._signer = signer
        self.bucket = bucket

    async def put(self, key: str, body: bytes | Path, *, content_type: str) -> StoredObject:
        """Store ``body`` under ``key``, overwriting. A path is streamed from disk."""
        try:
            if isinstance(body, Path):
                with body.open("rb") as stream:
                    answer = await self._client.put_object(
                        Bucket=self.bucket, Key=key, Body=stream, ContentType=content_type
                    )
                size_bytes = body.stat().st_size  # noqa: ASYNC240  # as above
            else:
                answer = await self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, ContentType=content_type
                )
                size_bytes = len(body)
        except FAILURES as error:
            raise StorageError(str(error)) from error
        return StoredObject(size_bytes, content_type, answer["ETag"])

    async def head(self, key: str) -> StoredObject:
        """Size, type and ETag. Raises :class:`ObjectMissing`."""
        try:
            answer = await self._client.head_object(Bucket=self.bucket, Key=key)
        except FAILURES as error:
            raise _as_storage_error(error) from error
        return StoredObject(answer["ContentLength"], answer.get("ContentType", ""), answer["ETag"])

    async def get_first(self, key: str, size_bytes: int) -> bytes:
        """At most the first ``size_bytes`` bytes."""
        try:
            answer = await self._client.get_object(
                Bucket=self.bucket, Key=key, Range=f"bytes=0-{size_bytes - 1}"
            )
            async with answer["Body"] as stream:
                head: bytes = await stream.read(size_bytes)
                return head
        except FAILURES as error:
            raise _as_storage_error(error) from error

    async def get(self, key: str, *, max_bytes: int) -> bytes:
        """The whole object. Raises :class:`ObjectMissing`, and :class:`ObjectTooLarge` for one of
        more than ``max_bytes`` bytes."""
        try:
            answer = await self._client.get_object(Bucket=self.bucket, Key=key)
            if answer["ContentLength"] > max_bytes:
                answer["Body"].close()
                raise ObjectTooLarge(key)
            async with answer["Body"] as stream:
                return b"".join([chunk async for chunk in stream.iter_chunks(CHUNK_BYTES)])
        except FAILURES as error:
            raise _as_storage_error(error) from error

    async def download(
        self, key: str, path: Path, *, max_bytes: int, if_match: str | None = None
    ) -> int:
        """Stream the object to ``path`` and return its size.

        Raises :class:`ObjectMissing` where it is gone or no longer has the ETag ``if_match``, and
        :class:`ObjectTooLarge` before more than ``max_bytes`` bytes are on disk.
        """
        condition = {"IfMatch": if_match} if if_match else {}
        try:
            answer = await self._client.get_object(Bucket=self.bucket, Key=key, **condition)
            if answer["ContentLength"] > max_bytes:
                answer["Body"].close()
                raise ObjectTooLarge(key)
            written = 0
            async with answer["Body"] as stream:
                with path.open("wb") as file:
                    async for chunk in stream.iter_chunks(CHUNK_BYTES):
                        written += len(chunk)
                        if written > max_bytes:
                            raise ObjectTooLarge(key)
                        file.write(chunk)
            return written
        except FAILURES as error:
            raise _as_storage_error(error) from error

    async def delete(self, key: str) -> None:
        """Remove the object; one that is not there is fine."""
        try:
            await self._client.delete_object(Bucket=self.bucket, Key=key)
        except FAILURES as error:
            raise StorageError(str(error)) from error

    async def ping(self) -> None:
        try:
            await self._client.head_bucket(Bucket=self.bucket)
        except FAILURES as error:
            raise StorageError(str(error)) from error

    async def presign_put(self, key: str, *, size_bytes: int, content_type: str) -> PresignedPut:
        """An address for one PUT of exactly this size and type, and only while the key is free.

        ``If-None-Match: *`` is among the signed headers, so a stored object cannot be replaced.
        """
        url: str = await self._signer.generate_presigned_url(
            "put_object",
            Params={
                "Bucket": self.bucket,
                "Key": key,
                "ContentType": content_type,
                "ContentLength": size_bytes,
                "IfNoneMatch": "*",
            },
            ExpiresIn=PUT_EXPIRES_S,
        )
        return PresignedPut(url, {"If-None-Match": "*"})

    async def presign_get(
        self, key: str, *, attachment: str | None = None, expires_s: int = GET_EXPIRES_S
    ) -> str:
        """An address that reads the object for an hour, or ``expires_s``; ``attachment`` makes it a
        download under that name."""
        params: dict[str, Any] = {"Bucket": self.bucket, "Key": key}
        if attachment is not None:
            params["ResponseContentDisposition"] = (
                f"attachment; filename*=UTF-8''{quote(attachment, safe='')}"
            )
        url: str = await self._signer.generate_presigned_url(
            "get_object", Params=params, ExpiresIn=expires_s
        )
        return url


def _as_storage_error(error: Exception) -> StorageError:
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if status in {404, 412}:
            return ObjectMissing(str(error))
    return StorageError(str(error))


@cache
def _session() -> AioSession:
    """One for the process: it keeps the descriptions of services, which take long to read."""
    return AioSession()


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[Storage]:
    """The private bucket's storage for as long as the block lasts."""

    def config() -> AioConfig:
        return AioConfig(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"max_attempts": MAX_ATTEMPTS, "mode": "standard"},
            max_pool_connections=50,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )

    session = _session()
    access = {
        "region_name": settings.s3_region,
        "aws_access_key_id": settings.s3_access_key_id.get_secret_value(),
        "aws_secret_access_key": settings.s3_secret_access_key.get_secret_value(),
    }
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            session.create_client(
                "s3", endpoint_url=settings.s3_endpoint_url, config=config(), **access
            )
        )
        signer = await stack.enter_async_context(
            session.create_client(
                "s3", endpoint_url=settings.storage_origin, config=config(), **access
            )
        )
        yield Storage(client, signer, settings.s3_private_bucket)
