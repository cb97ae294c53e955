"""Segments: files that say which points lie in which cell, made from the database and never the truth.

A segment covers views of consecutive numbers. Its points are sorted by cell and,
where a cell is crowded, by the first bits of the signature, so that a question
reads about ``CROWD`` points however many there are. Layout, little-endian::

    head        128 bytes: magic, versions, what it covers, sizes, SHA-256 of the rest by column
    base        uint32 x (CELLS + 1): first division of each cell
    starts      uint64 x (divisions + 1): first point of each division
    signatures  uint64 x points
    views       uint32 x points: number of the view, less the segment's first
    places      uint8 x 4 x points: direction, size, x, y; see ``places_of``

Whatever is damaged in the columns can only make a wrong candidate, which the
verification of pairs drops; sizes and directory are checked when it is opened.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace import durable
from rawtrace.errors import PictureIndexError, from_os_error
from rawtrace.match.index.codebook import CELLS, PREFIX_BITS, codebook

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rawtrace.match.features import Features

#: Points of a view that are posted: the first ones, which are spread over it.
POSTED = 400
POINT_BYTES = 8 + 4 + 4
#: About how many points a division holds.
CROWD = 32
SUFFIX = ".postings"
VERSION = 1
_MAGIC = b"RTPO"
#: magic, version, posted, codebook, identity, first, last, points, divisions, digest
_HEAD = struct.Struct("<4sHH8s16sQQQQ32s")
HEAD_BYTES = 128
_BLOCK = 1 << 22
_OCTAVE = 16


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Points before they are written, in any order.

    Attributes
    ----------
    cells : ndarray of uint32
    signatures : ndarray of uint64
    views : ndarray of uint32
        Number of the view, less the segment's first.
    places : ndarray of uint8
        (N, 4).
    """

    cells: NDArray[Any]
    signatures: NDArray[Any]
    views: NDArray[Any]
    places: NDArray[Any]


def places_of(of: Features) -> NDArray[Any]:
    """Return direction, size and position of points in a byte each, relative to the longest edge of the picture.

    Returns
    -------
    ndarray of uint8
        (N, 4): 256ths of a circle, 16ths of an octave below the longest edge, 255ths of the longest edge (x, y).
    """
    import numpy as np

    longest = float(max(*of.shape, 1))
    direction = np.rint(of.angle * (256 / 360)).astype(np.int64) % 256
    size = np.rint(np.log2(longest / np.maximum(of.size, 1e-3)) * _OCTAVE)
    spot = np.rint(of.xy * (255 / longest))
    return np.column_stack([direction, np.clip(size, 0, 255), np.clip(spot, 0, 255)]).astype(np.uint8)


class Segment:
    """An open segment. Safe to share between threads.

    Parameters
    ----------
    path : Path
    identity : bytes
        16 bytes of the index that it must belong to.

    Raises
    ------
    PictureIndexError
        Damaged, of another index, codebook or version.
    """

    def __init__(self, path: Path, *, identity: bytes) -> None:
        import numpy as np

        self.path = path
        try:
            with path.open("rb") as stream:
                head = stream.read(HEAD_BYTES)
                size = os.fstat(stream.fileno()).st_size
                self.first, self.last, self.points, divisions, self.digest = _parse_head(head, identity, path)
                if size != _size(self.points, divisions):
                    raise _damaged(path, f"it has {size} bytes, expected {_size(self.points, divisions)}")
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise from_os_error(error, f"reading {path}") from error
        at = HEAD_BYTES
        self.base = np.frombuffer(self._map, "<u4", CELLS + 1, at)
        at += self.base.nbytes
        self.starts = np.frombuffer(self._map, "<u8", divisions + 1, at)
        at += self.starts.nbytes
        self.signatures = np.frombuffer(self._map, "<u8", self.points, at)
        at += self.signatures.nbytes
        self.views = np.frombuffer(self._map, "<u4", self.points, at)
        at += self.views.nbytes
        self.places = np.frombuffer(self._map, "u1", 4 * self.points, at).reshape(self.points, 4)
        widths: NDArray[Any] = np.diff(self.base.astype(np.int64))
        sound = (
            self.base[0] == 0 and self.base[-1] == divisions and (widths > 0).all() and not (widths & widths - 1).any()
        )
        if not (sound and widths.max() <= 1 << PREFIX_BITS) or self.starts[0] != 0 or self.starts[-1] != self.points:
            raise _damaged(path, "its directory is not one")
        if (self.starts[1:] < self.starts[:-1]).any():
            raise _damaged(path, "its directory is not in order")
        #: How many bits of the signature divide each cell.
        self.bits = np.frexp(widths.astype(np.float64))[1].astype(np.uint8) - np.uint8(1)

    def check(self) -> None:
        """Compare every byte with the digest in the head, and every view with what the segment covers.

        Raises
        ------
        PictureIndexError
        """
        digest = _column_digest([self.base, self.starts, self.signatures, self.views, self.places])
        if digest != self.digest:
            raise _damaged(self.path, "its bytes are not those that were written")
        if self.points and int(self.views.max()) > self.last - self.first:
            raise _damaged(self.path, "it names views that it does not cover")

    def cells_of(self, first: int, last: int) -> NDArray[Any]:
        """Return the cell of each point of cells ``first`` to ``last - 1``."""
        import numpy as np

        edges = self.starts[self.base[first : last + 1].astype(np.int64)].astype(np.int64)
        return np.repeat(np.arange(first, last, dtype=np.uint32), np.diff(edges))


