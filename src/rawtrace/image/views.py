"""Renderings of a scene that figures are compared with: 8-bit grey, the same on every machine.

The rendering has a version, for codes and features are comparable only between equal renderings. Every step is an
exact sum of integers or one IEEE operation for each pixel, in a fixed order, so that no machine rounds otherwise.
Normative text: ``docs/spec/codes.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rawtrace.image.planes import PIECE_BYTES
from rawtrace.image.reader import Image, PlaneIndex, Scene
from rawtrace.image.reduction import SMALL_INTEGERS, Reduction

if TYPE_CHECKING:
    from numpy.typing import NDArray

RENDERING = "rawtrace-view/1"
#: Longer pictures are reduced by a whole factor, by averaging.
LONGEST_EDGE = 2_048
#: Percentiles that become black and white.
STRETCH_PERCENT = (0.35, 99.65)
#: Time points of a scene that are rendered, spread evenly.
MAX_TIMES = 16
#: Views of one scene; fewer where a file has very many scenes, as plates have.
MAX_VIEWS = 64
_MIN_VIEWS = 4
_MAX_VIEWS_OF_FILE = 20_000
#: Sharpness is measured on every so many rows.
_FOCUS_ROWS = 4
#: Rows that are rendered at a time, so that what is computed with them stays small.
_RENDERED_ROWS = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One rendering.

    Attributes
    ----------
    scene : int
    channel : int or None
        ``None`` for the luminance of a colour image, unless it has several channels.
    z, t : int or None
        ``None`` where a projection takes all of them.
    projection : str
        ``""`` for a plane, ``"max"`` for the greatest value along Z.
    reduction : int
        How many pixels of the scene one pixel of the view averages, along each axis; its centre (x, y) lies at
        (x * reduction + (reduction - 1) / 2, ...) in the scene.
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

    For each scene and channel, and up to 16 time points: the plane, or where there are several the sharpest plane and
    the maximum projection. Of a colour image its luminance. At most ``MAX_VIEWS`` of a scene.

    Raises
    ------
    PixelsError
    """
    limit = views_of_each(len(image.scenes))
    for scene in image.scenes:
        yield from scene_views(image, scene, limit=limit)


