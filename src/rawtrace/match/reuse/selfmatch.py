"""Where a picture looks like itself: points matched within one picture, gathered into affine maps.

Every pair of points says by itself how one place would lie on the other
(shift, rotation, scale, mirrored or not). Pairs that say the same are a
hypothesis. No drawing of lots is involved, so a result repeats exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import computer_vision, permutation

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Smaller pictures are enlarged twice before points are looked for.
ENLARGE_BELOW = 900
MAX_POINTS = 4_500
#: Points nearer than this are the same place, px.
NEAREST = 14.0
#: A pair counts when its distance is this share of the next one's, or less.
RATIO = 0.84
_FARTHEST = 0.66
_NEIGHBOURS = 8
_KEPT = 3
MAX_PAIRS = 2_000
MIN_AGREEING = 4
MAX_HYPOTHESES = 10


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hypothesis:
    """One area that may lie in a second place.

    Attributes
    ----------
    matrix : ndarray of float64
        (2, 3), takes (x, y) of the first place to the second.
    source, target : ndarray of float32
        (N, 2) places that agree, px.
    """

    matrix: NDArray[Any]
    source: NDArray[Any]
    target: NDArray[Any]

    @property
    def inliers(self) -> int:
        """Distinct points that agree."""
        return min(len({(round(float(x)), round(float(y))) for x, y in side}) for side in (self.source, self.target))


@dataclass(frozen=True, slots=True, eq=False)
class _Points:
    xy: NDArray[Any]
    size: NDArray[Any]
    angle: NDArray[Any]
    descriptors: NDArray[Any]


def hypotheses(picture: NDArray[Any]) -> list[Hypothesis]:
    """Gather what the points of a picture say about each other.

    Parameters
    ----------
    picture : ndarray of uint8
        (Y, X).

    Returns
    -------
    list of Hypothesis
        Most agreement first, at most ``MAX_HYPOTHESES`` for mirrored and unmirrored each.
    """
    points = _points(picture)
    if len(points.xy) < 2 * MIN_AGREEING:
        return []
    found: list[Hypothesis] = []
    for mirrored in (False, True):
        first, second = _pairs(points, mirrored=mirrored)
        p, q = points.xy[first], points.xy[second]
        found += gather(p, q, _linear(points, first, second, mirrored=mirrored))
    return sorted(found, key=lambda one: -one.inliers)


def _points(picture: NDArray[Any]) -> _Points:
    cv2 = computer_vision()
    import numpy as np

    factor = 2.0 if max(picture.shape) < ENLARGE_BELOW else 1.0
    work = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC) if factor > 1 else picture
    detector = cv2.SIFT_create(
        nfeatures=MAX_POINTS, contrastThreshold=0.002, edgeThreshold=16, enable_precise_upscale=True
    )
    keypoints, descriptors = detector.detectAndCompute(work, None)
    if descriptors is None or not len(keypoints):
        none = np.zeros((0,), np.float32)
        return _Points(np.zeros((0, 2), np.float32), none, none, np.zeros((0, 128), np.float32))
    keypoints, descriptors = keypoints[:MAX_POINTS], descriptors[:MAX_POINTS]
    xy = np.array([(point.pt[0], point.pt[1]) for point in keypoints], np.float32)
    xy = (xy + 0.5) / factor - 0.5
    size = np.array([point.size for point in keypoints], np.float32) / factor
    angle = np.radians(np.array([point.angle for point in keypoints], np.float32))
    rooted = np.sqrt(descriptors / (descriptors.sum(1, keepdims=True) + 1e-7)).astype(np.float32)
    return _Points(xy.astype(np.float32), size, angle, rooted)


def _pairs(points: _Points, *, mirrored: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Pair points with their nearest in looks, several where several are about as near."""
    import numpy as np

    count = len(points.xy)
    asked = points.descriptors[:, permutation(mirrored=True, inverted=False)] if mirrored else points.descriptors
    first: list[NDArray[Any]] = []
    second: list[NDArray[Any]] = []
    weight: list[NDArray[Any]] = []
    near = min(_NEIGHBOURS, count - 1)
    # Descriptors have a length of 1, so that a likeness stands for a distance.
    enough = 1 - _FARTHEST**2 / 2
    squares = (points.xy**2).sum(1)
    for begin in range(0, count, 1_024):
        block = slice(begin, min(begin + 1_024, count))
        likeness = asked[block] @ points.descriptors.T
        apart = (points.xy[block] @ points.xy.T) * -2 + squares[block, None] + squares
        likeness[apart < NEAREST**2] = -1
        # Most points resemble only their own neighbourhood; they need no sorting.
        promising = np.flatnonzero(likeness.max(1) > enough)
        if not len(promising):
            continue
        likeness = likeness[promising]
        best = np.argpartition(likeness, count - 1 - near, axis=1)[:, count - 1 - near :]
        value = np.take_along_axis(likeness, best, 1)
        order = np.argsort(-value, axis=1, kind="stable")
        best, value = np.take_along_axis(best, order, 1), np.take_along_axis(value, order, 1)
        distance = np.sqrt(np.maximum(2 - 2 * value, 1e-9))
        distance[value < 0] = np.inf
        rows = np.arange(len(best))
        open_rows = np.ones(len(best), bool)
        for place in range(_KEPT):
            here = distance[:, place]
            # The next one is the next *place*: several points often stand on one spot.
            elsewhere = ((points.xy[best] - points.xy[best[:, place]][:, None]) ** 2).sum(2) > 64
            elsewhere[:, : place + 1] = False
            has = elsewhere.any(1)
            following = np.where(has, distance[rows, elsewhere.argmax(1)], np.inf)
            following = np.where(np.isfinite(following), following, distance[:, near])
            following = np.where(np.isfinite(following), following, 1.0)
            good = open_rows & (here < _FARTHEST) & (here < RATIO * following)
            # One of several about as near counts when the group as a whole stands out.
            take = good.nonzero()[0]
            for back in range(place + 1):
                first.append(promising[take] + begin)
                second.append(best[take, back])
                weight.append(distance[take, back] / following[take])
            open_rows &= ~good
    if not first:
        return np.zeros(0, int), np.zeros(0, int)
    a, b, w = np.concatenate(first), np.concatenate(second), np.concatenate(weight)
    if len(a) > MAX_PAIRS:
        keep = np.argsort(w, kind="stable")[:MAX_PAIRS]
        a, b = a[keep], b[keep]
    return a, b


