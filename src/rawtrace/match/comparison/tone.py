"""The transfer curve from an original to a published picture: measured, then named.

Measured: the middle published value for each value of the original, in bins
that are partly of equal count and partly of equal width (quantiles alone starve
bright tails), from the flattest pixels of each bin. Named: the simplest of
unchanged, linear, gamma, any monotone curve, that explains the bins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison import curvemodels
from rawtrace.match.comparison.unmix import Unmixed, unmix
from rawtrace.match.model import Curve, Tone

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: About how many pixels are looked at; of rare values all of them.
SAMPLE = 120_000
QUANTILE_BINS = 80
EQUAL_BINS = 80
#: More different values than this are binned.
DISTINCT = 300
GROUPS = 8
#: How far a curve may be from a name and still bear it, published grey levels.
TOLERANCE = 0.55
#: ... or this share of what the means of blocks are off for other reasons, such as compressed colours.
TOLERANCE_OF_NOISE = 0.4
#: A curve that is no further from a line or a power than so many tolerances is none of its own kind.
_NAMED = 2.0
#: A curve that falls and rises by more than this is not monotone, published grey levels.
TURNING = 2.5
#: Noise up to which pixels are taken one by one, published grey levels.
CLEAN = 0.8
#: Standard error up to which a point of the curve is known, published grey levels.
_KNOWN = 3.0
_POINTS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A curve and what it makes of the original.

    Attributes
    ----------
    curve : Curve
    expected : ndarray of float32
        (Y, X), published grey levels.
    x, y : ndarray
        The measured function, for interpolation: values of the original, ascending, and published values.
    spread : float
        How much the curves of different places differ, published grey levels RMS: great where
        brightness was changed locally.
    before : bool
        Whether the curve fits better if it was applied before the picture was resampled; ``expected`` is of the
        other order nevertheless.
    """

    curve: Curve
    expected: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    spread: float
    before: bool

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what the curve makes of values of the original."""
        import numpy as np

        return np.asarray(np.interp(values, self.x, self.y).astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """A measured curve.

    Attributes
    ----------
    x, y : ndarray
        Mean value of the original and middle published value, one for each bin, ``x`` ascending.
    count : ndarray
        Pixels of the picture that a bin stands for.
    error : ndarray
        Standard error of ``y``.
    equations : tuple of Equations
        Of all places, then without one group of places each.
    spread : float
        How much ``y`` differs between places, RMS.
    noise : float
        How much pixels of one bin differ, published grey levels.
    tolerance : float
        How far a curve may be from a name and still bear it, published grey levels.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    count: NDArray[Any]
    error: NDArray[Any]
    equations: tuple[curvemodels.Equations, ...]
    spread: float
    noise: float
    tolerance: float = TOLERANCE


def fit_curve(
    warped: NDArray[Any], published: NDArray[Any], mask: NDArray[Any], *, fine: NDArray[Any] | None = None
) -> Fitted:
    """Measure the transfer curve and name it.

    Parameters
    ----------
    warped : ndarray of float32
        (Y, X): the original on the published grid, in its own units.
    published : ndarray
        (Y, X), grey levels 0 to 255.
    mask : ndarray of bool
        (Y, X): where both show the same; outside nothing is looked at.
    fine : ndarray of float32, optional
        (k * Y, k * X): the original sampled k times as densely and not smoothed, for pictures that were reduced:
        brightness may have been changed before that.
    """
    import numpy as np

    target, before = np.asarray(published, np.float32), False
    bins = measure(warped, target, mask)
    if bins is not None and bins.noise > CLEAN:
        unmixed = unmix(warped, target, mask, groups=GROUPS, start=(bins.x, bins.y))
        if fine is not None and unmixed is not None:
            within = fine.shape[0] // mask.shape[0]
            other = unmix(fine, target, mask, groups=GROUPS, start=(bins.x, bins.y), within=within)
            if other is not None and other.noise < unmixed.noise:
                unmixed, before = other, True
        bins = bins if unmixed is None else _from_blocks(unmixed, bins)
    if bins is None:
        level = float(np.median(target[mask])) if mask.any() else 0.0
        value = float(np.median(warped[mask])) if mask.any() else 0.0
        flat = Curve(tone=Tone.LINEAR, black=value, white=value, confidence=0.0)
        return Fitted(flat, np.full(warped.shape, level, np.float32), np.array([value]), np.array([level]), 0.0, False)
    curve, x, y = _extended(*_named(bins), warped[mask])
    expected = np.interp(warped, x, y).astype(np.float32)
    shares = _clipped(curve, warped, target, mask)
    rest = (target - expected)[mask]
    rms = 1.4826 * float(np.median(np.abs(rest)))
    points = _points(x, y)
    named = Curve(
        tone=curve.tone, inverted=curve.inverted, black=curve.black, white=curve.white, gamma=curve.gamma,
        gamma_interval=curve.gamma_interval, clipped_low=shares[0], clipped_high=shares[1],
        confidence=curve.confidence, rms=rms, points=points,
    )  # fmt: skip
    return Fitted(named, expected, x, y, bins.spread, before)


