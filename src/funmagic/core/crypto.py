"""Secrets at rest: AES-256-GCM with key ids; tokens: random, stored only as hashes.

A sealed value is ``b"1" + len(id) + id + nonce (12 bytes) + ciphertext and tag``. The key id and
the caller's ``context`` are authenticated, so a value cannot be moved to another row or key.
Primitive: NIST SP 800-38D through the ``cryptography`` package.
"""

from __future__ import annotations

import hashlib
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from funmagic.core.settings import parse_secret_keys

VERSION = b"1"
NONCE_BYTES = 12


class SealBroken(Exception):
    """A stored secret cannot be opened: damaged, moved, or sealed with a key we no longer have."""


class Vault:
    """Seals with the first key, opens with any of them."""

    def __init__(self, secret_keys: str) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in parse_secret_keys(secret_keys).items()}
        self._current = next(iter(self._keys))

    def __repr__(self) -> str:
        return f"Vault(current={self._current!r})"

    def seal(self, plain: bytes, *, context: str) -> bytes:
        """Encrypt ``plain`` for the place named by ``context`` (such as ``providers:fal``)."""
        key_id = self._current.encode()
        nonce = secrets.token_bytes(NONCE_BYTES)
        header = VERSION + bytes([len(key_id)]) + key_id
        body = self._keys[self._current].encrypt(nonce, plain, header + context.encode())
        return header + nonce + body

    def open(self, sealed: bytes, *, context: str) -> bytes:
        """Decrypt. Raises :class:`SealBroken`; malformed input is never passed through."""
        if len(sealed) < 2 or sealed[:1] != VERSION:
            raise SealBroken("not a sealed value")
        header_end = 2 + sealed[1]
        header, rest = sealed[:header_end], sealed[header_end:]
        key = self._keys.get(header[2:].decode(errors="replace"))
        if key is None:
            raise SealBroken("sealed with a key that is not in SECRET_KEYS")
        try:
            return key.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], header + context.encode())
        except (InvalidTag, ValueError):
            raise SealBroken("damaged or moved") from None


def new_token() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> bytes:
    """SHA-256 of a high-entropy token: what the database keeps in place of the token."""
    return hashlib.sha256(token.encode()).digest()