def gather(p: NDArray[Any], q: NDArray[Any], linear: NDArray[Any], *, least: int = MIN_AGREEING) -> list[Hypothesis]:
    """Take the map that most pairs agree on, put them aside, and go on.

    Parameters
    ----------
    p, q : ndarray of float32
        (N, 2) places (x, y) that are alike, px.
    linear : ndarray of float32
        (N, 2, 2), how each would turn, mirror and rescale the first place.
    least : int
        Pairs that agree at least.
    """
    import numpy as np

    found: list[Hypothesis] = []
    if len(p) < least:
        return found
    reach = 0.3 * float(max(np.ptp(p, axis=0).max(), np.ptp(q, axis=0).max())) + 40
    agree = _agreement(p, q, linear, reach)
    weights = agree.astype(np.float32)
    left = np.ones(len(p), bool)
    for _ in range(MAX_HYPOTHESES):
        votes = (weights @ left.astype(np.float32)) * left
        lead = int(votes.argmax())
        if votes[lead] < least:
            break
        members = _one_way(p, q, agree[lead] & left, lead)
        matrix, members = _refit(p, q, left, members)
        aside = agree[lead] | members
        if matrix is not None and members.sum() >= least and sound(matrix):
            one = Hypothesis(matrix=matrix, source=p[members], target=q[members])
            if one.inliers >= least:
                found.append(one)
                back = _apply(_inverse(matrix), p)
                aside |= ((back - q) ** 2).sum(1) < 9
        left &= ~aside
        left[lead] = False
    return found


def _linear(points: _Points, a: NDArray[Any], b: NDArray[Any], *, mirrored: bool) -> NDArray[Any]:
    """Return the (N, 2, 2) similarity that each pair of points stands for."""
    import numpy as np

    scale = points.size[b] / points.size[a]
    from_angle = math.pi - points.angle[a] if mirrored else points.angle[a]
    turn = points.angle[b] - from_angle
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    flip = -1.0 if mirrored else 1.0
    return np.stack([np.stack([flip * cos, -sin], -1), np.stack([flip * sin, cos], -1)], 1).astype(np.float32)


