"""Areas of a picture that are shown a second time in it: moved, turned, mirrored or rescaled.

1. Points of the picture are matched with each other (``selfmatch``); those that agree are a hypothesis.
   Where they lead to nothing, circles on a grid are asked (``dense``).
2. The area is grown from them pixel by pixel, the map improved on it, its border drawn (``growth``).
3. What two copies may differ by is measured (``loss``), and the finest detail compared: two things that only
   look alike, as cells and bands do, differ by more, and in their noise.
4. Ladders, lanes, lattices and bricks resemble themselves in many places. Where a third place is about as
   like, the find is called a repeating structure, unless noise and all is the same.

Which of two areas was there first cannot be told from the pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rawtrace.image.views import luminance
from rawtrace.match.features import computer_vision, stretched
from rawtrace.match.model import Placement, Relation
from rawtrace.match.pairs import MOST_PLAIN, as_matrix
from rawtrace.match.reuse import growth
from rawtrace.match.reuse.dense import dense_hypotheses
from rawtrace.match.reuse.loss import compression_error, moving_error, surplus
from rawtrace.match.reuse.selfmatch import Hypothesis, hypotheses, sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Longer pictures are reduced to this before they are looked at, px.
LONGEST_EDGE = 1_280
#: Smaller pictures have no room for two areas, px.
SHORTEST_EDGE = 32
#: Hypotheses that are followed up at most.
MAX_FOLLOWED = 12

_MIN_AREA = 180
#: Share of what is roughly alike that is left when its border is drawn.
_MIN_KEPT = 0.4
_MIN_CORRELATION, _MIN_DETAIL = 0.8, 0.42
#: Detail that agrees this well is a copy, whatever repeats around it.
_EXACT = 0.86
#: A third place that is this share as like makes a structure a repeating one.
_THIRD = 0.8
#: After compression, which makes straight edges alike, a third place at least as like does so in any case.
_AS_LIKE = 0.97
#: Least correlation of copies after compression.
_MIN_COMPRESSED = 0.94
_MAX_OVERLAP = 0.3
#: Difference for one of what compression explains; contrast (log) and structure of what it leaves.
_MAX_SURPLUS, _MAX_GAIN, _MIN_SHAPE = 1.6, 0.12, 0.85
#: Smooth ground is alike everywhere, and its finest detail is not.
_LEAST_DETAIL = 0.25
#: Smaller shares of a picture are alike by chance somewhere; after compression, which makes things alike, larger ones.
_MIN_SHARE, _MIN_SHARE_COMPRESSED = 0.0012, 0.002

PixelBox = tuple[int, int, int, int]


class Repeat(StrEnum):
    """What a find is."""

    AREA = "repeats another area"
    STRUCTURE = Relation.REPEATING.value


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CopyMove:
    """One area and the second place where it is shown.

    Attributes
    ----------
    relation : Repeat
        A repeating structure is of low confidence.
    source, target : tuple[int, int, int, int]
        Left, top, width, height, px. Which was there first cannot be told.
    source_mask, target_mask : ndarray of bool
        The areas within their boxes.
    placement : Placement
        Takes the source to the target; both sizes are the picture's.
    inliers : int
        Distinct points that agree on the placement.
    correlation : float
        Of the area with its second place, -1 to 1.
    detail : float
        The same of fine detail away from edges; noise that is the same speaks for one recording shown twice.
    elsewhere : float
        The best correlation of detail with any third place, for one of 1 with the second.
    area_px : int
        Of the target.
    """

    relation: Repeat
    source: PixelBox
    target: PixelBox
    source_mask: NDArray[Any]
    target_mask: NDArray[Any]
    placement: Placement
    inliers: int
    correlation: float
    detail: float
    elsewhere: float
    area_px: int

    @property
    def mirrored(self) -> bool:
        """Whether the second place is a mirror image."""
        return self.placement.mirrored

    @property
    def rotation_deg(self) -> float:
        """Clockwise, -180 to 180."""
        return self.placement.rotation_deg

    @property
    def scale(self) -> float:
        """Size of the target for a source of 1."""
        return self.placement.scale


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """A picture at working size, what copies in it are expected to differ by, and the size it came in."""

    shown: NDArray[Any]
    values: NDArray[Any]
    error: NDArray[Any]
    compressed: bool
    factor: float
    full: tuple[int, int]


def copy_moves(picture: NDArray[Any]) -> tuple[CopyMove, ...]:
    """Find areas that a picture shows twice.

    Parameters
    ----------
    picture : ndarray
        (Y, X) or (Y, X, S), any real type; of colours the luminance is looked at.

    Returns
    -------
    tuple of CopyMove
        Repeated areas first, the largest first; empty where there is nothing, or nothing to see.
    """
    ground = _prepared(picture)
    if ground is None:
        return ()
    found = _follow(ground, hypotheses(ground.shown), [])
    if not any(move.relation is Repeat.AREA for move, _ in found):
        found = _follow(ground, dense_hypotheses(ground.shown), found)
    moves = [move for move, _ in found]
    return tuple(sorted(moves, key=lambda move: (move.relation is Repeat.STRUCTURE, -move.area_px)))


def union_mask(moves: Sequence[CopyMove], shape: tuple[int, int]) -> NDArray[Any]:
    """Return a mask of (Y, X) of everything that is shown twice."""
    import numpy as np

    mask = np.zeros(shape, bool)
    for move in moves:
        for (left, top, width, height), inside in ((move.source, move.source_mask), (move.target, move.target_mask)):
            mask[top : top + height, left : left + width] |= inside
    return mask


def _prepared(picture: NDArray[Any]) -> _Ground | None:
    """Return the picture at working size; ``None`` where there is nothing to see."""
    cv2 = computer_vision()
    import numpy as np

    if picture.ndim not in {2, 3} or min(picture.shape[:2]) < SHORTEST_EDGE:
        return None
    grey = luminance(picture)
    error = compression_error(np.ascontiguousarray(grey)) if grey.dtype == np.uint8 else None
    if grey.dtype != np.uint8 or int(grey.max()) - int(grey.min()) < 96:
        wide = stretched(grey, percent=(0.02, 99.98))
        if error is not None:
            error *= float(wide.std()) / max(float(grey.std()), 1e-6)
        grey = wide
    full = grey.shape[0], grey.shape[1]
    factor = min(1.0, LONGEST_EDGE / max(full))
    if factor < 1:
        size = max(1, round(full[1] * factor)), max(1, round(full[0] * factor))
        grey = cv2.resize(np.ascontiguousarray(grey), size, interpolation=cv2.INTER_AREA)
        error = cv2.resize(error, size, interpolation=cv2.INTER_AREA) if error is not None else None
    if min(grey.shape) < SHORTEST_EDGE or not grey.any():
        return None
    shown = np.ascontiguousarray(grey)
    values = shown.astype(np.float32)
    moving = moving_error(values)
    expected = moving if error is None else np.hypot(moving, error)
    return _Ground(shown, values, expected, error is not None, factor, full)


def _follow(
    ground: _Ground, gathered: Sequence[Hypothesis], known: Sequence[tuple[CopyMove, NDArray[Any]]]
) -> list[tuple[CopyMove, NDArray[Any]]]:
    """Follow up the best hypotheses that are not yet known."""
    found = list(known)
    for hypothesis in gathered[:MAX_FOLLOWED]:
        if any(_known(hypothesis, masks) for move, masks in found if move.relation is Repeat.AREA):
            continue
        one = _followed(ground, hypothesis, gathered)
        if one is None:
            continue
        vague = [each for each in found if _same(each[1], one[1])]
        if one[0].relation is Repeat.AREA:
            found = [each for each in found if not any(each is other for other in vague)]
        elif vague:
            continue
        found.append(one)
    return found


def _followed(
    ground: _Ground, hypothesis: Hypothesis, gathered: Sequence[Hypothesis]
) -> tuple[CopyMove, NDArray[Any]] | None:
    """Grow one hypothesis and judge it."""
    import numpy as np

    values, matrix = ground.values, hypothesis.matrix
    grown = growth.grow(values, matrix, hypothesis.target)
    if grown is None or _overlap(grown[0], growth.brought_back(grown[0], matrix)) > _MAX_OVERLAP:
        return None
    matrix = growth.improved(values, matrix, grown[0])
    if not sound(matrix):
        return None
    warped, inside = growth.warp(values, matrix)
    target = growth.settle(values, warped, inside, grown[0], ground.error)
    if np.count_nonzero(target) < _MIN_AREA:
        return None
    source = growth.brought_back(target, matrix)
    if _overlap(target, source) > _MAX_OVERLAP or not source.any() or _drawn(values, warped, target):
        return None
    correlation, detail = growth.correlations(values, warped, target)
    if correlation < _MIN_CORRELATION:
        return None
    area = int(np.count_nonzero(target))
    share = _MIN_SHARE_COMPRESSED if ground.compressed else _MIN_SHARE
    explained = bool(area >= share * target.size and area > _MIN_KEPT * np.count_nonzero(grown[0]))
    explained = explained and (correlation > _MIN_COMPRESSED or not ground.compressed)
    explained = explained and detail > _LEAST_DETAIL and _explained(values, warped, target, ground.error)
    if not explained and detail < _MIN_DETAIL:
        return None
    third = growth.elsewhere(values, warped, target, source)
    # Bricks are smooth and alike: with no detail to tell them apart, a third place that is as like decides.
    vague = not explained or detail < _MIN_DETAIL or (ground.compressed and third > _AS_LIKE)
    repeating = vague and (third > _THIRD or _rivals(hypothesis, gathered, source | target))
    # What neither noise nor the size of the differences shows to be one recording is worth a word only if it repeats.
    if not explained and not repeating and detail < _EXACT:
        return None
    factor, full = ground.factor, ground.full
    source_box, source_mask = _cut(source, factor, full)
    target_box, target_mask = _cut(target, factor, full)
    size = full[1], full[0]
    move = CopyMove(
        relation=Repeat.STRUCTURE if repeating else Repeat.AREA,
        source=source_box, target=target_box, source_mask=source_mask, target_mask=target_mask,
        placement=Placement(matrix=as_matrix(_full_size(matrix, values.shape, full)), original_size=size,
                            published_size=size),
        inliers=hypothesis.inliers, correlation=correlation, detail=detail, elsewhere=third,
        area_px=int(target_mask.sum()),
    )  # fmt: skip
    return move, np.stack([source, target])


def _explained(values: NDArray[Any], warped: NDArray[Any], target: NDArray[Any], error: NDArray[Any]) -> bool:
    """Whether two places differ by no more than two copies are expected to."""
    times, gain, shape = surplus(values, warped, target, error)
    return times < _MAX_SURPLUS and abs(math.log(max(gain, 1e-3))) < _MAX_GAIN and shape > _MIN_SHAPE


def _known(hypothesis: Hypothesis, masks: NDArray[Any]) -> bool:
    """Whether a hypothesis speaks of the two areas that are known, in either direction."""
    import numpy as np

    height, width = masks.shape[1:]

    def share(points: NDArray[Any], mask: NDArray[Any]) -> float:
        at = np.clip(np.round(points).astype(int), 0, (width - 1, height - 1))
        return float(mask[at[:, 1], at[:, 0]].mean())

    first, second = masks
    there = min(share(hypothesis.source, first), share(hypothesis.target, second))
    back = min(share(hypothesis.source, second), share(hypothesis.target, first))
    return max(there, back) > 0.5


def _same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two finds speak of the same two areas, in either direction."""
    import numpy as np

    def share(first: NDArray[Any], second: NDArray[Any]) -> float:
        both = np.count_nonzero(first & second, axis=(1, 2))
        return float((both / np.maximum(1, np.minimum(first.sum((1, 2)), second.sum((1, 2))))).min())

    return max(share(one, other), share(one, other[::-1])) > 0.5


