"""Renderings of a scene that figures are compared with: 8-bit grey, the same on every machine.

The rendering has a version, for codes and features are comparable only between equal renderings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rawtrace.image.reader import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

RENDERING = "rawtrace-view/1"
#: Longer pictures are reduced by a whole factor, by averaging.
LONGEST_EDGE = 2_048
#: Percentiles that become black and white.
STRETCH_PERCENT = (0.35, 99.65)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One rendering.

    Attributes
    ----------
    scene : int
    channel : int or None
        ``None`` for the luminance of a colour image.
    z, t : int or None
        ``None`` where a projection takes all of them.
    projection : str
        ``""`` for a plane, ``"max"`` for the greatest value along Z.
    reduction : int
        How many pixels of the scene one pixel of the view averages, along each axis.
    size : tuple[int, int]
        Width and height of the scene, px.
    pixels : ndarray of uint8
        (Y, X).
    """

    scene: int
    channel: int | None
    z: int | None
    t: int | None
    projection: str
    reduction: int
    size: tuple[int, int]
    pixels: NDArray[Any]


def views(image: Image) -> Iterator[View]:
    """Yield what is indexed of an image.

    For each scene and channel, and up to 16 time points: the plane, or where
    there are several the sharpest plane and the maximum projection. Of a colour
    image its luminance.
    """
    raise NotImplementedError
