"""PNG, JPEG and other pictures of one plane, as stored: no rotation by EXIF, no colour management."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import LimitError, MissingExtraError, PixelsError
from rawtrace.image.quiet import quietly
from rawtrace.image.reader import MAX_PLANE_PIXELS, PlaneIndex, Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLOURS = {
    "P": "RGB",
    "PA": "RGBA",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
    "RGBX": "RGB",
    "La": "LA",
    "RGBa": "RGBA",
}
_TYPES = {
    "1": ("bool", 1), "L": ("uint8", 1), "LA": ("uint8", 2), "RGB": ("uint8", 3), "RGBA": ("uint8", 4),
    "CMYK": ("uint8", 4), "I;16": ("uint16", 1), "I;16B": ("uint16", 1), "I;16L": ("uint16", 1), "I": ("int32", 1),
    "F": ("float32", 1),
}  # fmt: skip
_RGB, _GREY_ALPHA, _RGBA = 2, 4, 6


class RasterBackend:
    """An open picture; its pixels are unpacked when they are first asked for.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        notes = []
        with quietly(), _opened(path) as image:
            width, height = image.size
            self.format = image.format or "picture"
            if width < 1 or height < 1:
                msg = "the picture has no pixels"
                raise PixelsError(msg)
            if width * height > MAX_PLANE_PIXELS:
                msg = f"a picture of {width} by {height} pixels is more than is unpacked at once"
                raise LimitError(msg)
            self._mode = _mode(image)
            self._deep = _deep_samples(path) if self.format == "PNG" else 0
            if getattr(image, "n_frames", 1) > 1:
                notes.append("the picture is animated: only its first frame is read")
        if self._mode not in _TYPES:
            msg = f"pictures of the kind {self._mode} are not read"
            raise PixelsError(msg)
        dtype, samples = ("uint16", self._deep) if self._deep else _TYPES[self._mode]
        self.scenes = (
            Scene(
                index=0, y=height, x=width, dtype=dtype, samples=samples, channel_names=("",),
                stored_axes="YX" if samples == 1 else "YXS",
            ),
        )  # fmt: skip
        self.notes = tuple(notes)

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield the picture in one piece."""
        yield self._sixteen() if self._deep else self._read(0)

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return a JPEG unpacked at a fraction of its size."""
        if self.format != "JPEG" or max(scene.x, scene.y) < 2 * longest_edge_px:
            return None
        return self._read(longest_edge_px)

    def close(self) -> None:
        """Nothing is held open."""

    def _read(self, edge: int) -> NDArray[Any]:
        import numpy as np
        from PIL import Image

        with quietly(), Image.open(self._path) as image:
            if edge:
                image.draft(None, (edge, edge))
            shown = image.convert(self._mode) if image.mode != self._mode else image
            return np.array(shown)

    def _sixteen(self) -> NDArray[Any]:
        try:
            import imagecodecs
        except ImportError as error:
            msg = "PNG pictures of 16 bits a sample and several samples need a package that is not installed"
            raise MissingExtraError(msg, hint='pip install "rawtrace[formats]"') from error
        pixels: NDArray[Any] = imagecodecs.png_decode(self._path.read_bytes())
        return pixels


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a picture; what Pillow refuses for its size is a limit and not damage."""
    from PIL import Image

    try:
        opened = Image.open(path)
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        msg = f"a picture of more than {most} Mpx is more than is unpacked at once"
        raise LimitError(msg, hint="save it as a tiled TIFF or as OME-Zarr") from error
    except ValueError as error:
        if "too large" not in str(error):
            raise
        msg = "a text or colour profile in it unpacks to more than is accepted"
        raise LimitError(msg, hint="save it without the text or profile") from error
    with opened:
        yield opened


def _mode(image: Any) -> str:
    mode = str(image.mode)
    if mode == "P" and "transparency" in image.info:
        return "RGBA"
    return _COLOURS.get(mode, mode)


def _deep_samples(path: Path) -> int:
    """Return how many 16-bit samples a pixel of a PNG has, where Pillow would cut them to 8 bits; else 0."""
    with path.open("rb") as stream:
        head = stream.read(26)
    if len(head) < 26 or head[24] != 16:
        return 0
    return {_RGB: 3, _GREY_ALPHA: 2, _RGBA: 4}.get(head[25], 0)
