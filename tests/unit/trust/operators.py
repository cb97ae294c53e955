"""Made for the tests of trust lists: an operator with a root, and what a forger can do with a key of their own."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from rawtrace.trust.certificates import EKU_DOCUMENT_SIGNING, EKU_TRUST_LIST_SIGNING
from rawtrace.trust.jws import fingerprint  # noqa: F401  for the tests
from rawtrace.trust.keys import Algorithm, FileKey, generate
from rawtrace.trust.trustlist import Anchor, Purpose, StatusRecord, build_list, sign_list

ISSUED = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def make_certificate(
    name: str,
    key: FileKey,
    *,
    issuer: tuple[x509.Certificate, FileKey] | None = None,
    ca: bool = False,
    eku: tuple[str, ...] = (),
    path_length: int | None = None,
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    start: datetime = ISSUED - 10 * DAY,
    end: datetime = ISSUED + 400 * DAY,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if eku:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([x509.ObjectIdentifier(oid) for oid in eku]), critical=False
        )
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    signer = (issuer[1] if issuer else key).issuing_key()
    hashing = hashes.SHA256() if (issuer[1] if issuer else key).algorithm is Algorithm.ES256 else None
    return builder.sign(signer, hashing)


class Operator:
    """A root, an operator under it, and an instrument under the same root."""

    def __init__(self, algorithm: Algorithm = Algorithm.ED25519, name: str = "Example University") -> None:
        self.root_key, self.key, self.instrument_key = (generate(algorithm) for _ in range(3))
        self.root = make_certificate(f"{name} root", self.root_key, ca=True)
        above = (self.root, self.root_key)
        self.certificate = make_certificate(f"{name} list", self.key, issuer=above, eku=(EKU_TRUST_LIST_SIGNING,))
        self.instrument = make_certificate("Gel imager", self.instrument_key, issuer=above, eku=(EKU_DOCUMENT_SIGNING,))
        self.root_id = x509.SubjectKeyIdentifier.from_public_key(self.root_key.public_key()).digest

    def payload(self, **changes: Any) -> bytes:
        values: dict[str, Any] = {
            "name": "Example University instruments",
            "operator": "Example University",
            "sequence": 3,
            "issued": ISSUED,
            "next_update": ISSUED + 30 * DAY,
            "anchors": [Anchor(certificate=self.root, purpose=Purpose.SIGNING, name="Core facility", since=ISSUED)],
            "statuses": [self.status(0x1A2B)],
        }
        return build_list(**(values | changes))

    def status(self, serial: int, **changes: Any) -> StatusRecord:
        values: dict[str, Any] = {
            "serial": serial,
            "authority_key_id": self.root_id,
            "reason": "keyCompromise",
            "revoked_at": ISSUED,
            "compromised_from": ISSUED - DAY,
            "note": "the disk was copied",
        }
        return StatusRecord(**(values | changes))

    def sign(self, payload: bytes) -> bytes:
        return sign_list(payload, key=self.key, chain=[self.certificate, self.root])


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def x5c(*chain: x509.Certificate) -> list[str]:
    return [base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode() for one in chain]


def forge(header: dict[str, Any] | bytes, payload: bytes, key: FileKey) -> bytes:
    """Sign anything under any header, as somebody with a key of their own can."""
    written = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = b64(written) + b"." + b64(payload)
    return signing_input + b"." + b64(key.sign(signing_input))
