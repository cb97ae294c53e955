"""Which views have many points that look like the question's and lie like them: candidates, not matches.

Each point of the question reads a bounded number of posted points, those of its
nearest cells and nearest divisions, so that a question costs little more in a
large index than in a small one. The nearest by signature vote for a view, a
turn and a scale, and the best of those for a place.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import Features, variant
from rawtrace.match.index.codebook import BITS, PREFIX_BITS, Probes, probes
from rawtrace.match.index.postings import Segment, places_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Variant = tuple[bool, bool]
#: Mirrored, inverted.
VARIANTS: tuple[Variant, ...] = ((False, False), (True, False), (False, True), (True, True))

#: Signatures that differ in more bits are not near.
NEAR = 20
#: Posted points that one point of the question votes for, at most.
NEAREST = 48
#: Cells that are looked into for each point, by the number of posted points.
_CELLS = ((1_000_000, 64), (16_000_000, 32), (1 << 62, 16))
#: Divisions of a crowded cell that are looked into.
DIVISIONS = 16
_FLIPPED = 6
#: Views of which the places of the votes are compared.
_SECOND_LOOK = 400
_READ = 1 << 21


@dataclass(frozen=True, slots=True)
class Candidate:
    """A view that may show what the question shows.

    Attributes
    ----------
    view : int
        Its number.
    mirrored, inverted : bool
        Which variant of the question agrees with it.
    votes : float
        For ranking the candidates of one question only.
    """

    view: int
    mirrored: bool
    inverted: bool
    votes: float


@dataclass(frozen=True, slots=True, eq=False)
class _Votes:
    """Pairs of a point of the question and a posted point that look alike."""

    point: NDArray[Any]
    view: NDArray[Any]
    weight: NDArray[Any]
    place: NDArray[Any]
    variant: NDArray[Any]

    def take(self, chosen: Any) -> _Votes:
        return _Votes(
            self.point[chosen], self.view[chosen], self.weight[chosen], self.place[chosen], self.variant[chosen]
        )


def candidates(
    segments: Iterable[Segment], question: Features, *, variants: Sequence[Variant] = VARIANTS, limit: int = 32
) -> tuple[Candidate, ...]:
    """Return the views that most points of a picture vote for, best first.

    Parameters
    ----------
    segments : Iterable of Segment
    question : Features
    variants : Sequence of (mirrored, inverted)
        As which the picture may appear.
    limit : int
        At most so many; a view may appear once for each variant.
    """
    opened = [one for one in segments if one.points]
    if not opened or not len(question):
        return ()
    total = sum(one.points for one in opened)
    cells = next(count for most, count in _CELLS if total <= most)
    found = []
    for number, (mirrored, inverted) in enumerate(variants):
        asked = probes(variant(question, mirrored=mirrored, inverted=inverted), cells=cells)
        found += [_votes(one, asked, len(question), number) for one in opened]
    return _ranked(_joined(found), places_of(question), variants, limit)


def _votes(segment: Segment, asked: Probes, points: int, number: int) -> _Votes:
    """Return the posted points that are nearest to each point of the question."""
    import numpy as np

    probe, low, high = _divisions(segment, asked)
    counts = high - low
    some = np.flatnonzero(counts)
    probe, low, counts = probe[some], low[some], counts[some]
    ends = np.cumsum(counts)
    parts: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = []
    begin = 0
    while begin < len(probe):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _READ, "right")))
        block, sizes = slice(begin, end), counts[begin:end]
        before = ends[block] - sizes - done
        posted = np.arange(int(sizes.sum()), dtype=np.int64) + np.repeat(low[block] - before, sizes)
        differ = segment.signatures[posted] ^ np.repeat(asked.signature[probe[block]], sizes)
        bits = np.bitwise_count(differ)
        near = np.flatnonzero(bits <= NEAR)
        point = np.repeat(asked.point[probe[block]], sizes)[near]
        parts.append((point, posted[near], bits[near]))
        begin = end
    if not parts:
        nothing = np.zeros(0, np.int64)
        return _Votes(
            nothing, nothing, nothing.astype(np.float32), np.zeros((0, 4), np.uint8), nothing.astype(np.uint8)
        )
    point, posted, bits = (np.concatenate(column) for column in zip(*parts, strict=True))
    point, posted, bits = _nearest(point, posted, bits, points)
    weight = _weights()[bits]
    view = segment.views[posted].astype(np.int64)
    inside = view <= segment.last - segment.first
    return _Votes(
        point[inside], view[inside] + segment.first, weight[inside], segment.places[posted[inside]],
        np.full(int(inside.sum()), number, np.uint8),
    )  # fmt: skip


def _divisions(segment: Segment, asked: Probes) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return where to read: for each division the probe that wants it, its first point and the one after its last."""
    import numpy as np

    cell = asked.cell
    base, bits = segment.base[cell].astype(np.int64), segment.bits[cell].astype(np.int64)
    whole = np.flatnonzero(bits == 0)
    crowded = np.flatnonzero(bits)
    probe, division = [whole], [base[whole]]
    if len(crowded):
        # The bits that the point is nearest to changing, changed one by one and together, the likeliest first.
        margins = np.where(np.arange(PREFIX_BITS) < bits[crowded, None], asked.margins[crowded], np.inf)
        weakest = np.argpartition(margins, _FLIPPED, axis=1)[:, :_FLIPPED]
        weakest = np.take_along_axis(weakest, np.argsort(np.take_along_axis(margins, weakest, 1), axis=1), 1)
        chosen, least = _changes()
        flips = (np.exp2(PREFIX_BITS - 1 - weakest) @ chosen.T).astype(np.int64)
        possible = least <= bits[crowded, None]
        prefix = (asked.signature[crowded] >> np.uint64(BITS - PREFIX_BITS)).astype(np.int64)
        wanted = (prefix[:, None] ^ flips) >> (PREFIX_BITS - bits[crowded])[:, None]
        probe.append(np.repeat(crowded, DIVISIONS).reshape(-1, DIVISIONS)[possible])
        division.append((base[crowded][:, None] + wanted)[possible])
    probes_, divisions = np.concatenate(probe), np.concatenate(division)
    # In the order of the file, so that the disk is read forwards.
    order = np.argsort(divisions, kind="stable")
    probes_, divisions = probes_[order], divisions[order]
    return probes_, segment.starts[divisions].astype(np.int64), segment.starts[divisions + 1].astype(np.int64)


