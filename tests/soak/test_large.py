"""Large things in little memory: files, folders, indexes, junk, trust lists, pages. Sizes are in the tests' names."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rawtrace.errors import Error
from rawtrace.sealing import folderindex
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.trustlist import TrustList, build_list, read_list

#: Runs a command and prints its peak memory in kilobytes; small itself, for a child inherits its parent's peak.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print("peak_kb", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
PEAK_MB = 100
MB = 1 << 20


def measured(*arguments: object, code: int = 0) -> tuple[str, float]:
    """Run ``rawtrace``; what it printed, and its peak memory in MB."""
    program = str(Path(sys.executable).with_name("rawtrace"))
    command = [sys.executable, "-S", "-c", MEASURE, program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == code, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    peak_kb = int(done.stderr.rsplit("peak_kb ", 1)[1])
    peak_mb = peak_kb / 1024 if sys.platform != "darwin" else peak_kb / MB
    print(f"{arguments[0]}: {peak_mb:.0f} MB at most")  # noqa: T201
    return done.stdout, peak_mb


@pytest.fixture(autouse=True)
def _posix() -> None:
    if sys.platform == "win32":
        pytest.skip("peak memory of a child is asked of POSIX")


@pytest.mark.parametrize("size_mb", [100, pytest.param(4200, marks=pytest.mark.soak)])
def test_a_large_file(size_mb: int, tmp_path: Path, people: Any) -> None:
    path = tmp_path / "large.bin"
    with path.open("wb") as stream:
        stream.truncate(size_mb * MB)
    _, seal_mb = measured("seal", path, "--instrument", people.instrument)
    _, verify_mb = measured("verify", path, "--trust", people.authority)
    assert max(seal_mb, verify_mb) <= PEAK_MB


def test_a_junk_sidecar_of_1_gb(tmp_path: Path, people: Any) -> None:
    path = tmp_path / "plate.bin"
    path.write_bytes(b"data")
    with path.with_name("plate.bin.c2pa").open("wb") as stream:
        stream.truncate(1 << 30)
    out, peak_mb = measured("verify", path, "--trust", people.authority, code=13)
    assert "the most that is read" in out
    assert peak_mb <= PEAK_MB + 64


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_a_folder_of_many_members(count: int, tmp_path: Path, people: Any) -> None:
    stack = tmp_path / "stack.zarr"
    for number in range(count):
        if number % 1000 == 0:
            (stack / f"{number // 1000}").mkdir(parents=True)
        (stack / f"{number // 1000}" / f"{number % 1000}").write_bytes(b"%d" % number)
    _, seal_mb = measured("seal", stack, "--instrument", people.instrument)
    out, verify_mb = measured("verify", stack, "--trust", people.authority, "-v")
    assert f"all {count:,} files" in out
    # What is known of a member, its name and digest, is kept: about a kilobyte each.
    assert max(seal_mb, verify_mb) <= PEAK_MB + count / 1000
    (stack / "1" / "7").write_bytes(b"other")
    (stack / "0" / "8").unlink()
    out, _ = measured("verify", stack, "--trust", people.authority, code=12)
    assert "1/7" in out
    assert "0/8" in out


def test_an_index_of_200_000_lines() -> None:
    lines = [b"%s  s.zarr/%06d\n" % (hashlib.sha256(b"%d" % n).hexdigest().encode(), n) for n in range(200_000)]
    assert len(folderindex.parse_index(b"".join(lines))) == 200_000
    with pytest.raises(Error, match="line 200000"):
        folderindex.parse_index(b"".join(lines[:-1]) + lines[0])


def test_an_index_of_nothing_but_line_ends() -> None:
    with pytest.raises(Error, match="more than 1000000 lines"):
        folderindex.parse_index(b"\n" * (64 * MB))


def test_a_trust_list_with_100_000_statuses(trust_lists: tuple[TrustList, ...]) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    statuses = [
        StatusRecord(
            serial=number + 1, authority_key_id=b"k" * 20, reason="superseded", revoked_at=at, compromised_from=None,
            note="",
        )
        for number in range(100_001)
    ]  # fmt: skip

    def made(count: int) -> bytes:
        return build_list(
            name="Many",
            operator="Example",
            sequence=1,
            issued=at,
            next_update=at + timedelta(days=1),
            anchors=trust_lists[0].anchors,
            statuses=statuses[:count],
        )

    read = read_list(made(100_000), source="many", require_signature=False)
    assert len(read.statuses) == 100_000
    with pytest.raises(Error):
        read_list(made(100_001), source="many", require_signature=False)


@pytest.mark.soak
def test_a_page_about_2_000_files(tmp_path: Path, people: Any) -> None:
    folder = tmp_path / "submission"
    folder.mkdir()
    for number in range(2_000):
        (folder / f"{number:04}.bin").write_bytes(b"%d" % number)
    paths = sorted(folder.iterdir())
    measured("seal", *paths, "--quiet", "--instrument", people.instrument)
    paths[7].write_bytes(b"other")
    page = tmp_path / "page.html"
    out, _ = measured("verify", "-r", folder, "--trust", people.authority, "--report", page, code=12)
    assert "1 altered, 1,999 verified" in out
    text = page.read_text(encoding="utf-8")
    assert {path.name for path in paths} <= set(re.findall(r"[0-9]{4}\.bin", text))
    print(f"the page is {os.path.getsize(page) / MB:.1f} MB")  # noqa: T201, PTH202
