"""Says what each original is to a picture: the same, a neighbour, another channel, an overlap, a repetition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import Features, computer_vision, stretched
from rawtrace.match.galleries import Entry, Gallery
from rawtrace.match.model import Box, Relation
from rawtrace.match.pairs import Agreement, Pair, accepted, compare_pixels, moved, verify_pair

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Two placements that share more of the picture than this explain the same part of it.
SAME_PART = 0.5
#: The lesser placement has to be nearly as good for a structure to be called repeating.
_AS_GOOD = 0.7
#: A picture that fits in so many points is no repetition by chance.
_BEYOND_DOUBT = 200
#: Of 64 cells, so many must have points for another stain: letters, an arrow and a bar have a dozen.
_LEAST_PLACES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A view that was verified."""

    number: int
    entry: Entry
    pair: Pair
    agreement: Agreement | None
    score: float
    box: Box

    @property
    def likeness(self) -> float:
        """How well the pixels agree, 0 to 1."""
        return 0.0 if self.agreement is None else (abs(self.agreement.rank) + abs(self.agreement.detail)) / 2


def other_channel(pair: Pair, agreement: Agreement) -> bool:
    """Whether the places agree beyond doubt and the brightness does not: another stain of the same field.

    Letters, arrows and scale bars that two pictures share agree as well, but only in few places.
    """
    if pair.inliers < 25 or pair.guided < 40 or agreement.plain >= 0.5:
        return False
    return abs(agreement.detail) > 0.15 and abs(agreement.fine) > 0.3 and _places(pair) >= _LEAST_PLACES


def _places(pair: Pair) -> int:
    """Count the cells with points, of eight by eight that the points stretch over."""
    import numpy as np

    low, high = pair.query_xy.min(axis=0), pair.query_xy.max(axis=0)
    cells = ((pair.query_xy - low) * (7.999 / np.maximum(high - low, 1e-6))).astype(np.int64)
    return len(np.unique(cells, axis=0))


def pixels_of(gallery: Gallery, number: int) -> NDArray[Any] | None:
    """Return a view, where the gallery can show it."""
    show = getattr(gallery, "pixels_of", None)
    if show is None:
        return None
    pixels = show(number)
    return None if pixels is None else stretched(pixels)


def related(
    shown: NDArray[Any], asked: Features, found: Sequence[Found], gallery: Gallery
) -> list[tuple[Found, Relation]]:
    """Say of each what it is: the best of every part of the picture, and its relatives."""
    named: list[tuple[Found, Relation]] = []
    leaders: list[Found] = []
    for one in found:
        leader = next((other for other in leaders if shared_part(one.box, other.box) > SAME_PART), None)
        if leader is None:
            leaders.append(one)
            relation = _alone(shown, asked, one, gallery)
        else:
            relation = _beside(one, leader)
        named.append((one, relation))
    return named


def _alone(shown: NDArray[Any], asked: Features, one: Found, gallery: Gallery) -> Relation:
    if one.agreement is not None and not accepted(one.pair, one.agreement):
        return Relation.CHANNEL
    if _repeats(shown, asked, one, gallery):
        return Relation.REPEATING
    if _goes_on(shown, one):
        return Relation.OVERLAP
    return Relation.SAME


def _beside(one: Found, leader: Found) -> Relation:
    mine, its = one.entry.where, leader.entry.where
    if one.agreement is not None and not accepted(one.pair, one.agreement):
        return Relation.CHANNEL
    if (mine.source, mine.scene) == (its.source, its.scene):
        if mine.channel != its.channel:
            return Relation.CHANNEL
        return Relation.NEIGHBOUR if mine != its else Relation.SAME
    if one.agreement is not None and leader.agreement is not None:
        if abs(one.agreement.detail) < _AS_GOOD * abs(leader.agreement.detail):
            return Relation.CHANNEL
        if one.agreement.covered < 0.9 * leader.agreement.covered:
            return Relation.OVERLAP
    return Relation.SAME


def _repeats(shown: NDArray[Any], asked: Features, one: Found, gallery: Gallery) -> bool:
    """Whether the same original fits about as well in another place of the same picture."""
    import numpy as np

    points = gallery.features_of([one.number]).get(one.number)
    if points is None or one.pair.guided > _BEYOND_DOUBT:
        return False
    rest = np.ones(len(asked), bool)
    rest[one.pair.query_at] = False
    other = verify_pair(asked.take(rest), points, mirrored=one.pair.mirrored, inverted=one.pair.inverted)
    if (
        other is None
        or other.inliers < max(6, _AS_GOOD * one.pair.inliers)
        or other.guided < _AS_GOOD * one.pair.guided
    ):
        return False
    centre = np.array([[points.shape[1] / 2, points.shape[0] / 2]])
    apart = float(np.hypot(*(moved(centre, other.matrix) - moved(centre, one.pair.matrix))[0]))
    if apart < 0.03 * max(asked.shape):
        return False
    pixels = pixels_of(gallery, one.number)
    if pixels is None or one.agreement is None:
        return True
    return abs(compare_pixels(pixels, shown, other.matrix).detail) >= _AS_GOOD * abs(one.agreement.detail)


def _goes_on(shown: NDArray[Any], one: Found) -> bool:
    """Whether the picture goes on beyond the border of the original, without a seam."""
    cv2 = computer_vision()
    import numpy as np

    if one.agreement is None or one.agreement.covered > 0.97:
        return False
    height, width = one.entry.size[1] / one.entry.reduction, one.entry.size[0] / one.entry.reduction
    rows = np.asarray(one.pair.matrix, float)
    beyond = 0
    for (x, y), (dx, dy), length in (
        ((0, height / 2), (-1, 0), height), ((width - 1, height / 2), (1, 0), height),
        ((width / 2, 0), (0, -1), width), ((width / 2, height - 1), (0, 1), width),
    ):  # fmt: skip
        scale = math.sqrt(abs(np.linalg.det(rows[:, :2])))
        deep = max(4.0, 0.04 * length)
        # A strip along this border, from inside to outside, at the resolution of the picture.
        across, along = max(6, int(2 * deep * scale)), max(16, int(length * scale * 0.8))
        s, u = np.meshgrid(np.linspace(-deep, deep, across), np.linspace(-0.4, 0.4, along) * length)
        places = moved(np.stack([x + s * dx + u * abs(dy), y + s * dy + u * abs(dx)], axis=-1).reshape(-1, 2), rows)
        inside = (
            (places >= 0).all(axis=1) & (places[:, 0] < shown.shape[1] - 1) & (places[:, 1] < shown.shape[0] - 1)
        ).reshape(s.shape)
        kept = inside.all(axis=1)
        if kept.sum() < 16:
            continue
        at = places.reshape(*s.shape, 2)[kept].astype(np.float32)
        strip = cv2.remap(shown.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_LINEAR)
        middle = strip.shape[1] // 2
        inner, outer = strip[:, :middle], strip[:, middle:]
        steps = np.abs(np.diff(strip, axis=1)).mean(axis=0)
        seam = steps[max(0, middle - 2) : middle + 1].max()
        if outer.std() > 0.4 * inner.std() + 1 and seam < 2 * np.median(steps) + 1:
            beyond += 1
    return beyond > 0


def shared_part(one: Box, other: Box) -> float:
    """Return the share of the smaller of two boxes that lies in both."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    least = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return max(0.0, width) * max(0.0, height) / least if least > 0 else 0.0
