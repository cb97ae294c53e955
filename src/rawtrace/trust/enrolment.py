"""What an authority may be asked for by somebody who is not in the same room, and by whom: decisions only, no I/O.

Four ways prove who asks. Each leads to one PID, and that PID alone is certified:

=============== ===========================================================================
``code``        a one-time code that an operator made for a registered record
``device``      the maker's device certificate (802.1AR), whose serial number an operator
                bound to a registered record; TLS proved that its key is at hand
``certificate`` the current certificate of this same authority; TLS proved its key
``token``       the instrument's bearer token, and a request signed by the certified key
=============== ===========================================================================

What the request itself says of its subject counts for nothing, and where it
names a PID, a kind of signer or a record, other ones are refused and never
quietly replaced.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import AttributeOID, ExtendedKeyUsageOID, NameOID

from rawtrace.errors import EnrolmentError, IdentityRecordError, KeyUnavailableError, MalformedError
from rawtrace.trust import certificates, identifiers, instruments, keys, register
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.certificates import KIND_OIDS, PROTECTION_OIDS, RECORD_DIGEST_EXTENSION, SignerKind
from rawtrace.trust.certrequest import Request
from rawtrace.trust.keys import Protection, SigningKey
from rawtrace.trust.register import Issued

MAX_CSR_BYTES = 8_192
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_CODE_LENGTH = 25
_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_MAX_SERIAL = 64
_BROKEN = (ValueError, TypeError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm)
_ASKED = frozenset({x509.SubjectAlternativeName.oid, x509.CertificatePolicies.oid})


class Basis(StrEnum):
    """What proved who asks."""

    CODE = "code"
    DEVICE = "device"
    CERTIFICATE = "certificate"
    TOKEN = "token"  # noqa: S105  a name, no token


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What may be certified.

    Attributes
    ----------
    pid : str
    kind : SignerKind
    record : Mapping[str, Any]
        The record that an operator registered.
    seen_in_token : bool
        Whether the authority's own staff has seen that the key is in a token.
    """

    pid: str
    kind: SignerKind
    record: Mapping[str, Any]
    seen_in_token: bool = False

    @property
    def record_sha256(self) -> bytes:
        """Digest of the record, as the certificate will bind it."""
        return instruments.record_digest(self.record)


# --- one-time codes -----------------------------------------------------------------------------------------------


