"""What of each seal has to go to which store, in the agent's outbox: nothing is forgotten, nothing is noted twice.

A delivery is ``waiting`` until a store has answered, ``answered`` while receipt
and counter-signature are to be written beside the seal, and then ``delivered``.
A seal's bytes are kept from the moment it is sealed until every store has it,
so that data may be moved away meanwhile.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from rawtrace.agent.rows import in_words
from rawtrace.agent.watch import Kind

SCHEMA = """
CREATE TABLE IF NOT EXISTS target (url TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS delivery (
    asset INTEGER NOT NULL REFERENCES asset (id),
    store TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'answered', 'delivered')),
    since TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    place INTEGER,
    receipt BLOB,
    updated BLOB,
    delivered_at TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (asset, store)
) STRICT;
CREATE INDEX IF NOT EXISTS delivery_open ON delivery (store, state, attempts, asset) WHERE state <> 'delivered';
CREATE TABLE IF NOT EXISTS delivery_seal (asset INTEGER PRIMARY KEY REFERENCES asset (id), data BLOB NOT NULL) STRICT;
"""
#: Put with an asset's new seal into the transaction that notes it as sealed.
_QUEUE = (
    "INSERT OR IGNORE INTO delivery (asset, store, since) SELECT asset.id, target.url, asset.sealed_at"
    " FROM asset, target WHERE asset.path = ? AND asset.state = 'sealed'"
)
_KEEP = (
    "INSERT OR REPLACE INTO delivery_seal (asset, data) SELECT id, ? FROM asset"
    " WHERE path = ? AND state = 'sealed' AND EXISTS (SELECT 1 FROM target)"
)
_QUEUE_OLDER = (
    "INSERT OR IGNORE INTO delivery (asset, store, since) SELECT asset.id, target.url, asset.sealed_at"
    " FROM asset, target WHERE asset.state IN ('sealed', 'superseded', 'changed')"
    " AND asset.claim_sha256 <> '' AND asset.how <> 'found-sealed'"
)
_FIELDS = (
    "asset.id, asset.path, asset.kind, asset.claim_sha256, delivery.store, delivery.attempts, delivery_seal.data,"
    " delivery.place, delivery.receipt, delivery.updated"
)
_OPEN = (
    f"SELECT {_FIELDS} FROM delivery JOIN asset ON asset.id = delivery.asset"  # noqa: S608  fixed text
    " LEFT JOIN delivery_seal ON delivery_seal.asset = delivery.asset WHERE delivery.state = ?"
    " AND delivery.store = ? ORDER BY delivery.attempts, delivery.asset LIMIT ?"
)


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"
    ANSWERED = "answered"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One seal that is on its way to one store.

    Attributes
    ----------
    asset : int
        Id of the outbox's row.
    name : str
        Path of the data below the watched folder.
    claim : str
        SHA-256 of the seal's claim, by which it is found again.
    kept : bytes
        The seal as it was made; empty for one that is older than delivering.
    place : int or None
        Index in the store's log, once it has answered.
    receipt, updated : bytes
        What the store answered; empty where it did not.
    """

    asset: int
    name: str
    kind: Kind
    claim: str
    store: str
    attempts: int
    kept: bytes
    place: int | None = None
    receipt: bytes = b""
    updated: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """How many seals wait for one store, the oldest since when, and why the last attempt failed."""

    store: str
    waiting: int
    delivered: int
    since: str
    error: str


class Transacting(Protocol):
    """What this needs of the outbox."""

    path: Path

    def transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        """Open a transaction that writes."""