def views_of_each(scenes: int) -> int:
    """Return how many views each scene of a file may have."""
    return max(_MIN_VIEWS, min(MAX_VIEWS, _MAX_VIEWS_OF_FILE // max(1, scenes)))


def scene_views(image: Image, scene: Scene, *, limit: int = MAX_VIEWS) -> Iterator[View]:
    """Yield the views of one scene, channel by channel; at most ``limit``."""
    for channel, time in stacks_of(scene, limit=limit):
        stack = Stack(scene, channel, time)
        for z in range(scene.z):
            for band in image.bands(scene, PlaneIndex(z, channel, time)):
                stack.add(band)
            stack.end_plane()
        yield from stack.views()


def view_at(
    image: Image, scene: Scene, *, channel: int | None, z: int | None, t: int | None, projection: str
) -> View | None:
    """Render one view again, reading no more planes than it is made of; ``None`` where the scene has none such.

    Raises
    ------
    PixelsError
    """
    place, time = channel or 0, t or 0
    if not (0 <= place < scene.c and 0 <= time < scene.t) or projection not in {"", "max"}:
        return None
    wanted = range(scene.z) if projection else (z or 0,)
    if not projection and not 0 <= (z or 0) < scene.z:
        return None
    stack = Stack(scene, place, time)
    for plane in wanted:
        for band in image.bands(scene, PlaneIndex(plane, place, time)):
            stack.add(band)
        stack.end_plane()
    found = list(stack.views())
    if projection:
        return found[1] if len(found) > 1 else None
    # One plane is its own sharpest; it is called what it was asked for.
    return replace(found[0], z=z, channel=channel) if found else None


def stacks_of(scene: Scene, *, limit: int = MAX_VIEWS) -> tuple[tuple[int, int], ...]:
    """Choose the channels and time points that are rendered, so that there are at most ``limit`` views."""
    of_stack = 1 if scene.z == 1 else 2
    channels = spread(scene.c, max(1, limit // of_stack))
    times = spread(scene.t, min(MAX_TIMES, max(1, limit // (of_stack * len(channels)))))
    return tuple((channel, time) for channel in channels for time in times)


class Stack:
    """The views of one channel and time point, from its planes, one after another from the first.

    Parameters
    ----------
    scene : Scene
    channel, time : int
    """

    def __init__(self, scene: Scene, channel: int, time: int) -> None:
        self._scene, self._channel, self._time = scene, channel, time
        self._factor = factor_of(scene)
        self._plane: Reduction | None = None
        self._best: NDArray[Any] | None = None
        self._greatest: NDArray[Any] | None = None
        self._z = self._sharpest = 0
        self._measure = -1.0

    def add(self, band: NDArray[Any]) -> None:
        """Take the next rows of a plane."""
        import numpy as np

        if self._plane is None:
            self._plane = Reduction((self._scene.y, self._scene.x), self._factor)
        with np.errstate(all="ignore"):
            for part in _parts(band):
                self._plane.add(luminance(part))

    def end_plane(self) -> None:
        """Take what was added for a whole plane."""
        import numpy as np

        if self._plane is None:
            return
        with np.errstate(all="ignore"):
            values = self._plane.finish()
            self._plane = None
            if self._scene.z == 1:
                self._best = values
                return
            measure = sharpness(values)
            # fmax passes over NaN.
            greatest = self._greatest
            self._greatest = values.copy() if greatest is None else np.fmax(greatest, values, out=greatest)
            if measure > self._measure:
                self._best, self._sharpest, self._measure = values, self._z, measure
        self._z += 1

    def views(self) -> Iterator[View]:
        """Yield the plane, or the sharpest plane and the maximum projection."""
        import numpy as np

        scene = self._scene
        found: Sequence[tuple[NDArray[Any] | None, int | None, str]] = (
            (self._best, self._sharpest, ""),
            (self._greatest, None, "max"),
        )
        for values, z, projection in found:
            if values is not None:
                with np.errstate(all="ignore"):
                    pixels = render(values)
                yield View(
                    scene=scene.index,
                    channel=self._channel if scene.samples == 1 or scene.c > 1 else None,
                    z=z,
                    t=self._time,
                    projection=projection,
                    reduction=self._factor,
                    size=(scene.x, scene.y),
                    pixels=pixels,
                )


def factor_of(scene: Scene) -> int:
    """Return how many pixels of a scene one pixel of its views averages, along each axis."""
    return max(1, -(-max(scene.y, scene.x) // LONGEST_EDGE))


def spread(count: int, most: int) -> tuple[int, ...]:
    """Choose at most ``most`` of ``count`` indices, evenly, with the first and the last among them."""
    if count <= most:
        return tuple(range(count))
    return (0,) if most == 1 else tuple(step * (count - 1) // (most - 1) for step in range(most))


def render(values: NDArray[Any]) -> NDArray[Any]:
    """Stretch a picture to 8-bit grey: its 0.35 and 99.65 percentiles become black and white, linearly.

    Parameters
    ----------
    values : ndarray
        (Y, X) of real numbers; NaN and infinities become black and do not count.

    Returns
    -------
    ndarray of uint8
        (Y, X); all 0 where all values are equal.
    """
    import numpy as np

    if values.size and values.dtype.name in SMALL_INTEGERS:
        return _render_by_table(values)
    black, white = _ends(values)
    # Halves, so that the distance between the ends of float64 is finite, too.
    black, white = black / 2, white / 2
    grey = np.zeros(values.shape, np.uint8)
    for first in range(0, values.shape[0], _RENDERED_ROWS):
        part = values[first : first + _RENDERED_ROWS].astype(np.float64) / 2
        part[~np.isfinite(part)] = black
        grey[first : first + _RENDERED_ROWS] = _grey(part, black, white)
    return grey


def luminance(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return one value a pixel: Rec. 601 of red, green and blue.

    Of two samples the first is taken (the second is alpha), of four the first three (the fourth is alpha), of five or
    more the mean of all.

    Parameters
    ----------
    pixels : ndarray
        (Y, X) or (Y, X, S).
    """
    import numpy as np

    if pixels.ndim == 2 or pixels.shape[2] <= 2:
        return pixels if pixels.ndim == 2 else pixels[..., 0]
    if pixels.dtype.kind == "b":
        pixels = pixels.astype(np.uint8)
    if pixels.dtype.name in SMALL_INTEGERS:
        if pixels.shape[2] > 4:
            mean = pixels.sum(axis=2, dtype=np.int64) // pixels.shape[2]
            return np.asarray(mean.astype(pixels.dtype))
        wide = pixels[..., :3].astype(np.int32)
        weighted = 299 * wide[..., 0] + 587 * wide[..., 1] + 114 * wide[..., 2]
        return np.asarray(((weighted + 500) // 1000).astype(pixels.dtype))
    real = pixels.astype(np.float64)
    if pixels.shape[2] > 4:
        total = real[..., 0]
        for sample in range(1, pixels.shape[2]):
            total = total + real[..., sample]
        return np.asarray(total / pixels.shape[2])
    return np.asarray(0.299 * real[..., 0] + 0.587 * real[..., 1] + 0.114 * real[..., 2])


def sharpness(values: NDArray[Any]) -> float:
    """Return Brenner's measure: the sum of squared differences of pixels two columns apart, of every fourth row.

    Differences with NaN or an infinity count nothing.
    """
    import numpy as np

    rows = values[::_FOCUS_ROWS].astype(np.float64)
    if rows.shape[1] < 3:
        return 0.0
    squares = rows[:, 2:] - rows[:, :-2]
    np.multiply(squares, squares, out=squares)
    squares[~np.isfinite(squares)] = 0.0
    total = squares.ravel()
    # Halves are added to halves: a fixed order, which a library's own sum does not promise.
    while total.size > 1:
        half = (total.size + 1) // 2
        rest = total.size - half
        total[:rest] += total[half:]
        total = total[:half]
    return float(total[0])


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    """Return which values become black and white; 0 and 0 where there is no finite one."""
    import numpy as np

    real = values[np.isfinite(values)]
    if not real.size:
        return 0.0, 0.0
    least, greatest = float(real.min()), float(real.max())
    low, high = _ranks(real.size)
    real.partition((low, high))
    black, white = float(real[low]), float(real[high])
    return (least, greatest) if black == white else (black, white)


def _parts(band: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Cut a band, so that what is computed from it stays small."""
    rows = max(1, PIECE_BYTES // max(1, band[:1].nbytes))
    for first in range(0, band.shape[0], rows):
        yield band[first : first + rows]


def _render_by_table(values: NDArray[Any]) -> NDArray[Any]:
    """Do what ``render`` says for integers of at most 16 bits: by counting, and a table of all values."""
    import numpy as np

    least = int(values.min())
    counts = np.zeros(int(values.max()) - least + 1, np.int64)
    for first in range(0, values.shape[0], _RENDERED_ROWS):
        some = values[first : first + _RENDERED_ROWS].astype(np.int32) - least
        counts += np.bincount(some.ravel(), minlength=counts.size)
    low, high = _ranks(values.size)
    below = np.cumsum(counts)
    black, white = (int(np.searchsorted(below, rank, side="right")) for rank in (low, high))
    if black == white:
        black, white = 0, counts.size - 1
    table = _grey(np.arange(counts.size, dtype=np.float64), float(black), float(white))
    grey = np.empty(values.shape, np.uint8)
    for first in range(0, values.shape[0], _RENDERED_ROWS):
        grey[first : first + _RENDERED_ROWS] = table[values[first : first + _RENDERED_ROWS].astype(np.int32) - least]
    return grey


def _grey(values: NDArray[Any], black: float, white: float) -> NDArray[Any]:
    import numpy as np

    if white <= black:
        return np.zeros(values.shape, np.uint8)
    scaled = (np.clip(values, black, white) - black) / (white - black)
    return np.asarray(np.floor(scaled * 255.0 + 0.5).astype(np.uint8))


def _ranks(count: int) -> tuple[int, int]:
    """Return which values, counted from the least, become black and white."""
    low = 35 * (count - 1) // 10_000
    return low, count - 1 - low
