"""The transfer curve behind lossy steps: what compression and resizing keep are averages over small blocks.

JPEG at low quality takes the noise away and keeps the means, so that single
pixels no longer follow the curve: for a given value of the original their mean
is drawn to the picture's. The mean of a block is still the mean of the curve
over the block's original values. With the curve as heights over some nodes
this is linear, and is solved for all blocks at once, edited ones losing weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

NODES = 96
#: Blocks are this large, px, or smaller in small pictures, so that there are about ``ENOUGH`` of them.
LARGEST, SMALLEST, ENOUGH, MOST = 8, 3, 2_000, 5_000
#: How far a node's height is expected to be from the line between its neighbours, grey levels.
_BEND = 1.5
_ROUNDS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Unmixed:
    """Heights of the curve over nodes, and the equations behind them.

    Attributes
    ----------
    x, y, error : ndarray
        Values of the original, published values and their standard errors.
    count : ndarray
        Pixels that a node stands for.
    systems : tuple of (normal matrix, right side)
        Of all blocks first, then without the blocks of one group each; weights sum to 1.
    noise : float
        Deviation of block means from the curve's, robust, grey levels.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    error: NDArray[Any]
    count: NDArray[Any]
    systems: tuple[tuple[NDArray[Any], NDArray[Any]], ...]
    noise: float


def unmix(
    warped: NDArray[Any],
    target: NDArray[Any],
    mask: NDArray[Any],
    *,
    groups: int,
    start: tuple[NDArray[Any], NDArray[Any]],
    within: int = 1,
) -> Unmixed | None:
    """Solve for the curve.

    Parameters
    ----------
    warped : ndarray of float32
        (Y * within, X * within): the original, ``within`` samples to a published pixel and axis.
    target : ndarray of float32
        (Y, X).
    mask : ndarray of bool
        (Y, X).
    groups : int
        Into how many groups places are dealt for ``parts``.
    start : tuple of ndarray
        (x, y): the curve as single pixels say it, from which edited blocks are told at first.
    """
    import numpy as np

    size = int(np.clip(math.sqrt(mask.sum() / ENOUGH), SMALLEST, LARGEST))
    rows, columns = mask.shape[0] // size, mask.shape[1] // size
    full = mask[: rows * size, : columns * size].reshape(rows, size, columns, size).all((1, 3))
    if full.sum() < 40:
        return None
    if full.sum() > MOST:
        full &= np.random.default_rng(2).random(full.shape) < MOST / full.sum()
    fine = size * within
    number = np.where(full, np.cumsum(full).reshape(full.shape) - 1, -1)
    which = np.repeat(np.repeat(number, fine, 0), fine, 1)
    values = warped[: rows * fine, : columns * fine]
    values, which = values[which >= 0], which[which >= 0]
    nodes = _nodes(values)
    if nodes is None:
        return None
    low = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
    share = np.clip((values - nodes[low]) / (nodes[low + 1] - nodes[low]), 0, 1)
    blocks, length = int(full.sum()), len(nodes)
    cells = blocks * length
    below = np.bincount(which * length + low, 1 - share, minlength=cells)
    above = np.bincount(which * length + low + 1, share, minlength=cells)
    design = (below + above).reshape(blocks, length) / fine**2
    means = target[: rows * size, : columns * size].reshape(rows, size, columns, size).mean((1, 3))[full]
    y, x = np.nonzero(full)
    tile = max(2, min(rows, columns) // 8)
    group = (y // tile * 3 + x // tile) % groups
    heights = np.interp(nodes, *start)
    return _solve(nodes, design, means.astype(float), group, groups, size**2, heights)


def _nodes(values: NDArray[Any]) -> NDArray[Any] | None:
    import numpy as np

    some = values[:: max(1, values.size // 40_000)]
    low, high = float(values.min()), float(values.max())
    quantiles = np.quantile(some, np.linspace(0, 1, NODES // 2 + 1))
    nodes = np.unique(np.concatenate([quantiles, np.linspace(low, high, NODES // 2 + 1), [low, high]]))
    kept = [float(nodes[0])]
    for node in nodes[1:]:
        if node - kept[-1] > 0.004 * (high - low):
            kept.append(float(node))
    kept[-1] = high
    return np.array(kept) if len(kept) >= 4 and high > low else None


def _solve(
    nodes: NDArray[Any],
    design: NDArray[Any],
    means: NDArray[Any],
    group: NDArray[Any],
    groups: int,
    pixels: int,
    heights: NDArray[Any],
) -> Unmixed:
    import numpy as np

    length = len(nodes)
    bends = np.zeros((length - 2, length))
    for row in range(length - 2):
        left, here, right = nodes[row : row + 3]
        bends[row, row : row + 3] = (right - here) / (right - left), -1, (here - left) / (right - left)
    # Near black and white, rounding does not average out.
    even = _evened(design @ heights) * np.where((means < 1.5) | (means > 253.5), 0.2, 1.0)
    rest = means - design @ heights
    for _ in range(_ROUNDS):
        noise = max(1.4826 * _weighted_median(np.abs(rest), even), 0.15)
        # Tukey's weights: blocks that were edited or written over lose all say.
        weight = even * (np.clip(1 - (rest / (6 * noise)) ** 2, 0, 1) ** 2 + 1e-4)
        stiff = (noise / _BEND) ** 2 * bends.T @ bends + 1e-6 * np.eye(length)
        weighted = design * weight[:, None]
        normal = weighted.T @ design + stiff
        heights = np.linalg.solve(normal, weighted.T @ means)
        rest = means - design @ heights
    error = noise * np.sqrt(np.diag(np.linalg.inv(normal)))
    systems = []
    for place in range(-1, groups):
        chosen = group != place
        part, share = design[chosen], weight[chosen] / weight[chosen].sum()
        systems.append((part.T @ (part * share[:, None]), part.T @ (share * means[chosen])))
    return Unmixed(nodes, heights, error, design.sum(0) * pixels, tuple(systems), noise)


def _weighted_median(values: NDArray[Any], weights: NDArray[Any]) -> float:
    import numpy as np

    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _evened(means: NDArray[Any]) -> NDArray[Any]:
    """Weigh blocks so that rare brightnesses, as expected, have a say beside a large background."""
    import numpy as np

    low, high = float(means.min()), float(means.max())
    level = np.clip(((means - low) * (16 / max(high - low, 1e-9))).astype(int), 0, 15)
    count = np.bincount(level, minlength=16)
    weight = 1 / np.maximum(count, max(count.max() / 30, 8))
    return np.asarray(weight[level] * (len(means) / weight[level].sum()))
