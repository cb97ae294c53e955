"""What one certificate must be, wherever it stands in a path.

Each rule returns problems and never raises: certificates come from strangers.
The rules of the path as a whole (links, lengths, constraints) are in
``trust.path`` and ``trust.nameconstraints``.

References: RFC 5280 (certificates), RFC 3161 §2.3 (time-stamping
certificates), C2PA 2.2 §14 (credentials: algorithms, key sizes, key usages).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, SignatureAlgorithmOID

from rawtrace.trust.anchors import Purpose
from rawtrace.trust.certfacts import ODD, Facts

_MAX_SERIAL_BYTES = 20
_MIN_RSA_BITS, _MAX_RSA_BITS = 2_048, 16_384
_MIN_RSA_EXPONENT = 65_537

ANY_EKU = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
_C2PA_CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
#: Which extended key usages let a certificate be used for what.
ALLOWED_EKU = {
    Purpose.SIGNING: frozenset({_DOCUMENT_SIGNING, _C2PA_CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION}),
    Purpose.IDENTITY: frozenset({_DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION}),
    Purpose.TIMESTAMP: frozenset({ExtendedKeyUsageOID.TIME_STAMPING}),
}
_NEVER_MIXED = frozenset({ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.OCSP_SIGNING})
_SIGNATURES = frozenset(
    {
        SignatureAlgorithmOID.ED25519,
        SignatureAlgorithmOID.ECDSA_WITH_SHA256,
        SignatureAlgorithmOID.ECDSA_WITH_SHA384,
        SignatureAlgorithmOID.ECDSA_WITH_SHA512,
        SignatureAlgorithmOID.RSA_WITH_SHA256,
        SignatureAlgorithmOID.RSA_WITH_SHA384,
        SignatureAlgorithmOID.RSA_WITH_SHA512,
    }
)
_HASHES = frozenset({"sha256", "sha384", "sha512"})
# Policy constraints, policy mappings and inhibit-any-policy are left out on
# purpose: we process none of them, so a critical one must be refused.
_UNDERSTOOD = frozenset(
    {
        x509.BasicConstraints.oid,
        x509.KeyUsage.oid,
        x509.ExtendedKeyUsage.oid,
        x509.NameConstraints.oid,
        x509.SubjectAlternativeName.oid,
        x509.CertificatePolicies.oid,
        x509.AuthorityKeyIdentifier.oid,
        x509.SubjectKeyIdentifier.oid,
    }
)


@dataclass(frozen=True, slots=True)
class PathProblem:
    """One reason not to trust a path.

    Attributes
    ----------
    code : str
        Stable name in kebab-case; all are listed at ``rawtrace.trust.path.validate_path``.
    message : str
        One sentence, lower case.
    """

    code: str
    message: str


class Role(StrEnum):
    """Where a certificate stands in a path; the value is how messages call it."""

    LEAF = "the signer's certificate"
    ISSUER = "the authority's certificate"
    ANCHOR = "the listed certificate"


def general_problems(facts: Facts, role: Role, *, at: datetime, signature_matters: bool) -> Iterator[PathProblem]:
    """Apply what every certificate of a path must meet.

    Parameters
    ----------
    facts, role
        The certificate and its place.
    at : datetime
        The time it must be valid at; aware.
    signature_matters : bool
        False for a certificate that the list itself names: its own signature proves nothing.
    """
    who = f"{role} ({facts.label})"
    if facts.fault:
        yield PathProblem("malformed-certificate", f"{who} does not follow RFC 5280: {facts.fault} cannot be read")
    yield from _version_and_serial(facts, who)
    yield from _validity(facts, role, who, at)
    yield from _algorithms(facts, who, signature_matters=signature_matters)
    # RFC 5280 §6.1.4(o) and §6.1.5(f).
    for extension in facts.extensions or ():
        if extension.critical and extension.oid not in _UNDERSTOOD:
            said = f"{who} has a critical extension that is not understood: {extension.oid.dotted_string}"
            yield PathProblem("unknown-critical-extension", said)


def leaf_problems(facts: Facts, purpose: Purpose) -> Iterator[PathProblem]:
    """Apply C2PA 2.2 §14 (or RFC 3161 §2.3 for time stamps) to the certificate that signed."""
    if facts.extensions is None:
        return
    who = f"{Role.LEAF} ({facts.label})"
    basic = facts.extension(x509.BasicConstraints)
    if basic is not None and basic.value.ca:
        yield PathProblem("leaf-is-authority", f"{who} is an authority's, which signs certificates and never data")
    usage = facts.extension(x509.KeyUsage)
    may_sign = usage is not None and (
        usage.value.digital_signature or (purpose is Purpose.TIMESTAMP and usage.value.content_commitment)
    )
    if not may_sign:
        yield PathProblem("no-digital-signature", f"{who} lacks the key usage digitalSignature")
    # RFC 5280 §4.2.1.9: keyCertSign without the CA flag contradicts itself.
    if usage is not None and usage.value.key_cert_sign and not (basic is not None and basic.value.ca):
        yield PathProblem("leaf-may-certify", f"{who} has the key usage keyCertSign without being an authority's")
    # RFC 5280 §4.2.1.1: without it a status record could not be told to be about this certificate.
    if not facts.self_issued and facts.extension(x509.AuthorityKeyIdentifier) is None:
        yield PathProblem("no-authority-key-id", f"{who} does not name its issuer's key (authority key identifier)")
    yield from _leaf_eku(facts, who, purpose)


def issuer_problems(facts: Facts, role: Role) -> Iterator[PathProblem]:
    """Apply RFC 5280 §6.1.4(k) and (n): only an authority's certificate issues others."""
    if facts.extensions is None:
        return
    who = f"{role} ({facts.label})"
    basic = facts.extension(x509.BasicConstraints)
    if basic is None or not basic.value.ca:
        yield PathProblem("issuer-not-authority", f"{who} may not issue certificates: it is no authority's (CA: false)")
    usage = facts.extension(x509.KeyUsage)
    # An old root may have no key usages at all; whoever listed it has looked at it (RFC 5280 §6.1.4(n): "if present").
    if usage is None and role is Role.ANCHOR:
        return
    if usage is None or not usage.value.key_cert_sign:
        yield PathProblem("issuer-may-not-certify", f"{who} lacks the key usage keyCertSign")


