"""An instrument as DataCite 4.5 XML: the same mapping as the JSON, written and read by way of it.

XML from outside can neither grow nor reach out: no DOCTYPE and so no entity, no external
reference is ever resolved, and size, depth, elements and attributes are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from rawtrace.errors import LimitError, MalformedError
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.pidinst.datacite import MAX_BYTES, SCHEMA, from_datacite, to_datacite

MEDIA_TYPE = "application/vnd.datacite.datacite+xml"
MAX_DEPTH = 16
MAX_ELEMENTS = 5_000
_MAX_ATTRIBUTES = 16
_SCHEMA_LOCATION = f"{SCHEMA} https://schema.datacite.org/meta/kernel-4.5/metadata.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_DECLARATION = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_datacite_xml(record: Mapping[str, Any], *, publisher: str, year: int) -> bytes:
    """Return a record as DataCite XML, UTF-8; see ``to_datacite``. The landing page is not part of it.

    Raises
    ------
    IdentityRecordError
    """
    document = to_datacite(record, publisher=publisher, year=year)
    root = Element("resource", {"xmlns": SCHEMA, "xmlns:xsi": _XSI, "xsi:schemaLocation": _SCHEMA_LOCATION})
    stated = document["identifiers"][0]
    _add(
        root,
        "identifier",
        document.get("doi", stated["identifier"]),
        identifierType="DOI" if "doi" in document else stated["identifierType"],
    )
    _parties(root, "creator", document["creators"])
    _list(root, "title", [(one["title"], {}) for one in document["titles"]])
    _add(root, "publisher", document["publisher"]["name"])
    _add(root, "publicationYear", str(document["publicationYear"]))
    _add(root, "resourceType", "Instrument", resourceTypeGeneral="Instrument")
    _list(root, "subject", _attributed(document, "subjects", "subject", {"valueUri": "valueURI"}))
    _parties(root, "contributor", document["contributors"])
    _list(root, "date", _attributed(document, "dates", "date"))
    _list(root, "alternateIdentifier", _attributed(document, "alternateIdentifiers", "alternateIdentifier"))
    related = _attributed(document, "relatedIdentifiers", "relatedIdentifier")
    _list(root, "relatedIdentifier", related)
    _list(root, "description", _attributed(document, "descriptions", "description"))
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written + b"\n"


def read_datacite_xml(
    data: bytes, *, what: str, kind: SignerKind = SignerKind.INSTRUMENT, pid: str = ""
) -> dict[str, Any]:
    """Return a record from DataCite XML, of any 4.x version.

    Raises
    ------
    MalformedError
        Not well-formed UTF-8 XML, a DOCTYPE in it, another root, or not about an instrument.
    LimitError
        Larger than 256 KiB, deeper than 16 levels, more than 5 000 elements.
    IdentityRecordError
        What it says is not enough for a PIDINST record.
    """
    root = _parse(data, what)
    resource = root if root.tag == "resource" else root.find(".//resource")
    if resource is None:
        msg = f"the root of {what} is {root.tag[:40]!r}; expected a DataCite resource"
        raise MalformedError(msg)
    return from_datacite(_document(resource), kind=kind, pid=pid)


class _Builder(ElementTree.TreeBuilder):
    """A tree builder that counts and drops namespaces."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._elements = 0
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS or len(attrs) > _MAX_ATTRIBUTES:
            msg = f"{self._what} is nested deeper than {MAX_DEPTH} levels or has more than {MAX_ELEMENTS} elements"
            raise LimitError(msg)
        return super().start(_local(tag), {_local(name): value for name, value in attrs.items()})

    def end(self, tag: str) -> Element:
        self._depth -= 1
        return super().end(_local(tag))

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise _doctype(self._what)


