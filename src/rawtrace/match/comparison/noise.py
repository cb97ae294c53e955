"""What may differ between expected and published picture without anybody having touched it.

Three things are allowed for: resampling by a kernel that we do not know (a
small one is fitted), compression (the quantisation of a JPEG is read from the
published pixels themselves, and what it can have done is taken off), and what
remains, which grows with brightness and with slope and is measured.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: No picture of 8 bits is known better than this, in grey levels.
LEAST_SIGMA = 0.8
#: Reach of the fitted kernel from its centre, px.
KERNEL_REACH = 2
_SAMPLE = 16_000
_BLOCKS = 256
_GREATEST_STEP = 80
_MOST_CLIPPED = 24
#: Large pictures are adjusted by this many square tiles, of this many px.
_TILES, _TILE = 12, 128
#: Standard deviation of a DCT coefficient that rounding to whole grey levels causes, with a margin.
_ROUNDING = 0.32
#: Luminance table of ITU-T T.81, K.1, row by row.
_T81 = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """A JPEG compression that the published pixels went through last.

    Attributes
    ----------
    steps : tuple of 64 int
        Quantisation of luminance, row by row.
    offset : tuple[int, int]
        Where the first whole block begins, (x, y), px, 0 to 7.
    quality : int or None
        Of the usual scale of 1 to 100, where the steps are the usual ones.
    """

    steps: tuple[int, ...]
    offset: tuple[int, int] = (0, 0)
    quality: int | None = None


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


def usual_steps(quality: int) -> tuple[int, ...]:
    """Return the luminance steps that most programs use at a quality of 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return tuple(min(max((step * scale + 50) // 100, 1), 255) for step in _T81)


def estimate_compression(published: NDArray[Any]) -> Compression | None:
    """Read the last JPEG compression from decoded pixels.

    Coefficients of compressed blocks are multiples of the steps. How much better
    multiples fit than chance is asked of all steps and all usual tables.

    Parameters
    ----------
    published : ndarray of uint8
        (Y, X).

    Returns
    -------
    Compression or None
        ``None`` where nothing points to one, or where it was too fine to see.
    """
    if min(published.shape) < 24:
        return None
    found = _steps_at(published, (0, 0))
    if found is None:
        offset = _likely_offset(published)
        found = _steps_at(published, offset) if offset != (0, 0) else None
    return found


def _likely_offset(published: NDArray[Any]) -> tuple[int, int]:
    """Return where blocks begin if there are any: where few coefficients fit multiples of small steps best."""
    import numpy as np

    height, width = published.shape
    count = 7
    corners = [np.linspace(0, n - 16, count).astype(int) for n in (height, width)]
    tops, lefts = (grid.ravel() for grid in np.meshgrid(*corners, indexing="ij"))
    # The eight by eight places of a block, at each of some corners of multiples of eight.
    rows = (tops // 8 * 8)[None, :] + np.arange(8)[:, None]
    columns = (lefts // 8 * 8)[None, :] + np.arange(8)[:, None]
    span = np.arange(8)
    y = rows[:, None, :, None, None] + span[:, None]
    x = columns[None, :, :, None, None] + span
    blocks = published[y, x].astype(np.float32) - 128
    matrix = _dct()
    coefficients = (matrix @ blocks @ matrix.T)[..., :5, :5].reshape(8, 8, count * count, 25)
    best = np.zeros((8, 8, 25), np.float32)
    for step in (*range(2, 25), 27, 30, 34, 40):
        np.maximum(best, _gain(coefficients, step).sum(2), out=best)
    total = best.sum(-1)
    at = int(total.argmax())
    return at % 8, at // 8


def _gain(coefficients: NDArray[Any], step: int) -> NDArray[Any]:
    """Return by how much (log) a multiple of the step explains a coefficient better than chance does."""
    import numpy as np

    multiple = np.rint(coefficients * np.float32(1 / step))
    away = (coefficients - step * multiple) * np.float32(1 / _ROUNDING)
    fit = np.log(0.05 + 0.95 * step / (2.5066 * _ROUNDING) * np.exp(-0.5 * away**2))
    return np.where(multiple != 0, fit, np.float32(0))


def _steps_at(published: NDArray[Any], offset: tuple[int, int]) -> Compression | None:
    import numpy as np

    x, y = offset
    rows, columns = (published.shape[0] - y) // 8, (published.shape[1] - x) // 8
    if rows < 2 or columns < 2:
        return None
    part = (
        published[y : y + 8 * rows, x : x + 8 * columns].reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    )
    if len(part) > 4 * _BLOCKS:
        part = part[:: len(part) // (4 * _BLOCKS)]
    # Decoders clip, and clipped blocks are multiples of nothing: the whole ones first, then the liveliest.
    clipped = ((part == 0) | (part == 255)).sum((1, 2))
    part, clipped = part[clipped <= _MOST_CLIPPED], clipped[clipped <= _MOST_CLIPPED]
    if len(part) < 4:
        return None
    spread = part.reshape(len(part), -1).astype(np.float32).std(1)
    chosen = part[np.lexsort((-spread, clipped // 8))[:_BLOCKS]].astype(np.float32) - 128
    matrix = _dct()
    coefficients = (matrix @ chosen @ matrix.T).reshape(len(chosen), 64)
    gain = np.zeros((64, _GREATEST_STEP + 1), np.float32)
    for step in range(2, _GREATEST_STEP + 1):
        gain[:, step] = _gain(coefficients, step).sum(0)
    usual = np.array([usual_steps(quality) for quality in range(10, 101)])
    scores = np.where(usual <= _GREATEST_STEP, gain[np.arange(64), np.minimum(usual, _GREATEST_STEP)], 0).sum(1)
    at = int(scores.argmax())
    own = gain.argmax(1)
    free = float(gain.max(1).sum())
    # Free steps follow chance as well: they need to be clearly better.
    if scores[at] > 40 and scores[at] > 0.6 * free - 100:
        return Compression(steps=usual_steps(at + 10), offset=offset, quality=at + 10)
    if free > 800 and np.count_nonzero(gain.max(1) > 15) >= 8:
        known = np.where(gain.max(1) > 15, own, 0)
        ratio = np.median(known[known > 0] / np.array(_T81)[known > 0])
        steps = np.where(known > 0, known, np.maximum(1, np.rint(ratio * np.array(_T81))))
        return Compression(steps=tuple(int(step) for step in steps), offset=offset)
    return None


@cache
def _dct() -> NDArray[Any]:
    import numpy as np

    k, n = np.mgrid[:8, :8]
    matrix = np.cos(np.pi * (2 * n + 1) * k / 16) / 2
    matrix[0] /= np.sqrt(2)
    matrix = matrix.astype(np.float32)
    matrix.setflags(write=False)
    return np.asarray(matrix)


def _blockwise(picture: NDArray[Any], offset: tuple[int, int], change: Any) -> NDArray[Any]:
    """Apply ``change`` to the DCT coefficients, (N, 8, 8), of all blocks."""
    import numpy as np

    height, width = picture.shape
    left, top = ((8 - n) % 8 for n in offset)
    padding = ((top, -(height + top) % 8), (left, -(width + left) % 8))
    padded = np.pad(picture, padding, mode="edge")
    rows, columns = padded.shape[0] // 8, padded.shape[1] // 8
    matrix = _dct()
    # As (row of blocks, column of blocks, 8, 8) with one large product for each axis.
    blocks = padded.reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    half = (blocks.reshape(-1, 8) @ matrix.T).reshape(-1, 8, 8).transpose(0, 2, 1)
    coefficients = (half.reshape(-1, 8) @ matrix.T).reshape(-1, 8, 8)  # (N, x frequency, y frequency)
    coefficients = change(coefficients)
    half = (coefficients.reshape(-1, 8) @ matrix).reshape(-1, 8, 8).transpose(0, 2, 1)
    blocks = (half.reshape(-1, 8) @ matrix).reshape(rows, columns, 8, 8).transpose(0, 2, 1, 3)
    result: NDArray[Any] = np.ascontiguousarray(blocks.reshape(padded.shape)[top : top + height, left : left + width])
    return result


def beyond_compression(residual: NDArray[Any], compression: Compression) -> NDArray[Any]:
    """Return the least part of a residual that no quantisation explains.

    A coefficient can have moved by half a step and no further.
    """
    import numpy as np

    half = np.array(compression.steps, np.float32).reshape(8, 8).T / 2

    def change(coefficients: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(coefficients - np.clip(coefficients, -half, half))

    return _blockwise(residual, compression.offset, change)


def compressed(picture: NDArray[Any], compression: Compression) -> NDArray[Any]:
    """Return a picture of grey levels, 0 to 255, as the compression would leave it, not rounded."""
    import numpy as np

    steps = np.array(compression.steps, np.float32).reshape(8, 8).T

    def change(coefficients: NDArray[Any]) -> NDArray[Any]:
        return np.rint(coefficients / steps) * steps

    return _blockwise(picture - np.float32(128), compression.offset, change) + np.float32(128)


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


def noise_of(residual: NDArray[Any], expected: NDArray[Any], use: NDArray[Any],
             compression: Compression | None) -> Noise:  # fmt: skip
    """Measure what is left, as it grows with slope and with brightness.

    Parameters
    ----------
    residual : ndarray of float32
        Published less expected, beyond compression, grey levels.
    expected : ndarray of float32
    use : ndarray of bool
        Pixels that are not suspected of anything.
    compression : Compression or None
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
    return Noise(sigma=sigma, compression_sigma=compression_sigma(expected, compression))


def compression_sigma(expected: NDArray[Any], compression: Compression) -> NDArray[Any]:
    """Return the root mean square error of a compression around each pixel, grey levels."""
    import cv2
    import numpy as np

    error = compressed(expected, compression) - expected
    result: NDArray[Any] = np.sqrt(np.maximum(cv2.boxFilter(error * error, cv2.CV_32F, (9, 9)), 0))
    return result


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
