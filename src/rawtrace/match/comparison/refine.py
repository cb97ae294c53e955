"""Sub-pixel refinement: Gauss-Newton on tone-matched pictures, coarse to fine, deaf to edits and annotations.

The published picture P is explained as F(W), W being the original moved by the
map and F whatever function of brightness fits. Each step asks which small
affine motion makes P - F(W) smaller, pixels being weighed by the noise of their
gradient class and by how well they fit, so that texture counts wherever it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.geometry import (
    REDUCTION_BLUR,
    Prepared,
    compose,
    corners,
    covered,
    distance,
    inside,
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
FINE_PIXELS = 100_000
TILE = 96
#: Longest edges at which the coarse levels work, px.
COARSE_EDGES = (128, 320)
ITERATIONS = 12
_BINS = 96
#: Cauchy's constant: where a pixel's weight is halved, in units of the noise.
_ROBUST = 2.4
#: A simpler map is taken if it makes the weighted squares greater by no more than this.
_SIMPLER = 60.0
#: A copy of pixels this near is taken if it leaves no more than this share of what the free map leaves of details.
_NEARLY_PX, _NO_WORSE = 0.5, 1.05
#: How far a refined map may be from its start without being asked whether it is better, px.
_FAR_PX = 1.5
_FLOOR = 0.3
#: Steps of the table that a tone is kept in.
_LEVELS = 1 << 14
#: Widths of the band passes in which details are compared, px.
_BANDS = ((0.7, 4.0), (1.6, 8.0))


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


def glance(original: NDArray[Any], published: NDArray[Any], start: NDArray[Any]) -> float:
    """Return the detail correlation of a guess in a much reduced picture: cheap, for sorting guesses."""
    small = _reduced(published, min(1.0, COARSE_EDGES[0] / max(published.shape)))
    grid = scaling(small.shape[1] / published.shape[1], small.shape[0] / published.shape[0])
    level = _Level(original, small, compose(grid, start))
    moved = level.solve(compose(grid, start), rounds=2, tolerance=0.05)
    return 0.0 if moved is None else level.likeness(moved)[1]


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
    # Where an edit took away much of what a dark picture shows, it can pull: what a guess had is not given up for it.
    if distance(fine, start, published.shape) > _FAR_PX and level.likeness(start)[1] > level.likeness(fine)[1] + 0.02:
        stayed = level.solve(start, rounds=ITERATIONS, tolerance=0.004)
        held = stayed is not None and level.likeness(stayed)[1] >= level.likeness(start)[1]
        fine = stayed if stayed is not None and held else start
    blur = 0.0
    # Copied pixels were not smoothed; whoever smoothed them did more than move them.
    fine, exact = level.simplest(fine)
    if not exact:
        blur = level.best_blur(fine)
        again = level.solve(fine, rounds=3, tolerance=0.003)
        fine, exact = level.simplest(fine if again is None else again)
    correlation, detail = level.likeness(fine)
    return Fit(fine, 0.0 if exact else blur, exact, correlation, detail, level.uncertainty)


class _Level:
    """One published picture, whole or as tiles, at one resolution."""

    def __init__(self, original: NDArray[Any], published: NDArray[Any], near: NDArray[Any]) -> None:
        self._original, self._shape = original, published.shape
        self._tiles = [_Tile(published, area) for area in _areas(published)]
        self._blur: float | None = None
        self._prepare(near)
        self.uncertainty = math.inf

    def solve(self, matrix: NDArray[Any], *, rounds: int, tolerance: float) -> NDArray[Any] | None:
        """Iterate from a map until it moves less than ``tolerance`` px."""
        import numpy as np

        best: tuple[float, NDArray[Any]] | None = None
        for number in range(rounds):
            if distance(matrix, self._near, self._shape) > 6:
                self._prepare(matrix)
            system = self._system(matrix)
            if system is None or (best is not None and number > 2 and system.cost > best[0] * 1.0001):
                break
            best = (system.cost, matrix)
            step = np.linalg.lstsq(system.hessian, system.gradient, rcond=1e-9)[0]
            motion = _motion(step, self._shape)
            length = distance(motion, np.eye(2, 3), self._shape)
            limit = 0.06 * min(self._shape) + 2
            if not math.isfinite(length):
                break
            if length > limit:
                motion = _motion(step * (limit / length), self._shape)
            try:
                matrix = compose(invert(motion), matrix)
            except np.linalg.LinAlgError:
                break
            if length < tolerance:
                best = (system.cost, matrix)
                break
        return None if best is None else best[1]

    def best_blur(self, matrix: NDArray[Any]) -> float:
        """Choose the low pass that explains best, and keep it."""
        scale = scale_of(matrix)
        usual = REDUCTION_BLUR * math.sqrt(1 - scale**2) if scale < 0.97 else 0.0
        candidates = (0.0,) if _is_copy(matrix) else (0.0, 0.2, 0.3, 0.4, 0.52, 0.66)
        costs: dict[float, float] = {}
        for blur in candidates:
            self._prepare(matrix, blur)
            costs[blur] = self._cost(matrix)
            if len(costs) > 2 and costs[blur] > min(costs.values()) + 0.02 * abs(min(costs.values())):
                break
        self._prepare(matrix, min(costs, key=costs.__getitem__) if any(map(math.isfinite, costs.values())) else usual)
        return self._blur or 0.0

    def simplest(self, matrix: NDArray[Any]) -> tuple[NDArray[Any], bool]:
        """Return the simplest map that explains as well: a copy of pixels, a whole frame, right angles, or none."""
        system = self._system(matrix)
        if system is None:
            return matrix, False
        self.uncertainty = _standard_error(system.hessian, self._shape)
        reach = min(max(0.3, 6 * self.uncertainty), 2.0)
        for candidate, exact in _simpler(matrix, self._original.shape, self._shape):
            moved = distance(candidate, matrix, self._shape)
            if moved < reach and (moved < 0.01 or self._cost(candidate) <= system.cost + _SIMPLER):
                return candidate, exact
            # Interpolation smooths as compression does, and looks better for it: details decide.
            if exact and moved < _NEARLY_PX and self._as_detailed(candidate, matrix):
                return candidate, exact
        return matrix, False

    def _as_detailed(self, candidate: NDArray[Any], matrix: NDArray[Any]) -> bool:
        left = 1 - self.likeness(matrix)[1]
        return 1 - self.likeness(candidate)[1] <= _NO_WORSE * left + 1e-5

    def likeness(self, matrix: NDArray[Any]) -> tuple[float, float]:
        """Return the correlation of P and F(W): of ranks, and of details; annotations count for little."""
        import numpy as np

        parts = [tile.warped(matrix, self._original.shape) for tile in self._tiles]
        ours = _flat(parts)
        theirs = _flat([(tile.target, mask) for tile, (_, mask) in zip(self._tiles, parts, strict=True)])
        if ours.size < 200:
            return 0.0, 0.0
        tone = _robust_tone(ours, theirs)
        step = max(1, ours.size // 50_000)
        whole = _correlation(_ranks(tone(ours[::step])), _ranks(theirs[::step]))
        best = 0.0
        for narrow, wide in _BANDS:
            pairs = []
            for tile, (part, mask) in zip(self._tiles, parts, strict=True):
                inner = _inner(mask, part.shape, round(2 * narrow) + 2)
                pairs.append([_band(picture, narrow, wide)[inner] for picture in (tone(part), tile.target)])
            high = [np.concatenate(side) for side in zip(*pairs, strict=True)]
            # Text and arrows would outweigh a dim picture: no detail counts for more than the original's strong ones.
            limit = max(float(np.quantile(np.abs(high[0]), 0.97)), 1e-3) if high[0].size else 1.0
            if high[0].size > 60 * narrow**2 * 12:
                best = max(best, _correlation(*(np.clip(side, -limit, limit) for side in high)))
        return whole, best

    def _prepare(self, near: NDArray[Any], blur: float | None = None) -> None:
        self._near = near
        self._blur = self._blur if blur is None else blur
        for tile in self._tiles:
            tile.prepare(self._original, near, self._blur)

    def _system(self, matrix: NDArray[Any]) -> _System | None:
        """Return the normal equations of the next step."""
        import numpy as np

        parts = [tile.warped(matrix, self._original.shape) for tile in self._tiles]
        flat = _flat(parts)
        aim = _flat([(tile.target, mask) for tile, (_, mask) in zip(self._tiles, parts, strict=True)])
        if flat.size < 200:
            return None
        tone = _robust_tone(flat, aim)
        centre_x, centre_y, unit = _frame(self._shape)
        columns, matched_parts, steep = [], [], []
        for tile, (part, mask) in zip(self._tiles, parts, strict=True):
            matched = tone(part)
            along_x, along_y = _gradient(matched)
            y = ((np.arange(part.shape[0]) + (tile.top - centre_y)) / unit).astype(np.float32)[:, None]
            x = ((np.arange(part.shape[1]) + (tile.left - centre_x)) / unit).astype(np.float32)[None, :]
            fields = (along_x, along_x * x, along_x * y, along_y, along_y * x, along_y * y)
            columns.append(np.stack([_pick(field, mask) for field in fields]))
            matched_parts.append(_pick(matched, mask))
            steep.append(np.hypot(columns[-1][0], columns[-1][3]))
        residual = aim - np.concatenate(matched_parts)
        noise = _noise(residual, np.concatenate(steep))
        score = (residual / (noise * _ROBUST)) ** 2
        weight = 1 / ((1 + score) * noise**2)
        jacobian = np.concatenate(columns, axis=1)
        weighted = jacobian * weight
        cost = _likelihood(residual, noise)
        return _System((weighted @ jacobian.T).astype(float), (weighted @ residual).astype(float), cost)

    def _cost(self, matrix: NDArray[Any]) -> float:
        """Return what ``_system`` calls cost, without its equations."""
        import numpy as np

        parts = [tile.warped(matrix, self._original.shape) for tile in self._tiles]
        flat = _flat(parts)
        aim = _flat([(tile.target, mask) for tile, (_, mask) in zip(self._tiles, parts, strict=True)])
        if flat.size < 200:
            return math.inf
        tone = _robust_tone(flat, aim)
        matched = [tone(part) for part, _ in parts]
        steep = np.concatenate(
            [_pick(np.hypot(*_gradient(part)), mask) for part, (_, mask) in zip(matched, parts, strict=True)]
        )
        residual = aim - np.concatenate([_pick(part, mask) for part, (_, mask) in zip(matched, parts, strict=True)])
        return _likelihood(residual, _noise(residual, steep))


@dataclass(frozen=True, slots=True, eq=False)
class _System:
    hessian: NDArray[Any]
    gradient: NDArray[Any]
    cost: float


class _Tile:
    """A part of the published picture and what of the original is sampled for it."""

    def __init__(self, published: NDArray[Any], area: tuple[slice, slice]) -> None:
        import numpy as np

        self.top, self.left = area[0].start, area[1].start
        self.target = np.ascontiguousarray(published[area])
        self._prepared: Prepared | None = None

    def prepare(self, original: NDArray[Any], near: NDArray[Any], blur: float | None) -> None:
        self._prepared = prepare(original, self._local(near), self.target.shape, blur=blur, slack=8)

    def warped(self, matrix: NDArray[Any], original: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return the original on this tile's grid, and where it is covered; ``None`` means everywhere."""
        assert self._prepared is not None  # noqa: S101  every level prepares its tiles
        local = self._local(matrix)
        shape = self.target.shape
        return sample(self._prepared, local, shape), None if inside(local, original, shape) else covered(
            local, original, shape
        )

    def _local(self, matrix: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        return np.asarray(matrix - np.array([[0, 0, self.left], [0, 0, self.top]], float))


class _Tone:
    """The mean published value for each value of the original: any function, monotone or not."""

    def __init__(self, warped: NDArray[Any], target: NDArray[Any], trust: NDArray[Any] | None = None) -> None:
        import numpy as np

        self._low = float(warped.min())
        self._factor = (_LEVELS - 1) / max(float(warped.max()) - self._low, 1e-12)
        place = self._place(warped)
        count = np.bincount(place, trust, minlength=_LEVELS).astype(float)
        sums = np.bincount(place, target if trust is None else target * trust, minlength=_LEVELS)
        # Neighbouring levels are put together into bins of at most so many pixels and at most such a width.
        below = (np.cumsum(count) - count).astype(int)
        groups = below // max(16, warped.size // _BINS) + np.arange(_LEVELS) // (_LEVELS // _BINS)
        bins = [np.bincount(groups, values) for values in (count, sums, (np.arange(_LEVELS) + 0.5) * count)]
        # Bins of few pixels would follow the noise.
        groups = (np.cumsum(bins[0]) // 12).astype(int)
        held, total, nodes = (np.bincount(groups, values) for values in bins)
        full = held > 1e-3
        table = np.interp(np.arange(_LEVELS) + 0.5, nodes[full] / held[full], total[full] / held[full])
        self._table = table.astype(np.float32)

    def _place(self, warped: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        place = ((warped - self._low) * self._factor).astype(np.int32)
        return np.clip(place, 0, _LEVELS - 1, out=place)

    def __call__(self, warped: NDArray[Any]) -> NDArray[Any]:
        matched: NDArray[Any] = self._table[self._place(warped)]
        return matched


def _robust_tone(warped: NDArray[Any], target: NDArray[Any]) -> _Tone:
    """Measure a tone twice, the second time without what was written over or edited."""
    import numpy as np

    step = max(1, warped.size // 60_000)
    few, aim = warped[::step], target[::step]
    rest = np.abs(aim - _Tone(few, aim)(few))
    limit = 4 * max(1.4826 * float(np.median(rest)), _FLOOR)
    soft = 1 / (1 + (rest / (limit + 0.02 * float(np.ptp(aim)))) ** 4)
    if step == 1:
        return _Tone(warped, target, soft)
    first = _Tone(few, aim, soft)
    rest = np.abs(target - first(warped))
    return _Tone(warped, target, 1 / (1 + (rest / (limit + 0.02 * float(np.ptp(aim)))) ** 4))


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
    turns = [linear * scale]
    if np.abs(linear - np.rint(linear)).max() < 0.02:
        turns.insert(0, np.rint(linear) * scale)
    return [*found, *((np.hstack([turn, (centre - turn @ held)[:, None]]), False) for turn in turns)]


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


def _standard_error(hessian: NDArray[Any], shape: tuple[int, ...]) -> float:
    import numpy as np

    covariance = np.linalg.pinv(hessian, rcond=1e-12)
    centre_x, centre_y, unit = _frame(shape)
    rows = np.array([[1, (x - centre_x) / unit, (y - centre_y) / unit] for x, y in corners(shape)])
    variance = sum(float(np.einsum("ij,jk,ik->i", rows, block, rows).mean())
                   for block in (covariance[:3, :3], covariance[3:, 3:]))  # fmt: skip
    return math.sqrt(max(variance, 0.0))


def _motion(step: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Turn the six numbers of a step, which are about the centre, into a map of the published picture."""
    import numpy as np

    centre_x, centre_y, unit = _frame(shape)
    linear = np.array([[step[1], step[2]], [step[4], step[5]]]) / unit
    shift = np.array([step[0], step[3]]) - linear @ np.array([centre_x, centre_y])
    return np.hstack([np.eye(2) + linear, shift[:, None]])


def _frame(shape: tuple[int, ...]) -> tuple[float, float, float]:
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2, max(max(shape) / 2, 1.0)


def _noise(residual: NDArray[Any], steep: NDArray[Any]) -> NDArray[Any]:
    """Return the spread of the residual at each pixel, by classes of gradient."""
    import numpy as np

    step = max(1, residual.size // 12_000)
    rest, slope = np.abs(residual[::step]), steep[::step]
    edges = np.unique(np.quantile(slope, [0, 0.25, 0.5, 0.7, 0.82, 0.9, 0.95, 0.98, 1]))
    place = np.clip(np.searchsorted(edges, slope, side="right") - 1, 0, max(len(edges) - 2, 0))
    nodes, spread = [], []
    for number in range(max(len(edges) - 1, 1)):
        chosen = place == number
        if chosen.sum() >= 20:
            nodes.append(float(slope[chosen].mean()))
            spread.append(max(1.4826 * float(np.median(rest[chosen])), _FLOOR))
    if not nodes:
        return np.full(residual.shape, max(1.4826 * float(np.median(rest)), _FLOOR), np.float32)
    top = nodes[-1] + 1e-6
    table = np.interp(np.linspace(0, top, 512), nodes, np.maximum.accumulate(spread)).astype(np.float32)
    return table[np.minimum((steep * (511 / top)).astype(np.int32), 511)]


def _likelihood(residual: NDArray[Any], noise: NDArray[Any]) -> float:
    import numpy as np

    score = (residual / (noise * _ROBUST)) ** 2
    # Costs of different rounds have different noise: its logarithm makes them comparable, as in a likelihood.
    return float(np.log1p(score).sum(dtype=float)) * _ROBUST**2 + 2 * float(np.log(noise).sum(dtype=float))


def _gradient(picture: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    import cv2

    return (cv2.Scharr(picture, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(picture, cv2.CV_32F, 0, 1, scale=1 / 32))


def _areas(published: NDArray[Any]) -> list[tuple[slice, slice]]:
    """Choose where to look: everywhere, or at the most structured tile of each neighbourhood and the strongest."""
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


def _pick(picture: NDArray[Any], mask: NDArray[Any] | None) -> NDArray[Any]:
    return picture.ravel() if mask is None else picture[mask]


def _flat(parts: list[tuple[NDArray[Any], NDArray[Any] | None]]) -> NDArray[Any]:
    import numpy as np

    return np.concatenate([_pick(picture, mask) for picture, mask in parts])


def _inner(mask: NDArray[Any] | None, shape: tuple[int, ...], margin: int) -> NDArray[Any]:
    import cv2
    import numpy as np

    full = np.ones(shape, np.uint8) if mask is None else mask.astype(np.uint8)
    full = cv2.copyMakeBorder(full, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.erode(full, np.ones((2 * margin + 1,) * 2, np.uint8))[1:-1, 1:-1].astype(bool))


def _band(picture: NDArray[Any], narrow: float, wide: float) -> NDArray[Any]:
    import cv2
    import numpy as np

    return np.asarray(cv2.GaussianBlur(picture, (0, 0), narrow) - cv2.GaussianBlur(picture, (0, 0), wide))


def _ranks(values: NDArray[Any]) -> NDArray[Any]:
    """Return ranks, equal values sharing one."""
    import numpy as np

    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def _correlation(first: NDArray[Any], second: NDArray[Any]) -> float:
    import numpy as np

    if first.size < 50:
        return 0.0
    first, second = first - first.mean(dtype=float), second - second.mean(dtype=float)
    spread = math.sqrt(float((first.astype(float) ** 2).sum()) * float((second.astype(float) ** 2).sum()))
    return float(np.dot(first.astype(float), second.astype(float)) / spread) if spread > 1e-9 else 0.0


def _reduced(picture: NDArray[Any], factor: float) -> NDArray[Any]:
    import cv2
    import numpy as np

    size = (max(8, round(picture.shape[1] * factor)), max(8, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
