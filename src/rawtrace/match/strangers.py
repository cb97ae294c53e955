"""A stranger's picture, looked for in a process of its own: what it does to its decoder, it does to nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rawtrace.errors import LimitError, PictureIndexError, PixelsError
from rawtrace.image import formats
from rawtrace.match.index.workers import Bounds, Task, read_all
from rawtrace.match.recover import Recovered, Recovery

#: What a figure comes as. Microscopes' own formats have larger readers, which strangers need not reach.
TAKEN = (formats.PNG, formats.JPEG, formats.TIFF)
BOUNDS = Bounds(seconds=60.0, seconds_per_megabyte=0.5, memory_bytes=4 << 30)
_BROKEN = "the index cannot be used"


def media_type_of(path: Path) -> str:
    """Return the media type of a picture by its first bytes; empty where it is none of ``TAKEN``."""
    found = formats.detect(path).media_type
    return found if found in TAKEN else ""


def look_for(path: Path, location: str, *, limit: int, bounds: Bounds = BOUNDS) -> tuple[Recovered, ...]:
    """Return the seals of what a picture shows, best first.

    Parameters
    ----------
    path : Path
    location : str
        Of the index, as ``PictureIndex.open`` takes it.
    limit : int
    bounds : Bounds
        What it may take.

    Raises
    ------
    PixelsError
        It cannot be read. Nothing else is told of it.
    LimitError
        It takes more time or memory than it may, or has ended its decoder.
    PictureIndexError
        It could be read, and the index could not.
    """
    # What is handed back is not a description; the process does not mind.
    task = cast("Task", _Search(location, limit))
    (outcome,) = read_all([(path, path.stat().st_size)], workers=1, bounds=bounds, task=task)
    found: Any = outcome.description
    if outcome.given_up:
        msg = "the picture takes more time or memory than one may"
        raise LimitError(msg)
    if isinstance(found, str):
        raise PictureIndexError(found)
    if found is None:
        msg = "the picture cannot be read"
        raise PixelsError(msg)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Search:
    location: str
    limit: int

    def __call__(self, path: Path) -> tuple[Recovered, ...] | str:
        from rawtrace.match.index import PictureIndex

        try:
            with PictureIndex.open(self.location) as index:
                return Recovery(index).by_content(path, limit=self.limit)
        except PictureIndexError as error:
            return f"{_BROKEN}: {error.message}"
