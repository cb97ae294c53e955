"""Who changed what, and when: one line for every request that may change something, by somebody known."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from rawtrace.database import METADATA, Database

EVENTS = sa.Table(
    "audit_event",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("pid", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
)
_MAX_PATH = 500


def note(database: Database, *, who: str, pid: str, method: str, path: str, status: int, address: str) -> None:
    """Write one line. Bodies, queries and headers are never part of it, and so no secret is."""
    row = {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "who": who,
        "pid": pid,
        "method": method,
        "path": path[:_MAX_PATH],
        "status": status,
        "address": address,
    }
    with database.write() as connection:
        connection.execute(sa.insert(EVENTS), [row])


def events(database: Database, *, before: int | None = None, limit: int = 100) -> list[dict[str, object]]:
    """Return the newest lines first, at most ``limit``; those older than ``before`` where it is given."""
    query = sa.select(EVENTS).order_by(EVENTS.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(EVENTS.c.id < before)
    with database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]  # noqa: SLF001  SQLAlchemy's documented way
