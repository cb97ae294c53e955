"""An instrument as DataCite 4.5 describes it, in DataCite's JSON.

The mapping is the working group's own (``schema-datacite.rst``) and DataCite's (appendix on
PIDINST): manufacturers are creators, owners are hosting institutions, the name is the title.
A model and measured variables have no place of their own; they are technical descriptions
that begin with ``Model:`` and ``Measured variable:``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import IdentityRecordError, MalformedError
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.instruments import SCHEMA_VERSION
from rawtrace.trust.pidinst.plain import tidied
from rawtrace.trust.pidinst.relations import FROM_DATACITE, SHARED_TYPES, TO_DATACITE

MEDIA_TYPE = "application/vnd.datacite.datacite+json"
SCHEMA = "http://datacite.org/schema/kernel-4"
MAX_BYTES = 1 << 18
_MODEL, _VARIABLE = "Model: ", "Measured variable: "
_SCHEMES = {"ROR": "https://ror.org", "ISNI": "https://isni.org", "ORCID": "https://orcid.org"}


def to_datacite(record: Mapping[str, Any], *, publisher: str, year: int, url: str = "") -> dict[str, Any]:
    """Return a record as DataCite JSON.

    Parameters
    ----------
    publisher : str
        Who answers for the metadata: the trust store's name.
    year : int
        When the record was first published.
    url : str
        The landing page; the record's own where it is empty.

    Raises
    ------
    IdentityRecordError
        It names no manufacturer, and DataCite demands a creator.
    """
    if not record.get("manufacturers"):
        msg = f"{record['name']} has no manufacturer, and DataCite demands a creator"
        raise IdentityRecordError(msg)
    identifier = record["identifier"]["identifier"]
    document: dict[str, Any] = {
        "schemaVersion": SCHEMA,
        "identifiers": [{"identifier": identifier, "identifierType": record["identifier"]["identifierType"]}],
        "creators": [_party(one, "manufacturer") for one in record["manufacturers"]],
        "titles": [{"title": record["name"]}],
        "publisher": {"name": publisher},
        "publicationYear": year,
        "types": {"resourceTypeGeneral": "Instrument", "resourceType": "Instrument"},
        "contributors": [_party(one, "owner") | {"contributorType": "HostingInstitution"} for one in record["owners"]],
        "url": url or record["landingPage"],
    }
    if identifier.startswith("https://doi.org/"):
        document["doi"] = identifier.removeprefix("https://doi.org/")
    parts = {
        "subjects": [_subject(one) for one in record.get("instrumentTypes", ())],
        "descriptions": list(_descriptions(record)),
        "dates": _dates(record.get("dates", ())),
        "relatedIdentifiers": [one for one in map(_related, _all_related(record)) if one],
        "alternateIdentifiers": [_alternate(one) for one in record.get("alternateIdentifiers", ())],
    }
    return document | {name: value for name, value in parts.items() if value}


def left_out(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what DataCite cannot hold of a record, in words."""
    lost = []
    if any("ownerContact" in owner for owner in record["owners"]):
        lost.append("the owner's contact")
    if record.get("rawtrace", {}).get("location"):
        lost.append("where it stands")
    related = record.get("relatedIdentifiers", ())
    if any("relatedIdentifierName" in one for one in related):
        lost.append("names of related works")
    if any(_related(one) is None for one in related):
        lost.append("related works whose kind of identifier DataCite 4.5 does not know")
    if record.get("model", {}).get("modelIdentifier"):
        lost.append("that an identifier is the model's")
    if len(record.get("dates", ())) > len({one["dateType"] for one in record.get("dates", ())}):
        lost.append("all but the first and last day in service")
    return tuple(lost)


def read_datacite(data: bytes, *, what: str, kind: SignerKind = SignerKind.INSTRUMENT, pid: str = "") -> dict[str, Any]:
    """Return a record from the bytes of DataCite JSON; see ``from_datacite``."""
    return from_datacite(strictjson.loads(data, what=what, max_bytes=MAX_BYTES), kind=kind, pid=pid)


