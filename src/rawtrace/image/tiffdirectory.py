"""A small, bounded reader of TIFF directories: tags, never pixels.

Directories are read where they lie, so that one page of a file of any size
costs two reads, a chain that bites its own tail ends, and a count of 2⁶⁰ is a
sentence and not an allocation. EXIF blocks are TIFF too and are read with the
same class.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal

from rawtrace.errors import LimitError, MalformedError
from rawtrace.image.collect import MAX_METADATA_BYTES

MAX_ENTRIES = 4_096
MAX_DIRECTORIES = 200_000

# TIFF 6.0 and BigTIFF field types: size in bytes and struct letter.
_TYPES: Mapping[int, tuple[int, str]] = {
    1: (1, "B"), 2: (1, "s"), 3: (2, "H"), 4: (4, "I"), 5: (8, "II"), 6: (1, "b"), 7: (1, "s"),
    8: (2, "h"), 9: (4, "i"), 10: (8, "ii"), 11: (4, "f"), 12: (8, "d"), 13: (4, "I"),
    16: (8, "Q"), 17: (8, "q"), 18: (8, "Q"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag: its field type, how many values, and where their bytes are."""

    type: int
    count: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Directory:
    """One image file directory: where it begins and ends, its tags, and where the next one is (0: none)."""

    offset: int
    end: int
    entries: Mapping[int, Entry]
    next: int


class TiffDirectories:
    """The directories of a TIFF, BigTIFF or EXIF block.

    Parameters
    ----------
    stream : BinaryIO
        Seekable.
    size : int
        Length of the block in bytes.
    base : int
        Where in the stream the block begins.
    budget : int
        How many bytes may be read in all.

    Raises
    ------
    MalformedError
        If the block does not begin with a TIFF header.
    """

    def __init__(self, stream: BinaryIO, size: int, *, base: int = 0, budget: int = MAX_METADATA_BYTES) -> None:
        self._stream = stream
        self._base = base
        self._budget = budget
        self.size = size
        header = self._read(0, min(16, size))
        orders: dict[bytes, Literal["<", ">"]] = {b"II": "<", b"MM": ">"}
        order = orders.get(header[:2])
        if order is None or len(header) < 8:
            msg = "the TIFF header is missing or cut short"
            raise MalformedError(msg)
        self.order = order
        (version,) = struct.unpack(order + "H", header[2:4])
        self.big = version == 43
        if self.big:
            if len(header) < 16:
                msg = "the BigTIFF header is cut short"
                raise MalformedError(msg)
            self.first: int = struct.unpack(order + "Q", header[8:16])[0]
        elif version in {42, 85, 0x4F52, 0x5352}:
            self.first = struct.unpack(order + "I", header[4:8])[0]
        else:
            msg = f"TIFF version {version} is not known"
            raise MalformedError(msg)

    def directory(self, offset: int) -> Directory:
        """Read the directory at an offset.

        Raises
        ------
        MalformedError
            It lies, wholly or partly, beyond the end of the file.
        LimitError
            More than 4096 tags, or the budget of 64 MiB is used up.
        """
        head, step, width = (8, 20, 8) if self.big else (2, 12, 4)
        (count,) = struct.unpack(self.order + ("Q" if self.big else "H"), self._read(offset, head))
        if count > MAX_ENTRIES:
            msg = f"a directory claims {count} tags; at most {MAX_ENTRIES} are accepted"
            raise LimitError(msg)
        table = self._read(offset + head, count * step + width)
        entries: dict[int, Entry] = {}
        for start in range(0, count * step, step):
            tag, kind = struct.unpack_from(self.order + "HH", table, start)
            (number,) = struct.unpack_from(self.order + ("Q" if self.big else "I"), table, start + 4)
            if kind not in _TYPES:
                continue
            size = number * _TYPES[kind][0]
            place = offset + head + start + (12 if self.big else 8)
            if size > width:
                (place,) = struct.unpack_from(
                    self.order + ("Q" if self.big else "I"), table, start + (12 if self.big else 8)
                )
            entries.setdefault(tag, Entry(kind, number, place, size))
        (following,) = struct.unpack_from(self.order + ("Q" if self.big else "I"), table, count * step)
        return Directory(offset, offset + head + len(table), entries, following)

    def chain(self, *, limit: int = MAX_DIRECTORIES) -> Iterator[Directory]:
        """Walk the main chain from the first directory.

        Raises
        ------
        MalformedError
            The chain leaves the file or comes back to an earlier directory.
        LimitError
            More than ``limit`` directories.
        """
        seen: set[int] = set()
        offset = self.first
        while offset:
            if offset in seen:
                msg = "the chain of TIFF directories comes back to itself"
                raise MalformedError(msg)
            if len(seen) >= limit:
                msg = f"there are more than {limit} TIFF directories"
                raise LimitError(msg)
            seen.add(offset)
            directory = self.directory(offset)
            yield directory
            offset = directory.next

    def raw(self, entry: Entry, *, limit: int = MAX_METADATA_BYTES) -> bytes:
        """Return a tag's bytes.

        Raises
        ------
        LimitError
            More than ``limit`` bytes.
        MalformedError
            They lie beyond the end of the file.
        """
        if entry.size > limit:
            msg = f"a tag claims {entry.size} bytes; at most {limit} are accepted"
            raise LimitError(msg)
        return self._read(entry.offset, entry.size)

    def numbers(self, entry: Entry | None, *, limit: int = 65_536) -> tuple[int | float, ...]:
        """Return a tag's numbers, fractions as floats; none for text, or a fraction over zero."""
        if entry is None or entry.type in {2, 7}:
            return ()
        data = self.raw(entry, limit=limit * 8)
        letters = _TYPES[entry.type][1]
        flat = struct.unpack(f"{self.order}{entry.count * len(letters)}{letters[0]}", data)
        if len(letters) == 1:
            return flat
        pairs = tuple(zip(flat[::2], flat[1::2], strict=True))
        return tuple(top / bottom for top, bottom in pairs) if all(bottom for _, bottom in pairs) else ()

    def text(self, entry: Entry | None, *, limit: int = 65_536) -> str:
        """Return a tag's text up to the first NUL or ``limit`` bytes; UTF-8, or Latin-1 where it is not that."""
        if entry is None or entry.type not in {1, 2, 7}:
            return ""
        data = self._read(entry.offset, min(entry.size, limit)).split(b"\x00", 1)[0]
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")

    def _read(self, offset: int, size: int) -> bytes:
        if offset < 0 or offset + size > self.size:
            msg = "the file ends before a TIFF directory or tag that it points to"
            raise MalformedError(msg)
        self._budget -= size
        if self._budget < 0:
            msg = "more TIFF tags than are read of one file"
            raise LimitError(msg)
        self._stream.seek(self._base + offset)
        data = self._stream.read(size)
        if len(data) != size:
            msg = "the file ends before a TIFF directory or tag that it points to"
            raise MalformedError(msg)
        return data
