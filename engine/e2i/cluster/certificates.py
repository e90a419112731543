"""Makes certificates for a local cluster. In: a folder. Out: an authority, one certificate that it signed, its key.

Anybody who has the certificate and its key can run code on every node, so the files are for their owner alone. The key
of the authority is not kept: the authority signs nothing else.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from e2i.regular import open_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, Name

VALID = datetime.timedelta(days=30)
EARLY = datetime.timedelta(minutes=5)
"""Certificates are valid a little earlier than now: clocks of machines differ."""
CA, CERT, KEY = "ca.pem", "cert.pem", "key.pem"


class Certificates(Struct, frozen=True):
    """Paths of the files."""

    ca: Path
    cert: Path
    key: Path


def make(folder: Path, now: datetime.datetime) -> Certificates:
    """Writes new certificates into the folder, which are valid for 30 days."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def named(name: str) -> Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    own = named("e2i cluster authority")
    authority = _signed(own, own, authority_key, authority_key, now)
    cert = _signed(named("e2i cluster"), authority.subject, key, authority_key, now)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, content in ((CA, authority.public_bytes(pem)), (CERT, cert.public_bytes(pem)), (KEY, secret)):
        (folder / name).unlink(missing_ok=True)
        with os.fdopen(open_private(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(content)
    return Certificates(folder / CA, folder / CERT, folder / KEY)


def _signed(
    subject: Name,
    issuer: Name,
    key: EllipticCurvePrivateKey,
    signer: EllipticCurvePrivateKey,
    now: datetime.datetime,
) -> Certificate:
    """Returns a certificate of a key; of an authority, if it signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(now + VALID)
        .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
        .sign(signer, hashes.SHA256())
    )
