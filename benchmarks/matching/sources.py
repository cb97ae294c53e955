"""The pictures that the matching is measured on: real ones, by family, in two halves.

One half is for choosing parameters, the other for the numbers that are
reported. Pictures of one family (one collection, one specimen) are never in both.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "images"
HALVES = ("tune", "report")
#: Pictures of the same collection or specimen.
_FAMILIES = (
    "bbbc038/dsb_", "cellprofiler/fl_human", "bianb/fl8_BBBC007", "neubias/fl8_nuclei_PLK1", "embl/fl8_example_cells",
    "cellprofiler/cp_UntangleWorms",
)  # fmt: skip
#: Micrographs, tissues and plain textures among scikit-image's own.
_SKIMAGE = ("brick.png", "camera.png", "coins.png", "grass.png", "gravel.png", "ihc.png", "microaneurysms.png",
            "moon.png", "hubble_deep_field.jpg")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One picture.

    Attributes
    ----------
    name, family : str
    half : str
        ``"tune"`` or ``"report"``.
    pixels : ndarray
        (Y, X) of uint8 or uint16, or (Y, X, 3) of uint8.
    """

    name: str
    family: str
    half: str
    pixels: np.ndarray[Any, Any]


def half_of(family: str) -> str:
    """Tell which half a family belongs to; fixed for ever, by its name."""
    return HALVES[hashlib.sha256(family.encode()).digest()[0] % 2]


@cache
def sources() -> tuple[Source, ...]:
    """Return all pictures that are at hand; fewer where the shared images are absent."""
    return tuple(itertools.chain(_shared(), _packaged()))


def of_half(half: str) -> tuple[Source, ...]:
    """Return one half."""
    return tuple(source for source in sources() if source.half == half)


def _shared() -> Iterator[Source]:
    for path in sorted(DATA.glob("*/*")) if DATA.is_dir() else ():
        name = path.relative_to(DATA).as_posix()
        yield _source(name, _read(path))


def _packaged() -> Iterator[Source]:
    found = find_spec("skimage")
    if found is None or found.origin is None:
        return
    for name in _SKIMAGE:
        path = Path(found.origin).parent / "data" / name
        if path.is_file():
            yield _source(f"scikit-image/{name}", _read(path))


def _source(name: str, pixels: np.ndarray[Any, Any]) -> Source:
    family = next((family for family in _FAMILIES if name.startswith(family)), name.rsplit(".", 1)[0])
    return Source(name, family, half_of(family), pixels)


def _read(path: Path) -> np.ndarray[Any, Any]:
    """Read the first plane of a file as grey, or as RGB."""
    if path.suffix in {".tif", ".tiff"}:
        pixels = np.squeeze(tifffile.imread(path))
    else:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB") if image.mode in {"RGBA", "P", "RGB"} else image)
    if pixels.ndim == 3 and pixels.shape[-1] not in {3, 4}:
        pixels = pixels[0]
    if pixels.ndim == 3:
        pixels = pixels[..., :3]
        if (pixels == pixels[..., :1]).all():
            pixels = pixels[..., 0]
    return np.ascontiguousarray(pixels)
