"""The seals of indexed files: their bytes are kept, so that a seal is found again where the files are not at hand.

How a seal is found and read is not known here; whoever adds files hands that in.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from rawtrace.errors import LimitError, MalformedError
from rawtrace.image.isccunits import bits_of
from rawtrace.match.index.tables import SCENES, SEAL_CODES, SEALS, SOURCES, VIEWS

#: A larger seal is not kept.
MAX_SEAL_BYTES = 1 << 20
#: Labels of manifests are longer in no seal that is kept.
MAX_LABEL = 512
_MAX_CODES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SealFacts:
    """What an index asks of a seal.

    Attributes
    ----------
    label : str
        Of the active manifest.
    claim_sha256 : str
        Of its claim, hexadecimal.
    data : tuple[bytes, ...]
        The Data-Codes, 32 bytes each, that it states for the file.
    """

    label: str
    claim_sha256: str
    data: tuple[bytes, ...] = ()


class SealReader(Protocol):
    """Finds and reads seals."""

    def store_of(self, path: Path) -> bytes | None:
        """Return the seal of a file or folder; ``None`` where it has none. May raise any ``Error``."""

    def read(self, store: bytes) -> SealFacts:
        """Take a seal apart; any ``Error`` where it is none or is not sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSeal:
    """A seal as an index keeps it.

    Attributes
    ----------
    source : int
        Number of the file's source.
    label, claim_sha256 : str
        As ``SealFacts``.
    store : bytes
        The whole manifest store.
    """

    source: int
    label: str
    claim_sha256: str
    store: bytes


def check(store: bytes, facts: SealFacts) -> None:
    """Refuse what is too large to be kept.

    Raises
    ------
    LimitError
    """
    if len(store) > MAX_SEAL_BYTES:
        msg = f"its seal has {len(store)} bytes; an index keeps at most {MAX_SEAL_BYTES}"
        raise LimitError(msg)
    if not 0 < len(facts.label) <= MAX_LABEL:
        msg = f"its seal has a name of {len(facts.label)} characters; expected 1 to {MAX_LABEL}"
        raise LimitError(msg)


def note(connection: sa.Connection, source: int, store: bytes, facts: SealFacts) -> None:
    """Keep the seal of a source in place of what was kept."""
    forget(connection, source)
    connection.execute(sa.insert(SEALS).values(source=source, label=facts.label, claim=facts.claim_sha256, store=store))
    stated = connection.execute(sa.select(SCENES.c.data).where(SCENES.c.source == source).order_by(SCENES.c.scene))
    codes = dict.fromkeys([*facts.data, *(code for code in map(_bits, stated.scalars()) if code)])
    rows = [{"source": source, "code": code} for code in list(codes)[:_MAX_CODES]]
    if rows:
        connection.execute(sa.insert(SEAL_CODES), rows)


def forget(connection: sa.Connection, source: int) -> None:
    """Keep no seal of a source any more."""
    for table in (SEALS, SEAL_CODES):
        connection.execute(sa.delete(table).where(table.c.source == source))


def kept_of(connection: sa.Connection, source: int) -> KeptSeal | None:
    """Return the seal of a source."""
    return _first(connection, SEALS.c.source == source)


def kept_as(connection: sa.Connection, label: str) -> KeptSeal | None:
    """Return a seal by the label of its active manifest."""
    return _first(connection, SEALS.c.label == label)


def labels(connection: sa.Connection) -> dict[bytes, str]:
    """Return label by path, as stored, of all sources that have a seal."""
    joined = sa.select(SOURCES.c.path, SEALS.c.label).join(SEALS, SEALS.c.source == SOURCES.c.number)
    return {bytes(row.path): str(row.label) for row in connection.execute(joined)}


def with_digest(connection: sa.Connection, instance: bytes, *, limit: int) -> list[str]:
    """Return the labels of the sealed sources whose bytes have an Instance-Code."""
    return _labels(connection, SOURCES.c.digest == instance, limit=limit)


def of_paths(connection: sa.Connection, paths: list[bytes]) -> dict[bytes, str]:
    """Return label by path of those of some sources, at most a few hundred, that have a seal."""
    joined = sa.select(SOURCES.c.path, SEALS.c.label).join(SEALS, SEALS.c.source == SOURCES.c.number)
    return {bytes(row.path): str(row.label) for row in connection.execute(joined.where(SOURCES.c.path.in_(paths)))}


def of_views(connection: sa.Connection, numbers: list[int]) -> dict[int, str]:
    """Return label by number of those of some views, at most a few hundred, whose source has a seal."""
    joined = sa.select(VIEWS.c.number, SEALS.c.label).join(SEALS, SEALS.c.source == VIEWS.c.source)
    return {int(row.number): str(row.label) for row in connection.execute(joined.where(VIEWS.c.number.in_(numbers)))}


def data_codes(connection: sa.Connection, *, after: int) -> list[tuple[int, bytes]]:
    """Return number and Data-Code of what is sealed, after one, in ascending order."""
    rows = connection.execute(sa.select(SEAL_CODES).where(SEAL_CODES.c.number > after).order_by(SEAL_CODES.c.number))
    return [(int(row.number), bytes(row.code)) for row in rows if row.code and len(row.code) == 32]


def of_codes(connection: sa.Connection, numbers: list[int]) -> dict[int, str]:
    """Return label by number of those of some Data-Codes, at most a few hundred, that are there."""
    joined = sa.select(SEAL_CODES.c.number, SEALS.c.label).join(SEALS, SEALS.c.source == SEAL_CODES.c.source)
    rows = connection.execute(joined.where(SEAL_CODES.c.number.in_(numbers)))
    return {int(row.number): str(row.label) for row in rows}


def _labels(connection: sa.Connection, wanted: sa.ColumnElement[bool], *, limit: int) -> list[str]:
    asked = sa.select(SEALS.c.label).join(SOURCES, SOURCES.c.number == SEALS.c.source).where(wanted)
    return [str(label) for label in connection.execute(asked.order_by(SEALS.c.label).limit(limit)).scalars()]


def _first(connection: sa.Connection, wanted: sa.ColumnElement[bool]) -> KeptSeal | None:
    row: Any = connection.execute(sa.select(SEALS).where(wanted).order_by(SEALS.c.source).limit(1)).first()
    if row is None:
        return None
    return KeptSeal(source=int(row.source), label=str(row.label), claim_sha256=str(row.claim), store=row.store or b"")


def _bits(code: object) -> bytes:
    try:
        return bits_of(str(code))
    except MalformedError:
        return b""
