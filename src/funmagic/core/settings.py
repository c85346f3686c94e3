"""Settings: one typed class, read once from the environment.

A start with something missing or malformed fails with one message that names all of it. Every
secret may be given as ``NAME_FILE``, the path of a file that holds it.
"""

from __future__ import annotations

import base64
import binascii
import os
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SECRET_NAMES = (
    "DATABASE_URL",
    "REDIS_URL",
    "S3_ACCESS_KEY_ID",
    "S3_SECRET_ACCESS_KEY",
    "SMTP_URL",
    "SECRET_KEYS",
    "GOOGLE_CLIENT_SECRET",
    "FACEBOOK_CLIENT_SECRET",
    "APPLE_PRIVATE_KEY",
)


class SettingsError(Exception):
    """The environment cannot be used; the message names every variable to fix."""


class Settings(BaseSettings):
    """Everything an operator may set. Variable names are the field names in upper case."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    funmagic_env: Literal["production", "development"] = "production"
    public_url: str = "http://localhost:8000"  # scheme and host that browsers see, no path
    secret_keys: SecretStr = Field()  # "id:base64 of 32 bytes", comma-separated; the first encrypts
    database_url: SecretStr = Field()
    database_pool_size: int = Field(default=10, ge=1, le=200)
    redis_url: SecretStr = Field()
    s3_endpoint_url: str = Field()
    s3_public_url: str = ""  # where browsers reach the same storage; default: the endpoint
    s3_region: str = "us-east-1"
    s3_access_key_id: SecretStr = Field()
    s3_secret_access_key: SecretStr = Field()
    s3_private_bucket: str = "funmagic-private"
    s3_public_bucket: str = "funmagic-public"
    smtp_url: SecretStr = Field()
    mail_from: str = "FunMagic <no-reply@localhost>"
    operator_name: str = Field(default="", max_length=200)  # who runs it, as terms and privacy say
    operator_email: str = Field(default="", max_length=254, pattern=r"^([^@\s]+@[^@\s]+)?$")
    operator_address: str = Field(default="", max_length=500)  # postal; \n begins a new line
    welcome_credits: int = Field(default=50, ge=0, le=1_000_000)
    dev_inbox_dir: Path | None = None  # a Maildir to show at /dev/inbox; only `funmagic up` sets it
    models_dir: Path = Path(".funmagic/models")  # weights of the local provider
    simulators_url: str = ""  # simulated vendors on this machine; refused in production
    simulators_ca_file: Path | None = None  # the certificate (PEM) they answer https with
    provider_gateways: str = ""  # comma-separated origins a provider's address may lead to
    worker_concurrency: int = Field(default=2, ge=1, le=64)
    lease_s: float = Field(
        default=15.0, ge=1.0, le=300.0
    )  # a silent worker loses its task after this
    reconcile_every_s: float = Field(default=3.0, ge=0.2, le=60.0)
    queue_prefix: str = "bull"
    google_client_id: str = ""  # a way in without its keys is not offered
    google_client_secret: SecretStr | None = Field(default=None, validate_default=True)
    google_issuer: str = "https://accounts.google.com"
    facebook_client_id: str = ""
    facebook_client_secret: SecretStr | None = Field(default=None, validate_default=True)
    facebook_url: str = "https://www.facebook.com"
    facebook_graph_url: str = "https://graph.facebook.com"
    facebook_graph_version: str = Field(default="v26.0", pattern=r"^v[0-9]+\.[0-9]+$")
    apple_client_id: str = ""  # the Services ID
    apple_team_id: str = Field(default="", validate_default=True)
    apple_key_id: str = Field(default="", validate_default=True)
    apple_private_key: SecretStr | None = Field(default=None, validate_default=True)
    apple_issuer: str = "https://appleid.apple.com"
    trusted_proxies: str = ""  # comma-separated addresses or networks whose X-Forwarded-For counts
    write_limit_factor: float = Field(default=1.0, ge=0.01, le=10_000)  # of the limits on changes
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("public_url", "s3_endpoint_url", "s3_public_url", "simulators_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ValueError("must be an http:// or https:// address")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        """Nobody trusts everybody: of a chain of addresses the first is the client's own word."""
        for part in filter(None, (part.strip() for part in value.split(","))):
            try:
                ip_network(part)
            except ValueError:
                raise ValueError("must be addresses or networks, comma-separated") from None
        return value

    @field_validator("secret_keys")
    @classmethod
    def _has_keys(cls, value: SecretStr) -> SecretStr:
        parse_secret_keys(value.get_secret_value())
        return value

    @field_validator("simulators_url")
    @classmethod
    def _is_for_demonstrations(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("funmagic_env") != "development":
            raise ValueError("only FUNMAGIC_ENV=development may use simulated vendors")
        return value

    @field_validator("provider_gateways")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in filter(None, (part.strip() for part in value.split(","))):
            parts = urlsplit(origin)
            if (
                parts.scheme not in {"http", "https"}
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(
                    "must be comma-separated origins such as https://gateway.example.com"
                )
        return value.lower()

    @property
    def gateways(self) -> tuple[str, ...]:
        """The operator's own gateways to vendors, by origin."""
        return tuple(filter(None, (part.strip() for part in self.provider_gateways.split(","))))

    @field_validator("google_issuer", "facebook_url", "facebook_graph_url", "apple_issuer")
    @classmethod
    def _is_endpoint(cls, value: str, info: ValidationInfo) -> str:
        """A provider of identities: https, or in a development also its stand-in by http."""
        parts = urlsplit(value)
        schemes = {"https"} if info.data.get("funmagic_env") == "production" else {"http", "https"}
        if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"must be an {'https' if len(schemes) == 1 else 'http(s)'}:// address")
        if parts.query or parts.fragment:
            raise ValueError("must be an address without ? and #")
        return value.rstrip("/")

    @field_validator(
        "google_client_secret",
        "facebook_client_secret",
        "apple_team_id",
        "apple_key_id",
        "apple_private_key",
    )
    @classmethod
    def _goes_with_its_client(
        cls, value: SecretStr | str | None, info: ValidationInfo
    ) -> SecretStr | str | None:
        given = value.get_secret_value() if isinstance(value, SecretStr) else value
        client = f"{str(info.field_name).split('_')[0]}_client_id"
        if bool(given) != bool(info.data.get(client)):
            raise ValueError(f"goes with {client.upper()}: set both or neither")
        return value if given else (None if isinstance(value, SecretStr) else value)

    @field_validator("apple_private_key")
    @classmethod
    def _is_es256_key(cls, value: SecretStr | None) -> SecretStr | None:
        """The .p8 file's text; a line break may be written ``\\n``, as environments often want."""
        if value is None:
            return None
        pem = value.get_secret_value().replace("\\n", "\n")
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
            raise ValueError("must be the text of a .p8 file, a P-256 private key")
        return SecretStr(pem)

    @property
    def is_production(self) -> bool:
        return self.funmagic_env == "production"

    @property
    def storage_origin(self) -> str:
        """Scheme and host from which browsers load and to which they send files."""
        return self.s3_public_url or self.s3_endpoint_url

    @property
    def secure_cookies(self) -> bool:
        return self.public_url.startswith("https://")

    @classmethod
    def load(cls) -> Settings:
        """Read the environment. Raises :class:`SettingsError` naming everything that is wrong."""
        given = _secrets_from_files()
        try:
            return cls(**given)  # type: ignore[arg-type]  # read like the environment
        except ValidationError as error:
            lines = [
                f"  {'_'.join(str(part) for part in item['loc']).upper()}: {_plain(item['msg'])}"
                for item in error.errors(include_input=False, include_url=False)
            ]
            raise SettingsError("These settings need attention:\n" + "\n".join(lines)) from None


def parse_secret_keys(text: str) -> dict[str, bytes]:
    """``id:base64`` pairs to ``{id: 32 bytes}`` in order. Raises ValueError that echoes no key."""
    keys: dict[str, bytes] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key_id, _, encoded = part.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not key_id or len(key) != 32 or key_id in keys:
            raise ValueError("must be id:base64 pairs of 32 bytes each, ids unique")
        keys[key_id] = key
    if not keys:
        raise ValueError("must name at least one key")
    return keys


def _secrets_from_files() -> dict[str, str]:
    given: dict[str, str] = {}
    missing: list[str] = []
    for name in SECRET_NAMES:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            continue
        try:
            given[name.lower()] = Path(path).read_text().strip()
        except OSError as error:
            missing.append(f"  {name}_FILE: cannot be read ({error.strerror})")
    if missing:
        raise SettingsError("These settings need attention:\n" + "\n".join(missing))
    return given


def _plain(message: str) -> str:
    return "is missing" if message == "Field required" else message.removeprefix("Value error, ")
