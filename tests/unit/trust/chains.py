"""Makes certificate chains for tests: good by default, bad in exactly the way that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from rawtrace.trust.anchors import Anchor, Purpose, StatusRecord, TrustList

START, NOW, END = (datetime(year, 1, 1, tzinfo=UTC) for year in (2024, 2026, 2034))
DOCUMENT_SIGNING, CLAIM_SIGNING = "1.3.6.1.5.5.7.3.36", "1.3.6.1.4.1.62558.2.1"
EMAIL, TIME_STAMPING, OCSP = "1.3.6.1.5.5.7.3.4", "1.3.6.1.5.5.7.3.8", "1.3.6.1.5.5.7.3.9"
ANY, SERVER_AUTH, CODE_SIGNING = "2.5.29.37.0", "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.3"
UNSET: Any = object()


@dataclass(frozen=True)
class Party:
    name: x509.Name
    key: Any
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


def named(common: str, *more: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    pairs = [*more, (NameOID.COMMON_NAME, common)]
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in pairs])


def usages(*on: str) -> x509.KeyUsage:
    every = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: name in on for name in every})


def make(
    name: str | x509.Name,
    issuer: Party | None = None,
    *,
    ca: bool = False,
    pathlen: int | None = None,
    basic: bool = True,
    eku: Sequence[str] | None = UNSET,
    eku_critical: bool = False,
    usage: x509.KeyUsage | None = UNSET,
    start: datetime = START,
    end: datetime = END,
    key: Any = None,
    sign_with: Any = None,
    algorithm: Any = UNSET,
    serial: int | None = None,
    names: Sequence[x509.GeneralName] = (),
    constraints: x509.NameConstraints | None = None,
    constraints_critical: bool = True,
    aki: bytes | None = UNSET,
    ski: bool = True,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    padding: Any = None,
) -> Party:
    key = key or ed25519.Ed25519PrivateKey.generate()
    subject = named(name) if isinstance(name, str) else name
    signing = sign_with or (issuer.key if issuer else key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    if basic:
        builder = builder.add_extension(x509.BasicConstraints(ca, pathlen if ca else None), critical=True)
    if usage is UNSET:
        usage = usages("key_cert_sign", "crl_sign") if ca else usages("digital_signature")
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    if eku is UNSET:
        eku = None if ca else [DOCUMENT_SIGNING]
    if eku is not None:
        oids = [x509.ObjectIdentifier(oid) for oid in eku]
        builder = builder.add_extension(x509.ExtendedKeyUsage(oids), critical=eku_critical)
    if ski:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    if issuer and aki is not None:
        digest = key_id(issuer) if aki is UNSET else aki
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(digest, None, None), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if constraints:
        builder = builder.add_extension(constraints, critical=constraints_critical)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    if algorithm is UNSET:
        algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Party(subject, key, builder.sign(signing, algorithm, rsa_padding=padding))


def key_id(party: Party) -> bytes:
    return x509.SubjectKeyIdentifier.from_public_key(party.key.public_key()).digest


def patched(party: Party, old: bytes, new: bytes) -> bytes:
    """DER with one piece replaced by another of the same length; the signature no longer fits."""
    assert len(old) == len(new)
    assert party.der.count(old) >= 1
    return party.der.replace(old, new)


def anchor(
    party: Party,
    purpose: Purpose = Purpose.SIGNING,
    *,
    granted: bool = True,
    since: datetime | None = None,
) -> Anchor:
    return Anchor(
        certificate=party.certificate, purpose=purpose, name="Example authority", granted=granted, since=since
    )


def listing(*anchors: Anchor, name: str = "Example list", statuses: Sequence[StatusRecord] = ()) -> TrustList:
    return TrustList(
        name=name, operator="Example operator", sequence=1, issued=START, anchors=anchors, statuses=tuple(statuses)
    )
