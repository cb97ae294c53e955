"""What goes over the wire in EST: base64 as RFC 8951 has it, PKCS#7 of certificates only, attributes of a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from rawtrace.errors import MalformedError
from rawtrace.trust.certificates import MAX_CHAIN, MAX_CHAIN_BYTES

CERTIFICATES_TYPE = "application/pkcs7-mime"
REQUEST_TYPE = "application/pkcs10"
ATTRIBUTES_TYPE = "application/csrattrs"
_LINE = 64
# SEQUENCE { challengePassword, Ed25519, ecdsa-with-SHA256, SEQUENCE { ecPublicKey, SET { P-256 } } }: RFC 7030, 4.5.2.
_ATTRIBUTES = bytes.fromhex(
    "3031"
    "06092a864886f70d010907"
    "06032b6570"
    "06082a8648ce3d040302"
    "3015" "06072a8648ce3d0201" "310a" "06082a8648ce3d030107"
)  # fmt: skip


def to_base64(der: bytes) -> bytes:
    """Write DER as RFC 8951 asks: base64 with line breaks, and no header within."""
    text = base64.b64encode(der)
    return b"".join(text[start : start + _LINE] + b"\n" for start in range(0, len(text), _LINE))


def from_base64(body: bytes, *, what: str, limit: int) -> bytes:
    """Read base64 with line breaks of any kind, and nothing else.

    Raises
    ------
    MalformedError
        Other characters, wrong padding, nothing at all, or more than ``limit`` bytes.
    """
    text = body.translate(None, b" \t\r\n")
    if len(text) > (limit + 2) // 3 * 4:
        msg = f"{what} is larger than {limit} bytes, which are accepted at most"
        raise MalformedError(msg)
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        der = b""
    if not der:
        msg = f"{what} is not base64 (RFC 8951)"
        raise MalformedError(msg)
    return der


def write_certificates(chain: Sequence[x509.Certificate]) -> bytes:
    """Write certificates as PKCS#7 that holds nothing else, in base64."""
    return to_base64(pkcs7.serialize_certificates(list(chain), Encoding.DER))


def read_certificates(body: bytes, *, what: str) -> tuple[x509.Certificate, ...]:
    """Read 1 to 4 certificates that a server sent as PKCS#7 in base64.

    Raises
    ------
    MalformedError
    """
    der = from_base64(body, what=what, limit=MAX_CHAIN_BYTES)
    try:
        chain = tuple(pkcs7.load_der_pkcs7_certificates(der))
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        msg = f"{what} holds no certificates"
        raise MalformedError(msg) from error
    if not 1 <= len(chain) <= MAX_CHAIN:
        msg = f"{what} holds {len(chain)} certificates; 1 to {MAX_CHAIN} were expected"
        raise MalformedError(msg)
    return chain


def csr_attributes() -> bytes:
    """Return what a request should hold: a challenge password, an Ed25519 or a P-256 key."""
    return to_base64(_ATTRIBUTES)
