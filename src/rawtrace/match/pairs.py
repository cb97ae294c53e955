"""Verifies one pair of pictures: which points agree on one placement, and whether the pixels agree as well.

1. Points pair up by their descriptors, each the other's best, and better than the next best elsewhere.
2. Pairs that imply one turn and one scale are kept, then an affine map that as many as possible agree on.
3. The map must be sane (``MIN_SCALE`` to ``MAX_SCALE``, ``MAX_ANISOTROPY``), and the direction and size of
   every point that counts must follow it, not only its place.
4. Points that count are distinct: several in one place are one.
5. ``accepted`` then asks the pixels. Points alone never decide, for letters and scale bars pair up perfectly
   between pictures that share nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import LONGEST_EDGE, UNIT, Features, computer_vision, variant
from rawtrace.match.model import Box, Matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SCALE, MAX_SCALE, MAX_ANISOTROPY = 0.04, 8.0, 1.35
#: Fewer distinct points than this are no pair at all.
FEWEST = 4
#: Accepted is a pair with at least so many inliers, so many guided, and greater correlations of ranks and of detail.
ACCEPTED = ((12, 25, 0.3, 0.3), (8, 12, 0.5, 0.5), (6, 8, 0.6, 0.8), (5, 12, 0.6, 0.9))
#: Greatest share of the pixels that may be black or white, or next to such, in both pictures.
MOST_PLAIN = 0.85
_FEWEST_PIXELS = 200

_RATIO, _SIMILAR, _GUIDED_SIMILAR = 0.96, 0.6, 0.75
_TOLERANCE = 2.5
_MAX_TURN_DEG, _MAX_OCTAVES = 30.0, 0.7


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Points of two pictures that agree on one placement.

    Attributes
    ----------
    matrix : tuple of two rows of three
        Takes (x, y) of the original to the query, px.
    inliers : int
        How many distinct points agree that found each other among all.
    guided : int
        How many agree when each is compared only with those where the placement puts it.
    query_xy, original_xy : ndarray of float32
        (N, 2), all that agree.
    query_at, original_at : ndarray of int
        (N,), their numbers among the features.
    mirrored, inverted : bool
        Which variant of the query's descriptors was compared.
    """

    matrix: Matrix
    inliers: int
    guided: int
    query_xy: NDArray[Any]
    original_xy: NDArray[Any]
    query_at: NDArray[Any]
    original_at: NDArray[Any]
    mirrored: bool
    inverted: bool


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
    """

    rank: float
    detail: float
    covered: float
    plain: float


def verify_pair(query: Features, original: Features, *, mirrored: bool = False, inverted: bool = False) -> Pair | None:
    """Look for one placement of an original in a query that their points agree on.

    The result repeats: what is random has a fixed seed.

    Returns
    -------
    Pair or None
        ``None`` where fewer than ``FEWEST`` distinct points agree, or on nothing sane.
    """
    if len(query) < FEWEST or len(original) < FEWEST:
        return None
    similar = _unit(variant(query, mirrored=mirrored, inverted=inverted)) @ _unit(original.descriptors).T
    q, o, ratio = _tentative(similar, original)
    if len(q) < FEWEST:
        return None
    found = _agreeing(query, original, q, o, ratio, mirrored=mirrored, inverted=inverted)
    if found is None:
        return None
    matrix, inside, tolerance = found
    strict = _distinct(query.xy[q[inside]], original.xy[o[inside]], matrix, tolerance)
    if strict < FEWEST:
        return None
    q, o = _guided(similar, query, original, matrix, tolerance, inverted=inverted)
    refined = _fit(original.xy[o], query.xy[q], matrix, tolerance) if len(q) >= FEWEST else matrix
    if not sane(refined, mirrored=mirrored):
        return None
    return Pair(
        matrix=as_matrix(refined), inliers=strict, guided=_distinct(query.xy[q], original.xy[o], matrix, tolerance),
        query_xy=query.xy[q], original_xy=original.xy[o], query_at=q, original_at=o, mirrored=mirrored,
        inverted=inverted,
    )  # fmt: skip


def _guided(
    similar: NDArray[Any],
    query: Features,
    original: Features,
    matrix: NDArray[Any],
    tolerance: float,
    *,
    inverted: bool,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pair points anew, each with the most similar one where a map puts it."""
    import numpy as np

    there = moved(original.xy, matrix).astype(np.float32)
    near = (np.abs(query.xy[:, None, 0] - there[None, :, 0]) < tolerance) & (
        np.abs(query.xy[:, None, 1] - there[None, :, 1]) < tolerance
    )
    q, o = np.nonzero(near)
    kept = (similar[q, o] > _GUIDED_SIMILAR) & _inside(query, original, q, o, matrix, tolerance, inverted=inverted)
    q, o = q[kept], o[kept]
    order = np.argsort(-similar[q, o], kind="stable")
    q, o = q[order], o[order]
    _, first = np.unique(q, return_index=True)
    q, o = q[np.sort(first)], o[np.sort(first)]
    _, first = np.unique(o, return_index=True)
    return q[np.sort(first)], o[np.sort(first)]


