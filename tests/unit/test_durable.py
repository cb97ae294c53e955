"""Files appear whole or not at all, over nothing, wherever a run is cut off."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from rawtrace import durable
from rawtrace.errors import (
    AlreadyExistsError,
    DiskFullError,
    InputNotFoundError,
    LimitError,
    UnreadableError,
    UnwritableError,
)

no_links = pytest.mark.skipif(os.name == "nt", reason="Windows renames instead of linking")


class Killed(BaseException):
    """The process ends here."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fails(number: int) -> Any:
    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@pytest.mark.parametrize("what", ["file", "folder", "broken link"])
def test_nothing_is_overwritten_fail(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a"
    try:
        {
            "file": lambda: path.write_bytes(b"mine"),
            "folder": path.mkdir,
            "broken link": lambda: path.symlink_to("nowhere"),
        }[what]()
    except OSError:
        pytest.skip("this account may not make links")
    with pytest.raises(AlreadyExistsError):
        durable.write_new(path, b"new")
    assert names(tmp_path) == ["a"]
    assert what != "file" or path.read_bytes() == b"mine"
    assert what != "broken link" or not path.exists()


@no_links
@pytest.mark.parametrize("what", ["file", "broken link"])
def test_nothing_is_overwritten_where_there_are_no_links_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"mine") if what == "file" else path.symlink_to("nowhere")
    monkeypatch.setattr(durable.os, "link", fails(errno.EPERM))
    with pytest.raises(AlreadyExistsError):
        durable.write_new(path, b"new")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["write_new", "replace"])
@pytest.mark.parametrize("step", ["open", "fsync"])
def test_a_full_disk_leaves_nothing_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, step: str) -> None:
    monkeypatch.setattr(durable.os, step, fails(errno.ENOSPC))
    with pytest.raises(DiskFullError, match=r"a\.txt"):
        getattr(durable, call)(tmp_path / "a.txt", b"data")
    monkeypatch.undo()
    assert names(tmp_path) == []


@no_links
@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_link_that_fails_leaves_nothing_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(durable.os, "link", fails(number))
    with pytest.raises(Exception, match="writing"):
        durable.write_new(tmp_path / "a.txt", b"data")
    assert names(tmp_path) == []


@no_links
def test_a_rename_that_fails_where_there_are_no_links_leaves_nothing_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable.os, "link", fails(errno.EPERM))
    monkeypatch.setattr(Path, "replace", fails(errno.EIO))
    with pytest.raises(Exception, match="writing"):
        durable.write_new(tmp_path / "a.txt", b"data")
    assert names(tmp_path) == []


@pytest.mark.parametrize("call", ["write_new", "replace"])
def test_a_folder_that_is_not_there_fail(tmp_path: Path, call: str) -> None:
    with pytest.raises((InputNotFoundError, UnwritableError)):
        getattr(durable, call)(tmp_path / "nothing" / "a.txt", b"data")
    assert names(tmp_path) == []


@no_links
@pytest.mark.parametrize("step", ["fsync", "link"])
def test_a_crash_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(durable.os, step, killed)
    with pytest.raises(Killed):
        durable.write_new(tmp_path / "a.txt", b"data")
    monkeypatch.undo()
    assert [name for name in names(tmp_path) if not name.endswith(durable.TEMPORARY_SUFFIX)] == []
    durable.write_new(tmp_path / "a.txt", b"data")
    assert (tmp_path / "a.txt").read_bytes() == b"data"


@no_links
@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK])
def test_a_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(durable.os, "link", fails(number))
    durable.write_new(tmp_path / "a.txt", b"data")
    durable.move_aside(tmp_path / "a.txt", tmp_path / "b.txt")
    assert names(tmp_path) == ["b.txt"]
    assert (tmp_path / "b.txt").read_bytes() == b"data"


@pytest.mark.parametrize("name", ["a.txt", "x" * 240, "odd-µ-数据"])
@pytest.mark.parametrize("data", [b"", b"data" * 100_000])
def test_a_file_is_written_whole(tmp_path: Path, name: str, data: bytes) -> None:
    durable.write_new(tmp_path / name, data)
    assert (names(tmp_path), (tmp_path / name).read_bytes()) == ([name], data)
    durable.replace(tmp_path / name, b"other")
    assert (names(tmp_path), (tmp_path / name).read_bytes()) == ([name], b"other")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permission bits")
def test_a_secret_is_never_open_to_others(tmp_path: Path) -> None:
    durable.write_new(tmp_path / "key", b"secret", mode=0o600)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_moving_aside_overwrites_nothing_fail(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(AlreadyExistsError):
        durable.move_aside(tmp_path / "a", tmp_path / "b")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"a", b"b")
    durable.move_aside(tmp_path / "a", tmp_path / "c")
    assert names(tmp_path) == ["b", "c"]


def test_own_files_are_read_within_bounds_fail(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert durable.read_bounded(tmp_path / "a", limit=5) == b"12345"
    with pytest.raises(LimitError, match="larger than 4 bytes"):
        durable.read_bounded(tmp_path / "a", limit=4)
    with pytest.raises(InputNotFoundError):
        durable.read_bounded(tmp_path / "b", limit=4)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for_fail(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.json")
    with pytest.raises(UnreadableError, match="not a regular file"):
        durable.read_bounded(tmp_path / "key.json", limit=5)
