"""The parts that handle values are made of, binary and JSON: blocks, keys, references, and strict reading."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rawtrace.errors import MalformedError

_RSA, _DSA = b"RSA_PUB_KEY", b"DSA_PUB_KEY"
_DSA_ORDER = ("q", "p", "g", "y")
_MAX_KEY_NUMBER = 2048
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192


@dataclass(frozen=True, slots=True)
class RsaKey:
    """An RSA public key."""

    n: int
    e: int

    @classmethod
    def of(cls, public: rsa.RSAPublicKey) -> RsaKey:
        """Return the key as two numbers."""
        numbers = public.public_numbers()
        return cls(numbers.n, numbers.e)

    def public(self) -> rsa.RSAPublicKey:
        """Return the key for use.

        Raises
        ------
        MalformedError
            Too short, too long, or no RSA key at all.
        """
        return _public(self)

    def sha256(self) -> str:
        """Return the SHA-256 of the key as a SubjectPublicKeyInfo, as ``rawtrace.web`` compares it."""
        return _sha256(self)


@lru_cache(maxsize=256)
def _public(key: RsaKey) -> rsa.RSAPublicKey:
    if not MIN_RSA_BITS <= key.n.bit_length() <= MAX_RSA_BITS:
        msg = f"an RSA key has {key.n.bit_length()} bits; expected {MIN_RSA_BITS} to {MAX_RSA_BITS}"
        raise MalformedError(msg)
    try:
        return rsa.RSAPublicNumbers(key.e, key.n).public_key()
    except ValueError as error:
        msg = "two numbers are given as an RSA key and are none"
        raise MalformedError(msg) from error


@lru_cache(maxsize=256)
def _sha256(key: RsaKey) -> str:
    return hashlib.sha256(key.public().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class Reader:
    """Reads the binary form from front to back; every length is checked."""

    def __init__(self, data: bytes, what: str) -> None:
        self._data, self._what, self._at = data, what, 0

    def take(self, count: int) -> bytes:
        """Return so many bytes."""
        found = self._data[self._at : self._at + count]
        if len(found) != count:
            msg = f"{self._what} ends too early"
            raise MalformedError(msg)
        self._at += count
        return found

    def number(self, size: int) -> int:
        """Return an unsigned number of so many bytes, highest first."""
        return int.from_bytes(self.take(size), "big")

    def block(self) -> bytes:
        """Return what a length of four bytes stands before."""
        return self.take(self.number(4))

    def text(self) -> str:
        """Return a block as text."""
        try:
            return self.block().decode()
        except UnicodeDecodeError as error:
            msg = f"{self._what} has text that is not UTF-8"
            raise MalformedError(msg) from error

    def count(self, most: int) -> int:
        """Return how many follow."""
        number = self.number(4)
        if number > most:
            msg = f"{self._what} has {number} parts; at most {most} are accepted"
            raise MalformedError(msg)
        return number

    def end(self) -> None:
        """Refuse what is left over."""
        if self._at != len(self._data):
            msg = f"{self._what} goes on after its end"
            raise MalformedError(msg)


def u32(number: int) -> bytes:
    """Return four bytes, highest first."""
    return number.to_bytes(4, "big")


def block(data: bytes) -> bytes:
    """Return data with its length before it."""
    return u32(len(data)) + data


def encode_key(key: RsaKey) -> bytes:
    """Write an RSA key as HS_PUBKEY holds it."""
    return block(_RSA) + b"\0\0" + block(_signed(key.e)) + block(_signed(key.n)) + u32(0)


def rsa_key(data: bytes) -> RsaKey | None:
    """Read an RSA key; None for another kind of key, or what is none."""
    try:
        reader = Reader(data, "the key")
        if reader.block() != _RSA or reader.number(2):
            return None
        e, n = reader.block(), reader.block()
        if reader.number(4):
            return None
        reader.end()
    except MalformedError:
        return None
    if max(len(e), len(n)) > _MAX_KEY_NUMBER:
        return None
    return RsaKey(int.from_bytes(n, "big", signed=True), int.from_bytes(e, "big", signed=True))


def key_to_json(data: bytes) -> dict[str, str]:
    """Write a key of a handle value as a JWK.

    Raises
    ------
    MalformedError
        Neither RSA nor DSA, or not in its one form.
    """
    key = rsa_key(data)
    if key is not None and key.n > 0 and key.e > 0:
        made = {"kty": "RSA", "n": _base64url(_unsigned(key.n)), "e": _base64url(_unsigned(key.e))}
    else:
        reader = Reader(data, "the key")
        if reader.block() != _DSA or reader.number(2):
            msg = "the key is neither RSA nor DSA, the two that handle values can hold"
            raise MalformedError(msg)
        numbers = {name: int.from_bytes(reader.block(), "big") for name in _DSA_ORDER}
        reader.end()
        made = {"kty": "DSA", **{name: _base64url(_unsigned(numbers[name])) for name in ("y", "p", "q", "g")}}
    if key_from_json(made) != data:
        msg = "the key is not written in its one form"
        raise MalformedError(msg)
    return made


def key_from_json(value: object) -> bytes:
    """Read a JWK (RSA or DSA) into the form of a handle value.

    Raises
    ------
    MalformedError
    """
    one = mapping(value, "the key")
    kind = one.get("kty")
    if kind == "RSA":
        return encode_key(RsaKey(_number(one, "n"), _number(one, "e")))
    if kind == "DSA":
        return block(_DSA) + b"\0\0" + b"".join(block(_signed(_number(one, name))) for name in _DSA_ORDER)
    msg = f"the kind of key {str(kind)[:20]!r} is neither RSA nor DSA, the two that handle values can hold"
    raise MalformedError(msg)


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """Return a JSON object, or raise ``MalformedError``."""
    if not isinstance(value, dict):
        msg = f"{what} is not a JSON object"
        raise MalformedError(msg)
    return value


def sequence(value: object, what: str, most: int) -> Sequence[Any]:
    """Return a JSON array of bounded length, or raise ``MalformedError``."""
    if not isinstance(value, list) or len(value) > most:
        msg = f"{what} is not a JSON array of at most {most}"
        raise MalformedError(msg)
    return value


def text(value: object, what: str) -> str:
    """Return a string that UTF-8 can hold, or raise ``MalformedError``."""
    if isinstance(value, str):
        try:
            if not value.isascii():
                value.encode()
        except UnicodeEncodeError:
            pass
        else:
            return value
    msg = f"{what} is not a string"
    raise MalformedError(msg)


def integer(value: object, what: str, most: int) -> int:
    """Return a whole number from 0 to ``most``, or raise ``MalformedError``."""
    if type(value) is not int or not 0 <= value <= most:
        msg = f"{what} is not a whole number from 0 to {most}"
        raise MalformedError(msg)
    return value


def boolean(value: object, what: str) -> bool:
    """Return true or false, or raise ``MalformedError``."""
    if not isinstance(value, bool):
        msg = f"{what} is neither true nor false"
        raise MalformedError(msg)
    return value


def from_base64url(value: object, what: str) -> bytes:
    """Read base64url without padding, in its one spelling, or raise ``MalformedError``."""
    given = text(value, what)
    try:
        data = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if _base64url(data) != given:
        msg = f"{what} is not base64url without padding"
        raise MalformedError(msg)
    return data


def _number(one: Mapping[str, Any], name: str) -> int:
    data = from_base64url(one.get(name), name)
    # Some libraries write the sign byte, too.
    if not 1 <= len(data) <= _MAX_KEY_NUMBER:
        msg = f"the key's number {name} is missing or too long"
        raise MalformedError(msg)
    return int.from_bytes(data, "big")


def _signed(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def _unsigned(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
