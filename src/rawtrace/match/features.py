"""Local features of a picture: RootSIFT at points spread over it, the same setting for indexes and questions.

The one setting
---------------
The picture is stretched between its percentiles 0.35 and 99.65, reduced to a
longest edge of 1 024 px or, where it is small, enlarged at most sixfold to a
shortest edge of 400 px. ``LIMIT`` points are kept: first the strongest of every
cell of a grid, then the second strongest, and so on, so that bright debris does
not use up all of them, and so that the first so many are spread out as well.
A point takes ``POINT_BYTES`` when stored, so that a view takes at most 112 kB.

Positions are pixels of the picture as it was given, the centre of its first
pixel being (0, 0).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rawtrace.errors import MalformedError, MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

VERSION = 1
LIMIT = 800
LONGEST_EDGE = 1_024
SHORTEST_EDGE = 400
MOST_ENLARGED = 6.0
STRETCH_PERCENT = (0.35, 99.65)
#: Longest edge of a picture, px; positions are stored as float32.
MAX_EDGE = 1 << 20
#: More points than this are not read from bytes.
MAX_POINTS = 20_000
POINT_BYTES = 4 + 4 + 2 + 2 + 128

#: The second where the first finds fewer points than wanted.
_CONTRASTS, _EDGE = (0.004, 0.001), 15
#: How much coarse points are preferred: fine ones are lost when a picture is reduced.
_COARSE = 1.0
_GRID = 10
_HEAD = struct.Struct("<4sBxHIII")
_MAGIC = b"RTSF"
#: Length of a RootSIFT vector as uint8.
UNIT = 512.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Points of a picture and what their surroundings look like.

    Attributes
    ----------
    xy : ndarray of float32
        (N, 2), px of the picture, the centre of the first pixel being (0, 0).
    size : ndarray of float32
        (N,), diameter of the surroundings, px of the picture.
    angle : ndarray of float32
        (N,), direction of the gradient, degrees clockwise as seen on the screen.
    descriptors : ndarray of uint8
        (N, 128), RootSIFT; every vector has a length of about 512.
    shape : tuple[int, int]
        Height and width of the picture, px.
    """

    xy: NDArray[Any]
    size: NDArray[Any]
    angle: NDArray[Any]
    descriptors: NDArray[Any]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.xy)

    def take(self, chosen: Any) -> Features:
        """Return some of the points: a slice, a mask or indices."""
        return Features(
            xy=self.xy[chosen], size=self.size[chosen], angle=self.angle[chosen],
            descriptors=self.descriptors[chosen], shape=self.shape,
        )  # fmt: skip


def computer_vision() -> Any:
    """Return OpenCV's module.

    Raises
    ------
    MissingExtraError
    """
    try:
        import cv2
    except ImportError as error:
        msg = "comparing pictures needs OpenCV, which is not installed"
        raise MissingExtraError(msg, hint="pip install 'rawtrace[match]'") from error
    return cv2


def stretched(picture: NDArray[Any], *, percent: tuple[float, float] = STRETCH_PERCENT) -> NDArray[Any]:
    """Return a grey picture as uint8, its percentiles black and white.

    Parameters
    ----------
    picture : ndarray
        (Y, X), any real type; what is not a number counts as the least value, and infinity as the extreme one.

    Returns
    -------
    ndarray of uint8
        All zero where the picture is constant.
    """
    import numpy as np

    values = np.asarray(picture)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            known = values[finite]
            least, greatest = (known.min(), known.max()) if known.size else (0, 0)
            values = np.nan_to_num(values, nan=least, posinf=greatest, neginf=least)
    if values.size == 0:
        return np.zeros(values.shape, np.uint8)
    # A regular sample is enough for percentiles, and keeps large pictures cheap.
    step = max(1, math.isqrt(values.size // (1 << 20)))
    low, high = np.percentile(values[::step, ::step].astype(np.float64), percent)
    if not high > low:
        low, high = float(values.min()), float(values.max())
        if not high > low:
            return np.zeros(values.shape, np.uint8)
    if values.dtype == np.uint8:
        table = np.clip((np.arange(256) - low) / (high - low), 0, 1) * 255 + 0.5
        shown: NDArray[Any] = table.astype(np.uint8)[values]
    else:
        # Values beyond float32 become infinite, and are clipped like all beyond the ends.
        with np.errstate(all="ignore"):
            scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low)) + np.float32(0.5)
            shown = np.nan_to_num(np.clip(scaled, 0, 255)).astype(np.uint8)
    return shown