def _unit(descriptors: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    vectors = descriptors.astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), UNIT / 4)
    return vectors


def _tentative(similar: NDArray[Any], original: Features) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return numbers of points that pair up, in both, and the ratio of best to next best distance."""
    import numpy as np

    best = similar.argmax(axis=1)
    rows = np.flatnonzero(similar.argmax(axis=0)[best] == np.arange(len(similar)))
    best = best[rows]
    nearest = similar[rows, best]
    # The next best of another place: one blob often has several points.
    apart = np.abs(original.xy[best][:, None] - original.xy[None]).max(axis=2)
    others = np.where(apart < np.maximum(original.size[best] * 0.25, 1.5)[:, None], -1, similar[rows])
    ratio = np.sqrt(np.maximum(1 - nearest, 1e-6) / np.maximum(1 - others.max(axis=1), 1e-6))
    kept = (ratio < _RATIO) & (nearest > _SIMILAR)
    return rows[kept], best[kept], ratio[kept]


def _turns(query: Features, original: Features, q: Any, o: Any, *, mirrored: bool, inverted: bool) -> NDArray[Any]:
    """Return the turn in degrees that each pair of points implies, by their directions."""
    turns = query.angle[q] + (180 if inverted else 0) + (original.angle[o] if mirrored else -original.angle[o])
    turned: NDArray[Any] = turns % 360
    return turned


def _agreeing(
    query: Features, original: Features, q: NDArray[Any], o: NDArray[Any], ratio: NDArray[Any], *,
    mirrored: bool, inverted: bool,
) -> tuple[NDArray[Any], NDArray[Any], float] | None:  # fmt: skip
    """Find the map that most pairs agree on."""
    cv2 = computer_vision()
    import numpy as np

    turns = _turns(query, original, q, o, mirrored=mirrored, inverted=inverted)
    octaves = np.log2(query.size[q] / np.maximum(original.size[o], 1e-3))
    off_turn = np.abs((turns[:, None] - turns[None] + 180) % 360 - 180)
    off_scale = np.abs(octaves[:, None] - octaves[None])
    like = (off_turn < _MAX_TURN_DEG / 2) & (off_scale < _MAX_OCTAVES / 2)
    weight = (like * (1.02 - ratio)[None]).sum(axis=1)
    middle = int(weight.argmax())
    kept = (off_turn[middle] < _MAX_TURN_DEG) & (off_scale[middle] < _MAX_OCTAVES)
    if kept.sum() < FEWEST:
        return None
    scale = float(2.0 ** np.median(octaves[like[middle]]))
    if not MIN_SCALE / 2 < scale < MAX_SCALE * 2:
        return None
    tolerance = _tolerance(query, original, scale)
    order = np.flatnonzero(kept)
    order = order[np.argsort(ratio[order], kind="stable")]
    settings = cv2.UsacParams()
    settings.randomGeneratorState = 7
    settings.maxIterations, settings.confidence, settings.threshold = 2_000, 0.999, tolerance
    settings.sampler, settings.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_MAGSAC
    settings.loMethod, settings.loIterations, settings.loSampleSize = cv2.LOCAL_OPTIM_SIGMA, 10, 14
    settings.final_polisher, settings.final_polisher_iterations = cv2.MAGSAC, 5
    found, _ = cv2.estimateAffine2D(original.xy[o[order]], query.xy[q[order]], params=settings)
    if found is None or not sane(found, mirrored=mirrored):
        return None
    matrix = found
    for _ in range(3):
        inside = _inside(query, original, q, o, matrix, tolerance, inverted=inverted)
        if inside.sum() < FEWEST:
            return None
        matrix = _fit(original.xy[o[inside]], query.xy[q[inside]], matrix, tolerance)
        if not sane(matrix, mirrored=mirrored):
            return None
    return matrix, inside, tolerance


def _tolerance(query: Features, original: Features, scale: float) -> float:
    """How far a point may be from where it should be, px of the query: what both working sizes resolve."""
    of_query = max(query.shape) / LONGEST_EDGE
    of_original = scale * max(1.0, max(original.shape) / LONGEST_EDGE)
    return _TOLERANCE * max(1.0, of_query, of_original)


def sane(matrix: NDArray[Any], *, mirrored: bool) -> bool:
    """Whether a map is what publishing does: no extreme scale, little shear, mirrored as said."""
    import numpy as np

    linear = np.asarray(matrix, float)[:, :2]
    if not np.isfinite(matrix).all() or (np.linalg.det(linear) < 0) != mirrored:
        return False
    greatest, least = np.linalg.svd(linear, compute_uv=False)
    return bool(least > MIN_SCALE and greatest < MAX_SCALE and greatest < MAX_ANISOTROPY * least)


def moved(points: NDArray[Any], matrix: Any) -> NDArray[Any]:
    """Return points after an affine map."""
    import numpy as np

    rows = np.asarray(matrix, float)
    there: NDArray[Any] = points @ rows[:, :2].T + rows[:, 2]
    return there


def as_matrix(rows: Any) -> Matrix:
    """Return the rows of an affine map as plain numbers."""
    (a, b, e), (c, d, f) = ((float(value) for value in row) for row in rows)
    return (a, b, e), (c, d, f)


def _inside(
    query: Features, original: Features, q: NDArray[Any], o: NDArray[Any], matrix: NDArray[Any], tolerance: float, *,
    inverted: bool,
) -> NDArray[Any]:  # fmt: skip
    """Tell which pairs agree with a map in place, direction and size."""
    import numpy as np

    off = moved(original.xy[o], matrix) - query.xy[q]
    near = (off**2).sum(axis=1) < tolerance**2
    angles = np.radians(original.angle[o])
    pointing = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ matrix[:, :2].T
    directions = np.degrees(np.arctan2(pointing[:, 1], pointing[:, 0])) + (180 if inverted else 0)
    turned = np.abs((directions - query.angle[q] + 180) % 360 - 180) < _MAX_TURN_DEG
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    octaves = np.abs(np.log2(query.size[q] / np.maximum(original.size[o] * scale, 1e-3)))
    agree: NDArray[Any] = near & turned & (octaves < _MAX_OCTAVES)
    return agree


def _fit(source: NDArray[Any], target: NDArray[Any], start: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """Fit a map by least squares that counts far points less."""
    import numpy as np

    rows = np.c_[source, np.ones(len(source))].astype(np.float64)
    matrix = start
    for _ in range(4):
        off = np.sqrt(((rows @ matrix.T - target) ** 2).sum(axis=1))
        weight = np.clip(1 - (off / tolerance) ** 2, 0, None)[:, None]
        if (weight > 0.01).sum() < 4:
            return matrix
        matrix = np.linalg.lstsq(rows * weight, target * weight, rcond=None)[0].T
    return matrix


def _distinct(query: NDArray[Any], original: NDArray[Any], matrix: NDArray[Any], tolerance: float) -> int:
    """Count places: as many as there are in the picture that has fewer."""
    import numpy as np

    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    places = (query / tolerance, original * scale / tolerance)
    return min(len(np.unique(np.rint(place).astype(np.int64), axis=0)) for place in places)


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
        return Agreement(0.0, 0.0, both.covered, 0.0)
    inside = both.inside
    if box is not None:
        (left, top), (right, bottom) = moved(np.array([box[:2], box[2:]], float), both.matrix[:2])
        inside = np.zeros_like(inside)
        inside[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = True
        inside &= both.inside
    around = np.ones((5, 5), np.uint8)
    inner = cv2.erode(inside.astype(np.uint8), around).astype(bool)
    if inner.sum() < _FEWEST_PIXELS:
        return Agreement(0.0, 0.0, both.covered, 0.0)
    near, far = (
        cv2.dilate(((each >= 252) | (each <= 3)).astype(np.uint8), around).astype(bool)
        for each in (both.shown, both.warped)
    )
    a, b = (_sampled(cv2.GaussianBlur(each, (0, 0), 1.0)[inner]) for each in (both.warped, both.shown))
    rank = _correlation(_ranks(a), _ranks(b))
    grey = inner & ~near
    if grey.sum() < max(_FEWEST_PIXELS, 0.1 * inner.sum()):
        grey = inner
    details = []
    for fine in (1.0, 2.0, 4.0):
        difference = [
            cv2.GaussianBlur(each, (0, 0), fine) - cv2.GaussianBlur(each, (0, 0), 3 * fine)
            for each in (both.warped, both.shown)
        ]
        details.append(_correlation(*(each[grey] for each in difference)))
    plain = float((near & far)[inner].mean())
    return Agreement(rank, max(details, key=abs), both.covered, plain)


def accepted(pair: Pair, agreement: Agreement | None) -> bool:
    """Tell whether a pair of pictures is taken for the same picture.

    The fewer points agree, the better the pixels have to; the sign of the correlation must be that of the
    variant. Where both are black and white only, as letters and drawings are, nothing is decided.

    Parameters
    ----------
    pair : Pair
    agreement : Agreement or None
        ``None`` where the pixels of the original are not at hand: then many points must agree.
    """
    if agreement is None:
        return pair.inliers >= 20 and pair.guided >= 30
    sign = -1 if pair.inverted else 1
    rank, detail = sign * agreement.rank, sign * agreement.detail
    if agreement.plain > MOST_PLAIN:
        return False
    return any(
        pair.inliers >= inliers and pair.guided >= guided and rank > least_rank and detail > least_detail
        for inliers, guided, least_rank, least_detail in ACCEPTED
    )


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
