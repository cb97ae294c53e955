"""Finds the areas of a published picture that geometry and curve do not explain.

1. Kernel and curve are adjusted, so that resampling and rounding are no differences.
2. From published less expected, what compression can have done is taken off.
3. The rest, in standard deviations of its noise, cut at ``GREATEST_Z`` so that few pixels do not speak for many, is
   averaged over two distances: the wide one says whether, the narrow one says where.
4. For each area: how many such would chance make in a picture of this size? The tail of chance is this picture's own.
5. Areas of flat ink laid over the picture are annotations; they are painted into the expected picture, and all is
   asked again, so that what lies beside them is still found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison import annotations as inks
from rawtrace.match.comparison import looks
from rawtrace.match.comparison.compression import (
    Compression,
    beyond_compression,
    compressed,
    compression_sigma,
    estimate_compression,
)
from rawtrace.match.comparison.noise import Noise, adjusted, noise_of
from rawtrace.match.model import Cause, Difference, Placement

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: An area is reported if chance would make fewer than this many in the picture.
FALSE_ALARMS = 1e-3
#: ... and if it differs by this many grey levels somewhere, or by fewer but clearly, and has this many pixels.
LEAST_LEVELS, LEAST_CLEAR_LEVELS = 4.0, 2.5
LEAST_AREA_PX = 24
#: ... and if the mean deviation of a neighbourhood reaches this many standard deviations.
LEAST_MEAN_Z = 2.0
#: From this mean deviation an area counts as touched, and is no witness of what chance does.
CLEAR_MEAN_Z = 2.4
#: Areas of fewer pixels need to be stronger: resampling leaves small ones at sharp points.
SMALL_AREA_PX = 200
CLEAR_STRENGTH = 3.5
#: Where an area ends: mean deviation of a narrow neighbourhood, in pictures that are calm and in others.
EDGE_MEAN_Z, GREATEST_EDGE_Z = 1.0, 2.6
#: Mean deviation around ink that says that ink is not all.
BESIDE_INK_Z = 1.5
#: ... or this share of its greatest, where that is more.
EDGE_SHARE = 0.35
GREATEST_Z = 6.0
WIDE_PX = 2.5
NARROW_PX = 1.5
#: Share of the error of compression that counts as noise even so.
COMPRESSION_SHARE = 0.5
#: Pixels at the rim of the mask are interpolated from what lies outside.
RIM_PX = 2
MOST_DIFFERENCES = 500
_SMALLEST_EDGE = 8
#: Pixels nearer to an area than this are no witnesses of what chance does; fewer than so many say nothing.
_APART_PX, _FEWEST = 12, 400


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Residual:
    """What is left after geometry, curve, resampling, compression and noise.

    Attributes
    ----------
    differences : tuple of Difference
        Those not explained first, strongest first.
    labels : ndarray of int32
        (Y, X): 0, or 1 + the index of the difference that a pixel belongs to.
    z : ndarray of float32
        (Y, X): mean deviation around a pixel, in standard deviations of the noise, 0 to ``GREATEST_Z``.
    expected : ndarray of float32
        (Y, X): the expected picture, adjusted to the published one, without annotations.
    noise_levels : float
        Median standard deviation of what neither curve nor compression explains, grey levels.
    compression : Compression or None
        The JPEG compression seen in the published pixels and allowed for.
    """

    differences: tuple[Difference, ...]
    labels: NDArray[Any]
    z: NDArray[Any]
    expected: NDArray[Any]
    noise_levels: float
    compression: Compression | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Maps:
    beyond: NDArray[Any]
    sigma: NDArray[Any]
    wide: NDArray[Any]
    narrow: NDArray[Any]
    noise: Noise


def find_differences(
    expected: NDArray[Any], published: NDArray[Any], mask: NDArray[Any], warped: NDArray[Any] | None = None,
    placement: Placement | None = None, *, steps: tuple[int, ...] | None = None, floor: NDArray[Any] | None = None,
) -> Residual:  # fmt: skip
    """Find what a published picture shows that the expected one does not.

    Parameters
    ----------
    expected : ndarray of float32
        (Y, X): the original on the published grid with the transfer curve applied, grey levels 0 to 255.
    published : ndarray of uint8
        (Y, X) grey, or (Y, X, 3) RGB, whose colours help to tell annotations.
    mask : ndarray of bool
        (Y, X): where the published picture shows the original.
    warped, placement
        Not needed; for callers that have them.
    steps : tuple of 64 int, optional
        Luminance quantisation of the published JPEG, row by row, if its file is at hand and its first block lies at
        the first pixel; else it is read from the pixels.
    floor : ndarray of float32, optional
        (Y, X): least standard deviation of the noise, grey levels.
    """
    import numpy as np

    del warped, placement
    published = np.asarray(published)
    colour = published[..., :3] if published.ndim == 3 and published.shape[-1] >= 3 else None
    grey = _grey(published)
    shape = grey.shape
    expected = np.array(expected, np.float32)
    known = np.isfinite(expected)
    mask = np.asarray(mask, bool) & known
    if min(shape) < _SMALLEST_EDGE or np.count_nonzero(mask) < _SMALLEST_EDGE**2:
        nothing = np.zeros(shape, np.float32)
        return Residual(differences=(), labels=np.zeros(shape, np.int32), z=nothing,
                        expected=np.where(known, expected, grey), noise_levels=0.0, compression=None)  # fmt: skip
    mask = _eroded(mask)
    expected = np.clip(np.where(mask, expected, grey), 0, 255)
    compression = Compression(steps=steps) if steps else estimate_compression(np.rint(grey).astype(np.uint8))
    compression = _worthwhile(compression, expected, mask)
    expected, maps = _explained(expected, grey, mask, compression, floor)
    marks = inks.find_marks(expected, grey, mask, maps.sigma, compression, colour=colour)
    painted = inks.painted(expected, grey, marks) if marks else expected
    if marks:
        noise = _with_ink(maps.noise, painted, marks, compression)
        painted_maps = _maps(painted, grey, mask, compression, noise)
        # Ink over an edit is part of the edit.
        marks, refused = inks.apart(marks, painted_maps.narrow, BESIDE_INK_Z)
        painted = inks.painted(expected, grey, marks) if refused else painted
        maps = _maps(painted, grey, mask, compression, noise) if refused else painted_maps
    regions = _regions(maps, mask)
    return _reported(regions, marks, expected, grey, mask, maps, compression)


def _grey(published: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    values = np.nan_to_num(published.astype(np.float32), nan=0.0, posinf=255.0, neginf=0.0)
    if values.ndim == 3:
        values = (
            values[..., :3] @ np.array((0.299, 0.587, 0.114), np.float32) if values.shape[-1] >= 3 else values[..., 0]
        )
    result: NDArray[Any] = np.ascontiguousarray(np.clip(values, 0, 255))
    return result


def _eroded(mask: NDArray[Any]) -> NDArray[Any]:
    import cv2
    import numpy as np

    if mask.all():
        return mask
    kernel = np.ones((2 * RIM_PX + 1,) * 2, np.uint8)
    eroded = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return np.asarray(eroded > 0)


def _worthwhile(compression: Compression | None, expected: NDArray[Any], mask: NDArray[Any]) -> Compression | None:
    """Return the compression unless it is the original's own, which changes the expected picture no more."""
    import numpy as np

    if compression is None:
        return None
    error = np.abs(compressed(expected, compression) - expected)[mask]
    return compression if float(np.percentile(error, 99.9)) > 1.5 else None


