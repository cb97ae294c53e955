"""Bringing the entries of a log back from a mirror or an export into a database that is older, or empty.

Entries and tree come back whole, and receipts that were given out still hold.
Records and salts were never public: those that the database does not have are gone.
"""

from __future__ import annotations

import dataclasses
import secrets

from rawtrace.database import Database
from rawtrace.errors import LedgerError, ReceiptError
from rawtrace.ledger.checkpoint import open_checkpoint
from rawtrace.ledger.derive import Read
from rawtrace.ledger.logstore import LogStore, State
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.sources import CHECKPOINT
from rawtrace.ledger.tiles import WIDTH, decode_bundle, entries_path, width_at
from rawtrace.progress import SILENT, Progress

_BUNDLES = 16


def restore(database: Database, *, key: VerifierKey, read: Read, progress: Progress = SILENT) -> int:
    """Append what a copy of the log has more, in one transaction.

    Parameters
    ----------
    database : Database
    key : VerifierKey
        The log's own; its name is the log's origin.
    read : callable
        Reads the copy; see ``rawtrace.ledger.sources``.
    progress : Progress
        Counts entries.

    Returns
    -------
    int
        How many entries came back.

    Raises
    ------
    LedgerError
        The copy is not signed by ``key``, does not continue what is stored, or is not what its checkpoint says.
    """
    note = read(CHECKPOINT)
    try:
        checkpoint, _ = open_checkpoint(note or b"", [key])
    except ReceiptError as error:
        msg = f"the copy has no checkpoint that {key.name} has signed: {error.message}"
        raise LedgerError(msg) from error
    store = LogStore(database, key.name)
    store.prepare()
    progress.start(f"bringing back {key.name}", None)
    try:
        with database.write() as connection:
            first = store.state(connection)
            if first is None:
                store.create(connection, secret=secrets.token_bytes(32))
                first = store.state(connection)
            assert first is not None  # noqa: S101  it was made in this transaction
            if checkpoint.size < first.size:
                msg = f"the copy has {checkpoint.size} entries, and {first.size} are stored"
                raise LedgerError(msg, hint="ask another mirror")
            state: State = first
            while state.size < checkpoint.size:
                entries = _next(read, state.size, checkpoint.size)
                state = store.integrate(connection, state, entries)
                progress.advance(len(entries))
            if state.root != checkpoint.root:
                msg = f"the copy and what is stored are not the same log {key.name}: their trees differ"
                raise LedgerError(msg, hint="compare both: rawtrace log audit --older")
            whole = dataclasses.replace(
                state, signed=note or b"", published_size=checkpoint.size, checkpoint=note or b""
            )
            store.advance(connection, first, whole)
    finally:
        progress.finish()
    return checkpoint.size - first.size


def _next(read: Read, start: int, size: int) -> list[bytes]:
    """Read entries from ``start`` to the end of some bundles."""
    entries: list[bytes] = []
    for number in range(start // WIDTH, min(start // WIDTH + _BUNDLES, (size + WIDTH - 1) // WIDTH)):
        width = width_at(0, number, size)
        data = read(entries_path(number, width))
        try:
            held = decode_bundle(data or b"", width)
        except ReceiptError as error:
            msg = f"the copy does not hold the entries from {number * WIDTH} on: {error.message}"
            raise LedgerError(msg, hint="ask another mirror") from error
        entries += held[max(0, start - number * WIDTH) :]
    return entries
