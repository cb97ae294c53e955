"""Published pictures as they are compared: 8 bit, whatever they are stored in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rawtrace.match.comparison.registration import finite

if TYPE_CHECKING:
    from numpy.typing import NDArray


def eight_bit(published: NDArray[Any]) -> NDArray[Any]:
    """Return a published picture as uint8, (Y, X) or (Y, X, 3)."""
    import numpy as np

    values = np.asarray(published)
    if values.ndim == 3 and values.shape[-1] not in {3, 4}:
        values = values[..., 0]
    if values.ndim == 3:
        values = values[..., :3]
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    numbers = finite(values)
    if values.dtype == bool:
        return np.ascontiguousarray((numbers * 255).astype(np.uint8))
    greatest = float(numbers.max()) if numbers.size else 0.0
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        # 12- and 14-bit pictures lie in 16-bit files.
        full = next(float(2**bits - 1) for bits in (8, 10, 12, 14, 16) if greatest <= 2**bits - 1)
        return np.ascontiguousarray(np.rint(numbers * (255 / full)).astype(np.uint8))
    least = float(numbers.min()) if numbers.size else 0.0
    if least >= 0 and greatest <= 1 and values.dtype.kind == "f":
        least, greatest = 0.0, 1.0
    span = greatest - least if greatest > least else 1.0
    return np.ascontiguousarray(np.rint((numbers - least) / span * 255).astype(np.uint8))
