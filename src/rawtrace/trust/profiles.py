"""Certificate profiles: what each kind of certificate holds, and making them.

Three levels, by RFC 5280: a *root*, kept offline; the *authority* under it
(path length 0), which issues; and *leaves*, one profile per signer kind, plus
the *operator* that signs the authority's trust list. Any mix of Ed25519 and
ECDSA P-256 keys is fine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from rawtrace.errors import CertificateError
from rawtrace.trust.certificates import (
    EKU_DOCUMENT_SIGNING,
    EKU_TRUST_LIST_SIGNING,
    KIND_OIDS,
    PROTECTION_OIDS,
    RECORD_DIGEST_EXTENSION,
    TIME_STAMP_POLICY,
    SignerKind,
    name_of,
    subject_key_id,
)
from rawtrace.trust.keys import IssuingKey, Protection, PublicKey

CLOCK_SKEW = timedelta(minutes=5)
ROOT_DAYS = 20 * 366
AUTHORITY_DAYS = 10 * 366
#: A key in a file can be copied unseen, so its certificate is short-lived; one in a token cannot.
LEAF_DAYS = {Protection.SOFTWARE: 366, Protection.HARDWARE: 3 * 366}
#: Nobody can revoke it, so it must run out soon.
OCSP_RESPONDER_DAYS = 30
MAX_NAME = 64
MAX_AUTHORITY_NAME = 48

_HOST = re.compile(r"\.?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PRINTABLE_STRING = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What a leaf certificate states about its holder.

    Attributes
    ----------
    kind : SignerKind
    protection : Protection
        What keeps the key from being copied.
    pid : str
        Persistent identifier, a URI; becomes the subject alternative name.
    name : str
        Common name, 1 to 64 characters.
    organisation : str
        Owner's name or ROR; left out of the subject when longer than 64 characters.
    record_sha256 : bytes
        Digest of the identity's record, 32 bytes.
    serial_number : str
        The maker's serial number; left out of the subject when X.520 has no
        form for it (over 64 characters, or outside PrintableString). The
        record, whose digest is bound in, always has it.
    """

    kind: SignerKind
    protection: Protection
    pid: str
    name: str
    organisation: str
    record_sha256: bytes
    serial_number: str = ""


def issue_root(*, name: str, organisation: str, key: IssuingKey, now: datetime) -> x509.Certificate:
    """Make a self-signed root, valid 20 years, for an authority called ``name``."""
    subject = _subject(f"{name} root", organisation)
    builder = _builder(subject, subject, key.public_key(), now, ROOT_DAYS)
    return _sign(_as_authority(builder, path_length=1), key)


def issue_authority(
    *,
    name: str,
    organisation: str,
    public_key: PublicKey,
    root: x509.Certificate,
    root_key: IssuingKey,
    now: datetime,
    name_space: str = "",
) -> x509.Certificate:
    """Make an issuing certificate under a root, valid 10 years, path length 0.

    Parameters
    ----------
    name_space : str
        Host that PIDs must have for this authority to certify them
        (``instruments.example.org``), or with a leading dot any host below it.
        Becomes a critical URI name constraint.

    Raises
    ------
    CertificateError
        Not a host name, or a name that is too long.
    """
    if not 1 <= len(name) <= MAX_AUTHORITY_NAME:
        msg = f"the authority's name has {len(name)} characters; 1 to {MAX_AUTHORITY_NAME} fit into a certificate"
        raise CertificateError(msg)
    builder = _builder(_subject(name, organisation), root.subject, public_key, now, AUTHORITY_DAYS, issuer=root)
    builder = _as_authority(builder, path_length=0)
    builder = builder.add_extension(_authority_key(root), critical=False)
    # RFC 5280 prunes every policy below a certificate that has none itself.
    anything = x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)
    builder = builder.add_extension(x509.CertificatePolicies([anything]), critical=False)
    if name_space:
        if len(name_space) > 253 or not _HOST.fullmatch(name_space):
            msg = f"{name_space!r} is not a host name in lower case, such as instruments.example.org"
            raise CertificateError(msg, hint="give the host of the PIDs alone, with no https:// and no path")
        constraint = x509.NameConstraints([x509.UniformResourceIdentifier(name_space)], None)
        builder = builder.add_extension(constraint, critical=True)
    return _sign(builder, root_key)


