"""An instrument as the values of an ePIC or B2INST handle.

One value per property; its type is the handle of a data type, its data a string: plain text, or
JSON in which each item stands in a wrapper (``[{"Owner": {…}}]``). Published records disagree
about letter case, spell ``identiferType``, use types of an older registry and leave the wrappers
out: all of that is read. What is written is one form only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import Error, MalformedError
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.pidinst.plain import tidied, to_pidinst

MEDIA_TYPE = "application/vnd.epic.handle+json"
MAX_BYTES = 1 << 18
_MAX_VALUES = 200
_REGISTRY = "21.T11148/"
_TYPES = {
    "identifier": "8eb858ee0b12e8e463a5",
    "schemaVersion": "aa24da8ba845c23ea75c",
    "landingPage": "e0efc41346cda4ba84ca",
    "name": "ab8d232261b9b60ba559",
    "owners": "4eaec4bc0f1df68ab2a7",
    "manufacturers": "1f3e82ddf0697a497432",
    "model": "c1a0ec5ad347427f25d6",
    "description": "f1627ce85386d8d75078",
    "instrumentTypes": "c60c8da7fff2ef4f98ce",
    "measuredVariables": "72928b84e060d491ee41",
    "dates": "22c62082a4d2d9ae2602",
    "alternateIdentifiers": "eb3c713572f681e6c4c3",
    "relatedIdentifiers": "178fb558abc755ca7046",
}
#: The data type of each property, as a handle.
TYPES: Mapping[str, str] = {name: _REGISTRY + suffix for name, suffix in _TYPES.items()}
_OLDER = {
    "9a15a4735d4bda329d80": "landingPage",
    "709a23220f2c3d64d1e1": "name",
    "55f8ebc805e65b5b71dd": "description",
    "f76ad9d0324302fc47dd": "instrumentTypes",
}
_PROPERTIES = {suffix: name for name, suffix in _TYPES.items()} | _OLDER
_WRAPPERS = {
    "owners": "Owner",
    "manufacturers": "Manufacturer",
    "instrumentTypes": "InstrumentType",
    "measuredVariables": "MeasuredVariable",
    "dates": "Date",
    "alternateIdentifiers": "AlternateIdentifier",
    "relatedIdentifiers": "RelatedIdentifier",
}


def epic_values(record: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return a record as handle values: the type's handle and the data, one for each property that is there.

    Raises
    ------
    IdentityRecordError
        It names no manufacturer, which PIDINST demands.
    """
    plain = to_pidinst(record)
    return tuple((TYPES[name], _written(name, plain[name])) for name in _TYPES if name in plain)


