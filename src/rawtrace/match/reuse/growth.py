"""How far two places are alike: the map refined, the area grown, the likeness of the finest detail measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rawtrace.match.features import computer_vision

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Local correlation within a circle of about this radius, px.
RADIUS = 4
_ALIKE = 0.75
#: Variance that rounding to grey levels adds to every difference.
_ROUNDING = 0.25
#: Squared differences for one of what is expected, at which an area ends.
_LEVELS = (2.0, 5.0)
#: Smaller areas say nothing.
MIN_AREA = 60


def refine(
    picture: NDArray[Any], matrix: NDArray[Any], target: NDArray[Any], *, source: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Improve a map on the pixels around the points of the target, by enhanced correlation.

    Parameters
    ----------
    picture : ndarray of float32
    matrix : ndarray
        Source to target.
    target : ndarray
        (N, 2) points of the target that are believed.
    source : ndarray of bool or None
        Look at these pixels of the source only.
    """
    cv2 = computer_vision()
    import numpy as np

    height, width = picture.shape
    low = np.maximum(np.floor(target.min(0)) - 6, 0).astype(int)
    high = np.minimum(np.ceil(target.max(0)) + 7, (width, height)).astype(int)
    if (high - low < 16).any():
        middle = (low + high) // 2
        low = np.maximum(middle - 8, 0)
        high = np.minimum(low + 16, (width, height))
        low = np.maximum(high - 16, 0)
    piece = picture[low[1] : high[1], low[0] : high[0]]
    # ECC wants the map from the template (the piece of the target) to the input (the picture).
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    back = back.copy()
    back[:, 2] += back[:, :2] @ low
    # Only what surrounds the source is needed.
    corners = (
        np.array([[0, 0], [high[0] - low[0], 0], [0, high[1] - low[1]], high - low], float) @ back[:, :2].T + back[:, 2]
    )
    first = np.clip(np.floor(corners.min(0)) - 12, 0, (width, height)).astype(int)
    last = np.clip(np.ceil(corners.max(0)) + 13, 0, (width, height)).astype(int)
    if (last - first < 16).any() or piece.std() < 1e-3:
        return matrix
    back[:, 2] -= first
    part = slice(first[1], last[1]), slice(first[0], last[0])
    mask = None if source is None else np.ascontiguousarray(source[part].astype(np.uint8))
    try:
        _, better = cv2.findTransformECC(
            np.ascontiguousarray(piece),
            np.ascontiguousarray(picture[part]),
            back.astype(np.float32),
            cv2.MOTION_AFFINE,
            (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-5),
            mask,
            3,
        )
    except cv2.error:
        return matrix
    better = better.astype(np.float64)
    better[:, 2] += first
    better[:, 2] -= better[:, :2] @ low
    try:
        result: NDArray[Any] = np.linalg.inv(np.vstack([better, [0, 0, 1]]))[:2]
    except np.linalg.LinAlgError:
        return matrix
    moved = target @ (np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2])[:, :2].T
    moved2 = target @ better[:, :2].T + better[:, 2]
    moved = moved + np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2][:, 2]
    return result if np.sqrt(((moved - moved2) ** 2).sum(1)).max() < 6 else matrix


def likeness(first: NDArray[Any], second: NDArray[Any], radius: float, floor: float) -> NDArray[Any]:
    """Return the local correlation of two pictures; ``floor`` is the variance below which nothing is said."""
    cv2 = computer_vision()
    import numpy as np

    def mean(values: NDArray[Any]) -> NDArray[Any]:
        return cv2.GaussianBlur(values, (0, 0), radius / 2)  # type: ignore[no-any-return]

    a, b = mean(first), mean(second)
    va = np.maximum(mean(first * first) - a * a, 0)
    vb = np.maximum(mean(second * second) - b * b, 0)
    both = mean(first * second) - a * b
    result: NDArray[Any] = both / np.sqrt(np.maximum(va, floor) * np.maximum(vb, floor))
    return result


