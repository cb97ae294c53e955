"""The JSON Schema of a report, the page that explains it, and the reports that rawtrace makes agree."""

from __future__ import annotations

import copy
import dataclasses
import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import samples

from rawtrace.report import REPORT_SCHEMA, ChainLink, Finding, Outcome, Report, SealFacts, Verdict

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "src/rawtrace/render/schema/report-1.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/spec/report.md").read_text(encoding="utf-8")


def closed(schema: Any) -> Any:
    """The same schema, refusing every field that it does not name: for what this version writes."""
    schema = copy.deepcopy(schema)
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
    return schema


def as_json(report: Report) -> Any:
    return json.loads(json.dumps(report.to_dict()))


def check(document: Any, schema: Any = SCHEMA) -> None:
    jsonschema.Draft202012Validator(schema).validate(document)


def test_the_schema_is_one_and_bears_the_name_of_the_report() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == SCHEMA["properties"]["schema"]["const"] == REPORT_SCHEMA


REPORTS = {
    **{str(report.verdict): report for report in samples.every_verdict()},
    "many findings": samples.altered(40),
    "long chain": dataclasses.replace(samples.noted(), chain=samples.long_chain()),
    "several parents": dataclasses.replace(samples.noted(), chain=samples.wide_chain()),
    "nothing optional": Report(path="", verdict=Verdict.VERIFIED, summary="", findings=()),
    "no next update": dataclasses.replace(samples.noted(), trust=({**samples.TRUST[0], "next_update": None},)),
    "hostile text": dataclasses.replace(samples.hostile("\x1b[2J\u202e\udcff<x>"), trust=()),
}


@pytest.mark.parametrize("name", REPORTS)
def test_reports_satisfy_the_schema_and_hold_no_other_fields(name: str) -> None:
    check(as_json(REPORTS[name]), closed(SCHEMA))


def test_a_field_of_a_later_release_is_no_fault() -> None:
    check({**as_json(samples.noted()), "new": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verdict", "fine"),
        ("findings", None),
        ("schema", "urn:rawtrace:schema:report:2"),
        ("seal", []),
        ("cost", {"seconds": -1}),
    ],
)
def test_what_is_no_report_fails(name: str, value: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        check({**as_json(samples.noted()), name: value})


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (Report, SCHEMA),
        (Finding, SCHEMA["$defs"]["finding"]),
        (SealFacts, SCHEMA["$defs"]["seal"]),
        (ChainLink, SCHEMA["$defs"]["link"]),
    ],
)
def test_every_field_is_in_the_schema_and_on_the_page(kind: Any, part: Any) -> None:
    names = {field.name for field in fields(kind)}
    assert set(part["properties"]) - {"schema"} == names == set(part["required"]) - {"schema"}
    assert [name for name in sorted(names) if f"`{name}`" not in PAGE] == []


def test_fields_of_a_trust_list_are_on_the_page() -> None:
    assert [name for name in SCHEMA["$defs"]["trust"]["properties"] if f"`{name}`" not in PAGE] == []


def test_verdicts_and_outcomes_are_those_of_the_code() -> None:
    assert SCHEMA["$defs"]["verdict"]["enum"] == [str(verdict) for verdict in Verdict]
    assert SCHEMA["$defs"]["outcome"]["enum"] == [str(outcome) for outcome in Outcome]


def test_the_worked_example_of_the_page_satisfies_the_schema() -> None:
    found = re.search(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    check(json.loads(found[1]), closed(SCHEMA))
