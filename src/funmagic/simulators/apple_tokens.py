"""Apple's signatures: the secret an app signs for us, and the identity tokens we sign.

Written from RFC 7515 and RFC 7518 on bare primitives, and not on the library the product uses.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

#: The one app that is registered here. Its private key is written where it is run, see `client_in`.
CLIENT_ID = "com.example.funmagic"
TEAM_ID = "SIMULATED1"
KEY_ID = "SIMULATED2"
KEY_FILE = "apple.p8"
LONGEST_SECRET_S = 15_777_000  # six months
CLOCKS_DIFFER_S = 60


@dataclass(frozen=True, slots=True)
class Client:
    """An app as registered: whose it is, and the public key of what it signs."""

    id: str
    team_id: str
    key_id: str
    public_key: ec.EllipticCurvePublicKey

    def signed(self, secret: str, *, audience: str) -> bool:
        """Whether this is the secret Apple wants, signed with ES256, for now and for us."""
        try:
            head, body, signature = secret.split(".")
            header, claims = json.loads(_bytes(head)), json.loads(_bytes(body))
            raw = _bytes(signature)
            r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
            self.public_key.verify(
                encode_dss_signature(r, s), f"{head}.{body}".encode(), ec.ECDSA(SHA256())
            )
            now, issued, ends = time.time(), float(claims["iat"]), float(claims["exp"])
            return (
                len(raw) == 64
                and (header["alg"], header["kid"]) == ("ES256", self.key_id)
                and (claims["iss"], claims["sub"]) == (self.team_id, self.id)
                and claims["aud"] == audience
                and issued <= now + CLOCKS_DIFFER_S
                and now < ends <= now + LONGEST_SECRET_S
            )
        except (ValueError, KeyError, TypeError, InvalidSignature):
            return False


def client_in(folder: Path) -> Client:
    """The registered app, whose private key is kept in this folder, made where missing."""
    file = folder / KEY_FILE
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = ec.generate_private_key(ec.SECP256R1())
        file.touch(mode=0o600)
        file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # we made it
    return Client(CLIENT_ID, TEAM_ID, KEY_ID, key.public_key())


class Signer:
    """Signs identity tokens with RS256, by a key of which the public half is published."""

    def __init__(self) -> None:
        self.change_key()

    def change_key(self) -> None:
        """From now on by another key; the one before is not published any more."""
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self._key_id = secrets.token_hex(5).upper()

    def published(self) -> dict[str, Any]:
        """The key set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "kid": self._key_id,
            "use": "sig",
            "alg": "RS256",
            "n": _text(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": _text(numbers.e.to_bytes(3, "big")),
        }
        return {"keys": [key]}

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any]) -> str:
        """A token. ``header`` overrides ours: with ``alg`` ``none`` it is not signed, with
        ``HS256`` signed with the public key, as somebody who has no other would, and with
        ``PS256`` truly signed, if not as was agreed."""
        head = {"alg": "RS256", "kid": self._key_id, **header}
        signed = f"{_text(json.dumps(head).encode())}.{_text(json.dumps(claims).encode())}"
        return f"{signed}.{_text(self._signature(head['alg'], signed.encode()))}"

    def _signature(self, algorithm: str, signed: bytes) -> bytes:
        if algorithm == "none":
            return b""
        if algorithm == "HS256":
            hmac = HMAC(self.published()["keys"][0]["n"].encode(), SHA256())
            hmac.update(signed)
            return hmac.finalize()
        if algorithm == "PS256":
            how = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
            return self._key.sign(signed, how, SHA256())
        return self._key.sign(signed, padding.PKCS1v15(), SHA256())


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
