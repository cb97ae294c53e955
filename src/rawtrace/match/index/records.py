"""Reading and writing the tables of an index. Functions with ``connection`` are parts of the caller's transaction."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rawtrace.errors import PictureIndexError
from rawtrace.match.index.describe import Description, Stamp
from rawtrace.match.index.tables import FEATURES, PLANES, SCENES, SEAL_CODES, SEALS, SOURCES, STRIPS, VIEWS
from rawtrace.match.model import Where

#: Everything was read.
WHOLE = "indexed"
#: It could not be read; the next run tries again.
UNREADABLE = "unreadable"
#: Reading it ended the process or took too much time or memory; tried again when the file has changed.
GIVEN_UP = "given up"
STATES = (WHOLE, UNREADABLE, GIVEN_UP)
_CHUNK = 400
_MAX_NOTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One file or folder of an index.

    Attributes
    ----------
    number : int
    path : str
        Absolute.
    size : int
        Bytes.
    changed_ns, added_ns : int
        When it was last written, and when it was added, ns since 1970.
    digest : bytes
        Body of the Instance-Code of its bytes; empty where it could not be read.
    state : str
        One of ``STATES``.
    problem : str
        Why it is not ``WHOLE``.
    format : str
    notes : tuple[str, ...]
        What was left out.
    """

    number: int
    path: str
    size: int
    changed_ns: int
    added_ns: int
    digest: bytes
    state: str
    problem: str
    format: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedView:
    """One view of an index.

    Attributes
    ----------
    number : int
        Never given twice.
    where : Where
    size : tuple[int, int]
        Width and height of the scene, px; positions of the points are pixels of the view, which has
        ``1 / reduction`` of that.
    reduction : int
    rendering : str
    code : bytes
        32 bytes of the Image-Code, or none.
    points : int
    """

    number: int
    where: Where
    size: tuple[int, int]
    reduction: int
    rendering: str
    code: bytes
    points: int


def key_of(path: Path | str) -> bytes:
    """Return how a path is stored: absolute, as the system has it."""
    return os.fsencode(os.path.abspath(path))  # noqa: PTH100  does not follow links, which ``resolve`` would


def source_at(connection: sa.Connection, path: Path | str) -> Source | None:
    """Return the source of a path."""
    row = connection.execute(sa.select(SOURCES).where(SOURCES.c.path == key_of(path))).first()
    return None if row is None else _source(row)


def sources(connection: sa.Connection) -> Iterator[Source]:
    """Yield all sources by path."""
    for row in connection.execute(sa.select(SOURCES).order_by(SOURCES.c.path)):
        yield _source(row)


def sources_like(connection: sa.Connection, *, size: int, digest: bytes | None = None) -> list[Source]:
    """Return the sources that were read in full and have a size and, where given, a digest."""
    wanted = sa.and_(SOURCES.c.size == size, SOURCES.c.state == WHOLE)
    if digest is not None:
        wanted = sa.and_(wanted, SOURCES.c.digest == digest)
    return [_source(row) for row in connection.execute(sa.select(SOURCES).where(wanted).order_by(SOURCES.c.number))]


def write(connection: sa.Connection, path: Path | str, found: Description) -> int:
    """Put a file in place of what the index has of that path, and return its number."""
    delete(connection, path)
    number = _new_source(
        connection, path, found.stamp, digest=found.digest, state=WHOLE, problem="", format=found.format,
        notes=found.notes,
    )  # fmt: skip
    _insert(connection, SCENES, [_scene_row(number, one) for one in found.scenes])
    _insert(connection, PLANES, [
        {"source": number, "scene": scene.scene.index, "z": plane.index.z, "c": plane.index.c, "t": plane.index.t,
         "instance": plane.instance, "constant": int(plane.constant)}
        for scene in found.scenes for plane in scene.planes
    ])  # fmt: skip
    for view in found.views:
        row = {
            "source": number, "scene": view.scene, "channel": view.channel, "z": view.z, "t": view.t,
            "projection": view.projection, "rendering": view.rendering, "reduction": view.reduction,
            "width": view.size[0], "height": view.size[1], "code": view.code, "points": view.points,
        }  # fmt: skip
        given = connection.execute(sa.insert(VIEWS).values(row).returning(VIEWS.c.number)).scalar_one()
        connection.execute(sa.insert(FEATURES), [{"view": given, "features": view.features}])
        if view.strip:
            connection.execute(sa.insert(STRIPS), [{"view": given, "strip": view.strip}])
    return number


def write_problem(connection: sa.Connection, path: Path | str, stamp: Stamp, *, state: str, problem: str) -> None:
    """Say in place of what the index has of a path why it could not be read."""
    delete(connection, path)
    _new_source(connection, path, stamp, digest=b"", state=state, problem=problem, format="", notes=())