@cache
def _changes() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return which of the weakest bits are changed, the likeliest ways first, and how many bits each way needs.

    The likelihood of a change falls with its margin; of the n-th weakest bit that is about n times as large as of the
    weakest, and the margins of several changes add up.
    """
    import numpy as np

    ways = (np.arange(1 << _FLIPPED)[:, None] >> np.arange(_FLIPPED)) & 1
    cost = (ways * (np.arange(_FLIPPED) + 1.0)).sum(axis=1) + 0.5 * np.maximum(ways.sum(axis=1) - 1, 0)
    ways = ways[np.argsort(cost, kind="stable")[:DIVISIONS]]
    return ways.astype(np.float64), (ways * (np.arange(_FLIPPED) + 1)).max(axis=1)


@cache
def _weights() -> NDArray[Any]:
    import numpy as np

    return np.square(1 - np.arange(BITS + 1, dtype=np.float32) / (NEAR + 4)).clip(0)


def _nearest(
    point: NDArray[Any], posted: NDArray[Any], bits: NDArray[Any], points: int
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Keep the ``NEAREST`` of each point."""
    import numpy as np

    table = np.bincount(point.astype(np.int64) * (NEAR + 1) + bits, minlength=points * (NEAR + 1))
    table = table.reshape(points, NEAR + 1)
    # The greatest difference at which there are still few enough; where the very nearest are too many, some of them.
    allowed = (np.cumsum(table, axis=1) <= NEAREST).sum(axis=1) - 1
    kept = np.flatnonzero(bits <= np.maximum(allowed, 0)[point])
    order = kept[np.lexsort((bits[kept], point[kept]))]
    begins = np.searchsorted(point[order], np.arange(points))
    rank = np.arange(len(order)) - begins[point[order]]
    order = order[rank < NEAREST]
    return point[order], posted[order], bits[order]


def _joined(parts: list[_Votes]) -> _Votes:
    import numpy as np

    return _Votes(
        *(
            np.concatenate([getattr(one, name) for one in parts])
            for name in ("point", "view", "weight", "place", "variant")
        )
    )