def _explained(expected: NDArray[Any], published: NDArray[Any], mask: NDArray[Any],
               compression: Compression | None, floor: NDArray[Any] | None) -> tuple[NDArray[Any], _Maps]:  # fmt: skip
    """Adjust, and measure twice, the second time without what looked suspicious."""
    import numpy as np

    expected = np.where(mask, adjusted(expected, published, mask, compression, rounds=3), published)
    residual = published - expected
    beyond = beyond_compression(residual, compression) if compression else residual
    noise = _at_least(noise_of(beyond, expected, mask, compression), floor)
    maps = _maps(expected, published, mask, compression, noise, beyond=beyond)
    calm, total = mask & (maps.wide < 1), np.count_nonzero(mask)
    if 0.3 * total < np.count_nonzero(calm) < 0.997 * total:
        noise = _at_least(noise_of(beyond, expected, calm, compression, known=noise.compression_sigma), floor)
        maps = _maps(expected, published, mask, compression, noise, beyond=beyond)
    return expected, maps


def _at_least(noise: Noise, floor: NDArray[Any] | None) -> Noise:
    import numpy as np

    return noise if floor is None else replace(noise, sigma=np.maximum(noise.sigma, floor))


def _maps(expected: NDArray[Any], published: NDArray[Any], mask: NDArray[Any], compression: Compression | None,
          noise: Noise, *, beyond: NDArray[Any] | None = None) -> _Maps:  # fmt: skip
    import cv2
    import numpy as np

    if beyond is None:
        beyond = published - expected
        beyond = beyond_compression(beyond, compression) if compression else beyond
    sigma = np.sqrt(noise.sigma**2 + (COMPRESSION_SHARE * noise.compression_sigma) ** 2)
    cut = np.minimum(np.abs(beyond) / sigma, np.float32(GREATEST_Z)) * mask
    wide, narrow = (cv2.GaussianBlur(cut, (0, 0), reach) for reach in (WIDE_PX, NARROW_PX))
    return _Maps(beyond=beyond, sigma=sigma, wide=wide, narrow=narrow, noise=noise)


