"""What rawtrace reads from X.509 certificates; ``profiles`` makes them.

rawtrace's own object identifiers, all under ``ARC``:

========================== ============================================================
``ARC.1.1`` ... ``ARC.1.4`` policy: the signer is an instrument, a workstation, a
                           repository, or self-certified
``ARC.2.1``, ``ARC.2.2``   policy: the key is kept in software, in hardware
``ARC.3``                  extension, not critical: OCTET STRING of 32 bytes, the SHA-256
                           of the identity's record file (``instrument.json``)
``ARC.4.1``                policy of time stamps: the server's clock, checked against going
                           back, to one second
========================== ============================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from rawtrace.errors import CertificateError
from rawtrace.trust.keys import Protection

#: Own arc, made from a UUID as ITU-T X.667 allows.
ARC = "2.25.188821709947050430882080198101075704849"
EKU_DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36"
EKU_TRUST_LIST_SIGNING = "0.4.0.2231.3.0"
RECORD_DIGEST_EXTENSION = f"{ARC}.3"
TIME_STAMP_POLICY = f"{ARC}.4.1"

MAX_CHAIN = 4
MAX_CHAIN_BYTES = 65_536
_BROKEN = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class SignerKind(StrEnum):
    """What a certificate lets its holder sign; each kind has its own profile."""

    INSTRUMENT = "instrument"
    WORKSTATION = "workstation"
    REPOSITORY = "repository"
    SELF = "self"


KIND_OIDS = {
    SignerKind.INSTRUMENT: f"{ARC}.1.1",
    SignerKind.WORKSTATION: f"{ARC}.1.2",
    SignerKind.REPOSITORY: f"{ARC}.1.3",
    SignerKind.SELF: f"{ARC}.1.4",
}
PROTECTION_OIDS = {Protection.SOFTWARE: f"{ARC}.2.1", Protection.HARDWARE: f"{ARC}.2.2"}


def signer_kind(certificate: x509.Certificate) -> SignerKind | None:
    """Return the signer kind that the certificate's policies state; ``None`` if none or several."""
    stated = _policies(certificate)
    found = [kind for kind, oid in KIND_OIDS.items() if oid in stated]
    return found[0] if len(found) == 1 else None


def key_protection(certificate: x509.Certificate) -> Protection | None:
    """Return the key protection that the certificate's policies state; ``None`` if none or several."""
    stated = _policies(certificate)
    found = [protection for protection, oid in PROTECTION_OIDS.items() if oid in stated]
    return found[0] if len(found) == 1 else None


def pid_of(certificate: x509.Certificate) -> str:
    """Return the PID, which is the one URI among the alternative names; empty if none or several."""
    names = _extension(certificate, x509.SubjectAlternativeName)
    uris = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    return uris[0] if len(uris) == 1 else ""


def record_digest_of(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of the identity's record that is bound in; empty if there is none."""
    oid = x509.ObjectIdentifier(RECORD_DIGEST_EXTENSION)
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except (x509.ExtensionNotFound, *_BROKEN):
        return b""
    data = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    return data[2:] if len(data) == 34 and data.startswith(b"\x04\x20") else b""


def subject_key_id(certificate: x509.Certificate) -> bytes:
    """Return the subject key identifier; empty if the certificate has none."""
    found = _extension(certificate, x509.SubjectKeyIdentifier)
    return found.digest if found is not None else b""


def name_of(certificate: x509.Certificate) -> str:
    """Return the subject's common name; empty if it has none."""
    try:
        attributes = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError:
        return ""
    return str(attributes[0].value) if attributes else ""


def name_space_of(certificate: x509.Certificate) -> str:
    """Return the host that an issuing certificate is limited to; empty if it is not limited."""
    constraints = _extension(certificate, x509.NameConstraints)
    permitted = constraints.permitted_subtrees if constraints is not None else None
    uris = [name.value for name in permitted or () if isinstance(name, x509.UniformResourceIdentifier)]
    return uris[0] if uris else ""


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether ``issuer`` is named as the issuer and its key made the signature; no more than that."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def to_pem(chain: Sequence[x509.Certificate]) -> bytes:
    """Write certificates as PEM, one after the other."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)


def read_pem(data: bytes, *, what: str) -> tuple[x509.Certificate, ...]:
    """Read 1 to 4 PEM certificates.

    Raises
    ------
    CertificateError
        Too large, none or too many in it, or not certificates at all.
    """
    if len(data) > MAX_CHAIN_BYTES:
        msg = f"{what} is {len(data)} bytes; at most {MAX_CHAIN_BYTES} are accepted"
        raise CertificateError(msg)
    try:
        chain = tuple(x509.load_pem_x509_certificates(data))
    except (ValueError, x509.InvalidVersion) as error:
        msg = f"{what} does not hold certificates in PEM form"
        raise CertificateError(msg) from error
    if len(chain) > MAX_CHAIN:
        msg = f"{what} holds {len(chain)} certificates; at most {MAX_CHAIN} are accepted"
        raise CertificateError(msg)
    return chain


def _policies(certificate: x509.Certificate) -> frozenset[str]:
    found = _extension(certificate, x509.CertificatePolicies)
    return frozenset(policy.policy_identifier.dotted_string for policy in found or ())


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return one extension; a certificate that cannot be parsed in full states nothing."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, *_BROKEN):
        return None
