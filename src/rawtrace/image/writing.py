"""Writing pictures: OME-TIFF for data, PNG and JPEG for what people look at. Whole or not at all, never over a file."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace import durable

if TYPE_CHECKING:
    from numpy.typing import NDArray


def png(pixels: NDArray[Any]) -> bytes:
    """Return a PNG.

    Parameters
    ----------
    pixels : ndarray
        (Y, X) of uint8 or uint16, or (Y, X, 3) of uint8.
    """
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=6)
    return stream.getvalue()


def jpeg(pixels: NDArray[Any], *, quality: int) -> bytes:
    """Return a JPEG.

    Parameters
    ----------
    pixels : ndarray of uint8
        (Y, X) or (Y, X, 3).
    quality : int
        As everybody's libraries count it, 1 to 95.
    """
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def ome_tiff(
    path: Path, pixels: NDArray[Any], *, axes: str, channels: Sequence[str] = (), pixel_size_um: float | None = None
) -> None:
    """Write an OME-TIFF.

    Parameters
    ----------
    path : Path
        A new file, ending in ``.ome.tiff`` or ``.ome.tif``.
    pixels : ndarray
    axes : str
        Of ``pixels``, slowest first, such as ``"CZYX"``.
    channels : Sequence of str
        Names, one for each channel.
    pixel_size_um : float, optional
        Along X and Y.

    Raises
    ------
    AlreadyExistsError, UnwritableError, DiskFullError
    """
    import tifffile

    metadata: dict[str, Any] = {"axes": axes}
    if channels:
        metadata["Channel"] = {"Name": list(channels)}
    if pixel_size_um is not None:
        for axis in "XY":
            metadata |= {f"PhysicalSize{axis}": pixel_size_um, f"PhysicalSize{axis}Unit": "µm"}
    stream = BytesIO()
    tifffile.imwrite(stream, pixels, ome=True, photometric="minisblack", metadata=metadata)
    durable.write_new(path, stream.getvalue())