def _with_ink(noise: Noise, painted: NDArray[Any], marks: tuple[inks.Mark, ...],
              compression: Compression | None) -> Noise:  # fmt: skip
    """Return the noise around ink: its sharp edges compress badly."""
    import numpy as np

    if compression is None:
        return noise
    blurred = inks.unevenness(marks, painted.shape)
    error = np.maximum(noise.compression_sigma, compression_sigma(painted, compression))
    return Noise(sigma=np.maximum(noise.sigma, blurred), compression_sigma=error)


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    box: tuple[slice, slice]
    pixels: NDArray[Any]
    strength: float
    levels: float
    false_alarms: float


def _regions(maps: _Maps, mask: NDArray[Any]) -> list[_Region]:
    """Return the areas that chance does not make, without those that closing has swallowed."""
    import cv2
    import numpy as np
    from scipy import ndimage

    edge = _edge(maps, mask)
    suspect = ((maps.narrow > edge) | (maps.wide > CLEAR_MEAN_Z)) & mask
    if not suspect.any():
        return []
    witnesses = _Witnesses(maps.wide, mask)
    levels = np.abs(cv2.GaussianBlur(maps.beyond * mask, (0, 0), NARROW_PX))
    count, labels = cv2.connectedComponents(suspect.astype(np.uint8), connectivity=8)
    kept = np.zeros(suspect.shape, bool)
    numbers = np.zeros((count, 3))
    for index, box in enumerate(ndimage.find_objects(labels), 1):
        inside = labels[box] == index
        strength = float(maps.wide[box][inside].max())
        level = float(levels[box][inside].max())
        numbers[index, :2] = strength, level
        area = np.count_nonzero(inside)
        least = LEAST_MEAN_Z * max(1.0, (SMALL_AREA_PX / area) ** 0.5)
        enough = LEAST_CLEAR_LEVELS if strength > CLEAR_STRENGTH else LEAST_LEVELS
        if strength < least or level < enough or area < LEAST_AREA_PX:
            continue
        numbers[index, 2] = witnesses.log_false_alarms(strength, box)
        if numbers[index, 2] <= np.log10(FALSE_ALARMS):
            # A strong area would be drawn too large by what suits a weak one.
            own = inside & (maps.narrow[box] > max(edge, EDGE_SHARE * float(maps.narrow[box][inside].max())))
            kept[box] |= _closed(own)
    kept = _filled(kept) & mask
    count, joined = cv2.connectedComponents(kept.astype(np.uint8), connectivity=8)
    regions = []
    for index, box in enumerate(ndimage.find_objects(joined), 1):
        pixels = joined[box] == index
        members = np.unique(labels[box][pixels])
        members = members[members > 0]
        best = members[numbers[members, 2].argmin()]
        alarms = 10.0 ** max(float(numbers[best, 2]), -300.0)
        regions.append(_Region(box, pixels, float(numbers[members, 0].max()), float(numbers[members, 1].max()), alarms))
    return regions