def _ranked(votes: _Votes, asked: NDArray[Any], variants: Sequence[Variant], limit: int) -> tuple[Candidate, ...]:
    import numpy as np

    if not len(votes.view):
        return ()
    mirrored = np.array([one[0] for one in variants])[votes.variant]
    mine = asked[votes.point].astype(np.int64)
    # 256ths of a circle; of a mirrored picture the sense of turning is the other one.
    turn = (votes.place[:, 0].astype(np.int64) - np.where(mirrored, -mine[:, 0], mine[:, 0])) % 256
    scale = mine[:, 1] - votes.place[:, 1].astype(np.int64) + 256
    group = votes.view * len(variants) + votes.variant
    best, score, chosen = _turn_and_scale(votes, group, turn, scale)
    order = np.lexsort((best, -score))[:_SECOND_LOOK]
    looked = np.sort(best[order])
    place = np.searchsorted(looked, group).clip(max=len(looked) - 1)
    again = np.flatnonzero((looked[place] == group) & chosen)
    inverted = np.array([one[1] for one in variants])[votes.variant]
    # Mirroring and inversion each turn the direction of a point by half a circle.
    turn = (turn + 128 * (mirrored ^ inverted)) % 256
    final = _spots(votes.take(again), mine[again], mirrored[again], turn[again], scale[again], group[again])
    ranked = sorted(final.items(), key=lambda one: (-one[1], one[0]))[:limit]
    return tuple(
        Candidate(number // len(variants), *variants[number % len(variants)], round(float(weight), 3))
        for number, weight in ranked
    )


def _turn_and_scale(
    votes: _Votes, group: NDArray[Any], turn: NDArray[Any], scale: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return the groups, each one's best sum over a window of turn and scale, and which votes are in such a window.

    Windows are 45° and two octaves wide, and overlap by half.
    """
    import numpy as np

    keys = [
        (group * 8 + ((turn + 16 * a) % 256) // 32) * 2 + a for a in (0, 1)
    ]  # fmt: skip
    windows = [((key * 32 + (scale + 16 * b) // 32) * 2 + b) for key in keys for b in (0, 1)]
    every = np.concatenate(windows)
    point = np.tile(votes.point, len(windows))
    weight = np.tile(votes.weight, len(windows))
    # One point of the question votes once for a window, or a grid of equal spots would outvote everything.
    order = np.lexsort((-weight, point, every))
    every, point, weight, source = every[order], point[order], weight[order], order % len(votes.point)
    once = np.r_[True, (every[1:] != every[:-1]) | (point[1:] != point[:-1])]
    starts = np.flatnonzero(np.r_[True, every[1:] != every[:-1]])
    sums = np.add.reduceat(np.where(once, weight, 0), starts)
    window = every[starts]
    owner = window // (2 * 32 * 2 * 8)
    by_owner = np.lexsort((-sums, owner))
    firsts = np.flatnonzero(np.r_[True, owner[by_owner][1:] != owner[by_owner][:-1]])
    winners = by_owner[firsts]
    chosen = np.zeros(len(votes.point), bool)
    winning = np.zeros(len(window), bool)
    winning[winners] = True
    chosen[source[np.repeat(winning, np.diff(np.r_[starts, len(every)]))]] = True
    return owner[winners], sums[winners], chosen


def _spots(
    votes: _Votes,
    mine: NDArray[Any],
    mirrored: NDArray[Any],
    turn: NDArray[Any],
    scale: NDArray[Any],
    group: NDArray[Any],
) -> dict[int, float]:
    """Return for each group the best sum of votes that put the middle of the question in the same place."""
    import numpy as np

    middle = np.median(mine[:, 2:], axis=0) if len(mine) else np.zeros(2)
    ratio = np.exp2((scale - 256) / 16.0)
    offset = (middle - mine[:, 2:]).astype(np.float64)
    offset[mirrored, 0] *= -1
    angle = turn * (2 * np.pi / 256)
    cosine, sine = np.cos(angle) * ratio, np.sin(angle) * ratio
    x = votes.place[:, 2] + cosine * offset[:, 0] - sine * offset[:, 1]
    y = votes.place[:, 3] + sine * offset[:, 0] + cosine * offset[:, 1]
    final: dict[int, float] = {}
    order = np.argsort(group, kind="stable")
    edges = (
        np.r_[np.flatnonzero(np.r_[True, np.diff(group[order]) != 0]), len(order)] if len(order) else np.zeros(1, int)
    )
    for start, end in itertools.pairwise(edges):
        some = order[start:end]
        reach = max(6.0, 60.0 * float(np.median(ratio[some])))
        spread = np.hypot(x[some, None] - x[None, some], y[some, None] - y[None, some]) < reach
        final[int(group[some[0]])] = _best_spot(spread, votes.point[some], votes.weight[some])
    return final


def _best_spot(near: NDArray[Any], point: NDArray[Any], weight: NDArray[Any]) -> float:
    import numpy as np

    sums = near @ weight
    members = np.flatnonzero(near[int(sums.argmax())])
    order = members[np.lexsort((-weight[members], point[members]))]
    once = np.r_[True, point[order][1:] != point[order][:-1]]
    return float(weight[order][once].sum())