def copy(connection: sa.Connection, source: Source, path: Path | str, stamp: Stamp) -> int:
    """Put in for ``path`` what the index has of a source with the same bytes."""
    delete(connection, path)
    number = _new_source(
        connection, path, stamp, digest=source.digest, state=WHOLE, problem="", format=source.format,
        notes=source.notes,
    )  # fmt: skip
    for table in (SCENES, PLANES):
        columns = [sa.literal(number) if one.name == "source" else one for one in table.c]
        connection.execute(table.insert().from_select(
            [one.name for one in table.c], sa.select(*columns).where(table.c.source == source.number)
        ))  # fmt: skip
    names = [one for one in VIEWS.c if one.name not in {"number", "source"}]
    rows = connection.execute(sa.select(VIEWS.c.number, *names).where(VIEWS.c.source == source.number)).all()
    for old, *values in rows:
        row = {"source": number, **{one.name: value for one, value in zip(names, values, strict=True)}}
        given = connection.execute(sa.insert(VIEWS).values(row).returning(VIEWS.c.number)).scalar_one()
        for table, name in ((FEATURES, "features"), (STRIPS, "strip")):
            held = sa.select(sa.literal(given), table.c[name]).where(table.c.view == old)
            connection.execute(table.insert().from_select(["view", name], held))
    return number


def move(connection: sa.Connection, source: Source, path: Path | str, stamp: Stamp) -> None:
    """Let a source be found at another path."""
    delete(connection, path)
    connection.execute(
        sa.update(SOURCES)
        .where(SOURCES.c.number == source.number)
        .values(path=key_of(path), size=stamp.size, changed_ns=stamp.changed_ns, added_ns=time.time_ns())
    )


def restamp(connection: sa.Connection, source: Source, stamp: Stamp) -> None:
    """Say that a file has the same bytes, though it was written again."""
    connection.execute(
        sa.update(SOURCES)
        .where(SOURCES.c.number == source.number)
        .values(size=stamp.size, changed_ns=stamp.changed_ns, added_ns=time.time_ns())
    )


def delete(connection: sa.Connection, path: Path | str) -> bool:
    """Remove a source and all that belongs to it; False where there is none."""
    number = connection.execute(sa.select(SOURCES.c.number).where(SOURCES.c.path == key_of(path))).scalar()
    if number is None:
        return False
    mine = sa.select(VIEWS.c.number).where(VIEWS.c.source == number)
    for table in (FEATURES, STRIPS):
        connection.execute(sa.delete(table).where(table.c.view.in_(mine)))
    for table in (VIEWS, PLANES, SCENES, SEALS, SEAL_CODES):
        connection.execute(sa.delete(table).where(table.c.source == number))
    connection.execute(sa.delete(SOURCES).where(SOURCES.c.number == number))
    return True


def views_among(connection: sa.Connection, numbers: Iterable[int]) -> dict[int, IndexedView]:
    """Return those of some views that are there."""
    found = {}
    for some in _chunks(sorted(set(numbers))):
        rows = connection.execute(_VIEWS.where(VIEWS.c.number.in_(some))).mappings()
        found.update({int(row["number"]): _view(row) for row in rows})
    return found


def views_of(connection: sa.Connection, source: int) -> list[IndexedView]:
    """Return the views of one source."""
    rows = connection.execute(_VIEWS.where(VIEWS.c.source == source).order_by(VIEWS.c.number)).mappings()
    return [_view(row) for row in rows]


def features_among(connection: sa.Connection, numbers: Iterable[int]) -> dict[int, bytes]:
    """Return the packed points of those of some views that are there."""
    found: dict[int, bytes] = {}
    for some in _chunks(sorted(set(numbers))):
        rows = connection.execute(sa.select(FEATURES).where(FEATURES.c.view.in_(some)))
        found.update({row.view: row.features or b"" for row in rows})
    return found


