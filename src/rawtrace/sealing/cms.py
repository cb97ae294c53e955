"""Time-stamp tokens (RFC 3161) in their CMS envelope (RFC 5652): read, and checked against the signer's certificate.

The certificate's own path is not looked at here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from rawtrace.errors import CertificateError, MalformedError
from rawtrace.sealing import der
from rawtrace.sealing.der import CONTEXT, INTEGER, OCTETS, SEQUENCE, SET, Element
from rawtrace.trust.certfacts import ODD, read_certificate

MAX_BYTES = 256 << 10
_MAX_CERTIFICATES = 16
_RSA_BITS = range(2048, 8193)

_SIGNED_DATA, _TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE, _SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.12", "1.2.840.113549.1.9.16.2.47"
_DIGESTS: dict[str, tuple[str, hashes.HashAlgorithm]] = {
    "2.16.840.1.101.3.4.2.1": ("sha256", hashes.SHA256()),
    "2.16.840.1.101.3.4.2.2": ("sha384", hashes.SHA384()),
    "2.16.840.1.101.3.4.2.3": ("sha512", hashes.SHA512()),
}
_SHA256, _SHA384, _SHA512 = _DIGESTS
_PSS, _ED25519 = "1.2.840.113549.1.1.10", "1.3.101.112"
#: Signature algorithms that name their digest; ``None`` takes the digest of the signed attributes.
_PKCS1 = {
    "1.2.840.113549.1.1.1": None,
    "1.2.840.113549.1.1.11": _SHA256,
    "1.2.840.113549.1.1.12": _SHA384,
    "1.2.840.113549.1.1.13": _SHA512,
}
_ECDSA = {"1.2.840.10045.4.3.2": _SHA256, "1.2.840.10045.4.3.3": _SHA384, "1.2.840.10045.4.3.4": _SHA512}


@dataclass(frozen=True, slots=True)
class Token:
    """A time stamp whose signature fits its signer's certificate.

    Attributes
    ----------
    time : datetime
        What the authority says, UTC.
    accuracy : timedelta
        How far off it may be; zero where the authority does not say.
    digest_algorithm : str
        ``sha256``, ``sha384`` or ``sha512``.
    digest : bytes
        Of what was stamped.
    chain : tuple[x509.Certificate, ...]
        The authority's certificate first, then the others of the token as they come.
    nonce : bytes
        The content of its INTEGER, by which whoever asked knows the answer; empty where there is none.
    """

    time: datetime
    accuracy: timedelta
    digest_algorithm: str
    digest: bytes
    chain: tuple[x509.Certificate, ...]
    nonce: bytes = b""

    def stamps(self, message: bytes) -> bool:
        """Whether it is this message that was stamped."""
        return hashlib.new(self.digest_algorithm, message).digest() == self.digest


def read_token(data: bytes) -> Token:
    """Read a DER ``TimeStampToken`` and check that its signer's certificate signed it.

    Raises
    ------
    MalformedError
        Not such a token, more than one signer, no certificate of the signer, an
        algorithm that is not known, or a signature that does not fit; the
        sentence says which.
    """
    if len(data) > MAX_BYTES:
        msg = f"the time stamp is {len(data)} bytes; at most {MAX_BYTES} are accepted"
        raise MalformedError(msg)
    try:
        return _read(data)
    except (LookupError, OverflowError, *ODD) as error:
        msg = "the time stamp does not have the form of RFC 3161"
        raise MalformedError(msg) from error


def token_of_response(data: bytes) -> bytes:
    """Return the token inside a DER ``TimeStampResp``.

    Raises
    ------
    MalformedError
        Not such a response, or one that was refused.
    """
    if len(data) > MAX_BYTES:
        msg = f"the time stamp is {len(data)} bytes; at most {MAX_BYTES} are accepted"
        raise MalformedError(msg)
    parts = der.parse(data).expect(SEQUENCE).children()
    if len(parts) != 2 or parts[0].expect(SEQUENCE).children()[:1] == []:
        msg = "the time stamp authority's answer holds no time stamp"
        raise MalformedError(msg)
    if parts[0].children()[0].expect(INTEGER).content not in (b"\0", b"\1"):
        msg = "the time stamp authority refused"
        raise MalformedError(msg)
    return parts[1].encoded


def _read(data: bytes) -> Token:
    kind, content = der.parse(data).expect(SEQUENCE).children()
    if der.oid(kind) != _SIGNED_DATA:
        msg = "the time stamp is not signed data"
        raise MalformedError(msg)
    (signed,) = content.expect(CONTEXT).children()
    parts = signed.expect(SEQUENCE).children()
    stamped_kind, wrapper = parts[2].expect(SEQUENCE).children()
    if der.oid(stamped_kind) != _TST_INFO:
        msg = "what is signed is not a time stamp"
        raise MalformedError(msg)
    stamped = wrapper.expect(CONTEXT).children()[0].expect(OCTETS).content
    certificates = _certificates(parts)
    signers = parts[-1].expect(SET).children()
    if len(signers) != 1:
        msg = f"the time stamp has {len(signers)} signers; expected one"
        raise MalformedError(msg)
    signer = _check_signer(signers[0], stamped, certificates)
    time, accuracy, algorithm, digest, nonce = _read_info(stamped)
    others = tuple(item for item in certificates if item != signer)
    return Token(time, accuracy, algorithm, digest, (signer, *others), nonce)


def _certificates(parts: Sequence[Element]) -> list[x509.Certificate]:
    found = next((part.children() for part in parts[3:-1] if part.tag == CONTEXT), [])
    if len(found) > _MAX_CERTIFICATES:
        msg = f"the time stamp holds {len(found)} certificates; at most {_MAX_CERTIFICATES} are accepted"
        raise MalformedError(msg)
    try:
        return [read_certificate(item.encoded) for item in found if item.tag == SEQUENCE]
    except CertificateError as error:
        raise MalformedError(error.message) from error


def _check_signer(info: Element, stamped: bytes, certificates: Sequence[x509.Certificate]) -> x509.Certificate:
    """Check signed attributes and signature; return the certificate that fits both."""
    parts = info.expect(SEQUENCE).children()
    digest_oid = der.oid(parts[2].expect(SEQUENCE).children()[0])
    if digest_oid not in _DIGESTS or parts[3].tag != CONTEXT:
        msg = "the time stamp is signed with a digest that is not accepted, or without signed attributes"
        raise MalformedError(msg)
    attributes = _attributes(parts[3])
    if der.oid(attributes[_CONTENT_TYPE]) != _TST_INFO:
        msg = "the signed attributes are not those of a time stamp"
        raise MalformedError(msg)
    digest = hashlib.new(_DIGESTS[digest_oid][0], stamped).digest()
    if attributes[_MESSAGE_DIGEST].expect(OCTETS).content != digest:
        msg = "the time stamp was changed after it was signed"
        raise MalformedError(msg)
    certificate = next((item for item in certificates if _is_meant(attributes, item)), None)
    if certificate is None:
        msg = "the time stamp does not hold the certificate that it was signed with"
        raise MalformedError(msg)
    # The attributes are signed as the SET that they are, not under the tag that they stand in.
    message = bytes((SET,)) + parts[3].encoded[1:]
    try:
        _verify(certificate, parts[4], digest_oid, parts[5].expect(OCTETS).content, message)
    except InvalidSignature as error:
        msg = "the signature of the time stamp does not fit its signer's certificate"
        raise MalformedError(msg) from error
    return certificate


def _attributes(element: Element) -> dict[str, Element]:
    """Return the single value of each signed attribute; none may stand twice."""
    found: dict[str, Element] = {}
    for attribute in element.children():
        kind, values = attribute.expect(SEQUENCE).children()
        name = der.oid(kind)
        if name in found:
            msg = "a signed attribute of the time stamp stands twice"
            raise MalformedError(msg)
        items = values.expect(SET).children()
        if len(items) == 1:
            found[name] = items[0]
    missing = {_CONTENT_TYPE, _MESSAGE_DIGEST} - set(found)
    if missing:
        msg = "the time stamp lacks signed attributes that CMS asks for"
        raise MalformedError(msg)
    return found


def _is_meant(attributes: dict[str, Element], certificate: x509.Certificate) -> bool:
    """Whether the signed attributes name this certificate by its digest, as RFC 3161 and RFC 5816 ask."""
    if _SIGNING_CERTIFICATE_V2 in attributes:
        first = attributes[_SIGNING_CERTIFICATE_V2].children()[0].children()[0].children()
        named = _SHA256 if first[0].tag == OCTETS else der.oid(first[0].expect(SEQUENCE).children()[0])
        value = next((item.content for item in first if item.tag == OCTETS), b"")
        return named in _DIGESTS and certificate.fingerprint(_DIGESTS[named][1]) == value
    if _SIGNING_CERTIFICATE in attributes:
        value = attributes[_SIGNING_CERTIFICATE].children()[0].children()[0].children()[0].expect(OCTETS).content
        # RFC 3161 fixes SHA-1 here. It only picks a certificate; the signature is checked with that certificate's key.
        return certificate.fingerprint(hashes.SHA1()) == value  # noqa: S303
    return False


def _verify(certificate: x509.Certificate, algorithm: Element, digest_oid: str, raw: bytes, message: bytes) -> None:
    name = der.oid(algorithm.expect(SEQUENCE).children()[0])
    key = certificate.public_key()
    if isinstance(key, ed25519.Ed25519PublicKey) and name == _ED25519:
        key.verify(raw, message)
    elif isinstance(key, ec.EllipticCurvePublicKey) and name in _ECDSA:
        key.verify(raw, message, ec.ECDSA(_DIGESTS[_ECDSA[name]][1]))
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS and name in _PKCS1:
        key.verify(raw, message, padding.PKCS1v15(), _DIGESTS[_PKCS1[name] or digest_oid][1])
    elif isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS and name == _PSS:
        digest = _DIGESTS[digest_oid][1]
        key.verify(raw, message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    else:
        msg = "the time stamp is signed with an algorithm that is not accepted"
        raise MalformedError(msg)


def _read_info(stamped: bytes) -> tuple[datetime, timedelta, str, bytes, bytes]:
    """Return time, accuracy, digest algorithm, digest and nonce of a ``TSTInfo``."""
    parts = der.parse(stamped).expect(SEQUENCE).children()
    if parts[0].expect(INTEGER).content != b"\1":
        msg = "the time stamp is of a version that is not known"
        raise MalformedError(msg)
    algorithm, digest = parts[2].expect(SEQUENCE).children()
    named = der.oid(algorithm.expect(SEQUENCE).children()[0])
    if named not in _DIGESTS:
        msg = "the time stamp is over a digest that is not accepted"
        raise MalformedError(msg)
    text = parts[4].expect(der.TIME).content.decode("ascii")
    if len(text) < 15 or not text.endswith("Z"):
        msg = "the time of the time stamp is not in UTC"
        raise MalformedError(msg)
    whole, _, fraction = text[:-1].partition(".")
    time = datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    time += timedelta(microseconds=int((fraction or "0")[:6].ljust(6, "0")))
    accuracy = _accuracy(parts[5]) if len(parts) > 5 and parts[5].tag == SEQUENCE else timedelta()
    nonce = next((part.content for part in parts[5:] if part.tag == INTEGER), b"")
    return time, accuracy, _DIGESTS[named][0], digest.expect(OCTETS).content, nonce


def _accuracy(element: Element) -> timedelta:
    units = {INTEGER: "seconds", 0x80: "milliseconds", 0x81: "microseconds"}
    total = timedelta()
    for part in element.children():
        if part.tag in units and len(part.content) <= 4:
            total += timedelta(**{units[part.tag]: int.from_bytes(part.content, "big")})
    return total
