"""The signature of a claim: COSE_Sign1 (RFC 9052) with a detached payload and an X.509 chain.

The signature is checked against the key in the first certificate of the chain.
Whether that certificate is anybody's whom a reader trusts is not asked here:
``rawtrace.trust.path`` does that.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from rawtrace.errors import CertificateError, MalformedError
from rawtrace.sealing import boundedcbor
from rawtrace.sealing.problem import Problem
from rawtrace.trust.certfacts import ODD, read_certificate

MAX_BYTES = 1 << 20
MAX_HEADERS = 64
MAX_CERTIFICATES = 16
MAX_CERTIFICATE_BYTES = 64 << 10
MAX_TIMESTAMPS = 8
_RSA_BITS = range(2048, 8193)

_ALGORITHM, _CRITICAL, _CHAIN, _OLD_CHAIN = 1, 2, 33, "x5chain"
#: Header parameters that a signature may demand to be understood, for we do.
_UNDERSTOOD = frozenset({_ALGORITHM, _CRITICAL, 3, _CHAIN, _OLD_CHAIN})
_SIGN1_TAG = 18


@dataclass(frozen=True, slots=True)
class _Elliptic:
    curve: type[ec.EllipticCurve]
    digest: hashes.HashAlgorithm
    size: int


_ED25519 = "ed25519"
_ELLIPTIC = {
    "es256": _Elliptic(ec.SECP256R1, hashes.SHA256(), 32),
    "es384": _Elliptic(ec.SECP384R1, hashes.SHA384(), 48),
    "es512": _Elliptic(ec.SECP521R1, hashes.SHA512(), 66),
}
_PSS: dict[str, hashes.HashAlgorithm] = {
    "ps256": hashes.SHA256(),
    "ps384": hashes.SHA384(),
    "ps512": hashes.SHA512(),
}
_NAMES = {
    -7: "es256",
    -9: "es256",
    -35: "es384",
    -51: "es384",
    -36: "es512",
    -52: "es512",
    -8: _ED25519,
    -19: _ED25519,
    -37: "ps256",
    -38: "ps384",
    -39: "ps512",
}


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature of one claim.

    Attributes
    ----------
    algorithm : str
        ``ed25519``, ``es256``, ``es384``, ``es512``, ``ps256``, ``ps384`` or
        ``ps512``; empty where it is missing or unknown.
    chain : tuple[bytes, ...]
        Certificates as DER, the signer's first, as the signer put them.
    raw : bytes
        The signature value.
    protected : bytes
        The protected header as it was signed.
    timestamps : tuple[bytes, ...]
        DER ``TimeStampToken`` from ``sigTst2``: over the signature.
    early_timestamps : tuple[bytes, ...]
        DER ``TimeStampResp`` from ``sigTst``: over the claim, from before it was signed.
    """

    algorithm: str = ""
    chain: tuple[bytes, ...] = ()
    raw: bytes = b""
    protected: bytes = b""
    timestamps: tuple[bytes, ...] = ()
    early_timestamps: tuple[bytes, ...] = ()


def read_signature(data: bytes, *, claim_version: int = 2) -> tuple[Signature, tuple[Problem, ...]]:
    """Read a COSE_Sign1 structure without checking the signature.

    Parameters
    ----------
    data : bytes
    claim_version : int
        Version 1 claims may hold the certificates in the unprotected header.

    Returns
    -------
    Signature, tuple[Problem, ...]
        ``signature-invalid`` and ``unsupported-algorithm`` problems.
    """
    try:
        protected, headers, loose, raw = _open(data)
    except MalformedError as error:
        return Signature(), (Problem("signature-invalid", error.message),)
    problems: list[Problem] = []
    if set(headers) & set(loose) or _ALGORITHM in loose or _CRITICAL in loose:
        problems.append(
            Problem("signature-invalid", "the signature has a header twice, or an unsigned one that must be signed")
        )
    chain = _chain(headers, loose if claim_version == 1 else {})
    if not chain:
        problems.append(
            Problem("signature-invalid", "the signature has no usable chain of certificates in its signed header")
        )
    code = headers.get(_ALGORITHM)
    algorithm = _NAMES.get(code, "") if type(code) is int else ""
    if not algorithm:
        named = str(code) if type(code) is int else type(code).__name__
        problems.append(
            Problem("unsupported-algorithm", f"the signature names the algorithm {named}, which is not known")
        )
    if _CRITICAL in headers and not _all_understood(headers):
        problems.append(
            Problem("unsupported-algorithm", "the signature demands that a header be understood which is not known")
        )
    signature = Signature(
        algorithm=algorithm,
        chain=chain,
        raw=raw,
        protected=protected,
        timestamps=_timestamps(loose.get("sigTst2")),
        early_timestamps=_timestamps(loose.get("sigTst")),
    )
    return signature, tuple(problems)


