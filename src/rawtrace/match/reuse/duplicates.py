"""The same picture more than once in a set, whole or in part, and what it is to the other.

Points vote for pairs (``votes``); the pairs with most votes are verified one by
one, as ``find`` does it. Innocent relatives are named: neighbouring fields that
overlap, other planes and channels, merges, insets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.image.views import luminance
from rawtrace.match.features import Features, computer_vision, features, stretched
from rawtrace.match.model import Matrix, Placement, Relation, Where
from rawtrace.match.pairs import Agreement, Pair, accepted, as_matrix, compare_pixels, verify_pair
from rawtrace.match.reuse.copymove import PixelBox
from rawtrace.match.reuse.votes import Candidate, candidates
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pictures are kept for the comparison of pixels at this longest edge, px.
LONGEST_EDGE = 640
#: A picture is said to lie in another when this share of it does.
_WHOLLY = 0.9
#: Share of a figure that its panels fill at least.
_FILLED = 0.55


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown:
    """One picture of the set, or a panel of one.

    Attributes
    ----------
    where : Where
    panel : tuple or None
        Left, top, width, height in its figure, px; ``None`` for a whole picture.
    size : tuple[int, int]
        Width and height of the whole picture, px.
    pixels : ndarray of uint8
        (Y, X), reduced.
    reduction : float
        Pixels of the picture for one of ``pixels``.
    features : Features
        In pixels of ``pixels``.
    colour : bool
        Whether it shows more than one hue, as a merge does.
    """

    where: Where
    panel: PixelBox | None
    size: tuple[int, int]
    pixels: NDArray[Any]
    reduction: tuple[float, float]
    features: Features
    colour: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Two pictures that show the same, wholly or in part.

    Attributes
    ----------
    first, second : Where
    first_panel, second_panel : tuple or None
        Left, top, width, height, px; ``None`` for the whole picture.
    relation : Relation
    explanation : str
        What it looks like, for people; accuses nobody.
    placement : Placement
        Takes the first picture to the second, in pixels of the whole pictures.
    inverted : bool
        Whether dark and bright are exchanged.
    inliers : int
        Distinct points that agree.
    correlation : float
        Of ranks, -1 to 1.
    detail : float
        Of fine structure, -1 to 1.
    first_covered, second_covered : float
        Share of each that the other shows, 0 to 1.
    """

    first: Where
    second: Where
    first_panel: PixelBox | None
    second_panel: PixelBox | None
    relation: Relation
    explanation: str
    placement: Placement
    inverted: bool
    inliers: int
    correlation: float
    detail: float
    first_covered: float
    second_covered: float


def look_at(where: Where, picture: NDArray[Any], *, panels: bool = True) -> tuple[Shown, ...]:
    """Prepare a picture for the comparison; a figure with gutters becomes its panels.

    Parameters
    ----------
    where : Where
    picture : ndarray
        (Y, X) or (Y, X, S), any real type.
    panels : bool
        Whether to split figures.

    Returns
    -------
    tuple of Shown
        Empty where there is nothing to see.
    """
    if picture.ndim not in {2, 3} or min(picture.shape[:2]) < 16:
        return ()
    grey = stretched(luminance(picture))
    if not grey.any():
        return ()
    height, width = grey.shape
    parts = figure_panels(grey) if panels else ()
    if len(parts) < 2:
        return (_shown(where, picture, grey, None),)
    found = []
    for left, top, right, bottom in parts:
        inner = stretched(grey[top:bottom, left:right])
        if inner.any():
            box = (left, top, right - left, bottom - top)
            found.append(_shown(where, picture[top:bottom, left:right], inner, box, size=(width, height)))
    return tuple(found)


def figure_panels(grey: NDArray[Any]) -> tuple[tuple[int, int, int, int], ...]:
    """Return the panels of a figure: left, top, right, bottom, px; one or none where it is no figure.

    Cells on a black ground have dark rows and columns between them, too; panels
    fill most of a figure, and touch its gutters with whole sides.
    """
    from rawtrace.match.panels import panels

    height, width = grey.shape
    parts = panels(grey)
    filled = sum((right - left) * (bottom - top) for left, top, right, bottom in parts)
    if len(parts) < 2 or filled < _FILLED * height * width:
        return ()
    return parts


