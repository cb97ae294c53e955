"""The catalogue of findings is complete: nothing in the code is missing from it, nothing in it unused or untested."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rawtrace.verification
from rawtrace.report import Outcome
from rawtrace.verification.findings import CATALOGUE, Step, finding

SOURCE = Path(rawtrace.verification.__file__).parent
TESTS = Path(__file__).resolve().parents[2]
#: Ids that the code puts together from parts.
COMPOSED = {"capture-watched-folder", "capture-manual", "capture-upload"}


def literals() -> Iterator[str]:
    """Every id that the code hands to ``finding``, or passes on to it."""
    for path in SOURCE.glob("*.py"):
        if path.name == "findings.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"finding", "_members"}:
                yield from (
                    one.value
                    for one in ast.walk(node.args[0])
                    if isinstance(one, ast.Constant) and "{" not in one.value
                )


def test_every_id_in_the_code_is_in_the_catalogue() -> None:
    found = {one for one in literals() if one != "capture-"}
    assert sorted(found - set(CATALOGUE)) == []


def test_every_id_of_the_catalogue_is_in_the_code() -> None:
    assert sorted(set(CATALOGUE) - set(literals()) - COMPOSED) == []


def test_every_id_is_reached_by_a_test_or_a_case() -> None:
    said = " ".join(
        path.read_text(encoding="utf-8")
        for path in [*TESTS.rglob("test_*.py"), *TESTS.rglob("expected.json")]
        if path != Path(__file__).resolve()
    )
    assert [one for one in CATALOGUE if not re.search(rf'"{one}"', said)] == []


def test_an_id_that_nobody_knows_is_a_slip_fail() -> None:
    with pytest.raises(KeyError):
        finding("no-such-finding", "x")


@pytest.mark.parametrize("identifier", CATALOGUE)
def test_an_entry(identifier: str) -> None:
    kind = CATALOGUE[identifier]
    assert kind.id == identifier
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", identifier)
    assert kind.step in Step
    assert kind.meaning
    assert not kind.meaning.endswith(".")
    assert not re.search(r"!|fraud|fake|manipulat|tamper|guilt|misconduct|suspicio", kind.meaning + kind.hint)
    made = finding(identifier, "a sentence", subject="s", evidence={"a": 1})
    assert (made.step, made.outcome, made.hint) == (int(kind.step), kind.outcome, kind.hint)
    json.dumps(made.evidence)


def test_only_notes_and_open_questions_can_be_weighed() -> None:
    assert {kind.id for kind in CATALOGUE.values() if kind.choices and kind.outcome is Outcome.ALTERED} == {
        "bytes-converted"
    }
    weighed = {kind.outcome for kind in CATALOGUE.values() if kind.choices and kind.id != "bytes-converted"}
    assert weighed == {Outcome.NOTE, Outcome.INCONCLUSIVE}
    allowed = {choice for kind in CATALOGUE.values() for choice in kind.choices}
    assert allowed == {Outcome.PASSED, Outcome.NOTE, Outcome.INCONCLUSIVE, Outcome.REJECTED}
    assert not any(Outcome.PASSED in k.choices for k in CATALOGUE.values() if k.outcome is Outcome.INCONCLUSIVE)