def grow(picture: NDArray[Any], matrix: NDArray[Any], seeds: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Grow the target area from its seeds as far as the pixels are roughly alike.

    Returns
    -------
    target : ndarray of bool
    warped : ndarray of float32
        The picture moved by the map; ``None`` where nothing grew.
    """
    import numpy as np
    from scipy import ndimage

    warped, inside = warp(picture, matrix)
    alike = likeness(picture, warped, RADIUS, 0.5)
    target = _around(ndimage.binary_opening((alike > _ALIKE) & inside), seeds)
    return (target, warped) if np.count_nonzero(target) >= MIN_AREA else None


def settle(
    picture: NDArray[Any], warped: NDArray[Any], inside: NDArray[Any], core: NDArray[Any], error: NDArray[Any]
) -> NDArray[Any]:
    """Draw the border of an area whose middle is known, by how large the differences are for what is expected.

    A pixel belongs to it when its surroundings differ no more than moving and
    compression explain, and there is something to see. Where there is nothing
    to see, it belongs when it is enclosed.

    Parameters
    ----------
    picture, warped, error : ndarray of float32
        The second is the first, moved; the third what one expects them to differ by.
    inside, core : ndarray of bool
    """
    cv2 = computer_vision()
    import numpy as np
    from scipy import ndimage

    def mean(values: NDArray[Any], radius: float) -> NDArray[Any]:
        return cv2.GaussianBlur(values, (0, 0), radius)  # type: ignore[no-any-return]

    squared = error * error + _ROUNDING
    expected = mean(squared, 1.6)
    smooth = mean(picture, 2.5)
    variance = np.maximum(mean(picture * picture, 2.5) - smooth * smooth, 0)
    visible = variance > 2 * mean(squared, 2.5)
    chosen = core
    for _ in range(2):
        # What is alike by chance, or next to the area, does not tell the tone.
        gain, offset = tone(picture[chosen], warped[chosen])
        difference = (picture - (gain * warped + offset)) ** 2
        times = mean(difference, 1.6) / expected
        level = float(np.clip(2.5 * np.percentile(times[core], 30), *_LEVELS))
        better = core & (times < level)
        if np.count_nonzero(better) < MIN_AREA:
            return np.zeros_like(core)
        chosen = better
    alike = inside & (times < level)
    sure = ndimage.binary_opening(alike & visible, iterations=1)
    sure = _holding(sure | chosen, chosen)
    reach = max(2, round(0.4 * float(np.sqrt(np.count_nonzero(sure)))))
    enclosed = _closed(sure, reach) & (alike | _closed(sure, 3))
    area = ndimage.binary_opening(ndimage.binary_fill_holes(enclosed), iterations=2)
    area = _holding(area, chosen & area)
    # Means of surroundings end before the border does.
    close = inside & (mean(difference, 0.7) / mean(squared, 0.7) < 2 * level)
    for _ in range(2):
        area = area | (ndimage.binary_dilation(area) & close)
    result: NDArray[Any] = ndimage.binary_opening(area)
    return result


def _holding(area: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """Keep the connected parts of an area that hold something wanted."""
    import numpy as np
    from scipy import ndimage

    labels, _ = ndimage.label(area)
    numbers = np.unique(labels[wanted])
    result: NDArray[Any] = np.isin(labels, numbers[numbers > 0])
    return result


def warp(picture: NDArray[Any], matrix: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Move a picture by a map; also say where there was something to move."""
    cv2 = computer_vision()
    import numpy as np

    size = picture.shape[1], picture.shape[0]
    moved = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones(picture.shape, np.uint8), matrix, size, flags=cv2.INTER_NEAREST) > 0
    return moved, inside


