"""The segments of an index in a folder: found, made where they are missing, joined when they become many.

A segment that is damaged, or of another index, is put away and made again from
the database. The name of a file begins with what it covers; where two cover the
same, the longer one counts, so that a run that broke off while joining leaves
nothing wrong behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace import durable
from rawtrace.errors import Error, PictureIndexError
from rawtrace.match.index.codebook import encode
from rawtrace.match.index.postings import POSTED, SUFFIX, Postings, Segment, build, merge, places_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rawtrace.match.features import Features

#: So many neighbours of about the same size are joined.
FAN = 2
#: Views of the smallest segments, about; a size class up has ``FAN`` times as many points.
SMALLEST = 1_000


def postings_of(views: Sequence[tuple[int, Features]], *, first: int) -> Postings:
    """Return what is posted of some views.

    Parameters
    ----------
    views : Sequence of (number, features)
    first : int
        Number of the first view that the segment will cover.
    """
    import numpy as np

    some = [(number, of.take(slice(POSTED))) for number, of in views]
    cells, signatures = encode(np.concatenate([of.descriptors for _, of in some] or [np.zeros((0, 128), np.uint8)]))
    owners = np.repeat(np.array([number - first for number, _ in some], np.uint32), [len(of) for _, of in some])
    places = np.concatenate([places_of(of) for _, of in some] or [np.zeros((0, 4), np.uint8)])
    return Postings(cells, signatures, owners, places)


class Shelf:
    """A folder of segments. One process may change it at a time; any number may read.

    Parameters
    ----------
    folder : Path
        Made when something is put into it.
    identity : bytes
        16 bytes of the index.
    whole : bool
        Whether the segments are to cover all views; else there may be gaps between those that are joined.
    """

    def __init__(self, folder: Path, *, identity: bytes, whole: bool = True) -> None:
        self.folder = folder
        self.identity = identity
        self.whole = whole
        self.segments: tuple[Segment, ...] = ()
        #: What was wrong with those that are not used, a sentence each.
        self.problems: tuple[str, ...] = ()
        self._unused: list[Path] = []

    def load(self) -> None:
        """Open what is there; the longest where several cover the same."""
        found: list[Segment] = []
        problems: list[str] = []
        self._unused = []
        known = {one.path: one for one in self.segments}
        for path in sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else ():
            try:
                found.append(known.get(path) or Segment(path, identity=self.identity))
            except PictureIndexError as error:
                problems.append(error.message)
                self._unused.append(path)
            except Error as error:  # another process has just joined it with its neighbours
                problems.append(error.message)
        kept: list[Segment] = []
        for one in sorted(found, key=lambda segment: (segment.first - segment.last, segment.first, segment.path.name)):
            if any(one.first <= other.last and other.first <= one.last for other in kept):
                self._unused.append(one.path)
            else:
                kept.append(one)
        self.segments = tuple(sorted(kept, key=lambda segment: segment.first))
        self.problems = tuple(problems)

    def gaps(self, last: int) -> Iterator[tuple[int, int]]:
        """Yield first and last number of the views up to ``last`` that no segment covers."""
        at = 1
        for one in self.segments:
            if one.first > at:
                yield at, min(one.first - 1, last)
            at = max(at, one.last + 1)
        if at <= last:
            yield at, last

    def put(self, points: Postings, *, first: int, last: int) -> None:
        """Write one more segment."""
        build(self.folder, points, identity=self.identity, first=first, last=last)
        self.load()

    def tidy(self, *, alive: NDArray[Any] | None = None) -> None:
        """Remove what is not used, and join neighbours while there are many of one size class.

        Parameters
        ----------
        alive : ndarray of bool, optional
            For each number of a view, whether the view is still there; the others are left out when joining.
        """
        self._sweep()
        while run := self._crowded():
            first = run[0].first
            merge(self.folder, run, identity=self.identity, alive=None if alive is None else alive[first:])
            self.load()
            self._sweep()

    def clear(self) -> None:
        """Remove every segment; they are made again from the database."""
        self._unused = list(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else []
        self.segments = ()
        self._sweep()

    def check(self) -> tuple[str, ...]:
        """Read every byte and return what is wrong, a sentence each."""
        found = list(self.problems)
        for one in self.segments:
            try:
                one.check()
            except PictureIndexError as error:
                found.append(error.message)
        return tuple(found)

    @property
    def bytes(self) -> int:
        """What the segments take on the disk."""
        return sum(one.path.stat().st_size for one in self.segments if one.path.exists())

    def _crowded(self) -> list[Segment]:
        """Return the first run of neighbours of one size class that is long enough to be joined."""
        run: list[Segment] = []
        for one in self.segments:
            apart = self.whole and bool(run) and run[-1].last + 1 != one.first
            if run and (_size_class(run[-1]) != _size_class(one) or apart):
                run = []
            run.append(one)
            if len(run) == FAN:
                return run
        return []

    def _sweep(self) -> None:
        if self.folder.is_dir():
            self._unused += self.folder.glob(f".*{SUFFIX}{durable.TEMPORARY_SUFFIX}")
        for path in self._unused:
            # Windows keeps a file that another process reads; the next run removes it.
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._unused = []


def _size_class(segment: Segment) -> int:
    size, kind = segment.points, 0
    while size > SMALLEST * POSTED:
        size, kind = size // FAN, kind + 1
    return kind
