"""PIDINST in every form: hostile input first, then that each form gives back what was put in."""

from __future__ import annotations

import contextlib
import json
import string
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rawtrace.errors import Error, IdentityRecordError, LimitError, MalformedError
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.instruments import problems_of
from rawtrace.trust.pidinst import datacite, datacitexml, epic, plain
from rawtrace.trust.pidinst.relations import FROM_DATACITE, SHARED_TYPES, TO_DATACITE

OWNER = "https://ror.org/0exampe44"
PID = "https://hdl.handle.net/20.500.12345/confocal-1"
RESOURCE = '<resource xmlns="http://datacite.org/schema/kernel-4">{}</resource>'
TITLED = RESOURCE.format("<titles><title>{}</title></titles>")

# --- hostile input ------------------------------------------------------------------------------------------------

BOMB = '<!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;&a;&a;">]>' + RESOURCE.format(
    "<titles><title>&b;</title></titles>"
)
REACH = '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + RESOURCE.format(
    "<titles><title>&x;</title></titles>"
)


@pytest.mark.parametrize(
    ("xml", "error"),
    [
        (BOMB, MalformedError),
        (REACH, MalformedError),
        (BOMB.replace("DOCTYPE", "doctype"), MalformedError),
        ('<?xml version="1.0"?><!DOCTYPE r SYSTEM "http://192.0.2.1/x.dtd"><resource/>', MalformedError),
        (RESOURCE.format("<titles><title>&nbsp;</title></titles>"), MalformedError),
        (RESOURCE.format("<a>" * 20 + "</a>" * 20), LimitError),
        (RESOURCE.format("<a/>" * 6000), LimitError),
        (RESOURCE.format(f"<a {' '.join(f'b{n}={chr(34)}{chr(34)}' for n in range(20))}/>"), LimitError),
        (RESOURCE.format("x" * datacite.MAX_BYTES), LimitError),
        ("<html><body/></html>", MalformedError),
        ("", MalformedError),
        ("<resource>", MalformedError),
        ("\x00", MalformedError),
        (RESOURCE.format("<resourceType resourceTypeGeneral='Dataset'/>"), MalformedError),
        (RESOURCE.format(""), IdentityRecordError),
    ],
)
def test_xml_that_is_no_instrument_is_refused(xml: str, error: type[Error]) -> None:
    with pytest.raises(error):
        datacitexml.read_datacite_xml(xml.encode(), what="the body")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_xml_in_another_encoding_hides_nothing(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + BOMB.replace("x", "\xe9", 1)
    with pytest.raises(MalformedError):
        datacitexml.read_datacite_xml(text.encode(encoding), what="the body")


@given(st.binary(max_size=200))
def test_any_bytes_give_an_error_in_words(data: bytes) -> None:
    for read in (plain.read_pidinst, datacite.read_datacite, datacitexml.read_datacite_xml, epic.read_epic):
        with pytest.raises(Error):
            read(data, what="the body")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([
            "identifier", "identifiers", "owners", "creators", "titles", "title", "contributors", "dates", "date",
            "types", "model", "subjects", "descriptions", "relatedIdentifiers", "alternateIdentifiers", "values",
            "type", "parsed_data", "data", "attributes", "url", "doi", "name", "manufacturers", "rawtrace",
        ]), inner, max_size=5)
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300)
@given(JSON)
def test_any_json_gives_a_record_or_an_error_in_words(value: Any) -> None:
    for read in (plain.from_pidinst, datacite.from_datacite, epic.from_epic):
        try:
            record = read(value)
        except Error:
            continue
        assert problems_of(record, SignerKind.INSTRUMENT) == ()


HANDLE_VALUES = st.tuples(st.sampled_from(sorted(epic.TYPES.values())), JSON.map(json.dumps) | st.text(max_size=20))


@settings(max_examples=200)
@given(st.lists(HANDLE_VALUES, max_size=6))
def test_any_handle_values_give_a_record_or_an_error_in_words(values: list[tuple[str, str]]) -> None:
    with contextlib.suppress(Error):
        epic.from_epic([{"type": kind, "parsed_data": data} for kind, data in values])


# --- round trips --------------------------------------------------------------------------------------------------

