"""Compares the pixels of two grey pictures after a placement: whatever the points say, these have to agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import computer_vision
from rawtrace.match.model import Box

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST_PIXELS = 200
#: Less of a picture than this says nothing about the rest of it.
LEAST_GREY = 0.02


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well the pixels agree where both pictures show something.

    Attributes
    ----------
    rank : float
        Correlation of ranks, -1 to 1; negative where inverted.
    detail : float
        Correlation of what differs from the surroundings, the better of a finer and a coarser scale; -1 to 1.
    covered : float
        Share of the query that the original covers, 0 to 1.
    plain : float
        Share of the covered pixels that are quite black or quite white in both, or next to such, 0 to 1.
    grey : float
        Share of the covered pixels that are neither in the query, nor next to such, 0 to 1.
    fine : float
        Correlation of ranks of what differs from the surroundings, the best of three scales; -1 to 1. Unlike
        ``detail`` it is about all of the pixels, not about the strongest: letters that both pictures have at the same
        place hardly count.
    """

    rank: float
    detail: float
    covered: float
    plain: float
    grey: float
    fine: float


def rank_correlation(original: NDArray[Any], query: NDArray[Any], matrix: Any) -> tuple[float, float]:
    """Correlate the ranks of two grey pictures where they overlap.

    Parameters
    ----------
    original, query : ndarray of uint8
        (Y, X).
    matrix : two rows of three
        Takes (x, y) of the original to the query.

    Returns
    -------
    correlation : float
        -1 to 1; 0 where hardly anything overlaps or either is constant there.
    covered : float
        Share of the query that the original covers, 0 to 1.
    """
    agreement = compare_pixels(original, query, matrix)
    return agreement.rank, agreement.covered


