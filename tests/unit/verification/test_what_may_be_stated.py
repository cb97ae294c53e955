"""Step 8 and redactions, on manifests made of plain values: what a signer may state, and what was taken out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rawtrace.report import Outcome
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.model import Assertion, Manifest
from rawtrace.sealing.statements import instrument_statement
from rawtrace.trust.certificates import SignerKind
from rawtrace.trust.identity import Identity
from rawtrace.trust.path import PathResult
from rawtrace.verification import checks
from rawtrace.verification.signer import SignerEvidence
from rawtrace.verification.statement import check_statement

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def made(uri: str, *more: dict[str, Any], instrument: dict[str, Any] | None = None) -> Manifest:
    steps = [{"action": "c2pa.created", "digitalSourceType": uri}, *more]
    stated = [Assertion("c2pa.actions.v2", "cbor", {"actions": steps}, "", created=True)]
    if instrument is not None:
        stated.append(Assertion("org.rawtrace.instrument", "cbor", instrument, "", created=True))
    return Manifest("urn:c2pa:made", assertions=tuple(stated))


def ids(manifest: Manifest, leaf: Any) -> dict[str, Outcome]:
    signer = SignerEvidence(
        manifest=manifest,
        path=PathResult(anchor=None, trust_list=None, chain=(), problems=()),
        leaf=leaf,
        claimed_at=None,
        trusted_at=None,
        time_problems=(),
    )
    return {one.id: one.outcome for one in check_statement(signer)}


@pytest.mark.parametrize(
    "term", ["digitalCapture/", "DigitalCapture", "digitalCapture#", "digitalCapture?a", " digitalCapture "]
)
def test_what_reads_like_a_capture_is_one_fail(term: str, new_identity: Callable[..., Identity]) -> None:
    workstation = new_identity(SignerKind.WORKSTATION)
    assert "wrong-signer-kind" in ids(made(SOURCE_TYPES + term), workstation.chain[0])


def test_a_source_type_that_nobody_knows_is_said(new_identity: Callable[..., Identity]) -> None:
    workstation = new_identity(SignerKind.WORKSTATION)
    found = ids(made(SOURCE_TYPES + "telepathy"), workstation.chain[0])
    assert found["source-type-unknown"] is Outcome.NOTE
    assert "wrong-signer-kind" not in found


def test_an_instrument_names_no_later_step_fail(instrument: Identity) -> None:
    capture = SOURCE_TYPES + "digitalCapture"
    assert "wrong-signer-kind" in ids(made(capture, {"action": "c2pa.cropped"}), instrument.chain[0])
    assert "wrong-signer-kind" not in ids(made(capture), instrument.chain[0])


def test_who_is_of_no_kind_names_nobodys_instrument_fail(instrument: Identity) -> None:
    authority = instrument.chain[1]
    stated = {"pid": "https://hdl.handle.net/20.500.12345/abc", "signer_kind": "instrument"}
    found = ids(made(SOURCE_TYPES + "algorithmicMedia", instrument=stated), authority)
    assert found["statement-unbacked"] is Outcome.INCONCLUSIVE
    assert "statement-fits" not in found


@pytest.mark.parametrize(
    ("label", "identifier", "outcome"),
    [
        ("c2pa.ingredient.v3__1", "ancestors-redacted", Outcome.INCONCLUSIVE),
        ("org.rawtrace.inputs", "ancestors-redacted", Outcome.INCONCLUSIVE),
        ("org.rawtrace.instrument", "statement-redacted", Outcome.NOTE),
    ],
)
def test_what_was_taken_out_is_said_fail(label: str, identifier: str, outcome: Outcome) -> None:
    found = {one.id: one.outcome for one in checks.check_envelope(Manifest("urn:c2pa:old", redacted=(label,)), None)}
    assert found[identifier] is outcome


@pytest.mark.parametrize("field", ["name", "manufacturer", "model", "serial", "owner", "owner_ror", "location"])
def test_an_instrument_that_describes_itself_otherwise_than_certified_fail(field: str, instrument: Identity) -> None:
    honest = instrument_statement(instrument, Capture.ENGINE_HOOK)
    capture = SOURCE_TYPES + "digitalCapture"
    assert "statement-fits" in ids(made(capture, instrument=honest), instrument.chain[0])
    for lie in ({**honest, field: "Another Maker"}, {key: value for key, value in honest.items() if key != field}):
        assert "statement-contradicts-certificate" in ids(made(capture, instrument=lie), instrument.chain[0])


@pytest.mark.parametrize("record", [None, "", "{}", 7, "\udcff", "[" * 5000, '{"name": "another"}'])
def test_a_record_that_is_not_the_certified_one_fail(record: Any, instrument: Identity) -> None:
    lie = {**instrument_statement(instrument, Capture.ENGINE_HOOK), "record": record}
    found = ids(made(SOURCE_TYPES + "digitalCapture", instrument=lie), instrument.chain[0])
    assert "statement-contradicts-certificate" in found