LETTERS = st.sampled_from(string.ascii_letters + string.digits + " .,-&<>\"'µéß語")
LINE = st.text(LETTERS, min_size=1, max_size=30).map(str.strip).filter(bool)
DAY = st.dates().map(lambda day: day.isoformat())


def _named(role: str) -> st.SearchStrategy[dict[str, Any]]:
    identifier = st.fixed_dictionaries(
        {f"{role}Identifier": LINE, f"{role}IdentifierType": st.sampled_from(["URL", "ISNI"])}
    )
    return st.fixed_dictionaries({f"{role}Name": LINE}, optional={f"{role}Identifier": identifier})


OWNERS = st.fixed_dictionaries(
    {"ownerName": LINE},
    optional={
        "ownerContact": LINE,
        "ownerIdentifier": st.just({"ownerIdentifier": OWNER, "ownerIdentifierType": "ROR"}),
    },
)
RELATED = st.fixed_dictionaries(
    {
        "relatedIdentifier": LINE,
        "relatedIdentifierType": st.sampled_from(sorted(SHARED_TYPES)),
        "relationType": st.sampled_from(sorted(TO_DATACITE)),
    },
    optional={"relatedIdentifierName": LINE},
)
ALTERNATE = st.fixed_dictionaries(
    {
        "alternateIdentifier": LINE,
        "alternateIdentifierType": st.sampled_from(["SerialNumber", "InventoryNumber", "Other"]),
    },
    optional={"alternateIdentifierName": LINE},
)
RECORDS = st.fixed_dictionaries(
    {
        "identifier": st.sampled_from(
            [
                {"identifier": PID, "identifierType": "Handle"},
                {"identifier": "https://doi.org/10.12345/abc", "identifierType": "DOI"},
                {"identifier": "urn:uuid:00000000-0000-4000-8000-000000000000", "identifierType": "URN"},
            ]
        ),
        "schemaVersion": st.just("1.0"),
        "landingPage": st.just("https://facility.example.org/confocal-1"),
        "name": LINE,
        "owners": st.lists(OWNERS, min_size=1, max_size=3),
        "manufacturers": st.lists(_named("manufacturer"), min_size=1, max_size=3),
    },
    optional={
        "model": _named("model"),
        "description": st.lists(LINE, min_size=1, max_size=3).map("\n".join),
        "instrumentTypes": st.lists(_named("instrumentType"), min_size=1, max_size=3),
        "measuredVariables": st.lists(LINE, min_size=1, max_size=3),
        "dates": st.lists(
            st.fixed_dictionaries({"date": DAY, "dateType": st.sampled_from(["Commissioned", "DeCommissioned"])}),
            min_size=1,
            max_size=3,
        ),
        "relatedIdentifiers": st.lists(RELATED, min_size=1, max_size=3),
        "alternateIdentifiers": st.lists(ALTERNATE, min_size=1, max_size=3),
        "rawtrace": st.fixed_dictionaries({"location": LINE}),
    },
)


@settings(max_examples=150)
@given(RECORDS)
def test_pidinst_gives_back_all_but_what_it_names(record: dict[str, Any]) -> None:
    assert problems_of(record, SignerKind.INSTRUMENT) == ()
    read = plain.read_pidinst(json.dumps(plain.to_pidinst(record)).encode(), what="x")
    lost = {"rawtrace"} if plain.left_out(record) else set()
    assert read == {name: value for name, value in record.items() if name not in lost}


@settings(max_examples=150)
@given(RECORDS)
def test_an_epic_handle_gives_back_all_of_pidinst(record: dict[str, Any]) -> None:
    written = epic.to_epic(record)
    assert all(isinstance(one["parsed_data"], str) for one in written)
    read = epic.read_epic(json.dumps(written).encode(), what="x")
    assert read == plain.to_pidinst(record)


@settings(max_examples=150)
@given(RECORDS)
def test_datacite_gives_back_all_but_what_it_names(record: dict[str, Any]) -> None:
    document = datacite.to_datacite(record, publisher="Example facility", year=2026)
    assert datacite.from_datacite(document) == _as_datacite_has_it(record)