def brought_back(target: NDArray[Any], matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the mask of the source for that of the target."""
    cv2 = computer_vision()
    import numpy as np

    result: NDArray[Any] = cv2.warpAffine(
        target.astype(np.uint8), matrix, target.shape[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    ).astype(bool)
    return result


def improved(picture: NDArray[Any], matrix: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
    """Improve a map by its pixels, without shear, on whole pixels and quarter turns; keep what fits best."""
    import numpy as np
    from scipy import ndimage

    ys, xs = np.nonzero(target)
    source = ndimage.binary_dilation(brought_back(target, matrix), iterations=3)
    tried: list[NDArray[Any]] = []
    middle = np.array([xs.mean(), ys.mean()])
    for start in (matrix, refine(picture, matrix, np.c_[xs, ys].astype(float), source=source)):
        tried.append(start)
        back = np.linalg.inv(start[:, :2]) @ (middle - start[:, 2])
        u, values, vt = np.linalg.svd(start[:, :2])
        plain = u @ vt * values.mean()
        tried.append(np.c_[plain, middle - plain @ back])
        quarter = np.round(u @ vt)
        if np.abs(quarter - start[:, :2]).max() < 0.06 and abs(abs(np.linalg.det(quarter)) - 1) < 1e-9:
            tried.append(np.c_[quarter, np.round(middle - quarter @ back)])
    rows = slice(max(int(ys.min()) - 2, 0), int(ys.max()) + 3)
    columns = slice(max(int(xs.min()) - 2, 0), int(xs.max()) + 3)
    here, inside = picture[rows, columns], target[rows, columns]
    fine = _fine(here)[inside]
    scores = [pearson(fine, _fine(_window(picture, one, rows, columns))[inside]) for one in tried]
    best = max(range(len(tried)), key=scores.__getitem__)
    return tried[best]


def _fine(values: NDArray[Any]) -> NDArray[Any]:
    cv2 = computer_vision()

    result: NDArray[Any] = values - cv2.GaussianBlur(values, (0, 0), 2.0)
    return result


def _window(picture: NDArray[Any], matrix: NDArray[Any], rows: slice, columns: slice) -> NDArray[Any]:
    cv2 = computer_vision()

    moved = matrix.copy()
    moved[:, 2] -= (columns.start, rows.start)
    height = min(rows.stop, picture.shape[0]) - rows.start
    width = min(columns.stop, picture.shape[1]) - columns.start
    result: NDArray[Any] = cv2.warpAffine(
        picture, moved, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return result


def _around(area: NDArray[Any], seeds: NDArray[Any]) -> NDArray[Any]:
    """Keep the connected parts of an area that hold or touch a seed."""
    import numpy as np
    from scipy import ndimage

    height, width = area.shape
    labels, _ = ndimage.label(area)
    at = np.clip(np.round(seeds).astype(int), 0, (width - 1, height - 1))
    near = np.zeros_like(area)
    near[at[:, 1], at[:, 0]] = True
    wanted = np.unique(labels[ndimage.binary_dilation(near, iterations=4) & area])
    result: NDArray[Any] = np.isin(labels, wanted[wanted > 0])
    return result


def _closed(area: NDArray[Any], reach: int) -> NDArray[Any]:
    cv2 = computer_vision()
    import numpy as np

    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    padded = np.pad(area.astype(np.uint8), reach)
    result: NDArray[Any] = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disk)[reach:-reach, reach:-reach] > 0
    return result


def tone(shown: NDArray[Any], moved: NDArray[Any]) -> tuple[float, float]:
    """Fit gain and offset of the second place; none where there is too little to fit."""
    import numpy as np

    mean, other = float(shown.mean()), float(moved.mean())
    spread = float(((moved - other) ** 2).mean())
    if spread < 1e-3:
        return 1.0, mean - other
    gain = float(np.clip(((shown - mean) * (moved - other)).mean() / spread, 0.3, 3.0))
    return gain, mean - gain * other


def correlations(
    picture: NDArray[Any], warped: NDArray[Any], area: NDArray[Any], sigma: float = 1.5
) -> tuple[float, float]:
    """Correlate an area with what was moved there: everything, and fine detail away from edges."""
    cv2 = computer_vision()
    import numpy as np

    ys, xs = np.nonzero(area)
    if len(ys) < 16:
        return 0.0, 0.0
    pad = 8
    rows = slice(max(int(ys.min()) - pad, 0), int(ys.max()) + pad + 1)
    columns = slice(max(int(xs.min()) - pad, 0), int(xs.max()) + pad + 1)
    a, b, inside = picture[rows, columns], warped[rows, columns], area[rows, columns]
    fine_a = a - cv2.GaussianBlur(a, (0, 0), sigma)
    fine_b = b - cv2.GaussianBlur(b, (0, 0), sigma)
    smooth = cv2.GaussianBlur(a, (0, 0), sigma)
    steep = cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
    calm = inside & (steep <= np.percentile(steep[inside], 60))
    return pearson(a[inside], b[inside]), pearson(fine_a[calm], fine_b[calm])


def pearson(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Correlate two lists of values; 0 where there are too few or nothing varies."""
    import numpy as np

    if len(a) < 16:
        return 0.0
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / norm) if norm > 1e-6 else 0.0


def elsewhere(picture: NDArray[Any], warped: NDArray[Any], target: NDArray[Any], source: NDArray[Any]) -> float:
    """Compare the detail of an area with every third place, unturned.

    Returns
    -------
    float
        The best correlation with a third place for one of 1 with the second; 0 where there is no room for one.
    """
    cv2 = computer_vision()
    import numpy as np

    ys, xs = np.nonzero(target)
    top, bottom = np.percentile(ys, (12, 88)).astype(int)
    left, right = np.percentile(xs, (12, 88)).astype(int)
    # A middle of this size is enough, and small enough to have a third place.
    top, bottom = max(top, (top + bottom) // 2 - 40), min(bottom, (top + bottom) // 2 + 40)
    left, right = max(left, (left + right) // 2 - 40), min(right, (left + right) // 2 + 40)
    if min(bottom - top, right - left) < 6:
        return 0.0
    fine = cv2.GaussianBlur(picture, (0, 0), 0.8) - cv2.GaussianBlur(picture, (0, 0), 3.0)
    box = slice(top, bottom + 1), slice(left, right + 1)
    piece = np.ascontiguousarray(fine[box])
    second = (cv2.GaussianBlur(warped, (0, 0), 0.8) - cv2.GaussianBlur(warped, (0, 0), 3.0))[box]
    pair = pearson(piece.ravel(), second.ravel())
    if pair <= 0.05:
        return 1.0
    score = cv2.matchTemplate(fine, piece, cv2.TM_CCOEFF_NORMED)
    h, w = piece.shape
    # Where there is nothing to see, the normalised correlation means nothing.
    power = cv2.boxFilter(fine * fine, -1, (w, h), anchor=(0, 0))[: score.shape[0], : score.shape[1]]
    score[power < 0.15 * float((piece * piece).mean())] = -1
    sy, sx = np.nonzero(source)
    for y, x in ((int(top), int(left)), (round(float(sy.mean()) - h / 2), round(float(sx.mean()) - w / 2))):
        reach_y, reach_x = max(3, round(0.6 * h)), max(3, round(0.6 * w))
        score[max(y - reach_y, 0) : max(y + reach_y + 1, 0), max(x - reach_x, 0) : max(x + reach_x + 1, 0)] = -1
    return float(max(score.max(), 0.0)) / pair
