"""Looking for instruments: by words, owner, kind, place, product, related works, or by likeness to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from rawtrace.database import Database
from rawtrace.server.instrumenttables import INSTRUMENTS, RELATED, Entry, entry_of, folded_identifier
from rawtrace.trust.scope import folded


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for; what is empty is not asked.

    Attributes
    ----------
    words : str
        Each word must occur somewhere in the record.
    owner : str
        ROR in full, or the owner's name.
    type : str
        Name or identifier of an instrument type.
    status : str
    place : str
        Words that the place must hold.
    manufacturer, model : str
    like : str
        PID of an instrument: others of the same product or of one of its types.
    related : str
        Identifier of a work or another thing, such as a DOI.
    pids, other_than : frozenset[str] or None
        Only these instruments; all but these.
    after : tuple[str, str]
        The last item of the page before: how it sorts, and its PID.
    limit : int
    """

    words: str = ""
    owner: str = ""
    type: str = ""
    status: str = ""
    place: str = ""
    manufacturer: str = ""
    model: str = ""
    like: str = ""
    related: str = ""
    pids: frozenset[str] | None = None
    other_than: frozenset[str] | None = None
    after: tuple[str, str] = ("", "")
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of instruments, and where the next begins: ``None`` at the end."""

    items: tuple[Entry, ...]
    next: tuple[str, str] | None = None
    total: int = 0
    by_status: Mapping[str, int] = field(default_factory=dict)


def search(database: Database, query: Query) -> Found:
    """Return instruments by name, a page at a time."""
    with database.read() as connection:
        wanted = [*_conditions(query)]
        if query.like:
            wanted.append(_like_that(connection, query.like))
        chosen = sa.select(INSTRUMENTS).where(*wanted)
        counted = sa.select(INSTRUMENTS.c.status, sa.func.count()).where(*wanted).group_by(INSTRUMENTS.c.status)
        if query.after != ("", ""):
            chosen = chosen.where(sa.tuple_(INSTRUMENTS.c.sorted_by, INSTRUMENTS.c.pid) > sa.tuple_(*query.after))
        ordered = chosen.order_by(INSTRUMENTS.c.sorted_by, INSTRUMENTS.c.pid).limit(query.limit + 1)
        rows = connection.execute(ordered).all()
        counts = {str(status): int(number) for status, number in connection.execute(counted)}
    shown = rows[: query.limit]
    following = (shown[-1].sorted_by, shown[-1].pid) if len(rows) > query.limit else None
    items = tuple(entry_of(row) for row in shown)
    return Found(items=items, next=following, total=sum(counts.values()), by_status=counts)


def _conditions(query: Query) -> Iterable[sa.ColumnElement[bool]]:
    table = INSTRUMENTS.c
    for word in folded(query.words).split():
        yield table.words.contains(word, autoescape=True)
    for word in folded(query.place).split():
        yield table.place.contains(word, autoescape=True)
    if query.owner:
        yield table.owners.contains(f"\n{folded(query.owner)}\n", autoescape=True)
    if query.type:
        yield table.types.contains(f"\n{folded(query.type)}\n", autoescape=True)
    if query.status:
        yield table.status == query.status
    if query.manufacturer:
        yield (sa.literal("\n") + table.product).contains(f"\n{folded(query.manufacturer)}\n", autoescape=True)
    if query.model:
        yield table.product.endswith(f"\n{folded(query.model)}", autoescape=True)
    if query.pids is not None:
        yield table.pid.in_(sorted(query.pids))
    if query.other_than is not None:
        yield table.pid.not_in(sorted(query.other_than))
    if query.related:
        wanted = folded_identifier(query.related)
        yield table.pid.in_(sa.select(RELATED.c.pid).where(RELATED.c.identifier == wanted))


def _like_that(connection: sa.Connection, pid: str) -> sa.ColumnElement[bool]:
    table = INSTRUMENTS.c
    row = connection.execute(sa.select(INSTRUMENTS).where(table.pid == pid)).first()
    if row is None:
        return sa.false()
    alike = [table.types.contains(f"\n{one}\n", autoescape=True) for one in row.types.split("\n") if one]
    if row.product:
        alike.append(table.product == row.product)
    return sa.and_(table.pid != pid, sa.or_(*alike)) if alike else sa.false()
