"""PIDINST as the working group's own JSON schema has it, and the tidying that all foreign forms share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import IdentityRecordError, MalformedError
from rawtrace.trust import identifiers, instruments
from rawtrace.trust.certificates import SignerKind

MEDIA_TYPE = "application/vnd.pidinst+json"

_KNOWN = frozenset({
    "identifier", "schemaVersion", "landingPage", "name", "owners", "manufacturers", "model", "description",
    "instrumentTypes", "measuredVariables", "dates", "relatedIdentifiers", "alternateIdentifiers", "rawtrace",
})  # fmt: skip
_DOI, _HANDLE = "https://doi.org/", "https://hdl.handle.net/"
_OLD_RESOLVERS = {
    "http://doi.org/": _DOI,
    "http://dx.doi.org/": _DOI,
    "https://dx.doi.org/": _DOI,
    "http://hdl.handle.net/": _HANDLE,
}


def to_pidinst(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record as plain PIDINST 1.0.

    Raises
    ------
    IdentityRecordError
        It names no manufacturer, which PIDINST demands.
    """
    if not record.get("manufacturers"):
        msg = f"{record['name']} has no manufacturer, and a PIDINST record must name one"
        raise IdentityRecordError(msg)
    return {name: value for name, value in record.items() if name != "rawtrace"}


def left_out(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what plain PIDINST cannot hold of a record."""
    return ("where it stands",) if record.get("rawtrace", {}).get("location") else ()


def from_pidinst(document: object, *, kind: SignerKind = SignerKind.INSTRUMENT, pid: str = "") -> dict[str, Any]:
    """Return a record from PIDINST JSON that somebody else wrote.

    Parameters
    ----------
    document : object
        Parsed JSON; the ``rawtrace`` part may be there.
    pid : str
        Stands in where the document has no identifier.

    Raises
    ------
    MalformedError
        Not an object.
    IdentityRecordError
        All that does not fit, in one sentence.
    """
    if not isinstance(document, Mapping):
        msg = "a PIDINST record is a JSON object, and this is none"
        raise MalformedError(msg)
    return tidied(document, kind=kind, pid=pid)


def read_pidinst(data: bytes, *, what: str, kind: SignerKind = SignerKind.INSTRUMENT, pid: str = "") -> dict[str, Any]:
    """Return a record from the bytes of PIDINST JSON; see ``from_pidinst``."""
    return from_pidinst(strictjson.loads(data, what=what, max_bytes=instruments.MAX_RECORD_BYTES), kind=kind, pid=pid)


def tidied(document: Mapping[str, Any], *, kind: SignerKind, pid: str = "") -> dict[str, Any]:
    """Bring a record to the exact form that rawtrace keeps, and check it.

    Empty parts go, text loses the blanks around it, PIDs and RORs are written in full, and
    a landing page and the schema's version are filled in. Nothing else is guessed.

    Raises
    ------
    IdentityRecordError
    """
    record = {name: _trimmed(value) for name, value in document.items()}
    record = {name: value for name, value in record.items() if not (name in _KNOWN and value in (None, "", [], {}))}
    if pid and "identifier" not in record:
        record["identifier"] = {"identifier": pid}
    stated = record.get("identifier")
    if isinstance(stated, dict) and isinstance(stated.get("identifier"), str):
        uri, kind_of_pid = identifiers.pid(_full(stated["identifier"], str(stated.get("identifierType", ""))))
        record["identifier"] = {**stated, "identifier": uri, "identifierType": kind_of_pid}
        record.setdefault("landingPage", uri)
    record.setdefault("schemaVersion", instruments.SCHEMA_VERSION)
    for listed, name in (("owners", "ownerIdentifier"), ("manufacturers", "manufacturerIdentifier")):
        for item in _objects(record.get(listed)):
            _spell_ror(item, name)
    instruments.check_record(record, kind)
    return record


def _full(text: str, kind: str) -> str:
    for old, new in _OLD_RESOLVERS.items():
        if text.lower().startswith(old):
            return new + text[len(old) :]
    if text[:1].isdigit():
        short = kind.strip().lower()
        return {"doi": _DOI, "handle": _HANDLE}.get(short, "") + text
    return text


def _spell_ror(item: dict[str, Any], name: str) -> None:
    stated = item.get(name)
    if not isinstance(stated, dict) or str(stated.get(f"{name}Type", "")).upper() != "ROR":
        return
    stated[f"{name}Type"] = "ROR"
    try:
        stated[name] = identifiers.ror(str(stated.get(name, "")))
    except IdentityRecordError:
        return  # the check that follows says which field it is


def _objects(value: object) -> Iterable[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _trimmed(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\r\n", "\n").strip()
    if isinstance(value, list):
        return [_trimmed(item) for item in value]
    if isinstance(value, dict):
        return {name: _trimmed(item) for name, item in value.items() if item is not None}
    return value
