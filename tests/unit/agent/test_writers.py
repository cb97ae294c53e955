"""Who has a file open for writing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rawtrace.agent.writers import Writers, Writing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks the process table of Linux")


@contextmanager
def another_process(code: str, path: Path) -> Iterator[None]:
    program = f"import mmap, sys\n{code}\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"ready\n"
        yield
        process.stdin.close()
        process.wait(timeout=10)


@pytest.mark.parametrize(
    "code",
    [
        "f = open(sys.argv[1], 'ab')",
        "f = open(sys.argv[1], 'r+b')",
        "f = open(sys.argv[1], 'r+b'); m = mmap.mmap(f.fileno(), 0); f.close()",
    ],
)
def test_a_writer_is_seen(tmp_path: Path, code: str) -> None:
    path, other = tmp_path / "a b.tif", tmp_path / "other.tif"
    path.write_bytes(b"x" * 5000)
    other.write_bytes(b"y")
    with another_process(code, path):
        writers = Writers(tmp_path)
        assert writers.at_work_on(path) is Writing.YES
        assert writers.at_work_on(other) is not Writing.YES
    assert Writers(tmp_path).at_work_on(path) is not Writing.YES


def test_a_reader_is_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"x")
    with another_process("f = open(sys.argv[1], 'rb')", path):
        assert Writers(tmp_path).at_work_on(path) is not Writing.YES


def test_a_writer_inside_a_folder_is_seen(tmp_path: Path) -> None:
    chunk = tmp_path / "s.zarr" / "0"
    chunk.parent.mkdir()
    chunk.write_bytes(b"x")
    with another_process("f = open(sys.argv[1], 'ab')", chunk):
        assert Writers(tmp_path).at_work_on(tmp_path / "s.zarr") is Writing.YES


def test_what_cannot_be_told_is_said_to_be_unknown(tmp_path: Path) -> None:
    assert Writers(tmp_path, proc=tmp_path / "none").at_work_on(tmp_path / "a") is Writing.UNKNOWN
    odd = tmp_path / "proc" / "1234567"
    (odd / "fd").mkdir(parents=True)
    (odd / "fd" / "3").write_bytes(b"not a link")
    assert Writers(tmp_path, proc=tmp_path / "proc").at_work_on(tmp_path / "a") in {Writing.UNKNOWN, Writing.NO}


def test_only_root_is_sure_of_a_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert Writers(tmp_path).at_work_on(tmp_path / "a") is Writing.UNKNOWN


def test_a_burst_costs_one_question(tmp_path: Path) -> None:
    now = [0.0]
    proc = tmp_path / "proc"
    proc.mkdir()
    writers = Writers(tmp_path, clock=lambda: now[0], proc=proc)
    writers.at_work_on(tmp_path / "a")
    proc.rmdir()
    now[0] = 0.4
    before = writers.at_work_on(tmp_path / "a")
    now[0] = 0.6
    assert writers.at_work_on(tmp_path / "a") is Writing.UNKNOWN
    assert before is Writing.UNKNOWN
