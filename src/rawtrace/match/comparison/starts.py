"""First guesses of where a published picture lies in an original: from local features, or from the whole picture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.geometry import apply, compose, corners, invert, right_angles, scale_of, scaling
from rawtrace.match.features import computer_vision

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Features are looked for in pictures whose longest edge is about this, px, and then in larger ones if too few agree.
WORKING_EDGES = (560, 1_600)
KEYPOINTS = (900, 3_000)
#: Of two nearest descriptors, how much nearer the first must be.
RATIO = 0.85
#: This many agreeing points leave no doubt; other variants are not tried.
CERTAIN = 40
MIN_INLIERS = 6
#: The whole-picture search works at about this longest edge, px.
DENSE_EDGE = 160
_DENSE_SCALES = (1.0, 0.84, 0.7, 0.6, 0.5, 0.42, 0.35, 0.3, 0.25)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A guess.

    Attributes
    ----------
    matrix : ndarray
        Original to published picture.
    inliers : int
        Points that agree, 0 where none were asked.
    likely : bool
        Whether it is one of a few that need no search: the whole frame, or what a search found before.
    """

    matrix: NDArray[Any]
    inliers: int = 0
    likely: bool = False


def stretched(grey: NDArray[Any]) -> NDArray[Any]:
    """Return a grey picture as uint8 between percentiles 0.35 and 99.65."""
    import numpy as np

    step = max(1, int(math.sqrt(grey.size / 250_000)))
    low, high = np.percentile(grey[::step, ::step], (0.35, 99.65))
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-30):
        low, high = float(grey.min()), float(grey.max())
    if not high > low:
        return np.zeros(grey.shape, np.uint8)
    return np.asarray(np.clip((grey - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8))


def from_features(original: NDArray[Any], published: NDArray[Any]) -> Iterator[Start]:
    """Yield guesses from SIFT features in four variants, best first for each working size.

    Parameters
    ----------
    original, published : ndarray of uint8
        (Y, X).
    """
    for edge, limit in zip(WORKING_EDGES, KEYPOINTS, strict=True):
        ours, theirs = _features(original, edge, limit), _features(published, edge, limit)
        found: list[Start] = []
        for mirrored, inverted in itertools.product((False, True), repeat=2):
            start = _agree(ours, theirs, mirrored=mirrored, inverted=inverted)
            if start is not None:
                found.append(start)
                if start.inliers >= CERTAIN:
                    break
        yield from sorted(found, key=lambda start: -start.inliers)[:2]
        if max(*original.shape, *published.shape) <= edge:
            return


def from_frame(original: tuple[int, ...], published: tuple[int, ...]) -> Iterator[Start]:
    """Yield the guesses that the whole original is shown, turned or mirrored by right angles and resized."""
    for turn in right_angles(original):
        width, height = apply(turn, corners(original)).max(0) + 1
        factor_x, factor_y = published[1] / width, published[0] / height
        if abs(factor_x / factor_y - 1) < 0.02:
            yield Start(compose(scaling(factor_x, factor_y), turn), likely=True)


def from_whole(original: NDArray[Any], published: NDArray[Any], *, count: int = 4) -> tuple[Start, ...]:
    """Return guesses from correlating the whole published picture, turned by right angles, over the original.

    Slow and coarse: for pictures without features enough.
    """
    import cv2
    import numpy as np

    reduction = min(1.0, DENSE_EDGE / max(original.shape))
    small = _equalised(_reduced(original, reduction))
    found: list[tuple[float, NDArray[Any]]] = []
    for scale in _DENSE_SCALES:
        factor = reduction / scale
        size = np.rint(np.array(published.shape) * factor).astype(int)
        if min(size) < 10 or max(size) > 2 * max(small.shape):
            continue
        picture = _equalised(_reduced(published, factor) if factor < 1 else _enlarged(published, factor))
        for turn in right_angles(picture.shape):
            turned = cv2.warpAffine(picture, turn, _turned_size(picture.shape, turn), flags=cv2.INTER_NEAREST)
            pad = [max(4, turned.shape[axis] - small.shape[axis] + 4) for axis in (0, 1)]
            if pad[0] > small.shape[0] // 2 + 4 or pad[1] > small.shape[1] // 2 + 4:
                continue
            field = cv2.copyMakeBorder(small, pad[0], pad[0], pad[1], pad[1], cv2.BORDER_REFLECT)
            scores = np.abs(np.nan_to_num(cv2.matchTemplate(field, turned, cv2.TM_CCOEFF_NORMED)))
            scores[_flat(field, turned.shape)] = 0
            _, best, _, (x, y) = cv2.minMaxLoc(scores)
            # Original -> small -> the template's place in it -> back through the turn -> published.
            move = np.array([[1, 0, pad[1] - x], [0, 1, pad[0] - y]], float)
            size = scaling(picture.shape[1] / published.shape[1], picture.shape[0] / published.shape[0])
            back = compose(invert(size), compose(invert(turn), move))
            grid = scaling(small.shape[1] / original.shape[1], small.shape[0] / original.shape[0])
            found.append((best, compose(back, grid)))
    found.sort(key=lambda entry: -entry[0])
    return tuple(Start(matrix) for _, matrix in found[:count])


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    xy: NDArray[Any]
    descriptors: NDArray[Any]


def _features(picture: NDArray[Any], edge: int, limit: int) -> _Found:
    import numpy as np

    factor = min(1.0, edge / max(picture.shape))
    if factor == 1.0 and min(picture.shape) < 300:
        factor = min(3.0, 300 / min(picture.shape))
        factor = min(factor, max(1.0, edge / max(picture.shape)))
    image = picture if factor == 1 else _reduced(picture, factor) if factor < 1 else _enlarged(picture, factor)
    detector = computer_vision().SIFT_create(
        nfeatures=limit, contrastThreshold=0.004, edgeThreshold=12, enable_precise_upscale=True
    )
    points, descriptors = detector.detectAndCompute(image, None)
    if descriptors is None or not len(points):
        return _Found(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    xy = np.array([point.pt for point in points], float)
    back = invert(scaling(image.shape[1] / picture.shape[1], image.shape[0] / picture.shape[0]))
    root = np.sqrt(descriptors / (descriptors.sum(1, keepdims=True) + 1e-7)).astype(np.float32)
    return _Found(apply(back, xy)[:limit], root[:limit])


def _variant(descriptors: NDArray[Any], *, mirrored: bool, inverted: bool) -> NDArray[Any]:
    """Permute 4 x 4 x 8 descriptors into those of the mirrored or inverted picture."""
    cells = descriptors.reshape(-1, 4, 4, 8)
    if mirrored:
        cells = cells[:, ::-1][..., [0, 7, 6, 5, 4, 3, 2, 1]]
    if inverted:
        cells = cells[:, ::-1, ::-1]
    return cells.reshape(-1, 128)


def _agree(ours: _Found, theirs: _Found, *, mirrored: bool, inverted: bool) -> Start | None:
    import cv2
    import numpy as np

    if min(len(ours.xy), len(theirs.xy)) < MIN_INLIERS:
        return None
    likeness = _variant(theirs.descriptors, mirrored=mirrored, inverted=inverted) @ ours.descriptors.T
    rows = np.arange(len(likeness))
    first = likeness.argmax(1)
    nearest = likeness[rows, first]
    likeness[rows, first] = -1
    other = likeness.argmax(1)
    second = likeness[rows, other]
    # Several descriptors of one place do not speak against each other.
    close = np.abs(ours.xy[first] - ours.xy[other]).max(1) < 4
    keep = ((1 - nearest) < RATIO**2 * (1 - second)) | (close & (nearest > 0.8))
    pairs = np.stack([theirs.xy[keep], ours.xy[first[keep]]])
    # Many points of one place, found at several orientations or scales, are one witness.
    _, single = np.unique(np.rint(pairs.transpose(1, 0, 2).reshape(-1, 4)), axis=0, return_index=True)
    pairs = pairs[:, single]
    if pairs.shape[1] < MIN_INLIERS:
        return None
    settings = cv2.UsacParams()
    settings.threshold, settings.confidence, settings.maxIterations = 2.5, 0.999, 4_000
    settings.sampler, settings.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_MAGSAC
    settings.loMethod, settings.loIterations, settings.loSampleSize = cv2.LOCAL_OPTIM_SIGMA, 10, 20
    settings.randomGeneratorState = 7
    try:
        matrix, mask = cv2.estimateAffine2D(pairs[1], pairs[0], settings)
    except cv2.error:
        return None
    if matrix is None or not np.isfinite(matrix).all() or not plausible(matrix):
        return None
    if (np.linalg.det(matrix[:, :2]) < 0) != mirrored:
        return None
    good = pairs[:, mask.ravel().astype(bool)]
    distinct = min(len(np.unique(np.rint(side / 2), axis=0)) for side in good) if good.shape[1] else 0
    return Start(matrix, distinct) if distinct >= MIN_INLIERS else None


def plausible(matrix: NDArray[Any], *, stretch: float = 2.5) -> bool:
    """Whether a map is one that a figure could have: no strong shear, no extreme scale."""
    import numpy as np

    scale = scale_of(matrix)
    if not 0.02 < scale < 20:
        return False
    singular = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(singular[0] / singular[1] < stretch)


def _turned_size(shape: tuple[int, ...], turn: NDArray[Any]) -> tuple[int, int]:
    return (shape[1], shape[0]) if turn[0, 0] else (shape[0], shape[1])


def _flat(field: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
    """Return where a template of this size would lie on something flat, with which all correlates."""
    import cv2
    import numpy as np

    values = field.astype(np.float32)
    box = (size[1], size[0])
    spread = cv2.boxFilter(values**2, -1, box, anchor=(0, 0)) - cv2.boxFilter(values, -1, box, anchor=(0, 0)) ** 2
    return np.asarray(spread[: field.shape[0] - size[0] + 1, : field.shape[1] - size[1] + 1] < 25)


def _reduced(picture: NDArray[Any], factor: float) -> NDArray[Any]:
    import cv2
    import numpy as np

    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))


def _enlarged(picture: NDArray[Any], factor: float) -> NDArray[Any]:
    import cv2
    import numpy as np

    size = (max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC))


def _equalised(picture: NDArray[Any]) -> NDArray[Any]:
    import cv2
    import numpy as np

    return np.asarray(cv2.equalizeHist(np.ascontiguousarray(picture)))
