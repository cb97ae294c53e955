"""Checkpoints of one log that cannot both be true, kept as they were signed: nobody needs to take our word for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rawtrace.database import METADATA, Database, insert_missing

#: Pairs kept of one log; the first ones say all that there is to say.
MAX_PAIRS = 100

PAIRS = sa.Table(
    "log_evidence",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("origin", sa.Text, nullable=False, index=True),
    sa.Column("noticed", sa.Text, nullable=False),
    sa.Column("said", sa.Text, nullable=False),
    sa.Column("first", sa.LargeBinary, nullable=False),
    sa.Column("second", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two signed checkpoints that contradict each other.

    Attributes
    ----------
    origin : str
    noticed : str
        When, UTC ISO 8601.
    said : str
        What is wrong, one sentence.
    first, second : bytes
        The notes.
    """

    origin: str
    noticed: str
    said: str
    first: bytes
    second: bytes


def keep(connection: sa.Connection, *, origin: str, said: str, first: bytes, second: bytes, now: datetime) -> None:
    """Keep a pair; the same one is kept once, and at most ``MAX_PAIRS`` of a log."""
    kept = connection.execute(
        sa.select(sa.func.count()).where(PAIRS.c.origin == origin).select_from(PAIRS)
    ).scalar_one()
    if kept >= MAX_PAIRS:
        return
    name = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in sorted((first, second)))).hexdigest()
    row = {
        "id": name,
        "origin": origin,
        "noticed": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "said": said,
        "first": first,
        "second": second,
    }
    insert_missing(connection, PAIRS, [row], key=["id"])


def pairs(database: Database, origin: str = "") -> tuple[Pair, ...]:
    """Return what is kept of one log, or of all, in the order it was noticed."""
    query = sa.select(PAIRS).order_by(PAIRS.c.noticed, PAIRS.c.id)
    if origin:
        query = query.where(PAIRS.c.origin == origin)
    with database.read() as connection:
        return tuple(
            Pair(
                origin=row.origin,
                noticed=row.noticed,
                said=row.said,
                first=bytes(row.first),
                second=bytes(row.second),
            )
            for row in connection.execute(query)
        )
