"""Which pictures of a set may show the same: every point votes for the picture that has the point most like it.

Points are sorted into cells of like ones, and compared within their cells only,
all pictures at once. The votes choose what is verified; they decide nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rawtrace.match.features import UNIT, Features, variant
from rawtrace.progress import SILENT, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Mirrored, inverted.
VARIANTS = ((False, False), (True, False), (False, True), (True, True))
#: Points of a picture that vote: its first ones are spread over it.
VOTING = 500
_CELLS = 2_048
_PROBED = 2
_BLOCK = 16_384
_TURNS = 12
_MIN_VOTES = 0.45
_EACH = 4

Candidate = tuple[int, int, bool, bool, float]


def candidates(held: Sequence[Features], *, progress: Progress = SILENT) -> list[Candidate]:
    """Return pairs of pictures that are worth a look.

    Returns
    -------
    list of (query, original, mirrored, inverted, votes)
        Numbers of pictures, query < original; most votes first, at most a few for each picture.
    """
    import numpy as np

    held = [one.take(slice(VOTING)) for one in held]
    counts = np.array([len(one) for one in held])
    if len(held) < 2 or counts.sum() < 8:
        return []
    descriptors = np.concatenate([one.descriptors for one in held])
    angle = np.concatenate([one.angle for one in held])
    size = np.concatenate([one.size for one in held])
    owner = np.repeat(np.arange(len(held)), counts)
    centres = _centres(descriptors)
    home = _nearest(descriptors, centres, 1)[:, 0]
    order = np.argsort(home, kind="stable")
    ends = np.searchsorted(home[order], np.arange(len(centres) + 1))
    votes: dict[tuple[int, int, int], float] = {}
    progress.start("comparing points", len(VARIANTS))
    for kind, (mirrored, inverted) in enumerate(VARIANTS):
        asked = np.concatenate([variant(one, mirrored=mirrored, inverted=inverted) for one in held])
        best, place, second = _matched(asked, descriptors, owner, centres, order, ends)
        ratio = np.sqrt(np.maximum(1 - best, 1e-6) / np.maximum(1 - second, 1e-6))
        kept = np.flatnonzero((best > 0.75) & (ratio < 0.95))
        other = place[kept]
        turn = angle[kept] + (180 if inverted else 0) + (angle[other] if mirrored else -angle[other])
        turns = ((turn % 360) * (_TURNS / 360)).astype(np.int64) % _TURNS
        octave = np.clip(np.rint(np.log2(np.maximum(size[kept], 1e-3) / np.maximum(size[other], 1e-3))), -4, 4) + 4
        weight = 1 - ratio[kept]
        _count(votes, owner[kept], owner[other], turns, octave.astype(np.int64), weight, kind)
        progress.advance(1)
    progress.finish()
    return _chosen(votes, len(held))


def _count(
    votes: dict[tuple[int, int, int], float], asking: NDArray[Any], answering: NDArray[Any], turns: NDArray[Any],
    octaves: NDArray[Any], weight: NDArray[Any], kind: int,
) -> None:  # fmt: skip
    """Add up what agrees in turn and scale, and keep the best of each pair of pictures."""
    import numpy as np

    if not len(asking):
        return
    # A pair seen from the other side turns and scales the other way; a mirror image turns the same way.
    swap = asking > answering
    mirrored = VARIANTS[kind][0]
    turns = np.where(swap & (not mirrored), -turns % _TURNS, turns)
    octaves = np.where(swap, 8 - octaves, octaves)
    first, second = np.minimum(asking, answering), np.maximum(asking, answering)
    pictures = int(second.max()) + 1
    for shift in (0, 1):  # two divisions of the circle, so that none of them cuts a group in two
        bins = ((turns + shift) // 2) % (_TURNS // 2)
        key = ((first * pictures + second) * _TURNS + bins) * 9 + octaves
        unique, where = np.unique(key, return_inverse=True)
        sums = np.bincount(where, weight)
        for one, total in zip(unique.tolist(), sums.tolist(), strict=True):
            if total >= _MIN_VOTES:
                a, b = divmod(one // (9 * _TURNS), pictures)
                votes[a, b, kind] = max(votes.get((a, b, kind), 0.0), total)


def _chosen(votes: dict[tuple[int, int, int], float], pictures: int) -> list[Candidate]:
    """Keep the best variant of a pair, and a few pairs for each picture."""
    best: dict[tuple[int, int], tuple[float, int]] = {}
    for (a, b, kind), total in votes.items():
        if total > best.get((a, b), (0.0, 0))[0]:
            best[a, b] = total, kind
    ranked = sorted(best.items(), key=lambda one: (-one[1][0], one[0]))
    used = [0] * pictures
    found: list[Candidate] = []
    for (a, b), (total, kind) in ranked:
        # Many votes stand for themselves: a picture may have many relatives.
        if total < 6 and min(used[a], used[b]) >= _EACH:
            continue
        used[a] += 1
        used[b] += 1
        found.append((a, b, *VARIANTS[kind], total))
        if len(found) >= 6 * pictures + 50:
            break
    return found


def _units(descriptors: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return descriptors.astype(np.float32) * np.float32(1 / UNIT)


def _centres(descriptors: NDArray[Any]) -> NDArray[Any]:
    """Cluster a sample; the seed is fixed, so that a result repeats."""
    import numpy as np

    count = int(np.clip(math.isqrt(len(descriptors)) * 2, 1, _CELLS))
    random = np.random.default_rng(5)
    sample = _units(descriptors[np.sort(random.permutation(len(descriptors))[: 12 * count])])
    centres = sample[random.permutation(len(sample))[:count]]
    for _ in range(3):
        nearest = (sample @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, sample)
        full = np.bincount(nearest, minlength=len(centres)) > 0
        centres = np.where(full[:, None], sums, centres)
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-6)
    result: NDArray[Any] = centres
    return result


def _nearest(descriptors: NDArray[Any], centres: NDArray[Any], count: int) -> NDArray[Any]:
    import numpy as np

    count = min(count, len(centres))
    found = []
    for begin in range(0, len(descriptors), _BLOCK):
        products = _units(descriptors[begin : begin + _BLOCK]) @ centres.T
        first = products.argmax(axis=1)
        columns = [first]
        for _ in range(count - 1):
            products[np.arange(len(products)), columns[-1]] = -2
            columns.append(products.argmax(axis=1))
        found.append(np.stack(columns, axis=1))
    return np.concatenate(found)


def _matched(
    asked: NDArray[Any], descriptors: NDArray[Any], owner: NDArray[Any], centres: NDArray[Any], order: NDArray[Any],
    ends: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:  # fmt: skip
    """Return the likeness and number of the nearest point of another picture, and the next likeness in a third."""
    import numpy as np

    cells = _nearest(asked, centres, _PROBED)
    best = np.full(len(asked), -1.0, np.float32)
    second = np.full(len(asked), 0.0, np.float32)
    place = np.zeros(len(asked), np.int64)
    row = np.repeat(np.arange(len(asked)), cells.shape[1])
    cell = cells.ravel()
    by_cell = np.argsort(cell, kind="stable")
    row = row[by_cell]
    begins = np.searchsorted(cell[by_cell], np.arange(len(centres) + 1))
    for number in range(len(centres)):
        members = order[ends[number] : ends[number + 1]]
        if not len(members):
            continue
        known, theirs = _units(descriptors[members]), owner[members]
        for begin in range(int(begins[number]), int(begins[number + 1]), 4_096):
            asking = row[begin : min(begin + 4_096, int(begins[number + 1]))]
            products = _units(asked[asking]) @ known.T
            products[owner[asking][:, None] == theirs[None]] = -1
            first = products.argmax(axis=1)
            value = products[np.arange(len(asking)), first]
            products[theirs[first][:, None] == theirs[None]] = -1
            following = products.max(axis=1)
            better = value > best[asking]
            elsewhere = owner[place[asking]] != theirs[first]
            loser = np.where(better, best[asking], value)
            following = np.where(elsewhere, np.maximum(following, loser), following)
            second[asking] = np.maximum(second[asking], following)
            place[asking] = np.where(better, members[first], place[asking])
            best[asking] = np.maximum(best[asking], value)
    return best, place, second
