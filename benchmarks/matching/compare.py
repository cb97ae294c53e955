"""Compares published pictures with their originals: where they lie, which curve, what was edited, what was laid over.

Each picture of a half goes through six ways in which figures are made, unedited
and with each of five edits (see ``edits`` for when a pixel counts as changed),
and unedited with each kind of annotation. Thresholds were chosen on the half
``tune``; the table is of ``report``. Blots and gels are simulated ones.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from benchmarks.matching import edits, inks
from benchmarks.matching.blots import blot
from benchmarks.matching.sources import of_half
from benchmarks.matching.tables import Row, markdown, measure, share
from rawtrace.match.comparison.compare import Comparison, compare
from rawtrace.match.model import Cause, Tone

#: Pictures are cut to this edge, px, for time; the time of a pair is measured on whole megapixels.
EDGE = 512
BLOTS = 8
EXPECTED_GAMMA = {"crop 50, gamma 0.6": 0.6, "crop 50, 90°, gamma 1.5, JPEG 60": 1.5}


@dataclass(frozen=True, slots=True)
class Job:
    """One pair to be made and compared."""

    picture: str
    original: Any
    other: Any
    pipeline: int
    edit: str
    ink: str
    seed: int
    blot: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one pair."""

    picture: str
    pipeline: str
    edit: str
    ink: str
    blot: bool
    registered: bool = False
    error_px: float = float("nan")
    tone_right: bool = False
    gamma_off: float = float("nan")
    flagged: bool = False
    found: bool = False
    f1: float = 0.0
    ink_found: bool = False
    marks: int = 0
    marks_right: int = 0
    kind_right: bool = False


def jobs(half: str, quick: bool) -> Iterator[Job]:
    """Yield what is to be compared."""
    named = [(source.name, edits.grey(source.pixels), False) for source in of_half(half)]
    named += [(f"blot {seed}", blot(seed, half).pixels, True) for seed in range(BLOTS)]
    pictures = [(name, _middle(pixels), is_blot) for name, pixels, is_blot in named][:: 4 if quick else 1]
    for i, (name, pixels, is_blot) in enumerate(pictures):
        for p in range(len(edits.PIPELINES)):
            seed = 10_000 * i + 100 * p
            for e, edit in enumerate(("", *edits.EDITS)):
                if not quick or not edit or (i + p + e) % 3 == 0:
                    other = pictures[(i + 3 + e) % len(pictures)][1]
                    yield Job(name, pixels, other, p, edit, "", seed + e, is_blot)
            for k, kind in enumerate(inks.KINDS):
                if (i + p + k) % (5 if quick else 2) == 0:
                    yield Job(name, pixels, pixels, p, "", kind, seed + 50 + k, is_blot)


def outcome(job: Job) -> Outcome | None:
    """Make and compare one pair; ``None`` where the picture has no place for the edit or the ink."""
    cv2.setNumThreads(1)
    pipeline = edits.PIPELINES[job.pipeline]
    rng = np.random.default_rng(job.seed)
    laid: dict[str, Any] = {}

    def annotate(picture: Any) -> Any:
        ink = inks.drawn(picture.shape, job.ink, rng)
        under = float(np.median(picture[ink > 0.5])) if (ink > 0.5).any() else 0.0
        colour = ("white" if under < 128 else "black") if job.seed % 2 else str(rng.choice(["red", "yellow", "cyan"]))
        laid["ink"] = ink
        return inks.laid_over(picture, ink, colour)

    pair = edits.pair(job.original, pipeline, job.edit, other=job.other, seed=job.seed,
                      annotate=annotate if job.ink else None)  # fmt: skip
    if pair is None:
        return None
    shared = {"picture": job.picture, "pipeline": pipeline.name, "edit": job.edit, "ink": job.ink, "blot": job.blot}
    result = compare(pair.original, pair.published)
    if result.registration is None or result.maps is None:
        return Outcome(**shared)
    labels = result.maps.labels
    unexplained = _pixels(result, labels, Cause.UNEXPLAINED)
    truth = pair.truth & result.registration.mask
    both = np.count_nonzero(unexplained & truth)
    total = np.count_nonzero(unexplained) + np.count_nonzero(truth)
    values: dict[str, Any] = {}
    if job.ink:
        visible = (laid["ink"] > 0.5) & result.registration.mask
        if np.count_nonzero(visible) < 0.9 * np.count_nonzero(laid["ink"] > 0.5):
            return None
        told = _pixels(result, labels, Cause.ANNOTATION)
        right = [i for i, one in enumerate(result.all_differences)
                 if one.cause is Cause.ANNOTATION and (laid["ink"][labels == i + 1] > 0.1).any()]  # fmt: skip
        values = {
            "ink_found": np.count_nonzero(told & visible) > 0.5 * np.count_nonzero(visible),
            "marks": len(result.annotations), "marks_right": len(right),
            "kind_right": any(result.all_differences[i].kind == job.ink for i in right),
        }  # fmt: skip
    else:
        values = {"marks": len(result.annotations)}
    return Outcome(
        **shared, registered=True, error_px=_error(pair, result), flagged=bool(result.unexplained), found=both > 0,
        f1=2 * both / total if total else 0.0, **_tone(pipeline.name, result), **values,
    )  # fmt: skip


