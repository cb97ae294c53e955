"""Blots and gels made by code, and the strips that figures show of them.

Stand-ins for real ones: lanes that are never quite alike, bands with smile,
tails and ragged edges, loading controls that are almost equal from lane to
lane, uneven background, dust, scratches, bubbles, membrane edges, saturation,
camera noise; bright on dark as a camera records light, or dark on white as a
scanner records stain. The two styles draw from different ranges and shapes, so
that what is tuned on one is not measured on the same.
"""

from __future__ import annotations

import io
import itertools
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]

VARIANTS = (
    "linear", "saturated 50-93 %, inverted", "gamma .5, half size, JPEG 60", "mirrored, JPEG 75", "rotated 1-3 deg",
    "rotated 180 deg", "stretched 10 %", "resized .6-1.3, JPEG 85",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Style:
    """Ranges that a half of the blots is drawn from."""

    pitch_jitter: float
    tilt: float
    edge_power: tuple[float, float]
    ragged: float
    mottle: tuple[float, float]
    mottle_px: tuple[float, float]
    tail: float
    control_spread: tuple[float, float]
    blur_px: tuple[float, float]
    electrons: tuple[float, float]
    artefacts: float


STYLES = {
    "tune": Style(0.03, 0.02, (3, 8), 0.6, (0.01, 0.06), (2, 8), 0.5, (0.02, 0.12), (0.7, 1.6), (2e3, 3e4), 1.0),
    "report": Style(0.05, 0.035, (2, 5), 1.0, (0.0, 0.10), (1.2, 14), 0.8, (0.01, 0.2), (0.6, 2.4), (8e2, 4e4), 1.6),
}


@dataclass(frozen=True, slots=True, eq=False)
class Blot:
    """One simulated original.

    Attributes
    ----------
    pixels : ndarray of uint16
        (Y, X).
    rows : tuple of (centre, height)
        Of the band rows, px.
    lanes : tuple of (left, right)
        Px, at mid-height.
    kind : str
        ``"blot"`` or ``"gel"``.
    dark_bands : bool
        Whether bands are darker than the background.
    """

    pixels: Array
    rows: tuple[tuple[float, float], ...]
    lanes: tuple[tuple[float, float], ...]
    kind: str
    dark_bands: bool


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """What a figure shows of a blot.

    Attributes
    ----------
    pixels : ndarray of uint8
    matrix : ndarray
        2 x 3: from (x, y) of the blot to (x, y) of the strip.
    """

    pixels: Array
    matrix: Array


@cache
def blot(seed: int, style: str = "tune") -> Blot:
    """Make one original; the same for the same seed and style, for ever."""
    s, rng = STYLES[style], np.random.default_rng([seed, sorted(STYLES).index(style)])
    kind = "gel" if rng.random() < 0.25 else "blot"
    width = round(np.exp(rng.uniform(np.log(420), np.log(1900))))
    height = round(np.clip(width * rng.uniform(0.45, 1.3), 300, 2000))
    lanes = _lanes(rng, s, width)
    rows = _rows(rng, kind, height)
    signal = np.zeros((height, width), np.float32)
    drift = _waves(rng, width) * rng.uniform(0, 0.012) * height
    for centre, thickness, strengths in _loads(rng, s, kind, rows, lanes):
        bend = rng.normal(0, 0.15) * thickness
        for lane, strength in zip(lanes, strengths, strict=True):
            if strength > 0:
                y = centre + drift[min(width - 1, max(0, int(lane[0])))] + rng.normal(0, 0.06) * thickness
                _band(signal, rng, s, lane, y, thickness, strength, bend, height)
    for lane in lanes:
        if rng.random() < 0.6:
            _smear(signal, rng, lane)
    signal *= np.exp(rng.uniform(*s.mottle) * 3 * _clouds(rng, signal.shape, rng.uniform(*s.mottle_px)))
    signal = cv2.GaussianBlur(_warped(rng, signal, s), (0, 0), rng.uniform(*s.blur_px))
    pixels, dark = _exposed(rng, s, signal, kind)
    return Blot(pixels, tuple((row[0], row[1]) for row in rows), tuple((x - w / 2, x + w / 2) for x, w, _ in lanes),
                kind, dark)  # fmt: skip


def _lanes(rng: np.random.Generator, s: Style, width: int) -> list[tuple[float, float, float]]:
    count = int(rng.integers(4, 19))
    left, right = rng.uniform(0.03, 0.15, 2) * width
    pitch = (width - left - right) / count
    fill, tilt = rng.uniform(0.55, 0.93), rng.normal(0, s.tilt / 2)
    return [
        (left + (i + 0.5 + rng.normal(0, s.pitch_jitter)) * pitch, pitch * fill * rng.uniform(0.93, 1.05),
         tilt + rng.normal(0, s.tilt / 5))
        for i in range(count)
    ]  # fmt: skip


def _rows(rng: np.random.Generator, kind: str, height: int) -> list[tuple[float, float]]:
    count = int(rng.integers(5, 16) if kind == "gel" else rng.integers(1, 7))
    places = np.sort(rng.uniform(0.1, 0.9, count)) * height
    keep = [places[0], *(b for a, b in itertools.pairwise(places) if b - a > 0.035 * height)]
    return [(float(y), float(np.clip(height * rng.uniform(0.01, 0.03), 5, 30))) for y in keep]


def _loads(
    rng: np.random.Generator, s: Style, kind: str, rows: list[tuple[float, float]], lanes: list[Any]
) -> list[tuple[float, float, Array]]:
    """Say how strong each band of each row is."""
    n = len(lanes)
    ladders = {i for i in (0, n - 1, n // 2) if rng.random() < 0.3}
    loads = []
    for centre, thickness in rows:
        pattern = rng.choice(["control", "treated", "dose", "blocks"], p=[0.4, 0.3, 0.15, 0.15])
        base = np.exp(rng.uniform(np.log(0.15), np.log(2.2)))
        if pattern == "control":
            values = base * (1 + rng.normal(0, rng.uniform(*s.control_spread), n))
        elif pattern == "treated":
            values = base * rng.uniform(0.0, 1.3, n) * (rng.random(n) < 0.8)
        elif pattern == "dose":
            values = base * np.linspace(*rng.permutation([0.1, 1.2]), n) * (1 + rng.normal(0, 0.1, n))
        else:
            size = int(rng.integers(1, 5))
            values = base * np.repeat(rng.uniform(0.05, 1.2, n // size + 1), size)[:n] * (1 + rng.normal(0, 0.08, n))
        if kind == "blot":
            values = np.array([0.0 if i in ladders else v for i, v in enumerate(values)])
        loads.append((centre, thickness, np.clip(values, 0, None)))
        if rng.random() < 0.2:
            loads.append((centre + thickness * rng.uniform(1.3, 2.0), thickness * 0.8, np.clip(values * 0.5, 0, None)))
    height = max(row[0] for row in rows)
    for _ in range(int(rng.integers(6, 12))) if ladders else ():
        one = np.array([rng.uniform(0.9, 1.1) if i in ladders else 0.0 for i in range(n)]) * rng.uniform(0.2, 1.0)
        loads.append((rng.uniform(0.1, 1.0) * height, rng.uniform(0.6, 1.0) * rows[0][1], one))
    return loads


def _band(
    signal: Array, rng: np.random.Generator, s: Style, lane: tuple[float, float, float], y: float, thickness: float,
    strength: float, bend: float, height: int,
) -> None:  # fmt: skip
    x, width, tilt = lane
    x += tilt * (y - height / 2)
    width *= rng.uniform(0.95, 1.06) * (1 + 0.06 * min(strength, 2))
    thick = thickness * (0.8 + 0.25 * min(strength, 2.5)) * rng.uniform(0.9, 1.1)
    x0, x1 = max(0, int(x - width)), min(signal.shape[1], int(x + width) + 2)
    y0, y1 = max(0, int(y - 4 * thick)), min(signal.shape[0], int(y + 7 * thick) + 2)
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    u = (np.arange(x0, x1, dtype=np.float32) - x) / (width / 2)
    skew, power = rng.normal(0, 0.12) * thick, rng.uniform(*s.edge_power)
    ragged = cv2.GaussianBlur(rng.normal(0, 1, (1, len(u))).astype(np.float32), (0, 0), max(1.0, width / 12))[0]
    centre = y + bend * u**2 + skew * u + s.ragged * 0.35 * thick * ragged
    v = np.arange(y0, y1, dtype=np.float32)[:, None] - centre[None]
    sigma = thick / 2.2 * (1 + 0.15 * s.ragged * ragged)
    below = sigma * (1 + s.tail * rng.uniform(0, 1.2))
    profile = np.where(v < 0, np.exp(-0.5 * (v / sigma) ** 2), np.exp(-0.5 * (v / below) ** 2))
    profile += s.tail * rng.uniform(0, 0.12) * (v > 0) * np.exp(-np.abs(v) / (2.5 * thick))
    across = np.exp(-(np.abs(u) ** power)) * (1 + rng.uniform(-0.1, 0.3) * u**2 + rng.normal(0, 0.1) * u)
    signal[y0:y1, x0:x1] += np.float32(strength) * profile * across[None]


def _smear(signal: Array, rng: np.random.Generator, lane: tuple[float, float, float]) -> None:
    x, width, tilt = lane
    rows = np.arange(signal.shape[0], dtype=np.float32)
    along = np.interp(rows, np.linspace(0, len(rows), 6), rng.uniform(0, 0.08, 6)).astype(np.float32)
    centre = x + tilt * (rows - len(rows) / 2)
    x0, x1 = max(0, int(x - width)), min(signal.shape[1], int(x + width))
    u = (np.arange(x0, x1, dtype=np.float32)[None] - centre[:, None]) / (width / 2)
    signal[:, x0:x1] += along[:, None] * np.exp(-(u**4))


def _waves(rng: np.random.Generator, width: int) -> Array:
    x = np.linspace(-1, 1, width)
    return rng.normal(0, 1) * x + rng.normal(0, 1) * x**2 + 0.3 * np.sin(6 * x + rng.uniform(0, 6))


def _clouds(rng: np.random.Generator, shape: tuple[int, ...], size_px: float) -> Array:
    """Return smooth noise of unit spread."""
    step = max(1.0, size_px / 2)
    small = rng.normal(0, 1, (int(shape[0] / step) + 3, int(shape[1] / step) + 3)).astype(np.float32)
    small = cv2.GaussianBlur(small, (0, 0), 1.0)
    big = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return np.asarray((big - big.mean()) / (big.std() + 1e-9), np.float32)


def _warped(rng: np.random.Generator, signal: Array, s: Style) -> Array:
    """Let the membrane stretch a little."""
    size = max(signal.shape) / 6
    y, x = np.mgrid[: signal.shape[0], : signal.shape[1]].astype(np.float32)
    amount = rng.uniform(0, 0.0025) * max(signal.shape) * s.artefacts
    return np.asarray(cv2.remap(signal, x + amount * _clouds(rng, signal.shape, size),
                                y + amount * _clouds(rng, signal.shape, size), cv2.INTER_LINEAR))  # fmt: skip


def _exposed(rng: np.random.Generator, s: Style, signal: Array, kind: str) -> tuple[Array, bool]:
    """Add background and artefacts, and record the whole as 16 bit."""
    height, width = shape = signal.shape
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    back = rng.uniform(0.02, 0.15) * (1 + 0.4 * rng.normal() * x + 0.4 * rng.normal() * y
                                      + 0.3 * rng.normal() * (x**2 + y**2))  # fmt: skip
    back += rng.uniform(0, 0.03) * s.artefacts * _clouds(rng, shape, max(shape) * rng.uniform(0.05, 0.25))
    back += rng.uniform(0, 0.012) * s.artefacts * _clouds(rng, shape, rng.uniform(2, 6))
    total = signal + np.clip(back, 0.005, None)
    _artefacts(total, rng, s)
    if rng.random() < 0.4:
        total *= _membrane(rng, shape)
    total = np.clip(total, 0.001, None)
    dark = kind == "blot" and rng.random() < 0.4
    stained = dark and rng.random() < 0.5
    if stained:
        light = np.power(10.0, -np.clip(total, 0, 3) * rng.uniform(0.4, 1.1)).astype(np.float32)
    else:
        light = total / np.percentile(total, rng.uniform(98.0, 99.99)) * rng.uniform(0.5, 1.6)
    full = rng.uniform(*s.electrons)
    light = np.clip(light, 0, None)
    noisy = light + rng.normal(0, 1, shape).astype(np.float32) * np.sqrt(
        light / full + (rng.uniform(3, 12) / full) ** 2
    )
    top = float(rng.choice([4095, 16383, 65535, 65535]))
    codes = np.clip(noisy * 0.97 + 0.01, 0, 1) * top
    if dark and not stained:
        codes = top - codes
    return np.round(codes).astype(np.uint16), bool(dark)


def _artefacts(total: Array, rng: np.random.Generator, s: Style) -> None:
    height, width = total.shape
    for _ in range(int(rng.poisson(12 * s.artefacts))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius, strength = int(rng.integers(0, 3)), float(rng.choice([-0.1, 0.3, 1.2]) * rng.uniform(0.2, 1))
        total[...] = _drawn(total, strength, lambda m, c=centre, r=radius: cv2.circle(m, c, r, 1.0, -1, cv2.LINE_AA))
    for _ in range(int(rng.poisson(1.2 * s.artefacts))):
        ends = rng.uniform(0, 1, 4) * [width, height, width, height]
        a, b = (int(ends[0]), int(ends[1])), (int(ends[2]), int(ends[3]))
        total[...] = _drawn(total, rng.uniform(-0.08, 0.25), lambda m, p=a, q=b: cv2.line(m, p, q, 1.0, 1, cv2.LINE_AA))
    for _ in range(int(rng.poisson(0.7 * s.artefacts))):
        mask = np.zeros_like(total)
        cv2.circle(mask, (int(rng.integers(width)), int(rng.integers(height))), int(rng.uniform(0.01, 0.05) * width),
                   1.0, -1, cv2.LINE_AA)  # fmt: skip
        total *= 1 - rng.uniform(0.3, 0.8) * cv2.GaussianBlur(mask, (0, 0), 1.5)


def _drawn(total: Array, strength: float, draw: Any) -> Array:
    mask = np.zeros_like(total)
    draw(mask)
    return np.asarray(total + np.float32(strength) * mask, np.float32)


def _membrane(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Let the membrane end inside the picture."""
    height, width = shape
    box = ((width / 2, height / 2), (width * rng.uniform(0.92, 1.0), height * rng.uniform(0.92, 1.0)),
           float(rng.normal(0, 1)))  # fmt: skip
    mask = np.full(shape, np.float32(rng.uniform(0.2, 0.6)), np.float32)
    cv2.fillPoly(mask, [np.round(cv2.boxPoints(box)).astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.2))


def view_of(pixels: Array) -> Array:
    """Render a blot as the index does: percentiles to black and white, 8 bit."""
    low, high = np.percentile(pixels, (0.35, 99.65))
    return np.round(np.clip((pixels.astype(np.float32) - low) / max(high - low, 1), 0, 1) * 255).astype(np.uint8)


def strip(original: Blot | Array, variant: str, seed: int) -> Strip | None:
    """Cut a strip of a band row out of an original and publish it; ``None`` where there is no room for one.

    An original without known rows and lanes gets a strip around a place with contrast.
    """
    rng = np.random.default_rng([seed, VARIANTS.index(variant)])
    where = _place(original, rng)
    if where is None:
        return None
    left, top, width, height = where
    pixels = (original.pixels if isinstance(original, Blot) else original).astype(np.float32)
    small = variant.startswith("gamma")
    sx = sy = 0.5 if small else rng.uniform(0.6, 1.3) if variant.startswith("resized") else 1.0
    if variant.startswith("stretched"):
        sx, sy = 1 + rng.choice([-1, 1]) * rng.uniform(0.05, 0.1), 1.0
    out = (max(8, round(width * sx)), max(8, round(height * sy)))
    angle = 180.0 if "180" in variant else rng.choice([-1, 1]) * rng.uniform(1, 3) if "1-3" in variant else 0.0
    matrix = _published(left, top, width, height, out, angle, mirrored=variant.startswith("mirrored"))
    if min(sx, sy) < 1:
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.45 * np.sqrt(1 / min(sx, sy) ** 2 - 1))
    cut = cv2.warpAffine(pixels, matrix, out, flags=cv2.INTER_CUBIC if angle or sx != 1 else cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REFLECT_101)  # fmt: skip
    toned = _toned(cut, variant, original, rng)
    quality = {"gamma": 60, "mirro": 75, "resiz": 85}.get(variant[:5])
    return Strip(toned if quality is None else _jpeg(toned, quality), matrix)


def _place(original: Blot | Array, rng: np.random.Generator) -> tuple[float, float, float, float] | None:
    """Choose left, top, width and height of a strip: 200-600 by 20-60 px."""
    if isinstance(original, Blot):
        height, width = original.pixels.shape
        pitch = (original.lanes[-1][1] - original.lanes[0][0]) / len(original.lanes)
        fits = [(a, b) for a in range(len(original.lanes)) for b in range(a + 2, len(original.lanes))
                if 200 <= (b - a + 1) * pitch <= 600]  # fmt: skip
        if not fits:
            return None
        first, last = fits[int(rng.integers(len(fits)))]
        x0, x1 = original.lanes[first][0] - 0.12 * pitch, original.lanes[last][1] + 0.12 * pitch
        y, thick = original.rows[int(rng.integers(len(original.rows)))]
        tall = float(np.clip(thick * rng.uniform(2.2, 4.0), 20, 60))
        x0, x1 = max(0.0, x0), min(width - 1.0, x1)
        y0 = float(np.clip(y - tall * rng.uniform(0.35, 0.6), 0, height - tall - 1))
    else:
        height, width = original.shape
        wide, tall = rng.uniform(200, 600), rng.uniform(25, 60)
        soft = cv2.GaussianBlur(original.astype(np.float32), (0, 0), 5)
        spots = np.argwhere(np.abs(soft - np.median(soft)) > 0.3 * np.ptp(soft))
        y, x = spots[int(rng.integers(len(spots)))]
        x0 = float(np.clip(x - wide * rng.uniform(0.2, 0.8), 0, width - wide - 1))
        x1, y0 = x0 + wide, float(np.clip(y - tall / 2, 0, height - tall - 1))
    window = (original.pixels if isinstance(original, Blot) else original)[
        round(y0) : round(y0 + tall), round(x0) : round(x1)
    ]
    if window.std() < 0.02 * np.ptp(window) + 1:
        return None
    return round(x0), round(y0), round(x1 - x0), round(tall)


def _published(
    left: float, top: float, width: float, height: float, out: tuple[int, int], angle_deg: float, *, mirrored: bool
) -> Array:
    """Return the map from the original to the strip, centres of pixels being whole numbers."""
    a, b = out[0] / width, out[1] / height
    scale = np.array([[a, 0, -a * (left - 0.5) - 0.5], [0, b, -b * (top - 0.5) - 0.5], [0, 0, 1]])
    cx, cy = (out[0] - 1) / 2, (out[1] - 1) / 2
    c, s = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[c, -s, cx - c * cx + s * cy], [s, c, cy - s * cx - c * cy], [0, 0, 1]])
    flip = np.array([[-1, 0, out[0] - 1], [0, 1, 0], [0, 0, 1]]) if mirrored else np.eye(3)
    return np.asarray((flip @ turn @ scale)[:2])


def _toned(cut: Array, variant: str, original: Blot | Array, rng: np.random.Generator) -> Array:
    low, high = np.percentile(cut, (50, 93) if variant.startswith("saturated") else (0, 100))
    if variant.startswith("saturated") and isinstance(original, Blot) and original.dark_bands:
        low, high = np.percentile(cut, (7, 50))
    elif not variant.startswith("saturated"):
        low, high = low - rng.uniform(0, 0.2) * (high - low), high + rng.uniform(0, 0.2) * (high - low)
    x = np.clip((cut - low) / max(high - low, 1e-6), 0, 1)
    if variant.startswith("gamma"):
        x = x**0.5
    if variant.startswith("saturated"):
        x = 1 - x
    return np.round(x * 255).astype(np.uint8)


def _jpeg(pixels: Array, quality: int) -> Array:
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held))
