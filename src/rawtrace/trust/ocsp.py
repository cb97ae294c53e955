"""Answers by OCSP (RFC 6960) for what an authority issued, signed by a responder that it delegated.

The responder has a key of its own in ``responder/`` of the authority's folder, so the key
that issues certificates may stay in its token. Its certificate says that nobody need ask
for its own status (``ocsp-nocheck``), and so it is short-lived: it is made anew, with the
issuing key, when two thirds of its life are over.

OCSP knows certificates only. What an authority says of a firmware, a product or a feature
stands in its trust list; the certificates of such instruments are answered for as good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp

from rawtrace import durable
from rawtrace.errors import CertificateError, MalformedError
from rawtrace.trust import certificates, profiles, register, staging
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.authorityfolder import Authority, issuing_key, open_authority
from rawtrace.trust.keys import Algorithm, IssuingKey, PublicKey, SigningKey, open_in_folder
from rawtrace.trust.pkcs11 import TokenOptions

RESPONDER_FOLDER = "responder"
CERTIFICATE_FILE = "certificate.pem"
#: Largest request that is read; a real one has some 150 bytes.
MAX_REQUEST_BYTES = 4_096
#: How long an answer may be relied on.
ANSWER_LIFETIME = timedelta(days=1)
_NONCE = range(1, 129)
_SKEW = timedelta(minutes=5)
_HASHES: Mapping[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,  # what clients name certificates by; nothing is signed with it
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
#: RFC 5280's words as ``cryptography`` has them; *unspecified* is better left out (section 5.3.1).
_REASONS = {
    "keyCompromise": x509.ReasonFlags.key_compromise,
    "cACompromise": x509.ReasonFlags.ca_compromise,
    "affiliationChanged": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessationOfOperation": x509.ReasonFlags.cessation_of_operation,
    "certificateHold": x509.ReasonFlags.certificate_hold,
    "privilegeWithdrawn": x509.ReasonFlags.privilege_withdrawn,
    "aACompromise": x509.ReasonFlags.aa_compromise,
}


@dataclass(frozen=True, slots=True)
class Responder:
    """Who answers for an authority.

    Attributes
    ----------
    authority : Authority
    certificate : x509.Certificate
        Issued by the authority for OCSP signing alone.
    key : SigningKey
    """

    authority: Authority
    certificate: x509.Certificate
    key: SigningKey


def open_responder(
    folder: Path,
    *,
    algorithm: Algorithm = Algorithm.ES256,
    token: TokenOptions | None = None,
    now: datetime | None = None,
) -> Responder:
    """Open the responder of an authority; make it, or its certificate anew, where need be.

    Parameters
    ----------
    folder : Path
        The authority's.
    algorithm : Algorithm
        Of a new key; P-256 is what every OCSP client can verify.
    token : TokenOptions, optional
        Keep a new key in a PKCS#11 token.

    Raises
    ------
    CertificateError, KeyUnavailableError
    """
    at = now or datetime.now(UTC)
    authority = open_authority(folder)
    place = folder / RESPONDER_FOLDER
    if not place.is_dir():
        with staging.exclusive(folder):
            if not place.is_dir():
                _create(authority, place, algorithm, token, at)
    key = open_in_folder(place)
    certificate = _certificate(place)
    if _due(certificate, key, authority, at):
        with staging.exclusive(folder):
            certificate = _certificate(place)
            if _due(certificate, key, authority, at):
                certificate = _certify(authority, key.public_key(), at)
                durable.replace(place / CERTIFICATE_FILE, certificates.to_pem([certificate]))
    return Responder(authority, certificate, key)


def answer(responder: Responder, request: bytes, *, now: datetime | None = None) -> bytes:
    """Answer one request; always a response, in DER.

    What cannot be read is *malformedRequest*, what is about another authority's certificates
    *unauthorized*; a certificate that this authority never issued is *unknown*, never good.

    Raises
    ------
    KeyUnavailableError, MalformedError
    """
    at = (now or datetime.now(UTC)).replace(microsecond=0)
    if len(request) > MAX_REQUEST_BYTES:
        return _refuse(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    try:
        asked = ocsp.load_der_ocsp_request(request)
        algorithm = asked.hash_algorithm.name
        name_hash, key_hash, serial = asked.issuer_name_hash, asked.issuer_key_hash, asked.serial_number
        nonce = _nonce(asked)
    except (ValueError, TypeError, OverflowError, NotImplementedError, UnsupportedAlgorithm):
        return _refuse(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    if serial < 0:
        # No certificate has such a number, and no answer can be written about one.
        return _refuse(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    issuer = responder.authority.certificate
    if algorithm not in _HASHES or (name_hash, key_hash) != _named(issuer, algorithm):
        return _refuse(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    issued, standing = _known(responder.authority)
    record = standing.get(serial)
    status = ocsp.OCSPCertStatus.GOOD if serial in issued else ocsp.OCSPCertStatus.UNKNOWN
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=name_hash,
        issuer_key_hash=key_hash,
        serial_number=serial,
        algorithm=_HASHES[algorithm](),
        cert_status=status if record is None else ocsp.OCSPCertStatus.REVOKED,
        this_update=at,
        next_update=at + ANSWER_LIFETIME,
        revocation_time=None if record is None else record.revoked_at,
        revocation_reason=None if record is None else _REASONS.get(record.reason),
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, responder.certificate)
    builder = builder.certificates([responder.certificate])
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    key = responder.key.issuing_key()
    return builder.sign(key, _digest_for(key)).public_bytes(Encoding.DER)


def reason_flag(record: StatusRecord) -> x509.ReasonFlags | None:
    """Return the reason of a status as a CRL and OCSP state it; ``None`` for *unspecified*."""
    return _REASONS.get(record.reason)


def _create(authority: Authority, place: Path, algorithm: Algorithm, token: TokenOptions | None, at: datetime) -> None:
    with staging.new_folder(place) as new, staging.new_key(new, algorithm, token) as key:
        certificate = _certify(authority, key.public_key(), at)
        durable.write_new(new / CERTIFICATE_FILE, certificates.to_pem([certificate]))


def _certify(authority: Authority, public_key: PublicKey, at: datetime) -> x509.Certificate:
    return profiles.issue_ocsp_responder(
        name=authority.name,
        organisation=authority.owner,
        public_key=public_key,
        issuer=authority.certificate,
        issuer_key=issuing_key(authority).issuing_key(),
        now=at,
    )


def _certificate(place: Path) -> x509.Certificate:
    path = place / CERTIFICATE_FILE
    found = certificates.read_pem(durable.read_bounded(path, limit=certificates.MAX_CHAIN_BYTES), what=f"{path}")
    if len(found) != 1:
        msg = f"{path} holds {len(found)} certificates; expected the responder's alone"
        raise MalformedError(msg)
    return found[0]


def _due(certificate: x509.Certificate, key: SigningKey, authority: Authority, at: datetime) -> bool:
    if certificate.public_key() != key.public_key():
        msg = f"the certificate in {authority.folder / RESPONDER_FOLDER} is not that of the key beside it"
        raise CertificateError(msg, hint="take that folder away; a new one is made")
    if not certificates.is_issued_by(certificate, authority.certificate):
        return True
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return not certificate.not_valid_before_utc - _SKEW <= at < certificate.not_valid_before_utc + life * 2 / 3


def _nonce(asked: ocsp.OCSPRequest) -> bytes | None:
    try:
        nonce = asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None
    except x509.DuplicateExtension as error:
        raise ValueError(str(error)) from error
    if len(nonce) not in _NONCE:
        msg = "a nonce of a length that no client sends"
        raise ValueError(msg)
    return nonce


@lru_cache(maxsize=64)
def _named(issuer: x509.Certificate, algorithm: str) -> tuple[bytes, bytes]:
    """Return how a request names an issuer: the digests of its name and of its key's bits."""
    public = issuer.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        bits = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        bits = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return (
        hashlib.new(algorithm, issuer.subject.public_bytes(), usedforsecurity=False).digest(),
        hashlib.new(algorithm, bits, usedforsecurity=False).digest(),
    )


def _known(authority: Authority) -> tuple[frozenset[int], Mapping[int, StatusRecord]]:
    names = (register.ISSUED_FILE, register.CLOCKS_FILE, register.STATUSES_FILE)
    return _read_register(
        authority.folder,
        authority.operator[0].serial_number,
        *map(_state_of, (authority.folder / name for name in names)),
    )


@lru_cache(maxsize=16)
def _read_register(
    folder: Path, operator: int, *_states: tuple[int, int]
) -> tuple[frozenset[int], Mapping[int, StatusRecord]]:
    """Read the journals; they only ever grow, so their sizes and times tell when to read them again."""
    issued = {item.serial for item in register.issued(folder)}
    issued |= {clock.serial_number for clock in register.clocks(folder)} | {operator}
    standing = {record.serial: record for record in register.statuses(folder) if record.scope is None}
    return frozenset(issued), standing


def _state_of(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def _digest_for(key: IssuingKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _refuse(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
