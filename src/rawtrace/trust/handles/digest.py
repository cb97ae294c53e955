"""What a handle's record is signed with: digests of values, HS_SIGNATURE and HS_CERT.

Both are compact JWS with RS256, the one algorithm that every Handle library
knows. A digest is over the binary value without its first eight bytes, index
and timestamp, so a value that was only touched stays signed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from rawtrace import strictjson
from rawtrace.errors import LimitError, MalformedError, ResolutionError
from rawtrace.trust.handles import wire
from rawtrace.trust.handles.names import PREFIX_RECORDS, Handle, parents, read_handle, upper
from rawtrace.trust.handles.values import MAX_DATA_BYTES, MAX_VALUES, HandleValue, Reference, dumps, encode_references
from rawtrace.trust.handles.wire import RsaKey

ALGORITHM = "RS256"
EVERYTHING, THIS_HANDLE = "everything", "thisHandle"
DERIVED_PREFIXES, UNDER_THIS_PREFIX = "derivedPrefixes", "handlesUnderThisPrefix"
_MAX_PERMISSIONS = 100
_MAX_CHAIN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A value of HS_SIGNATURE whose signature holds.

    Attributes
    ----------
    issuer : Reference
        The key that made it.
    indexes : frozenset[int]
        The values that it covers, each as it was signed.
    """

    issuer: Reference
    indexes: frozenset[int]
    not_before: datetime
    expires: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCertificate:
    """A value of HS_CERT whose signature holds: what a key may sign.

    Attributes
    ----------
    subject, issuer : Reference
    permissions : tuple[tuple[str, str], ...]
        Handle and what about it: ``everything``, ``thisHandle``, ``derivedPrefixes``, ``handlesUnderThisPrefix``.
    """

    subject: Reference
    issuer: Reference
    key: RsaKey
    permissions: tuple[tuple[str, str], ...]

    def permits(self, handle: Handle) -> bool:
        """Whether the key may sign the record of a handle."""
        return any(_permits(about, what, handle) for about, what in self.permissions)


def encode_value(value: HandleValue) -> bytes:
    """Return a value in its binary form, without index and timestamp."""
    return b"".join((
        bytes([int(value.absolute)]),
        wire.u32(value.ttl),
        bytes([value.permissions]),
        wire.block(value.type.encode()),
        wire.block(value.data),
        encode_references(value.references),
    ))  # fmt: skip


def digest_of(value: HandleValue) -> str:
    """Return a value's SHA-256 as a signature holds it, in base64."""
    return base64.b64encode(hashlib.sha256(encode_value(value)).digest()).decode()


def sign_values(
    handle: Handle,
    values: Sequence[HandleValue],
    *,
    key: rsa.RSAPrivateKey,
    issuer: Reference,
    not_before: datetime,
    expires: datetime,
    issued: datetime,
) -> str:
    """Make the data of HS_SIGNATURE over some values of a record."""
    return _sign(
        {
            "digests": {
                "alg": "SHA-256",
                "digests": [{"index": value.index, "digest": digest_of(value)} for value in values],
            },
            **_claims(issuer, handle.text, not_before, expires, issued),
        },
        key,
    )


def sign_key(
    subject: Reference,
    public: RsaKey,
    *,
    permissions: Sequence[tuple[str, str]],
    key: rsa.RSAPrivateKey,
    issuer: Reference,
    not_before: datetime,
    expires: datetime,
    issued: datetime,
) -> str:
    """Make the data of HS_CERT: what a key may sign, in the word of another key."""
    return _sign(
        {
            "perms": [{"handle": about, "perm": what} for about, what in permissions],
            "publicKey": wire.key_to_json(wire.encode_key(public)),
            **_claims(issuer, subject.text, not_before, expires, issued),
        },
        key,
    )


def issuer_of(jws: str) -> Reference | None:
    """Return which key a signature names as its own, unchecked; None where it names none."""
    try:
        payload = wire.from_base64url(jws.split(".")[1], "the signature") if jws.count(".") == 2 else b""
        issuer = _reference(
            wire.mapping(strictjson.loads(payload, what="the signature", max_bytes=MAX_DATA_BYTES), "it").get("iss")
        )
        read_handle(issuer.handle)
    except (MalformedError, LimitError):
        return None
    return issuer


def check_signature(jws: str, *, handle: Handle, values: Sequence[HandleValue], key: RsaKey, at: datetime) -> Signature:
    """Check HS_SIGNATURE: the key made it, for this handle, now, and the values are those that were signed.

    Raises
    ------
    ResolutionError
    """
    claims = _open(jws, key, what="the signature of the record", at=at)
    subject, digests = claims.get("sub"), claims.get("digests")
    try:
        same = read_handle(wire.text(subject, "sub")).same_as(handle)
        issuer = _reference(claims.get("iss"))
        listed = wire.mapping(digests, "digests")
        entries = wire.sequence(listed.get("digests"), "digests", MAX_VALUES)
        noted = {
            wire.integer(one.get("index"), "index", 0x7FFFFFFF): wire.text(one.get("digest"), "digest")
            for one in (wire.mapping(entry, "a digest") for entry in entries)
        }
    except MalformedError as error:
        raise ResolutionError(error.message) from error
    if not same:
        msg = f"the signature is that of another record than {handle.text}"
        raise ResolutionError(msg)
    if listed.get("alg") != "SHA-256" or len(noted) != len(entries):
        msg = f"the signature of {handle.text} has digests that are not read: expected SHA-256, each value once"
        raise ResolutionError(msg)
    found = {value.index: digest_of(value) for value in values}
    wrong = sorted(index for index, digest in noted.items() if found.get(index) != digest)
    if wrong:
        msg = f"the value {wrong[0]} of {handle.text} is not the one that was signed"
        raise ResolutionError(msg)
    return Signature(
        issuer=issuer,
        indexes=frozenset(noted),
        not_before=datetime.fromtimestamp(claims["nbf"], at.tzinfo),
        expires=datetime.fromtimestamp(claims["exp"], at.tzinfo),
    )