@settings(max_examples=150)
@given(RECORDS)
def test_datacite_xml_says_the_same_as_the_json(record: dict[str, Any]) -> None:
    xml = datacitexml.to_datacite_xml(record, publisher="Example facility", year=2026)
    read = datacitexml.read_datacite_xml(xml, what="x")
    wanted = _as_datacite_has_it(record)
    # The landing page is registered with a DOI, and not part of its metadata.
    assert read == wanted | {"landingPage": record["identifier"]["identifier"]}


def _as_datacite_has_it(record: dict[str, Any]) -> dict[str, Any]:
    """What is left of a record, part by part as ``left_out`` names it."""
    wanted = {name: value for name, value in record.items() if name != "rawtrace"}
    wanted["owners"] = [{k: v for k, v in one.items() if k != "ownerContact"} for one in record["owners"]]
    listed = record.get("relatedIdentifiers", ())
    related = [{k: v for k, v in one.items() if k != "relatedIdentifierName"} for one in listed]
    model = record.get("model", {})
    if model:
        wanted["model"] = {"modelName": model["modelName"]}
        shown = model.get("modelIdentifier")
        if shown and (shown["modelIdentifierType"] in SHARED_TYPES or shown["modelIdentifier"].startswith("http")):
            kind = shown["modelIdentifierType"] if shown["modelIdentifierType"] in SHARED_TYPES else "URL"
            named = {"relatedIdentifier": shown["modelIdentifier"], "relatedIdentifierType": kind}
            related.append(named | {"relationType": "References"})
    if related:
        wanted["relatedIdentifiers"] = related
    days = record.get("dates", ())
    if days:
        first = [min(d)] if (d := [one["date"] for one in days if one["dateType"] == "Commissioned"]) else []
        last = [max(d)] if (d := [one["date"] for one in days if one["dateType"] == "DeCommissioned"]) else []
        wanted["dates"] = [{"date": day, "dateType": "Commissioned"} for day in first] + [
            {"date": day, "dateType": "DeCommissioned"} for day in last
        ]
    others = []
    for one in record.get("alternateIdentifiers", ()):
        kept = {k: v for k, v in one.items() if k != "alternateIdentifierName"}
        if one["alternateIdentifierType"] == "Other" and "alternateIdentifierName" in one:
            kept = datacite.from_datacite(_carrier(one["alternateIdentifierName"], one["alternateIdentifier"]))[
                "alternateIdentifiers"
            ][0]
        others.append(kept)
    if others:
        wanted["alternateIdentifiers"] = others
    return wanted


def _carrier(kind: str, value: str) -> dict[str, Any]:
    return {
        "doi": "10.12345/abc",
        "titles": [{"title": "x"}],
        "creators": [{"name": "x"}],
        "contributors": [{"name": "x", "contributorType": "HostingInstitution"}],
        "alternateIdentifiers": [{"alternateIdentifier": value, "alternateIdentifierType": kind}],
    }


# --- what others write --------------------------------------------------------------------------------------------


