"""Whether an index is sound: everything in it is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from rawtrace.errors import MalformedError, PictureIndexError
from rawtrace.match.features import from_bytes
from rawtrace.match.index import records
from rawtrace.match.index.codebook import CELLS
from rawtrace.match.index.postings import Segment
from rawtrace.match.index.shelf import postings_of
from rawtrace.match.index.tables import FEATURES, PLANES, SCENES, SEALS, SOURCES, VIEWS
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rawtrace.match.index.pictures import PictureIndex

_BLOCK = 1_000
_CELLS = CELLS // 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a check found.

    Attributes
    ----------
    views : int
        How many were read.
    problems : tuple[str, ...]
        What is wrong in the database, a sentence each; add the file again.
    derived : tuple[str, ...]
        What is wrong in segments, a sentence each; they are made again by themselves.
    """

    views: int
    problems: tuple[str, ...]
    derived: tuple[str, ...]


def check(index: PictureIndex, *, progress: Progress = SILENT) -> Checked:
    """Decode every stored thing, and compare the segments with what the database says they should hold."""
    problems = _of_database(index)
    index.shelf.load()
    derived = list(index.shelf.check())
    with index.reading() as connection:
        last = records.last_number(connection)
    posted = [(one, _posted(one)) for one in index.shelf.segments]
    seen = 0
    progress.start("checking views", last)
    for first in range(1, last + 1, _BLOCK):
        end = min(last, first + _BLOCK - 1)
        seen += _of_views(index, first, end, posted, problems, derived)
        progress.advance(end - first + 1)
    progress.finish()
    return Checked(views=seen, problems=tuple(problems), derived=tuple(dict.fromkeys(derived)))


def _of_database(index: PictureIndex) -> list[str]:
    problems: list[str] = []
    with index.reading() as connection:
        if index.database.dialect == "sqlite":
            said = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
            problems += [f"the database says: {one}" for one in said if one != "ok"]
        try:
            known = {source.number for source in records.sources(connection)}
        except PictureIndexError as error:
            return [*problems, error.message]
        for table, what in ((SCENES, "scenes"), (PLANES, "planes"), (VIEWS, "views"), (SEALS, "seals")):
            owners = set(connection.execute(sa.select(table.c.source).distinct()).scalars())
            problems += [
                f"{what} belong to source {number}, which is not there" for number in sorted(owners - known, key=str)
            ]
        for row in connection.execute(
            sa.select(SOURCES.c.path, PLANES.c.instance)
            .join(SOURCES, SOURCES.c.number == PLANES.c.source)
            .where(sa.func.length(PLANES.c.instance) != 32)
            .limit(20)
        ):
            problems.append(
                f"a plane of {_shown(row.path)} has a code of {len(row.instance or b'')} bytes, expected 32"
            )
        lost = sa.select(FEATURES.c.view).where(FEATURES.c.view.not_in(sa.select(VIEWS.c.number))).limit(20)
        problems += [
            f"points belong to view {number}, which is not there" for number in connection.execute(lost).scalars()
        ]
    return problems


def _of_views(
    index: PictureIndex,
    first: int,
    last: int,
    posted: list[tuple[Segment, NDArray[Any]]],
    problems: list[str],
    derived: list[str],
) -> int:
    with index.reading() as connection:
        try:
            views = records.views_among(connection, range(first, last + 1))
        except PictureIndexError as error:
            problems.append(error.message)
            return 0
        packed = records.features_among(connection, views)
    sound = []
    for number, view in views.items():
        name = f"view {number} of {view.where.source}"
        if len(view.code) not in {0, 32}:
            problems.append(f"{name} has a code of {len(view.code)} bytes, expected 32")
        if number not in packed:
            problems.append(f"{name} has lost its points")
            continue
        try:
            found = from_bytes(packed[number])
        except MalformedError as error:
            problems.append(f"{name} cannot be read: {error.message}")
            continue
        if len(found) != view.points:
            problems.append(f"{name} has {len(found)} points, expected {view.points}")
        sound.append((number, found))
    points = postings_of(sound, first=first)
    expected = np.zeros(last - first + 1, np.uint64)
    np.add.at(expected, points.views, _mixed(points.cells, points.signatures))
    for segment, sums in posted:
        wrong = [
            number
            for number, _ in sound
            if segment.first <= number <= segment.last and sums[number - segment.first] != expected[number - first]
        ]
        if wrong:
            derived.append(f"the segment {segment.path} does not agree with the database about view {wrong[0]}")
    return len(views)


def _posted(segment: Segment) -> NDArray[Any]:
    """Return for each view of a segment a number that changes when any of its points does."""
    sums = np.zeros(segment.last - segment.first + 1, np.uint64)
    for first in range(0, CELLS, _CELLS):
        cells = segment.cells_of(first, first + _CELLS)
        low = int(segment.starts[int(segment.base[first])])
        some = slice(low, low + len(cells))
        owners = segment.views[some]
        inside = owners < len(sums)
        np.add.at(sums, owners[inside], _mixed(cells[inside], segment.signatures[some][inside]))
    return sums


def _mixed(cells: NDArray[Any], signatures: NDArray[Any]) -> NDArray[Any]:
    spread: NDArray[Any] = signatures ^ (cells.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return spread * np.uint64(0xD6E8FEB86659FD93)


def _shown(path: object) -> str:
    return os.fsdecode(path) if isinstance(path, bytes) else str(path)
