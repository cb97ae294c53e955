"""The boxes of a JUMBF stream (ISO 19566-5), walked strictly and within bounds.

Nothing is copied: a ``Box`` holds offsets into the bytes it was found in. The
walk keeps its own stack, so nesting cannot exhaust Python's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from rawtrace.errors import SealUnreadableError

MAX_BYTES = 64 << 20
MAX_DEPTH = 16
MAX_BOXES = 20_000
MAX_LABEL_BYTES = 1024

SUPERBOX = b"jumb"
DESCRIPTION = b"jumd"
_TYPE_TAIL = bytes.fromhex("00110010800000aa00389b71")

# Bits of the description box's second field.
_REQUESTABLE, _LABEL, _NUMBER, _HASH, _PRIVATE = 1, 2, 4, 8, 16


def content_type(code: bytes) -> bytes:
    """Return the 16-byte content type that a four-letter code such as ``b"c2ma"`` stands for."""
    return code + _TYPE_TAIL


@dataclass(frozen=True, slots=True)
class Box:
    """One box.

    Attributes
    ----------
    kind : bytes
        Four-letter box type, such as ``b"jumb"`` or ``b"cbor"``.
    start, body, end : int
        Offsets in bytes: of the header, behind the header, behind the box.
    content_type : bytes
        A superbox's 16-byte type from its description; empty for other boxes.
    label : str
        A superbox's label from its description; empty for other boxes.
    children : tuple[Box, ...]
        The boxes inside a superbox, without its description.
    """

    kind: bytes
    start: int
    body: int
    end: int
    content_type: bytes = b""
    label: str = ""
    children: tuple[Box, ...] = ()

    def superboxes(self) -> Iterator[Box]:
        """Yield the children that are superboxes."""
        return (child for child in self.children if child.kind == SUPERBOX)


class _Open:
    """A superbox whose children are still being read."""

    __slots__ = ("body", "children", "content_type", "end", "label", "position", "start")

    def __init__(self, start: int, body: int, end: int) -> None:
        self.start = start
        self.body = body
        self.end = end
        self.position = body
        self.content_type = b""
        self.label = ""
        self.children: list[Box] = []

    def close(self) -> Box:
        return Box(SUPERBOX, self.start, self.body, self.end, self.content_type, self.label, tuple(self.children))


def parse(data: bytes) -> Box:
    """Read the one superbox that ``data`` consists of.

    Raises
    ------
    SealUnreadableError
        Larger than 64 MiB, more than 20 000 boxes, nested deeper than 16, a box
        that is cut short, reaches out of the box around it or has no length, a
        superbox that does not begin with a description, bytes behind the end.
    """
    if len(data) > MAX_BYTES:
        msg = f"the seal is {len(data)} bytes; at most {MAX_BYTES} are accepted"
        raise SealUnreadableError(msg)
    kind, body, end = _header(data, 0, len(data))
    if kind != SUPERBOX:
        msg = f"the seal begins with a box of type {_printable(kind)}; expected a JUMBF superbox"
        raise SealUnreadableError(msg)
    if end != len(data):
        msg = f"the seal ends at byte {end} and {len(data) - end} more follow; expected nothing behind it"
        raise SealUnreadableError(msg)
    stack = [_Open(0, body, end)]
    _describe(data, stack[0])
    boxes = 2
    while True:
        current = stack[-1]
        if current.position == current.end:
            stack.pop()
            box = current.close()
            if not stack:
                return box
            stack[-1].children.append(box)
            continue
        start = current.position
        kind, body, end = _header(data, start, current.end)
        current.position = end
        boxes += 1
        if boxes > MAX_BOXES:
            msg = f"the seal has more than {MAX_BOXES} boxes, the most that are accepted"
            raise SealUnreadableError(msg)
        if kind != SUPERBOX:
            current.children.append(Box(kind, start, body, end))
            continue
        if len(stack) == MAX_DEPTH:
            msg = f"boxes are nested deeper than {MAX_DEPTH} at byte {start} of the seal"
            raise SealUnreadableError(msg)
        inner = _Open(start, body, end)
        _describe(data, inner)
        boxes += 1
        stack.append(inner)


def last_inside(data: bytes) -> bytes:
    """Return the last superbox inside the outermost one, to be parsed alone; the others are passed over.

    Raises
    ------
    SealUnreadableError
        A box on the way is cut short or reaches out, or no superbox is inside.
    """
    _, position, end = _header(data, 0, len(data))
    last: tuple[int, int] | None = None
    while position < end:
        kind, _, stop = _header(data, position, end)
        last = (position, stop) if kind == SUPERBOX else last
        position = stop
    if last is None:
        msg = "the seal holds no superbox"
        raise SealUnreadableError(msg)
    return data[slice(*last)]


def _header(data: bytes, start: int, limit: int) -> tuple[bytes, int, int]:
    """Return type, offset behind the header and offset behind the box."""
    if limit - start < 8:
        msg = f"the box at byte {start} of the seal is cut short: {limit - start} bytes are left for its header, not 8"
        raise SealUnreadableError(msg)
    length, kind = struct.unpack_from(">I4s", data, start)
    body = start + 8
    if length == 1:
        if limit - start < 16:
            msg = f"the box at byte {start} of the seal is cut short within its 64-bit length"
            raise SealUnreadableError(msg)
        (length,) = struct.unpack_from(">Q", data, body)
        body = start + 16
    if length < body - start:
        msg = f"the box at byte {start} of the seal states a length of {length}; expected at least its header"
        raise SealUnreadableError(msg)
    if length > limit - start and start == 0:
        msg = (
            f"the seal breaks off: it should have {length} bytes and has {limit}"
            if kind == SUPERBOX
            else "it does not begin like a seal"
        )
        raise SealUnreadableError(msg)
    if length > limit - start:
        msg = (
            f"the box at byte {start} of the seal states {length} bytes; the box around it has room for {limit - start}"
        )
        raise SealUnreadableError(msg)
    return kind, body, start + length


def _describe(data: bytes, box: _Open) -> None:
    """Read the description box that every superbox begins with."""
    if box.body == box.end:
        msg = f"the superbox at byte {box.start} of the seal is empty; expected a description"
        raise SealUnreadableError(msg)
    kind, body, end = _header(data, box.body, box.end)
    if kind != DESCRIPTION or end - body < 17:
        msg = f"the superbox at byte {box.start} of the seal does not begin with a description box"
        raise SealUnreadableError(msg)
    box.content_type = data[body : body + 16]
    toggles = data[body + 16]
    at = body + 17
    if toggles & _LABEL:
        stop = data.find(b"\0", at, min(end, at + MAX_LABEL_BYTES + 1))
        if stop < 0:
            msg = f"the label at byte {at} of the seal has no end within {MAX_LABEL_BYTES} bytes"
            raise SealUnreadableError(msg)
        try:
            box.label = data[at:stop].decode()
        except UnicodeDecodeError:
            msg = f"the label at byte {at} of the seal is not UTF-8"
            raise SealUnreadableError(msg) from None
        if not box.label.isprintable():
            msg = f"the label at byte {at} of the seal holds characters that cannot be shown"
            raise SealUnreadableError(msg)
        at = stop + 1
    at += (4 if toggles & _NUMBER else 0) + (32 if toggles & _HASH else 0)
    # A private field is a box of its own: C2PA keeps its salt there, which nobody needs to read.
    if toggles & _PRIVATE and at <= end:
        _, _, at = _header(data, at, end)
    if at != end or toggles > 31:
        msg = f"the description at byte {box.body} of the seal does not fit its own fields"
        raise SealUnreadableError(msg)
    box.position = end


def _printable(kind: bytes) -> str:
    return repr(kind.decode("ascii", "replace"))