def issue_operator(
    *,
    name: str,
    organisation: str,
    public_key: PublicKey,
    issuer: x509.Certificate,
    issuer_key: IssuingKey,
    now: datetime,
) -> x509.Certificate:
    """Make the certificate that signs trust lists (ETSI's EKU for it, and no other use)."""
    subject = _subject(f"{name} trust list", organisation)
    builder = _builder(subject, issuer.subject, public_key, now, AUTHORITY_DAYS, issuer=issuer)
    return _sign(_as_leaf(builder, issuer, EKU_TRUST_LIST_SIGNING), issuer_key)


def issue_time_authority(
    *,
    name: str,
    organisation: str,
    public_key: PublicKey,
    issuer: x509.Certificate,
    issuer_key: IssuingKey,
    now: datetime,
) -> x509.Certificate:
    """Make the certificate of a time-stamping authority (RFC 3161 §2.3): timeStamping alone, marked critical."""
    builder = _builder(_subject(name, organisation), issuer.subject, public_key, now, AUTHORITY_DAYS, issuer=issuer)
    builder = _as_leaf(builder, issuer, ExtendedKeyUsageOID.TIME_STAMPING.dotted_string, critical=True)
    policy = x509.PolicyInformation(x509.ObjectIdentifier(TIME_STAMP_POLICY), None)
    return _sign(builder.add_extension(x509.CertificatePolicies([policy]), critical=False), issuer_key)


def issue_leaf(
    leaf: Leaf,
    *,
    public_key: PublicKey,
    issuer: x509.Certificate,
    issuer_key: IssuingKey,
    now: datetime,
    days: int | None = None,
    url: str = "",
) -> x509.Certificate:
    """Make the certificate of an instrument, a workstation or a repository.

    Parameters
    ----------
    url : str
        Of the trust store that answers for the certificate's status, without a slash at the end.
    days : int, optional
        Validity, 1 to 3660 days; by default 366 for a software key and 1098 for
        a hardware key. Never longer than the issuer's own.

    Raises
    ------
    CertificateError
        The issuer is not valid now, or something does not fit into a certificate.
    """
    lifetime = LEAF_DAYS[leaf.protection] if days is None else days
    if not 1 <= lifetime <= 3660:
        msg = f"a validity of {lifetime} days was asked for; 1 to 3660 are accepted"
        raise CertificateError(msg)
    subject = _subject(leaf.name, leaf.organisation, leaf.serial_number)
    builder = _builder(subject, issuer.subject, public_key, now, lifetime, issuer=issuer)
    # With its certificate a signer also shows a trust store over TLS 1.3 who it is: docs/spec/enrolment.md.
    builder = _as_leaf(builder, issuer, EKU_DOCUMENT_SIGNING, ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string)
    policies = [
        x509.PolicyInformation(x509.ObjectIdentifier(oid), None)
        for oid in (KIND_OIDS[leaf.kind], PROTECTION_OIDS[leaf.protection])
    ]
    if len(leaf.record_sha256) != 32:
        msg = f"the record's digest has {len(leaf.record_sha256)} bytes; expected the 32 of SHA-256"
        raise CertificateError(msg)
    digest = x509.UnrecognizedExtension(
        x509.ObjectIdentifier(RECORD_DIGEST_EXTENSION), b"\x04\x20" + leaf.record_sha256
    )
    try:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(leaf.pid)])
    except ValueError as error:
        msg = f"the PID {leaf.pid!r} does not fit into a certificate; expected an ASCII URI"
        raise CertificateError(msg) from error
    builder = builder.add_extension(x509.CertificatePolicies(policies), critical=False)
    builder = with_status_pointers(builder, url)
    return _sign(builder.add_extension(names, critical=False).add_extension(digest, critical=False), issuer_key)


