"""Sub-pixel refinement: Gauss-Newton on tone-matched pictures, coarse to fine, deaf to edits and annotations.

The published picture P is explained as F(W), W being the original moved by the
map and F whatever function of brightness fits. Each step asks which small
affine motion makes P - F(W) smaller, pixels being weighed by the noise of their
gradient class and by how well they fit, so that texture counts wherever it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.geometry import (
    compose,
    covered,
    distance,
    invert,
    prepare,
    right_angles,
    sample,
    scale_of,
    scaling,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Larger pictures are refined on tiles that hold about this many pixels together.
FINE_PIXELS = 400_000
TILE = 96
#: Longest edges at which the coarse levels work, px.
COARSE_EDGES = (128, 320)
ITERATIONS = 12
_BINS = 96
#: Cauchy's constant: where a pixel's weight is halved, in units of the noise.
_ROBUST = 2.4
#: A simpler map is taken if it makes the weighted squares greater by no more than this.
_SIMPLER = 60.0
_FLOOR = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A refined map and how well it explains the picture.

    Attributes
    ----------
    matrix : ndarray
        Original to published picture.
    blur : float
        Standard deviation of the low pass that explains best, px of the published picture.
    exact : bool
        Whether pixels were only copied: shifted by whole pixels, turned by right angles, mirrored.
    correlation, detail : float
        Of P and F(W), and of what is left of both without their coarse structure; 0 to 1.
    uncertainty : float
        Standard error of the map, RMS over corners and centre, px of the published picture.
    """

    matrix: NDArray[Any]
    blur: float
    exact: bool
    correlation: float
    detail: float
    uncertainty: float


def refine(original: NDArray[Any], published: NDArray[Any], start: NDArray[Any]) -> Fit | None:
    """Refine a map.

    Parameters
    ----------
    original, published : ndarray of float32
        (Y, X), finite.
    start : ndarray
        Original to published picture, good to some pixels.

    Returns
    -------
    Fit or None
        ``None`` where hardly any of the published picture is covered.
    """
    matrix = start
    for edge in COARSE_EDGES:
        factor = edge / max(published.shape)
        if factor < 0.75:
            small = _reduced(published, factor)
            grid = scaling(small.shape[1] / published.shape[1], small.shape[0] / published.shape[0])
            level = _Level(original, small, compose(grid, matrix))
            moved = level.solve(compose(grid, matrix), rounds=ITERATIONS, tolerance=0.02)
            if moved is not None:
                matrix = compose(invert(grid), moved)
    level = _Level(original, published, matrix)
    fine = level.solve(matrix, rounds=ITERATIONS, tolerance=0.004)
    if fine is None:
        return None
    blur = level.best_blur(fine)
    again = level.solve(fine, rounds=4, tolerance=0.002)
    fine = fine if again is None else again
    fine, exact = level.simplest(fine)
    correlation, detail = level.likeness(fine)
    return Fit(fine, blur, exact, correlation, detail, level.uncertainty)