def _rivals(of: Hypothesis, gathered: Sequence[Hypothesis], area: NDArray[Any]) -> bool:
    """Whether the same areas lie on other places as well, or on themselves at another shift: a ladder, a lattice."""
    import numpy as np

    height, width = area.shape
    inverse = np.linalg.inv(np.vstack([of.matrix, [0, 0, 1]]))[:2]
    for other in gathered:
        if other is of or other.inliers < max(6, 0.2 * of.inliers):
            continue
        at = np.clip(np.round(other.source).astype(int), 0, (width - 1, height - 1))
        if area[at[:, 1], at[:, 0]].mean() < 0.5:
            continue
        errors = [
            float(np.median(np.linalg.norm(other.source @ one[:, :2].T + one[:, 2] - other.target, axis=1)))
            for one in (of.matrix, inverse)
        ]
        if min(errors) > 6:
            return True
    return False


def _drawn(values: NDArray[Any], warped: NDArray[Any], area: NDArray[Any]) -> bool:
    """Whether an area is alike only for what is drawn on it: letters, scale bars and frames repeat by right."""
    cv2 = computer_vision()
    import numpy as np

    drawn = np.zeros(values.shape, np.uint8)
    for extreme in (values >= 246, values <= 9):
        # What is black or white in much of the picture is its ground, not a drawing.
        if extreme.mean() < 0.2:
            drawn |= extreme
    near = cv2.dilate(drawn, np.ones((9, 9), np.uint8)) > 0
    share = float(near[area].mean())
    if share > MOST_PLAIN:
        return True
    rest = area & ~near
    return share > 0.4 and growth.correlations(values, warped, rest)[0] < 0.7


def _overlap(target: NDArray[Any], source: NDArray[Any]) -> float:
    import numpy as np

    return float(np.count_nonzero(target & source)) / max(1, int(np.count_nonzero(target)))


def _cut(mask: NDArray[Any], factor: float, full: tuple[int, int]) -> tuple[PixelBox, NDArray[Any]]:
    """Return a mask's box and content in pixels of the whole picture."""
    cv2 = computer_vision()
    import numpy as np

    if factor < 1:
        mask = cv2.resize(mask.astype(np.uint8), (full[1], full[0]), interpolation=cv2.INTER_NEAREST) > 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return (left, top, right - left, bottom - top), mask[top:bottom, left:right].copy()


def _full_size(matrix: NDArray[Any], work: tuple[int, ...], full: tuple[int, int]) -> NDArray[Any]:
    """Turn a map between places of the reduced picture into one of the whole picture."""
    import numpy as np

    across, down = work[1] / full[1], work[0] / full[0]
    onto = np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]])
    rows: NDArray[Any] = np.linalg.inv(onto) @ np.vstack([matrix, [0, 0, 1]]) @ onto
    return rows[:2]