def features_between(connection: sa.Connection, first: int, last: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and packed points of the views of a range."""
    rows = connection.execute(sa.select(FEATURES).where(FEATURES.c.view.between(first, last)).order_by(FEATURES.c.view))
    for row in rows:
        yield row.view, row.features or b""


def strips(connection: sa.Connection, *, limit: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and reduced copy of the views that may be blots or gels, the latest first."""
    for row in connection.execute(sa.select(STRIPS).order_by(STRIPS.c.view.desc()).limit(limit)):
        yield int(row.view), row.strip or b""


def numbers(connection: sa.Connection) -> list[int]:
    """Return the numbers of all views."""
    return [int(number) for number in connection.execute(sa.select(VIEWS.c.number).order_by(VIEWS.c.number)).scalars()]


def last_number(connection: sa.Connection) -> int:
    """Return the greatest number of a view; 0 where there is none."""
    return int(connection.execute(sa.select(sa.func.max(VIEWS.c.number))).scalar() or 0)


def codes(connection: sa.Connection, *, after: int = 0) -> list[tuple[int, bytes]]:
    """Return number and Image-Code of the views after one that have a code."""
    rows = connection.execute(
        sa.select(VIEWS.c.number, VIEWS.c.code).where(VIEWS.c.number > after).order_by(VIEWS.c.number)
    )
    return [(int(row.number), row.code) for row in rows if row.code and len(row.code) == 32]


def planes_with(connection: sa.Connection, instance: bytes, *, limit: int) -> list[Where]:
    """Return where planes with that Instance-Code are; constant ones are never among them."""
    rows = connection.execute(
        sa.select(SOURCES.c.path, PLANES.c.scene, PLANES.c.z, PLANES.c.c, PLANES.c.t)
        .join(SOURCES, SOURCES.c.number == PLANES.c.source)
        .where(PLANES.c.instance == instance, PLANES.c.constant == 0)
        .order_by(SOURCES.c.path, PLANES.c.scene, PLANES.c.z, PLANES.c.c, PLANES.c.t)
        .limit(limit)
    )
    return [Where(source=os.fsdecode(path), scene=scene, channel=c, z=z, t=t) for path, scene, z, c, t in rows]


def scenes_with(connection: sa.Connection, *, instance: bytes, header: str = "") -> list[Where]:
    """Return where scenes with that Instance-Code, and that header where one is given, are."""
    wanted = SCENES.c.instance == instance
    if header:
        wanted = sa.and_(wanted, SCENES.c.header == header)
    # A scene whose every plane is constant is evidence of nothing.
    varied = sa.exists().where(
        PLANES.c.source == SCENES.c.source, PLANES.c.scene == SCENES.c.scene, PLANES.c.constant == 0
    )
    rows = connection.execute(
        sa.select(SOURCES.c.path, SCENES.c.scene)
        .join(SOURCES, SOURCES.c.number == SCENES.c.source)
        .where(wanted, varied)
        .order_by(SOURCES.c.path, SCENES.c.scene)
    )
    return [Where(source=os.fsdecode(row.path), scene=row.scene) for row in rows]


def counts(connection: sa.Connection) -> dict[str, int]:
    """Return how many rows there are, and how many sources are in each state."""
    found = {
        name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for name, table in (("sources", SOURCES), ("scenes", SCENES), ("planes", PLANES), ("views", VIEWS))
    }
    states = connection.execute(sa.select(SOURCES.c.state, sa.func.count()).group_by(SOURCES.c.state))
    return found | {str(state): int(count) for state, count in states}


_VIEWS = sa.select(VIEWS, SOURCES.c.path).join(SOURCES, SOURCES.c.number == VIEWS.c.source)


def _new_source(connection: sa.Connection, path: Path | str, stamp: Stamp, **values: Any) -> int:
    notes = json.dumps([str(note) for note in values.pop("notes")][:_MAX_NOTES])
    row = {
        "path": key_of(path), "size": stamp.size, "changed_ns": stamp.changed_ns, "added_ns": time.time_ns(),
        "notes": notes, **{name: _storable(value) for name, value in values.items()},
    }  # fmt: skip
    return int(connection.execute(sa.insert(SOURCES).values(row).returning(SOURCES.c.number)).scalar_one())


def _scene_row(number: int, of: Any) -> dict[str, Any]:
    scene = of.scene
    return {
        "source": number, "scene": scene.index, "name": _storable(scene.name), "t": scene.t, "c": scene.c, "z": scene.z,
        "y": scene.y, "x": scene.x, "samples": scene.samples, "dtype": scene.dtype, "header": of.header,
        "iscc": of.iscc, "instance": of.instance, "data": of.data,
    }  # fmt: skip


def _storable(value: Any) -> Any:
    """Return text without what databases refuse: null characters and halves of characters."""
    if not isinstance(value, str):
        return value
    return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), list(rows))


def _chunks(values: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


def _source(row: Any) -> Source:
    try:
        notes = json.loads(row.notes)
        return Source(
            number=int(row.number), path=os.fsdecode(row.path), size=int(row.size), changed_ns=int(row.changed_ns),
            added_ns=int(row.added_ns), digest=row.digest, state=str(row.state), problem=str(row.problem),
            format=str(row.format), notes=tuple(str(note) for note in notes),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        msg = "a source in the index is damaged"
        raise PictureIndexError(msg, hint=DAMAGED) from error


def _view(row: sa.RowMapping) -> IndexedView:
    try:
        where = Where(
            source=os.fsdecode(row["path"]), scene=int(row["scene"]), channel=_whole(row["channel"]),
            z=_whole(row["z"]), t=_whole(row["t"]), projection=str(row["projection"]),
        )  # fmt: skip
        return IndexedView(
            number=int(row["number"]), where=where, size=(int(row["width"]), int(row["height"])),
            reduction=int(row["reduction"]), rendering=str(row["rendering"]), code=row["code"] or b"",
            points=int(row["points"]),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        msg = "a view in the index is damaged"
        raise PictureIndexError(msg, hint=DAMAGED) from error


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


DAMAGED = "rawtrace index check tells which; remove that file from the index and add it again"
