import os
import subprocess
import unicodedata
from pathlib import Path

import pytest

from rawtrace.errors import ChangedWhileReadError, LimitError, MalformedError, UnsealableError
from rawtrace.sealing import folderindex
from rawtrace.sealing.folderindex import build_index, compare_folder, index_of, parse_index

DIGEST = b"0" * 64


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "stack.zarr"
    (place / "0" / "c").mkdir(parents=True)
    (place / "zarr.json").write_bytes(b"{}")
    (place / "0" / "c" / "0").write_bytes(b"first chunk")
    (place / "0" / "c" / "1").write_bytes(b"second chunk")
    return place


def lines(*paths: bytes) -> bytes:
    return b"".join(DIGEST + b"  " + path + b"\n" for path in paths)


def test_sha256sum_accepts_the_index(folder: Path) -> None:
    (folder / "odd \\ name\nwith a line").write_bytes(b"odd")
    index_of(folder).write_bytes(build_index(folder).data)
    checked = subprocess.run(
        ["sha256sum", "--strict", "-c", index_of(folder).name], cwd=folder.parent, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(b": OK\n") == 4


def test_index_is_sorted_by_bytes_and_names_the_folder(folder: Path) -> None:
    paths = [line.split(b"  ", 1)[1] for line in build_index(folder).data.splitlines()]
    assert paths == sorted(paths)
    assert all(path.startswith(b"stack.zarr/") for path in paths)


def test_unchanged_folder_has_no_differences(folder: Path) -> None:
    assert not compare_folder(folder, parse_index(build_index(folder).data)).any()


def test_every_kind_of_difference_is_named_fail(folder: Path) -> None:
    indexed = parse_index(build_index(folder).data)
    (folder / "zarr.json").unlink()
    (folder / "0" / "c" / "0").write_bytes(b"another chunk")
    (folder / "0" / "c" / "1").rename(folder / "0" / "c" / "7")
    (folder / "new").write_bytes(b"new")
    found = compare_folder(folder, indexed)
    assert found.missing == ("zarr.json",)
    assert found.changed == ("0/c/0",)
    assert found.renamed == (("0/c/1", "0/c/7"),)
    assert found.extra == ("new",)


def test_same_size_and_time_do_not_hide_a_change_fail(folder: Path) -> None:
    indexed = parse_index(build_index(folder).data)
    victim = folder / "0" / "c" / "0"
    before = victim.stat()
    victim.write_bytes(b"first chonk")
    os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert compare_folder(folder, indexed).changed == ("0/c/0",)


def test_litter_is_left_out_and_named(folder: Path) -> None:
    indexed = parse_index(build_index(folder).data)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._zarr.json"):
        (folder / name).write_bytes(b"litter")
    found = compare_folder(folder, indexed)
    assert not found.any()
    assert len(found.litter) == 4
    assert build_index(folder).members == 3


def test_symbolic_link_is_refused_and_never_followed_fail(folder: Path) -> None:
    indexed = parse_index(build_index(folder).data)
    outside = folder.parent / "outside"
    outside.write_bytes(b"first chunk")
    (folder / "0" / "c" / "0").unlink()
    (folder / "0" / "c" / "0").symlink_to(outside)
    assert compare_folder(folder, indexed).oddities == (("0/c/0", "a symbolic link"),)
    with pytest.raises(UnsealableError, match="symbolic link"):
        build_index(folder)


def test_link_to_a_folder_is_refused_fail(folder: Path) -> None:
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    with pytest.raises(UnsealableError, match="loop is a symbolic link"):
        build_index(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_does_not_hang_fail(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(UnsealableError, match="not a regular file"):
        build_index(folder)


def test_empty_folder_is_refused_fail(tmp_path: Path) -> None:
    (tmp_path / "empty.zarr" / "deeper").mkdir(parents=True)
    with pytest.raises(UnsealableError, match="holds no files"):
        build_index(tmp_path / "empty.zarr")


def test_unicode_twins_are_refused_fail(folder: Path) -> None:
    composed = unicodedata.normalize("NFC", "é")
    (folder / composed).write_bytes(b"one")
    (folder / unicodedata.normalize("NFD", composed)).write_bytes(b"other")
    if len(list(folder.iterdir())) < 4:
        pytest.skip("this file system keeps only one of two names that Unicode holds to be one")
    with pytest.raises(UnsealableError, match="same name to Unicode"):
        build_index(folder)


def test_kelvin_sign_is_a_twin_of_k_fail() -> None:
    with pytest.raises(MalformedError, match="same name to Unicode"):
        parse_index(lines(b"d/K", "d/\u212a".encode()))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (lines(b"d/a")[:-1], "whole line"),
        (lines(b"d/../../etc/passwd"), "stay inside"),
        (lines(b"../d/a"), "stay inside"),
        (lines(b"/etc/passwd"), "absolute"),
        (lines(b"C:/windows"), "absolute"),
        (lines(b"d//a"), "stay inside"),
        (lines(b"d/./a"), "stay inside"),
        (lines(b"d/"), "stay inside"),
        (lines(b"d"), "stay inside"),
        (lines(b"d/a\0b"), "stay inside"),
        (lines(b"d/a", b"d/a"), "twice"),
        (lines(b"d/b", b"d/a"), "out of order"),
        (lines(b"d/0/Thumbs.db"), "no part of any data"),
        (lines(b"d/a", b"e/b"), "another folder"),
        (b"\\" + lines(b"d/a\\x"), "escape"),
        (b"\\" + lines(b"d/a\\"), "escape"),
        (b"F" * 64 + b"  d/a\n", "hexadecimal"),
        (DIGEST + b" *d/a\n", "hexadecimal"),
        (DIGEST[:-1] + b"  d/a\n", "hexadecimal"),
        (b"\n", "hexadecimal"),
    ],
)
def test_malformed_index_is_refused_by_line_fail(data: bytes, says: str) -> None:
    with pytest.raises(MalformedError, match=says):
        parse_index(data)


def test_too_large_an_index_is_refused_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folderindex, "MAX_INDEX_BYTES", 10)
    with pytest.raises(LimitError, match="at most 10"):
        parse_index(lines(b"d/a"))
    monkeypatch.undo()
    monkeypatch.setattr(folderindex, "MAX_MEMBERS", 1)
    with pytest.raises(LimitError, match="more than 1"):
        parse_index(lines(b"d/a", b"d/b"))


def test_too_deep_a_folder_is_refused_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folderindex, "MAX_DEPTH", 1)
    with pytest.raises(LimitError, match="deep"):
        build_index(folder)


def test_member_that_changes_meanwhile_is_noticed_fail(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = folderindex._hash_member

    def hash_and_write(path: bytes) -> bytes:
        digest = original(path)
        (folder / "late").write_bytes(b"late data")
        return digest

    monkeypatch.setattr(folderindex, "_hash_member", hash_and_write)
    with pytest.raises(ChangedWhileReadError, match="changed while"):
        build_index(folder)


def test_odd_bytes_in_names_are_shown_escaped() -> None:
    assert folderindex.show_path(b"a\xff\x1b[31m") == "a\\xff\\x1b[31m"
