"""``rawtrace show``: what a seal says, all of it and nothing checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rawtrace.sealing import binding
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity


def test_no_seal(rawtrace: Any, tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(b"x")
    done = rawtrace("show", tmp_path / "a.dat")
    assert (done.code, done.out) == (1, "")
    assert "error[E123]" in done.err
    assert rawtrace("show", tmp_path / "nothing").code == 3


@pytest.mark.parametrize("name", ["cells.dat", "cells.dat.c2pa"])
def test_what_a_seal_says(rawtrace: Any, sealed: Path, name: str) -> None:
    done = rawtrace("show", sealed.with_name(name))
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("what the seal says, unchecked")
    assert "org.rawtrace.instrument" in done.out
    assert "    record:\n" in done.out
    assert "⟨U+000A⟩" not in done.out
    assert all(line.isprintable() for line in done.out.split("\n"))


def test_what_a_seal_says_as_json_with_its_ancestors(
    rawtrace: Any, sealed: Path, tmp_path: Path, workstation: Identity
) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"x")
    made = seal(figure, signer=workstation, parents=[sealed])
    value = rawtrace("show", figure, "--json").json
    assert value["schema"] == "urn:rawtrace:schema:show:1"
    assert [one["active"] for one in value["manifests"]] == [False, True]
    assert (value["manifests"][1]["label"], value["manifests"][1]["ingredients"]) == (made.label, ["cells.dat"])
    digest = value["manifests"][1]["assertions"]["c2pa.hash.data"]["hash"]
    assert digest == made.content_sha256


def test_an_edited_seal_is_shown_too(rawtrace: Any, sealed: Path) -> None:
    sidecar = binding.sidecar_of(sealed)
    sidecar.write_bytes(sidecar.read_bytes().replace(b"Example Optics", b"\x1b[2JOptics!!!!"))
    done = rawtrace("show", sealed)
    assert done.code == 0
    assert "\x1b" not in done.out
