"""Compact JWS (RFC 7515) with ``x5c``, as narrow as a trust list needs it.

Reading, in order:

1. three base64url parts, each in the one spelling that RFC 4648 gives its bytes
2. header: ``alg`` EdDSA or ES256, ``x5c``; nothing critical, no key and no address of one
3. the signature, by the first certificate's key, whose kind must fit ``alg``
4. all certificates valid at the time of issue, the first made for signing lists (``tslSigning``)
5. each certificate issued by the next, which is an authority and not limited to other uses
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from rawtrace import strictjson
from rawtrace.errors import CertificateError, KeyUnavailableError, LimitError, MalformedError, TrustListError
from rawtrace.trust.certfacts import ODD, read_certificate
from rawtrace.trust.certificates import EKU_TRUST_LIST_SIGNING
from rawtrace.trust.keys import Algorithm, SigningKey, algorithm_of

MAX_HEADER_BYTES = 65_536
MAX_CHAIN = 8

_JOSE_NAMES = {Algorithm.ED25519: "EdDSA", Algorithm.ES256: "ES256"}
_ALGORITHMS = {name: algorithm for algorithm, name in _JOSE_NAMES.items()}
#: Header names that would bring a key or an address of one, change what is signed, or squeeze it.
_REFUSED_NAMES = ("jwk", "jku", "x5u", "b64", "zip")
_COORDINATE_BYTES = 32
_EKU_ANY = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A compact JWS taken apart; its signature is not checked yet (``check_signature``).

    Attributes
    ----------
    payload : bytes
    chain : tuple[x509.Certificate, ...]
        From ``x5c``, signer first.
    """

    payload: bytes
    chain: tuple[x509.Certificate, ...]
    algorithm: Algorithm
    signing_input: bytes
    signature: bytes


def sign(payload: bytes, *, key: SigningKey, chain: Sequence[x509.Certificate], at: datetime) -> bytes:
    """Sign a payload.

    Parameters
    ----------
    payload : bytes
    key : SigningKey
        Of ``chain[0]``.
    chain : Sequence[x509.Certificate]
        Signer first, each issued by the next, 1 to 8.
    at : datetime
        Time of issue, UTC; stated in the header as ``iat``.

    Raises
    ------
    TrustListError
        The chain would not be accepted by ``check_signer``.
    """
    check_signer(chain, what="the new list", at=at)
    if _spki(key.public_key()) != _spki(chain[0].public_key()):
        msg = "the key is not the one that the first certificate of the chain certifies"
        raise TrustListError(msg)
    header = {
        "alg": _JOSE_NAMES[key.algorithm],
        "iat": int(at.timestamp()),
        "x5c": [base64.b64encode(_der(certificate)).decode() for certificate in chain],
    }
    signing_input = _encode(json.dumps(header, separators=(",", ":")).encode()) + b"." + _encode(payload)
    return signing_input + b"." + _encode(key.sign(signing_input))


