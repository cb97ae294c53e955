"""What a log holds in public: an entry that commits to a record without showing it. Pure.

The record, canonical JSON, stays with the log and whom it concerns. Its entry
holds a salted hash of it, so that nobody can guess what it says, and so that
erasing the salt and the record leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import Error, ReceiptError

#: Bytes of a salt.
SALT = 32
#: Largest record in bytes.
MAX_RECORD = 60_000
#: Largest entry in bytes that a tiled log can hold.
MAX_ENTRY = 65_535
#: Version of the entry and of every kind of record.
VERSION = 1

_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}")
_KEY = re.compile(r"(?:[0-9a-f]{16})?")
_COMMITMENT = re.compile(r"[0-9a-f]{64}")
_MAX_ISSUER = 256
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One leaf of a log.

    Attributes
    ----------
    kind : str
        What the record is about, such as ``seal`` or ``status``.
    issuer : str
        The log's origin or the authority's name, at most 256 characters.
    key : str
        First 8 bytes, in hex, of the SHA-256 of the public key (SubjectPublicKeyInfo) that signed what the
        record is about; empty where nothing is signed.
    commitment : str
        Hex SHA-256 over salt and record.
    """

    kind: str
    issuer: str
    key: str
    commitment: str

    def __post_init__(self) -> None:
        if not _KIND.fullmatch(self.kind):
            msg = f"{self.kind[:40]!r} is no kind of record; expected a short word in lower case"
            raise ReceiptError(msg)
        if not 0 < len(self.issuer) <= _MAX_ISSUER or not self.issuer.isprintable():
            msg = "the issuer of an entry is empty, too long, or has characters that cannot be shown"
            raise ReceiptError(msg)
        if not _KEY.fullmatch(self.key):
            msg = "the key of an entry is not 16 hexadecimal digits"
            raise ReceiptError(msg)
        if not _COMMITMENT.fullmatch(self.commitment):
            msg = "the commitment of an entry is not a SHA-256 in hexadecimal digits"
            raise ReceiptError(msg)

    def encode(self) -> bytes:
        """Write the entry as it stands in the tree."""
        return canonical(
            {"commitment": self.commitment, "issuer": self.issuer, "key": self.key, "kind": self.kind, "v": VERSION}
        )

    @classmethod
    def decode(cls, data: bytes) -> Entry:
        """Read an entry; only its canonical spelling is accepted.

        Raises
        ------
        ReceiptError
        """
        value = read_canonical(data, what="the entry", max_bytes=MAX_ENTRY)
        if set(value) != {"commitment", "issuer", "key", "kind", "v"} or not all(
            isinstance(value[name], str) for name in ("commitment", "issuer", "key", "kind")
        ):
            msg = "the entry does not say what one must: commitment, issuer, key, kind and v"
            raise ReceiptError(msg)
        check_version(value, "the entry")
        return cls(kind=value["kind"], issuer=value["issuer"], key=value["key"], commitment=value["commitment"])


def commitment(salt: bytes, record: bytes) -> str:
    """Return the commitment to a record: hex SHA-256 over salt and record.

    Raises
    ------
    ReceiptError
        A salt that is not 32 bytes long: with another length, salt and record could be cut in two ways.
    """
    if len(salt) != SALT:
        msg = f"a salt of {len(salt)} bytes; expected {SALT}"
        raise ReceiptError(msg)
    return hashlib.sha256(salt + record).hexdigest()


def canonical(value: Mapping[str, Any]) -> bytes:
    """Write the one spelling of a JSON object: sorted keys, no spaces, UTF-8, nothing escaped that need not be.

    Raises
    ------
    ReceiptError
        Something that JSON or UTF-8 cannot hold.
    """
    try:
        return _CANONICAL.encode(value).encode()
    except (TypeError, ValueError) as error:
        msg = f"a record that cannot be written as JSON: {error}"
        raise ReceiptError(msg) from error


def read_canonical(data: bytes, *, what: str, max_bytes: int = MAX_RECORD) -> dict[str, Any]:
    """Read a JSON object that is in its one spelling.

    Raises
    ------
    ReceiptError
    """
    try:
        value = strictjson.loads(data.decode("utf-8"), what=what, max_bytes=max_bytes)
    except UnicodeDecodeError:
        msg = f"{what} is not in UTF-8"
        raise ReceiptError(msg) from None
    except Error as error:
        raise ReceiptError(error.message) from error
    if not isinstance(value, dict) or canonical(value) != data:
        msg = f"{what} is not a JSON object in its canonical spelling"
        raise ReceiptError(msg)
    return value


def record_kind(record: bytes) -> str:
    """Return the kind that a record says it is of.

    Raises
    ------
    ReceiptError
        Not canonical JSON, of another version, or without a kind.
    """
    value = read_canonical(record, what="the record")
    check_version(value, "the record")
    kind = value.get("kind")
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        msg = "the record does not say what kind it is of"
        raise ReceiptError(msg)
    return kind


def check_version(value: Mapping[str, Any], what: str) -> None:
    """Refuse a version that is not ours.

    Raises
    ------
    ReceiptError
    """
    version = value.get("v")
    if type(version) is not int or version != VERSION:
        msg = f"{what} is of version {version!r:.20}; expected {VERSION}"
        raise ReceiptError(msg, hint="a newer rawtrace may read it" if type(version) is int else "")
