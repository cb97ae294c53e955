"""TIFF, OME-TIFF and ImageJ TIFF: the first directory and the description it carries.

Only the first directory is read, so that a file of ten thousand pages costs as
much as a file of one.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rawtrace.image import formats, omexml, units
from rawtrace.image.collect import MAX_METADATA_BYTES, Collector, guarded, to_number
from rawtrace.image.readers import exif, ome
from rawtrace.image.tiffdirectory import Directory, TiffDirectories

WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, SAMPLES = 256, 257, 258, 259, 262, 270, 277
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, SAMPLE_FORMAT = 282, 283, 296, 339

_COMPRESSIONS = {
    1: "none", 2: "CCITT RLE", 3: "CCITT T.4", 4: "CCITT T.6", 5: "LZW", 7: "JPEG", 8: "Deflate",
    32_773: "PackBits", 32_946: "Deflate", 33_003: "JPEG 2000", 33_005: "JPEG 2000", 34_712: "JPEG 2000",
    34_887: "LERC", 50_000: "Zstandard", 50_001: "WebP", 50_002: "JPEG XL",
}  # fmt: skip
_PHOTOMETRICS = {0: "white is zero", 1: "black is zero", 2: "RGB", 3: "palette", 5: "CMYK", 6: "YCbCr", 8: "CIE L*a*b*"}
_FORMATS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex"}
# Beyond inch and centimetre, which printers use, these say the size of a pixel in the sample.
_PHYSICAL_UNITS = {4: "mm", 5: "µm"}


class TiffReader:
    """Reads the first directory of a TIFF and its OME-XML or ImageJ description."""

    media_types = frozenset({formats.TIFF})

    def read(self, path: Path, found: Collector) -> None:
        """Hand OME or ImageJ values, then plain tags to the collector."""
        size = path.stat().st_size
        with path.open("rb") as stream:
            tiff = TiffDirectories(stream, size)
            if tiff.first == 0:
                found.note("the TIFF has no directory yet: its writer has not finished")
                return
            directory = tiff.directory(tiff.first)
            guarded(found, "the image description", partial(_add_description, found, tiff, directory))
            guarded(found, "the TIFF tags", partial(_add_tags, found, tiff, directory))
            guarded(found, "the TIFF tags", partial(exif.add_main_tags, found, tiff, directory, "TIFF"))


def description(tiff: TiffDirectories, directory: Directory) -> bytes:
    """Return the bytes of the image description; empty if there is none."""
    entry = directory.entries.get(DESCRIPTION)
    return tiff.raw(entry, limit=MAX_METADATA_BYTES) if entry is not None else b""


def imagej_fields(data: bytes) -> dict[str, str]:
    """Return the ``key=value`` lines of an ImageJ description; empty if it is not one."""
    if not data.startswith(b"ImageJ="):
        return {}
    lines = data[:65_536].split(b"\x00", 1)[0].decode("latin-1").splitlines()
    pairs = (line.partition("=") for line in lines[:1_000])
    return {key.strip(): value.strip() for key, found, value in pairs if found}


def _add_description(found: Collector, tiff: TiffDirectories, directory: Directory) -> None:
    data = description(tiff, directory)
    if omexml.looks_like_ome(data):
        found.format = "OME-TIFF"
        root, forgotten = omexml.parse(data)
        if forgotten:
            found.note(f"{forgotten} plane descriptions beyond the first {omexml.MAX_PLANES} were not read")
        ome.add_ome(found, root)
        return
    fields = imagej_fields(data)
    if fields:
        found.format = "ImageJ TIFF"
        _add_imagej(found, fields, tiff, directory)


def _add_imagej(found: Collector, fields: dict[str, str], tiff: TiffDirectories, directory: Directory) -> None:
    where = "ImageJ description"
    found.add("file.software", f"ImageJ {fields['ImageJ']}", where)
    for key, name in (("channels", "size_c"), ("slices", "size_z"), ("frames", "size_t")):
        found.add(f"pixels.{name}", fields.get(key), f"{where} {key}")
    unit = fields.get("unit", "")
    for tag, axis in ((X_RESOLUTION, "x"), (Y_RESOLUTION, "y")):
        per_unit = tiff.numbers(directory.entries.get(tag), limit=1)
        if per_unit and per_unit[0] > 0:
            found.add(
                f"pixels.physical_size_{axis}_um", units.in_um(1 / per_unit[0], unit), f"TIFF tag {tag}, {where} unit"
            )
    spacing, interval = to_number(fields.get("spacing")), to_number(fields.get("finterval"))
    if spacing is not None:
        # ImageJ writes a negative spacing for stacks taken downwards.
        found.add("pixels.physical_size_z_um", units.in_um(abs(spacing), unit), f"{where} spacing")
    if interval is not None:
        in_s = units.in_s(interval, fields.get("tunit") or "s")
        found.add("pixels.time_increment_s", in_s, f"{where} finterval")


def _add_tags(found: Collector, tiff: TiffDirectories, directory: Directory) -> None:
    def first(tag: int, default: int = 0) -> int:
        numbers = tiff.numbers(directory.entries.get(tag), limit=64)
        return int(numbers[0]) if numbers else default

    found.add("pixels.size_x", first(WIDTH) or None, f"TIFF tag {WIDTH}")
    found.add("pixels.size_y", first(LENGTH) or None, f"TIFF tag {LENGTH}")
    found.add("pixels.samples", first(SAMPLES, 1), f"TIFF tag {SAMPLES}")
    kind, bits = _FORMATS.get(first(SAMPLE_FORMAT, 1), "undefined"), first(BITS, 1)
    found.add("pixels.type", f"{kind}{bits}", f"TIFF tags {BITS} and {SAMPLE_FORMAT}")
    found.add("pixels.compression", _COMPRESSIONS.get(first(COMPRESSION, 1)), f"TIFF tag {COMPRESSION}")
    found.add("pixels.colour", _PHOTOMETRICS.get(first(PHOTOMETRIC, -1)), f"TIFF tag {PHOTOMETRIC}")
    unit = _PHYSICAL_UNITS.get(first(RESOLUTION_UNIT))
    # A writer that knows no pixel size says 1; OME-XML has had its word by now.
    for tag, axis in ((X_RESOLUTION, "x"), (Y_RESOLUTION, "y")):
        per_unit = tiff.numbers(directory.entries.get(tag), limit=1)
        if unit and per_unit and per_unit[0] > 0:
            found.add(f"pixels.physical_size_{axis}_um", units.in_um(1 / per_unit[0], unit), f"TIFF tag {tag}")