def _agreement(p: NDArray[Any], q: NDArray[Any], linear: NDArray[Any], reach: float) -> NDArray[Any]:
    """Return (N, N): whether the map of the first pair explains the second, in place, angle and scale."""
    import numpy as np

    count = len(p)
    agree = np.zeros((count, count), bool)
    flat = linear.reshape(count, 4)
    size = np.linalg.norm(flat, axis=1)
    for begin in range(0, count, 256):
        block = slice(begin, min(begin + 256, count))
        apart = p[None] - p[block][:, None]
        far = (apart**2).sum(2)
        dx = linear[block, 0, 0, None] * apart[..., 0] + linear[block, 0, 1, None] * apart[..., 1]
        dy = linear[block, 1, 0, None] * apart[..., 0] + linear[block, 1, 1, None] * apart[..., 1]
        error = (q[block][:, None, 0] + dx - q[None, :, 0]) ** 2 + (q[block][:, None, 1] + dy - q[None, :, 1]) ** 2
        alike = flat[block] @ flat.T
        # One point's scale and angle are rough: what it says gets vaguer with the distance.
        agree[block] = (
            (error < 9 + 0.01 * far)
            & (far < reach**2)
            & (alike > 0.93 * size[block][:, None] * size[None])
            & (np.abs(np.log(size[block][:, None] / size[None])) < 0.3)
        )
    return agree


def _one_way(p: NDArray[Any], q: NDArray[Any], members: NDArray[Any], lead: int) -> NDArray[Any]:
    """Keep the pairs that go the leading one's way: a half turn or a mirror takes each area nearly to the other."""
    step = q - p
    kept: NDArray[Any] = members & (step @ step[lead] > 0)
    return kept


def _refit(
    p: NDArray[Any], q: NDArray[Any], left: NDArray[Any], members: NDArray[Any]
) -> tuple[NDArray[Any] | None, NDArray[Any]]:
    """Fit an affine map (a similarity where points are few), three rounds of closer tolerance."""
    import numpy as np

    matrix: NDArray[Any] | None = None
    for tolerance in (4.0, 2.5, 2.0):
        if members.sum() < 3:
            return None, members
        matrix = fit(p[members], q[members])
        if matrix is None:
            return None, members
        error = ((_apply(matrix, p) - q) ** 2).sum(1)
        ahead = (q - p) @ (q[members] - p[members]).mean(0) > 0
        middle = p[members].mean(0)
        spread = 3 * np.sqrt(((p[members] - middle) ** 2).sum(1).mean()) + 30
        members = left & ahead & (error < tolerance**2) & (((p - middle) ** 2).sum(1) < spread**2)
    return matrix, members


def fit(p: NDArray[Any], q: NDArray[Any]) -> NDArray[Any] | None:
    """Fit an affine map from ``p`` to ``q`` by least squares; with fewer than 8 points a similarity."""
    import numpy as np

    p, q = p.astype(np.float64), q.astype(np.float64)
    p0, q0 = p.mean(0), q.mean(0)
    x, y = p - p0, q - q0
    spread = np.linalg.svd(x, compute_uv=False)
    if len(spread) < 2 or spread[0] < 1:
        return None
    if len(p) >= 8 and spread[1] > 0.2 * spread[0]:
        solved, *_ = np.linalg.lstsq(x, y, rcond=None)
        linear = solved.T
    else:
        cross = y.T @ x
        u, values, vt = np.linalg.svd(cross)
        linear = u @ vt * (values.sum() / (x**2).sum())
    matrix: NDArray[Any] = np.c_[linear, q0 - linear @ p0]
    return matrix


def sound(matrix: NDArray[Any]) -> bool:
    """Whether an affine map is one that people make: scale 0.4 to 2.5, hardly sheared, and not the identity."""
    import numpy as np

    values = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(values[1] > 0.4 and values[0] < 2.5 and values[0] / values[1] < 1.35)


def _apply(matrix: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = points @ matrix[:, :2].T + matrix[:, 2]
    return result


def _inverse(matrix: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
