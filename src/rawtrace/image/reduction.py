"""Pictures made smaller by a whole factor, by averaging, from bands of rows: memory stays small at any size."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Types whose values all fit into a table.
SMALL_INTEGERS = frozenset({"uint8", "int8", "uint16", "int16"})
_EXACT_SUMS = SMALL_INTEGERS | {"uint32", "int32"}


class Reduction:
    """Puts a plane together from its bands, each ``factor`` by ``factor`` pixels averaged to one.

    Blocks at the right and at the bottom average what there is. NaN and infinities are left out; a block of nothing
    else is NaN. Sums go row by row, then column by column, so that they are the same everywhere.

    Parameters
    ----------
    shape : tuple[int, int]
        (Y, X) of the whole plane.
    factor : int
        At least 1.
    """

    def __init__(self, shape: tuple[int, int], factor: int) -> None:
        self._shape = shape
        self._blocks = None if factor == 1 else _Blocks(shape, factor)
        self._whole: NDArray[Any] | None = None
        self._row = 0

    def add(self, band: NDArray[Any]) -> None:
        """Take the next rows: (rows, X)."""
        import numpy as np

        values = _real(band)
        if self._blocks is not None:
            self._blocks.add(values)
            return
        if self._whole is None:
            self._whole = np.empty(self._shape, values.dtype)
        self._whole[self._row : self._row + values.shape[0]] = values
        self._row += values.shape[0]

    def finish(self) -> NDArray[Any]:
        """Return the plane.

        Returns
        -------
        ndarray
            With the factor 1 the values themselves, in native byte order: integers, or floats of 32 or 64 bits, bool
            as 0 or 1, of complex numbers the squared magnitude. Else float32.
        """
        import numpy as np

        if self._blocks is not None:
            return self._blocks.finish()
        return np.zeros(self._shape, np.uint8) if self._whole is None else self._whole


def reduced(bands: Iterable[NDArray[Any]], shape: tuple[int, int], factor: int) -> NDArray[Any]:
    """Do in one call what ``Reduction`` does."""
    reduction = Reduction(shape, factor)
    for band in bands:
        reduction.add(band)
    return reduction.finish()


class _Blocks:
    def __init__(self, shape: tuple[int, int], factor: int) -> None:
        import numpy as np

        self._factor = factor
        self._columns = -(-shape[1] // factor)
        self._out = np.empty((-(-shape[0] // factor), self._columns), np.float32)
        self._line = self._rows = 0
        self._sums: NDArray[Any] = np.zeros(0)
        self._counts: NDArray[Any] = np.zeros(0)

    def add(self, band: NDArray[Any]) -> None:
        """Take more rows."""
        exact = band.dtype.name in _EXACT_SUMS
        # Exact sums may be taken in any order, so of all rows of a block at once.
        step = self._factor if exact else 1
        first = 0
        while first < band.shape[0]:
            rows = band[first : first + min(step, self._factor - self._rows)]
            self._add_rows(rows, exact=exact)
            first += rows.shape[0]
            if self._rows == self._factor:
                self._close_line()

    def _add_rows(self, rows: NDArray[Any], *, exact: bool) -> None:
        import numpy as np

        if self._rows == 0:
            self._sums = np.zeros(rows.shape[1], np.int64 if exact else np.float64)
            self._counts = np.zeros(rows.shape[1], np.int64)
        if exact:
            self._sums += rows.sum(axis=0, dtype=np.int64)
            self._counts += rows.shape[0]
        else:
            finite = np.isfinite(rows[0])
            self._sums += np.where(finite, rows[0], 0)
            self._counts += finite
        self._rows += rows.shape[0]

    def finish(self) -> NDArray[Any]:
        """Return the whole."""
        if self._rows:
            self._close_line()
        return self._out

    def _close_line(self) -> None:
        import numpy as np

        sums = np.zeros(self._columns, self._sums.dtype)
        counts = np.zeros(self._columns, np.int64)
        for offset in range(self._factor):
            part = self._sums[offset :: self._factor]
            sums[: part.size] += part
            counts[: part.size] += self._counts[offset :: self._factor]
        with np.errstate(all="ignore"):
            self._out[self._line] = np.where(counts > 0, sums / counts, np.nan)
        self._line += 1
        self._rows = 0


def _real(band: NDArray[Any]) -> NDArray[Any]:
    """Return a band in native byte order, of a type to compute with."""
    import numpy as np

    if band.dtype.kind == "b":
        return band.astype(np.uint8)
    if band.dtype.kind == "c":
        wide = band.astype(np.complex128)
        return np.asarray(wide.real * wide.real + wide.imag * wide.imag)
    if band.dtype.kind == "f" and band.dtype.itemsize == 2:
        return band.astype(np.float32)
    return band.astype(band.dtype.newbyteorder("="), copy=False)
