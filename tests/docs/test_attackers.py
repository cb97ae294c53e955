"""What the page about attackers says that nobody could do, a test tries: each one that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "concepts" / "what-an-attacker-gains.md").read_text(encoding="utf-8")
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))
CASES = sorted(set(re.findall(r"`([a-z0-9-]+(?:_fail)?)`", PAGE)) - {"inconclusive"})


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_every_test_that_is_named_exists(file: str, name: str) -> None:
    assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_every_case_that_is_named_exists(name: str) -> None:
    assert (ROOT / "tests" / "conformance" / "cases" / name).is_dir()


def test_every_store_of_data_says_what_could_not_be_done() -> None:
    parts = PAGE.split("\n## ")[1:]
    assert len(parts) >= 12
    for part in parts:
        assert "could not" in part.casefold(), part.partition("\n")[0]
        assert "::test_" in part, part.partition("\n")[0]
