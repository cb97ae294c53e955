"""Ancestors: taken in with their seals and content hashes, and refused where they do not hold."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from rawtrace.errors import Error, InputNotFoundError, LimitError, SealUnreadableError, UnsealableError
from rawtrace.progress import SILENT
from rawtrace.sealing import ancestors, binding, folderindex, manifest
from rawtrace.sealing.ancestors import gather
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity


@pytest.fixture
def raw(tmp_path: Path, instrument: Identity) -> Path:
    path = tmp_path / "raw.tif"
    path.write_bytes(b"raw data")
    seal(path, signer=instrument)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "raw.zarr"
    path.mkdir()
    (path / "zarr.json").write_text("{}")
    (path / "c").write_bytes(b"chunk")
    return path


def change(path: Path) -> None:
    path.write_bytes(b"changed " + path.read_bytes())


def edit_seal(path: Path) -> None:
    sidecar = binding.sidecar_of(path)
    sidecar.write_bytes(sidecar.read_bytes().replace(b"digitalCapture", b"digitalCapturf"))


def garble_seal(path: Path) -> None:
    binding.sidecar_of(path).write_bytes(b"garbage")


@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (change, "not what its own seal says"),
        (edit_seal, "seal that does not hold"),
        (garble_seal, "invalid|not|larger|end"),
    ],
)
def test_an_ancestor_that_does_not_hold_is_refused_fail(
    raw: Path, workstation: Identity, tmp_path: Path, forge: Any, said: str
) -> None:
    forge(raw)
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    with pytest.raises((UnsealableError, SealUnreadableError), match=said):
        seal(figure, signer=workstation, parents=[raw])
    assert not binding.sidecar_of(figure).exists()


def test_a_folder_that_does_not_hold_is_refused_fail(folder: Path, instrument: Identity) -> None:
    seal(folder, signer=instrument)
    (folder / "extra").write_bytes(b"x")
    with pytest.raises(UnsealableError, match="not what its own seal says"):
        gather([folder], progress=SILENT)


def test_an_index_that_does_not_hold_is_refused_fail(folder: Path, instrument: Identity) -> None:
    seal(folder, signer=instrument)
    (folder / "extra").write_bytes(b"x")
    folderindex.index_of(folder).write_bytes(folderindex.build_index(folder).data)
    with pytest.raises(UnsealableError):
        gather([folder], progress=SILENT)


def test_an_embedded_seal_that_does_not_hold_is_refused_fail(tmp_path: Path, workstation: Identity) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    made = seal(tmp_path / "a.png", signer=workstation, embed=True)
    data = made.asset.read_bytes()
    made.asset.write_bytes(data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    with pytest.raises(Error):
        gather([made.asset], progress=SILENT)


def test_an_ancestor_that_is_not_there_fail(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        gather([tmp_path / "nothing"], progress=SILENT)


def test_too_many_ancestors_fail(tmp_path: Path) -> None:
    with pytest.raises(UnsealableError, match="1001 ancestors"):
        gather([tmp_path / "a"] * 1001, progress=SILENT)


def test_a_seal_larger_than_any_is_not_read_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MAX_BYTES", 10)
    (tmp_path / "a.c2pa").write_bytes(b"x" * 11)
    with pytest.raises(SealUnreadableError, match="larger than 10 bytes"):
        manifest.read_sidecar(tmp_path / "a.c2pa")


def test_one_is_the_parent_and_several_are_parts(raw: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(b"1,2")
    (one,) = gather([raw], progress=SILENT)
    assert (one.relationship, one.title, one.store is None) == ("parentOf", "raw.tif", False)
    two = gather([raw, other], progress=SILENT)
    assert [found.relationship for found in two] == ["componentOf", "componentOf"]
    assert (two[1].store, two[1].sha256, two[1].size) == (None, hashlib.sha256(b"1,2").digest(), 3)


def test_a_folder_is_named_by_its_index_sealed_or_not(folder: Path, instrument: Identity) -> None:
    (before,) = gather([folder], progress=SILENT)
    assert (before.title, before.store) == ("raw.zarr.sha256", None)
    seal(folder, signer=instrument)
    (after,) = gather([folder], progress=SILENT)
    assert (after.title, after.sha256) == (before.title, before.sha256)
    assert after.store is not None


def test_an_embedded_ancestor_brings_its_seal(tmp_path: Path, workstation: Identity) -> None:
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    made = seal(tmp_path / "a.png", signer=workstation, embed=True)
    (found,) = gather([made.asset], progress=SILENT)
    assert found.store is not None
    assert manifest.read_store(found.store).active == made.label


def test_the_statement_of_inputs_names_content_and_seal(raw: Path, folder: Path) -> None:
    found = gather([raw, folder], progress=SILENT)
    said = ancestors.inputs_statement(found)["inputs"]
    assert [item["sha256"] for item in said] == [one.sha256.hex() for one in found]
    store = manifest.read_store(binding.sidecar_of(raw).read_bytes())
    assert said[0]["seal"] == {"label": store.active, "claim_sha256": store.active_manifest.claim_sha256}
    assert "seal" not in said[1]


@pytest.mark.parametrize("count", [2, 30])
def test_many_parts_of_one_figure(raw: Path, tmp_path: Path, workstation: Identity, count: int) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    others = []
    for number in range(count - 1):
        others.append(tmp_path / f"part{number}.csv")
        others[-1].write_bytes(b"%d" % number)
    made = seal(figure, signer=workstation, parents=[raw, *others])
    assert made.sidecar is not None
    read = manifest.read_store(made.sidecar.read_bytes()).active_manifest
    assert len(read.ingredients) == count
    assert sum(one.present for one in read.ingredients) == 1


def test_more_than_fits_into_a_definition_is_refused_in_words_fail(
    tmp_path: Path, workstation: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rawtrace.sealing import envelope

    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    monkeypatch.setattr(envelope, "MAX_DEFINITION_BYTES", 500)
    with pytest.raises(LimitError, match="at most 500 fit"):
        seal(figure, signer=workstation)
    assert not binding.sidecar_of(figure).exists()