def to_epic(record: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return a record in the JSON of the ePIC interface: ``URL``, then one object per property."""
    values = [("URL", record["landingPage"]), *epic_values(record)]
    return [{"type": kind, "parsed_data": data} for kind, data in values]


def read_epic(data: bytes, *, what: str, kind: SignerKind = SignerKind.INSTRUMENT, pid: str = "") -> dict[str, Any]:
    """Return a record from the bytes of a handle's values; see ``from_epic``."""
    return from_epic(strictjson.loads(data, what=what, max_bytes=MAX_BYTES), kind=kind, pid=pid)


def from_epic(document: object, *, kind: SignerKind = SignerKind.INSTRUMENT, pid: str = "") -> dict[str, Any]:
    """Return a record from the values of a handle.

    Parameters
    ----------
    document : object
        A list of ``{"type", "parsed_data" | "data"}``, or a handle record with such ``values``.

    Raises
    ------
    MalformedError
        Not such a list, or a value is not the JSON that its type asks for.
    IdentityRecordError
        What it says is not enough for a PIDINST record.
    """
    values = document.get("values") if isinstance(document, Mapping) else document
    if not isinstance(values, list) or len(values) > _MAX_VALUES:
        msg = f"an ePIC record is a list of at most {_MAX_VALUES} handle values, and this is none"
        raise MalformedError(msg)
    record: dict[str, Any] = {}
    for value in values:
        if isinstance(value, Mapping):
            name = _PROPERTIES.get(str(value.get("type", "")).rpartition("/")[2], "")
            if name and name not in record:
                record[name] = _read(name, _data(value))
    if isinstance(document, Mapping) and "identifier" not in record and isinstance(document.get("handle"), str):
        record["identifier"] = {"identifier": document["handle"], "identifierType": "Handle"}
    return tidied(record, kind=kind, pid=pid)


def _written(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if name == "identifier":
        value = {"identifierValue": value["identifier"], "identifierType": value["identifierType"]}
    elif name == "measuredVariables":
        value = [{"MeasuredVariable": {"variableMeasured": variable}} for variable in value]
    elif name == "model":
        value = _valued(value)
    else:
        value = [{_WRAPPERS[name]: _valued(item)} for item in value]
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _valued(item: Mapping[str, Any]) -> dict[str, Any]:
    """Give each identifier, and a date, the ending ``Value`` that tells it from the object around it."""
    bare = {"alternateIdentifier", "relatedIdentifier", "date"}
    result: dict[str, Any] = {}
    for name, value in item.items():
        if isinstance(value, Mapping):
            result[name] = {(f"{key}Value" if key == name else key): inner for key, inner in value.items()}
        else:
            result[f"{name}Value" if name in bare else name] = value
    return result


def _data(value: Mapping[str, Any]) -> Any:
    data = value.get("parsed_data", value.get("data"))
    return data.get("value") if isinstance(data, Mapping) and "format" in data else data


def _read(name: str, data: Any) -> Any:
    if name in {"schemaVersion", "landingPage", "name", "description"}:
        return data
    if isinstance(data, str):
        try:
            data = strictjson.loads(data, what=f"the handle value of {name}", max_bytes=MAX_BYTES)
        except Error:
            if name not in {"instrumentTypes", "measuredVariables", "model"}:
                raise
    reader = _READERS.get(name)
    return reader(data) if reader else [_object(item, name) for item in _several(data)]


def _identifier(data: Any) -> dict[str, Any]:
    found = _lower(data)
    return {
        "identifier": found.get("identifiervalue", found.get("identifier", "")),
        # The working group's own example spells it with one i.
        "identifierType": found.get("identifiertype", found.get("identifertype", "Handle")),
    }


def _model(data: Any) -> Any:
    first = _several(data)[:1]
    return None if not first else _object(first[0], "model", bare="modelName")


def _types(data: Any) -> list[Any]:
    return [_object(item, "instrumentTypes", bare="instrumentTypeName") for item in _several(data)]


def _variables(data: Any) -> list[Any]:
    found = []
    for item in _several(data):
        inner = item
        while isinstance(inner, Mapping) and len(inner) == 1:
            inner = next(iter(inner.values()))
        found.append(inner)
    return found


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "identifier": _identifier,
    "model": _model,
    "instrumentTypes": _types,
    "measuredVariables": _variables,
}
#: The singular that begins the names within each property, in PIDINST's own spelling.
_STEMS = {
    "owners": "owner",
    "manufacturers": "manufacturer",
    "model": "model",
    "instrumentTypes": "instrumentType",
    "dates": "date",
    "alternateIdentifiers": "alternateIdentifier",
    "relatedIdentifiers": "relatedIdentifier",
}
_ENDINGS = ("", "Type", "Name", "Contact", "Identifier", "IdentifierType")
_SPELLED: Mapping[str, Mapping[str, str]] = {
    name: {(stem + ending).lower(): stem + ending for ending in _ENDINGS} | {"relationtype": "relationType"}
    for name, stem in _STEMS.items()
}


def _object(item: Any, name: str, *, bare: str = "") -> Any:
    if isinstance(item, Mapping) and len(item) == 1:
        (key, inner), stem = next(iter(item.items())), _STEMS[name]
        if str(key).lower() == stem.lower() and isinstance(inner, Mapping):
            item = inner
    if not isinstance(item, Mapping):
        return {bare: item} if bare else item
    result: dict[str, Any] = {}
    for key, value in item.items():
        spelled = _spelling(str(key), _SPELLED[name])
        if isinstance(value, Mapping):
            value = {_spelling(str(inner), _SPELLED[name]): content for inner, content in value.items()}
            # An identifier within an object bears that object's name.
            value = {(spelled if inner == "value" else inner): content for inner, content in value.items()}
        result[spelled] = value
    return result


def _spelling(key: str, spelled: Mapping[str, str]) -> str:
    low = key.lower()
    return spelled.get(low) or spelled.get(low.removesuffix("value")) or key


def _lower(data: Any) -> dict[str, Any]:
    return {str(key).lower(): value for key, value in data.items()} if isinstance(data, Mapping) else {}


def _several(data: Any) -> Sequence[Any]:
    if data is None:
        return []
    return data if isinstance(data, list) else [data]
