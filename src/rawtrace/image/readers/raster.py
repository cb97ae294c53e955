"""PNG and JPEG: header, EXIF and the technical text chunks. No pixel is decoded."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from rawtrace.errors import MalformedError
from rawtrace.image import formats, rasterchunks, units
from rawtrace.image.collect import Collector, guarded
from rawtrace.image.readers import exif
from rawtrace.image.tiffdirectory import TiffDirectories

_MAX_EXIF_BYTES = 4 << 20
_PNG_SAMPLES = {0: (1, "grey"), 2: (3, "RGB"), 3: (1, "palette"), 4: (2, "grey with alpha"), 6: (4, "RGB with alpha")}
_PNG_TEXT = {"Software": "file.software", "Source": "instrument.model"}
_PNG_PERSONAL = {
    "Author": "personal.author",
    "Copyright": "personal.copyright",
    "Description": "personal.description",
    "Comment": "personal.comment",
}
# Start-of-frame markers; C4, C8 and CC are something else.
_FRAMES = {f"{marker:02X}" for marker in range(0xC0, 0xD0)} - {"C4", "C8", "CC"}


class PngReader:
    """Reads PNG headers, ``eXIf`` and text chunks."""

    media_types = frozenset({formats.PNG})

    def read(self, path: Path, found: Collector) -> None:
        """Hand size, type, EXIF and technical texts to the collector."""
        size = path.stat().st_size
        with path.open("rb") as stream:
            for part in rasterchunks.png_chunks(stream, size):
                reader = _PNG_CHUNKS.get(part.name)
                if reader is not None:
                    guarded(found, f"the PNG {part.name} chunk", partial(reader, stream, part, found))


class JpegReader:
    """Reads JPEG frame headers and EXIF."""

    media_types = frozenset({formats.JPEG})

    def read(self, path: Path, found: Collector) -> None:
        """Hand size, type and EXIF to the collector."""
        size = path.stat().st_size
        with path.open("rb") as stream:
            for part in rasterchunks.jpeg_segments(stream, size):
                if part.name in _FRAMES:
                    guarded(found, "the JPEG frame header", partial(_frame, stream, part, found))
                elif part.name == "E1":
                    guarded(found, "the EXIF block", partial(_app1, stream, part, found))
                elif part.name == "FE" and found.personal:
                    text = rasterchunks.content(stream, part, limit=65_536).decode("utf-8", "replace")
                    found.add("personal.comment", text, "JPEG comment")


def _header(stream: BinaryIO, part: rasterchunks.Part, found: Collector) -> None:
    data = rasterchunks.content(stream, part, limit=13)
    if len(data) < 13:
        msg = "it is cut short"
        raise MalformedError(msg)
    width, height, depth, colour = struct.unpack(">IIBB", data[:10])
    samples, meaning = _PNG_SAMPLES.get(colour, (0, ""))
    _add_size(found, width, height, samples, "PNG IHDR")
    found.add("pixels.type", f"uint{depth}" if depth in {8, 16} else f"uint{depth} packed", "PNG IHDR")
    found.add("pixels.colour", meaning, "PNG IHDR")


def _text(stream: BinaryIO, part: rasterchunks.Part, found: Collector) -> None:
    data = rasterchunks.content(stream, part, limit=rasterchunks.MAX_TEXT_BYTES * 2)
    keyword = data.partition(b"\x00")[0].decode("latin-1")
    name = _PNG_TEXT.get(keyword) or (_PNG_PERSONAL.get(keyword) if found.personal else None)
    # Any other text is not even unfolded.
    if name is not None or keyword == "Creation Time":
        text = rasterchunks.png_text(part.name, data)[1]
        if name is None:
            found.add("acquisition.time", units.exif_time(text), 'PNG text "Creation Time"')
        else:
            found.add(name, text, f'PNG text "{keyword}"')


def _exif_chunk(stream: BinaryIO, part: rasterchunks.Part, found: Collector) -> None:
    _exif(rasterchunks.content(stream, part, limit=_MAX_EXIF_BYTES), found)


_PNG_CHUNKS: dict[str, Callable[[BinaryIO, rasterchunks.Part, Collector], None]] = {
    "IHDR": _header,
    "tEXt": _text,
    "zTXt": _text,
    "iTXt": _text,
    "eXIf": _exif_chunk,
}


def _frame(stream: BinaryIO, part: rasterchunks.Part, found: Collector) -> None:
    data = rasterchunks.content(stream, part, limit=6)
    if len(data) < 6:
        msg = "it is cut short"
        raise MalformedError(msg)
    depth, height, width, samples = struct.unpack(">BHHB", data)
    source = f"JPEG marker {part.name}"
    _add_size(found, width, height, samples, source)
    found.add("pixels.type", f"uint{depth}", source)
    found.add("pixels.compression", "JPEG", source)


def _app1(stream: BinaryIO, part: rasterchunks.Part, found: Collector) -> None:
    data = rasterchunks.content(stream, part, limit=_MAX_EXIF_BYTES)
    if data.startswith(b"Exif\x00"):
        _exif(data[6:], found)


def _exif(data: bytes, found: Collector) -> None:
    tiff = TiffDirectories(BytesIO(data), len(data))
    exif.add_main_tags(found, tiff, tiff.directory(tiff.first), "EXIF")


def _add_size(found: Collector, width: int, height: int, samples: int, source: str) -> None:
    found.add("pixels.size_x", width, source)
    found.add("pixels.size_y", height, source)
    if samples:
        found.add("pixels.samples", samples, source)
