"""Stored secrets open only where they belong, with keys we have, undamaged."""

from __future__ import annotations

import base64

import pytest

from funmagic.core.crypto import SealBroken, Vault


def key(id_: str, byte: int) -> str:
    return f"{id_}:" + base64.b64encode(bytes([byte]) * 32).decode()


def test_what_is_sealed_opens_in_its_place_only() -> None:
    vault = Vault(key("a", 1))
    sealed = vault.seal(b"sk-secret", context="providers:fal")
    assert b"sk-secret" not in sealed
    assert vault.open(sealed, context="providers:fal") == b"sk-secret"
    with pytest.raises(SealBroken):
        vault.open(sealed, context="providers:openai")


def test_old_keys_still_open_after_a_rotation() -> None:
    sealed = Vault(key("a", 1)).seal(b"x", context="c")
    rotated = Vault(f"{key('b', 2)},{key('a', 1)}")
    assert rotated.open(sealed, context="c") == b"x"
    assert rotated.seal(b"y", context="c")[2:3] == b"b"
    with pytest.raises(SealBroken, match="not in SECRET_KEYS"):
        Vault(key("b", 2)).open(sealed, context="c")


@pytest.mark.hazard("U7")
def test_malformed_ciphertext_is_an_error_and_never_plain_text() -> None:
    vault = Vault(key("a", 1))
    sealed = vault.seal(b"sk-secret", context="c")
    damaged = [
        sealed[:position] + b"\x00" + sealed[position + 1 :] for position in (0, 1, 2, 9, 20)
    ]
    for value in (b"", b"sk-secret", b"1", sealed[:-1], sealed[:5], sealed + b"x", *damaged):
        with pytest.raises(SealBroken):
            vault.open(value, context="c")
