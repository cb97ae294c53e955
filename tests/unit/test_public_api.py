"""The public names: all there, loaded when they are used, and nothing else promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rawtrace
from rawtrace.trust.identity import Identity

PAGE = (Path(__file__).resolve().parents[2] / "docs/reference/python.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", rawtrace.__all__)
def test_a_public_name(name: str) -> None:
    found = getattr(rawtrace, name)
    assert found.__doc__
    assert found.__name__ == rawtrace._PLACES[name][1]
    assert name in dir(rawtrace)
    assert name in PAGE


def test_names_and_places_agree() -> None:
    assert list(rawtrace._PLACES) == rawtrace.__all__ == sorted(rawtrace.__all__)


def test_a_name_that_is_none_fail() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        rawtrace.nothing_of_the_kind  # noqa: B018


def test_importing_loads_nothing_else() -> None:
    script = "import sys; before = set(sys.modules); import rawtrace; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name for name in done.stdout.split() if not name.startswith("_")}
    assert {name for name in loaded if name.startswith("rawtrace")} == {"rawtrace"}
    assert {name.split(".")[0] for name in loaded} <= {"rawtrace", *sys.stdlib_module_names}


def test_paths_are_text_or_paths(tmp_path: Path, instrument: Identity, authority: Path) -> None:
    data = tmp_path / "cells.csv"
    data.write_text("t,v\n0,1\n", encoding="utf-8")
    rawtrace.seal(str(data), signer=rawtrace.load_signer(str(instrument.folder)))
    # A text is one path, not a sequence of letters, of which "/" is a folder.
    lists = rawtrace.load_trust(str(authority))
    assert lists == rawtrace.load_trust([str(authority)]) == rawtrace.load_trust([authority])
    assert rawtrace.verify(str(data), trust=lists).verdict is rawtrace.Verdict.VERIFIED_WITH_NOTES
    assert rawtrace.harvest(str(data)).format == "CSV"
