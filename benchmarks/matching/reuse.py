"""Areas that a picture shows twice, and pictures that a set shows twice: how many are found, and how well.

Parameters were chosen on the half "tune" of the pictures; the table is of the
half "report". Seamless textures are left out: they were made by cloning, so that no area of them is without a twin.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from benchmarks.matching.originals import KINDS, originals
from benchmarks.matching.sources import of_half
from benchmarks.matching.tables import Row, markdown, measure, share
from benchmarks.matching.transforms import grey, to_eight_bits, transformed
from rawtrace.match.model import Relation, Where
from rawtrace.match.reuse.copymove import Repeat, copy_moves, union_mask
from rawtrace.match.reuse.duplicates import Shown, duplicates, look_at

Pixels = np.ndarray[Any, Any]
CASES = ("moved", "turned 90°", "turned", "mirrored", "rescaled 0.8 to 1.25")
RADII = (0.06, 0.12)
QUALITIES = (0, 75)
#: Made seamless by cloning.
_SEAMLESS = ("scikit-image/grass", "scikit-image/gravel", "scikit-image/brick")
#: Ladders and lanes.
_LADDERS = ("gels/",)
_EDGE = 512
_PLANTED = ("crop to 50 %", "mirrored", "gamma 0.45", "inverted", "rotated by 90°", "JPEG 40")


@dataclass(slots=True)
class Tally:
    """What one case came to."""

    f1: list[float] = field(default_factory=list)
    found: int = 0
    named_repeating: int = 0


def field_of(pixels: Pixels) -> Pixels:
    """Return the middle of a picture in 8 bits of grey, at most 512 px along each axis."""
    shown = grey(to_eight_bits(pixels))
    top, left = (max(0, (edge - _EDGE) // 2) for edge in shown.shape[:2])
    return np.ascontiguousarray(shown[top : top + _EDGE, left : left + _EDGE]).astype(np.uint8)


def pictures(half: str) -> list[tuple[str, Pixels]]:
    """Return the fields of one half; none smaller than 200 px."""
    found = [(source.name, field_of(source.pixels)) for source in of_half(half)]
    return [(name, shown) for name, shown in found if min(shown.shape) >= 200 and not name.startswith(_SEAMLESS)]


def forged(shown: Pixels, case: str, radius: float, seed: int) -> tuple[Pixels, Pixels]:
    """Show one area of a picture a second time; return the picture and the mask of both areas."""
    random = np.random.default_rng(seed)
    height, width = shown.shape
    r = max(9, int(min(height, width) * radius))
    margin = int(1.3 * r) + 3
    rough = cv2.GaussianBlur(np.abs(shown - cv2.GaussianBlur(shown.astype(np.float32), (0, 0), r / 2)), (0, 0), r / 2)

    def place(*, rich: bool) -> tuple[int, int]:
        tried = [(int(random.integers(margin, width - margin)), int(random.integers(margin, height - margin)))
                 for _ in range(50)]  # fmt: skip
        tried.sort(key=lambda at: rough[at[1], at[0]], reverse=rich)
        return tried[int(random.integers(0, 6))]

    for _ in range(200):
        source, target = place(rich=True), place(rich=False)
        if math.hypot(source[0] - target[0], source[1] - target[1]) > 2.6 * r:
            break
    angle = random.uniform(0.2, 2.9)
    linear = {
        "moved": np.eye(2),
        "turned 90°": np.array([[0.0, 1.0], [-1.0, 0.0]]),
        "turned": np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]),
        "mirrored": np.diag([-1.0, 1.0]),
        "rescaled 0.8 to 1.25": np.eye(2) * float(random.choice([0.8, 0.9, 1.15, 1.25])),
    }[case]
    matrix = np.c_[linear, np.array(target) - linear @ np.array(source)]
    moved = cv2.warpAffine(
        shown.astype(np.float32), matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    y, x = np.ogrid[:height, :width]
    first = ((y - source[1]) / r) ** 2 + ((x - source[0]) / (0.9 * r)) ** 2 <= 1
    second = cv2.warpAffine(first.astype(np.uint8), matrix, (width, height)) > 0
    blend = cv2.GaussianBlur(second.astype(np.float32), (0, 0), 0.8)
    return np.clip(shown * (1 - blend) + moved * blend, 0, 255).round().astype(np.uint8), first | second


def compressed(shown: Pixels, quality: int) -> Pixels:
    """Return a picture after JPEG; as it is for quality 0."""
    if not quality:
        return shown
    packed: Pixels = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(packed, cv2.IMREAD_GRAYSCALE)


def overlap(found: Pixels, true: Pixels) -> float:
    """Return F1 of the pixels."""
    return 2 * float((found & true).sum()) / max(1, int(found.sum()) + int(true.sum()))


def copymove_rows(half: str, *, every: int = 1) -> Iterator[Row]:
    """Measure areas shown twice, and clean pictures."""
    kept = pictures(half)[::every]
    seconds: list[float] = []
    for quality in QUALITIES:
        label = f"JPEG {quality}" if quality else "lossless"
        together: list[float] = []
        for radius in RADII:
            for case in CASES:
                tally = Tally()
                for number, (_, shown) in enumerate(kept):
                    picture, true = forged(shown, case, radius, number)
                    moves = copy_moves(compressed(picture, quality))
                    found = union_mask([one for one in moves if one.relation is Repeat.AREA], picture.shape)
                    tally.f1.append(overlap(found, true))
                    tally.found += bool((found & true).sum() > 0.1 * true.sum())
                together += tally.f1
                note = f"found {tally.found} of {len(kept)}"
                yield measure(f"F1, {label}, radius {radius:.0%}, {case}", tally.f1, np.mean, note=note)
        yield measure(f"F1, {label}, all", together, np.mean, at_least=0.70 if quality else 0.85)
        alarms = ladders = named = 0
        for name, shown in kept:
            started = time.process_time()
            moves = copy_moves(compressed(shown, quality))
            if shown.shape == (_EDGE, _EDGE):
                seconds.append(time.process_time() - started)
            if name.startswith(_LADDERS):
                ladders += 1
                named += all(one.relation is Repeat.STRUCTURE for one in moves)
            else:
                alarms += any(one.relation is Repeat.AREA for one in moves)
        yield share(f"clean pictures with an alarm, {label}", alarms, len(kept) - ladders, at_most=0.02)
        yield share(f"ladders silent or called repeating, {label}", named, ladders)
    yield measure("CPU seconds a field of 512 px", seconds, np.mean, at_most=1.5)


def batch(count: int) -> tuple[list[Shown], dict[int, str], set[tuple[int, int]], float]:
    """Prepare a set of pictures with planted twins; also which pictures are related, and the CPU seconds it took."""
    pool = [(one.group, to_eight_bits(one.pixels)) for one in originals() if one.kind in {"whole", "field"}]
    # Fields of one source are not held against each other either way.
    kinds, number = list(KINDS.items()), 0
    while len(pool) < int(count * 0.9):
        name, make = kinds[number % len(kinds)]
        random = np.random.default_rng([number, 77])
        pool.append((f"{name} {number}", to_eight_bits(make(random, 256 + 16 * int(random.integers(0, 18))))))
        number += 1
    pool = pool[: int(count * 0.9)]
    planted: set[tuple[int, int]] = set()
    random = np.random.default_rng(3)
    for step, twin in enumerate(random.permutation(len(pool))[: count - len(pool)]):
        group, pixels = pool[int(twin)]
        planted.add((int(twin), len(pool)))
        pool.append((group, transformed(_PLANTED[step % len(_PLANTED)], pixels, seed=step).pixels))
    started = time.process_time()
    shown = [look_at(Where(source=str(index)), pixels, panels=False) for index, (_, pixels) in enumerate(pool)]
    seconds = time.process_time() - started
    groups = {index: group for index, (group, _) in enumerate(pool)}
    return [one[0] for one in shown if one], groups, planted, seconds


def duplicate_rows(count: int) -> Iterator[Row]:
    """Measure a set of pictures against each other."""
    shown, groups, planted, preparing = batch(count)
    cpu, clock = time.process_time(), time.monotonic()
    found = duplicates(shown)
    cpu, clock = time.process_time() - cpu, time.monotonic() - clock
    pairs = {(min(a, b), max(a, b)): one.relation for one in found
             for a, b in [(int(one.first.source), int(one.second.source))]}  # fmt: skip
    yield share("planted twins found", len(planted & set(pairs)), len(planted), at_least=0.97)
    same = sum(pairs.get(pair) is Relation.SAME for pair in planted)
    yield share("planted twins called the same picture", same, len(planted))
    wrong = [pair for pair in pairs if groups[pair[0]] != groups[pair[1]]]
    all_pairs = len(shown) * (len(shown) - 1) // 2
    yield share("unrelated pairs found", len(wrong), all_pairs, at_most=1e-5,
                note="; ".join(f"{groups[a]} and {groups[b]}" for a, b in wrong[:4]))  # fmt: skip
    yield Row(what=f"CPU seconds for {len(shown)} pictures: points", n=1, value=preparing)
    yield Row(what=f"CPU seconds for {len(shown)} pictures: votes and verification", n=1, value=cpu,
              note=f"{clock:.0f} s by the clock on one core")  # fmt: skip
    total = preparing + cpu
    yield Row(what="both, on two cores, seconds", n=1, value=total / 2, target="≤ 60", met=total / 2 <= 60)


def table(quick: bool) -> str:
    """Measure, and return the tables as Markdown."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    areas = markdown(copymove_rows("report", every=6 if quick else 1), title="Areas that a picture shows twice")
    sets = markdown(duplicate_rows(80 if quick else 700), title="Pictures that a set shows twice")
    return areas + "\n" + sets


if __name__ == "__main__":
    import sys

    print(table("--full" not in sys.argv))
