"""What is kept of an original for finding strips in it, and whether it is worth keeping."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.errors import PixelsError
from rawtrace.match.features import computer_vision

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Longest edge of the reduced picture that is kept.
KEPT_EDGE = 512
#: Greatest size of the stored form: every pixel of the reduced picture and a header.
MAX_BYTES = KEPT_EDGE * KEPT_EDGE + 4_096
#: Longer pictures are reduced before anything else; views are never longer.
LONGEST_EDGE = 2_048
#: Shorter pictures say too little to be found.
SHORTEST_EDGE = 8
#: Edges along the axes, above which a picture may be a blot; and how many times as wide as high a strip is.
_UPRIGHT, _WIDE = 0.05, 3.0
_HEADER = struct.Struct(">4sBIIHH")
_MAGIC, _VERSION = b"RTSF", 1


@dataclass(frozen=True, slots=True, eq=False)
class StripFeatures:
    """A reduced copy of an original, bands bright and weak ones raised.

    Attributes
    ----------
    reduced : ndarray of uint8
        (Y, X), at most 512 px along each edge.
    shape : tuple[int, int]
        Height and width of the original, px.
    """

    reduced: NDArray[Any]
    shape: tuple[int, int]

    def to_bytes(self) -> bytes:
        """Return the form that is stored: at most 266 kB, half of it as a rule."""
        head = _HEADER.pack(_MAGIC, _VERSION, *self.shape, *self.reduced.shape)
        return head + zlib.compress(self.reduced.tobytes(), 6)

    @classmethod
    def from_bytes(cls, data: bytes) -> StripFeatures:
        """Read the stored form.

        Raises
        ------
        PixelsError
            It is damaged, or of a newer version.
        """
        import numpy as np

        damaged = PixelsError("stored strip features are damaged", hint="build the index anew")
        if not _HEADER.size < len(data) <= MAX_BYTES:
            raise damaged
        magic, version, height, width, rows, columns = _HEADER.unpack_from(data)
        if magic != _MAGIC or not (0 < rows <= KEPT_EDGE and 0 < columns <= KEPT_EDGE and height >= rows > 0):
            raise damaged
        if version != _VERSION:
            raise PixelsError(f"stored strip features have version {version}, expected {_VERSION}")
        unpacker = zlib.decompressobj()
        try:
            raw = unpacker.decompress(data[_HEADER.size :], rows * columns + 1)
        except zlib.error:
            raise damaged from None
        if len(raw) != rows * columns or width < columns:
            raise damaged
        return cls(np.frombuffer(raw, np.uint8).reshape(rows, columns), (height, width))


def strip_features(pixels: NDArray[Any]) -> StripFeatures:
    """Reduce an original to what the search needs.

    Parameters
    ----------
    pixels : ndarray
        (Y, X) or (Y, X, samples), of any type; views of the index as a rule.

    Raises
    ------
    PixelsError
        Not a picture.
    MissingExtraError
    """
    import numpy as np

    cv2 = computer_vision()
    grey, _ = bounded_grey(pixels)
    scaled = toned(grey) * 255
    height, width = np.asarray(pixels).shape[:2]
    factor = min(1.0, KEPT_EDGE / max(height, width))
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        scaled = cv2.resize(scaled, size, interpolation=cv2.INTER_AREA)
    return StripFeatures(np.round(scaled).astype(np.uint8), (int(height), int(width)))


def toned(grey: NDArray[Any]) -> NDArray[Any]:
    """Return a picture between 0 and 1, bands bright as far as can be told, weak bands raised."""
    import numpy as np

    step = max(1, min(grey.shape) // 256)
    low, middle, high = (float(value) for value in np.percentile(grey[::step, ::step], (0.5, 50, 99.5)))
    if high <= low:
        low, high = float(grey.min()), float(grey.max())
        middle = low
    if high <= low:
        return np.zeros(grey.shape, np.float32)
    scaled = np.clip((grey - low) / (high - low), 0, 1)
    if middle - low > high - middle:
        scaled = 1 - scaled
    return np.sqrt(scaled).astype(np.float32)


def grey_of(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return a picture as finite float32 grey, (Y, X).

    Raises
    ------
    PixelsError
        No picture: wrong axes, or empty.
    """
    import numpy as np

    array = np.asarray(pixels)
    if array.ndim == 3 and array.shape[-1] in {1, 2, 3, 4}:
        samples = array[..., :3] if array.shape[-1] > 2 else array[..., :1]
        array = samples.mean(-1, dtype=np.float32)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "biuf":
        raise PixelsError(f"an array of shape {array.shape} is no picture, expected (Y, X) or (Y, X, samples)")
    with np.errstate(over="ignore", invalid="ignore"):
        grey = np.ascontiguousarray(array, np.float32)
    finite = np.isfinite(grey)
    if not finite.all():
        grey = np.where(finite, grey, np.median(grey[finite]) if finite.any() else 0).astype(np.float32)
    peak = float(np.abs(grey).max())
    return grey / np.float32(peak) if peak > 1e9 else grey


def bounded_grey(pixels: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Return a picture as grey, every so manieth pixel where it is huge, and every how manieth.

    Raises
    ------
    PixelsError
    """
    import numpy as np

    array = np.asarray(pixels)
    if array.ndim not in {2, 3}:
        raise PixelsError(f"an array of shape {array.shape} is no picture, expected (Y, X) or (Y, X, samples)")
    step = max(1, max(array.shape[:2]) // (2 * LONGEST_EDGE))
    return grey_of(array[::step, ::step]), step


def looks_like_blot(pixels: NDArray[Any]) -> float:
    """Say how much a picture looks like a blot, a gel or a strip of one; costs a few milliseconds.

    Edges of bands and lanes run along the axes of the picture; those of cells and tissues run any way. A picture
    as long and narrow as a strip is worth a search in any case.

    Returns
    -------
    float
        0 to 1; from 0.5 on it is worth a search for strips.
    """
    import numpy as np

    cv2 = computer_vision()
    grey, _ = bounded_grey(pixels)
    height, width = grey.shape
    if min(height, width) < SHORTEST_EDGE or float(np.ptp(grey)) == 0:
        return 0.0
    factor = min(1.0, 256 / max(height, width))
    size = (max(SHORTEST_EDGE, round(width * factor)), max(SHORTEST_EDGE, round(height * factor)))
    small = cv2.GaussianBlur(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    low, high = np.percentile(small, (0.5, 99.5))
    small = np.clip((small - low) / max(float(high - low), 1e-12), 0, 1).astype(np.float32)
    down, across = cv2.Sobel(small, cv2.CV_32F, 0, 1), cv2.Sobel(small, cv2.CV_32F, 1, 0)
    power = down**2 + across**2
    strong = power >= max(float(np.percentile(power, 85)), 1e-9)
    if not strong.any():
        return 0.0
    # The cosine of four times the direction, weighted by power: 1 for edges that all run along an axis, 0 for any way.
    upright = float((power * np.cos(4 * np.arctan2(down, across)))[strong].sum() / power[strong].sum())
    likeness = float(np.clip(0.5 + (upright - _UPRIGHT) * 1.5, 0, 1))
    return max(likeness, 0.5) if width >= _WIDE * height or height >= _WIDE * width else likeness
