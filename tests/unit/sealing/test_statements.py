"""What real seals say satisfies the published schemas, and is attested by the signer."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import rawtrace.sealing
from rawtrace import strictjson
from rawtrace.image.metadata import Harvest, Value
from rawtrace.sealing import assertions, manifest
from rawtrace.sealing.assertions import Capture, Relationship
from rawtrace.sealing.seal import seal
from rawtrace.sealing.statements import (
    INLINE_METADATA_BYTES,
    Subject,
    Superseded,
    acquisition_statement,
    actions,
    assurance,
    instrument_statement,
)
from rawtrace.trust.identity import Identity

SCHEMAS = {
    f"org.rawtrace.{path.name.removesuffix('-1.json')}": json.loads(path.read_text(encoding="utf-8"))
    for path in (Path(rawtrace.sealing.__file__).parent / "schema").glob("*-1.json")
}
WHEN = datetime(2026, 3, 1, 12, 0, 0, 123, tzinfo=UTC)


def check(label: str, data: Any) -> None:
    """Validate against the schema, and refuse what it does not name: this version writes no more."""
    schema = copy.deepcopy(SCHEMAS[label])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(data)
    assert set(data) <= set(schema["properties"])


def acquisition(harvest: Harvest, **options: Any) -> tuple[dict[str, Any], bytes | None]:
    known: dict[str, Any] = {"sealed_at": WHEN, "software": "rawtrace 1", "operator": "", "supersedes": None}
    subject = options.pop("subject", Subject(name="a.tif", kind="file", size=7))
    return acquisition_statement(subject, harvest, **(known | options))


def harvest_of(*values: Value) -> Harvest:
    return Harvest(media_type="image/tiff", format="TIFF", values=values, notes=())


def test_every_statement_has_a_schema_and_only_those() -> None:
    assert set(SCHEMAS) == set(assertions.VERSIONS)


@pytest.fixture(scope="module")
def sealed(
    tmp_path_factory: pytest.TempPathFactory, instrument: Identity, workstation: Identity, self_instrument: Identity
) -> list[dict[str, Any]]:
    """Statements of real seals: file, folder, superseding, operator, sealed and unsealed ancestors, self-certified."""
    place = tmp_path_factory.mktemp("sealed")
    (place / "raw.zarr").mkdir()
    (place / "raw.zarr" / "zarr.json").write_text("{}")
    for name in ("raw.tif", "figure.png", "panel.png", "unsealed.csv", "alone.dat"):
        (place / name).write_bytes(name.encode())
    made = [
        seal(place / "raw.tif", signer=instrument, operator="https://orcid.org/0000-0002-1825-0097"),
        seal(place / "raw.zarr", signer=instrument, capture=Capture.WATCHED_FOLDER),
        seal(place / "figure.png", signer=workstation, parents=[place / "raw.tif"]),
        seal(
            place / "panel.png",
            signer=workstation,
            parents=[place / "raw.tif", place / "raw.zarr", place / "unsealed.csv"],
        ),
        seal(place / "alone.dat", signer=self_instrument),
    ]
    (place / "raw.zarr" / "more").write_bytes(b"x")
    result = []
    for one in [*made, seal(place / "raw.zarr", signer=instrument, supersede=True)]:
        path = one.sidecar
        assert path is not None
        if not path.read_bytes():
            continue
        active = manifest.read_store(path.read_bytes()).active_manifest
        result.append({item.label: item for item in active.assertions})
    return result


def test_real_seals_satisfy_the_schemas(sealed: list[dict[str, Any]]) -> None:
    seen = set()
    for items in sealed:
        for label, item in items.items():
            if label in SCHEMAS:
                check(label, item.data)
                seen.add(label)
    assert seen == set(SCHEMAS)


def test_every_statement_is_attested(sealed: list[dict[str, Any]]) -> None:
    assert [label for items in sealed for label, item in items.items() if not item.created] == []


@pytest.mark.parametrize(
    ("label", "change"),
    [
        ("org.rawtrace.acquisition", {"size": -1}),
        ("org.rawtrace.acquisition", {"size": "7"}),
        ("org.rawtrace.acquisition", {"kind": "pipe"}),
        ("org.rawtrace.instrument", {"capture": "found"}),
        ("org.rawtrace.instrument", {"assurance": "perfect"}),
        ("org.rawtrace.instrument", {"version": "1"}),
        ("org.rawtrace.inputs", {"inputs": {}}),
    ],
)
def test_the_schemas_refuse_what_is_wrong_fail(sealed: list[dict[str, Any]], label: str, change: Any) -> None:
    good = next(items[label].data for items in sealed if label in items)
    with pytest.raises(jsonschema.ValidationError):
        check(label, {**good, **change})


def test_metadata_of_64_kilobytes_is_the_last_that_lies_inside() -> None:
    def made(length: int) -> tuple[dict[str, Any], bytes | None]:
        return acquisition(harvest_of(Value(name="sample.name", value="x" * length, source="tag")))

    empty = len(strictjson.dumps({k: v for k, v in made(0)[0]["metadata"].items() if k != "sha256"}))
    inside, companion = made(INLINE_METADATA_BYTES - empty)
    assert companion is None
    check(assertions.ACQUISITION, inside)
    outside, companion = made(INLINE_METADATA_BYTES - empty + 1)
    assert companion is not None
    assert outside["metadata"]["sha256"] == hashlib.sha256(companion).hexdigest()
    assert len(companion) == outside["metadata"]["bytes"] == INLINE_METADATA_BYTES + 1
    check(assertions.ACQUISITION, outside)


def test_the_digest_of_metadata_inside_can_be_repeated() -> None:
    said, _ = acquisition(harvest_of(Value(name="sample.name", value="µ", source="tag")))
    metadata = dict(said["metadata"])
    stated = metadata.pop("sha256")
    assert hashlib.sha256(strictjson.dumps(metadata)).hexdigest() == stated


def test_what_is_not_known_is_not_stated() -> None:
    said, _ = acquisition(harvest_of())
    assert set(said) == {"version", "name", "kind", "media_type", "size", "sealed_at", "software", "metadata"}
    said, _ = acquisition(
        harvest_of(Value(name="acquisition.time", value="2026-03-01T10:00:00Z", source="EXIF")),
        operator="https://orcid.org/0000-0002-1825-0097",
        supersedes=Superseded(label="urn:c2pa:1", claim_sha256="ab" * 32),
        subject=Subject(name="odd-\udcff.zarr", kind="folder", size=0, members=3),
    )
    check(assertions.ACQUISITION, said)
    assert (said["members"], said["name"]) == (3, "odd-\\udcff.zarr")
    assert said["acquired"] == {"time": "2026-03-01T10:00:00Z", "source": "EXIF"}


def test_assurance_is_what_the_certificate_says_and_not_what_the_folder_hopes(
    instrument: Identity, workstation: Identity, self_instrument: Identity
) -> None:
    assert assurance(instrument) == "instrument-software-key"
    assert assurance(workstation) == "workstation"
    assert assurance(self_instrument) == "self"
    said = instrument_statement(self_instrument, Capture.MANUAL)
    assert (said["signer_kind"], said["assurance"]) == ("self", "self")


def test_an_instrument_without_serial_number_says_nothing_of_it(instrument: Identity) -> None:
    record = {k: v for k, v in instrument.record.items() if k != "alternateIdentifiers"}
    said = instrument_statement(replace(instrument, record=record), Capture.UPLOAD)
    assert all(value for value in said.values())
    assert "serial" not in said


def test_one_parent_is_opened_and_others_are_placed() -> None:
    parent, part = Relationship.PARENT_OF, Relationship.COMPONENT_OF
    names = lambda *a: [step["action"] for step in actions(*a, when=WHEN, software="s")]  # noqa: E731
    assert names("digitalCapture", [], []) == ["c2pa.created"]
    assert names("humanEdits", [parent], ["a"]) == ["c2pa.opened", "c2pa.edited"]
    assert names("composite", [part, part], ["a", "b"]) == ["c2pa.created", "c2pa.placed", "c2pa.placed"]
