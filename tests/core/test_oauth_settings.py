"""Keys of providers of identities: whole or not at all, and at addresses that are safe."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.core.test_settings import GOOD, clean, put

from funmagic.accounts.oauth.ways import Ways, methods
from funmagic.core.settings import Settings, SettingsError

PLAIN = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(*PLAIN).decode()
OTHER_CURVE = ec.generate_private_key(ec.SECP384R1()).private_bytes(*PLAIN).decode()
APPLE = {
    "APPLE_CLIENT_ID": "com.example",
    "APPLE_TEAM_ID": "TEAM",
    "APPLE_KEY_ID": "KEY",
    "APPLE_PRIVATE_KEY": PEM,
}
GOOGLE = {"GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "hunter2"}
FACEBOOK = {"FACEBOOK_CLIENT_ID": "id", "FACEBOOK_CLIENT_SECRET": "hunter2"}

__all__ = ["clean"]


def test_a_way_in_is_on_when_its_keys_are_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    put(monkeypatch, GOOD)
    assert methods(Settings.load()) == ()
    put(monkeypatch, APPLE | GOOGLE | FACEBOOK)
    settings = Settings.load()
    assert Ways(settings).names == ("google", "facebook", "apple")
    assert "hunter2" not in repr(settings)
    assert PEM not in repr(settings)
    one_line = PEM.replace("\n", "\\n")
    put(monkeypatch, {"APPLE_PRIVATE_KEY": one_line})
    key = Settings.load().apple_private_key
    assert key is not None
    assert key.get_secret_value() == PEM
    for name, value in (APPLE | GOOGLE | FACEBOOK).items():
        if name.endswith(("SECRET", "PRIVATE_KEY")):
            monkeypatch.delenv(name)
            (tmp_path / name).write_text(f"{value}\n")
            monkeypatch.setenv(f"{name}_FILE", str(tmp_path / name))
    assert Ways(Settings.load()).named("apple").posts_its_answer


@pytest.mark.parametrize("without", [*APPLE, *GOOGLE, *FACEBOOK])
def test_half_of_a_ways_keys_are_refused(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    given = APPLE | GOOGLE | FACEBOOK
    put(monkeypatch, GOOD | {name: value for name, value in given.items() if name != without})
    with pytest.raises(SettingsError, match=without):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOOGLE_ISSUER", "http://accounts.google.com"),
        ("GOOGLE_ISSUER", "https://hunter2@accounts.google.com"),
        ("FACEBOOK_URL", "https://www.facebook.com/?x=hunter2"),
        ("FACEBOOK_GRAPH_URL", "hunter2"),
        ("FACEBOOK_GRAPH_VERSION", "hunter2"),
        ("APPLE_ISSUER", "https://"),
        ("APPLE_PRIVATE_KEY", "hunter2"),
        ("APPLE_PRIVATE_KEY", OTHER_CURVE),
    ],
)
def test_what_is_unsafe_or_malformed_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    put(monkeypatch, GOOD | APPLE | {name: value})
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.load()
    assert "hunter2" not in str(refused.value)


def test_a_stand_in_on_http_is_for_developments(monkeypatch: pytest.MonkeyPatch) -> None:
    local = {"APPLE_ISSUER": "http://127.0.0.1:9101/apple/", "FUNMAGIC_ENV": "development"}
    put(monkeypatch, GOOD | local)
    assert Settings.load().apple_issuer == "http://127.0.0.1:9101/apple"
    monkeypatch.delenv("FUNMAGIC_ENV")
    with pytest.raises(SettingsError, match="APPLE_ISSUER: must be an https:// address"):
        Settings.load()
