"""Arrays that pass for an open image, for tests of what is built on the reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rawtrace.image.reader import Image, PlaneIndex, Scene


class ArrayBackend:
    """Scenes that are arrays of (T, C, Z, Y, X) or (T, C, Z, Y, X, S), read a few rows at a time."""

    format = "array"
    notes: tuple[str, ...] = ()

    def __init__(self, arrays: Sequence[np.ndarray[Any, Any]], band_rows: int) -> None:
        self.scenes = tuple(scene_of(array, index) for index, array in enumerate(arrays))
        self.read: list[PlaneIndex] = []
        self._arrays = arrays
        self._band_rows = band_rows

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[np.ndarray[Any, Any]]:
        self.read.append(plane)
        pixels = self._arrays[scene.index][plane.t, plane.c, plane.z]
        for row in range(0, pixels.shape[0], self._band_rows):
            yield pixels[row : row + self._band_rows]

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> None:
        return None

    def close(self) -> None:
        pass


def array_image(*arrays: np.ndarray[Any, Any], band_rows: int = 7) -> Image:
    return Image(path=Path("array"), format="array", _backend=ArrayBackend(arrays, band_rows))


def scene_of(array: np.ndarray[Any, Any], index: int = 0) -> Scene:
    t, c, z, y, x = array.shape[:5]
    samples = array.shape[5] if array.ndim == 6 else 1
    return Scene(index=index, t=t, c=c, z=z, y=y, x=x, samples=samples, dtype=array.dtype.newbyteorder("=").name)
