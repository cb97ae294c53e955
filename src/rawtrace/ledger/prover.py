"""Proofs and receipts of one published size of a log, from tiles in a database; what was computed once is kept."""

from __future__ import annotations

import threading

from rawtrace.errors import LedgerError
from rawtrace.ledger import merkle
from rawtrace.ledger.logstore import LogStore, TileKey
from rawtrace.ledger.merkle import HASH
from rawtrace.ledger.receipt import Receipt, pack_extra
from rawtrace.ledger.tiles import WIDTH

_MAX_TILES = 512
_MAX_HASHES = 1 << 16


class _Kept:
    """Tiles and hashes inside of them; right for every size, for what is complete never changes."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.tiles: dict[TileKey, bytes] = {}
        self.hashes: dict[tuple[int, int], bytes] = {}


class Prover:
    """A log at one size. Safe to share between threads.

    Parameters
    ----------
    store : LogStore
    size : int
        Entries.
    checkpoint : bytes
        Note that goes into receipts.
    """

    def __init__(self, store: LogStore, size: int, checkpoint: bytes, *, _kept: _Kept | None = None) -> None:
        self.size = size
        self.checkpoint = checkpoint
        self._store = store
        self._kept = _kept or _Kept()

    def at(self, size: int, checkpoint: bytes) -> Prover:
        """Return the prover of another size, which shares what this one has read."""
        return Prover(self._store, size, checkpoint, _kept=self._kept)

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the tree, or of what it was at an earlier ``size``."""
        return merkle.subtree_hash(0, self.size if size is None else size, self._hash)

    def consistency(self, old: int) -> tuple[bytes, ...]:
        """Return the proof that this tree continues that of ``old`` entries.

        Raises
        ------
        ReceiptError
            ``old`` is larger.
        """
        return merkle.consistency_proof(old, self.size, self._hash)

    def receipt(self, index: int, salt: bytes, entry: bytes, record: bytes) -> bytes:
        """Return the receipt of one record.

        Raises
        ------
        ReceiptError
            There is no such entry.
        """
        proof = merkle.inclusion_proof(index, self.size, self._hash)
        extra = pack_extra(salt, entry, record)
        return Receipt(extra=extra, index=index, proof=proof, checkpoint=self.checkpoint).encode()

    def _hash(self, level: int, index: int) -> bytes:
        kept = self._kept
        found = kept.hashes.get((level, index))
        if found is not None:
            return found
        row, height = divmod(level, 8)
        if height:
            found = merkle.node_hash(self._hash(level - 1, 2 * index), self._hash(level - 1, 2 * index + 1))
        else:
            found = self._from_tile(row, index)
        if len(kept.hashes) >= _MAX_HASHES:
            kept.hashes.clear()
        kept.hashes[level, index] = found
        return found

    def _from_tile(self, row: int, index: int) -> bytes:
        key, end = (row, index // WIDTH), (index % WIDTH + 1) * HASH
        with self._kept.lock:
            tile = self._kept.tiles.get(key, b"")
        if len(tile) < end:
            with self._store.database.read() as connection:
                tile = self._store.tiles(connection, [key]).get(key, b"")
            if len(tile) < end:
                msg = f"tile {key[1]} of level {key[0]} of the log {self._store.origin} is missing in the database"
                raise LedgerError(msg, hint="run `rawtrace log audit`")
            with self._kept.lock:
                if len(self._kept.tiles) >= _MAX_TILES:
                    self._kept.tiles.pop(next(iter(self._kept.tiles)))
                self._kept.tiles[key] = tile
        return tile[end - HASH : end]
