"""DICOM: frames become time points, values are as stored: no window, no rescaling, MONOCHROME1 not turned over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import LimitError, MissingExtraError, PixelsError
from rawtrace.image.backends.files import check_promise
from rawtrace.image.collect import to_number
from rawtrace.image.quiet import quietly
from rawtrace.image.reader import MAX_PLANE_PIXELS, PlaneIndex, Scene
from rawtrace.image.readers.dicom import pixel_element, read_header

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEYWORDS = [
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated", "PixelRepresentation",
    "PhotometricInterpretation", "PixelSpacing", "SpacingBetweenSlices", "SOPClassUID",
]  # fmt: skip
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


class DicomBackend:
    """A DICOM file.

    Parameters
    ----------
    path : Path
    """

    format = "DICOM"

    def __init__(self, path: Path) -> None:
        self._path = path
        with quietly(), path.open("rb") as stream:
            header = read_header(path, stream, _KEYWORDS)
        if header is None:
            msg = "its header cannot be read"
            raise PixelsError(msg)
        syntax = getattr(header.file_meta, "TransferSyntaxUID", None)
        if syntax is None:
            msg = "it does not say how its pixels are stored"
            raise PixelsError(msg)
        self._syntax = str(syntax.name)[:80]
        self._packed = bool(syntax.is_compressed)

        def whole(keyword: str, default: int = 0) -> int:
            number = to_number(str(header.get(keyword, default) or default))
            return number if isinstance(number, int) else 0

        rows, columns = whole("Rows"), whole("Columns")
        samples, frames = whole("SamplesPerPixel", 1), whole("NumberOfFrames", 1)
        if min(rows, columns, frames) < 1 or samples not in {1, 3, 4}:
            msg = "it has no pixels"
            raise PixelsError(msg)
        if rows * columns > MAX_PLANE_PIXELS:
            msg = f"a frame of {columns} by {rows} pixels is more than is unpacked at once"
            raise LimitError(msg)
        self.scenes = (
            Scene(
                index=0,
                t=frames,
                y=rows,
                x=columns,
                samples=samples,
                dtype=self._dtype(whole("BitsAllocated", 8), signed=whole("PixelRepresentation") == 1),
                pixel_size_um=_spacing(header),
                channel_names=("",),
                white_is_zero=str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1",
                stored_axes=("T" if frames > 1 else "") + ("YX" if samples == 1 else "YXS"),
            ),
        )
        scene = self.scenes[0]
        check_promise(scene.plane_bytes * frames, path.stat().st_size)
        notes = []
        if str(header.get("SOPClassUID", "")) == _WHOLE_SLIDE and frames > 1:
            notes.append("the frames are tiles of a slide and were not put together")
        if str(header.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
            notes.append("values are places in a colour table, as stored")
        self.notes = tuple(notes)

    def _dtype(self, bits: int, *, signed: bool) -> str:
        with quietly(), self._path.open("rb") as stream:
            place = pixel_element(self._path, stream)
        if place is None:
            msg = "it has no pixels"
            raise PixelsError(msg)
        if bits not in {1, 8, 16, 32, 64}:
            msg = f"samples of {bits} bits are not read"
            raise PixelsError(msg)
        return "uint8" if bits == 1 else f"{'int' if signed else 'uint'}{bits}"

    def bands(self, scene: Scene, plane: PlaneIndex) -> Iterator[NDArray[Any]]:
        """Yield a frame in one piece."""
        from pydicom.pixels import pixel_array

        try:
            with quietly():
                pixels: NDArray[Any] = pixel_array(self._path, index=plane.t)
        except (RuntimeError, NotImplementedError) as error:
            if not self._packed:
                raise
            msg = f"its transfer syntax, {self._syntax}, has no decoder here that can read it"
            raise MissingExtraError(msg, hint="pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg") from error
        yield pixels

    def overview(self, scene: Scene, plane: PlaneIndex, longest_edge_px: int) -> NDArray[Any] | None:
        """Return nothing: there are no coarser levels."""
        return None

    def close(self) -> None:
        """Nothing is held open."""


def _spacing(header: Any) -> tuple[float | None, float | None, float | None]:
    """Return the distances of pixels in µm; DICOM counts in mm."""
    found = [to_number(str(each)) for each in (header.get("PixelSpacing") or ())][:2]
    y, x = (float(f"{each * 1000:.9g}") if each and each > 0 else None for each in (*found, None, None)[:2])
    z = to_number(str(header.get("SpacingBetweenSlices") or ""))
    return (float(f"{abs(z) * 1000:.9g}") if z else None), y, x
