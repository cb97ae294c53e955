"""Certificates made by hand: good by default, bad in exactly the way that is asked for. And a time stamp authority."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.instruments import new_record, record_bytes

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ARC = "2.25.188821709947050430882080198101075704849"
INSTRUMENT, WORKSTATION, REPOSITORY, SELF = (f"{ARC}.1.{number}" for number in (1, 2, 3, 4))
SOFTWARE, HARDWARE = f"{ARC}.2.1", f"{ARC}.2.2"
DOCUMENT_SIGNING, SERVER_AUTH = "1.3.6.1.5.5.7.3.36", "1.3.6.1.5.5.7.3.1"
TIME_STAMPING, LIST_SIGNING = "1.3.6.1.5.5.7.3.8", "0.4.0.2231.3.0"
#: A made-up organisation with valid check digits.
OWNER = "https://ror.org/0exampe44"
PID = "https://hdl.handle.net/20.500.12345/forged-scope"


#: The PIDINST record that every certificate of the forged instrument binds.
RECORD = record_bytes(
    new_record(
        kind=SignerKind.INSTRUMENT,
        name="Forged Scope",
        owner=OWNER,
        owner_name="Example University",
        manufacturer="Example Optics",
        model="Widefield 1",
        serial="SN-0002",
        pid=PID,
    )
)


@dataclass(frozen=True)
class Party:
    """A name, a key and a certificate, and the certificates above it."""

    certificate: x509.Certificate
    private: Any
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER, leaf first, no root."""
        found = (self.certificate, *self.above)
        return tuple(der(one) for one in found if one.subject != one.issuer or one is self.certificate)

    @property
    def key_id(self) -> bytes:
        return x509.SubjectKeyIdentifier.from_public_key(self.private.public_key()).digest


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def certify(
    name: str,
    issuer: Party | None = None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    usage: str | None = None,
    policies: Sequence[str] = (),
    pid: str = "",
    record: bytes = b"",
    start: datetime = NOW - 30 * DAY,
    end: datetime = NOW + 300 * DAY,
    constraints: x509.NameConstraints | None = None,
    private: Any = None,
    organisation: str = "",
) -> Party:
    """Issue one certificate; a leaf for document signing unless it is an authority's (``ca``)."""
    private = private or ed25519.Ed25519PrivateKey.generate()
    signing = issuer.private if issuer else private
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            *([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation)] if organisation else []),
        ]
    )
    certifies = ca
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, path_length if ca else None), critical=True)
        .add_extension(
            x509.KeyUsage(not certifies, False, False, False, False, certifies, certifies, False, False), critical=True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )
    usage = usage or (None if ca else DOCUMENT_SIGNING)
    if usage:
        extension = x509.ExtendedKeyUsage([x509.ObjectIdentifier(usage)])
        builder = builder.add_extension(extension, critical=usage == TIME_STAMPING)
    if issuer:
        builder = builder.add_extension(x509.AuthorityKeyIdentifier(issuer.key_id, None, None), critical=False)
    if policies:
        stated = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in policies]
        builder = builder.add_extension(x509.CertificatePolicies(stated), critical=False)
    if pid:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(pid)])
        builder = builder.add_extension(names, critical=False)
    if record:
        digest = x509.UnrecognizedExtension(x509.ObjectIdentifier(f"{ARC}.3"), b"\x04\x20" + _sha256(record))
        builder = builder.add_extension(digest, critical=False)
    if constraints:
        builder = builder.add_extension(constraints, critical=True)
    algorithm = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    above = (issuer.certificate, *issuer.above) if issuer else ()
    return Party(builder.sign(signing, algorithm), private, above)


def instrument(issuer: Party, **changes: Any) -> Party:
    """An instrument with a software key, certified by ``issuer``."""
    options: dict[str, Any] = {"policies": (INSTRUMENT, SOFTWARE), "pid": PID, "record": RECORD}
    return certify("Forged Scope", issuer, **(options | changes))


def workstation(issuer: Party, **changes: Any) -> Party:
    return instrument(issuer, **({"policies": (WORKSTATION, SOFTWARE)} | changes))


class StampAuthority:
    """Stamps anything with any time."""

    def __init__(self, name: str = "Example Time", **changes: Any) -> None:
        self.root = certify(f"{name} root", ca=True, private=ec.generate_private_key(ec.SECP256R1()))
        options = {"usage": TIME_STAMPING, "private": ec.generate_private_key(ec.SECP256R1())}
        self.leaf = certify(f"{name} stamps", self.root, **(options | changes))

    def token(self, message: bytes, time: datetime) -> bytes:
        """DER ``TimeStampToken`` over a message (RFC 3161)."""
        certificate = asn1_x509.Certificate.load(der(self.leaf.certificate))
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.3.6.1.4.1.99999.1",
                "message_imprint": {
                    "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
                    "hashed_message": hashlib.sha256(message).digest(),
                },
                "serial_number": int.from_bytes(os.urandom(8), "big"),
                "gen_time": time,
                "accuracy": {"seconds": 1},
            }
        ).dump()
        named = hashlib.sha256(der(self.leaf.certificate)).digest()
        attributes = cms.CMSAttributes(
            [
                {"type": "content_type", "values": ["tst_info"]},
                {"type": "message_digest", "values": [hashlib.sha256(info).digest()]},
                {
                    "type": "signing_certificate_v2",
                    "values": [tsp.SigningCertificateV2({"certs": [{"cert_hash": named}]})],
                },
            ]
        )
        signer = {
            "version": "v1",
            "sid": {
                "issuer_and_serial_number": {
                    "issuer": certificate.issuer,
                    "serial_number": certificate.serial_number,
                }
            },
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self.leaf.private.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        signed = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info)},
            "certificates": [certificate],
            "signer_infos": [signer],
        }
        return bytes(cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)}).dump())


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
