from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rawtrace.errors import AlreadyExistsError, LimitError, MalformedError, UnwritableError
from rawtrace.trust import staging


def test_a_folder_that_fails_halfway_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with staging.new_folder(tmp_path / "new") as folder:
            (folder / "key.pem").write_text("secret")
            msg = "stop"
            raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="stop"):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["filled", "file", "link"])
def test_nothing_is_put_over_what_exists(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "taken"
    if kind == "filled":
        target.mkdir()
        (target / "precious").write_text("data")
    elif kind == "file":
        target.write_text("data")
    else:
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(AlreadyExistsError), staging.new_folder(target):
        pytest.fail("the folder was opened for filling")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_appears_while_the_folder_is_filled_is_not_put_over(tmp_path: Path) -> None:
    target = tmp_path / "new"

    def fill() -> None:
        with staging.new_folder(target) as folder:
            (folder / "mine").write_text("mine")
            target.mkdir()
            (target / "theirs").write_text("theirs")

    with pytest.raises(AlreadyExistsError):
        fill()
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "theirs"]


def test_an_empty_folder_may_be_filled_and_is_private(tmp_path: Path) -> None:
    target = tmp_path / "empty"
    target.mkdir()
    with staging.new_folder(target) as folder:
        (folder / "a").write_text("a")
    assert (target / "a").read_text() == "a"
    if os.name != "nt":
        assert target.stat().st_mode & 0o777 == 0o700


def test_a_line_torn_by_a_crash_is_never_read_and_never_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    staging.append_line(path, {"n": 1})
    with path.open("ab") as stream:
        stream.write(b'{"n": 2, "half')
    assert staging.read_lines(path) == ({"n": 1},)
    staging.append_line(path, {"n": 3})
    assert staging.read_lines(path) == ({"n": 1}, {"n": 3})


def test_a_torn_first_line_is_no_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"n": 2, "half')
    staging.append_line(path, {"n": 3})
    assert staging.read_lines(path) == ({"n": 3},)


def test_a_long_tail_is_searched_for_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    staging.append_line(path, {"n": 1})
    with path.open("ab") as stream:
        stream.write(b"x" * (3 * staging.MAX_LINE_BYTES))
    staging.append_line(path, {"n": 3})
    assert staging.read_lines(path) == ({"n": 1}, {"n": 3})


def test_bad_lines_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"n": 1}\nnot json\n')
    with pytest.raises(MalformedError, match="line 2"):
        staging.read_lines(path)
    with pytest.raises(LimitError):
        staging.append_line(path, {"n": "x" * staging.MAX_LINE_BYTES})


def test_a_second_holder_of_the_lock_waits_and_then_gives_up_in_words(tmp_path: Path) -> None:
    with (
        staging.exclusive(tmp_path),
        pytest.raises(UnwritableError, match="could not be locked"),
        staging.exclusive(tmp_path, wait_s=0.1),
    ):
        pytest.fail("the lock was given twice")
    with staging.exclusive(tmp_path, wait_s=0.1):
        pass


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnwritableError, match="could not be locked"), staging.exclusive(tmp_path / "absent"):
        pytest.fail("a lock was given in no folder")


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from rawtrace.trust import staging\n"
        "with staging.exclusive(pathlib.Path(sys.argv[1])):\n"
        "    os._exit(9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert done.returncode == 9
    with staging.exclusive(tmp_path, wait_s=0.1):
        assert (tmp_path / staging.LOCK_FILE).exists()