def from_datacite(document: object, *, kind: SignerKind = SignerKind.INSTRUMENT, pid: str = "") -> dict[str, Any]:
    """Return a record from DataCite JSON, also as DataCite's REST interface wraps it.

    Raises
    ------
    MalformedError
        Not DataCite JSON, or not about an instrument.
    IdentityRecordError
        What it says is not enough for a PIDINST record.
    """
    one = _unwrapped(document)
    general = _of(one.get("types"), "resourceTypeGeneral")
    if general not in {"Instrument", ""}:
        msg = f"the DataCite record is about a {general[:40]!r}; expected an Instrument"
        raise MalformedError(msg)
    record: dict[str, Any] = {
        "schemaVersion": SCHEMA_VERSION,
        "name": _title(one),
        "owners": [_from_party(party, "owner") for party in _hosts(one)],
        "manufacturers": [_from_party(party, "manufacturer") for party in _items(one, "creators")],
    }
    stated = _identifier(one)
    if stated:
        record["identifier"] = stated
    if isinstance(one.get("url"), str):
        record["landingPage"] = one["url"]
    _read_descriptions(one, record)
    record["instrumentTypes"] = [_from_subject(subject) for subject in _items(one, "subjects")]
    record["dates"] = list(_from_dates(_items(one, "dates")))
    record["relatedIdentifiers"] = [
        found for item in _items(one, "relatedIdentifiers") for found in _from_related(item)
    ]
    if "modelIdentifier" in record.get("model", {}):
        shown = record["model"]["modelIdentifier"]["modelIdentifier"]
        record["relatedIdentifiers"] = [
            item for item in record["relatedIdentifiers"] if item.get("relatedIdentifier") != shown
        ]
    record["alternateIdentifiers"] = [_from_alternate(item) for item in _alternates(one)]
    return tidied(record, kind=kind, pid=pid)


def _party(one: Mapping[str, Any], role: str) -> dict[str, Any]:
    party: dict[str, Any] = {"name": one[f"{role}Name"], "nameType": "Organizational"}
    identifier = one.get(f"{role}Identifier")
    if identifier:
        scheme = identifier[f"{role}IdentifierType"]
        named = {"nameIdentifier": identifier[f"{role}Identifier"], "nameIdentifierScheme": scheme}
        party["nameIdentifiers"] = [named | ({"schemeUri": _SCHEMES[scheme]} if scheme in _SCHEMES else {})]
    return party


def _from_party(party: Mapping[str, Any], role: str) -> dict[str, Any]:
    named: dict[str, Any] = {f"{role}Name": party.get("name", "")}
    for identifier in _items(party, "nameIdentifiers")[:1]:
        named[f"{role}Identifier"] = {
            f"{role}Identifier": identifier.get("nameIdentifier", ""),
            f"{role}IdentifierType": identifier.get("nameIdentifierScheme", ""),
        }
    return named


