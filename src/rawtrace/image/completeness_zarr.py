"""Completeness of OME-Zarr: chunk files against the shape that the metadata promises."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from rawtrace.errors import LimitError
from rawtrace.image.completeness import Completeness
from rawtrace.image.zarrlayout import ZarrArray, ZarrFolder, ZarrImage, mapping, sequence

_MAX_CHUNKS = 2_000_000


def check(path: Path) -> Completeness:
    """Compare the chunks that an OME-Zarr's finest level promises with those that are there.

    Raises
    ------
    MalformedError
        The metadata is missing in part: unfinished.
    LimitError
        Too much to count.
    """
    folder = ZarrFolder(path)
    images = folder.images()
    if not images:
        return Completeness(finished=None, reason="the Zarr folder holds no OME image yet, or none that could be read")
    expected = present = 0
    last_missing = False
    for image in images:
        if not image.levels:
            return Completeness(finished=None, reason="an OME-Zarr image names no array")
        array = folder.array(image.levels[0])
        count = math.prod(array.grid)
        expected += count
        if expected > _MAX_CHUNKS:
            msg = f"the Zarr folder promises more than {_MAX_CHUNKS} chunks"
            raise LimitError(msg)
        found = sum(1 for _ in _chunks(folder, array))
        present += found
        last_missing |= count > 0 and not _is_chunk(folder.locate(f"{array.path}/{_last(array)}"), _exact(array))
    if last_missing:
        reason = f"{present} of {expected} chunks are written, and the last one is not among them"
        return Completeness(finished=False, expected=expected, present=present, reason=reason, sparse=True)
    if present < expected:
        reason = f"{present} of {expected} chunks are written, the last among them; the others may be blank"
        return Completeness(finished=None, expected=expected, present=present, reason=reason, sparse=True)
    if any(_is_open(image) for image in images):
        reason = f"all {expected} chunks are written; the writer has not closed its list of frames"
        return Completeness(finished=None, expected=expected, present=present, reason=reason)
    return Completeness(finished=True, expected=expected, present=present, reason=f"all {expected} chunks are written")


def _is_open(image: ZarrImage) -> bool:
    # ome-writers fills this list when it closes; an array that still grows is whole at every moment.
    record = mapping(image.attributes.get("ome_writers"))
    return "frame_metadata" in record and not sequence(record["frame_metadata"])


def _last(array: ZarrArray) -> str:
    return array.chunk_path([count - 1 for count in array.grid])


def _exact(array: ZarrArray) -> int:
    """Return the size that every chunk file must have; 0 where compression leaves it open."""
    return 0 if array.codecs else array.chunk_bytes


def _chunks(folder: ZarrFolder, array: ZarrArray) -> Iterator[None]:
    """Yield once for each chunk file that belongs to the grid."""
    top = folder.locate(f"{array.path}/{array.prefix}" if array.prefix and array.separator == "/" else array.path)
    grid, exact = array.grid, _exact(array)
    if array.separator == "/":
        yield from _nested(top, grid, exact)
        return
    parts = len(grid) + (1 if array.prefix else 0)
    for entry in _listing(top):
        names = entry.name.split(".")
        if len(names) == parts and (not array.prefix or names[0] == array.prefix):
            indices = zip(names[parts - len(grid) :], grid, strict=True)
            if all(_is_index(name, size) for name, size in indices) and _is_whole(entry, exact):
                yield None


def _nested(folder: Path, grid: tuple[int, ...], exact: int) -> Iterator[None]:
    for entry in _listing(folder):
        if not _is_index(entry.name, grid[0]):
            continue
        if len(grid) == 1:
            if _is_whole(entry, exact):
                yield None
        elif entry.is_dir(follow_symlinks=False):
            yield from _nested(Path(entry.path), grid[1:], exact)


def _listing(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        # Not there yet.
        return


def _is_index(name: str, size: int) -> bool:
    return name.isascii() and name.isdigit() and (name == "0" or name[0] != "0") and len(name) < 12 and int(name) < size


def _is_whole(entry: os.DirEntry[str], exact: int) -> bool:
    if not entry.is_file(follow_symlinks=False):
        return False
    size = entry.stat(follow_symlinks=False).st_size
    return size == exact if exact else size > 0


def _is_chunk(path: Path, exact: int) -> bool:
    try:
        size = path.lstat().st_size
    except OSError:
        return False
    return size == exact if exact else size > 0
