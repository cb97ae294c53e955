"""The manifest store inside a PNG or JPEG file: found, taken out, and where it lies.

Only the file's own structure is walked, a header at a time; pixels are skipped.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import IO

from rawtrace.errors import SealUnreadableError, from_os_error
from rawtrace.sealing.datahash import joined
from rawtrace.sealing.jumbf import MAX_BYTES, content_type

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PNG_CHUNK = b"caBX"
_MAX_CHUNKS = 1_000_000
_MAX_SEGMENTS = 4_096
_STORE_TYPE = content_type(b"c2pa")

_APP11, _START_OF_SCAN, _END_OF_IMAGE = 0xEB, 0xDA, 0xD9
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
#: Common identifier, box instance number and packet sequence number (ISO 19566-5, annex D).
_PACKET = struct.Struct(">2sHI")

Ranges = tuple[tuple[int, int], ...]


def embedded_store(path: Path) -> tuple[bytes, Ranges] | None:
    """Find the C2PA manifest store inside a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    tuple[bytes, Ranges] or None
        The store and the start and end offsets of what it takes up in the file,
        container headers included; ``None`` where there is none, or where the
        file is neither PNG nor JPEG.

    Raises
    ------
    SealUnreadableError
        Two stores in one file, a store that is cut short, larger than 64 MiB or
        whose parts do not fit together.
    Error
        The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
            if start == _PNG:
                return _from_png(stream)
            if start.startswith(_JPEG):
                return _from_jpeg(stream)
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    return None


def _from_png(stream: IO[bytes]) -> tuple[bytes, Ranges] | None:
    found: tuple[bytes, Ranges] | None = None
    position = len(_PNG)
    for _ in range(_MAX_CHUNKS):
        stream.seek(position)
        header = stream.read(8)
        if len(header) < 8:
            break
        length, kind = struct.unpack(">I4s", header)
        if kind == _PNG_CHUNK:
            if found is not None:
                msg = f"the file holds two seals, the second at byte {position}; expected one"
                raise SealUnreadableError(msg)
            found = _png_chunk(stream, position, length), ((position, position + length + 12),)
        if kind == b"IEND":
            break
        position += length + 12
    return found


def _png_chunk(stream: IO[bytes], position: int, length: int) -> bytes:
    if length > MAX_BYTES:
        msg = f"the seal in the file is {length} bytes; at most {MAX_BYTES} are accepted"
        raise SealUnreadableError(msg)
    data, crc = stream.read(length), stream.read(4)
    if len(data) < length or len(crc) < 4:
        msg = f"the file ends within its seal, which begins at byte {position}"
        raise SealUnreadableError(msg)
    if zlib.crc32(_PNG_CHUNK + data).to_bytes(4, "big") != crc:
        msg = f"the checksum of the seal's chunk at byte {position} is wrong"
        raise SealUnreadableError(msg)
    return data


class _Packets:
    """The APP11 segments that carry one JUMBF box."""

    __slots__ = ("data", "fault", "header", "ranges")

    def __init__(self, header: bytes) -> None:
        self.header = header
        self.data = bytearray(header)
        self.ranges: list[tuple[int, int]] = []
        self.fault = ""

    def add(self, sequence: int, header: bytes, content: bytes, where: tuple[int, int]) -> None:
        """Append one part. A fault counts only if this turns out to be a seal; other boxes are not our business."""
        expected = len(self.ranges) + 1
        if sequence != expected or header != self.header:
            self.fault = self.fault or f"part {expected} of the seal was expected at byte {where[0]} of the file"
        elif len(self.data) + len(content) > MAX_BYTES:
            self.fault = self.fault or f"the seal in the file is larger than {MAX_BYTES} bytes"
        if not self.fault or not self.ranges:
            self.data += content
            self.ranges.append(where)

    @property
    def is_store(self) -> bool:
        """Whether the box's description says *C2PA manifest store*."""
        at = len(self.header) + 8
        return self.data[at : at + 16] == _STORE_TYPE


def _from_jpeg(stream: IO[bytes]) -> tuple[bytes, Ranges] | None:
    instances: dict[int, _Packets] = {}
    position, segments = 2, 0
    while True:
        stream.seek(position)
        marker = stream.read(2)
        if len(marker) < 2 or marker[0] != 0xFF or marker[1] in (_START_OF_SCAN, _END_OF_IMAGE):
            break
        if marker[1] == 0xFF:
            position += 1
            continue
        if marker[1] in _WITHOUT_LENGTH:
            position += 2
            continue
        size = stream.read(2)
        length = int.from_bytes(size, "big")
        if len(size) < 2 or length < 2:
            break
        if marker[1] == _APP11:
            segments += 1
            if segments > _MAX_SEGMENTS:
                msg = f"the file has more than {_MAX_SEGMENTS} APP11 segments, the most that are accepted"
                raise SealUnreadableError(msg)
            _jpeg_packet(stream, position, length, instances)
        position += 2 + length
    return _one_store(instances)


def _jpeg_packet(stream: IO[bytes], position: int, length: int, instances: dict[int, _Packets]) -> None:
    content = stream.read(length - 2)
    if len(content) < length - 2:
        msg = f"the file ends within the APP11 segment at byte {position}"
        raise SealUnreadableError(msg)
    if len(content) < _PACKET.size + 8:
        return
    identifier, instance, sequence = _PACKET.unpack_from(content)
    if identifier != b"JP":
        return
    content = content[_PACKET.size :]
    # Each part repeats the header of the box, which stands but once in the box itself.
    header = content[: 16 if content.startswith(b"\0\0\0\1") else 8]
    packets = instances.setdefault(instance, _Packets(header))
    packets.add(sequence, header, content[len(header) :], (position, position + 2 + length))


def _one_store(instances: dict[int, _Packets]) -> tuple[bytes, Ranges] | None:
    stores = [packets for packets in instances.values() if packets.is_store]
    if not stores:
        return None
    if len(stores) > 1:
        msg = f"the file holds {len(stores)} seals; expected one"
        raise SealUnreadableError(msg)
    if stores[0].fault:
        raise SealUnreadableError(stores[0].fault)
    return bytes(stores[0].data), joined(stores[0].ranges) or ()
