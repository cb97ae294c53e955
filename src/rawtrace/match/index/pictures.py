"""An index of pictures: a database that is the truth, and beside it the segments that make it fast.

In a folder::

    index.sqlite    sources, scenes, planes, views and their points
    postings/       segments, made from it; may be deleted at any time

Of an index in PostgreSQL the segments lie in this user's cache.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rawtrace import filelock
from rawtrace.config import CONFIG_VARIABLE
from rawtrace.database import Database, insert_missing, open_database
from rawtrace.errors import DatabaseError, Error, MalformedError, PictureIndexError, PixelsError, from_os_error
from rawtrace.image.views import RENDERING
from rawtrace.match.features import VERSION, Features, from_bytes
from rawtrace.match.index import records, seals
from rawtrace.match.index.blots import IndexedBlot
from rawtrace.match.index.describe import Stamp, rendered, stamp_of
from rawtrace.match.index.imagecodes import ImageCodes
from rawtrace.match.index.records import IndexedView, Source
from rawtrace.match.index.search import VARIANTS, Candidate, Variant, candidates
from rawtrace.match.index.shelf import Shelf, postings_of
from rawtrace.match.index.tables import ABOUT, TABLES
from rawtrace.match.model import Where
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rawtrace.match.index.adding import Added
    from rawtrace.match.index.seals import SealReader
    from rawtrace.match.index.workers import Bounds

DATABASE_FILE = "index.sqlite"
POSTINGS = "postings"
SCHEMA = "1"
#: Views that are read and posted at a time; what a part of an index consists of, too.
BLOCK = 4_096
#: Fewer views than this without a segment are posted for one question only.
_LOOSE = 256
_LOCK = "lock"


class PictureIndex:
    """An open index. One thread at a time; any number of processes.

    Parameters
    ----------
    database : Database
    folder : Path or None
        Where the segments are; ``None`` for the cache.
    part : tuple[int, int], optional
        Which of how many parts of the views this one searches, as in ``(0, 4)``.
    """

    def __init__(self, database: Database, folder: Path | None, *, part: tuple[int, int] = (0, 1)) -> None:
        self.database = database
        self.part = part
        about = self._about()
        self.identity = uuid.UUID(about["identity"]).bytes
        base = folder if folder is not None else _cache_folder() / f"index-{about['identity']}"
        place = base / POSTINGS if part == (0, 1) else base / f"{POSTINGS}-{part[0]}-of-{part[1]}"
        self.shelf = Shelf(place, identity=self.identity, whole=part == (0, 1))
        self.codes = ImageCodes()
        self._loose: tuple[int, Shelf] | None = None
        self._stack = contextlib.ExitStack()

    @classmethod
    def open(cls, location: Path | str, *, create: bool = False, part: tuple[int, int] = (0, 1)) -> PictureIndex:
        """Open an index.

        Parameters
        ----------
        location : Path or str
            A folder, or ``postgresql://user@host/name``.
        create : bool
            Make it where there is none.
        part : tuple[int, int]

        Raises
        ------
        PictureIndexError
            There is none, it is damaged, or another release made it.
        """
        address = str(location)
        if "://" in address:
            database = open_database(address)
            folder = None
        else:
            folder = Path(location)
            path = folder / DATABASE_FILE
            if not path.is_file() and not create:
                msg = f"there is no index in {folder}; expected {DATABASE_FILE} there"
                raise PictureIndexError(msg, hint="make one: rawtrace index add PATH --index DIR")
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise from_os_error(error, f"writing {folder}") from error
            database = open_database(path)
        try:
            with _in_words(address):
                if create:
                    _prepare(database)
                return cls(database, folder, part=part)
        except BaseException:
            database.close()
            raise

    def add(
        self,
        paths: Sequence[Path],
        *,
        workers: int = 0,
        thorough: bool = False,
        bounds: Bounds | None = None,
        seal_reader: SealReader | None = None,
        progress: Progress = SILENT,
    ) -> Added:
        """Add files and folders; see ``rawtrace.match.index.adding.add``."""
        from rawtrace.match.index import adding

        chosen = bounds if bounds is not None else adding.BOUNDS
        return adding.add(
            self, paths, workers=workers, thorough=thorough, bounds=chosen, seal_reader=seal_reader, progress=progress
        )

    def remove(self, path: Path | str) -> int:
        """Remove a file, or all files below a folder, from the index; return how many."""
        key = records.key_of(path)
        below = key.rstrip(os.fsencode(os.sep)) + os.fsencode(os.sep)
        with self.writing() as connection:
            gone = [
                source.path
                for source in records.sources(connection)
                if (stored := os.fsencode(source.path)) == key or stored.startswith(below)
            ]
            for one in gone:
                records.delete(connection, one)
        return len(gone)

    def candidates(
        self, question: Features, variants: Sequence[Variant] = VARIANTS, limit: int = 32
    ) -> list[tuple[int, bool, bool, float]]:
        """Return number of the view, mirrored, inverted and votes of the views that a picture's points agree with.

        Parameters
        ----------
        question : Features
            In the one setting of ``rawtrace.match.features``.
        variants : Sequence of (mirrored, inverted)
        limit : int
            At most so many.
        """
        found: list[Candidate] = []
        segments = [*self._ready().segments, *(self._loose[1].segments if self._loose else ())]
        asked = limit
        while True:
            every = candidates(segments, question, variants=variants, limit=asked)
            with self.reading() as connection:
                there = records.views_among(connection, [one.view for one in every])
            found = [one for one in every if one.view in there]
            # What was removed from the database may still be in a segment.
            if len(found) >= limit or len(every) < asked or asked >= 8 * limit:
                break
            asked *= 2
        return [(one.view, one.mirrored, one.inverted, one.votes) for one in found[:limit]]

    def by_digest(self, instance: bytes, *, limit: int = 1_000) -> list[Where]:
        """Return the planes with an Instance-Code (its 32 bytes); never constant ones."""
        with self.reading() as connection:
            return records.planes_with(connection, instance, limit=limit)

    def by_scene(self, instance: bytes, *, header: str = "") -> list[Where]:
        """Return the scenes with an Instance-Code, and with a header where one is given; never constant ones."""
        with self.reading() as connection:
            return records.scenes_with(connection, instance=instance, header=header)

    def by_code(self, bits: bytes, radius: int) -> list[tuple[int, int, bool]]:
        """Return the views with an Image-Code within ``radius``: number, distance, and whether it is the complement."""
        with self.reading() as connection:
            self.codes.extend(records.codes(connection, after=self.codes.last))
            found = self.codes.near(bits, radius)
            there = records.views_among(connection, [number for number, _, _ in found])
        return [one for one in found if one[0] in there]

    def view(self, number: int) -> IndexedView:
        """Return one view.

        Raises
        ------
        PictureIndexError
            It is not there.
        """
        with self.reading() as connection:
            found = records.views_among(connection, [number])
        if number not in found:
            msg = f"view {number} is not in the index"
            raise PictureIndexError(msg)
        return found[number]

    def views(self, numbers: Iterable[int]) -> dict[int, IndexedView]:
        """Return those of some views that are there."""
        with self.reading() as connection:
            return records.views_among(connection, numbers)

    def views_of(self, path: Path | str) -> list[IndexedView]:
        """Return the views of one file."""
        with self.reading() as connection:
            source = records.source_at(connection, path)
            return [] if source is None else records.views_of(connection, source.number)

    def features_of(self, numbers: Iterable[int]) -> dict[int, Features]:
        """Return the points of those of some views that are there and undamaged."""
        with self.reading() as connection:
            packed = records.features_among(connection, numbers)
        found = {}
        for number, data in packed.items():
            with contextlib.suppress(MalformedError):
                found[number] = from_bytes(data)
        return found

    def pixels_of(self, number: int) -> NDArray[Any] | None:
        """Render a view again from its file; ``None`` where that is not at hand as it was when it was added."""
        with self.reading() as connection:
            view = records.views_among(connection, [number]).get(number)
            source = None if view is None else records.source_at(connection, view.where.source)
        if view is None or source is None:
            return None
        path = Path(source.path)
        try:
            if stamp_of(path) != Stamp(size=source.size, changed_ns=source.changed_ns):
                return None
            return rendered(path, view.where)
        except Error:
            return None

    def strips(self, limit: int) -> list[IndexedBlot]:
        """Return the views that may be blots or gels and whose copies are undamaged, the latest first."""
        with self.reading() as connection:
            kept = dict(records.strips(connection, limit=limit))
            views = records.views_among(connection, kept)
        found = []
        for number in kept:
            if number in views:
                blot = IndexedBlot.of(views[number], kept[number], self.pixels_of)
                with contextlib.suppress(PixelsError):
                    blot.check()
                    found.append(blot)
        return found

    def sources(self) -> list[Source]:
        """Return all sources by path."""
        with self.reading() as connection:
            return list(records.sources(connection))

    def seal_labels(self) -> dict[str, str]:
        """Return the label of the active manifest by path, of all sources whose seal is kept."""
        with self.reading() as connection:
            return {os.fsdecode(path): label for path, label in seals.labels(connection).items()}

    def counts(self) -> dict[str, int]:
        """Return how many sources, scenes, planes and views there are, and how many sources in each state."""
        with self.reading() as connection:
            return records.counts(connection)

    def refresh(self, *, progress: Progress = SILENT) -> bool:
        """Make the segments that are missing; False where another process does so or this one may not write."""
        with self._sole() as mine:
            if not mine:
                return False
            self.shelf.load()
            with self.reading() as connection:
                last, live = records.last_number(connection), records.counts(connection)["views"]
            covered = sum(one.last - one.first + 1 for one in self.shelf.segments)
            if covered > BLOCK and live < covered // 2 and self.part == (0, 1):
                self.shelf.clear()
            blocks = list(self._missing(self.shelf, last))
            progress.start("making the index fast", len(blocks))
            for first, end in blocks:
                self._post(self.shelf, first, end)
                self.shelf.tidy()
                progress.advance(1)
            self.shelf.tidy()
            progress.finish()
        return True

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Read one consistent state."""
        with _in_words(self.database.location), self.database.read() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Write, alone."""
        with _in_words(self.database.location), self.database.write() as connection:
            yield connection

    def close(self) -> None:
        """Close the database."""
        self._stack.close()
        self.database.close()

    def __enter__(self) -> PictureIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ready(self) -> Shelf:
        """Return the segments, with the views that have none in a folder for this process only."""
        with self.reading() as connection:
            last = records.last_number(connection)
        if not self.shelf.segments:
            self.shelf.load()
        missing = sum(end - first + 1 for first, end in self._missing(self.shelf, last))
        if missing > _LOOSE or (missing and not self.shelf.segments):
            with contextlib.suppress(Error):  # a disk that is full or may not be written: below does without
                self.refresh()
        rest = list(self._missing(self.shelf, last))
        if not rest:
            self._loose = None
        elif self._loose is None or self._loose[0] != last:
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="rawtrace-index-")))
            loose = Shelf(folder, identity=self.identity, whole=False)
            for first, end in rest:
                self._post(loose, first, end)
            self._loose = (last, loose)
        return self.shelf

    def _missing(self, shelf: Shelf, last: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of this part that no segment covers, block by block."""
        mine, parts = self.part
        for first, end in shelf.gaps(last):
            for block in range((first - 1) // BLOCK, (end - 1) // BLOCK + 1):
                if block % parts == mine:
                    yield max(first, block * BLOCK + 1), min(end, (block + 1) * BLOCK)

    def _post(self, shelf: Shelf, first: int, last: int) -> None:
        found: list[tuple[int, Features]] = []
        with self.reading() as connection:
            for number, data in records.features_between(connection, first, last):
                # A damaged one is not found by its points; ``check`` names it.
                with contextlib.suppress(MalformedError):
                    found.append((number, from_bytes(data)))
        shelf.put(postings_of(found, first=first), first=first, last=last)

    def _about(self) -> dict[str, str]:
        try:
            with self.reading() as connection:
                about = {str(name): str(value) for name, value in connection.execute(sa.select(ABOUT)).all()}
            uuid.UUID(about["identity"])
        except (KeyError, ValueError) as error:
            msg = f"{self.database.location} is not an index of pictures"
            raise PictureIndexError(msg, hint="make one: rawtrace index add PATH --index DIR") from error
        expected = _made_by()
        for name, value in expected.items():
            if about.get(name) != value:
                msg = f"the index has {name} {about.get(name, 'none')}, and this release makes and reads {value}"
                raise PictureIndexError(msg, hint="make the index again with this release")
        return about

    @contextlib.contextmanager
    def _sole(self) -> Iterator[bool]:
        """Hold the lock of the segments; yields False where another process does or the folder may not be written."""
        try:
            self.shelf.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.shelf.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            yield False
            return
        try:
            yield filelock.try_lock(descriptor)
        finally:
            os.close(descriptor)


def _cache_folder() -> Path:
    chosen = os.environ.get(CONFIG_VARIABLE)
    if chosen:
        return Path(chosen) / "cache"
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("rawtrace", appauthor=False))


def _made_by() -> dict[str, str]:
    return {"schema": SCHEMA, "rendering": RENDERING, "features": str(VERSION)}


def _prepare(database: Database) -> None:
    database.prepare(TABLES)
    with database.write() as connection:
        rows = [{"name": name, "value": value} for name, value in _made_by().items()]
        insert_missing(connection, ABOUT, [*rows, {"name": "identity", "value": str(uuid.uuid4())}], key=("name",))


@contextlib.contextmanager
def _in_words(location: str) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        msg = f"the index {location} cannot be used: {error.message}"
        raise PictureIndexError(
            msg, hint="rawtrace index check tells more; an index can always be made again"
        ) from error
    except sa.exc.StatementError as error:
        if isinstance(error, sa.exc.IntegrityError):
            raise
        msg = f"the index {location} holds what cannot be: {error.orig}"
        raise PictureIndexError(msg, hint="make the index again") from error
