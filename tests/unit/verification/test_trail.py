"""The chain of ancestors: all of it checked, each once, and no name from a seal leads anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from rawtrace.report import Report, Verdict
from rawtrace.sealing import binding, folderindex
from rawtrace.sealing.seal import seal
from rawtrace.trust.identity import Identity
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification import trail
from rawtrace.verification.evidence import discover
from rawtrace.verification.verify import verify

Lists = tuple[TrustList, ...]


def ids(report: Report, subject: str | None = None) -> set[str]:
    return {one.id for one in report.findings if subject is None or one.subject == subject}


def made_from(path: Path, signer: Identity, *parents: Path) -> Path:
    path.write_bytes(path.name.encode())
    seal(path, signer=signer, parents=parents)
    return path


@pytest.fixture
def raw(tmp_path: Path, instrument: Identity) -> Path:
    return made_from(tmp_path / "raw.tif", instrument)


def shape(report: Report) -> dict[str, list[str]]:
    titles = {link.key: link.title for link in report.chain}
    return {link.title: [titles[key] for key in link.parents] for link in report.chain}


# --- attacks ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "../secret.dat",
    "..",
    ".",
    "",
    "/etc/passwd",
    "C:\\x",
    "a\\..\\b",
    "sub/x.dat",
    "nul\0byte",
    "x" * 5_000,
    "\u202egnp.x",
]


@pytest.mark.parametrize("title", HOSTILE)
def test_a_title_leads_nowhere_fail(
    tmp_path: Path, forger: Any, workstation: Identity, instrument: Identity, trust_lists: Lists, title: str
) -> None:
    (tmp_path / "secret.dat").write_bytes(b"raw")
    place = tmp_path / "in"
    (place / "sub").mkdir(parents=True)
    (place / "sub" / "x.dat").write_bytes(b"raw")
    figure = place / "figure.png"
    figure.write_bytes(b"figure")
    parent = forger.manifest(b"raw", instrument)
    part = forger.ingredient(parent, **{"dc:title": title})
    forger.write(figure, parent, forger.manifest(b"figure", workstation, extra=[part]))
    report = verify(figure, trust=trust_lists, originals=[place])
    assert [link.file for link in report.chain[1:]] == [""]
    assert "ancestor-file-absent" in ids(report)
    assert not {"ancestor-file-good", "ancestor-altered", "ancestor-namesake"} & ids(report)


def test_an_ancestor_with_a_broken_seal_inside_fail(
    tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists
) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, raw)
    sidecar = binding.sidecar_of(figure)
    data = sidecar.read_bytes()
    assert b"SN-0001" in data
    sidecar.write_bytes(data.replace(b"SN-0001", b"SN-0002"))
    assert verify(figure, trust=trust_lists).verdict is Verdict.REJECTED


def test_an_ancestor_that_was_altered_with_its_seal_beside_it_fail(
    tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists
) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, raw)
    raw.write_bytes(b"changed")
    report = verify(figure, trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "ancestor-altered" in ids(report, "raw.tif")
    assert report.chain[1].verdict is Verdict.REJECTED


def test_a_statement_that_names_other_content_for_an_ancestor_fail(
    tmp_path: Path, forger: Any, workstation: Identity, instrument: Identity, trust_lists: Lists
) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    parent = forger.manifest(b"raw", instrument)
    part = forger.ingredient(parent)
    label = forger.label(parent)
    inputs = [{"title": "raw.tif", "relationship": "parentOf", "sha256": "00" * 32, "seal": {"label": label}}]
    made = forger.manifest(
        b"figure", workstation, {"org.rawtrace.inputs": {"version": 1, "inputs": inputs}}, extra=[part]
    )
    report = verify(forger.write(figure, parent, made), trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "ancestor-mismatch" in ids(report)


def test_the_second_mention_of_an_ancestor_is_compared_too_fail(
    tmp_path: Path, forger: Any, workstation: Identity, instrument: Identity, trust_lists: Lists
) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    parent = forger.manifest(b"raw", instrument)
    label = forger.label(parent)
    parts = [
        forger.ingredient(parent, relationship="componentOf", **{"dc:title": "a.tif"}),
        forger.ingredient(parent, name="c2pa.ingredient.v3__1", relationship="componentOf", **{"dc:title": "b.tif"}),
    ]
    inputs = [{"title": "b.tif", "relationship": "componentOf", "sha256": "00" * 32, "seal": {"label": label}}]
    made = forger.manifest(
        b"figure", workstation, {"org.rawtrace.inputs": {"version": 1, "inputs": inputs}}, extra=parts
    )
    report = verify(forger.write(figure, parent, made), trust=trust_lists)
    assert "ancestor-mismatch" in ids(report, "b.tif")
    assert report.verdict is Verdict.REJECTED


def test_an_ancestor_by_a_signer_of_the_wrong_kind_fail(
    tmp_path: Path, forger: Any, workstation: Identity, trust_lists: Lists
) -> None:
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    uri = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    steps = {"actions": [{"action": "c2pa.created", "digitalSourceType": uri}]}
    parent = forger.manifest(b"raw", workstation, {"c2pa.actions.v2": steps})
    made = forger.manifest(b"figure", workstation, extra=[forger.ingredient(parent)])
    report = verify(forger.write(figure, parent, made), trust=trust_lists)
    assert report.verdict is Verdict.REJECTED
    assert "ancestor-rejected" in ids(report)


def test_more_ancestors_than_are_followed_fail(
    tmp_path: Path, forger: Any, workstation: Identity, trust_lists: Lists, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "MAX_ANCESTORS", 5)
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"figure")
    inputs = [{"title": f"{number}.tif", "relationship": "componentOf", "sha256": ""} for number in range(9)]
    forger.forged(figure, workstation, {"org.rawtrace.inputs": {"version": 1, "inputs": inputs}})
    report = verify(figure, trust=trust_lists)
    assert "ancestors-too-many" in ids(report)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert len(report.chain) <= 7


# --- shapes -------------------------------------------------------------------------------------------------------


def test_a_diamond_is_walked_once(tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists) -> None:
    left = made_from(tmp_path / "left.tif", workstation, raw)
    right = made_from(tmp_path / "right.tif", workstation, raw)
    figure = made_from(tmp_path / "figure.png", workstation, left, right)
    report = verify(figure, trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert shape(report) == {
        "figure.png": ["left.tif", "right.tif"],
        "left.tif": ["raw.tif"],
        "right.tif": ["raw.tif"],
        "raw.tif": [],
    }
    assert [one.subject for one in report.findings if one.id == "ancestor-file-good"].count("raw.tif") == 1


def test_the_same_ancestor_twice_stands_once(
    tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists
) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, raw, raw)
    report = verify(figure, trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert shape(report) == {"figure.png": ["raw.tif"], "raw.tif": []}


def test_sealed_and_unsealed_ancestors_together(
    tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists
) -> None:
    table = tmp_path / "table.csv"
    table.write_bytes(b"1,2")
    figure = made_from(tmp_path / "figure.png", workstation, raw, table)
    report = verify(figure, trust=trust_lists)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert ids(report, "table.csv") == {"ancestor-unsealed"}
    assert {link.title: str(link.verdict) for link in report.chain}["table.csv"] == "inconclusive"
    assert [link.relationship for link in report.chain] == ["", "componentOf", "componentOf"]
    (found,) = [one for one in report.findings if one.id == "ancestor-unsealed"]
    assert "is the one that was used" in found.message
    table.write_bytes(b"other")
    (found,) = [one for one in verify(figure, trust=trust_lists).findings if one.id == "ancestor-unsealed"]
    assert "is the one that was used" not in found.message


def test_a_long_chain_back_to_raw(tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists) -> None:
    last = raw
    for number in range(6):
        last = made_from(tmp_path / f"step{number}.tif", workstation, last)
    report = verify(last, trust=trust_lists)
    assert [link.title for link in report.chain] == [f"step{n}.tif" for n in range(5, -1, -1)] + ["raw.tif"]
    assert all(link.file for link in report.chain)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


# --- where files are ----------------------------------------------------------------------------------------------


def test_a_file_that_is_not_at_hand(tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, raw)
    raw.unlink()
    report = verify(figure, trust=trust_lists)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert "ancestor-file-absent" in ids(report, "raw.tif")
    assert report.chain[1].seal is not None
    assert report.chain[1].seal.signer_kind == "instrument"


def test_a_file_in_a_folder_of_originals(tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, raw)
    (tmp_path / "originals").mkdir()
    raw.rename(tmp_path / "originals" / "raw.tif")
    binding.sidecar_of(raw).unlink()
    report = verify(figure, trust=trust_lists, originals=[tmp_path / "nothing", tmp_path / "originals"])
    assert "ancestor-file-good" in ids(report, "raw.tif")
    assert report.chain[1].file == str(tmp_path / "originals" / "raw.tif")


def test_a_namesake_is_told_and_not_taken(tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, raw)
    binding.sidecar_of(raw).unlink()
    raw.write_bytes(b"somebody else's")
    report = verify(figure, trust=trust_lists)
    assert {"ancestor-namesake", "ancestor-file-absent"} <= ids(report, "raw.tif")
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES
    assert report.chain[1].file == ""


def test_the_right_file_elsewhere_is_preferred_to_a_namesake(
    tmp_path: Path, raw: Path, workstation: Identity, trust_lists: Lists
) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, raw)
    (tmp_path / "o").mkdir()
    shutil.copy(raw, tmp_path / "o" / "raw.tif")
    binding.sidecar_of(raw).unlink()
    raw.write_bytes(b"somebody else's")
    report = verify(figure, trust=trust_lists, originals=[tmp_path / "o"])
    assert "ancestor-file-good" in ids(report, "raw.tif")
    assert "ancestor-namesake" not in ids(report)


# --- folders as ancestors -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, instrument: Identity) -> Path:
    path = tmp_path / "raw.zarr"
    path.mkdir()
    (path / "zarr.json").write_bytes(b"{}")
    (path / "c").write_bytes(b"chunk")
    seal(path, signer=instrument)
    return path


def test_a_folder_beside_is_compared_member_by_member(
    tmp_path: Path, folder: Path, workstation: Identity, trust_lists: Lists
) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, folder)
    assert "ancestor-file-good" in ids(verify(figure, trust=trust_lists), "raw.zarr.sha256")
    (folder / "c").write_bytes(b"other")
    report = verify(figure, trust=trust_lists)
    assert "ancestor-altered" in ids(report, "raw.zarr.sha256")
    assert report.verdict is Verdict.REJECTED


def test_a_folder_that_grew_and_was_sealed_again_is_not_the_one_that_was_used(
    tmp_path: Path, folder: Path, workstation: Identity, instrument: Identity, trust_lists: Lists
) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, folder)
    (folder / "d").write_bytes(b"later")
    seal(folder, signer=instrument, supersede=True)
    report = verify(figure, trust=trust_lists)
    assert "ancestor-file-good" not in ids(report)
    assert "ancestor-namesake" in ids(report, "raw.zarr.sha256")
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


@pytest.mark.parametrize("seal_too", [False, True])
def test_an_index_without_its_folder_is_no_file_at_hand(
    tmp_path: Path, folder: Path, workstation: Identity, trust_lists: Lists, seal_too: bool
) -> None:
    figure = made_from(tmp_path / "figure.png", workstation, folder)
    shutil.rmtree(folder)
    if seal_too:
        binding.sidecar_of(folderindex.index_of(folder)).unlink()
    report = verify(figure, trust=trust_lists)
    assert "ancestor-file-good" not in ids(report)
    assert report.verdict is Verdict.VERIFIED_WITH_NOTES


def test_an_unsealed_folder_ends_the_chain(tmp_path: Path, workstation: Identity, trust_lists: Lists) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "a").write_bytes(b"x")
    figure = made_from(tmp_path / "figure.png", workstation, folder)
    report = verify(figure, trust=trust_lists)
    assert "ancestor-unsealed" in ids(report, "plain.sha256")
    assert report.verdict is Verdict.INCONCLUSIVE


def test_without_a_readable_seal_there_is_no_trail(tmp_path: Path, trust_lists: Lists) -> None:
    path = tmp_path / "a.dat"
    path.write_bytes(b"x")
    assert discover(path).store is None
    assert verify(path, trust=trust_lists).chain == ()