def _edge(maps: _Maps, mask: NDArray[Any]) -> float:
    """Return where areas end: above what calm parts of this picture show, else areas grow into their surroundings."""
    import numpy as np

    calm = maps.narrow[mask & (maps.wide < 2)]
    calm = calm[:: max(1, len(calm) // 50_000)]
    usual = float(np.percentile(calm, 99.5)) if len(calm) else 0.0
    return float(np.clip(1.1 * usual, EDGE_MEAN_Z, GREATEST_EDGE_Z))


def _closed(inside: NDArray[Any]) -> NDArray[Any]:
    """Close gaps that are narrow beside the area."""
    import cv2
    import numpy as np

    reach = int(np.clip(0.15 * np.sqrt(np.count_nonzero(inside)), 1, 12))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1,) * 2)
    padded = np.pad(inside.astype(np.uint8), 2 * reach)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, disc)[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    return np.asarray(closed > 0)


def _filled(kept: NDArray[Any]) -> NDArray[Any]:
    """Fill holes that are smaller than what encloses them: a frame does not fill a picture."""
    import cv2
    import numpy as np

    count, labels, stats, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=4)
    height, width = kept.shape
    x, y, w, h, area = (stats[:, i] for i in range(5))
    inner = (x > 0) & (y > 0) & (x + w < width) & (y + h < height) & (area < np.count_nonzero(kept))
    inner[0] = False
    result: NDArray[Any] = kept | inner[labels] if count > 1 else kept
    return result


class _Witnesses:
    """What chance does in this picture: the tail of mean deviations where no area is suspected.

    The tail is taken as exponential, and as flat as its last thousandths say it is.
    """

    def __init__(self, wide: NDArray[Any], mask: NDArray[Any]) -> None:
        import cv2
        import numpy as np

        near = cv2.dilate((wide > CLEAR_MEAN_Z).astype(np.uint8), np.ones((2 * _APART_PX + 1,) * 2, np.uint8)) > 0
        where = np.flatnonzero(mask & ~near)
        where = where if len(where) >= _FEWEST else np.flatnonzero(mask)
        where = where[:: max(1, len(where) // 50_000)]
        self._y, self._x = np.divmod(where, wide.shape[1])
        self._values = wide.reshape(-1)[where]
        self._places = max(1.0, np.count_nonzero(mask) / (4 * np.pi * WIDE_PX**2))

    def log_false_alarms(self, strength: float, box: tuple[slice, slice]) -> float:
        """Return log10 of how many areas of this greatest mean deviation chance would make; none vouches for itself."""
        import numpy as np

        rows, columns = box
        own = (
            (self._y >= rows.start - _APART_PX) & (self._y < rows.stop + _APART_PX)
            & (self._x >= columns.start - _APART_PX) & (self._x < columns.stop + _APART_PX)
        )  # fmt: skip
        values = self._values[~own] if np.count_nonzero(~own) >= _FEWEST else self._values
        middle, high, higher = (float(value) for value in np.percentile(values, (50, 99, 99.9)))
        slope = min(np.log(50) / max(high - middle, 0.08), 1.5 * np.log(10) / max(higher - high, 0.05))
        return float(np.log10(self._places * 0.01) - slope * (strength - high) / np.log(10))


def _reported(regions: list[_Region], marks: tuple[inks.Mark, ...], expected: NDArray[Any],
              published: NDArray[Any], mask: NDArray[Any], maps: _Maps,
              compression: Compression | None) -> Residual:  # fmt: skip
    import numpy as np

    regions = sorted(regions, key=lambda region: (-np.count_nonzero(region.pixels), -region.strength))[
        :MOST_DIFFERENCES
    ]
    labels = np.zeros(published.shape, np.int32)
    found: list[Difference] = []
    for rank, region in enumerate(regions):
        labels[region.box][region.pixels] = len(found) + 1
        kind = looks.kind_of(region.box, region.pixels, expected, published, maps.sigma, search=rank < 4)
        found.append(Difference(
            box=_box(region.box), area_px=int(np.count_nonzero(region.pixels)), cause=Cause.UNEXPLAINED, kind=kind,
            strength=region.strength, levels=region.levels, false_alarms=region.false_alarms,
        ))  # fmt: skip
    for mark in marks[:MOST_DIFFERENCES]:
        part = labels[mark.box]
        part[mark.pixels & (part == 0)] = len(found) + 1
        found.append(mark.difference())
    return Residual(
        differences=tuple(found), labels=labels, z=maps.wide, expected=expected,
        noise_levels=float(np.median(maps.noise.sigma[mask])) if mask.any() else 0.0, compression=compression,
    )  # fmt: skip


def _box(box: tuple[slice, slice]) -> tuple[int, int, int, int]:
    rows, columns = box
    return columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start