def _middle(pixels: Any) -> Any:
    top, left = (max(0, (n - EDGE) // 2) for n in pixels.shape)
    return np.ascontiguousarray(pixels[top : top + EDGE, left : left + EDGE])


def _pixels(result: Comparison, labels: Any, cause: Cause) -> Any:
    return np.isin(labels, [i + 1 for i, one in enumerate(result.all_differences) if one.cause is cause])


def _error(pair: edits.Pair, result: Comparison) -> float:
    """Root mean square over the corners and the centre, published px."""
    assert result.registration is not None  # noqa: S101
    height, width = pair.published.shape[:2]
    points = np.array(
        [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1], [(width - 1) / 2, (height - 1) / 2]]
    )
    there = cv2.transform(points[None], cv2.invertAffineTransform(pair.matrix))
    back = cv2.transform(there, np.array(result.registration.placement.matrix))[0]
    return float(np.sqrt(((back - points) ** 2).sum(1).mean()))


def _tone(pipeline: str, result: Comparison) -> dict[str, Any]:
    curve = result.curves[0][1]
    gamma = EXPECTED_GAMMA.get(pipeline)
    if gamma is None:
        same = {Tone.LINEAR} if "contrast" in pipeline else {Tone.LINEAR, Tone.UNCHANGED}
        return {"tone_right": curve.tone in same}
    off = abs(curve.gamma - gamma) if curve.gamma is not None else float("nan")
    return {"tone_right": curve.tone is Tone.GAMMA, "gamma_off": off}


@dataclass(slots=True)
class Tables:
    """The rows, by subject."""

    rows: list[Row] = field(default_factory=list)
    grid: list[Row] = field(default_factory=list)


def tables(done: list[Outcome]) -> Tables:
    """Sum up."""
    result = Tables()
    real = [o for o in done if not o.blot and not o.ink]
    blots = [o for o in done if o.blot and not o.ink]
    placed = [o for o in done if o.registered]
    errors = [o.error_px for o in placed]
    add = result.rows.append
    add(share("laid over each other", len(placed), len(done)))
    add(measure("registration error, median, px", errors, at_most=0.05))
    add(measure("registration error, 95 %, px", errors, lambda v: float(np.percentile(v, 95)), at_most=0.4))
    add(share("linear or gamma told right", sum(o.tone_right for o in placed), len(placed), at_least=0.98))
    add(measure("gamma off by, median", [o.gamma_off for o in placed if not np.isnan(o.gamma_off)], at_most=0.03))
    edited = [o for o in real if o.edit and o.registered]
    add(share("edits found", sum(o.found for o in edited), len(edited), at_least=0.99))
    add(measure("pixel F1 of edits, mean", [o.f1 for o in edited], np.mean, at_least=0.85))
    on_blots = [o for o in blots if o.edit and o.registered]
    add(share("edits found, blots", sum(o.found for o in on_blots), len(on_blots)))
    add(measure("pixel F1 of edits, blots, mean", [o.f1 for o in on_blots], np.mean, at_least=0.75))
    clean = [o for o in (*real, *blots) if not o.edit and o.registered]
    gentle, harsh = ([o for o in clean if ("JPEG 60" in o.pipeline) is hard] for hard in (False, True))
    add(share("unedited pairs flagged", sum(o.flagged for o in gentle), len(gentle), at_most=0.03))
    add(share("unedited pairs flagged, JPEG 60", sum(o.flagged for o in harsh), len(harsh), at_most=0.05))
    inked = [o for o in done if o.ink and o.registered]
    add(share("annotations told as such", sum(o.ink_found for o in inked), len(inked), note="half of the ink or more"))
    add(share("... and by their kind", sum(o.kind_right for o in inked), len(inked)))
    add(
        share(
            "called annotation, and is one", sum(o.marks_right for o in inked), sum(o.marks for o in (*inked, *clean))
        )
    )
    add(share("annotated only, yet called edited", sum(o.flagged for o in inked), len(inked)))
    for pipeline in edits.PIPELINES:
        for edit in edits.EDITS:
            values = [o.f1 for o in edited if (o.pipeline, o.edit) == (pipeline.name, edit)]
            if values:
                result.grid.append(measure(f"{pipeline.name}: {edit}", values, np.mean))
    return result


def cpu_of_a_pair(half: str, rounds: int = 3) -> list[float]:
    """Return CPU ms of comparing pairs of about a megapixel."""
    cv2.setNumThreads(1)
    taken = []
    large = [edits.grey(s.pixels)[:1000, :1000] for s in of_half(half) if min(s.pixels.shape[:2]) >= 900]
    for seed, pixels in enumerate(large[:rounds]):
        pair = edits.pair(pixels, edits.Pipeline(name="", gamma=0.8, quality=75), "clone", seed=seed)
        if pair is not None:
            compare(pair.original, pair.published)
            started = time.process_time()
            compare(pair.original, pair.published)
            taken.append(1000 * (time.process_time() - started))
    return taken


def table(quick: bool, *, half: str = "report", workers: int = 1) -> str:
    """Return the tables as Markdown."""
    work = list(jobs(half, quick))
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            done = [one for one in pool.map(outcome, work, chunksize=8) if one is not None]
    else:
        done = [one for job in work if (one := outcome(job)) is not None]
    result = tables(done)
    milliseconds = cpu_of_a_pair(half, 2 if quick else 5)
    result.rows.append(measure("CPU of a pair of 1 Mpx, median, ms", milliseconds, at_most=600))
    head = f"Comparing with the original, half `{half}`"
    return markdown(result.rows, title=head) + "\n" + markdown(result.grid, title="Pixel F1 by pipeline and edit")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    print(table("--full" not in sys.argv, half="tune" if "--tune" in sys.argv else "report"))