class _Level:
    """One published picture, whole or as tiles, at one resolution."""

    def __init__(self, original: NDArray[Any], published: NDArray[Any], near: NDArray[Any]) -> None:
        self._original, self._published = original, published
        self._blur: float | None = None
        self._near = near
        self._prepared = prepare(original, near, published.shape)
        self._tiles = _tiles(published)
        self._targets = [published[tile] for tile in self._tiles]
        self._hessian: NDArray[Any] | None = None
        self._noise: tuple[NDArray[Any], NDArray[Any]] | None = None
        self.uncertainty = math.inf

    def solve(self, matrix: NDArray[Any], *, rounds: int, tolerance: float) -> NDArray[Any] | None:
        """Iterate from a map until it moves less than ``tolerance`` px."""
        import numpy as np

        best: tuple[float, NDArray[Any]] | None = None
        for _ in range(rounds):
            if distance(matrix, self._near, self._published.shape) > 8:
                self._near = matrix
                self._prepared = prepare(self._original, matrix, self._published.shape, blur=self._blur)
            system = self._system(matrix)
            if system is None:
                break
            hessian, gradient, cost = system
            if best is not None and cost > best[0] * 1.0001 and len(self._tiles) and _ > 2:
                break
            best = (cost, matrix)
            step = np.linalg.lstsq(hessian, gradient, rcond=1e-9)[0]
            motion = _motion(step, self._published.shape)
            limit = 0.06 * min(self._published.shape) + 2
            length = distance(motion, np.eye(2, 3), self._published.shape)
            if not math.isfinite(length):
                break
            if length > limit:
                motion = _motion(step * (limit / length), self._published.shape)
            try:
                matrix = compose(invert(motion), matrix)
            except np.linalg.LinAlgError:
                break
            if length < tolerance:
                best = (cost, matrix)
                break
        return None if best is None else best[1]

    def best_blur(self, matrix: NDArray[Any]) -> float:
        """Choose the low pass that explains best, and keep it."""
        scale = scale_of(matrix)
        usual = 0.45 * math.sqrt(max(1 - scale**2, 0.0)) if scale < 0.97 else 0.0
        self._blur = usual
        if len(_whole_pixel(matrix)) and _is_copy(matrix):
            candidates = (0.0,)
        else:
            candidates = tuple(sorted({0.0, 0.2, 0.3, 0.4, 0.5, 0.65, usual}))
        costs = []
        for blur in candidates:
            self._prepared = prepare(self._original, matrix, self._published.shape, blur=blur)
            costs.append(self._cost(matrix, fresh=True))
        place = min(range(len(costs)), key=costs.__getitem__)
        self._blur = candidates[place]
        self._prepared = prepare(self._original, matrix, self._published.shape, blur=self._blur)
        return self._blur

    def simplest(self, matrix: NDArray[Any]) -> tuple[NDArray[Any], bool]:
        """Return the simplest map that explains as well: a copy of pixels, a whole frame, right angles, or none."""
        system = self._system(matrix)
        if system is None:
            return matrix, False
        hessian, _, cost = system
        self.uncertainty = self._standard_error(hessian)
        reach = max(0.3, 6 * self.uncertainty)
        for candidate, exact in _simpler(matrix, self._original.shape, self._published.shape):
            moved = distance(candidate, matrix, self._published.shape)
            if moved > min(reach, 2.0):
                continue
            other = self._cost(candidate)
            if other <= cost + _SIMPLER or moved < 0.01:
                return candidate, exact
        return matrix, False

    def likeness(self, matrix: NDArray[Any]) -> tuple[float, float]:
        """Return the correlation of P and F(W), whole and of details."""
        import cv2
        import numpy as np

        ours, theirs, weights = [], [], []
        for tile, target in zip(self._tiles, self._targets, strict=True):
            warped, inside = self._warped(matrix, tile)
            ours.append(warped)
            theirs.append(target)
            weights.append(inside)
        tone = _Tone(_flat(ours, weights), _flat(theirs, weights))
        matched = [tone(part) for part in ours]
        whole = _correlation(_flat(matched, weights), _flat(theirs, weights))

        def detail(part: NDArray[Any]) -> NDArray[Any]:
            smooth = cv2.GaussianBlur(part, (0, 0), 0.7)
            return np.asarray(smooth - cv2.GaussianBlur(part, (0, 0), 4.0))

        high = [detail(part) for part in matched], [detail(part) for part in theirs]
        inner = [cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) for mask in weights]
        return whole, _correlation(_flat(high[0], inner), _flat(high[1], inner))

    def _warped(self, matrix: NDArray[Any], tile: tuple[slice, slice]) -> tuple[NDArray[Any], NDArray[Any]]:
        import numpy as np

        top, left = tile[0].start, tile[1].start
        shape = (tile[0].stop - top, tile[1].stop - left)
        local = compose(np.array([[1, 0, -left], [0, 1, -top]], float), matrix)
        return sample(self._prepared, local, shape), covered(local, self._original.shape, shape)

    def _system(self, matrix: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], float] | None:
        """Return the normal equations of the next step, and the present cost."""
        import numpy as np

        warped, inside, target, columns = [], [], [], []
        centre_x, centre_y, unit = _frame(self._published.shape)
        parts = [self._warped(matrix, tile) for tile in self._tiles]
        flat, aim = _flat([w for w, _ in parts], [m for _, m in parts]), _flat(self._targets, [m for _, m in parts])
        if flat.size < 200:
            return None
        tone = _Tone(flat, aim)
        for tile, (part, mask) in zip(self._tiles, parts, strict=True):
            matched = tone(part)
            along_x, along_y = _gradient(matched)
            y = ((np.arange(tile[0].start, tile[0].stop) - centre_y) / unit).astype(np.float32)[:, None]
            x = ((np.arange(tile[1].start, tile[1].stop) - centre_x) / unit).astype(np.float32)[None, :]
            columns.append(np.stack([g[mask] for g in (along_x, along_x * x, along_x * y,
                                                       along_y, along_y * x, along_y * y)]))  # fmt: skip
            warped.append(matched[mask])
            inside.append(np.hypot(along_x, along_y)[mask])
        target = aim
        residual = target - np.concatenate(warped)
        strength = np.concatenate(inside)
        self._noise = _noise(residual, strength)
        noise = np.interp(strength, *self._noise).astype(np.float32)
        score = residual / noise
        weight = 1 / ((1 + (score / _ROBUST) ** 2) * noise**2)
        jacobian = np.concatenate(columns, axis=1)
        weighted = jacobian * weight
        hessian = (weighted @ jacobian.T).astype(float)
        gradient = (weighted @ residual).astype(float)
        cost = float(np.log1p((score / _ROBUST) ** 2).sum() * _ROBUST**2)
        # The cost of rounds is comparable only at one noise; logarithms of the noise make up for it.
        return hessian, gradient, cost + 2 * float(np.log(noise).sum())

    def _cost(self, matrix: NDArray[Any], *, fresh: bool = False) -> float:
        system = self._system(matrix)
        return math.inf if system is None else system[2]

    def _standard_error(self, hessian: NDArray[Any]) -> float:
        import numpy as np

        from rawtrace.match.comparison.geometry import corners

        covariance = np.linalg.pinv(hessian, rcond=1e-12)
        centre_x, centre_y, unit = _frame(self._published.shape)
        rows = np.array([[1, (x - centre_x) / unit, (y - centre_y) / unit] for x, y in corners(self._published.shape)])
        variance = sum(np.einsum("ij,jk,ik->i", rows, block, rows).mean()
                       for block in (covariance[:3, :3], covariance[3:, 3:]))  # fmt: skip
        return float(np.sqrt(max(variance, 0.0)))


