"""The record of an instrument or a workstation, by PIDINST 1.0 (RDA, doi:10.15497/RDA00070).

The JSON names are those of the working group's own schema file. What PIDINST
has no place for stands under one key, ``rawtrace``. A workstation or a
repository has the same record, in which the manufacturer may be missing.

The record's digest, SHA-256 over the bytes of its file, is bound into the
certificate: ``sha256sum instrument.json`` prints it.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import IdentityRecordError
from rawtrace.trust import identifiers
from rawtrace.trust.certificates import SignerKind

SCHEMA_VERSION = "1.0"
MAX_RECORD_BYTES = 65_536
_MAX_ITEMS = 50
_SHOWN_PROBLEMS = 20
_NAME, _LINE, _TEXT, _LINK = 64, 300, 10_000, 2_000
_UNSEEN = {"Cc", "Cs", "Zl", "Zp"}
# These turn the order of the letters round, so that a name could read as another.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_Check = Callable[[Any, str], Iterator[str]]


def new_record(
    *,
    kind: SignerKind,
    name: str,
    owner: str,
    owner_name: str = "",
    manufacturer: str = "",
    model: str = "",
    serial: str = "",
    location: str = "",
    pid: str = "",
    description: str = "",
    instrument_type: str = "",
    measured: Sequence[str] = (),
    commissioned: date | None = None,
) -> dict[str, Any]:
    """Make a record and check it.

    Parameters
    ----------
    kind : SignerKind
        ``instrument``, ``workstation`` or ``repository``.
    name : str
        At most 64 characters, for it becomes the certificate's common name.
    owner : str
        ROR of the owner.
    owner_name : str
        The owner in words; the ROR stands in where it is empty.
    pid : str
        Empty: a ``urn:uuid:`` is minted.

    Raises
    ------
    IdentityRecordError
        All problems in one sentence.
    """
    owner_ror = identifiers.ror(owner)
    uri, pid_kind = identifiers.pid(pid or identifiers.new_pid())
    record: dict[str, Any] = {
        "identifier": {"identifier": uri, "identifierType": pid_kind},
        "schemaVersion": SCHEMA_VERSION,
        "landingPage": uri,
        "name": name.strip(),
        "owners": [
            {
                "ownerName": owner_name.strip() or owner_ror,
                "ownerIdentifier": {"ownerIdentifier": owner_ror, "ownerIdentifierType": "ROR"},
            }
        ],
    }
    if manufacturer:
        record["manufacturers"] = [{"manufacturerName": manufacturer.strip()}]
    if model:
        record["model"] = {"modelName": model.strip()}
    if serial:
        record["alternateIdentifiers"] = [
            {"alternateIdentifier": serial.strip(), "alternateIdentifierType": "SerialNumber"}
        ]
    if description:
        record["description"] = description.strip()
    if instrument_type:
        record["instrumentTypes"] = [{"instrumentTypeName": instrument_type.strip()}]
    if measured:
        record["measuredVariables"] = [variable.strip() for variable in measured]
    if commissioned is not None:
        record["dates"] = [{"date": commissioned.isoformat(), "dateType": "Commissioned"}]
    if location:
        record["rawtrace"] = {"location": location.strip()}
    check_record(record, kind)
    return record


def with_location(record: Mapping[str, Any], location: str) -> dict[str, Any]:
    """Return the record of the same instrument at another place."""
    return {**record, "rawtrace": {**record.get("rawtrace", {}), "location": location.strip()}}


def public_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what everybody may see of a record: the owners' contacts only if it says so itself."""
    public = record.get("rawtrace", {}).get("contactPublic") is True
    return dict(record) if public else without_contacts(record)


