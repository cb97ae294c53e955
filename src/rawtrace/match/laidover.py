"""An original laid over a picture, for people to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.image.reader import PlaneIndex, open_image
from rawtrace.image.views import luminance
from rawtrace.match.features import computer_vision, stretched
from rawtrace.match.model import Match, Placement, Where

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Focal planes that go into a projection for looking at.
_MAX_PROJECTED = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaidOver:
    """Two pictures of the same place.

    Attributes
    ----------
    original : ndarray of uint8
        (Y, X), the whole original, stretched.
    shown : ndarray of uint8
        (rows, columns), the part of the figure that the match covers, in grey.
    expected : ndarray of uint8
        The same place of the original, on the same grid; inverted where the figure is.
    """

    original: NDArray[Any]
    shown: NDArray[Any]
    expected: NDArray[Any]


def lay_over(picture: NDArray[Any], match: Match) -> LaidOver:
    """Read the original of a match and lay it over the figure.

    Parameters
    ----------
    picture : ndarray
        The figure, (Y, X) or (Y, X, S).

    Raises
    ------
    InputNotFoundError, UnreadableError, PixelsError, LimitError
        The original cannot be read.
    """
    original = stretched(picture_at(match.where))
    figure = stretched(luminance(picture))
    placement = match.placement
    if placement is None:
        return LaidOver(original=original, shown=figure, expected=original)
    left, top, right, bottom = match.panel or (0, 0, figure.shape[1], figure.shape[0])
    rows = slice(max(0, math.floor(top)), max(1, math.ceil(bottom)))
    columns = slice(max(0, math.floor(left)), max(1, math.ceil(right)))
    expected = laid(original, placement, inverted=match.inverted)[rows, columns]
    return LaidOver(original=original, shown=figure[rows, columns], expected=expected)


def picture_at(where: Where) -> NDArray[Any]:
    """Return the plane or projection that a place in an index names, (Y, X), in the file's values."""
    import numpy as np

    with open_image(Path(where.source)) as image:
        scene = image.scenes[where.scene]
        channel, time = where.channel or 0, where.t or 0
        if where.projection:
            step = -(-scene.z // _MAX_PROJECTED)
            planes = (luminance(image.plane(scene, PlaneIndex(z, channel, time))) for z in range(0, scene.z, step))
            projected = next(planes)
            for plane in planes:
                projected = np.maximum(projected, plane)
            return projected
        return luminance(image.plane(scene, PlaneIndex(where.z or 0, channel, time)))


def laid(original: NDArray[Any], placement: Placement, *, inverted: bool) -> NDArray[Any]:
    """Return an original on the grid of the published picture, as uint8; black where it does not reach."""
    import numpy as np

    cv2 = computer_vision()
    source = stretched(original)
    if inverted:
        source = 255 - source
    if placement.scale < 0.8:
        sigma = 0.45 * math.sqrt(1 / placement.scale**2 - 1)
        source = cv2.GaussianBlur(source, (0, 0), sigma)
    width, height = placement.published_size
    matrix = np.array(placement.matrix, np.float64)
    moved: NDArray[Any] = cv2.warpAffine(source, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return moved