def build(folder: Path, points: Postings, *, identity: bytes, first: int, last: int) -> Path:
    """Write a segment; it appears whole or not at all.

    Parameters
    ----------
    folder : Path
    points : Postings
    identity : bytes
        16 bytes of the index.
    first, last : int
        Numbers of the views that it covers.

    Raises
    ------
    DiskFullError, UnwritableError
    """
    import numpy as np

    counts = np.bincount(points.cells, minlength=CELLS)
    return _write(folder, counts, iter([points]), identity=identity, first=first, last=last)


def merge(folder: Path, segments: Sequence[Segment], *, identity: bytes, alive: NDArray[Any] | None = None) -> Path:
    """Write one segment in place of several neighbours.

    Parameters
    ----------
    alive : ndarray of bool, optional
        For each number from the first segment's first view on, whether the view is still there.
    """
    import numpy as np

    first, last = min(one.first for one in segments), max(one.last for one in segments)
    counts: NDArray[Any] = np.zeros(CELLS, np.int64)
    for one in segments:
        if alive is None:
            counts = counts + np.diff(one.starts[one.base.astype(np.int64)].astype(np.int64))
        else:
            for block, _ in _blocks(one):
                kept = alive[one.views[block] + np.int64(one.first - first)]
                edges = one.starts[one.base.astype(np.int64)].astype(np.int64)
                counts += np.bincount(
                    np.searchsorted(edges, np.arange(block.start, block.stop)[kept], "right") - 1, minlength=CELLS
                )
    return _write(folder, counts, _merged(segments, counts, first, alive), identity=identity, first=first, last=last)


def _blocks(segment: Segment) -> Iterator[tuple[slice, int]]:
    for start in range(0, segment.points, _BLOCK):
        yield slice(start, min(segment.points, start + _BLOCK)), start


