"""``rawtrace seal`` as people and programs call it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rawtrace.trust.identity import Identity


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "cells.dat"
    path.write_bytes(b"counts")
    return path


def test_one_signer_is_named(rawtrace: Any, data: Path, instrument: Identity, workstation: Identity) -> None:
    both = ("--instrument", instrument.folder, "--workstation", workstation.folder)
    for options in ((), both):
        done = rawtrace("seal", data, *options)
        assert (done.code, done.out) == (2, "")
        assert "error[E101]" in done.err


@pytest.mark.parametrize(("option", "kind"), [("--instrument", "workstation"), ("--workstation", "instrument")])
def test_the_wrong_kind_of_identity(
    rawtrace: Any, request: pytest.FixtureRequest, data: Path, option: str, kind: str
) -> None:
    done = rawtrace("seal", data, option, request.getfixturevalue(kind).folder)
    assert done.code == 2
    assert f"hint: use --{kind} " in done.err
    assert not data.with_name("cells.dat.c2pa").exists()


@pytest.mark.parametrize("operator", ["me", "0000-0002-1825-0098", "https://orcid.org/0000", "0000-0002-1825-009X"])
def test_an_operator_that_is_no_orcid(rawtrace: Any, data: Path, instrument: Identity, operator: str) -> None:
    done = rawtrace("seal", data, "--instrument", instrument.folder, "--operator", operator)
    assert done.code == 2
    assert "is not an ORCID" in done.err


@pytest.mark.parametrize("operator", ["0000-0002-1825-0097", "https://orcid.org/0000-0002-1694-233X"])
def test_an_operator(rawtrace: Any, data: Path, instrument: Identity, operator: str) -> None:
    assert rawtrace("seal", data, "--instrument", instrument.folder, "--operator", operator).code == 0
    said = rawtrace("verify", data, "--json").json["seal"]["acquisition"]["operator"]
    assert said == {"id": f"https://orcid.org/{operator[-19:]}", "standing": "asserted"}


def test_no_identity_there(rawtrace: Any, data: Path, tmp_path: Path) -> None:
    assert rawtrace("seal", data, "--instrument", tmp_path / "nothing").code == 3


def test_text_and_json(rawtrace: Any, data: Path, instrument: Identity) -> None:
    done = rawtrace("seal", data, "--instrument", instrument.folder)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"sealed {data}: {data}.c2pa\n"
    done = rawtrace("seal", data, "--instrument", instrument.folder, "--supersede", "--json")
    assert (done.json["schema"], done.json["sidecar"]) == ("urn:rawtrace:schema:seal-result:1", f"{data}.c2pa")
    assert re.fullmatch("[0-9a-f]{64}", done.json["claim_sha256"])
    assert rawtrace("seal", data, "--instrument", instrument.folder, "--supersede", "-q").out == ""


def test_several_paths_one_of_them_bad(rawtrace: Any, data: Path, instrument: Identity, tmp_path: Path) -> None:
    other = tmp_path / "other.dat"
    other.write_bytes(b"x")
    done = rawtrace("seal", data, tmp_path / "nothing", other, "--instrument", instrument.folder, "--json")
    assert done.code == 3
    assert [line["asset"] for line in done.lines] == [str(data), str(other)]
    assert re.match(r"rawtrace: error\[E102\]", done.err)
    again = rawtrace("seal", data, other, "--instrument", instrument.folder)
    assert (again.code, again.out, again.err.count("error[E106]")) == (1, "", 2)


def test_a_figure_with_its_seal_inside(
    rawtrace: Any, data: Path, instrument: Identity, workstation: Identity, authority: Path, tmp_path: Path
) -> None:
    rawtrace("seal", data, "--instrument", instrument.folder)
    Image.new("L", (9, 9)).save(tmp_path / "figure.png")
    done = rawtrace("seal", tmp_path / "figure.png", "--workstation", workstation.folder, "--parent", data, "--embed")
    assert (done.code, done.out) == (0, f"sealed {tmp_path / 'figure.sealed.png'}: the seal is inside\n")
    assert rawtrace("verify", tmp_path / "figure.sealed.png", "--trust", authority).code == 0


def test_what_an_instrument_may_not_say(rawtrace: Any, data: Path, instrument: Identity) -> None:
    done = rawtrace("seal", data, "--instrument", instrument.folder, "--source-type", "humanEdits")
    assert done.code == 2
    assert "error[E122]" in done.err
    assert "hint: seal derived data with a workstation's identity" in done.err
    assert rawtrace("seal", data, "--instrument", instrument.folder, "--source-type", "nonsense").code == 2
