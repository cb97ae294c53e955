"""A report's verdict is the worst of its findings, and its JSON keeps to the schema whatever they say."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rawtrace.errors import NotVerifiedError
from rawtrace.report import Finding, Outcome, Report, Verdict, verdict_of, worst

SCHEMA = json.loads(
    (Path(__file__).resolve().parents[2] / "src/rawtrace/render/schema/report-1.json").read_text(encoding="utf-8")
)
#: Worst first, as the design words it; written down here a second time.
ORDER = ["rejected", "altered", "inconclusive", "no-seal", "verified-with-notes", "verified"]
CODES = {"rejected": 13, "altered": 12, "inconclusive": 11, "no-seal": 10, "verified-with-notes": 0, "verified": 0}
BEST = {"passed": "verified", "note": "verified-with-notes", "not-checked": "verified-with-notes"}

TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FINDINGS = st.lists(
    st.builds(
        Finding,
        id=st.text(min_size=1, max_size=20),
        step=st.integers(1, 99),
        outcome=st.sampled_from(Outcome),
        message=TEXT,
        subject=TEXT,
        hint=TEXT,
        evidence=st.dictionaries(TEXT, JSON, max_size=3),
    ),
    max_size=12,
).map(tuple)


def report_of(findings: tuple[Finding, ...]) -> Report:
    return Report(path="x", verdict=verdict_of(findings), summary="", findings=findings)


@given(FINDINGS)
def test_the_verdict_is_the_worst(findings: tuple[Finding, ...]) -> None:
    said = [BEST.get(str(one.outcome), str(one.outcome)) for one in findings]
    expected = min(said, key=ORDER.index, default="verified")
    assert str(verdict_of(findings)) == expected
    assert report_of(findings).exit_code == CODES[expected]


@given(FINDINGS)
def test_one_more_finding_makes_nothing_better(findings: tuple[Finding, ...]) -> None:
    for count in range(len(findings)):
        fewer, more = verdict_of(findings[:count]), verdict_of(findings[: count + 1])
        assert worst([fewer, more]) is more


@given(FINDINGS)
def test_json_keeps_to_the_schema(findings: tuple[Finding, ...]) -> None:
    document = json.loads(json.dumps(report_of(findings).to_dict(), allow_nan=False))
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    assert [one["id"] for one in document["findings"]] == [one.id for one in findings]


@given(FINDINGS)
def test_a_report_is_neither_true_nor_false(findings: tuple[Finding, ...]) -> None:
    report = report_of(findings)
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(report)
    if report.verdict in {Verdict.VERIFIED, Verdict.VERIFIED_WITH_NOTES}:
        report.raise_for_failure()
    else:
        with pytest.raises(NotVerifiedError, match=str(report.verdict)):
            report.raise_for_failure()
