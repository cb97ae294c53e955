"""Any image file as scenes and planes, read lazily: one interface, whatever the format.

Every scene has the axes T, C, Z, Y, X and S (samples, such as red, green and
blue), in this order, whether the file has them or not; a missing axis has the
size 1. Pyramid levels, labels, thumbnails and overviews are not scenes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A plane of more pixels than this is read in bands only.
MAX_PLANE_PIXELS = 256 << 20
#: About how many bytes a band of rows holds, unless one row of tiles is more.
BAND_BYTES = 16 << 20
MAX_SCENES = 10_000
MAX_PLANES = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One image of a file: a stack of planes that belong together.

    Attributes
    ----------
    index : int
        Place in the file, from 0.
    name : str
        As the file says; may be empty, and need not be unique.
    t, c, z, y, x : int
        Sizes of the axes: time points, channels, focal planes, rows, columns.
    samples : int
        Values a pixel: 1 for grey, 3 for RGB, 4 with alpha.
    dtype : str
        NumPy's name without byte order, such as ``"uint16"``.
    pixel_size_um : tuple
        Along Z, Y and X, in µm; ``None`` where the file does not say.
    channel_names : tuple[str, ...]
        One for each channel; empty strings where the file does not say.
    stored_axes : str
        The axes as the file has them, such as ``"CZYX"``; for people.
    """

    index: int
    name: str = ""
    t: int = 1
    c: int = 1
    z: int = 1
    y: int
    x: int
    samples: int = 1
    dtype: str
    pixel_size_um: tuple[float | None, float | None, float | None] = (None, None, None)
    channel_names: tuple[str, ...] = ()
    stored_axes: str = ""

    @property
    def planes(self) -> int:
        """How many planes there are."""
        return self.t * self.c * self.z

    @property
    def plane_bytes(self) -> int:
        """Size of one plane, unpacked."""
        import numpy as np

        return self.y * self.x * self.samples * np.dtype(self.dtype).itemsize

    def walk(self) -> Iterator[PlaneIndex]:
        """Go through the planes as IMAGEWALK does: Z outermost, then C, then T."""
        for z in range(self.z):
            for c in range(self.c):
                for t in range(self.t):
                    yield PlaneIndex(z, c, t)


@dataclass(frozen=True, slots=True, order=True)
class PlaneIndex:
    """Which plane of a scene, each from 0."""

    z: int = 0
    c: int = 0
    t: int = 0

    def words(self) -> str:
        """Say it for people: ``z=3, c=0, t=11``."""
        return f"z={self.z}, c={self.c}, t={self.t}"


class Backend(Protocol):
    """What a format has to give; lives in ``image.backends``, one module each."""

    scenes: tuple[Scene, ...]
    notes: tuple[str, ...]

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a plane from top to bottom, full width: (rows, X) or (rows, X, S) each, in any byte order."""

    def close(self) -> None:
        """Let go of the file."""


@dataclass(slots=True)
class Image:
    """An open image; use it in a ``with`` statement.

    Attributes
    ----------
    path : Path
    format : str
        For people, as in ``"OME-TIFF"``.
    scenes : tuple[Scene, ...]
        At least one.
    notes : tuple[str, ...]
        What was left out and why, a sentence each.
    """

    path: Path
    format: str
    _backend: Backend = field(repr=False)

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The scenes, in the file's order."""
        return self._backend.scenes

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and why."""
        return self._backend.notes

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield one plane in bands of rows, top to bottom, so that memory stays bounded at any size.

        Yields
        ------
        ndarray
            (rows, X) where there is one sample, else (rows, X, S); the scene's type, any byte order.

        Raises
        ------
        PixelsError
            The plane is missing or damaged; the message names it.
        """
        raise NotImplementedError

    def plane(self, scene: Scene, plane: PlaneIndex) -> NDArray[Any]:
        """Return one whole plane.

        Returns
        -------
        ndarray
            (Y, X), or (Y, X, S) where there are several samples; native byte order.

        Raises
        ------
        LimitError
            More than ``MAX_PLANE_PIXELS``; read it in bands.
        PixelsError
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        self._backend.close()

    def __enter__(self) -> Image:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_image(path: Path) -> Image:
    """Open an image of any format that is known.

    Raises
    ------
    InputNotFoundError, UnreadableError
    PixelsError
        Not an image, or one without a readable scene.
    MissingExtraError
        The format needs an extra; the hint is the install line.
    LimitError
    """
    raise NotImplementedError
