"""What is put into the simulated Tripo's storage, and addresses that let files out for a while."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

MAX_UPLOADS = 1_000
MAX_KEPT_BYTES = 256 << 20


class Signer:
    """Addresses below ``base`` that say until when they are good; no two tellings are alike."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._secret = secrets.token_bytes(32)

    def address(self, name: str, life_s: float) -> str:
        """Where this file is for so long; a negative life has passed already."""
        expires = math.ceil(time.time() + life_s) if life_s > 0 else math.floor(time.time()) - 1
        nonce = secrets.token_hex(4)
        signature = self._signature(name, str(expires), nonce)
        return f"{self._base}{name}?Expires={expires}&Nonce={nonce}&Signature={signature}"

    def is_good(self, name: str, query: Mapping[str, str]) -> bool:
        """Whether this address was made here and has not expired."""
        expires, nonce = query.get("Expires", ""), query.get("Nonce", "")
        expected = self._signature(name, expires, nonce)
        is_ours = hmac.compare_digest(expected, query.get("Signature", ""))
        return is_ours and time.time() <= int(expires)

    def _signature(self, name: str, expires: str, nonce: str) -> str:
        text = f"{name}\n{expires}\n{nonce}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


@dataclass(slots=True)
class Upload:
    """A file somebody put there; ``content`` is None until a presigned PUT brings it."""

    key_id: str
    content: bytes | None
    content_type: str


class Uploads:
    """Uploaded files by token, bounded: the oldest go first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Upload] = OrderedDict()

    def put(self, upload: Upload) -> str:
        """Keep it; returns its token."""
        token = f"file_{uuid.uuid4()}"
        self._kept[token] = upload
        while len(self._kept) > MAX_UPLOADS or self._kept_bytes() > MAX_KEPT_BYTES:
            self._kept.popitem(last=False)
        return token

    def get(self, token: str) -> Upload | None:
        return self._kept.get(token)

    def clear(self) -> None:
        self._kept.clear()

    def _kept_bytes(self) -> int:
        return sum(len(upload.content or b"") for upload in self._kept.values())
