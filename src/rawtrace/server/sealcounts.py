"""How many seals of an instrument reached the store: the one place where the registry asks after seals."""

from __future__ import annotations

import sqlalchemy as sa

from rawtrace.server.seals import SEALS
from rawtrace.server.store import Store

_YEAR_MONTH = 7
_MOST_MONTHS = 1_200


def per_month(store: Store, pid: str) -> tuple[tuple[str, int], ...]:
    """Return the number of seals by month (``2026-01``), oldest first, months without any included.

    Parameters
    ----------
    store : Store
    pid : str
        In full.
    """
    month = sa.func.substr(SEALS.c.received, 1, _YEAR_MONTH)
    counted = sa.select(month, sa.func.count()).where(SEALS.c.pid == pid).group_by(month)
    with store.database.read() as connection:
        found = {str(name): int(number) for name, number in connection.execute(counted)}
    if not found:
        return ()
    return tuple((name, found.get(name, 0)) for name in _months(min(found), max(found)))


def latest(store: Store, pid: str) -> str:
    """Return when the newest seal of an instrument reached the store; empty where none has."""
    with store.database.read() as connection:
        found = connection.execute(sa.select(sa.func.max(SEALS.c.received)).where(SEALS.c.pid == pid)).scalar()
    return str(found or "")


def _months(first: str, last: str) -> list[str]:
    number, end = _number(first), _number(last)
    start = max(number, end - _MOST_MONTHS + 1)
    return [f"{one // 12:04}-{one % 12 + 1:02}" for one in range(start, end + 1)]


def _number(month: str) -> int:
    year, _, rest = month.partition("-")
    return int(year) * 12 + int(rest) - 1