def take_apart(data: bytes, *, what: str, max_payload_bytes: int) -> Signed:
    """Split a compact JWS and read its header; nothing in it is to be believed before ``check_signature``.

    Raises
    ------
    TrustListError
        Not a compact JWS, or a header that rawtrace does not accept.
    """
    if len(data) > MAX_HEADER_BYTES + 4 * (max_payload_bytes // 3 + 1) + 1024:
        msg = f"{what} is {len(data)} bytes, more than a list of {max_payload_bytes} bytes needs"
        raise TrustListError(msg)
    parts = data.split(b".")
    if len(parts) != 3:
        msg = f"{what} is no signed list: expected three parts with dots between them"
        raise TrustListError(msg)
    if len(parts[0]) > MAX_HEADER_BYTES:
        msg = f"the header of {what} is {len(parts[0])} bytes; at most {MAX_HEADER_BYTES} are accepted"
        raise TrustListError(msg)
    algorithm, chain = _read_header(_decode(parts[0], f"the header of {what}"), what)
    return Signed(
        payload=_decode(parts[1], f"the content of {what}"),
        chain=chain,
        algorithm=algorithm,
        signing_input=data[: len(parts[0]) + 1 + len(parts[1])],
        signature=_decode(parts[2], f"the signature of {what}"),
    )


def check_signature(signed: Signed, *, what: str) -> None:
    """Check the signature with the key of the first certificate, and that the key's kind fits ``alg``.

    Raises
    ------
    TrustListError
    """
    try:
        fits = algorithm_of(signed.chain[0].public_key()) is signed.algorithm
    except KeyUnavailableError:
        fits = False
    if not fits:
        msg = f"{what} says {_JOSE_NAMES[signed.algorithm]}, but its signer's key is of another kind"
        raise TrustListError(msg)
    if not _signature_holds(signed):
        msg = f"the signature of {what} does not hold: it was changed after signing, or signed by another key"
        raise TrustListError(msg, hint="get the list again from its operator")


def check_signer(chain: Sequence[x509.Certificate], *, what: str, at: datetime) -> None:
    """Check that a chain may sign lists, as of a time: each issued by the next, made for it, valid.

    Raises
    ------
    TrustListError
    """
    if not 1 <= len(chain) <= MAX_CHAIN:
        msg = f"{what} needs 1 to {MAX_CHAIN} certificates of its signer"
        raise TrustListError(msg)
    for certificate in chain:
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            msg = f"{what} was issued at {at.isoformat()}, when the certificate {_name(certificate)} was not valid"
            raise TrustListError(msg)
    usage = _extension(chain[0], x509.ExtendedKeyUsage)
    # Always asked for: an instrument's certificate comes from the same root and must not sign lists.
    if usage is None or EKU_TRUST_LIST_SIGNING not in {oid.dotted_string for oid in usage}:
        msg = f"{what} is signed with a certificate that is not made for signing lists ({_name(chain[0])})"
        raise TrustListError(msg)
    for certificate in chain:
        _check_extensions(certificate, what)
    key_usage = _extension(chain[0], x509.KeyUsage)
    if key_usage is not None and not (key_usage.digital_signature or key_usage.content_commitment):
        msg = f"{what} is signed with a certificate whose key usage forbids signing ({_name(chain[0])})"
        raise TrustListError(msg)
    for depth, (issued, issuer) in enumerate(pairwise(chain)):
        _check_issuer(issuer, depth=depth, what=what)
        _check_issued(issued, issuer, what)


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, hexadecimal."""
    return hashlib.sha256(_der(certificate)).hexdigest()


def load_certificate(text: object, what: str) -> x509.Certificate:
    """Read one base64 DER certificate as ``x5c`` and ``X509Certificates`` hold it.

    Everything that is read lazily later is touched here, so that a broken
    certificate fails with a sentence and not in the middle of a check.

    Raises
    ------
    TrustListError
    UnsupportedAlgorithm
        A sound certificate for a kind of key that is not supported.
    """
    msg = f"{what} is not a certificate in base64 DER"
    if not isinstance(text, str) or len(text) > MAX_HEADER_BYTES or not text.isascii():
        raise TrustListError(msg)
    try:
        certificate = read_certificate(base64.b64decode(text, validate=True))
        _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.version)
        _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.serial_number)
        certificate.public_key()
    except UnsupportedAlgorithm:
        raise
    except CertificateError as error:
        msg = f"{what} is not a certificate in base64 DER that rawtrace reads: {error.message}"
        raise TrustListError(msg) from error
    except ODD as error:
        raise TrustListError(msg) from error
    return certificate


def _read_header(data: bytes, what: str) -> tuple[Algorithm, tuple[x509.Certificate, ...]]:
    try:
        header: Any = strictjson.loads(data.decode(), what=f"the header of {what}", max_bytes=MAX_HEADER_BYTES)
    except (UnicodeDecodeError, LimitError, MalformedError) as error:
        msg = f"the header of {what} is not the JSON that was expected"
        raise TrustListError(msg) from error
    if not isinstance(header, dict):
        msg = f"the header of {what} is not a JSON object"
        raise TrustListError(msg)
    if "crit" in header:
        msg = f"{what} asks for extensions that rawtrace does not know (crit)"
        raise TrustListError(msg)
    refused = [name for name in _REFUSED_NAMES if name in header]
    if refused:
        msg = f"the header of {what} holds {refused[0]!r}, which rawtrace does not accept; expected alg and x5c"
        raise TrustListError(msg)
    name = header.get("alg")
    algorithm = _ALGORITHMS.get(name) if isinstance(name, str) else None
    if algorithm is None:
        msg = f"{what} is not signed with EdDSA or ES256, the two that rawtrace accepts"
        raise TrustListError(msg)
    entries = header.get("x5c")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_CHAIN:
        msg = f"the header of {what} holds no x5c of 1 to {MAX_CHAIN} certificates"
        raise TrustListError(msg)
    try:
        chain = tuple(load_certificate(entry, f"certificate {n} of {what}") for n, entry in enumerate(entries, 1))
    except UnsupportedAlgorithm as error:
        msg = f"{what} came with a certificate for a kind of key that is not supported"
        raise TrustListError(msg) from error
    return algorithm, chain


def _check_extensions(certificate: x509.Certificate, what: str) -> None:
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            msg = f"{what} came with the certificate {_name(certificate)}, whose conditions rawtrace does not know"
            raise TrustListError(msg)


def _check_issuer(issuer: x509.Certificate, *, depth: int, what: str) -> None:
    constraints = _extension(issuer, x509.BasicConstraints)
    key_usage = _extension(issuer, x509.KeyUsage)
    usage = _extension(issuer, x509.ExtendedKeyUsage)
    is_authority = constraints is not None and constraints.ca and (key_usage is None or key_usage.key_cert_sign)
    # An authority that is itself limited to other uses cannot pass on the right to sign lists.
    limited = usage is not None and not {oid.dotted_string for oid in usage} & {EKU_TRUST_LIST_SIGNING, _EKU_ANY}
    too_deep = constraints is not None and constraints.path_length is not None and depth > constraints.path_length
    if not is_authority or too_deep or limited:
        msg = f"{what} came with a certificate issued by {_name(issuer)}, which may not issue it"
        raise TrustListError(msg)


def _check_issued(issued: x509.Certificate, issuer: x509.Certificate, what: str) -> None:
    try:
        if isinstance(issued.signature_hash_algorithm, (hashes.SHA1, hashes.MD5)):
            msg = f"{what} came with the certificate {_name(issued)}, signed with a broken hash"
            raise TrustListError(msg)
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        msg = f"{what} came with the certificate {_name(issued)}, which {_name(issuer)} did not issue"
        raise TrustListError(msg) from error


def _signature_holds(signed: Signed) -> bool:
    public = signed.chain[0].public_key()
    if len(signed.signature) != 2 * _COORDINATE_BYTES:
        return False
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signed.signature, signed.signing_input)
            return True
        if isinstance(public, ec.EllipticCurvePublicKey):
            r, s = signed.signature[:_COORDINATE_BYTES], signed.signature[_COORDINATE_BYTES:]
            encoded = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
            public.verify(encoded, signed.signing_input, ec.ECDSA(hashes.SHA256()))
            return True
    except InvalidSignature:
        return False
    return False


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    text = certificate.subject.rfc4514_string() or fingerprint(certificate)[:16]
    return "".join(character if character.isprintable() else " " for character in text)[:200]


def _spki(public: Any) -> bytes:
    encoded: bytes = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(part: bytes, what: str) -> bytes:
    # Encoding it again shows that there is one spelling only: spare bits, padding or an odd character differ.
    try:
        data = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        data = b""
    if _encode(data) != part:
        msg = f"{what} is not base64url without padding"
        raise TrustListError(msg)
    return data