def _merged(
    segments: Sequence[Segment], counts: NDArray[Any], first: int, alive: NDArray[Any] | None
) -> Iterator[Postings]:
    """Yield the points of several segments by ranges of cells, so that memory stays bounded."""
    import numpy as np

    total = np.cumsum(counts)
    cell = 0
    while cell < CELLS:
        done = total[cell - 1] if cell else 0
        end = max(cell + 1, int(np.searchsorted(total, done + _BLOCK, "right")))
        parts = []
        for one in segments:
            low, high = (int(one.starts[int(one.base[edge])]) for edge in (cell, end))
            views = one.views[low:high] + np.uint32(one.first - first)
            kept = slice(None) if alive is None else alive[views]
            parts.append(
                (one.cells_of(cell, end)[kept], one.signatures[low:high][kept], views[kept], one.places[low:high][kept])
            )
        yield Postings(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        cell = end


def _write(
    folder: Path, counts: NDArray[Any], blocks: Iterator[Postings], *, identity: bytes, first: int, last: int
) -> Path:
    """Write a segment from blocks of points that go through the cells in order."""
    import numpy as np

    points = int(counts.sum())
    bits = np.clip(np.frexp(counts / CROWD)[1], 0, PREFIX_BITS).astype(np.int64)
    base = np.r_[0, np.cumsum(1 << bits)].astype("<u4")
    divisions = int(base[-1])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{first:012d}-{last:012d}-{secrets.token_hex(3)}{SUFFIX}"
    temporary = path.with_name(f".{path.name}{durable.TEMPORARY_SUFFIX}")
    sizes = np.zeros(divisions, np.int64)
    offsets = np.cumsum([HEAD_BYTES, base.nbytes, 8 * (divisions + 1), 8 * points, 4 * points])
    try:
        with temporary.open("xb") as stream:
            stream.truncate(_size(points, divisions))
            done = 0
            for block in blocks:
                shift = (64 - bits[block.cells]).astype(np.uint64)
                # A shift by 64 is none at all in C, hence in two steps.
                division = base[block.cells] + (block.signatures >> np.uint64(1) >> shift - np.uint64(1)).astype(
                    np.uint32
                )
                order = np.argsort(division, kind="stable")
                np.add(sizes, np.bincount(division, minlength=divisions), out=sizes)
                for offset, width, column in (
                    (offsets[2], 8, block.signatures.astype("<u8", copy=False)),
                    (offsets[3], 4, block.views.astype("<u4", copy=False)),
                    (offsets[4], 4, block.places),
                ):
                    stream.seek(int(offset) + done * width)
                    stream.write(_bytes_of(column[order]))
                done += len(order)
            starts = np.r_[0, np.cumsum(sizes)].astype("<u8")
            stream.seek(HEAD_BYTES)
            stream.write(base.tobytes())
            stream.write(starts.tobytes())
            stream.flush()
            digest = _file_digest(temporary, points, divisions)
            stream.seek(0)
            head = _HEAD.pack(
                _MAGIC, VERSION, POSTED, codebook().digest, identity, first, last, points, divisions, digest
            )
            stream.write(head + hashlib.sha256(head).digest()[: HEAD_BYTES - _HEAD.size])
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise from_os_error(error, f"writing {path}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    durable.sync_folder(folder)
    return path


def _parse_head(head: bytes, identity: bytes, path: Path) -> tuple[int, int, int, int, bytes]:
    if len(head) < HEAD_BYTES or head[:4] != _MAGIC:
        raise _damaged(path, "it does not begin as one")
    if hashlib.sha256(head[: _HEAD.size]).digest()[: HEAD_BYTES - _HEAD.size] != head[_HEAD.size :]:
        raise _damaged(path, "its head is not what was written")
    _, version, posted, book, belongs, first, last, points, divisions, digest = _HEAD.unpack_from(head)
    if version != VERSION or posted != POSTED or book != codebook().digest:
        raise _damaged(path, "it was made by another release")
    if belongs != identity:
        raise _damaged(path, "it belongs to another index")
    if not 0 < first <= last or divisions < CELLS or last - first >= 1 << 32:
        raise _damaged(path, "it covers nothing that can be")
    return first, last, points, divisions, digest


def _size(points: int, divisions: int) -> int:
    return HEAD_BYTES + 4 * (CELLS + 1) + 8 * (divisions + 1) + POINT_BYTES * points


def _file_digest(path: Path, points: int, divisions: int) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        stream.seek(HEAD_BYTES)
        while data := stream.read(1 << 20):
            digest.update(data)
    return digest.digest()


def _column_digest(columns: Sequence[NDArray[Any]]) -> bytes:
    digest = hashlib.sha256()
    for column in columns:
        digest.update(_bytes_of(column))
    return digest.digest()


def _bytes_of(column: NDArray[Any]) -> Any:
    """Return the bytes of a column without copying them; a column may be empty, which has no view of its own."""
    import numpy as np

    return np.ascontiguousarray(column).data.cast("B") if column.size else b""


def _damaged(path: Path, how: str) -> PictureIndexError:
    return PictureIndexError(
        f"the segment {path} cannot be used: {how}", hint="delete it; it is made again when needed"
    )