def check_key(jws: str, *, key: RsaKey, at: datetime) -> KeyCertificate:
    """Check HS_CERT with its issuer's key.

    Raises
    ------
    ResolutionError
    """
    claims = _open(jws, key, what="the certificate of a handle key", at=at)
    try:
        certified = wire.rsa_key(wire.key_from_json(claims.get("publicKey")))
        entries = wire.sequence(claims.get("perms"), "perms", _MAX_PERMISSIONS)
        permissions = tuple(
            (wire.text(one.get("handle", ""), "handle"), wire.text(one.get("perm"), "perm"))
            for one in (wire.mapping(entry, "a permission") for entry in entries)
        )
        subject, issuer = _reference(claims.get("sub")), _reference(claims.get("iss"))
    except MalformedError as error:
        raise ResolutionError(error.message) from error
    if certified is None:
        msg = "the certificate of a handle key is for a key that is not RSA"
        raise ResolutionError(msg)
    return KeyCertificate(subject=subject, issuer=issuer, key=certified, permissions=permissions)


def check_chain(chain: Sequence[str], *, root: RsaKey, handle: Handle, at: datetime) -> RsaKey:
    """Follow HS_CERT values from a root key down, each allowed to speak of ``handle``; returns the last key.

    Raises
    ------
    ResolutionError
    """
    if len(chain) > _MAX_CHAIN:
        msg = f"the chain of handle keys has {len(chain)} links; at most {_MAX_CHAIN} are followed"
        raise ResolutionError(msg)
    key = root
    for jws in chain:
        certificate = check_key(jws, key=key, at=at)
        if not certificate.permits(handle):
            msg = f"the key {certificate.subject.text} may not speak of {handle.text}"
            raise ResolutionError(msg)
        key = certificate.key
    return key


def _permits(about: str, what: str, handle: Handle) -> bool:
    """Tell as CNRI's library does; it was asked for each kind of permission."""
    if what == EVERYTHING:
        return True
    if what == THIS_HANDLE and about == handle.text:
        return True
    at_root, _, scope = upper(about).partition("/")
    if at_root != PREFIX_RECORDS:
        return False
    is_record = upper(handle.prefix) == PREFIX_RECORDS
    prefix = handle.suffix if is_record else handle.prefix
    if what == DERIVED_PREFIXES:
        return scope in {upper(parent) for parent in parents(prefix)}
    return what in {THIS_HANDLE, UNDER_THIS_PREFIX} and not is_record and upper(prefix) == scope


def _claims(issuer: Reference, subject: str, nbf: datetime, exp: datetime, iat: datetime) -> dict[str, Any]:
    times = {"exp": int(exp.timestamp()), "nbf": int(nbf.timestamp()), "iat": int(iat.timestamp())}
    return {"iss": issuer.text, "sub": subject, **times}


def _sign(claims: Mapping[str, Any], key: rsa.RSAPrivateKey) -> str:
    signed = f"{_encode(dumps({'alg': ALGORITHM}))}.{_encode(dumps(claims))}"
    return f"{signed}.{_encode(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _open(jws: str, key: RsaKey, *, what: str, at: datetime) -> Mapping[str, Any]:
    """Check signature and times; nothing of the content is looked at before."""
    parts = jws.split(".")
    if len(parts) != 3 or len(jws) > MAX_DATA_BYTES:
        msg = f"{what} is not a compact JWS"
        raise ResolutionError(msg)
    try:
        head, payload, raw = (wire.from_base64url(part, what) for part in parts)
        header = wire.mapping(strictjson.loads(head, what=what, max_bytes=4096), what)
        if header.get("alg") != ALGORITHM or "crit" in header:
            msg = f"{what} is not signed with {ALGORITHM} alone"
            raise ResolutionError(msg)
        signed = f"{parts[0]}.{parts[1]}".encode()
        key.public().verify(raw, signed, padding.PKCS1v15(), hashes.SHA256())
        claims = wire.mapping(strictjson.loads(payload, what=what, max_bytes=MAX_DATA_BYTES), what)
        begin, end = (wire.integer(claims.get(name), name, 1 << 40) for name in ("nbf", "exp"))
    except InvalidSignature as error:
        msg = f"{what} does not hold: it was changed, or made with another key"
        raise ResolutionError(msg) from error
    except (MalformedError, LimitError, json.JSONDecodeError) as error:
        raise ResolutionError(error.args[0]) from error
    if not begin <= at.timestamp() <= end:
        msg = f"{what} is not in force at {at.isoformat(timespec='seconds')}"
        raise ResolutionError(msg)
    return claims


def _reference(value: object) -> Reference:
    index, _, handle = wire.text(value, "the name of a key").partition(":")
    if not index.isascii() or not index.isdigit() or len(index) > 10 or not handle:
        msg = "a key is not named as index:handle"
        raise MalformedError(msg)
    return Reference(handle, int(index))


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