def without_contacts(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without the owners' contacts."""
    owners = [{name: value for name, value in one.items() if name != "ownerContact"} for one in record["owners"]]
    return {**record, "owners": owners}


def read_record(data: bytes, *, what: str, kind: SignerKind) -> dict[str, Any]:
    """Read a record that somebody else may have written.

    Raises
    ------
    LimitError, MalformedError
        Too large, too deep, not JSON.
    IdentityRecordError
        JSON, but not a PIDINST record: all problems in one sentence.
    """
    record = strictjson.loads(data, what=what, max_bytes=MAX_RECORD_BYTES)
    check_record(record, kind)
    return dict(record)


def record_bytes(record: Mapping[str, Any]) -> bytes:
    """Return the bytes of the record's file; the digest in the certificate is theirs."""
    return strictjson.dumps(record)


def record_digest(record: Mapping[str, Any]) -> bytes:
    """Return the SHA-256 of ``record_bytes``, 32 bytes."""
    return hashlib.sha256(record_bytes(record)).digest()


def check_record(record: object, kind: SignerKind) -> None:
    """Raise ``IdentityRecordError`` with all problems of a record, if it has any."""
    problems = problems_of(record, kind)
    if problems:
        more = len(problems) - _SHOWN_PROBLEMS
        listed = "; ".join(problems[:_SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        msg = f"the record of this {kind} does not fit PIDINST {SCHEMA_VERSION}: {listed}"
        raise IdentityRecordError(msg)


def problems_of(record: object, kind: SignerKind) -> tuple[str, ...]:
    """Return all problems of a record, each as a short sentence that begins with the field; empty: none."""
    required = {**_REQUIRED, **({"manufacturers": _MANUFACTURERS} if kind is SignerKind.INSTRUMENT else {})}
    problems = list(_object(record, "", required=required, optional={**_OPTIONAL, "manufacturers": _MANUFACTURERS}))
    if not problems and isinstance(record, dict):
        size = len(record_bytes(record))
        if size > MAX_RECORD_BYTES:
            problems.append(f"the record is {size} bytes; at most {MAX_RECORD_BYTES} are accepted")
        stated = record["identifier"]
        if identifiers.pid(stated["identifier"])[1] != stated["identifierType"]:
            problems.append(f"identifier.identifierType: {stated['identifierType']} does not fit the identifier")
    return tuple(problems)


def summary(record: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields that seals and pages show, each as one string, empty where the record is silent.

    Returns
    -------
    dict[str, str]
        ``pid``, ``name``, ``manufacturer``, ``model``, ``serial``, ``owner``
        (name), ``owner_ror``, ``location``.
    """
    owner = record["owners"][0]
    identifier = owner.get("ownerIdentifier", {})
    serials = [
        item["alternateIdentifier"]
        for item in record.get("alternateIdentifiers", ())
        if item["alternateIdentifierType"] == "SerialNumber"
    ]
    return {
        "pid": record["identifier"]["identifier"],
        "name": record["name"],
        "manufacturer": ", ".join(maker["manufacturerName"] for maker in record.get("manufacturers", ())),
        "model": record.get("model", {}).get("modelName", ""),
        "serial": serials[0] if serials else "",
        "owner": owner["ownerName"],
        "owner_ror": identifier["ownerIdentifier"] if identifier.get("ownerIdentifierType") == "ROR" else "",
        "location": record.get("rawtrace", {}).get("location", ""),
    }


def _text(value: Any, field: str, *, longest: int = _LINE, lines: bool = False) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{field}: expected text"
    elif not value.strip() or value != value.strip():
        yield f"{field}: expected text that neither is empty nor begins or ends with a space"
    elif len(value) > longest:
        yield f"{field}: {len(value)} characters, at most {longest} are accepted"
    elif any(_is_unseen(character) and not (lines and character == "\n") for character in value):
        yield f"{field}: holds a control character"


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) in _UNSEEN or character in _TURNING


def _flag(value: Any, field: str) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{field}: expected true or false"


def _one_of(value: Any, field: str, *, words: tuple[str, ...]) -> Iterator[str]:
    if value not in words:
        yield f"{field}: expected {'one of ' if len(words) > 1 else ''}{', '.join(words)}"


def _day(value: Any, field: str) -> Iterator[str]:
    try:
        date.fromisoformat(value)
        well_formed = len(value) == 10
    except (TypeError, ValueError):
        well_formed = False
    if not well_formed:
        yield f"{field}: expected a date such as 2026-01-31"


def _pid(value: Any, field: str) -> Iterator[str]:
    problem = next(_text(value, field), "")
    if problem:
        yield problem
        return
    try:
        uri, _ = identifiers.pid(value)
    except IdentityRecordError as error:
        yield f"{field}: {error}"
    else:
        if uri != value:
            yield f"{field}: expected it in full, as {uri}"


def _link(value: Any, field: str) -> Iterator[str]:
    yield from _text(value, field, longest=_LINK)
    if isinstance(value, str) and not value.startswith(("https://", "http://", "urn:uuid:")):
        yield f"{field}: expected an address that begins with https://"


def _owner(value: Any, field: str) -> Iterator[str]:
    identifier = _identifier("ownerIdentifier")
    yield from _object(
        value, field, required={"ownerName": _text}, optional={"ownerContact": _text, "ownerIdentifier": identifier}
    )
    stated = value.get("ownerIdentifier") if isinstance(value, dict) else None
    if isinstance(stated, dict) and stated.get("ownerIdentifierType") == "ROR":
        try:
            given = stated.get("ownerIdentifier")
            if isinstance(given, str) and identifiers.ror(given) != given:
                yield f"{field}.ownerIdentifier: expected the ROR in full, as {identifiers.ror(given)}"
        except IdentityRecordError as error:
            yield f"{field}.ownerIdentifier: {error}"


def _object(value: Any, field: str, *, required: Mapping[str, _Check], optional: Mapping[str, _Check]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{field or 'the record'}: expected an object"
        return
    prefix = f"{field}." if field else ""
    checks = {**optional, **required}
    yield from (f"{prefix}{name}: missing" for name in required if name not in value)
    unknown = sorted(name for name in value if name not in checks)
    yield from (f"{prefix}{ascii(name)[:60]}: not a field that is known here" for name in unknown)
    for name, check in checks.items():
        if name in value:
            yield from check(value[name], prefix + name)


def _several(value: Any, field: str, *, of: _Check, least: int = 0) -> Iterator[str]:
    if not isinstance(value, list) or not least <= len(value) <= _MAX_ITEMS:
        yield f"{field}: expected a list of {least} to {_MAX_ITEMS} items"
        return
    for number, item in enumerate(value):
        yield from of(item, f"{field}[{number}]")


def _identifier(name: str) -> _Check:
    return partial(_object, required={name: _text, f"{name}Type": _text}, optional={})


def _named(name: str) -> _Check:
    return partial(
        _object, required={f"{name}Name": _text}, optional={f"{name}Identifier": _identifier(f"{name}Identifier")}
    )


# fmt: off
_RELATED_TYPES = ("ARK", "arXiv", "bibcode", "DOI", "EAN13", "EISSN", "Handle", "IGSN", "ISBN", "ISSN", "ISTC", "LISSN",
                  "PMID", "PURL", "RAiD", "RRID", "UPC", "URL", "URN", "w3id")
_RELATIONS = ("IsDescribedBy", "IsNewVersionOf", "IsPreviousVersionOf", "HasComponent", "IsComponentOf", "References",
              "HasMetadata", "WasUsedIn", "IsIdenticalTo", "IsAttachedTo")
# fmt: on
_MANUFACTURERS: _Check = partial(_several, of=_named("manufacturer"), least=1)
_REQUIRED: Mapping[str, _Check] = {
    "identifier": partial(
        _object,
        required={"identifier": _pid, "identifierType": partial(_one_of, words=("Handle", "DOI", "URL", "URN"))},
        optional={},
    ),
    "schemaVersion": partial(_one_of, words=(SCHEMA_VERSION,)),
    "landingPage": _link,
    "name": partial(_text, longest=_NAME),
    "owners": partial(_several, of=_owner, least=1),
}
_OPTIONAL: Mapping[str, _Check] = {
    "model": _named("model"),
    "description": partial(_text, longest=_TEXT, lines=True),
    "instrumentTypes": partial(_several, of=_named("instrumentType")),
    "measuredVariables": partial(_several, of=_text),
    "dates": partial(
        _several,
        of=partial(
            _object,
            required={"date": _day, "dateType": partial(_one_of, words=("Commissioned", "DeCommissioned"))},
            optional={},
        ),
    ),
    "relatedIdentifiers": partial(
        _several,
        of=partial(
            _object,
            required={
                "relatedIdentifier": partial(_text, longest=_LINK),
                "relatedIdentifierType": partial(_one_of, words=_RELATED_TYPES),
                "relationType": partial(_one_of, words=_RELATIONS),
            },
            optional={"relatedIdentifierName": _text},
        ),
    ),
    "alternateIdentifiers": partial(
        _several,
        of=partial(
            _object,
            required={
                "alternateIdentifier": _text,
                "alternateIdentifierType": partial(_one_of, words=("SerialNumber", "InventoryNumber", "Other")),
            },
            optional={"alternateIdentifierName": _text},
        ),
    ),
    # Whether the owner's contact may be shown to everybody; without a word, it is for operators only.
    "rawtrace": partial(_object, required={}, optional={"location": _text, "contactPublic": _flag}),
}