def compare_pixels(original: NDArray[Any], query: NDArray[Any], matrix: Any, *, box: Box | None = None) -> Agreement:
    """Compare two grey pictures of uint8 where they overlap after a map from original to query.

    Parameters
    ----------
    original, query : ndarray of uint8
        (Y, X).
    matrix : two rows of three
        Takes (x, y) of the original to the query.
    box : tuple, optional
        Left, top, right and bottom of the part of the query that counts, px.
    """
    cv2 = computer_vision()
    import numpy as np

    both = align(original, query, matrix)
    if not both.inside.size:
        return Agreement(0.0, 0.0, both.covered, 0.0, 0.0, 0.0)
    inside = both.inside
    if box is not None:
        (left, top), (right, bottom) = moved(np.array([box[:2], box[2:]], float), both.matrix[:2])
        inside = np.zeros_like(inside)
        inside[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = True
        inside &= both.inside
    around = np.ones((5, 5), np.uint8)
    inner = cv2.erode(inside.astype(np.uint8), around).astype(bool)
    if inner.sum() < _FEWEST_PIXELS:
        return Agreement(0.0, 0.0, both.covered, 0.0, 0.0, 0.0)
    near, far = (
        cv2.dilate(((each >= 252) | (each <= 3)).astype(np.uint8), around).astype(bool)
        for each in (both.shown, both.warped)
    )
    a, b = (_sampled(cv2.GaussianBlur(each, (0, 0), 1.0)[inner]) for each in (both.warped, both.shown))
    rank = _correlation(_ranks(a), _ranks(b))
    grey = inner & ~near
    share = float(grey.sum() / inner.sum())
    # Letters are left out with what is quite white; where next to nothing is left, it is all about letters and lines.
    if grey.sum() < 2 * _FEWEST_PIXELS or share < LEAST_GREY:
        grey = inner
    details, fines = [], []
    for scale in (1.0, 2.0, 4.0):
        one, other = (
            (cv2.GaussianBlur(each, (0, 0), scale) - cv2.GaussianBlur(each, (0, 0), 3 * scale))[grey]
            for each in (both.warped, both.shown)
        )
        details.append(_correlation(one, other))
        fines.append(_correlation(_ranks(_sampled(one)), _ranks(_sampled(other))))
    plain = float((near & far)[inner].mean())
    return Agreement(rank, max(details, key=abs), both.covered, plain, share, max(fines, key=abs))


def moved(points: NDArray[Any], matrix: Any) -> NDArray[Any]:
    """Return points after an affine map."""
    import numpy as np

    rows = np.asarray(matrix, float)
    there: NDArray[Any] = points @ rows[:, :2].T + rows[:, 2]
    return there


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Two pictures on one grid.

    Attributes
    ----------
    warped, shown : ndarray of float32
        Original and query, (Y, X), both only as sharp as the coarser of them; of the part that the original covers.
    inside : ndarray of bool
        Where there is an original.
    covered : float
        Share of the query that the original covers, 0 to 1.
    matrix : ndarray
        (3, 3), takes (x, y) of the query to this grid.
    """

    warped: NDArray[Any]
    shown: NDArray[Any]
    inside: NDArray[Any]
    covered: float
    matrix: NDArray[Any]


def align(original: NDArray[Any], query: NDArray[Any], matrix: Any, *, longest: int = 512) -> Aligned:
    """Bring an original onto the grid of a query, reduced to at most ``longest`` px."""
    cv2 = computer_vision()
    import numpy as np

    rows = np.vstack([np.asarray(matrix, float), [0, 0, 1]])
    (height, width), (h, w) = query.shape, original.shape
    corners = moved(np.array([[-0.5, -0.5], [w - 0.5, -0.5], [-0.5, h - 0.5], [w - 0.5, h - 0.5]]), rows[:2])
    low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0)) + 1
    left, top = (int(value) for value in np.clip(low, 0, (width, height)))
    right, bottom = (int(value) for value in np.clip(high, 0, (width, height)))
    if right - left < 8 or bottom - top < 8:
        none = np.zeros((0, 0), np.float32)
        return Aligned(none, none, none.astype(bool), 0.0, np.eye(3))
    scale = math.sqrt(abs(np.linalg.det(rows[:2, :2])))
    wanted = min(1.0, 1 / scale, longest / max(right - left, bottom - top))
    size = max(8, round((right - left) * wanted)), max(8, round((bottom - top) * wanted))
    shown = _resized(query[top:bottom, left:right], size)
    onto = resizing(size[0] / (right - left), size[1] / (bottom - top)) @ np.array(
        [[1, 0, -left], [0, 1, -top], [0, 0, 1.0]]
    )
    rows = onto @ rows
    scale = math.sqrt(abs(np.linalg.det(rows[:2, :2])))
    source = original
    if scale < 1:
        reduced = max(4, round(w * scale)), max(4, round(h * scale))
        source = _resized(original, reduced)
        rows = rows @ np.linalg.inv(resizing(reduced[0] / w, reduced[1] / h))
    warped = cv2.warpAffine(
        source.astype(np.float32), rows[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    inside = cv2.warpAffine(np.ones(source.shape, np.uint8), rows[:2], size, flags=cv2.INTER_NEAREST).astype(bool)
    covered = float(inside.mean()) * (right - left) * (bottom - top) / (width * height)
    return Aligned(warped, shown.astype(np.float32), inside, covered, onto)


def resizing(across: float, down: float) -> NDArray[Any]:
    """Return the map of a change of size, with the centres of pixels where they belong."""
    import numpy as np

    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])


def _resized(picture: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    cv2 = computer_vision()
    import numpy as np

    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    smaller: NDArray[Any] = cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA)
    return smaller


def _sampled(values: NDArray[Any], most: int = 20_000) -> NDArray[Any]:
    return values[:: max(1, -(-len(values) // most))]


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Return ranks; equal values share their mean rank."""
    import numpy as np

    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[Any] = (ends - (counts - 1) / 2)[place]
    return ranks


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    import numpy as np

    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    power = float((a * a).sum(dtype=np.float64) * (b * b).sum(dtype=np.float64))
    return float((a * b).sum(dtype=np.float64)) / math.sqrt(power) if power > 1e-6 else 0.0
