"""Originals by Image-Code: for pictures in which points say nothing, such as blurred ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rawtrace.match.galleries import Gallery
from rawtrace.match.model import Evidence, Match, Placement
from rawtrace.match.pairs import as_matrix, compare_pixels, resizing
from rawtrace.match.relations import pixels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TRIED = 10
#: What the pixels have to say, for the code alone never decides: correlations of ranks and of detail, the share of
#: pixels that are merely black or white, and by how much (logarithm) the proportions may differ.
_LEAST_RANK, _LEAST_DETAIL, _MOST_PLAIN, _UNEVEN = 0.8, 0.7, 0.6, 0.15


def by_code(shown: NDArray[Any], gallery: Gallery) -> list[Match]:
    """Try views whose Image-Code is near in one of eight orientations, and ask their pixels."""
    import numpy as np

    from rawtrace.image.isccunits import IMAGE_NEAR, bits_of, dihedral_codes

    height, width = shown.shape
    best: dict[int, tuple[float, Match]] = {}
    for orientation, code in enumerate(dihedral_codes(shown)):
        for number, _, inverted in gallery.by_code(bits_of(code), IMAGE_NEAR)[:_TRIED]:
            entry, pixels = gallery.views([number]).get(number), pixels_of(gallery, number)
            if entry is None or pixels is None:
                continue
            onto, size = _orientation(orientation, width, height)
            matrix = (np.linalg.inv(onto) @ resizing(size[0] / pixels.shape[1], size[1] / pixels.shape[0]))[:2]
            agreement = compare_pixels(pixels, shown, matrix)
            sign = -1 if inverted else 1
            uneven = abs(math.log(size[0] * pixels.shape[0] / (size[1] * pixels.shape[1])))
            if uneven > _UNEVEN or agreement.plain > _MOST_PLAIN:
                continue
            if sign * agreement.rank < _LEAST_RANK or sign * agreement.detail < _LEAST_DETAIL:
                continue
            score = (abs(agreement.rank) + abs(agreement.detail)) / 2
            scene = np.vstack([matrix, [0, 0, 1]]) @ resizing(1 / entry.reduction, 1 / entry.reduction)
            match = Match(
                where=entry.where, evidence=Evidence.CODE, inverted=inverted, correlation=agreement.rank, score=score,
                placement=Placement(
                    matrix=as_matrix(scene[:2]), original_size=entry.size, published_size=(width, height)
                ),
            )  # fmt: skip
            if number not in best or best[number][0] < score:
                best[number] = (score, match)
    return [match for _, match in sorted(best.values(), key=lambda one: -one[0])]


def _orientation(number: int, width: int, height: int) -> tuple[NDArray[Any], tuple[int, int]]:
    """Return the map to an orientation of ``dihedral_codes``, and width and height then."""
    import numpy as np

    matrix = np.eye(3)
    if number >= 4:
        matrix = np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]])
    for _ in range(number % 4):
        matrix = np.array([[0, 1, 0], [-1, 0, width - 1], [0, 0, 1.0]]) @ matrix
        width, height = height, width
    return matrix, (width, height)