def features(picture: NDArray[Any], *, limit: int = LIMIT) -> Features:
    """Find the points of a grey picture, in the one setting of this module.

    Parameters
    ----------
    picture : ndarray
        (Y, X), uint8 as a view has it, or any other real type.
    limit : int
        At most so many points; their first ones are those of a smaller limit.

    Returns
    -------
    Features
        Without points where the picture is constant or tiny.
    """
    cv2 = computer_vision()
    import numpy as np

    height, width = picture.shape
    if min(height, width) < 8 or max(height, width) > MAX_EDGE:
        return _nothing(height, width)
    longest, shortest = max(height, width), min(height, width)
    scale = 1.0
    if longest > LONGEST_EDGE:
        scale = LONGEST_EDGE / longest
    elif shortest < SHORTEST_EDGE:
        scale = max(1.0, min(MOST_ENLARGED, SHORTEST_EDGE / shortest, LONGEST_EDGE / longest))
    size = max(8, round(width * scale)), max(8, round(height * scale))
    work = stretched(picture)
    if not work.any():
        return _nothing(height, width)
    if size != (width, height):
        work = cv2.resize(work, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    found: Any = ()
    for contrast in _CONTRASTS:
        detector = cv2.SIFT_create(
            nfeatures=0, contrastThreshold=contrast, edgeThreshold=_EDGE, enable_precise_upscale=True
        )
        found = detector.detect(work, None)
        if len(found) >= LIMIT:
            break
    if not found:
        return _nothing(height, width)
    points = np.array([(p.pt[0], p.pt[1], p.response * p.size**_COARSE) for p in found], np.float32)
    limit = max(0, min(limit, MAX_POINTS))
    # The descriptors of a point differ slightly with the finest octave that is asked for, hence never fewer points.
    chosen = _spread(points, size, max(limit, LIMIT))
    found, vectors = detector.compute(work, [found[index] for index in chosen])
    if vectors is None or not len(vectors):
        return _nothing(height, width)
    across, down = size[0] / width, size[1] / height
    places = np.array([p.pt for p in found])
    xy = ((places + 0.5) / (across, down) - 0.5).astype(np.float32)
    sizes = np.array([p.size for p in found]) / math.sqrt(across * down)
    angles = np.array([p.angle for p in found])
    sums = np.maximum(vectors.sum(axis=1, keepdims=True), 1)
    descriptors = np.minimum(np.sqrt(vectors / sums) * UNIT + 0.5, 255).astype(np.uint8)
    # Rounded as they are stored, so that what is read back is the same.
    return Features(
        xy=xy,
        size=np.minimum(sizes, 60_000).astype(np.float16).astype(np.float32),
        angle=angles.astype(np.float16).astype(np.float32),
        descriptors=descriptors,
        shape=(height, width),
    ).take(slice(limit))


def _spread(points: NDArray[Any], size: tuple[int, int], limit: int) -> NDArray[Any]:
    """Order points so that the strongest of each cell come first, then the second strongest, and so on."""
    import numpy as np

    cells = np.minimum((points[:, 0] * (_GRID / size[0])).astype(np.int64), _GRID - 1) * _GRID
    cells += np.minimum((points[:, 1] * (_GRID / size[1])).astype(np.int64), _GRID - 1)
    order = np.lexsort((points[:, 1], points[:, 0], -points[:, 2], cells))
    starts = np.r_[0, np.flatnonzero(np.diff(cells[order])) + 1]
    counts = np.diff(np.r_[starts, len(order)])
    rank = np.arange(len(order)) - np.repeat(starts, counts)
    return order[np.lexsort((-points[order, 2], rank))][:limit]


def _nothing(height: int, width: int) -> Features:
    import numpy as np

    none = np.zeros(0, np.float32)
    return Features(
        xy=np.zeros((0, 2), np.float32), size=none, angle=none, descriptors=np.zeros((0, 128), np.uint8),
        shape=(height, width),
    )  # fmt: skip


def variant(of: Features, *, mirrored: bool = False, inverted: bool = False) -> NDArray[Any]:
    """Return the descriptors that the mirrored or the inverted picture would have, without looking at it again.

    A descriptor is 4 x 4 cells of 8 directions, turned to the point's own
    direction. Mirroring turns the rows round and the sense of the directions;
    inversion turns the point's own direction by half a circle, and with it rows and columns.

    Returns
    -------
    ndarray of uint8
        (N, 128).
    """
    return of.descriptors[:, permutation(mirrored=mirrored, inverted=inverted)]


@cache
def permutation(*, mirrored: bool, inverted: bool) -> NDArray[Any]:
    """Return the order of the 128 numbers of a descriptor in ``variant``."""
    import numpy as np

    order = np.arange(128).reshape(4, 4, 8)
    if mirrored:
        order = order[::-1][:, :, -np.arange(8) % 8]
    if inverted:
        order = order[::-1, ::-1]
    flat = order.reshape(-1).copy()
    flat.flags.writeable = False
    return flat


def to_bytes(of: Features) -> bytes:
    """Pack features as an index stores them: a head of 20 bytes, then ``POINT_BYTES`` for each point."""
    height, width = of.shape
    return b"".join(
        (
            _HEAD.pack(_MAGIC, VERSION, 128, len(of), height, width),
            of.xy.astype("<f4").tobytes(),
            of.size.astype("<f2").tobytes(),
            of.angle.astype("<f2").tobytes(),
            of.descriptors.astype("u1").tobytes(),
        )
    )


def from_bytes(data: bytes) -> Features:
    """Unpack features.

    Raises
    ------
    MalformedError
        Not such bytes, of another version, or with numbers that cannot be.
    """
    import numpy as np

    if len(data) < _HEAD.size or data[:4] != _MAGIC:
        msg = "features of a picture begin with RTSF, and these bytes do not"
        raise MalformedError(msg)
    _, version, length, count, height, width = _HEAD.unpack_from(data)
    if version != VERSION or length != 128:
        msg = f"features of a picture have version {version}, expected {VERSION}"
        raise MalformedError(msg, hint="make the index again with this release")
    if count > MAX_POINTS or max(height, width) > MAX_EDGE or len(data) != _HEAD.size + count * POINT_BYTES:
        msg = (
            f"features of a picture take {len(data)} bytes, expected a head and {POINT_BYTES} for each of their points"
        )
        raise MalformedError(msg)
    at = _HEAD.size
    xy = np.frombuffer(data, "<f4", 2 * count, at).reshape(count, 2).astype(np.float32)
    size = np.frombuffer(data, "<f2", count, at + 8 * count).astype(np.float32)
    angle = np.frombuffer(data, "<f2", count, at + 10 * count).astype(np.float32)
    descriptors = np.frombuffer(data, "u1", 128 * count, at + 12 * count).reshape(count, 128)
    inside = (xy >= -1).all() and (xy <= np.array([width, height], np.float32) + 1).all()
    if not (inside and (size >= 0).all() and np.isfinite(size).all() and np.isfinite(angle).all()):
        msg = "features of a picture have points outside it, or without a size or direction"
        raise MalformedError(msg)
    return Features(xy=xy, size=size, angle=angle, descriptors=descriptors, shape=(height, width))
