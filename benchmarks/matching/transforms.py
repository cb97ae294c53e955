"""What happens to pictures on their way into a figure: 19 transforms, each with its true matrix.

Single steps are crops to 50, 25 and 10 % of the area, four rotations and
flips, a reduction, contrast with clipping, two gammas, two colour tables,
inversion, JPEG and annotations; three more join several of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Pixels = np.ndarray[Any, Any]
IDENTITY = np.eye(3)


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """A picture and how it came about.

    Attributes
    ----------
    pixels : ndarray of uint8
        (Y, X) or (Y, X, 3).
    matrix : ndarray
        (3, 3), takes (x, y) of the original to the picture, centres of first pixels being (0, 0).
    """

    pixels: Pixels
    matrix: Pixels


Step = Callable[[Changed, np.random.Generator], Changed]


def to_eight_bits(pixels: Pixels) -> Pixels:
    """Return what a viewer would show: uint8 as it is, else stretched between percentiles 0.1 and 99.9."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, [0.1, 99.9])
    return (np.clip((pixels.astype(np.float32) - low) / (high - low + 1e-9), 0, 1) * 255 + 0.5).astype(np.uint8)


def grey(pixels: Pixels) -> Pixels:
    """Return the luminance."""
    if pixels.ndim == 2:
        return pixels
    return (pixels @ np.array([0.299, 0.587, 0.114]) + 0.5).astype(np.uint8)


def _after(changed: Changed, pixels: Pixels, matrix: Pixels) -> Changed:
    return Changed(np.ascontiguousarray(pixels), matrix @ changed.matrix)


def crop(area: float) -> Step:
    """Cut out a window; of twelve the one with the most contrast, as people crop what there is to see."""

    def step(of: Changed, random: np.random.Generator) -> Changed:
        height, width = of.pixels.shape[:2]
        h, w = (max(24, int(edge * math.sqrt(area))) for edge in (height, width))
        shown, windows = grey(of.pixels), []
        for _ in range(12):
            y, x = int(random.integers(0, height - h + 1)), int(random.integers(0, width - w + 1))
            windows.append((float(shown[y : y + h, x : x + w].std()), y, x))
        _, y, x = max(windows)
        return _after(of, of.pixels[y : y + h, x : x + w], np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]]))

    return step


def turn(quarters: int) -> Step:
    """Rotate by quarter turns, counter-clockwise."""

    def step(of: Changed, _: np.random.Generator) -> Changed:
        height, width = of.pixels.shape[:2]
        matrix = {
            1: [[0, 1, 0], [-1, 0, width - 1], [0, 0, 1]],
            2: [[-1, 0, width - 1], [0, -1, height - 1], [0, 0, 1]],
        }[quarters]
        return _after(of, np.rot90(of.pixels, quarters), np.array(matrix, float))

    return step


def rotate(degrees: float, keep: float = 0.66) -> Step:
    """Rotate about the centre and keep the middle."""

    def step(of: Changed, _: np.random.Generator) -> Changed:
        height, width = of.pixels.shape[:2]
        matrix = np.vstack([cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1), [0, 0, 1]])
        turned = cv2.warpAffine(of.pixels, matrix[:2], (width, height), flags=cv2.INTER_CUBIC)
        y, x = int(height * (1 - keep) / 2), int(width * (1 - keep) / 2)
        shift = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
        return _after(of, turned[y : height - y, x : width - x], shift @ matrix)

    return step


def flip(of: Changed, _: np.random.Generator) -> Changed:
    """Mirror left to right."""
    width = of.pixels.shape[1]
    return _after(of, of.pixels[:, ::-1], np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1.0]]))


def resize(scale: float) -> Step:
    """Reduce by averaging."""

    def step(of: Changed, _: np.random.Generator) -> Changed:
        height, width = of.pixels.shape[:2]
        h, w = max(8, round(height * scale)), max(8, round(width * scale))
        x, y = w / width, h / height
        matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        return _after(of, cv2.resize(of.pixels, (w, h), interpolation=cv2.INTER_AREA), matrix)

    return step


def tone(curve: Callable[[Pixels], Pixels]) -> Step:
    """Change brightness by a curve over 0 to 255, in each colour alike."""
    table = np.clip(curve(np.arange(256.0)) + 0.5, 0, 255).astype(np.uint8)

    def step(of: Changed, _: np.random.Generator) -> Changed:
        return _after(of, table[of.pixels], IDENTITY)

    return step