def _leaf_eku(facts: Facts, who: str, purpose: Purpose) -> Iterator[PathProblem]:
    extension = facts.extension(x509.ExtendedKeyUsage)
    if extension is None:
        yield PathProblem("no-extended-key-usage", f"{who} does not say what it is for (extended key usage)")
        return
    usages = frozenset(extension.value)
    if ANY_EKU in usages:
        yield PathProblem("any-extended-key-usage", f"{who} is for any use at all, which is refused")
    if purpose is Purpose.TIMESTAMP:
        if usages != ALLOWED_EKU[purpose] or not extension.critical:
            said = f"{who} must have timeStamping as its only extended key usage, marked critical"
            yield PathProblem("not-for-this-use", said)
        return
    if not usages & ALLOWED_EKU[purpose]:
        yield PathProblem("not-for-this-use", f"{who} is not for signing documents or C2PA claims")
    # C2PA 2.2 §14: time stamps and OCSP answers are signed by keys that do nothing else.
    # Other, unrelated usages do not matter to C2PA and do not here.
    if usages & _NEVER_MIXED:
        said = f"{who} is also for time stamps or OCSP answers, which must not be mixed with signing"
        yield PathProblem("mixed-extended-key-usage", said)


def _version_and_serial(facts: Facts, who: str) -> Iterator[PathProblem]:
    try:
        version = facts.certificate.version
    except ODD:
        version = None
    if version is not x509.Version.v3:
        yield PathProblem("not-version-3", f"{who} is not an X.509 version 3 certificate")
    # RFC 5280 §4.1.2.2.
    if facts.serial is not None and not 0 < facts.serial < 1 << (8 * _MAX_SERIAL_BYTES):
        yield PathProblem("bad-serial", f"{who} has a serial number that RFC 5280 forbids")


def _validity(facts: Facts, role: Role, who: str, at: datetime) -> Iterator[PathProblem]:
    if facts.not_before is None or facts.not_after is None:
        return
    kind = {Role.LEAF: "certificate", Role.ISSUER: "issuer", Role.ANCHOR: "anchor"}[role]
    if at < facts.not_before:
        yield PathProblem(f"{kind}-not-yet-valid", f"{who} is valid only from {facts.not_before:%Y-%m-%d %H:%M:%S} UTC")
    if at > facts.not_after:
        yield PathProblem(f"{kind}-expired", f"{who} was valid only until {facts.not_after:%Y-%m-%d %H:%M:%S} UTC")


def _algorithms(facts: Facts, who: str, *, signature_matters: bool) -> Iterator[PathProblem]:
    key: object
    try:
        key = facts.certificate.public_key()
    except ODD:
        key = None
    if not _strong(key):
        said = (
            f"{who} has a key that is not accepted; expected Ed25519, P-256, P-384, P-521 or RSA of 2048 bits or more"
        )
        yield PathProblem("weak-key", said)
    if signature_matters and not _accepted_signature(facts.certificate):
        said = f"{who} was signed with an algorithm that is not accepted; expected Ed25519, or ECDSA or RSA with SHA-2"
        yield PathProblem("weak-signature", said)


def _strong(key: object) -> bool:
    if isinstance(key, ed25519.Ed25519PublicKey):
        return True
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
    if isinstance(key, rsa.RSAPublicKey):
        # A tiny exponent makes signatures forgeable or trivial; FIPS 186-5 §A.1.1 asks for 65537 or more.
        return _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS and key.public_numbers().e >= _MIN_RSA_EXPONENT
    return False


def _accepted_signature(certificate: x509.Certificate) -> bool:
    try:
        if certificate.signature_algorithm_oid in _SIGNATURES:
            return True
        if certificate.signature_algorithm_oid != SignatureAlgorithmOID.RSASSA_PSS:
            return False
        used = certificate.signature_hash_algorithm
        return used is not None and used.name in _HASHES
    except ODD:
        return False
