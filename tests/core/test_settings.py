"""A start with wrong settings names all of them, and shows no secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from funmagic.core.settings import Settings, SettingsError

KEY = "k1:" + base64.b64encode(b"k" * 32).decode()
GOOD = {
    "SECRET_KEYS": KEY,
    "DATABASE_URL": "postgresql://u:hunter2@db/funmagic",
    "REDIS_URL": "redis://cache",
    "S3_ENDPOINT_URL": "https://s3.example/",
    "S3_ACCESS_KEY_ID": "id",
    "S3_SECRET_ACCESS_KEY": "hunter2",
    "SMTP_URL": "smtp://mail:25",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def put(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_a_good_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, GOOD)
    settings = Settings.load()
    assert settings.is_production
    assert settings.storage_origin == "https://s3.example"
    assert "hunter2" not in repr(settings)


def test_one_message_names_everything_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, {"DATABASE_URL": "postgresql://db/x"})
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    for name in set(GOOD) - {"DATABASE_URL"}:
        assert f"{name}: is missing" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEYS", "k1:hunter2"),
        ("SECRET_KEYS", f"{KEY},{KEY}"),
        ("PUBLIC_URL", "hunter2"),
        ("WELCOME_CREDITS", "-1"),
        ("LOG_FORMAT", "hunter2"),
        ("SIMULATORS_URL", "http://hunter2:1"),  # not in production
    ],
)
def test_a_malformed_value_is_named_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    put(monkeypatch, GOOD | {name: value})
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert name in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_secret_can_lie_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "database-url"
    secret.write_text(GOOD["DATABASE_URL"] + "\n")
    put(monkeypatch, {k: v for k, v in GOOD.items() if k != "DATABASE_URL"})
    monkeypatch.setenv("DATABASE_URL_FILE", str(secret))
    assert Settings.load().database_url.get_secret_value() == GOOD["DATABASE_URL"]
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="DATABASE_URL_FILE: cannot be read"):
        Settings.load()
