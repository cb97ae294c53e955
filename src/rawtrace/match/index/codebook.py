"""Which cell a descriptor falls into, and 64 bits of where in that cell: the same on every machine.

A descriptor is cut into two halves of 64 numbers. Each half has a fixed book of
``WORDS`` typical halves, and the pair of the nearest ones is the cell. What is
left after subtracting them is projected on 2 x 32 fixed directions, whose signs
are the signature. The book is part of the package and is never trained on what
is indexed, so that parts of an index made on different machines fit together.

All numbers are whole and all sums below 2^24, where float32 is exact: no
library, processor or order of summation changes a cell or a bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from rawtrace.errors import PictureIndexError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORDS = 512
CELLS = WORDS * WORDS
HALF = 64
#: Directions for each half.
DIRECTIONS = 32
BITS = 2 * DIRECTIONS
#: Beginning of a signature that may divide a crowded cell further.
PREFIX_BITS = 16
FILE = "codebook.bin"
_BYTES = 2 * WORDS * HALF + 2 * HALF * DIRECTIONS
_BLOCK = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Codebook:
    """The fixed book.

    Attributes
    ----------
    words : ndarray of float32
        (2, WORDS, 64), whole numbers from 0 to 255.
    directions : ndarray of float32
        (2, 64, 32), whole numbers from -127 to 127.
    shifts : ndarray of float32
        (2, WORDS, 32), the words on the directions.
    digest : bytes
        8 bytes that name the book.
    """

    words: NDArray[Any]
    directions: NDArray[Any]
    shifts: NDArray[Any]
    digest: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Probes:
    """Where to look for the neighbours of some descriptors.

    Attributes
    ----------
    point : ndarray of int32
        (M,), which descriptor asks.
    cell : ndarray of int32
        (M,), which cell; of one descriptor in order of distance.
    signature : ndarray of uint64
        (M,), of the descriptor within that cell.
    margins : ndarray of float32
        (M, PREFIX_BITS), how far the descriptor is from changing each of the first bits.
    """

    point: NDArray[Any]
    cell: NDArray[Any]
    signature: NDArray[Any]
    margins: NDArray[Any]


@cache
def codebook() -> Codebook:
    """Return the book of this package.

    Raises
    ------
    PictureIndexError
        It is damaged.
    """
    return parse(resources.files("rawtrace.match.index").joinpath(FILE).read_bytes())


def parse(data: bytes) -> Codebook:
    """Read a book: the words as uint8, then the directions as int8."""
    import numpy as np

    if len(data) != _BYTES:
        msg = f"the codebook has {len(data)} bytes, expected {_BYTES}"
        raise PictureIndexError(msg, hint="install rawtrace again")
    end = 2 * WORDS * HALF
    words = np.frombuffer(data, np.uint8, end).reshape(2, WORDS, HALF).astype(np.float32)
    directions = np.frombuffer(data, np.int8, offset=end).reshape(2, HALF, DIRECTIONS).astype(np.float32)
    return Codebook(words, directions, words @ directions, hashlib.sha256(data).digest()[:8])


def encode(descriptors: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return cell (uint32) and signature (uint64) of each descriptor, as an index stores them.

    Parameters
    ----------
    descriptors : ndarray of uint8
        (N, 128).
    """
    import numpy as np

    cells = np.empty(len(descriptors), np.uint32)
    signatures = np.empty(len(descriptors), np.uint64)
    for start in range(0, len(descriptors), _BLOCK):
        halves = _halves(descriptors[start : start + _BLOCK])
        nearest = [_distances(side, half).argmin(axis=1) for side, half in enumerate(halves)]
        cells[start : start + _BLOCK] = nearest[0] * WORDS + nearest[1]
        signatures[start : start + _BLOCK] = _bits(_residuals(halves, nearest))
    return cells, signatures


def probes(descriptors: NDArray[Any], *, cells: int) -> Probes:
    """Return the nearest cells of each descriptor, with its signature in each.

    Parameters
    ----------
    descriptors : ndarray of uint8
        (N, 128).
    cells : int
        How many for each descriptor, at most 64.
    """
    import numpy as np

    parts = [_probes(descriptors[start : start + _BLOCK], start, cells) for start in range(0, len(descriptors), _BLOCK)]
    if not parts:
        nothing = np.zeros(0, np.int32)
        return Probes(nothing, nothing, np.zeros(0, np.uint64), np.zeros((0, PREFIX_BITS), np.float32))
    return Probes(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _probes(descriptors: NDArray[Any], first: int, cells: int) -> tuple[NDArray[Any], ...]:
    import numpy as np

    halves = _halves(descriptors)
    found, distance = [], []
    for side, half in enumerate(halves):
        every = _distances(side, half)
        some = np.argpartition(every, cells, axis=1)[:, :cells]
        order = np.argsort(np.take_along_axis(every, some, 1), axis=1, kind="stable")
        some = np.take_along_axis(some, order, 1)
        found.append(some)
        distance.append(np.take_along_axis(every, some, 1))
    # The pair (i, j) can be among the nearest only where (i + 1)(j + 1) pairs are not nearer.
    pairs = [(i, j) for i in range(cells) for j in range(cells) if (i + 1) * (j + 1) <= cells]
    left, right = np.array(pairs).T
    sums = distance[0][:, left] + distance[1][:, right]
    if cells < len(pairs):
        best = np.argpartition(sums, cells, axis=1)[:, :cells]
        best = np.take_along_axis(best, np.argsort(np.take_along_axis(sums, best, 1), axis=1, kind="stable"), 1)
    else:
        best = np.argsort(sums, axis=1, kind="stable")
    point = np.repeat(np.arange(len(descriptors), dtype=np.int32), best.shape[1])
    pair = best.reshape(-1)
    nearest = [found[0][point, left[pair]], found[1][point, right[pair]]]
    residuals = _residuals([half[point] for half in halves], nearest)
    cell = (nearest[0] * WORDS + nearest[1]).astype(np.int32)
    return point + np.int32(first), cell, _bits(residuals), np.abs(residuals[:, :PREFIX_BITS])


def _halves(descriptors: NDArray[Any]) -> list[NDArray[Any]]:
    import numpy as np

    return [np.ascontiguousarray(descriptors[:, side * HALF : (side + 1) * HALF], np.float32) for side in (0, 1)]


def _distances(side: int, half: NDArray[Any]) -> NDArray[Any]:
    """Return squared distances to the words, without the part that is the same for all words."""
    words = codebook().words[side]
    distances: NDArray[Any] = (words * words).sum(axis=1) - 2 * (half @ words.T)
    return distances


def _residuals(halves: list[NDArray[Any]], nearest: list[NDArray[Any]]) -> NDArray[Any]:
    """Return what is left on the directions, those of the two halves in turn."""
    import numpy as np

    book = codebook()
    sides = [
        half @ book.directions[side] - book.shifts[side][words]
        for side, (half, words) in enumerate(zip(halves, nearest, strict=True))
    ]
    return np.stack(sides, axis=2).reshape(len(sides[0]), BITS)


def _bits(residuals: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    # The first direction is the highest bit.
    bits: NDArray[Any] = np.packbits(residuals > 0, axis=1).view(">u8").reshape(-1).astype(np.uint64)
    return bits