def gamma(exponent: float) -> Step:
    """Change brightness by a power."""
    return tone(lambda value: 255 * (value / 255) ** exponent)


def viridis(of: Changed, _: np.random.Generator) -> Changed:
    """Colour by viridis."""
    return _after(of, cv2.applyColorMap(grey(of.pixels), cv2.COLORMAP_VIRIDIS)[..., ::-1], IDENTITY)


def green(of: Changed, _: np.random.Generator) -> Changed:
    """Show in green."""
    shown = grey(of.pixels)
    return _after(of, np.dstack([np.zeros_like(shown), shown, np.zeros_like(shown)]), IDENTITY)


def jpeg(quality: int) -> Step:
    """Pack as JPEG."""

    def step(of: Changed, _: np.random.Generator) -> Changed:
        packed = cv2.imencode(".jpg", of.pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return _after(of, cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), IDENTITY)

    return step


def annotate(of: Changed, _: np.random.Generator) -> Changed:
    """Draw a letter, an arrow and a scale bar with its length."""
    shown = of.pixels.copy()
    height, width = shown.shape[:2]
    size = max(0.4, min(height, width) / 300)
    thick = max(1, int(2 * size))
    colour = 255 if shown.ndim == 2 else (255, 255, 255)
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(shown, "A", (int(4 * size), int(24 * size)), font, size, colour, thick)
    cv2.putText(shown, "20 um", (int(width * 0.6), int(height * 0.9)), font, size * 0.7, colour, thick)
    cv2.rectangle(shown, (int(width * 0.6), int(height * 0.93)), (int(width * 0.9), int(height * 0.95)), colour, -1)
    start, end = (int(width * 0.3), int(height * 0.3)), (int(width * 0.45), int(height * 0.45))
    cv2.arrowedLine(shown, start, end, colour, thick, tipLength=0.3)
    return _after(of, shown, IDENTITY)


def steps(*parts: Step) -> Step:
    """Do one after the other."""

    def step(of: Changed, random: np.random.Generator) -> Changed:
        for part in parts:
            of = part(of, random)
        return of

    return step


CONTRAST = tone(lambda value: value * 1.8 - 60)
TRANSFORMS: dict[str, Step] = {
    "crop to 50 %": crop(0.5),
    "crop to 25 %": crop(0.25),
    "crop to 10 %": crop(0.1),
    "rotated by 90°": turn(1),
    "rotated by 180°": turn(2),
    "rotated by 37°": rotate(37),
    "mirrored": flip,
    "reduced to 0.3": resize(0.3),
    "contrast with clipping": CONTRAST,
    "gamma 0.45": gamma(0.45),
    "gamma 2.2": gamma(2.2),
    "viridis": viridis,
    "green": green,
    "inverted": tone(lambda value: 255 - value),
    "JPEG 40": jpeg(40),
    "letter, arrow, scale bar": annotate,
    "A: crop 25 %, 90°, gamma 0.6, JPEG 50": steps(crop(0.25), turn(1), gamma(0.6), jpeg(50)),
    "B: crop 50 %, mirrored, 0.5, green, text, JPEG 70": steps(crop(0.5), flip, resize(0.5), green, annotate, jpeg(70)),
    "C: crop 10 %, 0.5, contrast, JPEG 60": steps(crop(0.1), resize(0.5), CONTRAST, jpeg(60)),
}


def transformed(name: str, pixels: Pixels, *, seed: int) -> Changed:
    """Return a picture after one of ``TRANSFORMS``."""
    return TRANSFORMS[name](Changed(to_eight_bits(pixels), IDENTITY), np.random.default_rng(seed))


def registration_error(found: Any, true: Pixels, size: tuple[int, int]) -> float:
    """Return how far corners and centre of a picture of (width, height) are from where they belong, RMS in px."""
    width, height = size
    points = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1],
                       [(width - 1) / 2, (height - 1) / 2]])  # fmt: skip
    homogeneous = np.c_[points, np.ones(5)].T
    moved = np.vstack([np.asarray(found, float)[:2], [0, 0, 1]]) @ np.linalg.inv(true) @ homogeneous
    return float(np.sqrt(((moved[:2].T - points) ** 2).sum(axis=1).mean()))