def _hosts(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    contributors = _items(one, "contributors")
    return [party for party in contributors if _of(party, "contributorType").lower() == "hostinginstitution"]


def _subject(one: Mapping[str, Any]) -> dict[str, str]:
    identifier = one.get("instrumentTypeIdentifier")
    if not identifier:
        return {"subject": one["instrumentTypeName"]}
    scheme = identifier["instrumentTypeIdentifierType"]
    return {
        "subject": one["instrumentTypeName"],
        "subjectScheme": scheme,
        "valueUri": identifier["instrumentTypeIdentifier"],
    }


def _from_subject(subject: Mapping[str, Any]) -> dict[str, Any]:
    named: dict[str, Any] = {"instrumentTypeName": subject.get("subject", "")}
    if subject.get("valueUri"):
        named["instrumentTypeIdentifier"] = {
            "instrumentTypeIdentifier": subject["valueUri"],
            "instrumentTypeIdentifierType": subject.get("subjectScheme") or "URL",
        }
    return named


def _descriptions(record: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    if record.get("description"):
        yield {"description": record["description"], "descriptionType": "Abstract"}
    if record.get("model"):
        yield {"description": _MODEL + record["model"]["modelName"], "descriptionType": "TechnicalInfo"}
    for variable in record.get("measuredVariables", ()):
        yield {"description": _VARIABLE + variable, "descriptionType": "TechnicalInfo"}


def _read_descriptions(one: Mapping[str, Any], record: dict[str, Any]) -> None:
    variables, texts = [], []
    for item in _items(one, "descriptions"):
        text = _of(item, "description").strip()
        technical = _of(item, "descriptionType") == "TechnicalInfo"
        if technical and text.startswith(_MODEL) and "model" not in record:
            record["model"] = {"modelName": text.removeprefix(_MODEL)}
        elif technical and text.startswith(_VARIABLE):
            variables.append(text.removeprefix(_VARIABLE))
        else:
            texts.append(text)
    record["measuredVariables"] = variables
    record["description"] = "\n\n".join(text for text in texts if text)


def _dates(dates: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    by_type: dict[str, list[str]] = {}
    for one in dates:
        by_type.setdefault(one["dateType"], []).append(one["date"])
    first = min(by_type.get("Commissioned", [""]))
    last = max(by_type.get("DeCommissioned", [""]))
    if not first and not last:
        return []
    return [{"date": f"{first}/{last}" if last else first, "dateType": "Available"}]


def _from_dates(dates: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    for one in dates:
        if _of(one, "dateType") != "Available":
            continue
        first, _, last = _of(one, "date").partition("/")
        for text, kind in ((first, "Commissioned"), (last, "DeCommissioned")):
            day = _day(text)
            if day:
                yield {"date": day, "dateType": kind}


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text.strip()[:10]).isoformat()
    except ValueError:
        return ""  # a year or month alone is no day, and none is guessed


def _all_related(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from record.get("relatedIdentifiers", ())
    model = record.get("model", {}).get("modelIdentifier")
    if model:
        yield {
            "relatedIdentifier": model["modelIdentifier"],
            "relatedIdentifierType": model["modelIdentifierType"],
            "relationType": "References",
        }


def _related(one: Mapping[str, Any]) -> dict[str, str] | None:
    kind = one["relatedIdentifierType"]
    if kind not in SHARED_TYPES:
        if not one["relatedIdentifier"].startswith(("https://", "http://")):
            return None
        kind = "URL"
    return {
        "relatedIdentifier": one["relatedIdentifier"],
        "relatedIdentifierType": kind,
        "relationType": TO_DATACITE[one["relationType"]],
    }


def _from_related(one: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    relation = FROM_DATACITE.get(_of(one, "relationType"))
    kind = _of(one, "relatedIdentifierType")
    if relation and kind in SHARED_TYPES:
        yield {
            "relatedIdentifier": _of(one, "relatedIdentifier"),
            "relatedIdentifierType": kind,
            "relationType": relation,
        }


def _alternate(one: Mapping[str, str]) -> dict[str, str]:
    kind = one["alternateIdentifierType"]
    # DataCite's type is free text, so that another kind is said by its own name.
    said = one.get("alternateIdentifierName", kind) if kind == "Other" else kind
    return {"alternateIdentifier": one["alternateIdentifier"], "alternateIdentifierType": said}


def _from_alternate(item: Mapping[str, Any]) -> dict[str, str]:
    said = _of(item, "alternateIdentifierType").strip()
    known = {"serialnumber": "SerialNumber", "inventorynumber": "InventoryNumber", "other": "Other", "": "Other"}
    kind = known.get(said.lower().replace(" ", ""))
    found = {"alternateIdentifier": _of(item, "alternateIdentifier"), "alternateIdentifierType": kind or "Other"}
    return found | ({} if kind else {"alternateIdentifierName": said})


def _alternates(one: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return _items(one, "alternateIdentifiers")


def _identifier(one: Mapping[str, Any]) -> dict[str, str]:
    if _of(one, "doi"):
        return {"identifier": _of(one, "doi"), "identifierType": "DOI"}
    for item in _items(one, "identifiers"):
        return {"identifier": _of(item, "identifier"), "identifierType": _of(item, "identifierType")}
    text = _of(one, "id")
    return {"identifier": text, "identifierType": "DOI"} if text else {}


def _title(one: Mapping[str, Any]) -> str:
    titles = _items(one, "titles")
    main = [item for item in titles if not item.get("titleType")] or titles
    return _of(main[0], "title") if main else ""


def _unwrapped(document: object) -> Mapping[str, Any]:
    if isinstance(document, Mapping) and isinstance(document.get("data"), Mapping):
        document = document["data"]
    if isinstance(document, Mapping) and isinstance(document.get("attributes"), Mapping):
        document = document["attributes"]
    if not isinstance(document, Mapping):
        msg = "a DataCite record is a JSON object, and this is none"
        raise MalformedError(msg)
    return document


def _items(one: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = one.get(name)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _of(one: object, name: str) -> str:
    value = one.get(name) if isinstance(one, Mapping) else None
    return value if isinstance(value, str) else ""
