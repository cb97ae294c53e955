"""Notes that an asset is finished, and looks at assets."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import Error, UnreadableError
from rawtrace.sealing.finished import (
    NOTE_SCHEMA,
    NOTE_SUFFIX,
    Fingerprint,
    FinishedNote,
    is_temporary,
    leave_note,
    look,
    read_notes,
)


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


def good(**changes: Any) -> dict[str, Any]:
    texts = {"schema": NOTE_SCHEMA, "fingerprint": "1:2:3:4", "engine": "e", "reason": "r"}
    return texts | {"path": str(Path("a.tif").resolve())} | changes


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff", b"[]", b"{}", b"null", b"{" * 100_000, b'{"schema": 1, "schema": 2}',
        json.dumps(good(schema="urn:other")).encode(), json.dumps(good(path=7)).encode(),
        json.dumps(good(path="relative.tif")).encode(), json.dumps(good(path="/a\0b")).encode(),
        json.dumps(good(fingerprint="1:2")).encode(), json.dumps(good(fingerprint="1:x:3:4")).encode(),
        json.dumps(good(fingerprint="9" * 400 + ":1:1:1")).encode(), json.dumps(good(fingerprint=[1])).encode(),
        json.dumps(good(engine="e" * 70_000)).encode(),
    ],
)  # fmt: skip
def test_a_note_that_is_none_is_an_error_and_no_traceback(notes: Path, data: bytes) -> None:
    (notes / f"x{NOTE_SUFFIX}").write_bytes(data)
    ((source, found),) = read_notes(notes)
    assert source.name == f"x{NOTE_SUFFIX}"
    assert isinstance(found, Error)


def test_links_and_other_names_are_passed_over(notes: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "real"
    elsewhere.mkdir()
    (elsewhere / f"a{NOTE_SUFFIX}").write_text(json.dumps(good()))
    (notes / f"link{NOTE_SUFFIX}").symlink_to(elsewhere / f"a{NOTE_SUFFIX}")
    (notes / "readme.txt").write_text("x")
    (tmp_path / "linked").symlink_to(elsewhere)
    assert list(read_notes(notes)) == []
    assert list(read_notes(tmp_path / "linked")) == []
    assert list(read_notes(tmp_path / "none")) == []


def test_a_note_says_what_was_there(notes: Path, tmp_path: Path) -> None:
    asset = tmp_path / "a.tif"
    asset.write_bytes(b"12345")
    source = leave_note(notes / "made", asset, engine="engine 1.0", reason="canceled")
    ((path, note),) = read_notes(notes / "made")
    assert path == source
    assert isinstance(note, FinishedNote)
    assert (note.path, note.engine, note.reason) == (asset, "engine 1.0", "canceled")
    assert note.fingerprint == Fingerprint(size=5, mtime_ns=asset.stat().st_mtime_ns)
    assert list(read_notes(notes / "made", known={source})) == []


def test_nothing_is_said_of_what_is_not_there(notes: Path) -> None:
    with pytest.raises(UnreadableError, match="no such file or folder"):
        leave_note(notes, notes / "none.tif", engine="e")
    assert list(notes.iterdir()) == []


def test_a_folder_is_looked_at_as_one(tmp_path: Path) -> None:
    folder = tmp_path / "s.zarr"
    (folder / "0" / "c").mkdir(parents=True)
    (folder / "zarr.json").write_bytes(b"{}")
    (folder / "0" / "c" / "0").write_bytes(b"12345")
    os.utime(folder / "zarr.json", ns=(0, 7))
    os.utime(folder / "0" / "c" / "0", ns=(0, 9))
    first = look(folder)
    assert first is not None
    assert first.fingerprint == Fingerprint(size=7, mtime_ns=9, count=2, times=16)
    os.utime(folder / "zarr.json", ns=(0, 3))
    assert look(folder) != first, "a member that was set back beside a newer one"
    os.utime(folder / "zarr.json", ns=(0, 7))
    (folder / ".DS_Store").write_bytes(b"litter")
    assert look(folder) == first
    (folder / "0" / "c" / "1.partial").write_bytes(b"1")
    again = look(folder)
    assert again is not None
    assert again.temporary == "1.partial"
    assert again.fingerprint != first.fingerprint


def test_a_look_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 999)
    (tmp_path / "link").symlink_to(tmp_path / "big")
    (tmp_path / "s.zarr").mkdir()
    (tmp_path / "s.zarr" / "up").symlink_to(tmp_path)
    assert look(tmp_path / "link") is None
    inside = look(tmp_path / "s.zarr")
    assert inside is not None
    assert inside.fingerprint.count == 1
    assert look(tmp_path / "none") is None


def test_fingerprints_agree_through_coarse_file_systems() -> None:
    exact = Fingerprint(size=5, mtime_ns=1_000_000_000_123_456_789)
    assert exact.agrees_with(Fingerprint(size=5, mtime_ns=1_000_000_000_000_000_000))
    assert not exact.agrees_with(Fingerprint(size=6, mtime_ns=exact.mtime_ns))
    assert not exact.agrees_with(Fingerprint(size=5, mtime_ns=exact.mtime_ns + 3_000_000_000))
    assert Fingerprint.parse(exact.text()) == exact
    before_1970 = Fingerprint(size=0, mtime_ns=-5, count=0)
    assert Fingerprint.parse(before_1970.text()) == before_1970


@pytest.mark.parametrize(("name", "expected"), [("a.tif", False), ("A.TMP", True), ("~$a.doc", True), ("tmp", False)])
def test_temporary_names(name: str, expected: bool) -> None:
    assert is_temporary(name) is expected