def check_signature(signature: Signature, claim: bytes) -> Problem | None:
    """Check a signature over the bytes of a claim with the key of its own first certificate."""
    message = boundedcbor.sig_structure("Signature1", signature.protected, claim)
    try:
        key = public_key(signature.chain[0])
    except ValueError as error:
        return Problem("signature-invalid", str(error))
    try:
        _verify(key, signature.algorithm, signature.raw, message)
    except UnsupportedAlgorithm as error:
        return Problem("unsupported-algorithm", str(error))
    except InvalidSignature:
        return Problem("signature-invalid", "the signature does not fit the claim and the signer's certificate")
    return None


@functools.lru_cache(maxsize=512)
def public_key(certificate: bytes) -> object:
    """Return the key of a DER certificate; kept, for a thousand seals of one signer name one certificate.

    Raises
    ------
    ValueError
        Not a certificate, or a key of a kind that cannot be loaded.
    """
    try:
        return read_certificate(certificate).public_key()
    except (CertificateError, *ODD) as error:
        msg = "the signer's certificate cannot be read"
        raise ValueError(msg) from error


def _verify(key: object, algorithm: str, raw: bytes, message: bytes) -> None:
    if algorithm == _ED25519 and isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(raw, message)
    elif algorithm in _ELLIPTIC and isinstance(key, ec.EllipticCurvePublicKey):
        kind = _ELLIPTIC[algorithm]
        if not isinstance(key.curve, kind.curve) or len(raw) != 2 * kind.size:
            raise InvalidSignature
        r, s = int.from_bytes(raw[: kind.size], "big"), int.from_bytes(raw[kind.size :], "big")
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(kind.digest))
    elif algorithm in _PSS and isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in _RSA_BITS:
            msg = f"the signer's RSA key has {key.key_size} bits; expected 2048 to 8192"
            raise UnsupportedAlgorithm(msg)
        digest = _PSS[algorithm]
        key.verify(raw, message, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    else:
        raise InvalidSignature


def _open(data: bytes) -> tuple[bytes, Mapping[Any, Any], Mapping[Any, Any], bytes]:
    """Return protected header as signed, protected and unprotected header, signature value."""
    if len(data) > MAX_BYTES:
        msg = f"the signature is {len(data)} bytes; at most {MAX_BYTES} are accepted"
        raise MalformedError(msg)
    parts = boundedcbor.decode(_untagged(data), what="the signature", text_keys=False)
    if not isinstance(parts, list) or len(parts) != 4:
        msg = "the signature is not a COSE_Sign1 structure of four parts"
        raise MalformedError(msg)
    protected, loose, payload, raw = parts
    if not isinstance(protected, bytes) or not isinstance(loose, dict) or not isinstance(raw, bytes):
        msg = "the signature's parts are not those of a COSE_Sign1 structure"
        raise MalformedError(msg)
    if payload is not None:
        msg = "the signature brings a payload of its own; expected none, for the claim is what is signed"
        raise MalformedError(msg)
    headers = boundedcbor.decode(protected, what="the signed header", text_keys=False) if protected else {}
    if not isinstance(headers, dict) or len(headers) > MAX_HEADERS or len(loose) > MAX_HEADERS:
        msg = f"the signature's headers are not maps of at most {MAX_HEADERS} entries"
        raise MalformedError(msg)
    return protected, headers, loose, raw


def _untagged(data: bytes) -> bytes:
    """Take off the tag 18, in whichever of its legal lengths it is written."""
    for size in (0, 1, 2, 4, 8):
        head = (
            bytes((0xD2,))
            if size == 0
            else bytes((0xD7 + (1, 2, 4, 8).index(size) + 1,)) + _SIGN1_TAG.to_bytes(size, "big")
        )
        if data.startswith(head):
            return data[len(head) :]
    msg = "the signature is not marked as a COSE_Sign1 structure"
    raise MalformedError(msg)


def _chain(headers: Mapping[Any, Any], loose: Mapping[Any, Any]) -> tuple[bytes, ...]:
    """Return the certificates; none unless exactly one header holds them."""
    found = [header[label] for header in (headers, loose) for label in (_CHAIN, _OLD_CHAIN) if label in header]
    if len(found) != 1:
        return ()
    chain = found[0] if isinstance(found[0], list) else [found[0]]
    if not 0 < len(chain) <= MAX_CERTIFICATES:
        return ()
    if not all(isinstance(item, bytes) and 0 < len(item) <= MAX_CERTIFICATE_BYTES for item in chain):
        return ()
    return tuple(chain)


def _all_understood(headers: Mapping[Any, Any]) -> bool:
    critical = headers[_CRITICAL]
    return (
        isinstance(critical, list)
        and bool(critical)
        and all(type(label) in (int, str) and label in _UNDERSTOOD and label in headers for label in critical)
    )


def _timestamps(container: Any) -> tuple[bytes, ...]:
    """Return the tokens of a ``sigTst`` or ``sigTst2`` header; what does not have its form holds none."""
    tokens = container.get("tstTokens") if isinstance(container, dict) else None
    if not isinstance(tokens, list) or len(tokens) > MAX_TIMESTAMPS:
        return ()
    values = (token.get("val") for token in tokens if isinstance(token, dict))
    return tuple(value for value in values if isinstance(value, bytes))