def measure(warped: NDArray[Any], target: NDArray[Any], mask: NDArray[Any]) -> Bins | None:
    """Measure the curve; ``None`` if there are too few pixels or the original is constant there."""
    import numpy as np

    inside = np.flatnonzero(mask)
    if inside.size < 64:
        return None
    x = warped.ravel()[inside]
    low, high = float(x.min()), float(x.max())
    if not high > low:
        return None
    chosen = _chosen(x, low, high)
    total = inside.size
    inside, x = inside[chosen], x[chosen]
    y = target.ravel()[inside]
    steep = _steepness(warped).ravel()[inside]
    edges = _edges(x, low, high)
    place = np.searchsorted(edges, x, side="right")
    # Pixels on slopes carry errors of place and of smoothing: each bin listens to its flatter half.
    order = np.lexsort((steep, place))
    rank, count = _ranks(place[order])
    order = order[rank < np.maximum(12, 0.5 * count)]
    # Of these, the middle half in the published picture: deaf to edits, finer than a median of whole numbers.
    order = order[np.lexsort((y[order], place[order]))]
    rank, count = _ranks(place[order])
    quarter = count // 4
    width = _widths(y[order], place[order], rank, count, len(edges) + 1)
    order = order[(rank >= quarter) & (rank < count - quarter)]
    place, x, y = place[order], x[order], y[order]
    group = _groups(inside[order], warped.shape)
    return _tabulate(place, x, y, group, width, total)


