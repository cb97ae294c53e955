"""Curves that have names, fitted to a measured one: straight lines and powers, each cut off at both ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIMITS = LOW, HIGH = 0.0, 255.0
_STEPS = 40
_STARTS = (0.45, 1.0, 2.2)
#: Exponents beyond these are no gamma that anybody would set.
_EXPONENTS = (0.1, 10.0)


Shape = Callable[["NDArray[Any]", "NDArray[Any]"], "NDArray[Any]"]


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """What a curve has to fulfil: ``root @ heights`` near ``aim``, heights being its values at ``u``.

    Attributes
    ----------
    u : ndarray
        Values of the original, 0 to 1.
    root, aim : ndarray
        Scaled so that the sum of squares is the mean square in published grey levels.
    left : float
        What the best of all curves leaves, mean square.
    """

    u: NDArray[Any]
    root: NDArray[Any]
    aim: NDArray[Any]
    left: float = 0.0

    def rest(self, heights: NDArray[Any]) -> NDArray[Any]:
        """Return by how much a curve misses."""
        rest: NDArray[Any] = (self.root * heights if self.root.ndim == 1 else self.root @ heights) - self.aim
        return rest


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A fitted curve.

    Attributes
    ----------
    parameters : ndarray
    shape : callable
        (parameters, u) to published values, u being the original's value between 0 and 1.
    origin, span : float
        u = (x - origin) / span.
    apart : float
        By how much it explains worse than the best of all curves, RMS, published grey levels.
    limits : tuple[float, float]
        Where it is cut off.
    exponent : float
    black_white : tuple[float, float] or None
        Values of u that become the least and the greatest, where the parameters say.
    """

    parameters: NDArray[Any]
    shape: Shape
    origin: float
    span: float
    apart: float
    limits: tuple[float, float]
    exponent: float = 1.0
    black_white: tuple[float, float] | None = None

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the published values for values of the original."""
        return self.shape(self.parameters, (x - self.origin) / self.span)

    def ends(self) -> tuple[float, float]:
        """Values of the original that become the least and the greatest, beyond the measured ones where need be."""
        import numpy as np

        if self.black_white is not None:
            return self.origin + self.black_white[0] * self.span, self.origin + self.black_white[1] * self.span
        u = np.linspace(-3, 4, 14_001)
        y = self.shape(self.parameters, u)
        dark, bright = np.flatnonzero(y <= self.limits[0] + 0.02), np.flatnonzero(y >= self.limits[1] - 0.02)
        rises = y[-1] >= y[0]
        black = u[dark[-1 if rises else 0]] if dark.size else float(not rises)
        white = u[bright[0 if rises else -1]] if bright.size else float(rises)
        return float(self.origin + black * self.span), float(self.origin + white * self.span)


def isotonic(y: NDArray[Any], weight: NDArray[Any]) -> NDArray[Any]:
    """Return the nearest curve that never falls (pool adjacent violators)."""
    import numpy as np

    blocks: list[tuple[float, float, int]] = []
    for value, mass in zip(y.tolist(), weight.tolist(), strict=True):
        mean, total, length = value, mass, 1
        while blocks and blocks[-1][0] >= mean:
            before, before_total, before_length = blocks.pop()
            mean = (before * before_total + mean * total) / (before_total + total)
            total, length = total + before_total, length + before_length
        blocks.append((mean, total, length))
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def limits_of(x: NDArray[Any], y: NDArray[Any], error: NDArray[Any]) -> tuple[float, float]:
    """Return where a measured curve is cut off: at plateaus of its ends that are surely others, else 0 and 255."""
    import numpy as np

    least, greatest = float(y.min()), float(y.max())
    u = (x - x[0]) / (x[-1] - x[0])
    found = []
    for level, usual in ((least, LOW), (greatest, HIGH)):
        flat = np.abs(y - level) < 0.6
        wide = flat.sum() >= 3 and float(np.ptp(u[flat])) > 0.06 and (flat[0] or flat[-1])
        surely = wide and abs(level - usual) > 1.5 + 4 * float(np.median(error[flat]))
        found.append(level if surely else usual)
    return found[0], found[1]


def fit_linear(
    equations: Equations, y: NDArray[Any], *, origin: float, span: float, limits: tuple[float, float]
) -> Model:
    """Fit a straight line that is cut off at its limits; ``y`` is the measured curve, for a start."""
    import numpy as np

    u = equations.u

    def line(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(np.clip(parameters[0] + parameters[1] * u, *limits))

    rise = float(y[-1] - y[0])
    inner = (y > limits[0] + 2) & (y < limits[1] - 2)
    begins = [np.array([y[0], rise]), np.array([y[0] - 0.3 * rise, 1.6 * rise]), np.array([y[0], 3 * rise])]
    if inner.sum() >= 3:
        slope, level = np.polyfit(u[inner], y[inner], 1)
        begins.insert(0, np.array([level, slope]))
    parameters, cost = min((_fit(line, begin, equations) for begin in begins), key=lambda fit: fit[1])
    level, slope = float(parameters[0]), float(parameters[1])
    ends = ((limits[0] - level) / slope, (limits[1] - level) / slope) if abs(slope) > 1e-6 else None
    return Model(parameters, line, origin, span, _apart(cost, equations), limits, black_white=ends)


def fit_gamma(
    equations: Equations,
    y: NDArray[Any],
    *,
    origin: float,
    span: float,
    limits: tuple[float, float],
    inverted: bool,
) -> Model:
    """Fit a power that is cut off at its limits, from black and white points or above an offset."""
    import numpy as np

    low, high = limits

    def power(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        black, white, logarithm = parameters
        reach = white - black if abs(white - black) > 1e-3 else 1e-3
        raised = np.clip((u - black) / reach, 0, 1) ** math.exp(_bounded(logarithm))
        return np.asarray(low + (high - low) * raised)

    def fall(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        return low + high - power(parameters, u)

    def turned(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        return power(parameters, 1 - u)

    zero = -origin / span

    def above(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        level, rise, logarithm = parameters
        exponent = math.exp(_bounded(logarithm))
        raised = np.maximum((u - zero) / (1 - zero), 0) ** exponent
        first = max(-zero / (1 - zero), 0.0) ** exponent
        return np.asarray(np.clip(level + rise * (raised - first) / max(1 - first, 1e-6), low, high))

    shapes: list[tuple[Shape, tuple[float, float]]] = [(fall, (0.0, 1.0)), (turned, (0.0, 1.0))]
    if not inverted:
        shapes = [(power, (0.0, 1.0))]
        if -1.0 < zero <= 0.02:
            shapes.append((above, (float(y[0]), float(y[-1] - y[0]))))
    best: tuple[float, Model] | None = None
    for shape, begin in shapes:
        for exponent in _STARTS:
            parameters, cost = _fit(shape, np.array([*begin, math.log(exponent)]), equations)
            # Of two ways that explain alike, the first and simpler is kept.
            if best is None or cost < best[0] * 0.9:
                found = math.exp(_bounded(parameters[2]))
                first, last = float(parameters[0]), float(parameters[1])
                ends = None if shape is above else (first, last)
                ends = (last, first) if shape is fall else (1 - first, 1 - last) if shape is turned else ends
                best = (
                    cost,
                    Model(parameters, shape, origin, span, _apart(cost, equations), limits, found, ends),
                )
    assert best is not None  # noqa: S101  there is a start at least
    natural = _natural_gamma(equations, best[1], inverted=inverted)
    return natural if natural is not None and natural.apart < max(best[1].apart + 0.12, 0.35) else best[1]


def _natural_gamma(equations: Equations, free: Model, *, inverted: bool) -> Model | None:
    """Fit a power over the whole range of the original's type, from 0 to 255, 4 095 and so on, if its values fit."""
    import numpy as np

    least, greatest = free.origin, free.origin + free.span
    full = next((float(2**bits - 1) for bits in (8, 10, 12, 14, 16) if greatest <= 1.01 * (2**bits - 1)), None)
    if full is None or least < -0.02 * full or free.limits != (LOW, HIGH):
        return None
    best: Model | None = None
    for after in (True, False) if inverted else (True,):

        def power(parameters: NDArray[Any], u: NDArray[Any], after: bool = after) -> NDArray[Any]:
            value = np.clip((free.origin + u * free.span) / full, 0, 1)
            if not inverted:
                return np.asarray(HIGH * value ** math.exp(_bounded(parameters[2])))
            exponent = math.exp(_bounded(parameters[2]))
            return np.asarray(HIGH * (1 - value**exponent if after else (1 - value) ** exponent))

        # Black and white do not move: they are kept so that all powers have their exponent in one place.
        parameters, cost = _fit(power, np.array([0.0, 1.0, math.log(free.exponent)]), equations)
        exponent = math.exp(_bounded(parameters[2]))
        ends = (-free.origin / free.span, (full - free.origin) / free.span)
        model = Model(
            parameters, power, free.origin, free.span, _apart(cost, equations), free.limits, exponent,
            ends[::-1] if inverted else ends,
        )  # fmt: skip
        best = model if best is None or model.apart < best.apart else best
    return best


