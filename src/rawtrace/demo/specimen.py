"""A specimen made of numbers: cells with nuclei and fibres, as a widefield microscope would record them.

No two are alike, and the same seed gives the same specimen on every machine. It
stands for real data wherever an example has to be made from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = ("DAPI", "Phalloidin")
PIXEL_SIZE_UM = 0.2
_LAYERS = 3
_OFFSET = 110.0
_FULL = 12_000.0


@dataclass(frozen=True, slots=True)
class _Cell:
    """A nucleus: centre, half axes (px), tilt (rad), layer it is sharp in, brightness."""

    y: float
    x: float
    long: float
    short: float
    tilt: float
    layer: int
    brightness: float


def stack(seed: int, *, size: int = 512, planes: int = 3) -> NDArray[Any]:
    """Record one specimen.

    Parameters
    ----------
    seed : int
    size : int
        Rows and columns, px; at least 64.
    planes : int
        Focal planes, 1 µm apart.

    Returns
    -------
    ndarray of uint16
        (C, Z, Y, X), two channels: nuclei and fibres.
    """
    random = np.random.default_rng(seed)
    cells = _cells(random, size)
    layers = [
        [_nuclei(random, [cell for cell in cells if cell.layer == layer], size) for layer in range(_LAYERS)],
        [_fibres(random, [cell for cell in cells if cell.layer == layer], size) for layer in range(_LAYERS)],
    ]
    haze = _smooth(random.random((size, size)), size / 6)
    recorded = np.empty((len(CHANNELS), planes, size, size), np.uint16)
    for channel, parts in enumerate(layers):
        for plane in range(planes):
            focus = plane * (_LAYERS - 1) / max(1, planes - 1)
            light = sum(_smooth(part, 0.9 + 1.6 * abs(focus - layer)) for layer, part in enumerate(parts))
            recorded[channel, plane] = _exposed(random, light + 0.05 * haze / haze.max())
    return recorded


def _cells(random: np.random.Generator, size: int) -> list[_Cell]:
    """Scatter nuclei that hardly overlap."""
    found: list[_Cell] = []
    scale = min(1.0, size / 256)
    for _ in range(40 * max(1, size * size // (512 * 512))):
        y, x = random.uniform(0, size, 2)
        if all((y - one.y) ** 2 + (x - one.x) ** 2 > (46 * scale) ** 2 for one in found):
            long, short = random.uniform(19, 29) * scale, random.uniform(13, 19) * scale
            tilt, brightness = random.uniform(0, np.pi), random.uniform(0.35, 1.0)
            found.append(_Cell(y, x, long, short, tilt, int(random.integers(_LAYERS)), brightness))
    return found


def _nuclei(random: np.random.Generator, cells: list[_Cell], size: int) -> NDArray[Any]:
    y, x = np.mgrid[:size, :size].astype(np.float32)
    light = np.zeros((size, size), np.float32)
    chromatin = _normal(_smooth(random.standard_normal((size, size)), 2.2))
    spots = _normal(_smooth(random.standard_normal((size, size)), 4.5))
    texture = np.clip(0.75 + 0.18 * chromatin + 0.16 * np.maximum(spots, 0), 0.1, None)
    for cell in cells:
        v, u = y - np.float32(cell.y), x - np.float32(cell.x)
        along = (u * np.cos(cell.tilt) + v * np.sin(cell.tilt)) / cell.long
        across = (v * np.cos(cell.tilt) - u * np.sin(cell.tilt)) / cell.short
        edge = 1 / (1 + np.exp(np.clip((np.hypot(along, across) - 1) * 14, -40, 40)))
        light = np.maximum(light, cell.brightness * edge * texture)
    return light


def _fibres(random: np.random.Generator, cells: list[_Cell], size: int) -> NDArray[Any]:
    light = np.zeros((size, size), np.float32)
    for cell in cells:
        for _ in range(18):
            angle = cell.tilt + random.normal(0, 0.45)
            steps = int(random.uniform(60, 150) * min(1.0, size / 256))
            bend = random.normal(0, 0.012) + np.cumsum(random.normal(0, 0.006, steps))
            heading = angle + np.cumsum(bend) * 0.5
            start_y, start_x = cell.y + random.normal(0, 14), cell.x + random.normal(0, 14)
            rows = start_y + np.cumsum(np.sin(heading)) - steps * np.sin(angle) / 2
            columns = start_x + np.cumsum(np.cos(heading)) - steps * np.cos(angle) / 2
            inside = (rows >= 0) & (rows < size - 1) & (columns >= 0) & (columns < size - 1)
            np.add.at(light, (rows[inside].astype(int), columns[inside].astype(int)), random.uniform(0.3, 1.0))
    grain = _normal(_smooth(random.standard_normal((size, size)), 1.2))
    body = _smooth(light, 9)
    return np.asarray(1.4 * _smooth(light, 0.8) + 3 * body * np.clip(1 + 0.25 * grain, 0, None), np.float32)


def _exposed(random: np.random.Generator, light: NDArray[Any]) -> NDArray[Any]:
    """Turn light into counts: shot noise, read noise and an offset."""
    counts = random.poisson(np.clip(light, 0, None) * _FULL / 4) * 4.0 + random.normal(_OFFSET, 6, light.shape)
    exposed: NDArray[Any] = np.clip(counts, 0, 65_535).astype(np.uint16)
    return exposed


def _smooth(values: NDArray[Any], sigma: float) -> NDArray[Any]:
    """Blur by a Gaussian of ``sigma`` px, the picture repeating at its borders."""
    rows, columns = np.fft.fftfreq(values.shape[0])[:, None], np.fft.rfftfreq(values.shape[1])[None]
    gain = np.exp(-2 * (np.pi * sigma) ** 2 * (rows**2 + columns**2))
    blurred: NDArray[Any] = np.fft.irfft2(np.fft.rfft2(values) * gain, values.shape).astype(np.float32)
    return blurred


def _normal(values: NDArray[Any]) -> NDArray[Any]:
    scaled: NDArray[Any] = (values - values.mean()) / values.std()
    return scaled
