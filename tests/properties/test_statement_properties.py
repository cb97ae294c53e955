"""Whatever a certified signer writes into its statements, verification answers, and answers in valid JSON."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rawtrace.render.html import as_html
from rawtrace.render.text import as_text
from rawtrace.report import Outcome, Report, Verdict, verdict_of
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.verify import verify

ROOT = Path(__file__).resolve().parents[2]
FORGER = SimpleNamespace(**runpy.run_path(str(ROOT / "tests/unit/verification/conftest.py")))
FORGE = SimpleNamespace(**runpy.run_path(str(ROOT / "tests/unit/sealing/forge.py")))
SCHEMA = json.loads((ROOT / "src/rawtrace/render/schema/report-1.json").read_text(encoding="utf-8"))

WORDS = [
    "version",
    "pid",
    "name",
    "size",
    "kind",
    "metadata",
    "values",
    "value",
    "file",
    "sha256",
    "inputs",
    "title",
    "seal",
    "label",
    "claim_sha256",
    "relationship",
    "supersedes",
    "sealed_at",
    "capture",
    "assurance",
    "signer_kind",
    "actions",
    "action",
    "when",
    "digitalSourceType",
    "operator",
]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["folder", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "manual", "raw.tif", "../x", "digitalCapture"]
)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXTS | st.binary(max_size=40)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | TEXTS, inner, max_size=6),
    max_leaves=25,
)
STATEMENTS = st.fixed_dictionaries(
    {},
    optional={
        label: st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=8) | VALUES
        for label in (
            "org.rawtrace.instrument",
            "org.rawtrace.acquisition",
            "org.rawtrace.inputs",
            "c2pa.actions.v2",
            "c2pa.ingredient.v3",
        )
    },
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "honest").mkdir()
    (folder / "a.dat").write_bytes(b"x")
    return folder


@pytest.fixture(scope="module")
def forger(place: Path) -> Any:
    return FORGER.Forger(place / "honest", FORGE)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements=STATEMENTS, merge=st.booleans(), instrument_signs=st.booleans())
def test_any_statement_is_answered_in_valid_json(
    statements: dict[str, Any],
    merge: bool,
    instrument_signs: bool,
    place: Path,
    forger: Any,
    instrument: Identity,
    workstation: Identity,
    trust_lists: tuple[TrustList, ...],
) -> None:
    signer = instrument if instrument_signs else workstation
    honest = forger.honest(signer)
    changes = {
        label: {**honest[label], **value} if merge and isinstance(value, dict) and label in honest else value
        for label, value in statements.items()
        if value is not None
    }
    path = forger.forged(place / "a.dat", signer, changes)
    report = verify(path, trust=trust_lists)
    check(report)


def check(report: Report) -> None:
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert report.verdict is verdict_of(report.findings)
    assert report.verdict is not Verdict.VERIFIED
    assert any(one.id == "bytes-unchanged" and one.outcome is Outcome.PASSED for one in report.findings)
    assert all(line.isprintable() for line in as_text(report, verbose=True).split("\n"))
    assert as_html([report]).startswith("<!doctype html>") or as_html([report]).startswith("<!DOCTYPE html>")
