"""Any image file as scenes and planes, read lazily: one interface, whatever the format.

Every scene has the axes T, C, Z, Y, X and S (samples, such as red, green and
blue), in this order, whether the file has them or not; a missing axis has the
size 1. Pyramid levels, labels, thumbnails and overviews are not scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from rawtrace.errors import (
    Error,
    InputNotFoundError,
    LimitError,
    MissingExtraError,
    PixelsError,
    UnreadableError,
    from_os_error,
)
from rawtrace.image import formats

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A plane of more pixels than this is read in bands only.
MAX_PLANE_PIXELS = 256 << 20
#: About how many bytes a band of rows holds, unless one row of tiles is more: what a processor's cache holds too.
BAND_BYTES = 2 << 20
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
    white_is_zero : bool
        Whether the file says that small values are bright; values are handed out as stored all the same.
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
    white_is_zero: bool = False
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
    """What a format has to give; lives in ``image.backends``, one module each.

    Attributes
    ----------
    format : str
        For people, as in ``"OME-TIFF"``.
    """

    format: str

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """The scenes; none is what the caller turns into an error."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and why."""

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a plane from top to bottom, full width: (rows, X) or (rows, X, S) each, in any byte order."""

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return the plane from a coarser level that is at least so large; ``None`` where there is none."""

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
        said = f"plane {plane.words()} of scene {scene.index}"
        if not (0 <= plane.z < scene.z and 0 <= plane.c < scene.c and 0 <= plane.t < scene.t):
            msg = (
                f"{said} is not there: the scene has {scene.z} focal planes, {scene.c} channels, {scene.t} time points"
            )
            raise PixelsError(msg)
        rows = 0
        with _named(said):
            for band in self._backend.bands(scene, plane):
                _check(band, scene)
                rows += band.shape[0]
                # Pillow, and whoever wrote a chunk, may mean "true" by any byte but 0.
                yield band.view("uint8") != 0 if band.dtype == bool else band
            if rows != scene.y:
                msg = f"{rows} of {scene.y} rows are there"
                raise PixelsError(msg)

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
        import numpy as np

        if scene.y * scene.x > MAX_PLANE_PIXELS:
            msg = f"a plane of {scene.x} by {scene.y} pixels is more than is read at once"
            raise LimitError(msg, hint="read it in bands")
        dtype = np.dtype(scene.dtype)
        whole: NDArray[Any] | None = None
        row = 0
        for band in self.bands(scene, plane):
            if band.shape[0] == scene.y:
                return band.astype(dtype, copy=False)
            if whole is None:
                whole = np.empty((scene.y, *band.shape[1:]), dtype)
            whole[row : row + band.shape[0]] = band
            row += band.shape[0]
        if whole is None:
            msg = f"plane {plane.words()} of scene {scene.index} has no rows"
            raise PixelsError(msg)
        return whole

    def overview(self, scene: Scene, plane: PlaneIndex, *, longest_edge_px: int) -> NDArray[Any]:
        """Return one plane for looking at, from the coarsest pyramid level that is large enough.

        Parameters
        ----------
        longest_edge_px : int
            How long the longer edge has to be at least; the result may be larger, up to the whole plane.

        Raises
        ------
        LimitError, PixelsError
        """
        import numpy as np

        with _named(f"plane {plane.words()} of scene {scene.index}"):
            smaller = self._backend.overview(scene, plane, longest_edge_px)
        if smaller is None:
            return self.plane(scene, plane)
        return smaller.astype(np.dtype(scene.dtype), copy=False)

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
    kind = formats.detect(path)
    make = _BACKENDS.get(kind.name)
    if make is None:
        msg = f"{path.name} is not an image of a format that is read here ({kind.name})"
        raise PixelsError(msg, hint="docs/reference/image-formats.md lists the formats")
    with _named(path.name):
        backend = make(path)
    try:
        _check_scenes(backend.scenes, path)
    except BaseException:
        backend.close()
        raise
    return Image(path=path, format=backend.format, _backend=backend)


def _tiff(path: Path) -> Backend:
    from rawtrace.image.backends.tiff import TiffBackend

    return TiffBackend(path)


def _zarr(path: Path) -> Backend:
    from rawtrace.image.backends.zarr import ZarrBackend

    return ZarrBackend(path)


def _raster(path: Path) -> Backend:
    from rawtrace.image.backends.raster import RasterBackend

    return RasterBackend(path)


def _dicom(path: Path) -> Backend:
    from rawtrace.image.backends.dicom import DicomBackend

    return DicomBackend(path)


def _nd2(path: Path) -> Backend:
    from rawtrace.image.backends.nd2 import Nd2Backend

    return Nd2Backend(path)


def _lif(path: Path) -> Backend:
    from rawtrace.image.backends.lif import LifBackend

    return LifBackend(path)


def _czi(path: Path) -> Backend:
    from rawtrace.image.backends.czi import CziBackend

    return CziBackend(path)


_BACKENDS: Mapping[str, Callable[[Path], Backend]] = {
    "TIFF": _tiff, "BigTIFF": _tiff, "Zarr": _zarr, "DICOM": _dicom, "ND2": _nd2, "LIF": _lif, "CZI": _czi,
    **dict.fromkeys(("PNG", "JPEG", "BMP", "GIF", "WebP"), _raster),
}  # fmt: skip


def is_known(path: Path) -> bool:
    """Tell whether a file is of a format that ``open_image`` knows, readable or not.

    Raises
    ------
    InputNotFoundError, UnreadableError
    """
    return formats.detect(path).name in _BACKENDS


def _check_scenes(scenes: Sequence[Scene], path: Path) -> None:
    if not scenes:
        msg = f"{path.name} has no scene that could be read"
        raise PixelsError(msg)
    planes = sum(scene.planes for scene in scenes)
    if len(scenes) > MAX_SCENES or planes > MAX_PLANES:
        msg = f"{path.name} promises {len(scenes)} scenes with {planes} planes"
        raise LimitError(msg, hint=f"at most {MAX_SCENES} scenes and {MAX_PLANES} planes are read")


def _check(band: NDArray[Any], scene: Scene) -> None:
    import numpy as np

    tail = (scene.x,) if scene.samples == 1 else (scene.x, scene.samples)
    if band.shape[1:] != tail or band.dtype.newbyteorder("=") != np.dtype(scene.dtype):
        msg = "it has another size or type than the scene"
        raise PixelsError(msg)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Put a name in front of every error, and turn what other people's decoders raise into ours."""
    try:
        yield
    except PixelsError as error:
        msg = error.message if error.message.startswith(what) else f"{what} cannot be read: {error.message}"
        raise PixelsError(msg, hint=error.hint) from error
    except (InputNotFoundError, UnreadableError, LimitError, MissingExtraError) as error:
        raise type(error)(f"{what} cannot be read: {error.message}", hint=error.hint) from error
    except Error as error:
        msg = f"{what} cannot be read: {error.message}"
        raise PixelsError(msg, hint=error.hint) from error
    except MemoryError as error:
        msg = f"{what} cannot be read: it does not fit into memory"
        raise LimitError(msg) from error
    except OSError as error:
        if error.errno:
            raise from_os_error(error, f"reading {what}") from error
        # Pillow says with it that a picture is damaged.
        msg = f"{what} cannot be read: its data is damaged or cut short"
        raise PixelsError(msg) from error
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except Exception as error:
        msg = f"{what} cannot be read: its data is damaged, or of a kind that is not read ({type(error).__name__})"
        raise PixelsError(msg) from error
