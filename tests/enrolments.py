"""What the tests of enrolment share: records, keys, requests and makers of devices."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from rawtrace.trust import enrolment, estforms, keys
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.instruments import new_record
from rawtrace.trust.keys import Algorithm, SigningKey

OWNER = "https://ror.org/0exampe44"
PID = "https://hdl.handle.net/20.500.12345/widefield"
OTHER = "https://hdl.handle.net/20.500.12345/confocal"
EST = "/.well-known/est"


def record(pid: str = PID, kind: SignerKind = SignerKind.INSTRUMENT, **fields: Any) -> dict[str, Any]:
    made = {"manufacturer": "Example Optics", "model": "WF 100"} if kind is SignerKind.INSTRUMENT else {}
    return new_record(kind=kind, **({"name": "Widefield 1", "owner": OWNER, "pid": pid} | made | fields))


def grant(pid: str = PID, kind: SignerKind = SignerKind.INSTRUMENT, **fields: Any) -> enrolment.Grant:
    return enrolment.Grant(pid=pid, kind=kind, record=record(pid, kind, **fields))


def key(algorithm: Algorithm = Algorithm.ED25519) -> SigningKey:
    return keys.generate(algorithm)


def der(csr: x509.CertificateSigningRequest) -> bytes:
    return csr.public_bytes(Encoding.DER)


def ask(asked: enrolment.Grant, signer: SigningKey) -> bytes:
    """A body of ``simpleenroll``."""
    return estforms.to_base64(der(enrolment.make_csr(asked, signer)))


def basic(pid: str, code: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{pid}:{code}".encode()).decode()}


def leaf_of(response: Any) -> x509.Certificate:
    (leaf,) = estforms.read_certificates(response.content, what="the answer")
    return leaf


def plain_csr(
    signer: SigningKey, *extensions: x509.ExtensionType, name: str = "anybody"
) -> x509.CertificateSigningRequest:
    """A request as other people's programs make them."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    private = signer.issuing_key()
    return builder.sign(private, None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256())


class Maker:
    """A maker of instruments, who gives each a certificate of its own."""

    def __init__(self, name: str = "Example Optics", *, is_authority: bool = True) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._made(name, None, self._key.public_key(), authority=is_authority)

    @property
    def sha256(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    def device(self, serial: str, public: Any, **options: Any) -> x509.Certificate:
        return self._made("device", serial, public, **options)

    def _made(
        self, name: str, serial: str | None, public: Any, *, authority: bool = False, days: int = 3650, more: Any = ()
    ) -> x509.Certificate:
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if serial:
            attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
        now = datetime.now(UTC).replace(microsecond=0)
        issuer = self.certificate.subject if serial is not None else x509.Name(attributes)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(attributes))
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=3 if days > 0 else 30))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())
