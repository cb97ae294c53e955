"""Strips of blots and gels: is the original found, and is one named that is not there.

Parameters were chosen on blots of the style "tune"; the numbers are of the style
"report", other seeds and other shapes. The real gel is in both galleries.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.matching import blots, tables
from benchmarks.matching.sources import sources
from rawtrace.match.model import Relation, Where
from rawtrace.match.strips import StripFeatures, looks_like_blot, strip_features
from rawtrace.match.strips.find import QUICK, decide, look, weigh

Array = np.ndarray[Any, Any]
GEL = "gels/gel_ladder_reference.tif"
TARGETS = {"linear": 0.95, "saturated 50-93 %, inverted": 0.90, "gamma .5, half size, JPEG 60": 0.75}


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One original of the gallery."""

    where: Where
    strip: StripFeatures
    view: Array

    def pixels(self) -> Array:
        return self.view


@dataclass(frozen=True, slots=True)
class Outcome:
    """One question: whether the first is right, what was said, and what it cost."""

    first: bool
    accepted: bool
    wrong: bool
    repeating: bool
    absent_same: bool
    absent_repeating: bool
    cpu_s: float


def gallery(style: str, count: int) -> tuple[list[blots.Blot | Array], list[Member]]:
    """Return the originals and the gallery of their views, the real gel last where it is at hand."""
    made: list[blots.Blot | Array] = [blots.blot(seed, style) for seed in range(count)]
    made += [source.pixels for source in sources() if source.name == GEL]
    members = []
    for number, one in enumerate(made):
        view = blots.view_of(one.pixels) if isinstance(one, blots.Blot) else one
        members.append(Member(Where(source=f"blot-{number}"), strip_features(view), view))
    return made, members


def ask(strip: blots.Strip, number: int, members: list[Member]) -> Outcome:
    """Ask for one strip, with its original in the gallery and without it."""
    begun = time.process_time()
    looked = look(strip.pixels, members, limit=QUICK + 12)
    ranked = weigh(looked)
    found = decide(ranked, strip.pixels.shape)
    cost = time.process_time() - begun
    right = bool(ranked) and _right(ranked[0].original.where.source, ranked[0].agreement.place.matrix, strip, number)
    same = [match for match in found if match.relation is Relation.SAME]
    good = [match for match in same if match.placement is not None
            and _right(match.where.source, np.array(match.placement.matrix), strip, number)]  # fmt: skip
    others = weigh(looked, without=frozenset({number}))
    without = decide(others, strip.pixels.shape)
    return Outcome(
        right, bool(good), len(good) < len(same), bool(found) and not same,
        any(match.relation is Relation.SAME for match in without),
        any(match.relation is Relation.REPEATING for match in without), cost,
    )  # fmt: skip


def _right(source: str, matrix: Array, strip: blots.Strip, number: int) -> bool:
    """Tell whether it is the original and, on average over the corners, within 4 px of the place."""
    if source != f"blot-{number}":
        return False
    height, width = strip.pixels.shape
    corners = np.array([[0, width - 1, 0, width - 1], [0, 0, height - 1, height - 1], [1, 1, 1, 1]], float)
    there = np.linalg.inv(np.vstack([strip.matrix, [0, 0, 1]])) @ corners
    return bool(np.sqrt((((matrix @ there) - corners[:2]) ** 2).sum(0)).mean() <= max(4.0, 0.01 * width))


def measure(
    style: str, *, blots_count: int, questions: int, gel_questions: int, variants: tuple[str, ...] = blots.VARIANTS
) -> dict[str, list[Outcome]]:
    """Ask ``questions`` strips of every variant, and the gel's."""
    made, members = gallery(style, blots_count)
    outcomes: dict[str, list[Outcome]] = {}
    for variant in variants:
        chosen = np.linspace(0, blots_count - 1, questions).round().astype(int).tolist()
        for number in chosen:
            cut = blots.strip(made[number], variant, number)
            if cut is not None:
                outcomes.setdefault(variant, []).append(ask(cut, number, members))
        if len(made) > blots_count:
            for seed in range(gel_questions):
                cut = blots.strip(made[-1], variant, 1_000 + seed)
                if cut is not None:
                    outcomes.setdefault(f"real gel, {variant}", []).append(ask(cut, blots_count, members))
    return outcomes


def table(quick: bool = False) -> list[tables.Row]:
    """Return the rows of the benchmark; ``quick`` asks a few strips of 30 blots."""
    count, questions, gel = (30, 3, 1) if quick else (120, 40, 3)
    outcomes = measure("report", blots_count=count, questions=questions, gel_questions=gel)
    return rows_of(outcomes, count)


def rows_of(outcomes: dict[str, list[Outcome]], count: int) -> list[tables.Row]:
    """Turn outcomes into rows."""
    rows = []
    simulated = {variant: found for variant, found in outcomes.items() if not variant.startswith("real")}
    for variant, found in simulated.items():
        rows.append(_share(f"strips, {variant}: first is right", [o.first for o in found], TARGETS.get(variant)))
        rows.append(_share(f"strips, {variant}: named the same, rightly", [o.accepted for o in found], None))
    real = [o for variant, found in outcomes.items() if variant.startswith("real") for o in found]
    if real:
        rows.append(_share("strips of a real gel, all variants: first is right", [o.first for o in real], None))
        rows.append(_share("strips of a real gel: named the same, rightly", [o.accepted for o in real], None))
    every = [o for found in outcomes.values() for o in found]
    rows.append(_share("strips: another place named the same", [o.wrong for o in every], 0.0, most=True))
    rows.append(_share("strips without their original: one named the same", [o.absent_same for o in every], 0.0,
                       most=True))  # fmt: skip
    rows.append(_share("strips without their original: named repeating", [o.absent_repeating for o in every], None))
    costs = np.array([o.cpu_s for o in every]) * 100 / (count + 1)
    rows.append(tables.measure("strips: CPU seconds a question and 100 blots, median", costs.tolist(), at_most=2.0))
    return rows


def _share(what: str, values: list[bool], target: float | None, *, most: bool = False) -> tables.Row:
    bound = {"at_most" if most else "at_least": target}
    return tables.share(what, sum(values), len(values), **bound)


def selectivity() -> tuple[float, float, float]:
    """Return how many blots, strips, and other pictures the path runs for."""
    made = [blots.blot(seed, "report") for seed in range(40)]
    strips = [cut for seed, one in enumerate(made) for v in blots.VARIANTS if (cut := blots.strip(one, v, seed))]
    others = [source.pixels for source in sources() if source.name != GEL]
    return (
        float(np.mean([looks_like_blot(blots.view_of(one.pixels)) >= 0.5 for one in made])),
        float(np.mean([looks_like_blot(cut.pixels) >= 0.5 for cut in strips])),
        float(np.mean([looks_like_blot(pixels) >= 0.5 for pixels in others])),
    )


if __name__ == "__main__":
    print(tables.markdown(table("--quick" in sys.argv)))
