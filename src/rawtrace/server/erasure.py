"""What was erased from a store's log is not kept beside it either.

A record holds digests; the delivered seal that it is about is kept whole. Who
asks for the one to be erased means the other, too. What goes is found from the
log as it now is, so whatever interrupted an erasure, the next one ends it.
"""

from __future__ import annotations

import sqlalchemy as sa

from rawtrace.database import Database
from rawtrace.errors import SealUnreadableError
from rawtrace.ledger.logstore import RECORDS
from rawtrace.ledger.sequencer import Log
from rawtrace.server.seals import SEALS

_AT_ONCE = 100


def forget_seals(database: Database, log: Log) -> int:
    """Delete delivered seals whose record was erased, and the records of this store's counter-signatures on them.

    Parameters
    ----------
    database : Database
        The store's.
    log : Log
        The store's, open for writing.

    Returns
    -------
    int
        How many seals.
    """
    database.prepare([SEALS])
    gone = sa.select(RECORDS.c.position).where(RECORDS.c.origin == log.origin, RECORDS.c.record.is_(None))
    erased = SEALS.c.position.in_(gone)
    some = sa.select(SEALS.c.record, SEALS.c.sidecar, SEALS.c.updated).where(erased).limit(_AT_ONCE)
    count = 0
    while True:
        with database.read() as connection:
            rows = connection.execute(some).all()
        if not rows:
            break
        for row in rows:
            for index in _counter_signatures(bytes(row.updated or row.sidecar), log):
                log.erase(index)
        with database.write() as connection:
            connection.execute(sa.delete(SEALS).where(SEALS.c.record.in_([row.record for row in rows])))
        count += len(rows)
    if count:
        database.settle()
    return count


def _counter_signatures(seal: bytes, log: Log) -> list[int]:
    """Return where the log records those updates of a seal that it records."""
    from rawtrace.sealing.logrecord import record_of
    from rawtrace.sealing.manifest import read_store

    try:
        updates = [record_of(one) for one in read_store(seal).manifests.values() if one.is_update]
    except SealUnreadableError:
        return []
    return [index for index in map(log.find, updates) if index is not None]
