"""The values that a report is made of."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from rawtrace.report import REPORT_SCHEMA, ChainLink, Finding, Outcome, Report, SealFacts, Verdict, worst


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        ("verified", 0),
        ("verified-with-notes", 0),
        ("no-seal", 10),
        ("inconclusive", 11),
        ("altered", 12),
        ("rejected", 13),
    ],
)
def test_exit_codes(verdict: str, code: int) -> None:
    assert Verdict(verdict).exit_code == code


def test_there_are_six_verdicts_and_none_is_the_best_of_nothing() -> None:
    assert len(Verdict) == 6
    assert worst([]) is Verdict.VERIFIED
    assert {outcome.verdict for outcome in Outcome} == set(Verdict)


def test_what_was_not_checked_never_passed() -> None:
    assert Outcome.NOT_CHECKED.verdict is not Verdict.VERIFIED


def test_values_do_not_change() -> None:
    made = Finding(id="x", step=1, outcome=Outcome.PASSED, message="m")
    with pytest.raises(FrozenInstanceError):
        made.step = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        Finding("x", 1, Outcome.PASSED, "m")  # type: ignore[misc]


def test_a_report_as_json_types() -> None:
    seal = SealFacts(label="l", claim_sha256="c")
    link = ChainLink(key="l", title="t", verdict=Verdict.VERIFIED, seal=seal)
    found = Finding(id="x", step=1, outcome=Outcome.NOTE, message="m", evidence={"a": [1, None]})
    value = Report(
        path="p", verdict=Verdict.VERIFIED, summary="s", findings=(found,), seal=seal, chain=(link,)
    ).to_dict()
    assert json.loads(json.dumps(value))["findings"][0]["evidence"] == {"a": [1, None]}
    assert (value["schema"], value["verdict"], value["chain"][0]["parents"]) == (REPORT_SCHEMA, "verified", ())
