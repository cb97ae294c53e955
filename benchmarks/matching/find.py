"""Finds the original of a changed picture among 300: how often, how well placed, and how silent where there is none.

The gallery holds everything; the questions come from one half of the sources
only: parameters were chosen on the half ``tune``, and the table is of ``report``.
Compared in the same run: ISCC Image-Code 256 (eight orientations and the
complement), ORB with RANSAC, and phash.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import inspect
import json
import math
import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from benchmarks.matching.originals import Original, composition, originals
from benchmarks.matching.tables import Row, markdown, measure, share
from benchmarks.matching.transforms import TRANSFORMS, Changed, grey, registration_error, to_eight_bits, transformed
from rawtrace.image.isccunits import bits_of, dihedral_codes, image_code
from rawtrace.match.features import LIMIT, POINT_BYTES, features, stretched
from rawtrace.match.find import find
from rawtrace.match.galleries import VARIANTS, MemoryGallery
from rawtrace.match.model import Match, Where
from rawtrace.match.pairs import accepted, compare_pixels, verify_pair

Pixels = np.ndarray[Any, Any]
#: Farther off than this, in px of the changed picture or in hundredths of its longer side, is not the right place.
RIGHT_PX, RIGHT_SHARE = 3.0, 0.02
#: A panel whose shorter edge is less, px, is not asked for: a tenth of a picture of 200 px, halved, is 30 px.
SHORTEST_PANEL = 64
#: Grey levels of 256 between percentiles 1 and 99.5 of what is asked for.
LEAST_SHOWN = 24
#: Panels from this shorter edge on get a row of their own, px.
USUAL_PANEL = 100
#: Compares with each original anew and takes most of the time: asked only each so manieth time.
RARELY = {"ORB and RANSAC": 5}


Asker = Callable[[Pixels], int]


@dataclass(slots=True)
class Answer:
    """What came of one question, with its original in the gallery and without it."""

    name: str
    original: str
    size: tuple[int, int]
    found: bool = False
    error: float = math.nan
    seconds: float = math.nan
    relation: str = ""
    wrong: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    open_pairs: int = 0
    open_accepted: list[str] = field(default_factory=list)
    others: dict[str, tuple[bool, float]] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        """Found, and in its place."""
        return self.found and self.error <= max(RIGHT_PX, RIGHT_SHARE * max(self.size))


def gallery_of(kept: Sequence[Original]) -> MemoryGallery:
    """Put originals into a gallery, each under its name.

    Where the environment's ``RAWTRACE_BENCHMARK_CACHE`` names a folder, the gallery is kept there for the next run, as
    long as neither the originals nor what makes their features has changed.
    """
    folder, kept_in = os.environ.get("RAWTRACE_BENCHMARK_CACHE", ""), None
    if folder:
        code = inspect.getsource(sys.modules[features.__module__]) + inspect.getsource(
            sys.modules[MemoryGallery.__module__]
        )
        digest = hashlib.sha256(code.encode() + "".join(f"{one.name} {one.pixels.sum()}" for one in kept).encode())
        kept_in = Path(folder) / f"gallery-{digest.hexdigest()[:16]}.pickle"
        if kept_in.is_file():
            cached: MemoryGallery = pickle.loads(kept_in.read_bytes())  # noqa: S301 - the folder is one's own
            return cached
    gallery = MemoryGallery()
    for original in kept:
        gallery.add(Where(source=original.name), grey(original.pixels))
    gallery.candidates(features(np.eye(64)), VARIANTS, 1)
    if kept_in is not None:
        kept_in.parent.mkdir(parents=True, exist_ok=True)
        partial = kept_in.with_suffix(f".{os.getpid()}")
        partial.write_bytes(pickle.dumps(gallery))
        partial.replace(kept_in)
    return gallery


def questions(half: str, *, each: int = 3) -> list[Original]:
    """Choose what is asked for: all real pictures of a half, two fields of each, some simulated ones of each kind.

    Fields on which there is next to nothing to see stay in the gallery and are not asked for. The order is random, and
    always the same, so that any first part of it is a fair sample.
    """
    counts: dict[str, int] = {}
    chosen = []
    for original in originals():
        if original.half != half or original.kind == "plane":
            continue
        simulated = original.kind.startswith("simulated")
        key = original.kind if simulated else f"{original.kind} {original.group}"
        counts[key] = counts.get(key, 0) + 1
        low, high = np.percentile(grey(to_eight_bits(original.pixels)), [1, 99.5])
        if counts[key] <= (each if simulated else 2 if original.kind == "field" else 99) and high - low >= LEAST_SHOWN:
            chosen.append(original)
    return [chosen[place] for place in np.random.default_rng(4).permutation(len(chosen))]


def jobs(
    half: str, names: Iterable[str] = tuple(TRANSFORMS), *, each: int = 3, every: int = 1
) -> list[tuple[str, int]]:
    """Return what is asked: transform, and number among ``questions``."""
    return [(name, number) for number in range(0, len(questions(half, each=each)), every) for name in names]


def answers(
    half: str, asked: Sequence[tuple[str, int]], *, each: int = 3, open_set: bool = True, others: Mapping[str, Asker],
    log: Path | None = None,
) -> Iterator[Answer]:  # fmt: skip
    """Ask one after the other; panels that are too small to be read are left out."""
    kept, gallery = originals(), _gallery()
    groups = {original.name: original.group for original in kept}
    possible = questions(half, each=each)
    for place, (name, number) in enumerate(asked):
        original = possible[number]
        changed = transformed(name, original.pixels, seed=number)
        if min(changed.pixels.shape[:2]) < SHORTEST_PANEL:
            continue
        answer = _ask(name, original, changed, gallery, groups)
        if open_set:
            gallery.hidden = frozenset(at for at, other in enumerate(kept) if other.group == original.group)
            answer.open_pairs = len(kept) - len(gallery.hidden)
            answer.open_accepted = [f"{name}: {original.name} -> {_said(one)}" for one in find(changed.pixels, gallery)]
            gallery.hidden = frozenset()
        for label, ask in others.items():
            if label in RARELY and place % RARELY[label]:
                continue
            started = time.process_time()
            hit = kept[ask(changed.pixels)].name == original.name
            answer.others[label] = hit, time.process_time() - started
        if log is not None:
            with log.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(dataclasses.asdict(answer)) + "\n")
        yield answer


def read_answers(log: Path) -> list[Answer]:
    """Return the answers of a log."""
    return [Answer(**json.loads(line)) for line in log.read_text(encoding="utf-8").splitlines()]


def _said(match: Match) -> str:
    return f"{match.where.source} ({match.evidence}, {match.inliers}, {match.correlation:.2f}, {match.relation})"


def _ask(name: str, original: Original, changed: Changed, gallery: MemoryGallery, groups: Mapping[str, str]) -> Answer:
    started = time.process_time()
    found = find(changed.pixels, gallery)
    seconds = time.process_time() - started
    size = (changed.pixels.shape[1], changed.pixels.shape[0])
    answer = Answer(name=name, original=original.name, size=size, seconds=seconds)
    for match in found:
        if groups[match.where.source] != original.group:
            answer.wrong.append(f"{name}: {original.name} -> {_said(match)}")
        elif match.where.source != original.name:
            answer.beside.append(str(match.relation))
    if found and found[0].where.source == original.name:
        answer.found, answer.relation = True, str(found[0].relation)
        answer.error = error_of(found[0], changed, size)
    return answer


def error_of(match: Match, changed: Changed, size: tuple[int, int]) -> float:
    """Return how far off a placement is; without one, the whole is the same."""
    matrix = match.placement.matrix if match.placement is not None else np.eye(3)[:2]
    return registration_error(matrix, changed.matrix, size)


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


def _part(arguments: tuple[str, list[tuple[str, int]], int, str]) -> list[Answer]:
    half, asked, each, log = arguments
    cv2.setNumThreads(1)
    return list(answers(half, asked, each=each, others=_others(), log=Path(log) if log else None))


@cache
def _gallery() -> MemoryGallery:
    return gallery_of(originals())


@cache
def _others() -> dict[str, Asker]:
    return {label: make(originals()) for label, make in OTHERS.items()}


def measured(half: str, *, each: int, every: int, workers: int = 1, log: str = "") -> list[Answer]:
    """Ask everything, shared among some processes."""
    asked = jobs(half, each=each, every=every)
    # Made once, before the processes part.
    _gallery()
    _others()
    parts = [(half, asked[part::workers], each, f"{log}.{part}" if log else "") for part in range(workers)]
    if workers == 1:
        return _part(parts[0])
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        return [answer for part in pool.map(_part, parts) for answer in part]


def table(quick: bool) -> str:
    """Measure, and return the table as Markdown."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    each, every = (1, 6) if quick else (2, 2)
    return shown_as_table(measured("report", each=each, every=every), pairs=300 if quick else 12_000)


