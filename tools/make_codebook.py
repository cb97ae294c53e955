"""Makes the codebook of ``rawtrace.match.index`` from scikit-image's packaged pictures and from synthetic ones.

    python tools/make_codebook.py

It is made once; another book would make every index that exists unreadable. The
result depends only on the pictures, on OpenCV's SIFT and on the seeds below.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rawtrace.match.features import features, variant
from rawtrace.match.index.codebook import DIRECTIONS, FILE, HALF, WORDS

OUT = Path(__file__).resolve().parents[1] / "src" / "rawtrace" / "match" / "index" / FILE
PICTURES = (
    "brick.png", "camera.png", "coins.png", "grass.png", "gravel.png", "ihc.png", "microaneurysms.png", "moon.png",
    "hubble_deep_field.jpg", "astronaut.png", "chelsea.png", "coffee.png", "page.png", "text.png", "clock_motion.png",
    "retina.jpg", "rocket.jpg", "cell.png", "motorcycle_left.png", "phantom.png",
)  # fmt: skip
SCALES = (1.0, 0.55, 0.3)
POINTS = 1_500
ROUNDS = 25
SEED = 24138


def pictures() -> list[np.ndarray]:
    """Return the pictures as grey, the packaged ones first."""
    spec = find_spec("skimage")
    folder = Path(str(spec.origin)).parent / "data" if spec else Path()
    found = [np.asarray(Image.open(folder / name).convert("L")) for name in PICTURES if (folder / name).is_file()]
    print(f"{len(found)} packaged pictures")
    random = np.random.default_rng(SEED)
    for kind in range(12):
        canvas = random.normal(0, 12, (640, 640))
        if kind % 3 == 0:  # blobs, as nuclei and beads are
            for _ in range(220):
                centre = tuple(int(v) for v in random.integers(0, 640, 2))
                axes = tuple(int(v) for v in random.integers(2, 26, 2))
                cv2.ellipse(
                    canvas, centre, axes, float(random.uniform(0, 180)), 0, 360, float(random.uniform(60, 220)), -1
                )
        elif kind % 3 == 1:  # threads
            for _ in range(140):
                steps = random.normal(0, 14, (24, 2)).cumsum(axis=0).cumsum(axis=0) / 6 + random.integers(0, 640, 2)
                cv2.polylines(
                    canvas, [steps.astype(np.int32)], False, float(random.uniform(60, 220)), int(random.integers(1, 4))
                )
        else:  # bands
            for _ in range(70):
                x, y = (int(v) for v in random.integers(0, 620, 2))
                w, h = int(random.integers(20, 60)), int(random.integers(3, 16))
                cv2.rectangle(canvas, (x, y), (x + w, y + h), float(random.uniform(60, 220)), -1)
        canvas = cv2.GaussianBlur(canvas, (0, 0), float(random.uniform(1.0, 2.5))) + random.normal(0, 3, canvas.shape)
        found.append(canvas)
    return found


def descriptors() -> np.ndarray:
    """Return the descriptors of all pictures at all scales, in all four variants."""
    parts = []
    for picture in pictures():
        for scale in SCALES:
            reduced = cv2.resize(
                np.asarray(picture, np.float32), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
            )
            found = features(reduced, limit=POINTS)
            parts += [
                variant(found, mirrored=m, inverted=i)[m * 2 + i :: 4] for m in (False, True) for i in (False, True)
            ]
    return np.concatenate(parts)


def cluster(points: np.ndarray, seed: int) -> np.ndarray:
    """Return the centres of k-means, rounded."""
    random = np.random.default_rng(seed)
    centres = points[random.choice(len(points), WORDS, replace=False)]
    for _ in range(ROUNDS):
        nearest = np.concatenate([
            ((centres**2).sum(1) - 2 * block @ centres.T).argmin(1)
            for block in np.array_split(points, len(points) // 8192 + 1)
        ])  # fmt: skip
        counts = np.bincount(nearest, minlength=WORDS)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        full = counts > 0
        centres[full] = sums[full] / counts[full, None]
        centres[~full] = points[random.choice(len(points), int((~full).sum()))]
    return np.clip(np.rint(centres), 0, 255)


def main() -> None:
    """Write the book."""
    cv2.setNumThreads(1)
    found = descriptors().astype(np.float32)
    print(f"{len(found)} descriptors")
    words = [cluster(found[:, side * HALF : (side + 1) * HALF], SEED + side) for side in (0, 1)]
    random = np.random.default_rng(SEED + 2)
    turned = [np.linalg.qr(random.normal(size=(HALF, HALF)))[0][:, :DIRECTIONS] for _ in (0, 1)]
    directions = [np.clip(np.rint(one / np.abs(one).max() * 127), -127, 127) for one in turned]
    OUT.write_bytes(np.stack(words).astype(np.uint8).tobytes() + np.stack(directions).astype(np.int8).tobytes())
    print(f"{OUT.name}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
