"""How finding candidates grows with the index: a thousand to a million views, searched as ``rawtrace index find`` does.

The views that are looked for are real pictures of the half that is reported;
each is asked for as it looks after the transforms of figures. The others are
synthetic: the points of real pictures of the other half, each descriptor
disturbed, dealt out anew, with the places of other points. They crowd the same
cells as real views do, which uniform noise would not.

    python -m benchmarks.matching.scale [--full]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from benchmarks.matching.originals import Original, originals
from benchmarks.matching.tables import Row, markdown, measure, share
from benchmarks.matching.transforms import TRANSFORMS, Changed, grey, to_eight_bits
from rawtrace.match.features import POINT_BYTES as STORED_BYTES
from rawtrace.match.features import Features, features
from rawtrace.match.index.codebook import encode
from rawtrace.match.index.postings import POSTED, Postings, places_of
from rawtrace.match.index.search import candidates
from rawtrace.match.index.shelf import Shelf, postings_of

IDENTITY = b"a scale measured"
SIZES = (1_000, 10_000, 100_000, 1_000_000)
#: Synthetic views that are written at a time.
BATCH = 20_000
#: Standard deviation of the disturbance of each of a descriptor's 128 numbers: it moves by 226 of 512.
DISTURBANCE = 20.0
COPIES = 12
#: Matches are verified one by one in ``find``: so many candidates are worth it.
LIMIT = 32


@cache
def described(name: str) -> Features:
    original = next(one for one in originals() if one.name == name)
    return features(grey(to_eight_bits(original.pixels)))


def question(original: Original, transform: str) -> Features:
    random = np.random.default_rng([*transform.encode(), *original.name.encode()])
    changed = TRANSFORMS[transform](Changed(to_eight_bits(original.pixels), np.eye(3)), random)
    return features(grey(changed.pixels))


class Crowd:
    """Synthetic views, as many as one wants."""

    def __init__(self, sources: list[Features], *, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        parts = [of.take(slice(POSTED)) for of in sources if len(of) >= 60]
        self.edges = np.cumsum([0, *(len(of) * COPIES for of in parts)])
        disturbed = []
        for of in parts:
            for _ in range(COPIES):
                noise = random.normal(0, DISTURBANCE, of.descriptors.shape)
                disturbed.append(np.clip(of.descriptors + noise, 0, 255).astype(np.uint8))
        self.cells, self.signatures = encode(np.concatenate(disturbed))
        self.places = np.concatenate([places_of(of) for of in parts])

    def batches(self, count: int, *, seed: int = 2) -> Iterator[tuple[int, Postings]]:
        """Yield postings of ``count`` views in all, and how many views they are."""
        done = 0
        while done < count:
            views = min(BATCH, count - done)
            random = np.random.default_rng([seed, done])
            # Most points of a view are of one kind of picture, as in reality; some are of any.
            source = random.integers(0, len(self.edges) - 1, views)
            low, size = self.edges[source], np.diff(self.edges)[source]
            drawn = (low[:, None] + random.random((views, POSTED), np.float32) * size[:, None]).astype(np.int64)
            anywhere = random.random((views, POSTED), np.float32) < 0.25
            drawn[anywhere] = random.integers(0, len(self.cells), int(anywhere.sum()))
            drawn = drawn.reshape(-1)
            flips = random.integers(0, 1 << 63, len(drawn), np.uint64)
            for _ in range(3):  # each bit changes with a probability of 1/16
                flips &= random.integers(0, 1 << 63, len(drawn), np.uint64)
            places = self.places[random.integers(0, len(self.places), len(drawn))]
            owners = np.repeat(np.arange(views, dtype=np.uint32), POSTED)
            yield views, Postings(self.cells[drawn], self.signatures[drawn] ^ flips, owners, places)
            done += views


def chosen(half: str, count: int) -> list[Original]:
    """Return about so many pictures of a half, two of three real ones, without those that have hardly a point."""
    found = [one for one in originals() if one.half == half]
    real = [one for one in found if not one.kind.startswith("simulated")]
    rest = [one for one in found if one.kind.startswith("simulated")]
    picked = _every(real, count * 2 // 3)
    picked += _every(rest, count - len(picked))
    return [one for one in picked if len(described(one.name)) >= 30]


def _every(found: list[Original], count: int) -> list[Original]:
    return found[:: max(1, len(found) // max(1, count))][:count]


def ask(shelf: Shelf, wanted: dict[int, list[Features]]) -> tuple[list[int], list[float]]:
    """Return for each question the place of the right view (-1: not there) and the seconds it took."""
    places, seconds = [], []
    for number, questions in wanted.items():
        for one in questions:
            began = time.process_time()
            found = candidates(shelf.segments, one, limit=LIMIT)
            seconds.append(time.process_time() - began)
            views = list(dict.fromkeys(candidate.view for candidate in found))
            places.append(views.index(number) if number in views else -1)
    return places, seconds


def curve(sizes: tuple[int, ...], *, targets: int, transforms: tuple[str, ...]) -> Iterator[Row]:
    cv2.setNumThreads(1)
    planted = chosen("report", targets)
    wanted = {n + 1: [question(one, name) for name in transforms] for n, one in enumerate(planted)}
    wanted = {n: [one for one in questions if len(one) >= 30] for n, questions in wanted.items()}
    crowd = Crowd([described(one.name) for one in chosen("tune", 60)])
    with tempfile.TemporaryDirectory(prefix="rawtrace-scale-") as folder:
        shelf = Shelf(Path(folder), identity=IDENTITY)
        shelf.put(
            postings_of([(n + 1, described(one.name)) for n, one in enumerate(planted)], first=1),
            first=1, last=len(planted),
        )  # fmt: skip
        views = len(planted)
        few = {number: questions[:: max(1, len(questions) // 5)] for number, questions in wanted.items()}
        for size in sizes:
            began = time.perf_counter()
            for count, points in crowd.batches(size - views, seed=size):
                shelf.put(points, first=views + 1, last=views + count)
                views += count
                shelf.tidy()
            built = time.perf_counter() - began
            ask(shelf, {1: wanted[1][:1]})  # the codebook is read once
            # The largest are asked fewer questions, for the time it takes.
            places, seconds = ask(shelf, wanted if size <= 100_000 else few)
            label = f"{views:,} views"
            note = f"{len(shelf.segments)} segments, made in {built:.0f} s"
            yield share(f"{label}: right view among {LIMIT} candidates", sum(p >= 0 for p in places), len(places),
                        at_least=0.99 if size <= 1_000 else None)  # fmt: skip
            yield share(f"{label}: right view first of them", sum(p == 0 for p in places), len(places))
            yield measure(f"{label}: seconds a question, of one core", seconds, note=note)
            yield Row(what=f"{label}: postings, bytes a view", n=views, value=shelf.bytes / views,
                      note=f"{shelf.bytes / 1e9:.2f} GB")  # fmt: skip
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            yield Row(what=f"{label}: greatest memory of the process, MB", n=1, value=peak,
                      note="with the pages of segments that the system caches")  # fmt: skip


def table(quick: bool) -> str:
    """Return the curve as Markdown."""
    names = tuple(TRANSFORMS)
    sizes, targets = (SIZES[:2], 8) if quick else (SIZES, 30)
    rows = list(curve(sizes, targets=targets, transforms=names[:: 3 if quick else 1]))
    stored = 20 + STORED_BYTES * 800
    rows.append(
        Row(what="database, bytes a view of 800 points", n=1, value=stored, note=f"{stored / 1e3:.0f} GB a million")
    )
    return markdown(rows, title="Candidates in a large index")


def main(arguments: list[str]) -> None:
    sys.stdout.write(table("--full" not in arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