def _chosen(x: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Choose pixels: a share of the common values, all of the rare ones."""
    import numpy as np

    if x.size <= SAMPLE:
        return np.arange(x.size)
    level = np.minimum(((x - low) * (255 / (high - low))).astype(np.int32), 255)
    count = np.bincount(level, minlength=256)
    share = np.minimum(1.0, np.maximum(SAMPLE / x.size, 300 / np.maximum(count, 1)))
    return np.flatnonzero(np.random.default_rng(1).random(x.size, dtype=np.float32) < share[level])


def _edges(x: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    import numpy as np

    few = np.unique(x[:: max(1, x.size // 20_000)])
    if len(few) <= DISTINCT and np.abs(few - np.rint(few)).max() < 1e-3:
        values = np.unique(x)
        if len(values) <= DISTINCT:
            return np.asarray((values[1:] + values[:-1]) / 2)
    quantiles = np.quantile(x, np.linspace(0, 1, QUANTILE_BINS + 1))
    return np.unique(np.concatenate([quantiles, np.linspace(low, high, EQUAL_BINS + 1)]))[1:-1]


def _steepness(warped: NDArray[Any]) -> NDArray[Any]:
    import cv2
    import numpy as np

    along_x = cv2.Sobel(warped, cv2.CV_32F, 1, 0, scale=1 / 8)
    along_y = cv2.Sobel(warped, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(cv2.magnitude(along_x, along_y))


def _ranks(place: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """For sorted bin numbers: each pixel's place within its bin, and its bin's size."""
    import numpy as np

    count = np.bincount(place)
    first = np.cumsum(count) - count
    return np.arange(place.size) - first[place], count[place]


def _widths(y: NDArray[Any], place: NDArray[Any], rank: NDArray[Any], count: NDArray[Any], length: int) -> NDArray[Any]:
    """Return the standard error of each bin's middle, from its quartiles."""
    import numpy as np

    low, high, number = np.zeros(length), np.zeros(length), np.ones(length)
    first, last = rank == count // 4, rank == count - 1 - count // 4
    low[place[first]], high[place[last]] = y[first], y[last]
    number[place[first]] = count[first]
    return np.maximum((high - low) / 1.349, 0.3) * 1.3 / np.sqrt(number)


def _groups(inside: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Assign pixels to groups of places: tiles, dealt out so that every group is spread over the picture."""
    import numpy as np

    tile = max(8, min(shape) // 12)
    rows, columns = np.divmod(inside, shape[1])
    return np.asarray((rows // tile * 3 + columns // tile) % GROUPS)


def _tabulate(
    place: NDArray[Any], x: NDArray[Any], y: NDArray[Any], group: NDArray[Any], width: NDArray[Any], total: int
) -> Bins | None:
    import numpy as np

    length = len(width)
    joint = group * length + place
    count = np.bincount(joint, minlength=GROUPS * length).reshape(GROUPS, length).astype(float)
    sum_x = np.bincount(joint, x.astype(float), minlength=GROUPS * length).reshape(GROUPS, length)
    sum_y = np.bincount(joint, y.astype(float), minlength=GROUPS * length).reshape(GROUPS, length)
    full = count.sum(0) >= 3
    if full.sum() < 2:
        return None
    count, sum_x, sum_y, width = count[:, full], sum_x[:, full], sum_y[:, full], width[full]
    all_count, all_y = count.sum(0), sum_y.sum(0)
    mean = all_y / all_count
    rest = all_count - count
    parts = np.where(rest >= 3, (all_y - sum_y) / np.maximum(rest, 1), mean)
    own = np.where(count >= 4, sum_y / np.maximum(count, 1), mean)
    spread = math.sqrt(float((count * (own - mean) ** 2).sum() / count.sum()))
    share = all_count / all_count.sum() * total
    # A large dark ground that compression made even says nothing of the rest.
    noises = width * np.sqrt(2 * all_count) / 1.3
    noise = max(float(np.average(noises, weights=all_count)), float(np.quantile(noises, 0.75)))
    values = sum_x.sum(0) / all_count
    # Near black and white, rounding does not average out.
    width = np.hypot(width, np.where((mean < 1.5) | (mean > 253.5), 0.4, 0.0))
    width = np.hypot(width, _coarse(values, mean))
    weight = 1 / (width**2 + 0.2**2)
    root = np.sqrt(weight / weight.sum())
    u = (values - values[0]) / (values[-1] - values[0])
    systems = tuple(curvemodels.Equations(u, root, root * heights) for heights in (mean, *parts))
    return Bins(values, mean, share, width, systems, spread, noise)


def _from_blocks(found: Unmixed, bins: Bins) -> Bins:
    """Return the curve measured from block means; what single pixels say of noise and places is kept."""
    import numpy as np

    u = (found.x - found.x[0]) / (found.x[-1] - found.x[0])
    systems = []
    for normal, right in found.systems:
        root = np.linalg.cholesky(normal + 1e-7 * np.trace(normal) / len(u) * np.eye(len(u))).T
        aim = np.linalg.solve(root.T, right + 1e-7 * np.trace(normal) / len(u) * found.y)
        left = root @ found.y - aim
        systems.append(curvemodels.Equations(u, root, aim, float(left @ left)))
    # Splines overshoot; published values cannot.
    return Bins(found.x, np.clip(found.y, 0, 255), found.count, found.error, tuple(systems), bins.spread, bins.noise,
                max(TOLERANCE, TOLERANCE_OF_NOISE * found.noise))  # fmt: skip


def _coarse(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
    """Return what whole numbers on the way cost: an original that became 8 bit before the curve was applied."""
    import numpy as np

    curve = curvemodels.isotonic(y, np.ones(len(y))) if y[-1] >= y[0] else -curvemodels.isotonic(-y, np.ones(len(y)))
    inner = (np.abs(curve - curve.min()) > 1) & (np.abs(curve - curve.max()) > 1)
    span = float(np.ptp(x[inner])) if inner.sum() > 3 else float(np.ptp(x))
    step = max(span, 1e-12) / 255
    return np.asarray(0.29 * np.abs(np.interp(x + step, x, curve) - np.interp(x - step, x, curve)) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class _Name:
    tone: Tone
    inverted: bool
    black: float
    white: float
    confidence: float
    gamma: float | None = None
    gamma_interval: tuple[float, float] | None = None


def _named(bins: Bins) -> tuple[_Name, NDArray[Any], NDArray[Any]]:
    """Name the curve and return it with the function to use."""
    x, y = bins.x, bins.y
    weight = 1 / (bins.error**2 + 0.2**2)
    rising, falling = curvemodels.isotonic(y, weight), -curvemodels.isotonic(-y, weight)
    cost_up, cost_down = (float((weight * (y - fit) ** 2).sum()) for fit in (rising, falling))
    inverted = cost_down < cost_up
    monotone = falling if inverted else rising
    if _turns(bins, monotone):
        first, last = float(x[0]), float(x[-1])
        ends = (last, first) if inverted else (first, last)
        return _Name(Tone.NOT_MONOTONE, inverted, *ends, 0.9), x, y
    origin, span = float(x[0]), float(x[-1] - x[0])
    # Where there are hardly any pixels, a curve is only led on: that is no plateau.
    known = bins.error < _KNOWN
    limits = (
        curvemodels.limits_of(x[known], monotone[known], bins.error[known]) if known.sum() >= 4 else curvemodels.LIMITS
    )
    every, *parts = bins.equations
    linear = curvemodels.fit_linear(every, monotone, origin=origin, span=span, limits=limits)
    gamma = curvemodels.fit_gamma(every, monotone, origin=origin, span=span, limits=limits, inverted=inverted)
    tone, model = _choose(linear, gamma, bins)
    if tone is Tone.LINEAR and _same(model, x, inverted=inverted):
        tone = Tone.UNCHANGED
    if tone is Tone.MONOTONE:
        black, white = _ends(x, monotone)
        sure = _logistic(min(linear.apart, gamma.apart) / bins.tolerance)
        return _Name(tone, inverted, black, white, sure), x, monotone
    exponent = interval = None
    sure = _logistic(bins.tolerance / max(model.apart, 1e-3))
    if tone is Tone.GAMMA:
        exponent, interval = curvemodels.gamma_interval(gamma, tuple(parts))
        sure = min(sure, _logistic(linear.apart / max(gamma.apart, 0.25) / 2))
    return _Name(tone, inverted, *model.ends(), sure, exponent, interval), *_function(x, monotone, model, bins)


def _choose(linear: curvemodels.Model, gamma: curvemodels.Model, bins: Bins) -> tuple[Tone, curvemodels.Model]:
    import numpy as np

    same = np.abs(bins.y - bins.x)
    if float(np.average(same, weights=bins.count)) < 0.4 and float(np.quantile(same, 0.9)) < 1.2:
        return Tone.UNCHANGED, linear
    if linear.apart < bins.tolerance:
        return Tone.LINEAR, linear
    if gamma.apart < 0.5 * linear.apart and gamma.apart < _NAMED * bins.tolerance and gamma.exponent > 0.25:
        return Tone.GAMMA, gamma
    if linear.apart < _NAMED * bins.tolerance:
        return Tone.LINEAR, linear
    return Tone.MONOTONE, linear


def _same(model: curvemodels.Model, x: NDArray[Any], *, inverted: bool) -> bool:
    """Whether a line leaves 8-bit values as they are, or exchanges dark and bright and nothing else."""
    import numpy as np

    wanted = 255 - x if inverted else x
    return bool(x[0] >= -2 and x[-1] <= 257 and np.ptp(x) > 20 and np.abs(model(x) - wanted).max() < 1.6)


def _turns(bins: Bins, monotone: NDArray[Any]) -> bool:
    """Whether the measured curve leaves the best monotone one for more than noise and for more than few pixels."""
    import numpy as np

    off = np.abs(bins.y - monotone)
    clear = off > np.maximum(TURNING, 5 * bins.error)
    return bool(bins.count[clear].sum() > 0.02 * bins.count.sum() and clear.sum() >= 3)


def _ends(x: NDArray[Any], y: NDArray[Any]) -> tuple[float, float]:
    """Values of the original at which the curve leaves its least and reaches its greatest value."""
    import numpy as np

    low, high = float(y.min()), float(y.max())
    dark, bright = np.flatnonzero(y <= low + 0.5), np.flatnonzero(y >= high - 0.5)
    if y[-1] >= y[0]:
        return float(x[dark[-1]]), float(x[bright[0]])
    return float(x[dark[0]]), float(x[bright[-1]])


def _function(
    x: NDArray[Any], monotone: NDArray[Any], model: curvemodels.Model, bins: Bins
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the named curve, corrected by the little that the bins know better."""
    import numpy as np

    dense = np.unique(np.concatenate([x, np.linspace(x[0], x[-1], _POINTS)]))
    trust = 1 / (1 + (bins.error / 0.3) ** 2)
    off = np.clip((monotone - model(x)) * trust, -2.0, 2.0)
    return dense, model(dense) + np.interp(dense, x, off)


def _clipped(curve: _Name, warped: NDArray[Any], target: NDArray[Any], mask: NDArray[Any]) -> tuple[float, float]:
    """Return the shares of pixels beyond black and beyond white."""
    import cv2
    import numpy as np

    if curve.tone in {Tone.NOT_MONOTONE, Tone.UNCHANGED} or curve.black == curve.white:
        return 0.0, 0.0
    step = abs(curve.white - curve.black) / 255
    direction = math.copysign(1.0, curve.white - curve.black)
    around = cv2.blur(warped, (3, 3))
    seen, shares = target[mask], []
    for sign, end, cut in (
        (direction, curve.black, seen <= seen.min() + 2),
        (-direction, curve.white, seen >= seen.max() - 2),
    ):
        # What differs from the black point by no more than its noise was not lost by cutting.
        beyond = sign * (end - around[mask])
        lost = (beyond > step) & cut
        if lost.any():
            lost &= beyond > _noise(sign * warped, sign * around, mask, float(np.mean(lost)))
        shares.append(float(np.mean(lost)))
    return shares[0], shares[1]


def _noise(values: NDArray[Any], around: NDArray[Any], mask: NDArray[Any], share: float) -> float:
    """Return the noise of the original in the share of the picture whose surroundings are least."""
    import numpy as np

    # Chosen by what lies around, since the least values themselves are the tail of the noise.
    part = mask & (around <= np.quantile(around[mask][::7], max(share, 0.1)))
    apart = np.abs(values[:, 1:] - values[:, :-1])[part[:, 1:] & part[:, :-1]]
    return float(np.median(apart)) / 0.954 if apart.size >= 32 else 0.0


def _extended(
    curve: _Name, x: NDArray[Any], y: NDArray[Any], values: NDArray[Any]
) -> tuple[_Name, NDArray[Any], NDArray[Any]]:
    """Lead a function on to the least and the greatest value, which bins of few pixels leave out."""
    import numpy as np

    low, high = float(values.min()), float(values.max())
    if curve.tone is Tone.UNCHANGED:
        ends = np.array([min(low, x[0]), max(high, x[-1])])
        return curve, ends, 255 - ends if curve.inverted else ends
    reach = 0.08 * (x[-1] - x[0])
    for at, end in ((low, 0), (high, -1)):
        if x[0] <= at <= x[-1]:
            continue
        near = np.abs(x - x[end]) < reach
        slope = np.polyfit(x[near], y[near], 1)[0] if near.sum() >= 2 else 0.0
        led = float(np.clip(y[end] + slope * (at - x[end]), 0, 255))
        x, y = (np.r_[at, x], np.r_[led, y]) if end == 0 else (np.r_[x, at], np.r_[y, led])
    return curve, x, y


def _points(x: NDArray[Any], y: NDArray[Any]) -> tuple[tuple[float, float], ...]:
    import numpy as np

    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
    return tuple((round(float(x[i]), 4), round(float(y[i]), 3)) for i in chosen)


def _logistic(ratio: float) -> float:
    """Turn a ratio of evidence, 1 being a toss-up, into a probability."""
    return float(1 / (1 + max(ratio, 1e-6) ** -2.5))