class DeliveryBox:
    """The deliveries of an outbox; used by the thread that uses the outbox.

    Parameters
    ----------
    outbox : Transacting
    """

    def __init__(self, outbox: Transacting) -> None:
        self._outbox = outbox

    def aim(self, stores: Sequence[str]) -> None:
        """Set where seals go from now on; a store that is new here gets the older seals, too."""
        with self._outbox.transaction() as database:
            database.execute("DELETE FROM target")
            database.executemany("INSERT OR IGNORE INTO target (url) VALUES (?)", [(store,) for store in stores])
            database.execute(_QUEUE_OLDER)

    def waiting(self, store: str, *, limit: int) -> list[Parcel]:
        """Return what one store has not got, what was tried least first."""
        return self._open(DeliveryState.WAITING, store, limit)

    def answered(self, store: str, *, limit: int) -> list[Parcel]:
        """Return what one store has answered and what is not written beside the seal yet."""
        return self._open(DeliveryState.ANSWERED, store, limit)

    def note_answer(self, parcel: Parcel, *, place: int | None, receipt: bytes, updated: bytes) -> None:
        """Keep a store's answer before anything of it is written elsewhere."""
        with self._outbox.transaction() as database:
            database.execute(
                "UPDATE delivery SET state = 'answered', place = ?, receipt = ?, updated = ?, error = '', attempts = 0"
                " WHERE asset = ? AND store = ? AND state = 'waiting'",
                (place, receipt, updated, parcel.asset, parcel.store),
            )

    def note_failure(self, parcels: Sequence[Parcel], error: str) -> None:
        """Keep why an attempt failed; it will be made again."""
        with self._outbox.transaction() as database:
            database.executemany(
                "UPDATE delivery SET attempts = attempts + 1, error = ? WHERE asset = ? AND store = ?",
                [(error, parcel.asset, parcel.store) for parcel in parcels],
            )

    def note_delivered(self, parcel: Parcel, now: str, *, error: str = "") -> None:
        """Note that a store has a seal and that its answer is written down; what was kept for it goes."""
        with self._outbox.transaction() as database:
            database.execute(
                "UPDATE delivery SET state = 'delivered', delivered_at = ?, error = ?, receipt = NULL, updated = NULL"
                " WHERE asset = ? AND store = ?",
                (now, error, parcel.asset, parcel.store),
            )
            database.execute(
                "DELETE FROM delivery_seal WHERE asset = ? AND NOT EXISTS (SELECT 1 FROM delivery JOIN target"
                " ON target.url = delivery.store WHERE delivery.asset = delivery_seal.asset AND state <> 'delivered')",
                (parcel.asset,),
            )

    def _open(self, state: DeliveryState, store: str, limit: int) -> list[Parcel]:
        with self._outbox.transaction() as database:
            return [_parcel(row, store) for row in database.execute(_OPEN, (state.value, store, limit)).fetchall()]


def queue(database: sqlite3.Connection, key: bytes, sidecar: bytes) -> None:
    """Put a new seal on its way, within the transaction that notes it as sealed."""
    database.execute(_QUEUE, (key,))
    if sidecar:
        database.execute(_KEEP, (sidecar, key))


def undelivered(database: sqlite3.Connection, path: Path) -> tuple[Undelivered, ...]:
    """Return how deliveries stand, by store; none for a state file from before there were deliveries."""
    with in_words(path):
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'target'").fetchone():
            return ()
        found = database.execute(
            "SELECT url, count(asset) FILTER (WHERE state <> 'delivered'),"
            " count(asset) FILTER (WHERE state = 'delivered'),"
            " coalesce(min(since) FILTER (WHERE state <> 'delivered'), ''),"
            " coalesce(max(error) FILTER (WHERE state <> 'delivered' AND error <> ''), '')"
            " FROM target LEFT JOIN delivery ON delivery.store = target.url GROUP BY url ORDER BY url"
        ).fetchall()
    return tuple(
        Undelivered(store=store, waiting=waiting, delivered=delivered, since=since, error=error)
        for store, waiting, delivered, since, error in found
    )


def _parcel(row: Any, store: str) -> Parcel:
    asset, path, kind, claim, _, attempts, kept, place, receipt, updated = row
    return Parcel(
        asset=asset,
        name=os.fsdecode(path),
        kind=Kind(kind),
        claim=claim,
        store=store,
        attempts=attempts,
        kept=kept or b"",
        place=place,
        receipt=receipt or b"",
        updated=updated or b"",
    )
