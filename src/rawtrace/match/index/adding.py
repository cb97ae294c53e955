"""Adding files to an index: each in one transaction, so that a run may end at any moment and be run again.

A file of the same size and time of writing is as it was, unless it was written
within two seconds of being added, when its bytes are compared. A file of the same
bytes at another path has been moved, or copied where the old one is still there;
what is known of it is taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rawtrace.errors import DiskFullError, Error, PictureIndexError
from rawtrace.match.index import records, seals
from rawtrace.match.index.describe import Stamp, describe, digest_of, image_files, stamp_of
from rawtrace.match.index.records import GIVEN_UP, UNREADABLE, WHOLE, Source
from rawtrace.match.index.workers import Bounds, Outcome, Task, read_all
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from rawtrace.match.index.pictures import PictureIndex
    from rawtrace.match.index.seals import SealReader

BOUNDS = Bounds()
#: A file system's clock may be so coarse, ns.
_COARSE_NS = 2_000_000_000
#: Views without a segment before segments are made, so that a long run need not catch up at its end.
_REFRESH_VIEWS = 4_096


@dataclass(slots=True, kw_only=True)
class Added:
    """What became of the files.

    Attributes
    ----------
    added, replaced, moved, copied, unchanged : int
        How many.
    sealed : int
        How many of the files have a seal that is kept; 0 where nobody looked for seals.
    problems : list of (path, sentence)
        Files that could not be read, and paths that are not there.
    seal_problems : list of (path, sentence)
        Files whose seal is not kept.
    """

    added: int = 0
    replaced: int = 0
    moved: int = 0
    copied: int = 0
    unchanged: int = 0
    sealed: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)
    seal_problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def known(self) -> int:
        """How many of the files are in the index now."""
        return self.added + self.replaced + self.moved + self.copied + self.unchanged


def add(
    index: PictureIndex,
    paths: Sequence[Path],
    *,
    workers: int = 0,
    thorough: bool = False,
    bounds: Bounds = BOUNDS,
    task: Task = describe,
    seal_reader: SealReader | None = None,
    progress: Progress = SILENT,
) -> Added:
    """Add files and the images below folders.

    Parameters
    ----------
    index : PictureIndex
    paths : Sequence of Path
        Links that are named are followed, links inside folders are not.
    workers : int
        Processes that read files; 0 for this one, where nothing bounds what a file may take.
    thorough : bool
        Compare the bytes of files that look as they were, and try again what was given up.
    bounds : Bounds
    task : callable
        What reads a file; tests give their own.
    seal_reader : SealReader, optional
        What finds the seals of files; without it, seals that are kept stay as they are.
    progress : Progress
        Told the files.

    Returns
    -------
    Added

    Raises
    ------
    PictureIndexError, DiskFullError
        What was added before stays.
    """
    done = Added()
    files: dict[bytes, Path] = {}
    for path in paths:
        try:
            files.update({records.key_of(one): one for one in image_files(path)})
        except Error as error:
            done.problems.append((str(path), error.message))
    progress.start("reading images", len(files))
    since = 0
    for outcome in read_all(
        _to_read(index, list(files.values()), done, thorough=thorough, progress=progress),
        workers=workers,
        bounds=bounds,
        task=task,
    ):
        _keep(index, outcome, done)
        progress.advance(1)
        since += len(outcome.description.views) if outcome.description else 0
        if since >= _REFRESH_VIEWS:
            index.refresh()
            since = 0
    progress.finish()
    if seal_reader is not None:
        progress.start("reading seals", len(files))
        for path in files.values():
            _note_seal(index, path, seal_reader, done)
            progress.advance(1)
        progress.finish()
    index.refresh(progress=progress)
    return done


def _to_read(
    index: PictureIndex, files: Sequence[Path], done: Added, *, thorough: bool, progress: Progress
) -> Iterator[tuple[Path, int]]:
    """Yield the files that have to be read, with their size; deal with the others."""
    for path in files:
        try:
            stamp = stamp_of(path)
            settled = _is_settled(index, path, stamp, done, thorough=thorough)
        except Error as error:
            if isinstance(error, PictureIndexError | DiskFullError):
                raise
            done.problems.append((str(path), error.message))
            progress.advance(1)
            continue
        if settled:
            progress.advance(1)
        else:
            yield path, stamp.size


def _is_settled(index: PictureIndex, path: Path, stamp: Stamp, done: Added, *, thorough: bool) -> bool:
    with index.reading() as connection:
        mine = records.source_at(connection, path)
        alike = records.sources_like(connection, size=stamp.size)
    same = mine is not None and (mine.size, mine.changed_ns) == (stamp.size, stamp.changed_ns)
    if mine is not None and same and not thorough:
        if mine.state == GIVEN_UP:
            done.problems.append((str(path), mine.problem))
            return True
        if mine.state == WHOLE and mine.added_ns - mine.changed_ns > _COARSE_NS:
            done.unchanged += 1
            return True
    if not alike:
        return False
    digest = digest_of(path)
    if stamp_of(path) != stamp:
        return False  # who reads it in full finds words for that
    if mine is not None and mine.state == WHOLE and mine.digest == digest:
        with index.writing() as connection:
            records.restamp(connection, mine, stamp)
        done.unchanged += 1
        return True
    return _take_over(index, [one for one in alike if one.digest == digest], path, stamp, done)


def _take_over(index: PictureIndex, twins: Sequence[Source], path: Path, stamp: Stamp, done: Added) -> bool:
    """Use what is known of the same bytes elsewhere."""
    if not twins:
        return False
    gone = [one for one in twins if not Path(one.path).exists()]
    with index.writing() as connection:
        # It may have changed between reading and writing.
        there = {one.number for one in records.sources_like(connection, size=twins[0].size, digest=twins[0].digest)}
        for twin in [*gone, *twins]:
            if twin.number not in there:
                continue
            if twin in gone:
                records.move(connection, twin, path, stamp)
                done.moved += 1
            else:
                records.copy(connection, twin, path, stamp)
                done.copied += 1
            return True
    return False


def _keep(index: PictureIndex, outcome: Outcome, done: Added) -> None:
    found = outcome.description
    if found is None:
        done.problems.append((str(outcome.path), outcome.problem))
        try:
            stamp = stamp_of(outcome.path)
        except Error:  # it has gone meanwhile
            stamp = Stamp(size=0, changed_ns=0)
        state = GIVEN_UP if outcome.given_up else UNREADABLE
        with index.writing() as connection:
            records.write_problem(connection, outcome.path, stamp, state=state, problem=outcome.problem)
        return
    with index.writing() as connection:
        before = records.source_at(connection, outcome.path)
        same = before is not None and before.state == WHOLE and before.digest == found.digest
        if before is not None and same:
            # Another run has added it meanwhile.
            records.restamp(connection, before, found.stamp)
        else:
            records.write(connection, outcome.path, found)
    if same:
        done.unchanged += 1
    elif before is not None and before.state == WHOLE:
        done.replaced += 1
    else:
        done.added += 1


def _note_seal(index: PictureIndex, path: Path, reader: SealReader, done: Added) -> None:
    """Keep the seal of an indexed file as it is now: also of an unchanged one, which may have been sealed since."""
    with index.reading() as connection:
        source = records.source_at(connection, path)
        before = None if source is None else seals.kept_of(connection, source.number)
    if source is None or source.state != WHOLE:
        return
    store, facts = None, None
    try:
        store = reader.store_of(path)
        if store is not None and before is not None and before.store == store:
            done.sealed += 1
            return
        if store is not None:
            facts = reader.read(store)
            seals.check(store, facts)
    except Error as error:
        done.seal_problems.append((str(path), error.message))
        store, facts = None, None
    if facts is None and before is None:
        return
    with index.writing() as connection:
        # Another run may have put something else in its place meanwhile; it then looks at the seal itself.
        current = records.source_at(connection, path)
        if current is None or current.number != source.number:
            return
        if store is None or facts is None:
            seals.forget(connection, source.number)
            return
        seals.note(connection, source.number, store, facts)
    done.sealed += 1
