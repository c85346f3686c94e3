"""A throw-away certificate authority, and the certificate it makes for this machine alone."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=30)
#: A certificate that ends sooner is replaced at the next start.
RENEWED_BEFORE_END = timedelta(days=7)

Extension = tuple[x509.ExtensionType, bool]  # with whether it is critical


@dataclass(frozen=True, slots=True)
class Certificate:
    """PEM files: what clients trust, and the chain and key (in one file) the server answers with.

    The authority's own key is not kept, so it can never vouch for anything else.
    """

    ca_file: Path
    server_file: Path


def certificate_in(folder: Path) -> Certificate:
    """The certificate kept in this folder for 127.0.0.1, ::1 and localhost, made where missing."""
    kept = Certificate(folder / "ca.pem", folder / "server.pem")
    if not _is_fresh(kept):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make(kept)
    return kept


def _is_fresh(kept: Certificate) -> bool:
    try:
        found = x509.load_pem_x509_certificate(kept.server_file.read_bytes())
        issuer = x509.load_pem_x509_certificate(kept.ca_file.read_bytes())
        found.verify_directly_issued_by(issuer)
    except (OSError, ValueError, TypeError):
        return False
    except Exception:  # the signature is another authority's: cryptography's InvalidSignature
        return False
    return found.not_valid_after_utc - datetime.now(UTC) > RENEWED_BEFORE_END


def _make(kept: Certificate) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    server_key = ec.generate_private_key(ec.SECP256R1())
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = _sign(
        "FunMagic simulators, throw-away authority",
        "FunMagic simulators, throw-away authority",
        authority_key.public_key(),
        authority_key,
        [
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(signs_certificates=True), True),
            (authority_id, False),
        ],
    )
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
        ]
    )
    server = _sign(
        "localhost",
        "FunMagic simulators, throw-away authority",
        server_key.public_key(),
        authority_key,
        [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_usage(signs_certificates=False), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
            (names, False),
            (
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id),
                False,
            ),
            (x509.SubjectKeyIdentifier.from_public_key(server_key.public_key()), False),
        ],
    )
    key = server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    kept.server_file.unlink(missing_ok=True)
    kept.server_file.touch(mode=0o600)
    kept.server_file.write_bytes(server.public_bytes(Encoding.PEM) + key)
    kept.ca_file.write_bytes(authority.public_bytes(Encoding.PEM))


def _sign(
    subject: str,
    issuer: str,
    public_key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    extensions: Sequence[Extension],
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ, even on one machine in time
        .not_valid_after(now + VALID)
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return builder.sign(signer, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
