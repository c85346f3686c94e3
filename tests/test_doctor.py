"""The doctor sees each trouble an installation can have, and says what to do about it."""

from __future__ import annotations

import base64
from pathlib import Path

import botocore.session
import pytest
from sqlalchemy import text

from funmagic import doctor
from funmagic.core.resources import Resources

NOWHERE = "127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture
def environment(
    servers: dict[str, str], database_url: str, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """A healthy installation's settings, to be spoiled one at a time."""
    healthy = {
        **servers,
        "DATABASE_URL": database_url,
        "FUNMAGIC_ENV": "development",
        "SECRET_KEYS": "t1:" + base64.b64encode(bytes(32)).decode(),
        "MODELS_DIR": str(models_dir),
    }
    for name, value in healthy.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


async def test_healthy_installation_passes_every_check(environment: pytest.MonkeyPatch) -> None:
    findings = await doctor.examine()
    assert len(findings) == 14
    assert [str(finding) for finding in findings if not finding.is_well] == []


@pytest.mark.parametrize(
    ("setting", "value", "title", "wrong", "remedy"),
    [
        ("DATABASE_URL", f"postgresql://x@{NOWHERE}/x", "PostgreSQL", "", "Check DATABASE_URL"),
        ("REDIS_URL", f"redis://{NOWHERE}", "Valkey or Redis", "", "Check REDIS_URL"),
        ("S3_SECRET_ACCESS_KEY", "wrong", "S3 storage", "", "Check the S3_* settings"),
        ("S3_PRIVATE_BUCKET", "no-such-bucket", "S3 storage", "", "Check the S3_* settings"),
        ("S3_PRIVATE_BUCKET", "funmagic-public", "S3 storage", "anybody can read", "Take public"),
        ("S3_PUBLIC_URL", f"http://{NOWHERE}", "S3 from the browser", "", "Check S3_PUBLIC_URL"),
        ("SMTP_URL", f"smtp://{NOWHERE}", "Mail server", "", "Check SMTP_URL"),
        ("MODELS_DIR", "/nowhere", "Local provider's model", "missing", "funmagic weights"),
        ("PUBLIC_URL", "localhost", "Settings", "PUBLIC_URL", "Set them"),
    ],
)
async def test_each_trouble_is_found_and_has_a_remedy(
    environment: pytest.MonkeyPatch, setting: str, value: str, title: str, wrong: str, remedy: str
) -> None:
    environment.setenv(setting, value)
    sick = {finding.title: finding for finding in await doctor.examine() if not finding.is_well}
    assert title in sick
    assert wrong in sick[title].detail
    assert remedy in sick[title].remedy


async def test_bucket_that_refuses_our_pages_uploads_is_found(
    environment: pytest.MonkeyPatch, servers: dict[str, str]
) -> None:
    bucket = "other-site"
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=servers["S3_ENDPOINT_URL"],
        region_name=servers["S3_REGION"],
        aws_access_key_id=servers["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=servers["S3_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=bucket)
    rule = {"AllowedMethods": ["PUT"], "AllowedOrigins": ["https://other.example"]}
    client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    client.close()

    environment.setenv("S3_PRIVATE_BUCKET", bucket)
    findings = {finding.title: finding for finding in await doctor.examine()}

    assert "are not allowed" in findings["S3 from the browser"].detail
    assert "Allow PUT" in findings["S3 from the browser"].remedy


async def test_database_behind_the_code_is_to_be_migrated(
    environment: pytest.MonkeyPatch, servers: dict[str, str]
) -> None:
    environment.setenv("DATABASE_URL", servers["DATABASE_URL"])  # empty: tests use copies
    sick = {finding.title: finding for finding in await doctor.examine() if not finding.is_well}
    assert sick["Migrations"].remedy == "Run `funmagic migrate`."


async def test_evicting_valkey_is_refused(
    environment: pytest.MonkeyPatch, resources: Resources
) -> None:
    await resources.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        findings = {finding.title: finding for finding in await doctor.examine()}
    finally:
        await resources.redis.config_set("maxmemory-policy", "noeviction")
    assert "Set maxmemory-policy to noeviction." in str(findings["Valkey or Redis"])


async def test_dispatch_nobody_sends_is_noticed(
    environment: pytest.MonkeyPatch, resources: Resources
) -> None:
    async with resources.db.transaction() as session:
        await session.execute(
            text("""
                INSERT INTO outbox (id, queue, job_id, payload, created_at)
                VALUES (gen_random_uuid(), 'mail', 'forgotten', '{}', now() - interval '1 hour')
            """)
        )
    findings = {finding.title: finding for finding in await doctor.examine()}
    assert "Start a worker" in findings["Dispatch"].remedy


async def test_a_production_that_names_nobody_is_found(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("FUNMAGIC_ENV", "production")
    environment.setenv("OPERATOR_NAME", "Lantern Studio")
    sick = {finding.title: finding for finding in await doctor.examine() if not finding.is_well}
    assert "OPERATOR_EMAIL, OPERATOR_ADDRESS" in sick["Operator"].detail
    environment.setenv("OPERATOR_EMAIL", "hello@lantern.example")
    environment.setenv("OPERATOR_ADDRESS", r"Example Street 1\n12345 Exampletown")
    assert "Operator" not in {each.title for each in await doctor.examine() if not each.is_well}
