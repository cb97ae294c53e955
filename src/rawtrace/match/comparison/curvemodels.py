"""Curves that have names, fitted to a measured one: straight lines and powers, each cut off at both ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOW, HIGH = 0.0, 255.0
_STEPS = 40
_STARTS = (0.45, 1.0, 2.2)
#: Exponents beyond these are no gamma that anybody would set.
_EXPONENTS = (0.1, 10.0)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A fitted curve: ``low + gain * max(sign * (u - start), 0) ** exponent``, cut off at 0 and 255.

    Attributes
    ----------
    parameters : ndarray
    shape : callable
        (parameters, u) to published values, u being the original's value between 0 and 1.
    origin, span : float
        u = (x - origin) / span.
    exponent : float
    """

    parameters: NDArray[Any]
    shape: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
    origin: float
    span: float
    exponent: float = 1.0

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the published values for values of the original."""
        return self.shape(self.parameters, (x - self.origin) / self.span)

    def apart(self, x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> float:
        """How far a measured curve is from this one, weighted RMS in grey levels."""
        import numpy as np

        return math.sqrt(float(np.average((self(x) - y) ** 2, weights=weight)))

    def ends(self) -> tuple[float, float]:
        """Values of the original that become 0 and 255, beyond the measured ones where need be."""
        import numpy as np

        u = np.linspace(-3, 4, 14_001)
        y = self.shape(self.parameters, u)
        dark, bright = np.flatnonzero(y <= LOW + 0.02), np.flatnonzero(y >= HIGH - 0.02)
        rises = y[-1] >= y[0]
        black = u[dark[-1 if rises else 0]] if dark.size else u[int(y.argmin())]
        white = u[bright[0 if rises else -1]] if bright.size else u[int(y.argmax())]
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


def fit_linear(x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any]) -> Model:
    """Fit a straight line that is cut off at 0 and 255."""
    import numpy as np

    origin, span = float(x[0]), float(x[-1] - x[0])
    u = (x - origin) / span
    rise = float(y[-1] - y[0])
    inner = (y > LOW + 2) & (y < HIGH - 2)
    begins = [np.array([y[0], rise]), np.array([y[0] - 0.3 * rise, 1.6 * rise]), np.array([y[0], 3 * rise])]
    if inner.sum() >= 3:
        slope, level = np.polyfit(u[inner], y[inner], 1, w=np.sqrt(weight[inner]))
        begins.insert(0, np.array([level, slope]))
    best = min((_fit(_line, begin, u, y, weight) for begin in begins), key=lambda fit: fit[1])
    return Model(best[0], _line, origin, span)


def fit_gamma(x: NDArray[Any], y: NDArray[Any], weight: NDArray[Any], *, inverted: bool) -> Model:
    """Fit a power that is cut off at 0 and 255, from black and white points or above an offset."""
    import numpy as np

    origin, span = float(x[0]), float(x[-1] - x[0])
    u = (x - origin) / span
    zero = -origin / span
    shapes: list[tuple[Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]], list[NDArray[Any]]]] = []
    for exponent in _STARTS:
        logarithm = math.log(exponent)
        shapes.append((_power_fall if inverted else _power, [np.array([0.0, 1.0, logarithm])]))
        if inverted:
            shapes.append((_power_turned, [np.array([0.0, 1.0, logarithm])]))
        if not inverted and zero <= 0.02:
            level, rise = float(y[0]), float(y[-1] - y[0])
            shapes.append((_raised(zero), [np.array([level, rise, logarithm])]))
    best: tuple[float, Model] | None = None
    for shape, begins in shapes:
        for begin in begins:
            parameters, cost = _fit(shape, begin, u, y, weight)
            if best is None or cost < best[0] * 0.98:
                best = (cost, Model(parameters, shape, origin, span, math.exp(_bounded(parameters[2]))))
    assert best is not None  # noqa: S101  there is a start at least
    return best[1]


def gamma_interval(
    model: Model, x: NDArray[Any], parts: NDArray[Any], weight: NDArray[Any]
) -> tuple[float, tuple[float, float]]:
    """Return the exponent and its 95 % interval, by leaving out one group of places at a time."""
    import numpy as np

    u = (x - model.origin) / model.span
    others = []
    for y in parts:
        parameters, _ = _fit(model.shape, model.parameters, u, y, weight, steps=6)
        others.append(_bounded(parameters[2]))
    count = len(others)
    centre = math.log(model.exponent)
    error = math.sqrt((count - 1) / count * float(np.sum((np.array(others) - np.mean(others)) ** 2)))
    reach = 2.36 * math.hypot(error, 0.002)
    return model.exponent, (math.exp(centre - reach), math.exp(centre + reach))


def _line(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.clip(parameters[0] + parameters[1] * u, LOW, HIGH)


def _power(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
    """From black to white, then the power."""
    import numpy as np

    black, white, logarithm = parameters
    reach = white - black if abs(white - black) > 1e-3 else 1e-3
    return HIGH * np.clip((u - black) / reach, 0, 1) ** math.exp(_bounded(logarithm))


def _power_fall(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
    return HIGH - _power(parameters, u)


def _power_turned(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
    """Inverted first, then the power."""
    import numpy as np

    black, white, logarithm = parameters
    reach = white - black if abs(white - black) > 1e-3 else 1e-3
    return HIGH * np.clip(1 - (u - black) / reach, 0, 1) ** math.exp(_bounded(logarithm))


def _raised(zero: float) -> Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]:
    """A power from the original's zero, then stretched."""

    def shape(parameters: NDArray[Any], u: NDArray[Any]) -> NDArray[Any]:
        import numpy as np

        level, rise, logarithm = parameters
        raised = np.maximum((u - zero) / (1 - zero), 0) ** math.exp(_bounded(logarithm))
        first = max(-zero / (1 - zero), 0.0) ** math.exp(_bounded(logarithm))
        return np.clip(level + rise * (raised - first) / max(1 - first, 1e-6), LOW, HIGH)

    return shape


