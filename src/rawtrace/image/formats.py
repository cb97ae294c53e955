"""What kind of file this is: by its first bytes, then by its name.

Zarr has no registered media type. ``application/vnd.zarr`` is what its own
community proposes: in ``application/vnd+zarr``, which is seen too, the ``+``
would make ``zarr`` a structure suffix, which it is not.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rawtrace.errors import UnreadableError, from_os_error

OCTETS = "application/octet-stream"
TIFF = "image/tiff"
PNG = "image/png"
JPEG = "image/jpeg"
DICOM = "application/dicom"
ZARR = "application/vnd.zarr"
HEAD_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Format:
    """A media type and a name for people."""

    media_type: str
    name: str


# (offset, bytes, format); the first that fits wins.
_MAGIC: tuple[tuple[int, bytes, Format], ...] = (
    # A DICOM file may bear a TIFF header in front, so it is asked for first.
    (128, b"DICM", Format(DICOM, "DICOM")),
    (0, b"\x89PNG\r\n\x1a\n", Format(PNG, "PNG")),
    (0, b"\xff\xd8\xff", Format(JPEG, "JPEG")),
    (0, b"II*\x00", Format(TIFF, "TIFF")),
    (0, b"MM\x00*", Format(TIFF, "TIFF")),
    (0, b"II+\x00", Format(TIFF, "BigTIFF")),
    (0, b"MM\x00+", Format(TIFF, "BigTIFF")),
    (0, b"\x89HDF\r\n\x1a\n", Format("application/vnd.hdfgroup.hdf5", "HDF5")),
    (0, b"ZISRAWFILE", Format(OCTETS, "CZI")),
    (0, b"\xda\xce\xbe\x0a", Format(OCTETS, "ND2")),
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", Format("image/jp2", "JPEG 2000")),
    (0, b"GIF8", Format("image/gif", "GIF")),
    (0, b"BM", Format("image/bmp", "BMP")),
    (0, b"SIMPLE  =", Format("application/fits", "FITS")),
    (0, b"FCS", Format("application/vnd.isac.fcs", "FCS")),
    (0, b"%PDF-", Format("application/pdf", "PDF")),
    (0, b"PK\x03\x04", Format("application/zip", "ZIP")),
    (0, b"\x1f\x8b", Format("application/gzip", "gzip")),
    (0, b"\x28\xb5\x2f\xfd", Format("application/zstd", "zstd")),
)
# The names that a first few bytes alone do not settle.
_NEEDS_NAME: Mapping[str, frozenset[str]] = {
    "BMP": frozenset({".bmp", ".dib"}),
    "FCS": frozenset({".fcs", ".lmd"}),
}
_TEXT: Mapping[str, Format] = {
    ".csv": Format("text/csv", "CSV"),
    ".tsv": Format("text/tab-separated-values", "TSV"),
    ".txt": Format("text/plain", "text"),
    ".log": Format("text/plain", "text"),
    ".md": Format("text/markdown", "Markdown"),
    ".json": Format("application/json", "JSON"),
    ".xml": Format("application/xml", "XML"),
    ".ome": Format("application/xml", "OME-XML"),
    ".mzml": Format("application/xml", "mzML"),
    ".sha256": Format("text/plain", "checksum list"),
    ".svg": Format("image/svg+xml", "SVG"),
}
_NAMED: Mapping[str, Format] = {
    ".dcm": Format(DICOM, "DICOM"),
    ".lif": Format(OCTETS, "LIF"),
    ".oib": Format(OCTETS, "OIB"),
    ".oir": Format(OCTETS, "OIR"),
    ".dm3": Format(OCTETS, "DM3"),
    ".dm4": Format(OCTETS, "DM4"),
    ".mrc": Format(OCTETS, "MRC"),
    ".raw": Format(OCTETS, "raw data"),
}
_UNKNOWN = Format(OCTETS, "unknown")
_FOLDER = Format(OCTETS, "folder")
_ZARR_MARKERS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")


def detect(path: Path) -> Format:
    """Tell the format of a file or folder.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputNotFoundError, UnreadableError
    """
    try:
        if path.is_dir():
            return Format(ZARR, "Zarr") if any((path / name).is_file() for name in _ZARR_MARKERS) else _FOLDER
        if not stat.S_ISREG(path.stat().st_mode):
            # A pipe would make us wait for whoever writes into it.
            msg = f"{path} is not a regular file"
            raise UnreadableError(msg, hint="name a file or a folder")
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    return _of_bytes(head, path)


def _of_bytes(head: bytes, path: Path) -> Format:
    suffix = path.suffix.lower()
    for offset, magic, found in _MAGIC:
        if head[offset : offset + len(magic)] == magic and suffix in _NEEDS_NAME.get(found.name, {suffix}):
            return found
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Format("image/webp", "WebP")
    if suffix in _TEXT and _is_text(head):
        return _TEXT[suffix]
    return _NAMED.get(suffix, _UNKNOWN)


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        # The last character may be cut in two by the end of the head.
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) == HEAD_BYTES and error.start > HEAD_BYTES - 4
    return True
