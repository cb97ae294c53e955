"""Metadata harvest: what a file says of itself, each value with its place in the file.

Readers stand in an ordered registry; the first that knows the media type reads. An
allow-list decides what is taken (``image/vocabulary.py``), and nothing
personal is taken unasked. Odd content ends in a note, never in an exception.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rawtrace.image import formats
from rawtrace.image.collect import Collector, Harvest, Value, guarded

__all__ = ["Harvest", "MetadataReader", "Value", "harvest", "media_type", "readers"]


class MetadataReader(Protocol):
    """Reads the metadata of one family of formats."""

    @property
    def media_types(self) -> frozenset[str]:
        """Media types that it reads."""

    def read(self, path: Path, found: Collector) -> None:
        """Hand everything on the allow-list to the collector, richest source first.

        Parameters
        ----------
        path : Path
        found : Collector
            Its ``format`` may be set to a more precise name.
        """


def harvest(path: str | Path, *, personal: bool = False) -> Harvest:
    """Read what a file or folder says of itself.

    At most 64 MiB of metadata are read, 5 000 values kept, strings cut at 4 kB;
    no pixel is decoded, nothing outside the file or folder is opened.

    Parameters
    ----------
    path : str or Path
    personal : bool
        Whether to take the vocabulary's personal part too.

    Returns
    -------
    Harvest
        Empty, with notes, for what cannot be read.

    Raises
    ------
    InputNotFoundError, UnreadableError
        Of the path itself; content never raises.
    """
    path = Path(path)
    detected = formats.detect(path)
    found = Collector(personal=personal)
    reader = next((each for each in readers() if detected.media_type in each.media_types), None)
    if reader is not None:
        guarded(found, f"the {detected.name} metadata", lambda: reader.read(path, found))
    return found.harvest(detected.media_type, detected.name)


def media_type(path: Path) -> str:
    """Return the media type of a file or folder, by content first and then by name.

    Raises
    ------
    InputNotFoundError, UnreadableError
    """
    return formats.detect(path).media_type


def readers() -> tuple[MetadataReader, ...]:
    """Return the registered readers in the order in which they are asked."""
    from rawtrace.image.readers.dicom import DicomReader
    from rawtrace.image.readers.raster import JpegReader, PngReader
    from rawtrace.image.readers.tiff import TiffReader
    from rawtrace.image.readers.zarr import ZarrReader

    return (TiffReader(), ZarrReader(), PngReader(), JpegReader(), DicomReader())