def _bounded(logarithm: float) -> float:
    return min(max(float(logarithm), math.log(_EXPONENTS[0])), math.log(_EXPONENTS[1]))


def _fit(
    shape: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]],
    begin: NDArray[Any],
    u: NDArray[Any],
    y: NDArray[Any],
    weight: NDArray[Any],
    *,
    steps: int = _STEPS,
) -> tuple[NDArray[Any], float]:
    """Levenberg-Marquardt with soft outliers, on some hundred points; returns parameters and cost."""
    import numpy as np

    root = np.sqrt(weight / weight.mean())
    scale = 2.0

    def residuals(values: NDArray[Any]) -> NDArray[Any]:
        return root * (shape(values, u) - y)

    def cost_of(rest: NDArray[Any]) -> float:
        return float((2 * scale**2 * (np.sqrt(1 + (rest / scale) ** 2) - 1)).sum())

    at = begin.astype(float)
    rest = residuals(at)
    cost, damping = cost_of(rest), 1e-3
    for _ in range(steps):
        jacobian = np.stack([(residuals(at + move) - rest) / 1e-5 for move in 1e-5 * np.eye(len(at))], axis=1)
        soft = 1 / np.sqrt(1 + (rest / scale) ** 2)
        hessian, gradient = (jacobian.T * soft) @ jacobian, (jacobian.T * soft) @ rest
        for _ in range(6):
            lifted = hessian + damping * np.diag(np.maximum(np.diag(hessian), 1e-9))
            tried = at - np.linalg.lstsq(lifted, gradient, rcond=None)[0]
            new_rest = residuals(tried)
            new_cost = cost_of(new_rest)
            if new_cost < cost:
                break
            damping *= 6
        else:
            break
        gained = cost - new_cost
        at, rest, cost, damping = tried, new_rest, new_cost, max(damping / 8, 1e-9)
        if gained < 1e-7 * (cost + 1e-9):
            break
    return at, cost
