"""Reads the last JPEG compression of a picture from its pixels, and tells what such a compression can have done."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCKS = 256
_GREATEST_STEP = 80
_MOST_CLIPPED = 24
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
    most = 0 if np.count_nonzero(clipped == 0) >= 8 else _MOST_CLIPPED
    part, clipped = part[clipped <= most], clipped[clipped <= most]
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


def compression_sigma(expected: NDArray[Any], compression: Compression) -> NDArray[Any]:
    """Return the root mean square error of a compression around each pixel, grey levels."""
    import cv2
    import numpy as np

    error = compressed(expected, compression) - expected
    result: NDArray[Any] = np.sqrt(np.maximum(cv2.boxFilter(error * error, cv2.CV_32F, (9, 9)), 0))
    return result