def shown_as_table(every: Sequence[Answer], *, pairs: int = 0) -> str:
    """Return answers as Markdown."""
    rows: list[Row] = []
    for name in TRANSFORMS:
        these = [answer for answer in every if answer.name == name]
        if these:
            errors = [answer.error for answer in these if answer.right]
            note = f"first {sum(a.found for a in these)}; off by {np.median(errors):.2f} px (median)" if errors else ""
            rows.append(share(f"{name}: accepted, in its place", sum(a.right for a in these), len(these), note=note))
    usual = [answer for answer in every if min(answer.size) >= USUAL_PANEL]
    opened = [answer for answer in every if answer.open_pairs]
    errors, accepted_open = [a.error for a in every if a.found], sum(bool(a.open_accepted) for a in opened)
    rows += [
        share("first of the list is the original", sum(a.found for a in every), len(every), at_least=0.99),
        share("accepted, and in its place", sum(a.right for a in every), len(every), at_least=0.97),
        share(f"the same, panels of {USUAL_PANEL} px and more", sum(a.right for a in usual), len(usual), at_least=0.97),
        share("unrelated picture accepted in place of or beside the original", sum(bool(a.wrong) for a in every),
              len(every), at_most=0),
        share("open set: anything unrelated accepted", accepted_open, len(opened), at_most=0),
        share("the same, of all unrelated pairs", sum(len(a.open_accepted) for a in opened),
              sum(a.open_pairs for a in opened), at_most=1e-5),
        measure("placement, median px", errors, at_most=0.1),
        measure("placement, 95th percentile px", errors, lambda v: float(np.percentile(v, 95))),
        measure("CPU seconds a question, four variants", [a.seconds for a in every], np.mean, at_most=1.5),
    ]  # fmt: skip
    if pairs:
        tried, taken = every_pair(pairs)
        rows.append(share("pairs verified directly, without votes: accepted", len(taken), tried, at_most=1e-5))
    for label in OTHERS:
        told = [a.others[label] for a in every if label in a.others]
        if told:
            cpu = float(np.mean([seconds for _, seconds in told]))
            hits = sum(bool(hit) for hit, _ in told)
            rows.append(share(f"{label}: first of the list is the original", hits, len(told), note=f"{cpu:.2f} s CPU"))
    title = (
        f"Finding the original among {len(originals())} ({composition()}); {LIMIT} points of {POINT_BYTES} bytes; "
        f"published panels whose shorter edge keeps {SHORTEST_PANEL} px"
    )
    return markdown(rows, title=title)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--half", default="report", choices=("tune", "report"))
    parser.add_argument("--each", type=int, default=2, help="simulated pictures of each kind")
    parser.add_argument("--every", type=int, default=2, help="ask for each so manieth picture")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=0, help="unrelated pairs to verify directly")
    parser.add_argument("--log", default="", help="file that answers are added to as they come")
    chosen = parser.parse_args()
    if chosen.quick:
        print(table(quick=True))
    else:
        given = measured(chosen.half, each=chosen.each, every=chosen.every, workers=chosen.workers, log=chosen.log)
        print(shown_as_table(given, pairs=chosen.pairs))
