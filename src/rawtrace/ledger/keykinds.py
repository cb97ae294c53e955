"""The kinds of keys that sign notes: what each signs, how a signature is checked, and how a key is named. Pure."""

from __future__ import annotations

import functools
import hashlib
import struct
from typing import TYPE_CHECKING

from rawtrace.errors import ReceiptError
from rawtrace.ledger.encoding import read_decimal, read_hash

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

#: Plain signature over the text.
ED25519 = 0x01
#: Cosignature: signature with a time, over a checkpoint.
ED25519_COSIGNATURE = 0x04
#: The same with ML-DSA-44, over the tree head alone.
MLDSA44_COSIGNATURE = 0x06

#: Kinds whose signatures carry a time.
COSIGNATURES = frozenset({ED25519_COSIGNATURE, MLDSA44_COSIGNATURE})
#: Sizes in bytes of public keys, and of signatures without key id and time.
PUBLIC_SIZE = {ED25519: 32, ED25519_COSIGNATURE: 32, MLDSA44_COSIGNATURE: 1312}
SIGNATURE_SIZE = {ED25519: 64, ED25519_COSIGNATURE: 64, MLDSA44_COSIGNATURE: 2420}
#: Longest name of a key or a log in bytes, where a signed message counts it in one byte.
MAX_NAME = 255


@functools.lru_cache(maxsize=1024)
def key_id(name: str, kind: int, public: bytes) -> bytes:
    """Return the four bytes that name a key in a signature line."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


def holds(kind: int, public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a raw signature is one of ``message`` by that key.

    Raises
    ------
    ReceiptError
        This installation cannot check that kind.
    """
    from cryptography.exceptions import InvalidSignature

    if len(signature) != SIGNATURE_SIZE[kind]:
        return False
    try:
        _public_key(kind, public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed_message(kind: int, name: str, text: str, time_s: int | None) -> bytes:
    """Return the very bytes that a key of this kind signs for a note's text.

    Raises
    ------
    ReceiptError
        An ML-DSA-44 cosignature over a text that is no checkpoint.
    """
    if kind == ED25519:
        return text.encode()
    if kind == ED25519_COSIGNATURE:
        return f"cosignature/v1\ntime {time_s}\n{text}".encode()
    origin, size, root = tree_head(text)
    cosigner, log = name.encode(), origin.encode()
    if len(log) > MAX_NAME:
        msg = "an origin that is too long for an ML-DSA-44 cosignature"
        raise ReceiptError(msg)
    return b"".join(
        (
            b"subtree/v1\n\0",
            bytes([len(cosigner)]) + cosigner,
            struct.pack(">Q", time_s or 0),
            bytes([len(log)]) + log,
            struct.pack(">QQ", 0, size),
            root,
        )
    )


def tree_head(text: str) -> tuple[str, int, bytes]:
    """Read the three lines that make a text a checkpoint's: origin, size, root.

    Raises
    ------
    ReceiptError
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        msg = "a checkpoint without its lines: origin, size, root"
        raise ReceiptError(msg)
    return lines[0], read_decimal(lines[1], "the tree size"), read_hash(lines[2], "the root hash")


@functools.lru_cache(maxsize=1024)
def _public_key(kind: int, public: bytes) -> Ed25519PublicKey | MLDSA44PublicKey:
    if kind == MLDSA44_COSIGNATURE:
        try:
            from cryptography.hazmat.primitives.asymmetric import mldsa
        except ImportError:
            msg = "ML-DSA-44 signatures need a newer version of the package cryptography"
            raise ReceiptError(msg) from None
        return mldsa.MLDSA44PublicKey.from_public_bytes(public)
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PublicKey.from_public_bytes(public)
