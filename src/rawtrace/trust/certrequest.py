"""A request for a certificate: what somebody wants certified, as a file to carry to an authority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from rawtrace import strictjson
from rawtrace.errors import MalformedError
from rawtrace.trust import instruments
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.keys import Protection, SigningKey

REQUEST_SCHEMA = "urn:rawtrace:schema:certificate-request:1"
MAX_REQUEST_BYTES = 131_072


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody wants certified; ``make_request`` makes it.

    Attributes
    ----------
    csr : x509.CertificateSigningRequest
        Proves that the sender holds the private key; its subject counts for nothing.
    protection : Protection
        As the sender says: the authority's own staff must see the token to know it.
    """

    kind: SignerKind
    record: Mapping[str, Any]
    csr: x509.CertificateSigningRequest
    protection: Protection


def make_request(kind: SignerKind, record: Mapping[str, Any], key: SigningKey) -> Request:
    """Ask for a certificate: the record, and proof that ``key`` is at hand."""
    private = key.issuing_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, record["name"])])
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .sign(private, None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return Request(kind=kind, record=record, csr=csr, protection=key.protection)


def write_request(request: Request) -> bytes:
    """Write a request as a file to carry to an authority; it holds no secret."""
    return strictjson.dumps(
        {
            "schema": REQUEST_SCHEMA,
            "kind": request.kind.value,
            "protection": request.protection.value,
            "record": dict(request.record),
            "csr": request.csr.public_bytes(serialization.Encoding.PEM).decode("ascii"),
        }
    )


def read_request(data: bytes, *, what: str) -> Request:
    """Read a request that somebody handed in; ``issue`` checks it.

    Raises
    ------
    LimitError, MalformedError, IdentityRecordError
    """
    value = strictjson.loads(data, what=what, max_bytes=MAX_REQUEST_BYTES)
    try:
        if value["schema"] != REQUEST_SCHEMA:
            raise ValueError(value["schema"])
        kind = SignerKind(value["kind"])
        protection = Protection(value["protection"])
        csr = x509.load_pem_x509_csr(value["csr"].encode("ascii"))
    except (KeyError, TypeError, ValueError, AttributeError, x509.InvalidVersion) as error:
        msg = f"{what} is not a request for a certificate of the version that this rawtrace knows"
        raise MalformedError(msg, hint="make one: rawtrace instrument request DIR FILE") from error
    instruments.check_record(value.get("record"), kind)
    return Request(kind=kind, record=value["record"], csr=csr, protection=protection)