def new_code() -> str:
    """Return a new one-time code of 125 random bits, in five groups that can be read out."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
    return "-".join(letters[start : start + 5] for start in range(0, _CODE_LENGTH, 5))


def clean_code(text: str) -> str:
    """Return a code as it was meant: capitals, no hyphens and blanks, ``O`` for zero; empty if it can be none."""
    if len(text) > 4 * _CODE_LENGTH:
        return ""
    meant = text.strip().upper().translate(_MISREAD)
    return meant if len(meant) == _CODE_LENGTH and set(meant) <= set(_ALPHABET) else ""


def code_digest(code: str, salt: str) -> str:
    """Return what is kept of a code; 125 random bits need no slow hash, for there is nothing to guess."""
    return hmac.new(bytes.fromhex(salt), clean_code(code).encode(), hashlib.sha256).hexdigest()


def code_fits(code: str, kept: Iterable[tuple[str, str]]) -> int:
    """Return which of some (salt, digest) pairs a code belongs to, -1 for none, in a time that does not tell."""
    found = -1
    for number, (salt, digest) in enumerate((*kept, ("00", "")), start=0):
        if hmac.compare_digest(code_digest(code, salt), digest) and clean_code(code):
            found = number
    return found


# --- the request --------------------------------------------------------------------------------------------------


def make_csr(grant: Grant, key: SigningKey) -> x509.CertificateSigningRequest:
    """Ask for what is granted; the key's signature is the proof of possession.

    A random challenge password makes two requests differ, so that the answer
    to a repeated one can be told from the answer to a new one.
    """
    private = key.issuing_key()
    oids = (KIND_OIDS[grant.kind], PROTECTION_OIDS[key.protection])
    policies = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    digest = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(RECORD_DIGEST_EXTENSION), b"\x04\x20" + grant.record_sha256
    )
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, grant.record["name"])]))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(grant.pid)]), critical=False)
        .add_extension(x509.CertificatePolicies(policies), critical=False)
        .add_extension(digest, critical=False)
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, secrets.token_hex(16).encode())
    )
    return builder.sign(private, None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def read_csr(der: bytes) -> x509.CertificateSigningRequest:
    """Read a PKCS#10 request and check what holds for every one: form, key, and the proof that the key is at hand.

    Raises
    ------
    MalformedError
        Not such a request, or larger than 8192 bytes.
    EnrolmentError
        Another kind of key than Ed25519 or P-256, or not signed by the key that it names.
    """
    if len(der) > MAX_CSR_BYTES:
        msg = f"the request is {len(der)} bytes; at most {MAX_CSR_BYTES} are accepted"
        raise MalformedError(msg)
    try:
        csr = x509.load_der_x509_csr(der)
        csr.extensions  # noqa: B018  reading is checking
        public = csr.public_key()
        csr.subject.rfc4514_string()
    except (*_BROKEN, x509.InvalidVersion) as error:
        msg = "that is not a PKCS#10 request for a certificate"
        raise MalformedError(msg) from error
    try:
        keys.algorithm_of(public)
    except KeyUnavailableError as error:
        raise EnrolmentError(error.message) from error
    try:
        signed = csr.is_signature_valid
    except _BROKEN:
        signed = False
    if not signed:
        msg = "the request is not signed by the key that it names, so nothing shows who holds that key"
        raise EnrolmentError(msg)
    return csr


def request_of(csr: x509.CertificateSigningRequest, grant: Grant) -> Request:
    """Return what is to be certified: the grant, with the request's key and nothing else of it.

    Raises
    ------
    EnrolmentError
        The request names another PID, another kind of signer or another record, or asks for more than there is.
    """
    unknown = [extension.oid.dotted_string for extension in csr.extensions if extension.oid not in _ASKED]
    unknown = [oid for oid in unknown if oid != RECORD_DIGEST_EXTENSION]
    if unknown:
        msg = f"the request asks for the extension {unknown[0]}, which is not granted to anybody"
        raise EnrolmentError(msg, hint="ask for a subject alternative name and policies at most")
    names = _asked(csr, x509.SubjectAlternativeName)
    if names is not None and list(names) != [x509.UniformResourceIdentifier(grant.pid)]:
        msg = f"the request names somebody else than {grant.pid}, whom it was made for"
        raise EnrolmentError(msg, hint="leave the alternative names out, or give this PID as the only one")
    stated = {policy.policy_identifier.dotted_string for policy in _asked(csr, x509.CertificatePolicies) or ()}
    odd = stated - {KIND_OIDS[grant.kind], *PROTECTION_OIDS.values()}
    if odd:
        msg = f"the request asks for the policy {min(odd)}; {grant.pid} is registered as {grant.kind}"
        raise EnrolmentError(msg)
    digest = _digest_asked(csr)
    if digest and not hmac.compare_digest(digest, grant.record_sha256):
        msg = f"the request is about another record of {grant.pid} than the one that is registered"
        raise EnrolmentError(msg, hint="fetch the record that is registered, and ask again with it")
    in_token = grant.seen_in_token and PROTECTION_OIDS[Protection.HARDWARE] in stated
    protection = Protection.HARDWARE if in_token else Protection.SOFTWARE
    return Request(kind=grant.kind, record=grant.record, csr=csr, protection=protection)


def csr_sha256(csr: x509.CertificateSigningRequest) -> str:
    """Return the SHA-256 of a request, hexadecimal."""
    return hashlib.sha256(csr.public_bytes(serialization.Encoding.DER)).hexdigest()


# --- who shows a certificate --------------------------------------------------------------------------------------


def device_of(certificate: x509.Certificate, makers: Sequence[x509.Certificate], *, at: datetime) -> tuple[str, str]:
    """Return SHA-256 of the maker's certificate and the serial number of the device that shows its certificate.

    Raises
    ------
    EnrolmentError
        No accepted maker signed it, it is not valid now, is an authority's itself, or names no serial number.
    """
    maker = next((one for one in makers if certificates.is_issued_by(certificate, one)), None)
    if maker is None:
        msg = "no maker that this store accepts signed the device certificate"
        raise EnrolmentError(msg, hint="the store's operator names the makers: enrolment.device_authorities")
    basic, usages = _of(certificate, x509.BasicConstraints), _of(certificate, x509.ExtendedKeyUsage)
    above, issues = _of(maker, x509.BasicConstraints), _of(maker, x509.KeyUsage)
    if above is None or not above.ca or (issues is not None and not issues.key_cert_sign):
        msg = "the certificate that signed the device certificate is no authority's"
        raise EnrolmentError(msg)
    if (basic is not None and basic.ca) or (usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usages):
        msg = "the device certificate is not for showing who its holder is"
        raise EnrolmentError(msg)
    for one in (certificate, maker):
        if not one.not_valid_before_utc <= at <= one.not_valid_after_utc:
            msg = "the device certificate, or its maker's, is not valid now"
            raise EnrolmentError(msg)
    try:
        found = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    except ValueError:
        found = []
    if len(found) != 1 or not 0 < len(str(found[0].value)) <= _MAX_SERIAL:
        msg = "the device certificate does not name one serial number (802.1AR, 8.6)"
        raise EnrolmentError(msg)
    return maker.fingerprint(hashes.SHA256()).hex(), str(found[0].value)


def current_of(
    certificate: x509.Certificate, issued: Sequence[Issued], statuses: Sequence[StatusRecord], *, at: datetime
) -> tuple[Issued, StatusRecord | None]:
    """Return what an authority wrote down of a certificate that somebody shows, and what stands against it.

    Only ``superseded`` may stand against it: such a certificate may still be
    renewed, with its own key. The caller decides whether that is so here.

    Raises
    ------
    EnrolmentError
        The authority did not issue exactly this certificate, it is not valid now, or it is revoked.
    """
    shown = certificate.fingerprint(hashes.SHA256())
    entry = next((item for item in issued if item.serial == certificate.serial_number), None)
    if (
        entry is None
        or x509.load_pem_x509_certificate(entry.certificate_pem.encode()).fingerprint(hashes.SHA256()) != shown
    ):
        msg = "this authority did not issue the certificate that is shown"
        raise EnrolmentError(msg)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        msg = f"the certificate of {entry.pid} ran out on {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise EnrolmentError(msg, hint="ask the store's operator for a new one-time code")
    status = next((one for one in statuses if one.serial == entry.serial), None)
    if status is not None and status.reason != "superseded":
        msg = f"the certificate of {entry.pid} is revoked, since {status.revoked_at:%Y-%m-%d}, for {status.reason}"
        raise EnrolmentError(msg, hint="ask the store's operator for a new one-time code")
    return entry, status


def grant_of(pid: str, kind: SignerKind, record: Mapping[str, Any], *, seen_in_token: bool = False) -> Grant:
    """Return a grant after checking that the record is sound and bears the PID.

    Raises
    ------
    EnrolmentError, IdentityRecordError
    """
    if kind is SignerKind.SELF:
        msg = "an authority certifies instruments, workstations and repositories; expected one of these"
        raise EnrolmentError(msg)
    instruments.check_record(record, kind)
    uri = identifiers.pid(pid)[0]
    if instruments.summary(record)["pid"] != uri:
        msg = f"the record is that of {instruments.summary(record)['pid']}, not of {uri}"
        raise IdentityRecordError(msg)
    return Grant(pid=uri, kind=kind, record=record, seen_in_token=seen_in_token)


def certificate_record(leaf: x509.Certificate, *, kind: SignerKind, authority: x509.Certificate) -> dict[str, Any]:
    """Return what the log says of a certificate; ``kind`` and ``v`` of the record are the log's to add."""
    return {
        "authority": certificates.name_of(authority),
        "authority_key": register.key_sha256(authority.public_key()),
        "certificate": leaf.fingerprint(hashes.SHA256()).hex(),
        "not_after": f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "not_before": f"{leaf.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ}",
        "pid": certificates.pid_of(leaf),
        "record": certificates.record_digest_of(leaf).hex(),
        "serial": f"{leaf.serial_number:x}",
        "signer": kind.value,
    }


def _asked(csr: x509.CertificateSigningRequest, kind: type[Any]) -> Any:
    try:
        return csr.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _digest_asked(csr: x509.CertificateSigningRequest) -> bytes:
    for extension in csr.extensions:
        if extension.oid.dotted_string == RECORD_DIGEST_EXTENSION:
            value = extension.value
            data = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
            # Something that is no digest fits no record.
            return data[2:] if len(data) == 34 and data.startswith(b"\x04\x20") else b"-"
    return b""


def _of(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except _BROKEN as error:
        msg = "the certificate that is shown does not follow RFC 5280"
        raise EnrolmentError(msg) from error


__all__ = [
    "MAX_CSR_BYTES", "Basis", "Grant", "certificate_record", "clean_code", "code_digest", "code_fits", "csr_sha256",
    "current_of", "device_of", "grant_of", "make_csr", "new_code", "read_csr", "request_of",
]  # fmt: skip
