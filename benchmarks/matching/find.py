"""Finds the original of a changed picture among 300: how often, how well placed, and how silent where there is none.

The gallery holds everything; the questions come from one half of the sources
only: parameters were chosen on the half ``tune``, and the table is of ``report``.
Compared in the same run: ISCC Image-Code 256 (eight orientations and the
complement), ORB with RANSAC, and phash.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.matching.originals import Original, composition, originals
from benchmarks.matching.tables import Row, markdown, measure, share
from benchmarks.matching.transforms import TRANSFORMS, Changed, grey, registration_error, transformed
from rawtrace.image.isccunits import bits_of, dihedral_codes, image_code
from rawtrace.match.features import LIMIT, POINT_BYTES, features, stretched
from rawtrace.match.find import find
from rawtrace.match.galleries import VARIANTS, MemoryGallery
from rawtrace.match.model import Match, Relation, Where
from rawtrace.match.pairs import accepted, compare_pixels, verify_pair

Pixels = np.ndarray[Any, Any]
#: Farther off than this, in px of the changed picture or in hundredths of its longer side, is not the right place.
RIGHT_PX, RIGHT_SHARE = 3.0, 0.02


@dataclass(slots=True)
class Tally:
    """What came of the questions of one transform."""

    asked: int = 0
    first: int = 0
    right: int = 0
    errors: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Results:
    """What came of a run."""

    tallies: dict[str, Tally]
    open_asked: int = 0
    open_pairs: int = 0
    open_accepted: list[str] = field(default_factory=list)


def gallery_of(kept: Sequence[Original]) -> MemoryGallery:
    """Put originals into a gallery, each under its name."""
    gallery = MemoryGallery()
    for original in kept:
        gallery.add(Where(source=original.name), grey(original.pixels))
    return gallery


def questions(half: str, *, each: int = 3) -> list[Original]:
    """Choose what is asked for: all real pictures of a half, two fields of each, some simulated ones of each kind."""
    counts: dict[str, int] = {}
    chosen = []
    for original in originals():
        if original.half != half or original.kind == "plane":
            continue
        simulated = original.kind.startswith("simulated")
        key = original.kind if simulated else f"{original.kind} {original.group}"
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= (each if simulated else 2 if original.kind == "field" else 99):
            chosen.append(original)
    return chosen


def run(
    half: str, names: Iterable[str] = TRANSFORMS, *, each: int = 3, open_set: bool = True, progress: bool = False,
    every: int = 1,
) -> Results:  # fmt: skip
    """Ask for everything."""
    kept = originals()
    gallery = gallery_of(kept)
    gallery.candidates(features(np.eye(64)), VARIANTS, 1)
    shown = {original.name: original for original in kept}
    results = Results({name: Tally() for name in names})
    asked = questions(half, each=each)[::every]
    for name in results.tallies:
        for number, original in enumerate(asked):
            changed = transformed(name, original.pixels, seed=number)
            _ask(results, name, original, changed, gallery, shown)
            if open_set:
                _ask_without(results, name, original, changed, gallery, kept)
        if progress:
            tally = results.tallies[name]
            print(name, tally, results.open_accepted[-6:], flush=True)
    return results


def _ask(
    results: Results,
    name: str,
    original: Original,
    changed: Changed,
    gallery: MemoryGallery,
    shown: dict[str, Original],
) -> None:
    tally = results.tallies[name]
    started = time.process_time()
    found = find(changed.pixels, gallery)
    tally.seconds.append(time.process_time() - started)
    tally.asked += 1
    size = (changed.pixels.shape[1], changed.pixels.shape[0])
    for match in found[1:]:
        if match.where.source != original.name:
            tally.others[match.relation] = tally.others.get(match.relation, 0) + 1
    for match in found:
        if shown[match.where.source].group != original.group:
            tally.wrong.append(f"{original.name} -> {match.where.source} ({match.inliers}, {match.correlation:.2f})")
    if not found or found[0].where.source != original.name:
        tally.missed.append(f"{original.name} {size}" + (f" -> {found[0].where.source}" if found else ""))
        return
    tally.first += 1
    best = found[0]
    error = error_of(best, changed, size)
    tally.errors.append(error)
    if error <= max(RIGHT_PX, RIGHT_SHARE * max(size)):
        tally.right += 1
        if best.relation is not Relation.SAME:
            tally.others[f"first is {best.relation}"] = tally.others.get(f"first is {best.relation}", 0) + 1
    else:
        tally.missed.append(f"{original.name} {size} off by {error:.1f} {best.relation}")


def error_of(match: Match, changed: Changed, size: tuple[int, int]) -> float:
    """Return how far off a placement is; without one, the whole is the same."""
    matrix = match.placement.matrix if match.placement is not None else np.eye(3)[:2]
    return registration_error(matrix, changed.matrix, size)


def _ask_without(
    results: Results, name: str, original: Original, changed: Changed, gallery: MemoryGallery, kept: Sequence[Original]
) -> None:
    gallery.hidden = frozenset(number for number, other in enumerate(kept) if other.group == original.group)
    try:
        found = find(changed.pixels, gallery)
    finally:
        results.open_pairs += len(kept) - len(gallery.hidden)
        gallery.hidden = frozenset()
    results.open_asked += 1
    results.open_accepted += [
        f"{name}: {original.name} -> {match.where.source} ({match.inliers}, {match.correlation:.2f}, {match.relation})"
        for match in found
    ]


def every_pair(most: int, *, seed: int = 3) -> tuple[int, list[str]]:
    """Verify pairs of unrelated originals directly, without votes, in all four variants; return tried and accepted."""
    kept, random = originals(), np.random.default_rng(seed)
    shown = [stretched(grey(original.pixels)) for original in kept]
    points = [features(picture) for picture in shown]
    tried, taken = 0, []
    while tried < most:
        a, b = (int(one) for one in random.integers(0, len(kept), 2))
        if kept[a].group == kept[b].group or (kept[a].kind != kept[b].kind and random.random() < 0.5):
            continue
        mirrored, inverted = VARIANTS[tried % 4]
        tried += 1
        pair = verify_pair(points[a], points[b], mirrored=mirrored, inverted=inverted)
        if pair is not None and accepted(pair, compare_pixels(shown[b], shown[a], pair.matrix)):
            taken.append(f"{kept[a].name} / {kept[b].name} ({pair.inliers}, {pair.guided})")
    return tried, taken


Asker = Callable[[Pixels], int]


def by_code(kept: Sequence[Original]) -> Asker:
    """ISCC Image-Code 256 of the stretched picture; asked in eight orientations, and with the complement."""
    codes = [image_code(stretched(grey(original.pixels))) for original in kept]
    bits = np.array([np.frombuffer(bits_of(code) if code else bytes(32), np.uint8) for code in codes])
    known = np.array([bool(code) for code in codes])

    def ask(pixels: Pixels) -> int:
        best, least = -1, 999
        for code in dihedral_codes(stretched(grey(pixels))):
            apart = np.bitwise_count(bits ^ np.frombuffer(bits_of(code), np.uint8)).sum(axis=1, dtype=int)
            apart = np.where(known, np.minimum(apart, 256 - apart), 999)
            if apart.min() < least:
                best, least = int(apart.argmin()), int(apart.min())
        return best

    return ask


def by_phash(kept: Sequence[Original]) -> Asker:
    """Perceptual hash of 64 bits."""
    import imagehash

    hashes = [imagehash.phash(Image.fromarray(stretched(grey(original.pixels)))) for original in kept]

    def ask(pixels: Pixels) -> int:
        asked = imagehash.phash(Image.fromarray(stretched(grey(pixels))))
        return int(np.argmin([asked - one for one in hashes]))

    return ask


def by_orb(kept: Sequence[Original]) -> Asker:
    """ORB, 800 points, ratio 0.85 and RANSAC with every original."""
    orb, matcher = cv2.ORB_create(nfeatures=LIMIT), cv2.BFMatcher(cv2.NORM_HAMMING)

    def points(pixels: Pixels) -> tuple[Pixels, Pixels]:
        found, vectors = orb.detectAndCompute(stretched(grey(pixels)), None)
        if vectors is None:
            return np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8)
        return np.array([one.pt for one in found], np.float32), vectors

    held = [points(original.pixels) for original in kept]

    def ask(pixels: Pixels) -> int:
        xy, vectors = points(pixels)
        best, most = -1, 5
        for number, (there, others) in enumerate(held):
            if len(vectors) < 6 or len(others) < 6:
                continue
            pairs = [two for two in matcher.knnMatch(vectors, others, k=2) if len(two) == 2]
            good = [one for one, next_one in pairs if one.distance < 0.85 * next_one.distance]
            if len(good) <= most:
                continue
            source = there[[one.trainIdx for one in good]]
            _, inside = cv2.estimateAffinePartial2D(
                source, xy[[one.queryIdx for one in good]], method=cv2.RANSAC, ransacReprojThreshold=4
            )
            if inside is not None and inside.sum() > most:
                best, most = number, int(inside.sum())
        return best

    return ask


OTHERS: dict[str, Callable[[Sequence[Original]], Asker]] = {
    "ISCC Image-Code 256": by_code, "phash": by_phash, "ORB and RANSAC": by_orb,
}  # fmt: skip


def others(half: str, *, each: int, every: int, names: Iterable[str] = TRANSFORMS) -> dict[str, tuple[int, int, float]]:
    """Return hits, questions and mean CPU seconds of other people's methods, on the same questions."""
    kept = originals()
    place = {original.name: number for number, original in enumerate(kept)}
    found = {}
    for label, make in OTHERS.items():
        ask, hits, asked = make(kept), 0, 0
        started = time.process_time()
        # ORB compares with each original anew, and takes most of the time.
        step = every * 4 if label.startswith("ORB") else every
        for name in names:
            for number, original in enumerate(questions(half, each=each)[::step]):
                changed = transformed(name, original.pixels, seed=number * (step // every))
                hits += ask(changed.pixels) == place[original.name]
                asked += 1
        found[label] = (hits, asked, (time.process_time() - started) / max(1, asked))
    return found


def table(quick: bool) -> str:
    """Measure, and return the table as Markdown."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    each, every = (1, 4) if quick else (2, 1)
    results = run("report", each=each, every=every)
    rows: list[Row] = []
    for name, tally in results.tallies.items():
        errors = f"off by {np.median(tally.errors):.2f} px (median)" if tally.errors else ""
        rows.append(share(f"{name}: accepted, and right", tally.right, tally.asked, note=errors))
    every_tally = list(results.tallies.values())
    asked = sum(tally.asked for tally in every_tally)
    errors = [error for tally in every_tally for error in tally.errors]
    seconds = [second for tally in every_tally for second in tally.seconds]
    wrong = sum(len(tally.wrong) for tally in every_tally)
    rows += [
        share("first of the list is the original", sum(t.first for t in every_tally), asked, at_least=0.99),
        share("accepted, and in the right place", sum(t.right for t in every_tally), asked, at_least=0.97),
        share("unrelated picture accepted beside the original", wrong, asked, at_most=0),
        share("open set: anything unrelated accepted", len(results.open_accepted), results.open_asked, at_most=0,
              note=f"{results.open_pairs} pairs"),
        measure("placement, median px", errors, at_most=0.1),
        measure("placement, 95th percentile px", errors, lambda v: float(np.percentile(v, 95))),
        measure("CPU seconds a question, four variants", seconds, np.mean, at_most=1.5),
    ]  # fmt: skip
    tried, taken = every_pair(300 if quick else 12_000)
    rows.append(share("pairs of unrelated originals accepted", len(taken), tried, at_most=1e-5))
    for label, (hits, count, cpu) in others("report", each=each, every=every).items():
        rows.append(share(f"{label}: first of the list is the original", hits, count, note=f"{cpu:.2f} s CPU"))
    title = f"Finding the original among {len(originals())} ({composition()}); {LIMIT} points of {POINT_BYTES} bytes"
    return markdown(rows, title=title)


if __name__ == "__main__":
    import sys

    print(table("--quick" in sys.argv))
