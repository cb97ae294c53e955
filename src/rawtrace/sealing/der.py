"""The little DER (ITU-T X.690) that a time stamp needs: tags, lengths, what is inside."""

from __future__ import annotations

from dataclasses import dataclass

from rawtrace.errors import MalformedError

INTEGER, OCTETS, OID, SEQUENCE, SET, TIME = 0x02, 0x04, 0x06, 0x30, 0x31, 0x18
BOOLEAN, CONTEXT = 0x01, 0xA0
_MAX_CHILDREN = 4_096


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its tag, and where its header and content lie in ``data``."""

    data: bytes
    tag: int
    start: int
    body: int
    end: int

    @property
    def content(self) -> bytes:
        """What is inside."""
        return self.data[self.body : self.end]

    @property
    def encoded(self) -> bytes:
        """The element with its header."""
        return self.data[self.start : self.end]

    def children(self) -> list[Element]:
        """Return the elements inside, none of them looked into."""
        found: list[Element] = []
        at = self.body
        while at < self.end:
            if len(found) == _MAX_CHILDREN:
                msg = f"more than {_MAX_CHILDREN} elements stand in one"
                raise MalformedError(msg)
            element = _element(self.data, at, self.end)
            found.append(element)
            at = element.end
        return found

    def expect(self, tag: int) -> Element:
        """Return the element itself if it has this tag.

        Raises
        ------
        MalformedError
            It has another.
        """
        if self.tag != tag:
            msg = f"an element with tag {self.tag:#04x} stands at byte {self.start}; expected {tag:#04x}"
            raise MalformedError(msg)
        return self


def parse(data: bytes) -> Element:
    """Read the one element that ``data`` consists of.

    Raises
    ------
    MalformedError
        Not DER, or bytes behind the end.
    """
    element = _element(data, 0, len(data))
    if element.end != len(data):
        msg = f"{len(data) - element.end} bytes stand behind the end"
        raise MalformedError(msg)
    return element


def oid(element: Element) -> str:
    """Return an object identifier with dots."""
    content = element.expect(OID).content
    if not content or content[-1] & 0x80 or len(content) > 64:
        msg = "an object identifier is malformed"
        raise MalformedError(msg)
    numbers: list[int] = []
    value = 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in (first, numbers[0] - 40 * first, *numbers[1:]))


def _element(data: bytes, at: int, limit: int) -> Element:
    if limit - at < 2:
        msg = f"the data ends within an element at byte {at}"
        raise MalformedError(msg)
    tag, length, body = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        msg = f"the element at byte {at} has a long tag, which no time stamp needs"
        raise MalformedError(msg)
    if length & 0x80:
        size = length & 0x7F
        # No size at all would be the indefinite form, which DER has not.
        if not 1 <= size <= 4 or limit - body < size:
            msg = f"the element at byte {at} has a length that is not DER"
            raise MalformedError(msg)
        length = int.from_bytes(data[body : body + size], "big")
        body += size
    if length > limit - body:
        msg = f"the element at byte {at} is cut short"
        raise MalformedError(msg)
    return Element(data, tag, at, body, body + length)
