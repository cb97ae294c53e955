import hashlib
import json
from datetime import date
from typing import Any

import pytest

from rawtrace.errors import IdentityRecordError, LimitError, MalformedError
from rawtrace.trust import instruments
from rawtrace.trust.certificates import SignerKind

OWNER = "https://ror.org/0exampe44"
INSTRUMENT = SignerKind.INSTRUMENT


def record(**fields: Any) -> dict[str, Any]:
    defaults = {"kind": INSTRUMENT, "name": "Widefield 1", "owner": OWNER, "manufacturer": "Example Optics"}
    return instruments.new_record(**(defaults | fields))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 5}, "name: expected text"),
        ({"name": "x" * 65}, "name: 65 characters"),
        ({"name": " padded"}, "begins or ends with a space"),
        ({"name": ""}, "neither is empty"),
        ({"name": "a\x00b"}, "control character"),
        ({"name": "a\u202egnp.tif"}, "control character"),
        ({"name": "\ud800"}, "control character"),
        ({"name": "two\nlines"}, "control character"),
        ({"owners": []}, "owners: expected a list of 1 to 50"),
        ({"owners": [{"ownerName": "x"}] * 51}, "owners: expected a list"),
        ({"owners": "me"}, "owners: expected a list"),
        ({"owners": [{}]}, "owners[0].ownerName: missing"),
        (
            {"owners": [{"ownerName": "x", "ownerIdentifier": {"ownerIdentifier": "https://ror.org/0exampe45",
                                                               "ownerIdentifierType": "ROR"}}]},
            "check digits",
        ),
        ({"manufacturers": [{"manufacturerName": None}]}, "manufacturers[0].manufacturerName: expected text"),
        ({"landingPage": "javascript:alert(1)"}, "landingPage: expected an address"),
        ({"identifier": {"identifier": "x", "identifierType": "Handle"}}, "not a PID"),
        ({"identifier": {"identifier": "hdl:20.500.12345/abc", "identifierType": "Handle"}}, "expected it in full"),
        (
            {"identifier": {"identifier": "https://hdl.handle.net/20.500.12345/abc", "identifierType": "DOI"}},
            "does not fit the identifier",
        ),
        ({"identifier": []}, "identifier: expected an object"),
        ({"schemaVersion": "9.9"}, "schemaVersion: expected 1.0"),
        ({"schemaVersion": {}}, "schemaVersion: expected 1.0"),
        ({"dates": [{"date": "31.1.2026", "dateType": "Commissioned"}]}, "dates[0].date: expected a date"),
        ({"dates": [{"date": "20260131", "dateType": "Commissioned"}]}, "dates[0].date: expected a date"),
        ({"dates": [{"date": "2026-01-31", "dateType": "Stolen"}]}, "dates[0].dateType: expected one of"),
        ({"surprise": 1}, "'surprise': not a field"),
        ({"rawtrace": {"location": "x" * 301}}, "rawtrace.location: 301 characters"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(IdentityRecordError) as caught:
        instruments.check_record(record() | change, INSTRUMENT)
    assert said in str(caught.value)


@pytest.mark.parametrize("value", [None, [], "x", 5, {}])
def test_what_is_no_record_at_all_is_refused(value: object) -> None:
    assert instruments.problems_of(value, INSTRUMENT)


def test_all_problems_are_listed_but_not_without_end() -> None:
    bad = {f"field{number}": 1 for number in range(500)}
    assert len(instruments.problems_of(bad, INSTRUMENT)) >= 500
    with pytest.raises(IdentityRecordError) as caught:
        instruments.check_record(bad, INSTRUMENT)
    assert "name: missing" in str(caught.value)
    assert "more" in str(caught.value)
    assert len(str(caught.value)) < 3000


def test_a_record_that_is_too_large_in_all_is_refused() -> None:
    related = [{"relatedIdentifier": "x" * 2000, "relatedIdentifierType": "URL", "relationType": "References"}] * 50
    assert "at most 65536" in " ".join(instruments.problems_of(record() | {"relatedIdentifiers": related}, INSTRUMENT))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"{", MalformedError),
        (b'{"name": 1, "name": 2}', MalformedError),
        (b"[" * 10_000, LimitError),
        (b" " * 70_000, LimitError),
        (b'{"name": "\xff"}', MalformedError),
        (b"[]", IdentityRecordError),
    ],
)
def test_hostile_bytes_are_refused_in_words(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        instruments.read_record(data, what="instrument.json", kind=INSTRUMENT)


def test_an_instrument_has_a_maker_a_workstation_need_not() -> None:
    bare = record()
    del bare["manufacturers"]
    assert instruments.problems_of(bare, INSTRUMENT) == ("manufacturers: missing",)
    assert instruments.problems_of(bare, SignerKind.WORKSTATION) == ()


def test_a_full_record_survives_writing_and_reading() -> None:
    full = record(
        owner_name="Example University",
        model="WF 100",
        serial="SN-0001",
        location="Room 1",
        pid="hdl:20.500.12345/abc",
        description="Two lines\nof text",
        instrument_type="fluorescence microscope",
        measured=("fluorescence",),
        commissioned=date(2026, 1, 31),
    )
    data = instruments.record_bytes(full)
    assert instruments.read_record(data, what="it", kind=INSTRUMENT) == full
    assert instruments.record_digest(full) == hashlib.sha256(data).digest()
    assert instruments.summary(full) == {
        "pid": "https://hdl.handle.net/20.500.12345/abc",
        "name": "Widefield 1",
        "manufacturer": "Example Optics",
        "model": "WF 100",
        "serial": "SN-0001",
        "owner": "Example University",
        "owner_ror": OWNER,
        "location": "Room 1",
    }


def test_the_names_are_those_of_pidinst() -> None:
    made = json.loads(instruments.record_bytes(record(serial="SN-0001")))
    assert made["schemaVersion"] == "1.0"
    assert made["identifier"]["identifierType"] == "URN"
    assert made["owners"][0]["ownerIdentifier"] == {"ownerIdentifier": OWNER, "ownerIdentifierType": "ROR"}
    assert made["alternateIdentifiers"][0]["alternateIdentifierType"] == "SerialNumber"


def test_moving_changes_the_place_and_nothing_else() -> None:
    before = record(location="Room 1")
    after = instruments.with_location(before, "Room 2")
    assert before["rawtrace"] == {"location": "Room 1"}
    assert after == before | {"rawtrace": {"location": "Room 2"}}


@pytest.mark.parametrize(("value", "fits"), [(True, True), (False, True), ("true", False), (1, False), (None, False)])
def test_whether_a_contact_is_public_is_true_or_false(value: object, fits: bool) -> None:
    made = record(location="Room 1")
    made["rawtrace"]["contactPublic"] = value
    assert (instruments.problems_of(made, INSTRUMENT) == ()) is fits


def test_contacts_are_in_the_public_record_only_if_it_says_so() -> None:
    made = record(location="Room 1")
    made["owners"][0]["ownerContact"] = "facility@example.org"
    assert "ownerContact" not in instruments.public_record(made)["owners"][0]
    assert "ownerContact" in made["owners"][0], "what was given stays as it was"
    made["rawtrace"]["contactPublic"] = True
    assert instruments.public_record(made) == made
