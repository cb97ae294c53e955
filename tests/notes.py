"""Keys, trees and receipts for tests of the log; every key is new and lives in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from rawtrace.ledger import merkle
from rawtrace.ledger.checkpoint import Checkpoint, cosign, sign_checkpoint
from rawtrace.ledger.entry import Entry, canonical, commitment
from rawtrace.ledger.note import ED25519, ED25519_COSIGNATURE, MLDSA44_COSIGNATURE, NoteSigner
from rawtrace.ledger.receipt import Receipt, pack_extra
from rawtrace.ledger.tiles import encode_bundle, parse_path

ORIGIN = "log.example.org/facility"


def signer(name: str = ORIGIN, kind: int = ED25519) -> NoteSigner:
    """Make a key of a log."""
    key = MLDSA44PrivateKey.generate() if kind == MLDSA44_COSIGNATURE else Ed25519PrivateKey.generate()
    return NoteSigner(name, key.sign, key.public_key().public_bytes_raw(), kind)


def witness(name: str = "witness.example.org/one", kind: int = ED25519_COSIGNATURE) -> NoteSigner:
    """Make a key of a witness."""
    return signer(name, kind)


class Tree:
    """A log in memory, as plainly as RFC 6962 writes it: the oracle for what is done faster elsewhere."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = tuple(entries)
        self.leaves = tuple(hashlib.sha256(b"\x00" + entry).digest() for entry in self.entries)

    def root(self, start: int = 0, end: int | None = None) -> bytes:
        end = len(self.leaves) if end is None else end
        if end == start:
            return hashlib.sha256().digest()
        if end - start == 1:
            return self.leaves[start]
        split = 1
        while split * 2 < end - start:
            split *= 2
        return hashlib.sha256(b"\x01" + self.root(start, start + split) + self.root(start + split, end)).digest()

    def read(self, level: int, index: int) -> bytes:
        assert (index + 1) << level <= len(self.leaves)
        return self.root(index << level, (index + 1) << level)

    def checkpoint(self, size: int | None = None, origin: str = ORIGIN) -> Checkpoint:
        size = len(self.leaves) if size is None else size
        return Checkpoint(origin, size, self.root(0, size))


class Memory:
    """A tree's tiles and entries, as ``LogStore`` gives them."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def read(self, path: str, *, size: int) -> bytes | None:
        tile = parse_path(path)
        first, step = tile.index * 256, 256 ** (tile.level or 0)
        if (first + tile.width) * step > size:
            return None
        if tile.level is None:
            return encode_bundle(self._tree.entries[first : first + tile.width])
        return b"".join(self._tree.root(at * step, (at + 1) * step) for at in range(first, first + tile.width))


def numbered(count: int, start: int = 0) -> list[bytes]:
    """Return so many different entries."""
    return [b"entry %d" % number for number in range(start, start + count)]


def request(old: int, proof: Sequence[bytes], note: bytes) -> bytes:
    """Write what is posted to a witness."""
    from base64 import b64encode

    lines = [b"old %d\n" % old, *(b64encode(one) + b"\n" for one in proof), b"\n"]
    return b"".join(lines) + note


def make_receipt(
    log: NoteSigner, *witnesses: tuple[NoteSigner, int], record: bytes = b"", size: int = 7, index: int = 3
) -> Receipt:
    """Make a receipt for a record in a log of ``size``; witnesses come with the times they state."""
    record = record or canonical({"claim": "ab" * 32, "kind": "seal", "v": 1})
    salt = bytes(range(32))
    entry = Entry(kind="seal", issuer=log.name, key="0123456789abcdef", commitment=commitment(salt, record)).encode()
    entries = numbered(size)
    entries[index] = entry
    tree = Tree(entries)
    note = sign_checkpoint(tree.checkpoint(origin=log.name), log)
    note += "".join(cosign(note, one, time_s) for one, time_s in witnesses).encode()
    return Receipt(
        extra=pack_extra(salt, entry, record),
        index=index,
        proof=merkle.inclusion_proof(index, size, tree.read),
        checkpoint=note,
    )