def duplicates(shown: Sequence[Shown], *, workers: int = 1, progress: Progress = SILENT) -> tuple[Duplicate, ...]:
    """Compare all pictures of a set with each other.

    Parameters
    ----------
    shown : sequence of Shown
        From ``look_at``.
    workers : int
        Processes that verify pairs.

    Returns
    -------
    tuple of Duplicate
        The same picture first, then its relatives; most points first.
    """
    pairs = candidates([one.features for one in shown], progress=progress)
    found: list[Duplicate] = []
    progress.start("verifying pairs", len(pairs))
    for result in _verified(shown, pairs, workers):
        progress.advance(1)
        if result is not None:
            found.append(result)
    progress.finish()
    order = {relation: number for number, relation in enumerate(Relation)}
    return tuple(sorted(found, key=lambda one: (order[one.relation], -one.inliers)))


def _verified(shown: Sequence[Shown], pairs: Sequence[Candidate], workers: int) -> Iterator[Duplicate | None]:
    jobs = ((shown[a], shown[b], mirrored, inverted) for a, b, mirrored, inverted, _ in pairs)
    if workers < 2 or len(pairs) < 64:
        yield from map(_verify, jobs)
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_verify, jobs, chunksize=16)


def _verify(job: tuple[Shown, Shown, bool, bool]) -> Duplicate | None:
    first, second, mirrored, inverted = job
    pair = verify_pair(second.features, first.features, mirrored=mirrored, inverted=inverted)
    if pair is None or pair.inliers < 6:
        return None
    agreement = compare_pixels(first.pixels, second.pixels, pair.matrix)
    channel = False
    if not (accepted(pair, agreement) and (pair.inliers >= 10 or abs(agreement.detail) > 0.7)):
        if not (pair.inliers >= 25 and pair.guided >= 40 and agreement.plain < 0.5 and abs(agreement.detail) > 0.15):
            return None
        channel = True
    placement = _full_placement(first, second, pair.matrix)
    covered = _covered(first, second, pair.matrix)
    relation, explanation = _relation(first, second, pair, agreement, covered, channel=channel)
    return Duplicate(
        first=first.where, second=second.where, first_panel=first.panel, second_panel=second.panel,
        relation=relation, explanation=explanation, placement=placement, inverted=inverted, inliers=pair.inliers,
        correlation=agreement.rank, detail=agreement.detail, first_covered=covered[0], second_covered=covered[1],
    )  # fmt: skip


def _relation(
    first: Shown, second: Shown, pair: Pair, agreement: Agreement, covered: tuple[float, float], *, channel: bool
) -> tuple[Relation, str]:
    """Name what two pictures are to each other."""
    (a, b, _), (c, d, _) = pair.matrix
    scale = math.sqrt(abs(a * d - b * c))
    across = scale * first.pixels.shape[1] / second.pixels.shape[1]
    in_place = (
        not pair.mirrored and abs(math.degrees(math.atan2(c, a))) < 1 and abs(across - 1) < 0.02
        and min(covered) > 0.97
    )  # fmt: skip
    here, there = first.where, second.where
    same_file = (here.source, here.scene) == (there.source, there.scene) and first.panel == second.panel
    if same_file and here.channel != there.channel:
        return Relation.CHANNEL, "another channel of the same image"
    if same_file and (here.z, here.t) != (there.z, there.t):
        return Relation.NEIGHBOUR, "another plane of the same image"
    if in_place and first.colour != second.colour:
        return Relation.CHANNEL, "a merge, or a coloured picture, and one of its channels"
    if channel:
        return Relation.CHANNEL, "the same field with other brightness: another stain or channel"
    if in_place and abs(agreement.detail) < 0.6:
        return Relation.NEIGHBOUR, "the same field, other in detail: a neighbouring plane or another time"
    one, other = covered
    if max(one, other) < _WHOLLY:
        return Relation.OVERLAP, "each goes on beyond the other: neighbouring fields that overlap"
    if min(one, other) < 0.8:
        inner = "the first lies in the second" if one > other else "the second lies in the first"
        zoomed = abs(math.log(across * second.pixels.shape[1] * second.reduction[0]
                              / (first.pixels.shape[1] * first.reduction[0]))) > 0.15  # fmt: skip
        return Relation.SAME, f"{inner}{', at another scale: an inset or a zoom' if zoomed else ': a cropped part'}"
    return Relation.SAME, "both show the same"