def test_a_handle_of_an_older_kind_is_read() -> None:
    kind = "21.T11148/"
    values = [
        {"type": "URL", "parsed_data": "https://facility.example.org/x"},
        {"type": kind + "8eb858ee0b12e8e463a5",
         "parsed_data": '{"identifierValue":"http://hdl.handle.net/20.500.12345/ctd","identiferType":"Handle"}'},
        {"type": kind + "9a15a4735d4bda329d80", "parsed_data": "https://facility.example.org/x"},
        {"type": kind + "709a23220f2c3d64d1e1", "parsed_data": "Example CTD"},
        {"type": kind + "4eaec4bc0f1df68ab2a7", "parsed_data": json.dumps([{"Owner": {
            "ownerName": "Example University",
            "ownerIdentifier": {"ownerIdentifierValue": "0exampe44", "ownerIdentifierType": "ror"}}}])},
        {"type": kind + "1f3e82ddf0697a497432", "parsed_data": json.dumps([{"manufacturer": {
            "ManufacturerName": "Example Sea", "manufacturerIdentifier": {
                "manufacturerIdentifierValue": "https://example.org/m", "manufacturerIdentifierType": "URL"}}}])},
        {"type": kind + "c1a0ec5ad347427f25d6", "parsed_data": json.dumps([{"Model": {"modelName": "M 37"}}])},
        {"type": kind + "55f8ebc805e65b5b71dd", "parsed_data": "Measures the sea."},
        {"type": kind + "f76ad9d0324302fc47dd", "parsed_data": '["CTD","thermistor"]'},
        {"type": kind + "72928b84e060d491ee41",
         "parsed_data": '[{"MeasuredVariable":{"VariableMeasured":"salinity"}},{"measuredVariable":"depth"}]'},
        {"type": kind + "22c62082a4d2d9ae2602", "data": {"format": "string", "value":
            '[{"Date":{"dateValue":"1999-11-01","dateType":"Commissioned"}}]'}},
        {"type": kind + "eb3c713572f681e6c4c3", "parsed_data": json.dumps([{"AlternateIdentifier": {
            "AlternateIdentifierValue": "2490", "alternateIdentifierType": "SerialNumber"}}])},
        {"type": kind + "178fb558abc755ca7046", "parsed_data": json.dumps([{"RelatedIdentifier": {
            "RelatedIdentifierValue": "https://example.org/leaflet.pdf", "RelatedIdentifierType": "URL",
            "relationType": "IsDescribedBy "}}])},
    ]  # fmt: skip
    record = epic.from_epic(values)
    assert record["identifier"] == {"identifier": "https://hdl.handle.net/20.500.12345/ctd", "identifierType": "Handle"}
    assert record["owners"][0]["ownerIdentifier"]["ownerIdentifier"] == OWNER
    assert record["manufacturers"][0]["manufacturerIdentifier"]["manufacturerIdentifier"] == "https://example.org/m"
    assert record["model"] == {"modelName": "M 37"}
    assert [one["instrumentTypeName"] for one in record["instrumentTypes"]] == ["CTD", "thermistor"]
    assert record["measuredVariables"] == ["salinity", "depth"]
    assert record["dates"] == [{"date": "1999-11-01", "dateType": "Commissioned"}]
    assert record["relatedIdentifiers"][0]["relationType"] == "IsDescribedBy"


def test_datacite_s_own_wrapping_is_read() -> None:
    attributes = _carrier("SerialNumber", "1") | {"types": {"resourceTypeGeneral": "Instrument"}}
    record = datacite.from_datacite({"data": {"id": "10.12345/abc", "attributes": attributes}})
    assert record["identifier"]["identifier"] == "https://doi.org/10.12345/abc"


def test_relations_lead_back() -> None:
    assert {ours: FROM_DATACITE[theirs] for ours, theirs in TO_DATACITE.items()} == {ours: ours for ours in TO_DATACITE}


def test_xml_holds_what_datacite_demands() -> None:
    record = plain.from_pidinst({
        "identifier": {"identifier": "10.12345/abc", "identifierType": "DOI"},
        "name": "A & B",
        "owners": [{"ownerName": "Example University",
                    "ownerIdentifier": {"ownerIdentifier": OWNER, "ownerIdentifierType": "ROR"}}],
        "manufacturers": [{"manufacturerName": "Example Optics"}],
    })  # fmt: skip
    xml = datacitexml.to_datacite_xml(record, publisher="P", year=2026)
    root = ElementTree.fromstring(xml)  # noqa: S314  our own
    name = {"d": "http://datacite.org/schema/kernel-4"}
    said = {
        path: root.findtext(f"d:{path}", namespaces=name)
        for path in ("identifier", "titles/d:title", "publisher", "publicationYear", "creators/d:creator/d:creatorName")
    }
    assert list(said.values()) == ["10.12345/abc", "A & B", "P", "2026", "Example Optics"]
    kind = root.find("d:resourceType", name)
    assert kind is not None
    assert kind.get("resourceTypeGeneral") == "Instrument"
    owner = root.find("d:contributors/d:contributor", name)
    assert owner is not None
    assert owner.get("contributorType") == "HostingInstitution"


def test_what_has_no_maker_is_not_written() -> None:
    record = {
        "name": "W",
        "owners": [{"ownerName": "O"}],
        "identifier": {"identifier": PID, "identifierType": "Handle"},
        "landingPage": PID,
    }
    with pytest.raises(IdentityRecordError):
        plain.to_pidinst(record)
    with pytest.raises(IdentityRecordError):
        datacite.to_datacite(record, publisher="P", year=2026)
    with pytest.raises(IdentityRecordError):
        epic.to_epic(record)
