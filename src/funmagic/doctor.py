"""``funmagic doctor``: is everything there that FunMagic depends on, and if not, what to do."""

from __future__ import annotations

import asyncio
import http.client
import platform
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiosmtplib
from alembic.script import ScriptDirectory
from botocore.exceptions import BotoCoreError, ClientError
from redis.exceptions import RedisError, ResponseError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from funmagic.core.resources import Resources, open_resources
from funmagic.core.settings import Settings, SettingsError

CHECK_LIMIT_S = 15.0
OLDEST_PYTHON, FIRST_UNTRIED_PYTHON = (3, 11), (3, 14)
OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
#: A dispatch older than this was forgotten: the relay looks every few seconds.
STUCK_AFTER_S = 60

STUCK_DISPATCHES = text("""
    SELECT count(*)
      FROM outbox
     WHERE sent_at IS NULL
       AND coalesce(not_before, created_at) < now() - make_interval(secs => :stuck_after_s)
""")
DEAD_LEASES = text("""
    SELECT count(*)
      FROM tasks
     WHERE status IN ('pending', 'queued', 'processing')
       AND coalesce(lease_expires_at, created_at) < now() - make_interval(secs => :stuck_after_s)
""")


class Sick(Exception):
    """A check failed: what is wrong, and what to do about it."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(wrong)
        self.remedy = remedy


@dataclass(frozen=True)
class Finding:
    """The outcome of one check, as one or two lines."""

    title: str
    is_well: bool
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{'✓' if self.is_well else '✗'} {self.title}: {self.detail}"
        return line if self.is_well else f"{line}\n    → {self.remedy}"


async def examine() -> list[Finding]:
    """Every check that can be made; those that need settings are left out without them."""
    findings = [await _find("Python", _python), await _find("Front end", _front_end)]
    try:
        settings = Settings.load()
    except SettingsError as error:
        remedy = "Set them, or start `funmagic up` and call this beside it."
        return [*findings, Finding("Settings", False, str(error), remedy)]
    kind = settings.funmagic_env
    findings.append(Finding("Settings", True, f"complete ({kind}, {settings.public_url})"))
    async with open_resources(settings) as resources:
        checks: list[tuple[str, Callable[[Resources], Awaitable[str]]]] = [
            ("PostgreSQL", _postgres),
            ("Migrations", _migrations),
            ("Valkey or Redis", _valkey),
            ("S3 storage", _storage),
            ("S3 from the browser", _storage_cors),
            ("Mail server", _mail),
            ("Local provider's model", _weights),
            ("Dispatch", _dispatch),
            ("Tasks", _tasks),
            ("Super admin", _super_admin),
            ("Operator", _operator),
        ]
        findings += await asyncio.gather(
            *(_find(title, check, resources) for title, check in checks)
        )
    return findings


async def _find(title: str, check: Callable[..., Awaitable[str]], *given: Resources) -> Finding:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            return Finding(title, True, await check(*given))
    except Sick as sick:
        return Finding(title, False, str(sick), sick.remedy)
    except TimeoutError:
        remedy = "See whether it runs, and whether this machine may reach it."
        return Finding(title, False, f"no answer within {CHECK_LIMIT_S:.0f} s", remedy)


async def _python() -> str:
    if not OLDEST_PYTHON <= sys.version_info[:2] < FIRST_UNTRIED_PYTHON:
        raise Sick(platform.python_version(), "Use Python 3.11, 3.12 or 3.13.")
    return platform.python_version()


async def _front_end() -> str:
    built = Path(__file__).with_name("web") / "static" / "dist"
    if not built.is_dir() or not any(built.iterdir()):
        raise Sick("not built", "Run ./bin/up, which builds it, or install a released wheel.")
    return "built"


async def _postgres(resources: Resources) -> str:
    async with _sick_database(resources) as connection:
        version = await connection.scalar(text("SHOW server_version"))
    major = int(str(version).split(".")[0].split()[0])
    if major < OLDEST_POSTGRES:
        raise Sick(f"version {version}", f"Use PostgreSQL {OLDEST_POSTGRES} or newer.")
    return f"version {version}"


async def _migrations(resources: Resources) -> str:
    from funmagic.migrations.runner import alembic_config

    url = resources.settings.database_url.get_secret_value()
    newest = ScriptDirectory.from_config(alembic_config(url)).get_current_head()
    remedy = "Run `funmagic migrate`."
    async with _sick_database(resources) as connection:
        if not await connection.scalar(text("SELECT to_regclass('alembic_version')::text")):
            raise Sick("the database is empty", remedy)
        current = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    if current != newest:
        raise Sick(f"the database is at {current}, the code at {newest}", remedy)
    return f"at the newest, {newest}"


async def _valkey(resources: Resources) -> str:
    try:
        about = await resources.redis.info("server")
        try:
            policy = (await resources.redis.config_get("maxmemory-policy"))["maxmemory-policy"]
        except ResponseError:
            policy = None  # managed services often forbid CONFIG
    except (RedisError, OSError) as error:
        raise Sick(_short(error), "Check REDIS_URL and whether the server runs.") from error
    version = about.get("valkey_version") or about["redis_version"]
    if int(str(about["redis_version"]).split(".")[0]) < OLDEST_REDIS:
        raise Sick(f"version {version}", f"Use Valkey, or Redis {OLDEST_REDIS} or newer.")
    if policy not in {None, "noeviction"}:
        raise Sick(
            f"maxmemory-policy is {policy}: queued work could be evicted",
            "Set maxmemory-policy to noeviction.",
        )
    return f"version {version}, {policy or 'eviction policy not readable'}"


async def _storage(resources: Resources) -> str:
    from funmagic.core.storage import StorageError

    settings, key = resources.settings, f"doctor/{secrets.token_hex(8)}"
    try:
        await resources.storage.put(key, b"funmagic", content_type="text/plain")
        try:
            if await resources.storage.get_first(key, 100) != b"funmagic":
                raise Sick("an object came back changed", "Check the storage service.")
            unsigned = f"{settings.storage_origin}/{settings.s3_private_bucket}/{key}"
            status, _ = await asyncio.to_thread(_request, "GET", unsigned, {})
        finally:
            await resources.storage.delete(key)
    except (StorageError, ClientError, BotoCoreError, OSError) as error:
        raise Sick(
            _short(error), "Check the S3_* settings, the bucket, and whether the storage runs."
        ) from error
    if status == http.HTTPStatus.OK:
        raise Sick(
            f"anybody can read the private bucket {settings.s3_private_bucket}",
            "Take public access away from it: users' photos lie there.",
        )
    return f"write, read and delete work in {settings.s3_private_bucket}, strangers are refused"


async def _storage_cors(resources: Resources) -> str:
    """Ask as a browser does before it uploads."""
    settings = resources.settings
    put = await resources.storage.presign_put("doctor", size_bytes=1, content_type="image/png")
    origin = settings.public_url
    asking = {
        "Origin": origin,
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": ", ".join(["content-type", *put.headers]).lower(),
    }
    remedy = (
        f"Allow PUT, GET and HEAD with all headers from {origin} in the CORS rules of "
        f"{settings.s3_private_bucket}, and expose ETag."
    )
    try:
        status, headers = await asyncio.to_thread(_request, "OPTIONS", put.url, asking)
    except OSError as error:
        raise Sick(f"{settings.storage_origin}: {_short(error)}", "Check S3_PUBLIC_URL.") from error
    if status not in {200, 204} or headers.get("access-control-allow-origin") not in {"*", origin}:
        raise Sick(f"uploads from {origin} are not allowed (status {status})", remedy)
    return f"uploads from {origin} are allowed"


async def _mail(resources: Resources) -> str:
    address = urlsplit(resources.settings.smtp_url.get_secret_value())
    use_tls = address.scheme == "smtps"
    port = address.port or (465 if use_tls else 25)
    client = aiosmtplib.SMTP(hostname=address.hostname, port=port, use_tls=use_tls, timeout=10)
    try:
        async with client:
            await client.noop()
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Sick(_short(error), "Check SMTP_URL and whether the server runs.") from error
    return f"{address.hostname}:{port} answers"


async def _weights(resources: Resources) -> str:
    from funmagic.providers import weights

    models_dir = resources.settings.models_dir
    if not await asyncio.to_thread(weights.is_ready, models_dir):
        raise Sick(f"missing or damaged in {models_dir}", "Run `funmagic weights`.")
    return "in place"


async def _dispatch(resources: Resources) -> str:
    stuck = await _count(resources, STUCK_DISPATCHES)
    if stuck:
        raise Sick(
            f"{stuck} jobs wait to be sent for more than {STUCK_AFTER_S} s",
            "Start a worker: `funmagic worker`. If one runs, look into its log.",
        )
    return "nothing waits"


async def _tasks(resources: Resources) -> str:
    forgotten = await _count(resources, DEAD_LEASES)
    if forgotten:
        raise Sick(
            f"nobody has worked on {forgotten} open tasks for more than {STUCK_AFTER_S} s",
            "Start a worker, or more of them: `funmagic worker`. If they run, look into their log.",
        )
    return "none is left lying"


async def _super_admin(resources: Resources) -> str:
    from funmagic.accounts.roles import IS_ANYBODY

    async with _sick_database(resources) as connection:
        if not await connection.scalar(IS_ANYBODY):
            raise Sick("there is none", "Run `funmagic admin create EMAIL`.")
    return "there is one"


async def _operator(resources: Resources) -> str:
    settings = resources.settings
    given = {
        "OPERATOR_NAME": settings.operator_name,
        "OPERATOR_EMAIL": settings.operator_email,
        "OPERATOR_ADDRESS": settings.operator_address,
    }
    missing = [name for name, value in given.items() if not value]
    if missing and settings.is_production:
        raise Sick(
            f"terms and privacy name nobody: {', '.join(missing)}",
            "Set them to who runs this site: in many countries the law asks for it.",
        )
    return "not named, as a development may" if missing else settings.operator_name


async def _count(resources: Resources, statement: Any) -> int:
    async with _sick_database(resources) as connection:
        return int(await connection.scalar(statement, {"stuck_after_s": STUCK_AFTER_S}))


@asynccontextmanager
async def _sick_database(resources: Resources) -> AsyncIterator[Any]:
    """A connection whose errors are findings."""
    try:
        async with resources.db.engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        if "UndefinedTable" in repr(error.orig):
            raise Sick("its table is missing", "Run `funmagic migrate`.") from error
        raise Sick(_short(error.orig), "Check DATABASE_URL and its rights.") from error
    except OSError as error:
        raise Sick(_short(error), "Check DATABASE_URL and whether the server runs.") from error


def _request(method: str, url: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    """One plain request, redirects not followed; header names come back in lower case."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=10)
    try:
        path = parts.path or "/"
        connection.request(method, f"{path}?{parts.query}" if parts.query else path, None, headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def _short(error: BaseException | None) -> str:
    """One line of an error; addresses with passwords never appear in these libraries' messages."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