class _Tone:
    """The mean published value for each value of the original: any function, monotone or not."""

    def __init__(self, warped: NDArray[Any], target: NDArray[Any]) -> None:
        import numpy as np

        step = max(1, warped.size // 60_000)
        x, y = warped[::step], target[::step]
        low, high = float(x.min()), float(x.max())
        edges = np.unique(np.concatenate([np.quantile(x, np.linspace(0, 1, _BINS)), np.linspace(low, high, _BINS)]))
        place = np.searchsorted(edges, x, side="right")
        count = np.bincount(place, minlength=len(edges) + 1)
        sums = np.bincount(place, y, minlength=len(edges) + 1)
        means = np.bincount(place, x, minlength=len(edges) + 1)
        # Bins of few pixels would follow the noise: neighbours are put together until they hold enough.
        groups = np.cumsum(count) // max(12, x.size // 4_000)
        count, sums, means = (np.bincount(groups, values) for values in (count, sums, means))
        full = count > 0
        self._x, self._y = means[full] / count[full], sums[full] / count[full]

    def __call__(self, warped: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        if len(self._x) < 2:
            return np.full(warped.shape, self._y[0] if len(self._y) else 0, np.float32)
        return np.interp(warped, self._x, self._y).astype(np.float32)


def _simpler(
    matrix: NDArray[Any], original: tuple[int, ...], published: tuple[int, ...]
) -> list[tuple[NDArray[Any], bool]]:
    """Return simpler maps near one, the simplest first, each with whether it only copies pixels."""
    import numpy as np

    found: list[tuple[NDArray[Any], bool]] = []
    whole = _whole_pixel(matrix)
    if len(whole):
        found.append((whole, True))
    for turn in right_angles(original):
        moved = np.abs(turn[:, :2]) @ np.array([original[1], original[0]], float)
        frame = compose(scaling(published[1] / moved[0], published[0] / moved[1]), turn)
        found.append((frame, _is_copy(frame)))
    centre = np.array([(published[1] - 1) / 2, (published[0] - 1) / 2])
    back = invert(matrix)
    held = back[:, :2] @ centre + back[:, 2]
    scale = scale_of(matrix)
    linear = _nearest_rotation(matrix[:, :2])
    for candidate in (*( [np.rint(linear) * scale] if np.abs(linear - np.rint(linear)).max() < 0.02 else []),
                      linear * scale):  # fmt: skip
        found.append((np.hstack([candidate, (centre - candidate @ held)[:, None]]), False))
    return found


def _whole_pixel(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the nearest map that only copies pixels, or an empty array."""
    import numpy as np

    near = np.rint(matrix)
    if np.abs(near[:, :2]).sum() != 2 or abs(np.linalg.det(near[:, :2])) != 1:
        return np.zeros((0, 3))
    return near if np.abs(matrix[:, :2] - near[:, :2]).max() < 0.05 else np.zeros((0, 3))


def _is_copy(matrix: NDArray[Any]) -> bool:
    import numpy as np

    whole = _whole_pixel(matrix)
    return bool(len(whole) and np.abs(matrix - whole).max() < 0.02)


def _nearest_rotation(linear: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    left, _, right = np.linalg.svd(linear)
    return np.asarray(left @ right)


def _motion(step: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Turn the six numbers of a step, which are about the centre, into a map of the published picture."""
    import numpy as np

    centre_x, centre_y, unit = _frame(shape)
    linear = np.array([[step[1], step[2]], [step[4], step[5]]]) / unit
    shift = np.array([step[0], step[3]]) - linear @ np.array([centre_x, centre_y])
    return np.hstack([np.eye(2) + linear, shift[:, None]])


def _frame(shape: tuple[int, ...]) -> tuple[float, float, float]:
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2, max(max(shape) / 2, 1.0)


def _noise(residual: NDArray[Any], strength: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the spread of the residual for classes of gradient, as nodes to interpolate between."""
    import numpy as np

    step = max(1, residual.size // 60_000)
    residual, strength = np.abs(residual[::step]), strength[::step]
    edges = np.unique(np.quantile(strength, [0, 0.25, 0.5, 0.7, 0.82, 0.9, 0.95, 0.98, 1]))
    if len(edges) < 3:
        return np.array([0.0, 1.0]), np.full(2, max(1.4826 * float(np.median(residual)), _FLOOR))
    place = np.clip(np.searchsorted(edges, strength, side="right") - 1, 0, len(edges) - 2)
    nodes, spread = [], []
    for number in range(len(edges) - 1):
        chosen = place == number
        if chosen.sum() >= 20:
            nodes.append(float(strength[chosen].mean()))
            spread.append(max(1.4826 * float(np.median(residual[chosen])), _FLOOR))
    if not nodes:
        return np.array([0.0, 1.0]), np.full(2, max(1.4826 * float(np.median(residual)), _FLOOR))
    return np.array(nodes), np.maximum.accumulate(np.array(spread))


def _gradient(picture: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import cv2

    return (cv2.Scharr(picture, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(picture, cv2.CV_32F, 0, 1, scale=1 / 32))


def _tiles(published: NDArray[Any]) -> list[tuple[slice, slice]]:
    """Choose where to look: everywhere, or in the most structured tile of each neighbourhood and the strongest beside."""
    import cv2
    import numpy as np

    height, width = published.shape
    if published.size <= FINE_PIXELS:
        return [(slice(0, height), slice(0, width))]
    rows, columns = max(1, height // TILE), max(1, width // TILE)
    along_x, along_y = _gradient(cv2.GaussianBlur(published, (0, 0), 1.0))
    energy = cv2.resize(np.minimum(along_x**2 + along_y**2, 2_000.0), (columns, rows), interpolation=cv2.INTER_AREA)
    order: list[tuple[int, int]] = []
    for block in range(25):
        y, x = divmod(block, 5)
        part = energy[y * rows // 5 : (y + 1) * rows // 5, x * columns // 5 : (x + 1) * columns // 5]
        if part.size:
            place = np.unravel_index(int(part.argmax()), part.shape)
            order.append((int(place[0]) + y * rows // 5, int(place[1]) + x * columns // 5))
    strongest = np.argsort(-energy, axis=None)
    order += [(int(place) // columns, int(place) % columns) for place in strongest]
    chosen = list(dict.fromkeys(order))[: FINE_PIXELS // TILE**2]
    return [(slice(y * TILE, (y + 1) * TILE), slice(x * TILE, (x + 1) * TILE)) for y, x in sorted(chosen)]


def _flat(parts: list[NDArray[Any]], masks: list[NDArray[Any]]) -> NDArray[Any]:
    import numpy as np

    return np.concatenate([part[mask] for part, mask in zip(parts, masks, strict=True)])


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    import numpy as np

    if first.size < 50:
        return 0.0
    first, second = first - first.mean(dtype=float), second - second.mean(dtype=float)
    spread = math.sqrt(float((first.astype(float) ** 2).sum()) * float((second.astype(float) ** 2).sum()))
    return float(np.dot(first.astype(float), second.astype(float)) / spread) if spread > 1e-9 else 0.0


def _reduced(picture: NDArray[Any], factor: float) -> NDArray[Any]:
    import cv2

    size = (max(8, round(picture.shape[1] * factor)), max(8, round(picture.shape[0] * factor)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


Explain = Callable[["NDArray[Any]"], "NDArray[Any]"]