def issue_ocsp_responder(
    *,
    name: str,
    organisation: str,
    public_key: PublicKey,
    issuer: x509.Certificate,
    issuer_key: IssuingKey,
    now: datetime,
) -> x509.Certificate:
    """Make the certificate that answers by OCSP for its issuer (RFC 6960, section 4.2.2.2).

    Nobody is to ask for its own status (``ocsp-nocheck``), so it is short-lived.
    """
    subject = _subject(f"{name} status", organisation)
    builder = _builder(subject, issuer.subject, public_key, now, OCSP_RESPONDER_DAYS, issuer=issuer)
    builder = _as_leaf(builder, issuer, ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string)
    return _sign(builder.add_extension(x509.OCSPNoCheck(), critical=False), issuer_key)


def with_status_pointers(builder: x509.CertificateBuilder, url: str) -> x509.CertificateBuilder:
    """Say in a certificate where its status can be asked for: OCSP and CRL of a trust store; nothing without one."""
    if not url:
        return builder
    ocsp = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{url}/ocsp"))
    crl = x509.DistributionPoint([x509.UniformResourceIdentifier(f"{url}/crl")], None, None, None)
    builder = builder.add_extension(x509.AuthorityInformationAccess([ocsp]), critical=False)
    return builder.add_extension(x509.CRLDistributionPoints([crl]), critical=False)


def issue_self(leaf: Leaf, *, public_key: PublicKey, now: datetime) -> tuple[x509.Certificate, x509.Certificate]:
    """Make a certificate that no authority stands behind; returns leaf and root.

    The C2PA library takes no self-signed leaf, so there is a root above it,
    whose key is thrown away at once: it can never sign a second certificate.
    """
    key = ed25519.Ed25519PrivateKey.generate()
    subject = _subject("Not certified by any authority", "")
    builder = _builder(subject, subject, key.public_key(), now, LEAF_DAYS[leaf.protection])
    root = _sign(_as_authority(builder, path_length=0), key)
    return issue_leaf(leaf, public_key=public_key, issuer=root, issuer_key=key, now=now), root


def _subject(name: str, organisation: str, serial_number: str = "") -> x509.Name:
    wanted = [(NameOID.COMMON_NAME, name)]
    if organisation and len(organisation) <= MAX_NAME:
        wanted.append((NameOID.ORGANIZATION_NAME, organisation))
    if _PRINTABLE_STRING.fullmatch(serial_number):
        wanted.append((NameOID.SERIAL_NUMBER, serial_number))
    try:
        return x509.Name([x509.NameAttribute(oid, value) for oid, value in wanted])
    except (ValueError, UnicodeError) as error:
        msg = f"the name {name!r} does not fit into a certificate; 1 to {MAX_NAME} characters do"
        raise CertificateError(msg) from error


def _builder(
    subject: x509.Name,
    issuer_name: x509.Name,
    public_key: PublicKey,
    now: datetime,
    days: int,
    *,
    issuer: x509.Certificate | None = None,
) -> x509.CertificateBuilder:
    start = now.replace(microsecond=0) - CLOCK_SKEW
    end = now.replace(microsecond=0) + timedelta(days=days)
    if issuer is not None:
        if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
            msg = (
                f"the issuing certificate {name_of(issuer)!r} is valid from {issuer.not_valid_before_utc:%Y-%m-%d} "
                f"to {issuer.not_valid_after_utc:%Y-%m-%d}, not on {now:%Y-%m-%d}"
            )
            raise CertificateError(msg, hint="check the computer's clock; if it is right, make a new authority")
        start, end = max(start, issuer.not_valid_before_utc), min(end, issuer.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_key_usage(issuing=True), critical=True)


def _as_leaf(
    builder: x509.CertificateBuilder, issuer: x509.Certificate, *usages: str, critical: bool = False
) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(issuing=False), critical=True)
    builder = builder.add_extension(_authority_key(issuer), critical=False)
    named = [x509.ObjectIdentifier(usage) for usage in usages]
    return builder.add_extension(x509.ExtendedKeyUsage(named), critical=critical)


def _key_usage(*, issuing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not issuing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issuing,
        crl_sign=issuing,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(subject_key_id(issuer), None, None)


def _sign(builder: x509.CertificateBuilder, key: IssuingKey) -> x509.Certificate:
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
