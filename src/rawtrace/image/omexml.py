"""OME-XML from outside, parsed so that nothing in it can grow or reach out.

No DOCTYPE and so no entities, no external reference is ever resolved, elements
and depth are counted. Namespaces are dropped: every OME schema since 2003 is
read by the same names.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from rawtrace.errors import LimitError, MalformedError
from rawtrace.image.collect import MAX_METADATA_BYTES

MAX_DEPTH = 64
MAX_ELEMENTS = 300_000
# Planes are the one element of which an honest file has hundreds of thousands.
MAX_PLANES = 20_000
_DECLARATION = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)


class _Builder(ElementTree.TreeBuilder):
    """A tree builder that counts, drops namespaces and forgets planes beyond the limit."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0
        self.planes_forgotten = 0
        self._planes = 0
        self._depth = 0
        self._skipping = 0

    def start(self, tag: str, attrs: dict[str, str]) -> ElementTree.Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            msg = f"the OME-XML is nested deeper than {MAX_DEPTH} levels"
            raise LimitError(msg)
        name = tag.rpartition("}")[2]
        if self._skipping:
            return None  # type: ignore[return-value]
        if name == "Plane":
            self._planes += 1
            if self._planes > MAX_PLANES:
                self.planes_forgotten += 1
                self._skipping = self._depth
                return None  # type: ignore[return-value]
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            msg = f"the OME-XML has more than {MAX_ELEMENTS} elements"
            raise LimitError(msg)
        return super().start(name, {key.rpartition("}")[2]: value for key, value in attrs.items()})

    def end(self, tag: str) -> ElementTree.Element:
        skipping = self._skipping
        if skipping and self._depth == skipping:
            self._skipping = 0
        self._depth -= 1
        if skipping:
            return None  # type: ignore[return-value]
        return super().end(tag.rpartition("}")[2])

    def data(self, data: str) -> None:
        if not self._skipping:
            super().data(data)

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        msg = "the OME-XML has a DOCTYPE, which OME-XML never needs"
        raise MalformedError(msg)


def looks_like_ome(data: bytes) -> bool:
    """Tell from its first bytes whether an image description is OME-XML."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return (head.startswith(b"<") and b"<OME" in head) or b":OME " in head[:1024]


def parse(data: bytes) -> tuple[ElementTree.Element, int]:
    """Parse OME-XML.

    Parameters
    ----------
    data : bytes
        UTF-8, as OME-TIFF demands; trailing NULs are ignored.

    Returns
    -------
    root : Element
        The ``OME`` element; names without namespaces.
    planes_forgotten : int
        How many ``Plane`` elements beyond the first 20 000 were not kept.

    Raises
    ------
    MalformedError
        Not UTF-8, not XML, a DOCTYPE or an entity in it, another root.
    LimitError
        Larger than 64 MiB, deeper than 64 levels, more than 300 000 elements.
    """
    if len(data) > MAX_METADATA_BYTES:
        msg = f"the OME-XML is {len(data)} bytes; at most {MAX_METADATA_BYTES} are accepted"
        raise LimitError(msg)
    try:
        text = data.rstrip(b"\x00").decode("utf-8-sig").lstrip()
    except UnicodeDecodeError:
        msg = "the OME-XML is not UTF-8"
        raise MalformedError(msg) from None
    if _DECLARATION.search(text):
        msg = "the OME-XML has a DOCTYPE or an entity, which OME-XML never needs"
        raise MalformedError(msg)
    builder = _Builder()
    parser = ElementTree.XMLParser(target=builder)  # noqa: S314  bounded above and in the builder
    try:
        parser.feed(text)
        root = parser.close()
    except ElementTree.ParseError as error:
        line, column = error.position
        msg = f"the OME-XML is not well-formed at line {line}, column {column}"
        raise MalformedError(msg) from None
    if root.tag != "OME":
        msg = "the root of the OME-XML is not OME"
        raise MalformedError(msg)
    return root, builder.planes_forgotten
