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

from rawtrace.match.agreement import (
    LEAST_GREY,
    Agreement,
    Aligned,
    align,
    compare_pixels,
    moved,
    rank_correlation,
    resizing,
)
from rawtrace.match.features import LONGEST_EDGE, UNIT, Features, computer_vision, variant
from rawtrace.match.model import Matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SCALE, MAX_SCALE, MAX_ANISOTROPY = 0.04, 8.0, 1.35
#: Fewer distinct points than this are no pair at all.
FEWEST = 4
#: Accepted is a pair with at least so many inliers, so many guided, and greater correlations: of ranks, of detail and
#: of the ranks of detail. Of unrelated pictures, one pair in a thousand gets to four inliers; those that share
#: their letters, arrows and scale bar have up to 120, and 0.46 for the last.
ACCEPTED = ((12, 25, 0.2, 0.3, 0.55), (8, 12, 0.3, 0.5, 0.6), (6, 10, 0.5, 0.7, 0.7), (5, 12, 0.7, 0.8, 0.8))
#: The same where more than ``MOST_PLAIN`` of the pixels are black or white, or next to such, in both pictures.
PLAIN = ((12, 25, 0.5, 0.9, 0.7),)
MOST_PLAIN = 0.85

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
    # A map from few points is a little off; the points that it brings together make a better one, which brings more.
    refined, q, o = matrix, q[:0], o[:0]
    for _ in range(2):
        q, o = _guided(similar, query, original, refined, tolerance, inverted=inverted)
        if len(q) < FEWEST:
            break
        refined = _fit(original.xy[o], query.xy[q], refined, tolerance)
        if not sane(refined, mirrored=mirrored):
            return None
    return Pair(
        matrix=as_matrix(refined), inliers=strict, guided=_distinct(query.xy[q], original.xy[o], refined, tolerance),
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


def accepted(pair: Pair, agreement: Agreement | None) -> bool:
    """Tell whether a pair of pictures is taken for the same picture.

    The fewer points agree, the better the pixels have to; the sign of the correlation must be that of the
    variant. Where both are mostly black or white, as letters and drawings are, but also a few bright cells on a dark
    ground, the pixels have to agree nearly everywhere.

    Parameters
    ----------
    pair : Pair
    agreement : Agreement or None
        ``None`` where the pixels of the original are not at hand: then many points must agree.
    """
    if agreement is None:
        return pair.inliers >= 20 and pair.guided >= 30
    plain = agreement.plain > MOST_PLAIN
    if plain and agreement.grey < LEAST_GREY:
        return False
    sign = -1 if pair.inverted else 1
    told = [sign * value for value in (agreement.rank, agreement.detail, agreement.fine)]
    return any(
        pair.inliers >= inliers
        and pair.guided >= guided
        and all(value > border for value, border in zip(told, borders, strict=True))
        for inliers, guided, *borders in (PLAIN if plain else ACCEPTED)
    )


__all__ = [
    "ACCEPTED", "FEWEST", "MOST_PLAIN", "PLAIN", "Agreement", "Aligned", "Pair", "accepted", "align", "as_matrix",
    "compare_pixels", "moved", "rank_correlation", "resizing", "sane", "verify_pair",
]  # fmt: skip
