"""How well a strip agrees with a place: registration, the curve between brightnesses, and what detail says.

Broad agreement decides nothing: lanes that carry the same load look alike. After registration the curve
that explains the strip's brightness is taken away, and what counts is how much
of the detail (edges, ragged contours, grain, dust) the place explains. Where
both are clipped there is nothing to compare; the contour of what is clipped
still counts, for the pixels along it are in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import computer_vision
from rawtrace.match.strips.search import Place

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Longer strips are reduced before they are registered.
LONGEST_STRIP = 900
#: Pixels of the strip in the first, quick registration.
QUICK_PIXELS = 3_000.0
#: Less of the strip than this inside the original is no place.
LEAST_COVERED = 0.75
_BINS = 48


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """A place after registration.

    Attributes
    ----------
    place : Place
        With the refined map; its score is the correlation of brightness.
    detail : float
        Correlation of fine detail, -1 to 1.
    shape : float
        Correlation of coarser detail, -1 to 1.
    covered : float
        Share of the strip that lies inside the original, 0 to 1.
    """

    place: Place
    detail: float
    shape: float
    covered: float


def refine(query: NDArray[Any], place: Place, original: NDArray[Any], *, quick: bool = False) -> Agreement | None:
    """Register a strip with one place, and say how well they agree.

    Parameters
    ----------
    query, original : ndarray of float32
        (Y, X), grey, each with its own range.
    place : Place
        Where the search found it; polarity is decided anew.
    quick : bool
        On a reduced strip, for ranking places only.

    Returns
    -------
    Agreement or None
        ``None`` where there is too little in common to compare.
    """
    import numpy as np

    cv2 = computer_vision()
    height, width = query.shape
    shrink = min(1.0, LONGEST_STRIP / max(height, width), math.sqrt(QUICK_PIXELS / query.size) if quick else 1.0)
    size = (max(8, round(width * shrink)), max(6, round(height * shrink)))
    fx, fy = size[0] / width, size[1] / height
    small = np.array([[fx, 0, 0.5 * fx - 0.5], [0, fy, 0.5 * fy - 0.5], [0, 0, 1]])
    strip = cv2.resize(query, size, interpolation=cv2.INTER_AREA) if shrink < 1 else query
    matrix = small @ np.vstack([place.matrix, [0, 0, 1]])
    inverted: bool | None = None
    for blur in (9, 5):
        warped, mask = _warped(original, matrix, size)
        if mask.mean() < LEAST_COVERED:
            return None
        if inverted is None:
            inverted = _correlation(warped, strip, mask) < 0
        fitted = _curve(warped, strip, mask, inverted=inverted)
        if fitted is None:
            return None
        step = np.eye(2, 3, dtype=np.float32)
        criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 14 if quick else 40, 1e-4)
        try:
            _, step = cv2.findTransformECC(
                strip, fitted, step, cv2.MOTION_AFFINE, criteria, mask.astype(np.uint8), blur
            )
        except cv2.error:
            break
        moved = np.vstack([step, [0, 0, 1]]).astype(float)
        if not np.isfinite(moved).all() or not _gentle(moved, size):
            break
        matrix = np.linalg.inv(moved) @ matrix
    warped, mask = _warped(original, matrix, size)
    fitted = _curve(warped, strip, mask, inverted=bool(inverted)) if mask.mean() >= LEAST_COVERED else None
    if fitted is None:
        return None
    fitted, strip = _clipped_alike(warped, fitted, strip, inverted=bool(inverted))
    seen = mask & ~_both_clipped(fitted, strip)
    broad = _correlation(fitted, strip, mask)
    detail = _correlation(_high(fitted, 1.5), _high(strip, 1.5), seen)
    shape = _correlation(_high(fitted, 4.0), _high(strip, 4.0), seen)
    final = (np.linalg.inv(small) @ matrix)[:2]
    return Agreement(Place(place.member, final, broad, bool(inverted)), detail, shape, float(mask.mean()))


def _warped(original: NDArray[Any], matrix: NDArray[Any], size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the place as the strip would show it, and where the original has pixels."""
    import numpy as np

    cv2 = computer_vision()
    back = np.linalg.inv(matrix)
    corners = back @ np.array([[0, size[0], 0, size[0]], [0, 0, size[1], size[1]], [1, 1, 1, 1]], float)
    height, width = original.shape
    x0, y0 = (max(0, math.floor(corners[axis].min()) - 8) for axis in (0, 1))
    x1, y1 = (min(edge, math.ceil(corners[axis].max()) + 9) for axis, edge in ((0, width), (1, height)))
    if x1 - x0 < 4 or y1 - y0 < 4:
        return np.zeros(size[::-1], np.float32), np.zeros(size[::-1], bool)
    part = original[y0:y1, x0:x1].astype(np.float32)
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:2, :2]))))
    if scale < 0.95:
        part = cv2.GaussianBlur(part, (0, 0), 0.45 * math.sqrt(1 / scale**2 - 1))
    local = matrix @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1.0]])
    warped = cv2.warpAffine(part, local[:2], size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    y, x = np.mgrid[: size[1], : size[0]]
    there_x = back[0, 0] * x + back[0, 1] * y + back[0, 2]
    there_y = back[1, 0] * x + back[1, 1] * y + back[1, 2]
    mask = (there_x >= 0) & (there_y >= 0) & (there_x <= width - 1) & (there_y <= height - 1)
    return warped, mask


def _curve(warped: NDArray[Any], strip: NDArray[Any], mask: NDArray[Any], *, inverted: bool) -> NDArray[Any] | None:
    """Return the place with the monotone curve that explains the strip's brightness best; ``None`` where it is flat."""
    import numpy as np

    x, y = warped[mask], strip[mask]
    if x.size < 60:
        return None
    low, high = float(x.min()), float(x.max())
    if high - low < 1e-6 or float(np.ptp(y)) < 1e-6:
        return None
    edges = np.unique(np.concatenate([np.quantile(x[:: max(1, x.size // 4_000)], np.linspace(0, 1, _BINS // 2)),
                                      np.linspace(low, high, _BINS // 2)]))  # fmt: skip
    bins = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 1)
    count = np.bincount(bins, minlength=len(edges)).astype(float)
    has = count > 0
    middles = np.bincount(bins, x, len(edges))[has] / count[has]
    means = np.bincount(bins, y, len(edges))[has] / count[has]
    sign = -1.0 if inverted else 1.0
    rising = _isotonic(sign * means, count[has])
    if rising[-1] - rising[0] < 1e-6:
        return None
    return np.asarray(np.interp(warped, middles, sign * rising), np.float32)


def _isotonic(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[Any]:
    """Return the nearest rising sequence (pool adjacent violators)."""
    import numpy as np

    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append((value, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    return np.repeat([block[0] for block in blocks], [block[2] for block in blocks])


def _both_clipped(fitted: NDArray[Any], strip: NDArray[Any]) -> NDArray[Any]:
    """Tell where strip and place both lie at the same end of the strip's range, away from what is not."""
    import numpy as np

    cv2 = computer_vision()
    low, high = float(strip.min()), float(strip.max())
    near = 0.02 * (high - low)
    clipped = np.zeros(strip.shape, bool)
    for end in (low, high):
        here = np.abs(strip - end) <= near
        if here.mean() > 0.05:
            clipped |= here & (np.abs(fitted - end) <= 2 * near)
    inside = cv2.erode(clipped.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=1)
    return np.asarray(inside > 0)


def _clipped_alike(
    warped: NDArray[Any], fitted: NDArray[Any], strip: NDArray[Any], *, inverted: bool
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Clip both where the original is clipped, as renderings of 8 bits are in their strongest bands."""
    import numpy as np

    low, high = float(warped.min()), float(warped.max())
    for end, upper in ((low, inverted), (high, not inverted)):
        off = np.abs(warped - end) / max(high - low, 1e-9)
        near = (off > 0.003) & (off < 0.06)
        if (off <= 0.003).mean() < 0.02 or near.sum() < 12:
            continue
        level = float(np.median(strip[near]))
        bounds = (None, level) if upper else (level, None)
        fitted, strip = np.clip(fitted, *bounds), np.clip(strip, *bounds)
    return fitted, strip


def _high(picture: NDArray[Any], sigma: float) -> NDArray[Any]:
    import numpy as np

    cv2 = computer_vision()
    fine = cv2.GaussianBlur(picture, (0, 0), sigma / 3)
    return np.asarray(fine - cv2.GaussianBlur(picture, (0, 0), sigma))


def _correlation(one: NDArray[Any], other: NDArray[Any], mask: NDArray[Any]) -> float:
    import numpy as np

    a, b = one[mask], other[mask]
    if a.size < 40:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float((a**2).sum()) * float((b**2).sum()))
    return float((a * b).sum() / norm) if norm > 1e-9 and np.isfinite(norm) else 0.0


def _gentle(moved: NDArray[Any], size: tuple[int, int]) -> bool:
    """Tell whether a correction stays near the place it began at."""
    import numpy as np

    corners = np.array([[0, size[0], 0, size[0]], [0, 0, size[1], size[1]], [1, 1, 1, 1]], float)
    off = np.abs((moved @ corners)[:2] - corners[:2]).max(1)
    return bool(off[0] < 0.12 * size[0] and off[1] < max(0.6 * size[1], 0.06 * size[0]))
