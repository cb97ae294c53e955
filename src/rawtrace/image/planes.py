"""The canonical form of pixels: which bytes of a plane are hashed, and the header that binds shape and type.

Normative text: ``docs/spec/codes.md``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rawtrace.errors import PixelsError
from rawtrace.image.reader import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEADER_VERSION = 1
#: NumPy's names of the types that have a canonical form, and no others.
TYPES = frozenset({
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float16", "float32", "float64", "complex64", "complex128",
})  # fmt: skip
#: About how many bytes are handed on at once: small enough for a processor's cache, large enough to be worth a call.
PIECE_BYTES = 1 << 20


def header(scene: Scene) -> bytes:
    """Return the canonical header of a scene: what its pixels' bytes alone do not say.

    Returns
    -------
    bytes
        JSON in ASCII without blanks, its keys in a fixed order.

    Raises
    ------
    PixelsError
        The type has no canonical form.
    """
    if scene.dtype not in TYPES:
        msg = f"scene {scene.index} has pixels of the type {scene.dtype[:40]}, which has no canonical form"
        raise PixelsError(msg, hint=f"types that have one: {', '.join(sorted(TYPES))}")
    return (
        f'{{"scene":{HEADER_VERSION},"t":{scene.t},"c":{scene.c},"z":{scene.z},"y":{scene.y},"x":{scene.x},'
        f'"s":{scene.samples},"type":"{scene.dtype}"}}'
    ).encode("ascii")


def header_digest(scene: Scene) -> str:
    """Return the SHA-256 of a scene's header, as lower-case hexadecimal digits."""
    return hashlib.sha256(header(scene)).hexdigest()


def canonical_bytes(pixels: NDArray[Any]) -> bytes:
    """Return pixels as they are hashed: big-endian, row by row, the samples of a pixel side by side.

    Parameters
    ----------
    pixels : ndarray
        (rows, X) or (rows, X, S), any byte order and memory layout. No bit of a value is changed, NaN included; a
        bool is the byte 0 or 1.
    """
    return b"".join(pieces(pixels))


def pieces(band: NDArray[Any]) -> Iterator[bytes]:
    """Cut a band into runs of whole rows of about ``PIECE_BYTES`` each, in canonical form."""
    import numpy as np

    rows = max(1, PIECE_BYTES // max(1, band[:1].nbytes))
    big = band.dtype.newbyteorder(">")
    # Memory that is used again is many times faster than memory that the system has to clear first.
    swapped = None if band.dtype == big else np.empty((min(rows, band.shape[0]), *band.shape[1:]), big)
    for first in range(0, band.shape[0], rows):
        part = band[first : first + rows]
        if swapped is None:
            yield part.tobytes()
        else:
            np.copyto(swapped[: part.shape[0]], part)
            yield swapped[: part.shape[0]].tobytes()


def is_constant(piece: bytes, pixel: bytes) -> bool:
    """Tell whether canonical bytes are one pixel, repeated."""
    # Nearly every plane shows in its first pixels that it is not constant.
    return piece.startswith(pixel * min(64, len(piece) // len(pixel))) and piece == pixel * (len(piece) // len(pixel))