def _parse(data: bytes, what: str) -> Element:
    if len(data) > MAX_BYTES:
        msg = f"{what} is {len(data)} bytes; at most {MAX_BYTES} are accepted"
        raise LimitError(msg)
    try:
        text = data.decode("utf-8-sig").lstrip()
    except UnicodeDecodeError:
        msg = f"{what} is not UTF-8"
        raise MalformedError(msg) from None
    # Before the parser sees anything: what is never declared cannot be expanded.
    if _DECLARATION.search(text):
        raise _doctype(what)
    parser = ElementTree.XMLParser(target=_Builder(what))  # noqa: S314  bounded above and in the builder
    try:
        parser.feed(text)
        root: Element = parser.close()
    except (ElementTree.ParseError, ValueError) as error:
        where = getattr(error, "position", None)
        at = f" at line {where[0]}, column {where[1]}" if where else ""
        msg = f"{what} is not well-formed XML{at}"
        raise MalformedError(msg) from None
    return root


def _doctype(what: str) -> MalformedError:
    return MalformedError(f"{what} has a DOCTYPE or an entity, which DataCite XML never needs")


def _document(resource: Element) -> dict[str, Any]:
    """Return the JSON of the same record."""
    kind = resource.find("resourceType")
    return {
        "identifiers": [_valued(one, "identifier") for one in resource.findall("identifier")],
        "creators": [_from_party(one, "creator") for one in resource.findall("creators/creator")],
        "titles": [_valued(one, "title") for one in resource.findall("titles/title")],
        "types": {"resourceTypeGeneral": kind.get("resourceTypeGeneral", "") if kind is not None else ""},
        "subjects": [_valued(one, "subject") for one in resource.findall("subjects/subject")],
        "contributors": [_from_party(one, "contributor") for one in resource.findall("contributors/contributor")],
        "dates": [_valued(one, "date") for one in resource.findall("dates/date")],
        "alternateIdentifiers": [
            _valued(one, "alternateIdentifier") for one in resource.findall("alternateIdentifiers/alternateIdentifier")
        ],
        "relatedIdentifiers": [
            _valued(one, "relatedIdentifier") for one in resource.findall("relatedIdentifiers/relatedIdentifier")
        ],
        "descriptions": [_valued(one, "description") for one in resource.findall("descriptions/description")],
    }


def _valued(one: Element, name: str) -> dict[str, str]:
    attributes = {("valueUri" if key == "valueURI" else key): value for key, value in one.attrib.items()}
    return attributes | {name: "".join(one.itertext())}


def _from_party(one: Element, role: str) -> dict[str, Any]:
    return {
        "name": (one.findtext(f"{role}Name") or "").strip(),
        "contributorType": one.get("contributorType", ""),
        "nameIdentifiers": [_valued(item, "nameIdentifier") for item in one.findall("nameIdentifier")],
    }


def _parties(root: Element, role: str, parties: Iterable[Mapping[str, Any]]) -> None:
    holder = SubElement(root, f"{role}s")
    for party in parties:
        attributes = {"contributorType": party["contributorType"]} if role == "contributor" else {}
        one = SubElement(holder, role, attributes)
        _add(one, f"{role}Name", party["name"], nameType=party["nameType"])
        for identifier in party.get("nameIdentifiers", ()):
            named = {"nameIdentifierScheme": identifier["nameIdentifierScheme"]}
            if "schemeUri" in identifier:
                named["schemeURI"] = identifier["schemeUri"]
            _add(one, "nameIdentifier", identifier["nameIdentifier"], **named)


def _attributed(
    document: Mapping[str, Any], listed: str, name: str, spelled: Mapping[str, str] | None = None
) -> list[tuple[str, dict[str, str]]]:
    spelled = spelled or {}
    return [
        (one[name], {spelled.get(key, key): value for key, value in one.items() if key != name})
        for one in document.get(listed, ())
    ]


def _list(root: Element, name: str, values: Iterable[tuple[str, Mapping[str, str]]]) -> None:
    values = list(values)
    if values:
        holder = SubElement(root, f"{name}s")
        for text, attributes in values:
            _add(holder, name, text, **attributes)


def _add(parent: Element, name: str, text: str, **attributes: str) -> None:
    clean = {key: _NOT_XML.sub("\ufffd", value) for key, value in attributes.items()}
    SubElement(parent, name, clean).text = _NOT_XML.sub("\ufffd", text)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
