"""Walks through the parts of PNG and JPEG files without decoding a pixel."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from rawtrace.errors import LimitError, MalformedError

MAX_PARTS = 100_000
MAX_TEXT_BYTES = 65_536
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Part:
    """A PNG chunk or JPEG segment: its name, and where its content lies."""

    name: str
    offset: int
    size: int


def png_chunks(stream: BinaryIO, size: int) -> Iterator[Part]:
    """Walk the chunks of a PNG up to and with ``IEND``.

    Raises
    ------
    MalformedError
        The file ends inside a chunk, or before ``IEND``.
    LimitError
        More than 100 000 chunks.
    """
    position = len(PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        stream.seek(position)
        head = stream.read(8)
        if len(head) < 8:
            msg = "the PNG ends before its IEND chunk"
            raise MalformedError(msg)
        (length,) = struct.unpack(">I", head[:4])
        if position + 12 + length > size:
            msg = "the PNG ends inside a chunk"
            raise MalformedError(msg)
        part = Part(head[4:].decode("latin-1"), position + 8, length)
        yield part
        if part.name == "IEND":
            return
        position += 12 + length
    msg = f"the PNG has more than {MAX_PARTS} chunks"
    raise LimitError(msg)


def jpeg_segments(stream: BinaryIO, size: int) -> Iterator[Part]:
    """Walk the segments of a JPEG up to and with its first ``SOS``; names are marker numbers in hexadecimal.

    Raises
    ------
    MalformedError
        The file ends before the pixels begin, or has no marker where one must be.
    LimitError
        More than 100 000 segments.
    """
    position = 2
    for _ in range(MAX_PARTS):
        stream.seek(position)
        head = stream.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            msg = (
                "the JPEG ends before its pixels begin" if len(head) < 4 else "the JPEG has no marker where one must be"
            )
            raise MalformedError(msg)
        marker = head[1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:
            position += 2
            continue
        (length,) = struct.unpack(">H", head[2:])
        if length < 2 or position + 2 + length > size:
            msg = "the JPEG ends inside a segment"
            raise MalformedError(msg)
        yield Part(f"{marker:02X}", position + 4, length - 2)
        if marker == 0xDA:
            return
        position += 2 + length
    msg = f"the JPEG has more than {MAX_PARTS} segments"
    raise LimitError(msg)


def content(stream: BinaryIO, part: Part, *, limit: int) -> bytes:
    """Return a part's bytes, at most ``limit`` of them."""
    stream.seek(part.offset)
    return stream.read(min(part.size, limit))


def png_text(name: str, data: bytes) -> tuple[str, str]:
    """Return keyword and text of a ``tEXt``, ``zTXt`` or ``iTXt`` chunk.

    Raises
    ------
    LimitError
        Compressed text that unfolds to more than 64 KiB.
    MalformedError
        Not such a chunk.
    """
    keyword_bytes, found, rest = data.partition(b"\x00")
    keyword = keyword_bytes[:80].decode("latin-1")
    if not found:
        msg = "a PNG text chunk has no keyword"
        raise MalformedError(msg)
    if name == "tEXt":
        return keyword, rest[:MAX_TEXT_BYTES].decode("latin-1")
    if name == "zTXt":
        return keyword, _inflate(rest[1:]).decode("latin-1")
    compressed = rest[:1] == b"\x01"
    body = rest[2:].split(b"\x00", 2)
    if len(body) < 3:
        msg = "a PNG text chunk is cut short"
        raise MalformedError(msg)
    text = _inflate(body[2]) if compressed else body[2][:MAX_TEXT_BYTES]
    return keyword, text.decode("utf-8", "replace")


def _inflate(data: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        msg = "a compressed PNG text chunk is damaged"
        raise MalformedError(msg) from None
    if inflater.unconsumed_tail:
        msg = f"a compressed PNG text chunk unfolds to more than {MAX_TEXT_BYTES} bytes"
        raise LimitError(msg)
    return text