def gamma_interval(model: Model, parts: tuple[Equations, ...]) -> tuple[float, tuple[float, float]]:
    """Return the exponent and its 95 % interval, from fits without one group of places at a time."""
    import numpy as np

    others = [_bounded(_fit(model.shape, model.parameters, part, steps=6)[0][2]) for part in parts]
    count = len(others)
    centre = math.log(model.exponent)
    error = math.sqrt((count - 1) / count * float(np.sum((np.array(others) - np.mean(others)) ** 2)))
    reach = 2.36 * math.hypot(error, 0.004)
    return model.exponent, (math.exp(centre - reach), math.exp(centre + reach))


def _apart(cost: float, equations: Equations) -> float:
    return math.sqrt(max(cost - equations.left, 0.0))


def _bounded(logarithm: float) -> float:
    return min(max(float(logarithm), math.log(_EXPONENTS[0])), math.log(_EXPONENTS[1]))


def _fit(shape: Shape, begin: NDArray[Any], equations: Equations, *, steps: int = _STEPS) -> tuple[NDArray[Any], float]:
    """Levenberg-Marquardt; returns parameters and mean square."""
    import numpy as np

    def residuals(values: NDArray[Any]) -> NDArray[Any]:
        return equations.rest(shape(values, equations.u))

    at = begin.astype(float)
    rest = residuals(at)
    cost, damping = float(rest @ rest), 1e-3
    for _ in range(steps):
        jacobian = np.stack([(residuals(at + move) - rest) / 1e-5 for move in 1e-5 * np.eye(len(at))], axis=1)
        hessian, gradient = jacobian.T @ jacobian, jacobian.T @ rest
        for _ in range(6):
            lifted = hessian + damping * np.diag(np.maximum(np.diag(hessian), 1e-9))
            tried = at - np.linalg.lstsq(lifted, gradient, rcond=None)[0]
            new_rest = residuals(tried)
            new_cost = float(new_rest @ new_rest)
            if new_cost < cost:
                break
            damping *= 6
        else:
            break
        gained = cost - new_cost
        at, rest, cost, damping = tried, new_rest, new_cost, max(damping / 8, 1e-9)
        if gained < 1e-6 * cost + 1e-9:
            break
    return at, cost
