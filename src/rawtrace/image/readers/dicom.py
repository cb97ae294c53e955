"""DICOM: an allow-list of technical attributes; no other attribute even enters memory.

pydicom is told which attributes to keep while it reads, so a patient's name is
passed over on disk and is in no object that could be logged by mistake.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rawtrace.errors import MalformedError
from rawtrace.image import formats, units
from rawtrace.image.collect import MAX_METADATA_BYTES, Collector
from rawtrace.image.quiet import quietly

_DEFLATED = "1.2.840.10008.1.2.1.99"
# Pixel data, float pixel data, double float pixel data.
_PIXELS = {(0x7FE0, 0x0010), (0x7FE0, 0x0008), (0x7FE0, 0x0009)}

#: keyword: (name, factor into the name's unit)
TECHNICAL: dict[str, tuple[str, float]] = {
    "Manufacturer": ("instrument.manufacturer", 1),
    "ManufacturerModelName": ("instrument.model", 1),
    "DeviceSerialNumber": ("instrument.serial", 1),
    "Modality": ("instrument.modality", 1),
    "SoftwareVersions": ("acquisition.software_version", 1),
    "Rows": ("pixels.size_y", 1),
    "Columns": ("pixels.size_x", 1),
    "NumberOfFrames": ("pixels.size_t", 1),
    "SamplesPerPixel": ("pixels.samples", 1),
    "BitsStored": ("pixels.significant_bits", 1),
    "PhotometricInterpretation": ("pixels.colour", 1),
    "SliceThickness": ("exposure.slice_thickness_um", 1000),
    "SpacingBetweenSlices": ("pixels.physical_size_z_um", 1000),
    "ExposureTime": ("exposure.time_s", 0.001),
    "KVP": ("exposure.tube_voltage_kv", 1),
    "XRayTubeCurrent": ("exposure.tube_current_ma", 1),
    "MagneticFieldStrength": ("exposure.field_strength_t", 1),
    "RepetitionTime": ("exposure.repetition_time_ms", 1),
    "EchoTime": ("exposure.echo_time_ms", 1),
    "FlipAngle": ("exposure.flip_angle_deg", 1),
}
_OTHERS = (
    "BitsAllocated",
    "PixelRepresentation",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "TimezoneOffsetFromUTC",
)
PERSONAL = {
    "OperatorsName": "personal.operator",
    "InstitutionName": "personal.institution",
    "StationName": "personal.computer",
    "ImageComments": "personal.comment",
    "SeriesDescription": "personal.description",
    "ProtocolName": "personal.protocol",
    "PatientID": "personal.patient_id",
    "StudyInstanceUID": "personal.study_uid",
}


class DicomReader:
    """Reads the technical part of a DICOM header."""

    media_types = frozenset({formats.DICOM})

    def read(self, path: Path, found: Collector) -> None:
        """Hand the allow-listed attributes to the collector."""
        with quietly(), path.open("rb") as stream:
            header = read_header(path, stream, [*TECHNICAL, *_OTHERS, *(PERSONAL if found.personal else ())], found)
            if header is not None:
                _add(found, header)


def read_header(path: Path, stream: BinaryIO, keywords: list[str], found: Collector | None = None) -> Any | None:
    """Return a data set with the named attributes only; ``None``, with a note, for a deflated file.

    Called inside ``quietly``. The stream is left where the pixels begin.
    """
    from pydicom import dcmread
    from pydicom.filereader import read_file_meta_info

    # pydicom unfolds deflated files in one go, whatever size that gives.
    if str(read_file_meta_info(path).get("TransferSyntaxUID", "")) == _DEFLATED:
        if found is not None:
            found.note("the DICOM header is deflated and was not read")
        return None
    stream.seek(0)
    return dcmread(stream, stop_before_pixels=True, specific_tags=keywords, defer_size=MAX_METADATA_BYTES)


def pixel_element(path: Path, stream: BinaryIO) -> tuple[int, int | None] | None:
    """Return where the pixels begin and how long their header says they are.

    Parameters
    ----------
    path : Path
    stream : BinaryIO
        The open file.

    Returns
    -------
    tuple[int, int or None] or None
        Offset and length in bytes, length ``None`` for an encapsulated sequence;
        ``None`` for a file that is no image.

    Raises
    ------
    MalformedError
        The header promises an image, and the file ends before its pixels.
    """
    with quietly():
        header = read_header(path, stream, ["Rows"])
    if header is None:
        return None
    offset = stream.tell()
    order = "<" if header.original_encoding[1] else ">"
    stream.seek(offset)
    head = stream.read(12)
    if len(head) < 12 or struct.unpack(f"{order}HH", head[:4]) not in _PIXELS:
        if "Rows" in header:
            msg = "the DICOM file ends before its pixels"
            raise MalformedError(msg)
        return None
    # Some files are not in the encoding that their meta group claims, so the element itself is asked.
    start, place = (offset + 12, 8) if head[4:6].isalpha() else (offset + 8, 4)
    (length,) = struct.unpack(f"{order}I", head[place : place + 4])
    return start, (None if length == 0xFFFFFFFF else length)


def _add(found: Collector, header: Any) -> None:
    for keyword, (name, factor) in TECHNICAL.items():
        value = _plain(header, keyword)
        if isinstance(value, (int, float)) and factor != 1:
            value = float(f"{value * factor:.12g}")
        found.add(name, value, f"DICOM {keyword}")
    _add_pixels(found, header)
    _add_time(found, header)
    if found.personal:
        for keyword, name in PERSONAL.items():
            found.add(name, _text(header, keyword), f"DICOM {keyword}")


def _add_pixels(found: Collector, header: Any) -> None:
    bits, signed = _plain(header, "BitsAllocated"), _plain(header, "PixelRepresentation")
    if isinstance(bits, int):
        found.add("pixels.type", f"{'int' if signed == 1 else 'uint'}{bits}", "DICOM BitsAllocated")
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = header.get(keyword)
        if spacing is not None and not isinstance(spacing, str) and len(spacing) == 2:
            # Distance of rows first, which is the height of a pixel.
            for axis, millimetres in zip("yx", spacing, strict=True):
                found.add(
                    f"pixels.physical_size_{axis}_um", float(f"{float(millimetres) * 1000:.12g}"), f"DICOM {keyword}"
                )
    syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is not None and hasattr(syntax, "is_compressed"):
        name = str(syntax.name) if syntax.is_compressed and not syntax.is_private else "none"
        found.add("pixels.compression", name, "DICOM TransferSyntaxUID")


def _add_time(found: Collector, header: Any) -> None:
    offset = _text(header, "TimezoneOffsetFromUTC")
    joined = _text(header, "AcquisitionDateTime")
    clock, sign, zone = joined[8:].partition("+" if "+" in joined else "-")
    moment = units.dicom_time(joined[:8], clock, offset=f"{sign}{zone}" if sign else offset)
    found.add("acquisition.time", moment, "DICOM AcquisitionDateTime")
    for kind in ("Acquisition", "Content"):
        moment = units.dicom_time(_text(header, f"{kind}Date"), _text(header, f"{kind}Time"), offset=offset)
        found.add("acquisition.time", moment, f"DICOM {kind}Date and {kind}Time")


def _plain(header: Any, keyword: str) -> str | int | float | None:
    """Return an attribute as text or number; several values joined."""
    value = header.get(keyword)
    if value is None or isinstance(value, str):
        return None if value is None else str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, Sequence):
        return ", ".join(str(each) for each in list(value)[:16])
    return str(value)


def _text(header: Any, keyword: str) -> str:
    value = _plain(header, keyword)
    return "" if value is None else str(value)
