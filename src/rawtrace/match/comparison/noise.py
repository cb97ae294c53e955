"""What may differ between expected and published picture without anybody having touched it.

Three things are allowed for: resampling by a kernel that we do not know (a
small one is fitted), compression (see ``compression``), and what remains, which
grows with brightness and with slope and is measured.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.compression import Compression, beyond_compression, compression_sigma

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: No picture of 8 bits is known better than this, in grey levels.
LEAST_SIGMA = 0.8
#: Reach of the fitted kernel from its centre, px.
KERNEL_REACH = 2
_SAMPLE = 16_000
#: Large pictures are adjusted by this many square tiles, of this many px.
_TILES, _TILE = 12, 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """What is left where nothing was touched.

    Attributes
    ----------
    sigma : ndarray of float32
        (Y, X), standard deviation, grey levels, of what neither kernel nor compression explains.
    compression_sigma : ndarray of float32
        (Y, X), of what compression did, grey levels.
    """

    sigma: NDArray[Any]
    compression_sigma: NDArray[Any]


def _kernel(expected: NDArray[Any], published: NDArray[Any], use: NDArray[Any]) -> NDArray[Any] | None:
    """Return the kernel of 5 x 5 by which the published picture was resampled; ``None`` for none.

    Fitted by weighted least squares, so that soft or crisp scaling and what is
    left of a shift are no differences; a small one only, so that local edits stay
    what they are.
    """
    import numpy as np

    reach = KERNEL_REACH
    inner = np.zeros_like(use)
    inner[reach:-reach, reach:-reach] = use[reach:-reach, reach:-reach]
    inner &= (published > 0.5) & (published < 254.5)
    where = np.flatnonzero(inner)
    if len(where) < 2_000:
        return None
    where = where[:: max(1, len(where) // _SAMPLE)]
    y, x = np.divmod(where, expected.shape[1])
    shifts = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    columns = np.stack([expected[y + dy, x + dx] for dy, dx in shifts], 1)
    centre = columns[:, len(shifts) // 2]
    target = published[y, x] - centre
    # Differences from the centre: a flat picture stays as it is, whatever the kernel.
    differences = np.delete(columns, len(shifts) // 2, axis=1) - centre[:, None]
    weights = np.ones(len(target), np.float32)
    ridge = np.eye(differences.shape[1]) * (len(target) * 0.02)
    kernel = np.zeros(differences.shape[1])
    for _ in range(3):
        weighted = differences * weights[:, None]
        kernel = np.linalg.solve(differences.T @ weighted + ridge, weighted.T @ target)
        left = np.abs(target - differences @ kernel)
        scale = 1.5 * 1.4826 * float(np.median(left)) + 0.3
        weights = np.minimum(1.0, scale / np.maximum(left, 1e-9)) ** 2
    before, after = (float(np.mean(np.minimum(np.abs(r), 3 * scale))) for r in (target, left))
    if not after < 0.99 * before:
        return None
    full = np.insert(kernel, len(shifts) // 2, 1 - kernel.sum())
    square: NDArray[Any] = full.reshape(2 * reach + 1, -1).astype(np.float32)
    return square


def _with_kernel(expected: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    import cv2
    import numpy as np

    result = cv2.filter2D(expected, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(result, 0, 255, out=result))


def _offsets(expected: NDArray[Any], published: NDArray[Any], use: NDArray[Any]) -> NDArray[Any] | None:
    """Return what is left of a tone error, for each half grey level.

    The median of the residual in each of some bands of grey, smoothly joined.
    """
    import numpy as np

    where = np.flatnonzero(use)
    if len(where) < 500:
        return None
    where = where[:: max(1, len(where) // (2 * _SAMPLE))]
    levels = expected.reshape(-1)[where]
    left = published.reshape(-1)[where] - levels
    order = np.argsort(levels, kind="stable")
    levels, left = levels[order], left[order]
    bands = np.linspace(0, len(levels), 49).astype(int)
    centres = np.array([levels[a:b].mean() for a, b in itertools.pairwise(bands)])
    offsets = np.array([np.median(left[a:b]) for a, b in itertools.pairwise(bands)])
    kept = np.concatenate([[True], np.diff(centres) > 0.05])
    table: NDArray[Any] = np.interp(np.arange(0, 256, 0.5), centres[kept], offsets[kept]).astype(np.float32)
    return table


def _with_offsets(expected: NDArray[Any], offsets: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    result: NDArray[Any] = expected + offsets[(2 * expected).astype(np.uint16)]
    return np.clip(result, 0, 255, out=result)


def adjusted(expected: NDArray[Any], published: NDArray[Any], use: NDArray[Any], compression: Compression | None, *,
             rounds: int = 3) -> NDArray[Any]:  # fmt: skip
    """Return the expected picture with kernel and curve adjusted to the published one.

    Of a compressed picture only what compression cannot explain is fitted: else
    the fit would learn the losses of the compression as if they were blur.
    """
    ours, theirs, usable = _sampled((expected, published, use), compression)
    if compression:
        compression = replace(compression, offset=(0, 0))
    for _ in range(rounds if compression else 1):
        target = theirs
        if compression:
            target = ours + beyond_compression(theirs - ours, compression)
        kernel = _kernel(ours, target, usable)
        if kernel is not None:
            ours, expected = _with_kernel(ours, kernel), _with_kernel(expected, kernel)
            if compression:
                target = ours + beyond_compression(theirs - ours, compression)
        offsets = _offsets(ours, target, usable)
        if offsets is not None:
            ours, expected = _with_offsets(ours, offsets), _with_offsets(expected, offsets)
    return expected


def _sampled(pictures: tuple[NDArray[Any], ...], compression: Compression | None) -> tuple[NDArray[Any], ...]:
    """Return the same tiles of large pictures, one below the other, on the grid of the compression.

    The last picture is a mask, which is taken back from the rims.
    """
    import numpy as np

    height, width = pictures[0].shape
    left, top = compression.offset if compression else (0, 0)
    rows, columns = (height - top) // _TILE, (width - left) // _TILE
    if rows * columns <= _TILES:
        if compression is None or compression.offset == (0, 0):
            return pictures
        return tuple(
            picture[top : height - (height - top) % 8, left : width - (width - left) % 8] for picture in pictures
        )
    chosen = np.linspace(0, rows * columns - 1, _TILES).astype(int)
    corners = [(top + _TILE * (i // columns), left + _TILE * (i % columns)) for i in chosen]
    *values, mask = (np.stack([picture[y : y + _TILE, x : x + _TILE] for y, x in corners]) for picture in pictures)
    inner = np.zeros_like(mask)
    inner[:, 2:-2, 2:-2] = mask[:, 2:-2, 2:-2]
    return tuple(part.reshape(-1, _TILE) for part in (*values, inner))


def noise_of(residual: NDArray[Any], expected: NDArray[Any], use: NDArray[Any], compression: Compression | None, *,
             known: NDArray[Any] | None = None) -> Noise:  # fmt: skip
    """Measure what is left, as it grows with slope and with brightness.

    Parameters
    ----------
    residual : ndarray of float32
        Published less expected, beyond compression, grey levels.
    expected : ndarray of float32
    use : ndarray of bool
        Pixels that are not suspected of anything.
    compression : Compression or None
    known : ndarray, optional
        What compression does, if it was measured before.
    """
    import cv2
    import numpy as np

    dx = cv2.Sobel(expected, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(expected, cv2.CV_32F, 0, 1, scale=1 / 8)
    slope = cv2.dilate(cv2.magnitude(dx, dy), np.ones((3, 3), np.uint8))
    where = np.flatnonzero(use)
    where = where[:: max(1, len(where) // (3 * _SAMPLE))]
    if len(where) < 200:
        return Noise(sigma=np.full_like(expected, 4 * LEAST_SIGMA), compression_sigma=np.zeros_like(expected))
    size = np.abs(residual.reshape(-1)[where])
    by_slope = _spread(slope.reshape(-1)[where], size, (0, 30, 50, 65, 75, 83, 90, 95, 98, 100), rising=True)
    sigma = np.maximum(by_slope(slope), LEAST_SIGMA)
    ratio = size / sigma.reshape(-1)[where]
    by_level = _spread(expected.reshape(-1)[where], ratio, tuple(range(0, 101, 10)), rising=False)
    sigma *= np.clip(by_level(expected), 1, 4)
    if compression is None:
        return Noise(sigma=sigma, compression_sigma=np.zeros_like(sigma))
    error = compression_sigma(expected, compression) if known is None else known
    return Noise(sigma=sigma, compression_sigma=error)


def _spread(key: NDArray[Any], size: NDArray[Any], percents: tuple[int, ...], *, rising: bool) -> Any:
    """Return a function from ``key`` to the robust standard deviation of what has absolute values ``size``."""
    import numpy as np

    edges = np.unique(np.percentile(key, percents))
    if len(edges) < 2:
        level = _sigma(size)
        return lambda values: np.full(values.shape, level, np.float32)
    bins = np.clip(np.searchsorted(edges, key, side="right") - 1, 0, len(edges) - 2)
    levels = np.array(
        [_sigma(size[bins == i]) if np.count_nonzero(bins == i) >= 30 else np.nan for i in range(len(edges) - 1)]
    )
    known = np.flatnonzero(~np.isnan(levels))
    levels = (
        np.interp(np.arange(len(levels)), known, levels[known]) if len(known) else np.full(len(levels), LEAST_SIGMA)
    )
    if rising:
        levels = np.maximum.accumulate(levels)
    centres = 0.5 * (edges[1:] + edges[:-1])
    table_x = np.linspace(edges[0], edges[-1], 1024)
    table = np.interp(table_x, centres, levels).astype(np.float32)
    scale = 1023 / max(float(edges[-1] - edges[0]), 1e-9)
    return lambda values: table[np.clip((values - np.float32(edges[0])) * np.float32(scale), 0, 1023).astype(np.int16)]


def _sigma(size: NDArray[Any]) -> float:
    """Return a standard deviation from absolute values: of the core, or of the wings where these are wider."""
    import numpy as np

    middle, wing = np.percentile(size, (50, 92))
    return float(max(1.4826 * middle, wing / 1.75))
