"""Affine maps as 2 x 3 arrays, the pictures they move, and the right angles among them.

Everywhere (x, y) is in pixels and the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.model import Matrix, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Of the Gaussian that stands for the low pass of a reduction, in units of sqrt(1/scale² - 1) px of the original.
REDUCTION_BLUR = 0.45


def compose(second: NDArray[Any], first: NDArray[Any]) -> NDArray[Any]:
    """Return the map that does ``first``, then ``second``."""
    import numpy as np

    return np.hstack([second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2:] + second[:, 2:]])


def invert(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return the map back.

    Raises
    ------
    numpy.linalg.LinAlgError
        The map is flat.
    """
    import numpy as np

    back = np.linalg.inv(matrix[:, :2])
    return np.hstack([back, -back @ matrix[:, 2:]])


def apply(matrix: NDArray[Any], points: NDArray[Any]) -> NDArray[Any]:
    """Move points, (N, 2)."""
    moved: NDArray[Any] = points @ matrix[:, :2].T + matrix[:, 2]
    return moved


def corners(shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the corners and the centre of a picture of this shape, (5, 2)."""
    import numpy as np

    height, width = shape[:2]
    right, bottom = width - 1, height - 1
    return np.array([[0, 0], [right, 0], [0, bottom], [right, bottom], [right / 2, bottom / 2]], float)


def distance(first: NDArray[Any], second: NDArray[Any], shape: tuple[int, ...]) -> float:
    """How far two maps to a picture of this shape differ there: RMS over corners and centre, px of that picture."""
    import numpy as np

    points = corners(shape)
    try:
        moved = apply(compose(first, invert(second)), points)
    except np.linalg.LinAlgError:
        return math.inf
    return float(np.sqrt(((moved - points) ** 2).sum(1).mean()))


def scaling(factor_x: float, factor_y: float | None = None) -> NDArray[Any]:
    """Return the map of a reduction or enlargement that keeps the outer edges of the picture in place."""
    import numpy as np

    factor_y = factor_x if factor_y is None else factor_y
    return np.array([[factor_x, 0, (factor_x - 1) / 2], [0, factor_y, (factor_y - 1) / 2]], float)


def scale_of(matrix: NDArray[Any]) -> float:
    """Pixels afterwards for one pixel before."""
    return math.sqrt(abs(float(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])))


def right_angles(shape: tuple[int, ...]) -> tuple[NDArray[Any], ...]:
    """Return the eight maps that turn and mirror a picture of this shape onto its own frame, identity first."""
    import numpy as np

    height, width = shape[:2]
    found = []
    for mirrored in (False, True):
        for turns in range(4):
            angle = round(math.cos(turns * math.pi / 2)), round(math.sin(turns * math.pi / 2))
            linear = np.array([[angle[0], -angle[1]], [angle[1], angle[0]]], float)
            if mirrored:
                linear = linear @ np.array([[-1, 0], [0, 1]], float)
            moved = np.array([[0, 0], [width - 1, height - 1]], float) @ linear.T
            found.append(np.hstack([linear, -moved.min(0)[:, None]]))
    return tuple(found)


def to_matrix(matrix: NDArray[Any]) -> Matrix:
    """Return a map as the tuples that ``Placement`` has."""
    first, second = ((float(row[0]), float(row[1]), float(row[2])) for row in matrix)
    return first, second


def placement_of(matrix: NDArray[Any], original: tuple[int, ...], published: tuple[int, ...]) -> Placement:
    """Return a map between two pictures of these shapes as a ``Placement``."""
    return Placement(
        matrix=to_matrix(matrix),
        original_size=(original[1], original[0]),
        published_size=(published[1], published[0]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The part of an original that a published picture shows, reduced and smoothed for sampling.

    Attributes
    ----------
    picture : ndarray of float32
        (Y, X) or (Y, X, S).
    offset : ndarray
        Takes the original to ``picture``.
    """

    picture: NDArray[Any]
    offset: NDArray[Any]


def prepare(
    original: NDArray[Any], matrix: NDArray[Any], shape: tuple[int, ...], *, blur: float | None = None, slack: float = 1
) -> Prepared:
    """Cut out, reduce and smooth what ``sample`` will need for a map near ``matrix``.

    Parameters
    ----------
    original : ndarray of float32
    matrix : ndarray
        Takes the original to the published picture.
    shape : tuple
        Of the published picture.
    blur : float, optional
        Standard deviation of the low pass, px of the published picture; by default what a reduction needs.
    slack : float
        How far the map may still move, px of the published picture.
    """
    import cv2
    import numpy as np

    scale = max(scale_of(matrix), 1e-6)
    sigma = _reduction_blur(scale) if blur is None else blur / scale
    outward = slack * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1], [0, 0]])
    box = apply(invert(matrix), corners(shape) + outward)
    margin = 4 + 4 * sigma + 3 / min(scale, 1)
    height, width = original.shape[:2]
    left, top = (
        int(np.clip(np.floor(value - margin), 0, end - 1))
        for value, end in zip(box.min(0), (width, height), strict=True)
    )
    right, bottom = (int(np.clip(np.ceil(value + margin) + 1, low + 1, end))
                     for value, low, end in zip(box.max(0), (left, top), (width, height), strict=True))  # fmt: skip
    part = original[top:bottom, left:right]
    offset = np.array([[1, 0, -left], [0, 1, -top]], float)
    # A low pass of many pixels is had by averaging first; what averaging by k does is a blur of sqrt((k² - 1) / 12).
    step = int(min(sigma / 1.2, min(part.shape[:2]) / 8))
    if step >= 2:
        rows, columns = part.shape[0] // step * step, part.shape[1] // step * step
        part = cv2.resize(part[:rows, :columns], (columns // step, rows // step), interpolation=cv2.INTER_AREA)
        offset = compose(scaling(1 / step), offset)
        sigma = math.sqrt(max(sigma**2 - (step**2 - 1) / 12, 0)) / step
    if sigma > 0.12:
        part = cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return Prepared(part, offset)


def sample(prepared: Prepared, matrix: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the prepared original on the grid of a published picture, float32; edges are repeated outside."""
    import cv2
    import numpy as np

    inverse = compose(prepared.offset, invert(matrix))
    if _whole(inverse):
        # Pixels are only copied, so that nothing is lost to rounding.
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        size = (shape[1], shape[0])
        copied = cv2.warpAffine(prepared.picture, np.rint(inverse), size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(copied)
    x, y = _grid(inverse, shape)
    return np.asarray(cv2.remap(prepared.picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def covered(matrix: NDArray[Any], original: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    """Return where the published picture shows the original, bool; pixels at its very edge are left out."""
    import numpy as np

    x, y = _grid(invert(matrix), shape)
    slack = 1e-3
    within: NDArray[Any] = (
        (x >= -slack) & (y >= -slack) & (x <= original[1] - 1 + slack) & (y <= original[0] - 1 + slack)
    )
    return np.ascontiguousarray(within)


def inside(matrix: NDArray[Any], original: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether the whole published picture shows the original."""
    points = apply(invert(matrix), corners(shape))
    return bool(points.min() >= 0 and (points.max(0) <= (original[1] - 1, original[0] - 1)).all())


def _reduction_blur(scale: float) -> float:
    return REDUCTION_BLUR * math.sqrt(1 / scale**2 - 1) if scale < 0.97 else 0.0


def _whole(matrix: NDArray[Any]) -> bool:
    import numpy as np

    return bool(np.abs(matrix - np.rint(matrix)).max() < 1e-9 and np.abs(matrix[:, :2]).sum() == 2)


def _grid(inverse: NDArray[Any], shape: tuple[int, ...]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where each pixel of a picture comes from; float32 maps keep what warpAffine rounds to 1/32 px."""
    import numpy as np

    x = np.arange(shape[1], dtype=np.float64)[None, :]
    y = np.arange(shape[0], dtype=np.float64)[:, None]
    (a, b, e), (c, d, f) = inverse
    return (a * x + (b * y + e)).astype(np.float32), (c * x + (d * y + f)).astype(np.float32)
