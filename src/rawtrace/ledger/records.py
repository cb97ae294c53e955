"""The records behind a log's entries: finding them, their receipts, and erasing them."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from rawtrace.errors import LedgerError
from rawtrace.ledger.logstore import RECORDS, LogStore
from rawtrace.ledger.prover import Prover
from rawtrace.ledger.submissions import Lookups
from rawtrace.ledger.tiles import WIDTH, decode_bundle, entries_path, width_at


class Records:
    """The records of one log.

    Parameters
    ----------
    store : LogStore
    lookups : Lookups
    """

    def __init__(self, store: LogStore, lookups: Lookups) -> None:
        self._store = store
        self._lookups = lookups
        self.origin = store.origin

    def find(self, record: bytes) -> int | None:
        """Return the index of a record, ``None`` if it was never logged; erased ones are found, too."""
        with self._store.database.read() as connection:
            found: int | None = connection.execute(
                sa.select(RECORDS.c.position).where(RECORDS.c.lookup == self._lookups.record(record))
            ).scalar()
        return found

    def find_claim(self, claim: str) -> tuple[int, ...]:
        """Return the indices of the seals whose record names a claim (hex SHA-256); none of erased ones."""
        wanted = sa.and_(RECORDS.c.origin == self.origin, RECORDS.c.claim_lookup == self._lookups.claim(claim))
        with self._store.database.read() as connection:
            return tuple(
                connection.execute(sa.select(RECORDS.c.position).where(wanted).order_by(RECORDS.c.position)).scalars()
            )

    def receipt(self, index: int, prover: Prover) -> bytes:
        """Return the receipt of the record at ``index``, to the prover's checkpoint.

        Raises
        ------
        LedgerError
            There is no such entry, or its record was erased or is not at hand.
        """
        if not 0 <= index < prover.size:
            msg = f"there is no entry {index} in the log {self.origin}, which has {prover.size}"
            raise LedgerError(msg)
        with self._store.database.read() as connection:
            row = connection.execute(
                sa.select(RECORDS.c.salt, RECORDS.c.record).where(
                    RECORDS.c.origin == self.origin, RECORDS.c.position == index
                )
            ).first()
            number = index // WIDTH
            path = entries_path(number, width_at(0, number, prover.size))
            bundle = self._store.read_in(connection, path, size=prover.size)
        if row is None or row.record is None or bundle is None:
            msg = f"the record {index} of the log {self.origin} was erased, or is not at hand"
            raise LedgerError(msg, hint="receipts that were given out before still hold")
        entries = decode_bundle(bundle, width_at(0, number, prover.size))
        return prover.receipt(index, bytes(row.salt), entries[index % WIDTH], bytes(row.record))

    def erase(self, index: int) -> bool:
        """Delete salt and record at ``index``; the tree and everybody else's receipts stay as they are.

        Returns
        -------
        bool
            Whether there was something to delete.

        Raises
        ------
        LedgerError
            There is no such record.
        """
        with self._store.database.write() as connection:
            there = sa.and_(RECORDS.c.origin == self.origin, RECORDS.c.position == index)
            erased = _erase(connection, there)
            if not erased and connection.execute(sa.select(RECORDS.c.position).where(there)).first() is None:
                msg = f"there is no record {index} in the log {self.origin}"
                raise LedgerError(msg)
        self._store.database.settle()
        return bool(erased)

    def erase_older(self, kind: str, before: datetime) -> int:
        """Delete salts and records of one kind that were added before a time; returns how many."""
        limit = stamp(before)
        chosen = sa.and_(RECORDS.c.origin == self.origin, RECORDS.c.kind == kind, RECORDS.c.added < limit)
        with self._store.database.write() as connection:
            erased = _erase(connection, chosen)
        self._store.database.settle()
        return erased


def _erase(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> int:
    done = connection.execute(
        sa.update(RECORDS)
        .where(chosen, RECORDS.c.record.is_not(None))
        .values(salt=None, record=None, claim_lookup=None)
    )
    return int(done.rowcount)


def stamp(moment: datetime) -> str:
    """Write a time as the database keeps it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
