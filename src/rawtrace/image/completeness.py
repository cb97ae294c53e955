"""Has the writer finished? What a format promises, against what is there.

Three answers: ``True`` (all that was promised is there), ``False`` (some is
not), ``None`` (the format does not say: only quiet time can tell). The choices:

- **OME-TIFF** promises planes. A directory chain that is broken, or that is
  shorter than the promise, is ``False``; so are bytes of a whole plane at the
  end that no directory speaks of yet, which is how streaming writers look while
  they run and do not know how long (``sparse`` then: they may be a vendor's own).
- **ImageJ TIFF** promises images, in one directory or in many.
- **Plain TIFF** promises nothing beyond what its chain shows: a broken chain is
  ``False``, a sound one ``None``.
- **OME-Zarr** promises a shape. Chunks that hold only the fill value need not
  be written, so missing chunks prove nothing for certain; but every order of
  nested loops ends with the *last* chunk of the grid. While that is missing the
  answer is ``False``, for a time-lapse may pause for half an hour between
  frames; with it there and others not, ``None``. Both set ``sparse``: the
  missing part may legally stay away for ever, so after a long quiet time the
  folder may be taken as it is. A writer that keeps a list of its frames
  (ome-writers) and has not filled it yet has not closed: ``None``.
- **PNG, JPEG, DICOM** end with a mark or state the length of their pixels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from rawtrace.errors import Error, MalformedError
from rawtrace.image import formats, rasterchunks

_BLOCK = 1 << 20
_TAIL = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """What a format promises against what is there.

    Attributes
    ----------
    finished : bool or None
        ``None``: the format does not say.
    expected, present : int or None
        Planes or chunks; ``None`` where they are not counted.
    reason : str
        In words.
    sparse : bool
        Whether what is missing may legally be missing in a finished file.
    """

    finished: bool | None
    expected: int | None = None
    present: int | None = None
    reason: str
    sparse: bool = False


def completeness(path: Path) -> Completeness:
    """Tell whether a file or folder holds all that its own format promises.

    Parameters
    ----------
    path : Path
        May be written to by somebody at this very moment.

    Returns
    -------
    Completeness

    Raises
    ------
    InputNotFoundError, UnreadableError
        Of the path itself; content never raises.
    """
    from rawtrace.image import completeness_tiff, completeness_zarr

    kind = formats.detect(path).media_type
    checks = {
        formats.TIFF: completeness_tiff.check,
        formats.ZARR: completeness_zarr.check,
        formats.PNG: _png,
        formats.JPEG: _jpeg,
        formats.DICOM: _dicom,
    }
    if kind not in checks:
        return Completeness(finished=None, reason="the format does not say when it is complete")
    try:
        return checks[kind](path)
    except MalformedError as error:
        # For the people at the microscope; the detail is for whoever looks into a file that stays like this.
        return Completeness(finished=False, reason=f"it is written in part only, or damaged ({error.message})")
    except Error as error:
        return Completeness(finished=None, reason=error.message)
    except Exception as error:  # noqa: BLE001  half-written content may break any parser
        return Completeness(finished=None, reason=f"the file could not be examined ({type(error).__name__})")


def _png(path: Path) -> Completeness:
    size = path.stat().st_size
    with path.open("rb") as stream:
        pixels = sum(part.size for part in rasterchunks.png_chunks(stream, size) if part.name == "IDAT")
    if not pixels:
        return Completeness(finished=False, reason="the PNG has no pixels yet")
    return Completeness(finished=True, reason="the PNG is written to its end")


def _jpeg(path: Path) -> Completeness:
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = 0
        for part in rasterchunks.jpeg_segments(stream, size):
            start = part.offset + part.size
        # A thumbnail in the EXIF block has an end mark of its own, so the search begins after the header.
        stream.seek(start)
        last = b""
        while block := stream.read(_BLOCK):
            if b"\xff\xd9" in last + block:
                return Completeness(finished=True, reason="the JPEG is written to its end")
            last = block[-1:]
    return Completeness(finished=False, reason="the end of the JPEG is not written yet")


def _dicom(path: Path) -> Completeness:
    from rawtrace.image.readers.dicom import pixel_element

    size = path.stat().st_size
    with path.open("rb") as stream:
        found = pixel_element(path, stream)
        if found is None:
            return Completeness(finished=None, reason="the DICOM file has no pixels to count")
        offset, length = found
        if length is None:
            stream.seek(max(offset, size - _TAIL))
            ended = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) in stream.read()
            said = (
                "the DICOM pixel sequence has its end mark" if ended else "the DICOM pixel sequence has no end mark yet"
            )
            return Completeness(finished=ended, reason=said)
    if offset + length > size:
        return Completeness(finished=False, reason=f"{length} bytes of pixels are promised, {size - offset} are there")
    return Completeness(finished=True, reason="the DICOM pixels are as long as their header says")