def _shown(
    where: Where, picture: NDArray[Any], grey: NDArray[Any], panel: PixelBox | None,
    *, size: tuple[int, int] | None = None,
) -> Shown:  # fmt: skip
    cv2 = computer_vision()
    import numpy as np

    height, width = grey.shape
    factor = min(1.0, LONGEST_EDGE / max(height, width))
    small = max(8, round(width * factor)), max(8, round(height * factor))
    pixels = grey if factor == 1 else cv2.resize(np.ascontiguousarray(grey), small, interpolation=cv2.INTER_AREA)
    return Shown(
        where=where, panel=panel, size=size or (width, height), pixels=np.ascontiguousarray(pixels),
        reduction=(width / pixels.shape[1], height / pixels.shape[0]), features=features(pixels),
        colour=_hues(picture) > 1,
    )  # fmt: skip


def _hues(picture: NDArray[Any]) -> int:
    """Count how many of red, green and blue say something of their own."""
    import numpy as np

    if picture.ndim != 3 or picture.shape[2] < 3:
        return 1
    step = max(1, max(picture.shape[:2]) // 128)
    colours = np.nan_to_num(picture[::step, ::step, :3].reshape(-1, 3).astype(np.float64), posinf=0.0, neginf=0.0)
    spread = colours.std(axis=0)
    own = [number for number in range(3) if spread[number] > 0.02 * max(float(np.ptp(colours)), 1e-9)]
    different: list[int] = []
    for number in own:
        if all(abs(np.corrcoef(colours[:, number], colours[:, other])[0, 1]) < 0.98 for other in different):
            different.append(number)
    return len(different)


def _full_placement(first: Shown, second: Shown, matrix: Matrix) -> Placement:
    """Return the map between the whole pictures: out of one panel, reduced, onto the other, enlarged."""
    import numpy as np

    def onto_whole(one: Shown) -> NDArray[Any]:
        left, top = (one.panel or (0, 0, 0, 0))[:2]
        across, down = one.reduction
        return np.array([[across, 0, (across - 1) / 2 + left], [0, down, (down - 1) / 2 + top], [0, 0, 1]])

    rows = onto_whole(second) @ np.vstack([np.asarray(matrix), [0, 0, 1]]) @ np.linalg.inv(onto_whole(first))
    return Placement(matrix=as_matrix(rows[:2]), original_size=first.size, published_size=second.size)


def _covered(first: Shown, second: Shown, matrix: Matrix) -> tuple[float, float]:
    """Return which share of each picture the other shows."""
    import numpy as np

    rows = np.vstack([np.asarray(matrix), [0, 0, 1]])
    return _inside(first.pixels.shape, rows, second.pixels.shape), _inside(
        second.pixels.shape, np.linalg.inv(rows), first.pixels.shape
    )


def _inside(shape: tuple[int, ...], rows: NDArray[Any], other: tuple[int, ...]) -> float:
    import numpy as np

    y, x = np.meshgrid(np.linspace(0, shape[0] - 1, 40), np.linspace(0, shape[1] - 1, 40), indexing="ij")
    there = np.stack([x.ravel(), y.ravel()], 1) @ rows[:2, :2].T + rows[:2, 2]
    edge = 1 + 0.005 * max(other)
    within = (there >= -edge).all(1) & (there[:, 0] <= other[1] - 1 + edge) & (there[:, 1] <= other[0] - 1 + edge)
    return float(within.mean())
