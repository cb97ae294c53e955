"""Splits a figure into its panels where straight gutters of one shade run between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

Part = tuple[int, int, int, int]
#: Shorter sides than this, px, are no panels but letters and scale bars.
MIN_EDGE = 40
_MAX_DEPTH = 8
_MAX_PARTS = 64
_MIN_GUTTER = 3


def panels(figure: NDArray[Any]) -> tuple[Part, ...]:
    """Return the panels of a figure, largest first.

    Rows and columns that are all of the shade of the figure's border, or nearly
    so, are gutters; what lies between is split again. A figure without gutters is one panel.

    Parameters
    ----------
    figure : ndarray of uint8
        (Y, X).

    Returns
    -------
    tuple of (left, top, right, bottom)
        px; right and bottom are the first that no longer belong.
    """
    import numpy as np

    height, width = figure.shape
    if min(height, width) < 2 * MIN_EDGE:
        return ((0, 0, width, height),)
    empty = _empty(figure)
    if empty is None:
        return ((0, 0, width, height),)
    found: list[Part] = []
    waiting = [((0, 0, width, height), 0)]
    while waiting and len(found) + len(waiting) <= _MAX_PARTS:
        (left, top, right, bottom), depth = waiting.pop()
        part = empty[top:bottom, left:right]
        pieces = None
        if depth < _MAX_DEPTH:
            for axis in (0, 1):
                runs = _runs(np.asarray(part.mean(axis=1 - axis)) > 0.995)
                if len(runs) > 1 or (runs and runs[0] != (0, part.shape[axis])):
                    pieces = [
                        (left, top + a, right, top + b) if axis == 0 else (left + a, top, left + b, bottom)
                        for a, b in runs
                    ]
                    break
        if pieces is None:
            found.append((left, top, right, bottom))
        else:
            waiting += [(piece, depth + 1) for piece in pieces]
    large = [one for one in found if min(one[2] - one[0], one[3] - one[1]) >= MIN_EDGE]
    return tuple(sorted(large, key=lambda one: -(one[2] - one[0]) * (one[3] - one[1])))


def _empty(figure: NDArray[Any]) -> NDArray[Any] | None:
    """Tell which pixels have the shade of the border, quite white or quite black; ``None`` where it has none."""
    for shade, empty in ((255, figure >= 248), (0, figure <= 7)):
        if empty.mean() > 0.02 and shade in {0, 255}:
            lines = (empty.mean(axis=0) > 0.995).sum() + (empty.mean(axis=1) > 0.995).sum()
            if lines >= _MIN_GUTTER:
                return empty
    return None


def _runs(gutter: NDArray[Any]) -> list[tuple[int, int]]:
    """Return where something is, between gutters that are wide enough."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.r_[True, gutter, True].astype(np.int8)))
    runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    joined: list[tuple[int, int]] = []
    for run in runs:
        if joined and run[0] - joined[-1][1] < _MIN_GUTTER:
            joined[-1] = (joined[-1][0], run[1])
        else:
            joined.append(run)
    return joined
