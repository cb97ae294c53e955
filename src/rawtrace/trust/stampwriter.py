"""Writing a time-stamp response as DER: a TSTInfo (RFC 3161) in SignedData (RFC 5652), named by RFC 5816.

Written out by hand, for all but five values are the same in every stamp of an
authority: a library that builds the structures takes fifty times as long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rawtrace.trust.certificates import TIME_STAMP_POLICY
from rawtrace.trust.keys import SigningKey

_INTEGER, _OCTETS, _OID, _SEQUENCE, _SET, _TIME = 0x02, 0x04, 0x06, 0x30, 0x31, 0x18
_CONTEXT_0, _DIRECTORY_NAME = 0xA0, 0xA4


class StampWriter:
    """Writes the stamps of one authority.

    Parameters
    ----------
    chain : Sequence[x509.Certificate]
        The authority's own certificate, then those above it that go into a stamp.
    key : SigningKey
        P-256.
    accuracy_s : int
        Seconds, 1 to 127.
    """

    def __init__(self, chain: Sequence[x509.Certificate], key: SigningKey, *, accuracy_s: int) -> None:
        self._key = key
        ders = [certificate.public_bytes(serialization.Encoding.DER) for certificate in chain]
        issuer, serial = chain[0].issuer.public_bytes(), _integer(chain[0].serial_number)
        sha256 = _element(_SEQUENCE, _oid("2.16.840.1.101.3.4.2.1"))
        # SHA-256 is the default of ESSCertIDv2, which DER leaves out.
        named = _element(_OCTETS, hashlib.sha256(ders[0]).digest()) + _element(
            _SEQUENCE, _element(_SEQUENCE, _element(_DIRECTORY_NAME, issuer)) + serial
        )
        signing_certificate = _element(_SEQUENCE, _element(_SEQUENCE, _element(_SEQUENCE, named)))
        kind = _oid("1.2.840.113549.1.9.16.1.4")
        self._accuracy = _element(_SEQUENCE, _integer(accuracy_s))
        self._fixed = (
            _attribute("1.2.840.113549.1.9.3", kind),
            _attribute("1.2.840.113549.1.9.16.2.47", signing_certificate),
        )
        self._signer = _integer(1) + _element(_SEQUENCE, issuer + serial) + sha256
        self._ecdsa = _element(_SEQUENCE, _oid("1.2.840.10045.4.3.2"))
        self._kind, self._digests = kind, _integer(3) + _element(_SET, sha256)
        self._certificates = _element(_CONTEXT_0, b"".join(sorted(ders)))

    def write(self, imprint: bytes, *, serial: int, at: datetime, nonce: bytes, with_certificates: bool) -> bytes:
        """Return a ``TimeStampResp`` that grants.

        Parameters
        ----------
        imprint : bytes
            The request's ``MessageImprint``, DER.
        at : datetime
            Whole seconds.
        nonce : bytes
            The request's, DER; empty where it has none.
        """
        time = _element(_TIME, at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode("ascii"))
        stamped = _element(
            _SEQUENCE,
            _integer(1) + _oid(TIME_STAMP_POLICY) + imprint + _integer(serial) + time + self._accuracy + nonce,
        )
        digest = _attribute("1.2.840.113549.1.9.4", _element(_OCTETS, hashlib.sha256(stamped).digest()))
        attributes = b"".join(sorted((*self._fixed, digest)))
        # Signed as the SET that they are; in the signer's information they stand under a tag of their own.
        raw = self._key.sign(_element(_SET, attributes))
        signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        signer = _element(
            _SEQUENCE, self._signer + _element(_CONTEXT_0, attributes) + self._ecdsa + _element(_OCTETS, signature)
        )
        content = _element(_SEQUENCE, self._kind + _element(_CONTEXT_0, _element(_OCTETS, stamped)))
        signed = self._digests + content + (self._certificates if with_certificates else b"") + _element(_SET, signer)
        token = _element(_SEQUENCE, _oid("1.2.840.113549.1.7.2") + _element(_CONTEXT_0, _element(_SEQUENCE, signed)))
        return _element(_SEQUENCE, _element(_SEQUENCE, _integer(0)) + token)


def _attribute(oid: str, value: bytes) -> bytes:
    return _element(_SEQUENCE, _oid(oid) + _element(_SET, value))


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _integer(value: int) -> bytes:
    return _element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(text: str) -> bytes:
    first, second, *rest = (int(part) for part in text.split("."))
    return _element(_OID, b"".join(_base128(number) for number in (40 * first + second, *rest)))


def _base128(number: int) -> bytes:
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(0x80 | number & 0x7F)
    return bytes(reversed(groups))
