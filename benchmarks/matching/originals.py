"""The originals that a picture is looked for among: real ones, fields and planes of them, and simulated ones.

Large pictures (1 000 px and more) are cut into fields that do not overlap.
Fields, planes and channels of one picture, and pictures of one family, are
related: where the open set asks for silence, all of them are taken away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import tifffile

from benchmarks.matching.sources import DATA, HALVES, Source, sources

Pixels = np.ndarray[Any, Any]
#: Pictures of which further planes are taken: other channels, and other time points.
_STACKS = {
    "neubias/fl16_cell_dna_mts_actin_3ch.tif": (1, 2),
    "neubias/fl16_nuclei_golgi.tif": (1,),
    "bianb/fl_cancer_cell_migration.tif": (12, 24, 36, 47),
}
_EACH = 28


@dataclass(frozen=True, slots=True, eq=False)
class Original:
    """One picture of the gallery.

    Attributes
    ----------
    name : str
    group : str
        Pictures of one group are related.
    half : str
        ``"tune"`` or ``"report"``.
    kind : str
        ``"whole"``, ``"field"``, ``"plane"`` or ``"simulated ..."``.
    pixels : ndarray
        (Y, X) of uint8 or uint16, or (Y, X, 3) of uint8.
    """

    name: str
    group: str
    half: str
    kind: str
    pixels: Pixels


@cache
def originals() -> tuple[Original, ...]:
    """Return the whole gallery; fewer where the shared images are absent."""
    found = [*_real(), *_planes()]
    for kind, make in KINDS.items():
        for number in range(_EACH):
            random = np.random.default_rng([number, *kind.encode()])
            pixels = make(random, 256 + 16 * int(random.integers(0, 18)))
            half = HALVES[number % 2]
            found.append(Original(f"{kind} {number}", f"{kind} {number}", half, f"simulated {kind}", pixels))
    return tuple(found)


def composition() -> str:
    """Say how many of each there are."""
    counts = Counter(original.kind for original in originals())
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _real() -> Iterator[Original]:
    for source in sources():
        height, width = source.pixels.shape[:2]
        if max(height, width) < 1000:
            yield Original(source.name, source.family, source.half, "whole", source.pixels)
            continue
        rows, columns = max(1, height // 500), max(1, width // 500)
        for row in range(rows):
            for column in range(columns):
                yield _field(source, row, column, height // rows, width // columns)


def _field(source: Source, row: int, column: int, height: int, width: int) -> Original:
    pixels = source.pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]
    name = f"{source.name} field {row},{column}"
    return Original(name, source.family, source.half, "field", np.ascontiguousarray(pixels))


def _planes() -> Iterator[Original]:
    by_name = {source.name: source for source in sources()}
    for name, planes in _STACKS.items():
        if name in by_name:
            stack = np.squeeze(tifffile.imread(DATA / name))
            source = by_name[name]
            for plane in planes:
                yield Original(f"{name} plane {plane}", source.family, source.half, "plane", stack[plane])


def _blurred(pixels: Pixels, sigma: float) -> Pixels:
    return cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), sigma)


def _recorded(light: Pixels, random: np.random.Generator, *, sixteen: bool = False, dark: float = 0.02) -> Pixels:
    """Photon noise and quantisation; ``light`` from 0 to 1."""
    photons = random.uniform(40, 400)
    counts = random.poisson(np.clip(light + dark, 0, None) * photons) / photons
    return (np.clip(counts, 0, 1) * (4095 if sixteen else 255)).astype(np.uint16 if sixteen else np.uint8)


def _scatter(random: np.random.Generator, size: int, number: int) -> Pixels:
    return random.uniform(0, size, (number, 2))


def nuclei(random: np.random.Generator, size: int) -> Pixels:
    """Bright ellipses with chromatin on a dark ground."""
    light, radius = np.zeros((size, size), np.float32), random.uniform(8, 22)
    for x, y in _scatter(random, size, int(random.integers(15, 80))):
        axes = (int(radius * random.uniform(0.7, 1.3)), int(radius * random.uniform(0.6, 1.0)))
        cv2.ellipse(light, (int(x), int(y)), axes, random.uniform(0, 180), 0, 360, random.uniform(0.3, 0.9), -1)
    chromatin = 1 + 0.5 * _blurred(random.normal(size=(size, size)), 2) * 6
    return _recorded(_blurred(light, 1.5) * np.clip(chromatin, 0.3, 1.8), random, sixteen=True)


def filaments(random: np.random.Generator, size: int) -> Pixels:
    """Curved thin lines."""
    light = np.zeros((size, size), np.float32)
    for x, y in _scatter(random, size, int(random.integers(25, 90))):
        turns = np.cumsum(random.normal(0, 0.12, 60)) + random.uniform(0, 6.28)
        path = np.stack([x + np.cumsum(np.cos(turns)) * 5, y + np.cumsum(np.sin(turns)) * 5], axis=1)
        cv2.polylines(light, [path.astype(np.int32)], False, random.uniform(0.3, 1), 1, cv2.LINE_AA)
    return _recorded(_blurred(light, random.uniform(0.8, 1.6)), random, sixteen=True)


def puncta(random: np.random.Generator, size: int) -> Pixels:
    """Points of light, all alike but for their strength, on cells that are barely seen."""
    light = np.zeros((size, size), np.float32)
    for x, y in _scatter(random, size, int(random.integers(60, 350))):
        light[int(y), int(x)] += random.uniform(2, 14)
    cells = _blurred(random.normal(size=(size, size)), 30)
    return _recorded(_blurred(light, 1.4) + 0.1 * (cells > 0), random)


def membranes(random: np.random.Generator, size: int) -> Pixels:
    """The borders of packed cells."""
    seeds = _scatter(random, size, int(random.integers(30, 160)))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    near = np.stack([np.hypot(x - a, y - b) for a, b in seeds.astype(np.float32)])
    apart = np.partition(near, 1, axis=0)[:2]
    return _recorded(np.exp(-((apart[1] - apart[0]) ** 2) / 12) * random.uniform(0.4, 0.9), random)


def tissue(random: np.random.Generator, size: int) -> Pixels:
    """Stained tissue: pink texture with purple nuclei."""
    texture = sum(_blurred(random.normal(size=(size, size)), s) * s for s in (2.0, 5.0, 12.0))
    nucleus = np.zeros((size, size), np.float32)
    for x, y in _scatter(random, size, int(random.integers(60, 260))):
        cv2.ellipse(nucleus, (int(x), int(y)), (int(random.integers(4, 8)), int(random.integers(3, 6))),
                    random.uniform(0, 180), 0, 360, random.uniform(0.5, 1.0), -1)  # fmt: skip
    nucleus, eosin = _blurred(nucleus, 1), np.clip(0.35 + 0.25 * texture, 0, 1)
    stain = nucleus[..., None] * [0.65, 0.7, 0.29] + eosin[..., None] * [0.07, 0.6, 0.25]
    return (np.clip(np.exp(-stain) + random.normal(0, 0.01, (size, size, 1)), 0, 1) * 255).astype(np.uint8)


def electrons(random: np.random.Generator, size: int) -> Pixels:
    """Grey texture at many scales with dark-rimmed vesicles."""
    shown = 0.55 + sum(_blurred(random.normal(size=(size, size)), s) * s * 0.2 for s in (1.0, 2.5, 6.0))
    shown = shown.astype(np.float32)
    for x, y in _scatter(random, size, int(random.integers(20, 90))):
        cv2.circle(shown, (int(x), int(y)), int(random.integers(4, 20)), random.uniform(0.1, 0.35), 2, cv2.LINE_AA)
    return (np.clip(_blurred(shown, 0.8) + random.normal(0, 0.04, (size, size)), 0, 1) * 255).astype(np.uint8)


def rods(random: np.random.Generator, size: int) -> Pixels:
    """Dark bacteria on a bright, unevenly lit ground."""
    shown = np.full((size, size), 0.7, np.float32)
    for x, y in _scatter(random, size, int(random.integers(30, 150))):
        angle, length = random.uniform(0, 6.28), random.uniform(6, 16)
        end = int(x + length * np.cos(angle)), int(y + length * np.sin(angle))
        cv2.line(shown, (int(x), int(y)), end, random.uniform(0.2, 0.4), 4, cv2.LINE_AA)
    across = np.linspace(-1, 1, size)
    light = 1 - random.uniform(0.05, 0.25) * (across[None] ** 2 + across[:, None] ** 2)
    return _recorded(_blurred(shown, 0.9) * light, random)


def gel(random: np.random.Generator, size: int) -> Pixels:
    """Lanes with bands: the kind that repeats itself most."""
    lanes = int(random.integers(6, 12))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    light = 0.05 + 0.08 * _blurred(random.normal(size=(size, size)), 20) * 20
    for lane in range(lanes):
        centre = size * (lane + 0.5) / lanes
        across = 1 / (1 + (np.abs(x - centre) / (size / lanes * 0.32)) ** 8)
        for _ in range(int(random.integers(3, 10))):
            at, thick = random.uniform(0.05, 0.95) * size, random.uniform(2, 5)
            smile = 6 * ((x - centre) / (size / lanes)) ** 2
            light = light + random.uniform(0.1, 0.9) * across * np.exp(-(((y - at + smile) / thick) ** 2))
    return _recorded(light, random, sixteen=True)


KINDS: dict[str, Callable[[np.random.Generator, int], Pixels]] = {
    "nuclei": nuclei, "filaments": filaments, "puncta": puncta, "membranes": membranes, "tissue": tissue,
    "electrons": electrons, "rods": rods, "gel": gel,
}  # fmt: skip
