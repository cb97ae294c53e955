"""No room, no right to write, a limit on file size: one sentence, nothing half-written, nothing lost."""

from __future__ import annotations

import contextlib
import errno
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).parent
cases = SimpleNamespace(**runpy.run_path(str(HERE / "cases.py")))
commands = SimpleNamespace(**runpy.run_path(str(HERE / "commands.py")))
NOBODY = 4711


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock.db"}


def nothing_half_done(folder: Path, before: dict[Path, bytes], *, superseding: bool) -> None:
    """As before; where even a name cannot be changed back, an older seal may be left under its later name."""
    after = tree(folder)
    if superseding:
        after = {Path(str(path).replace(".superseded-00001", "")): data for path, data in after.items()}
    assert after == before


@pytest.mark.parametrize("make", cases.CASES, ids=lambda make: make.__name__)
def test_no_room_from_any_step_on(make: Callable[..., Any], tmp_path: Path, faulty: Any, people: Any) -> None:
    failures = 0
    for step in range(200):
        folder = tmp_path / str(step)
        folder.mkdir()
        case = make(folder, people, faulty)
        prints, before = cases.fingerprints(list(case.data)), tree(folder)
        ended = faulty.run("seal", *case.arguments, under=folder, fail_from=step)
        assert cases.fingerprints(list(case.data)) == prints
        if ended.code:
            failures += 1
            assert (ended.code, "error[E105]" in ended.in_words()) == (1, True), ended
            nothing_half_done(folder, before, superseding="superseded" in make.__name__)
            faulty.good("seal", *case.arguments)
        elif len(ended.steps) <= step:
            break
    assert failures >= 3


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("once", [False, True], ids=["for-ever", "once"])
def test_other_errors_at_any_step(number: int, once: bool, tmp_path: Path, faulty: Any, people: Any) -> None:
    for step in range(100):
        folder = tmp_path / str(step)
        folder.mkdir()
        case = cases.a_superseded_folder(folder, people, faulty)
        before = tree(folder)
        ended = faulty.run("seal", *case.arguments, under=folder, fail_from=step, errno=number, only_once=once)
        if ended.code:
            assert (ended.code, "error[E104]" in ended.in_words()) == (1, True), ended
            nothing_half_done(folder, before, superseding=True)
        elif len(ended.steps) <= step:
            break
    assert step > 10


@pytest.mark.parametrize("make", commands.COMMANDS, ids=lambda make: make.__name__)
def test_no_room_for_state(make: Callable[..., Any], tmp_path: Path, faulty: Any, people: Any) -> None:
    failures = 0
    for step in range(300):
        folder = tmp_path / str(step)
        folder.mkdir()
        command = make(folder, people, faulty)
        before = {path: path.read_bytes() for path in command.kept}
        ended = faulty.run(*command.arguments, config=command.config, under=folder, fail_from=step)
        if ended.code:
            failures += 1
            assert (ended.code, "error[E105]" in ended.in_words()) == (1, True), ended
            assert not [path for path in folder.rglob("*.rawtrace-tmp") if path.is_file()], ended.steps
            assert {path: path.read_bytes() for path in command.kept} == before
            again = faulty.run(*command.arguments, config=command.config)
            assert again.code == 0 or "already" in again.in_words(), (ended, again)
            command.check()
        elif len(ended.steps) <= step:
            break
        shutil.rmtree(folder)
    assert failures >= 3


@pytest.mark.parametrize("limit", [700, 4096])
def test_a_limit_on_file_size(limit: int, tmp_path: Path, faulty: Any, people: Any) -> None:
    """Stands for a full disk where no small disk can be made: writes themselves fail, in the middle."""
    for make in cases.CASES:
        folder = tmp_path / make.__name__
        folder.mkdir()
        case = make(folder, people, faulty)
        before = tree(folder)
        ended = faulty.run("seal", *case.arguments, limits={"FSIZE": limit})
        assert (ended.code, "file too large" in ended.in_words()) == (1, True), ended
        assert tree(folder) == before
        faulty.good("seal", *case.arguments)


def test_a_folder_of_somebody_else(tmp_path: Path, faulty: Any, people: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("two accounts are needed, and only root can take them")
    identity = Path(shutil.copytree(people.instrument, tmp_path / "scope"))
    for path in (identity, *identity.iterdir()):
        os.chown(path, NOBODY, NOBODY)
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path(tempfile.gettempdir()) and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o011)
    place = tmp_path / "data"
    place.mkdir()
    data = place / "plate.bin"
    data.write_bytes(b"pixels")
    place.chmod(0o555)
    ended = faulty.run("seal", data, "--instrument", identity, user=NOBODY)
    assert (ended.code, "error[E104]" in ended.in_words(), "permission denied" in ended.stderr) == (1, True, True), (
        ended
    )
    assert list(place.iterdir()) == [data]
    config = ("trust", "add", people.authority)
    ended = faulty.run(*config, config=place / "config", user=NOBODY)
    assert ended.code == 1
    ended.in_words()


class SmallDisk:
    """A disk of its own that can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._filler = folder, folder / "filler"

    def fill(self) -> None:
        with contextlib.suppress(OSError), self._filler.open("ab", buffering=0) as stream:
            while True:
                stream.write(b"\0" * 4096)

    def make_room(self) -> None:
        self._filler.unlink()

    def remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", self.folder], check=True)

    def files(self) -> dict[Path, bytes]:
        return {path: data for path, data in tree(self.folder).items() if path != self._filler}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a small disk is mounted by root on Linux only")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0755", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("make", cases.CASES, ids=lambda make: make.__name__)
def test_a_full_disk(make: Callable[..., Any], disk: SmallDisk, faulty: Any, people: Any) -> None:
    case = make(disk.folder, people, faulty)
    before = disk.files()
    disk.fill()
    ended = faulty.run("seal", *case.arguments)
    assert (ended.code, "error[E105]" in ended.in_words()) == (1, True), ended
    assert disk.files() == before
    disk.make_room()
    faulty.good("seal", *case.arguments)


@pytest.mark.parametrize("make", commands.COMMANDS, ids=lambda make: make.__name__)
def test_a_full_disk_for_state(make: Callable[..., Any], disk: SmallDisk, faulty: Any, people: Any) -> None:
    command = make(disk.folder, people, faulty)
    before = disk.files()
    disk.fill()
    ended = faulty.run(*command.arguments, config=command.config)
    assert (ended.code, "error[E105]" in ended.in_words()) == (1, True), ended
    assert disk.files() == before
    disk.make_room()
    faulty.good(*command.arguments, config=command.config)
    command.check()


def test_a_disk_that_is_read_only(disk: SmallDisk, faulty: Any, people: Any) -> None:
    case = cases.a_folder(disk.folder, people, faulty)
    before = disk.files()
    disk.remount("ro")
    ended = faulty.run("seal", *case.arguments)
    assert (ended.code, "error[E104]" in ended.in_words()) == (1, True), ended
    assert disk.files() == before
    # Reading needs no right to write.
    assert faulty.run("verify", case.target, "--trust", people.authority).code == 10
    disk.remount("rw")
    faulty.good("seal", *case.arguments)


def wait_for(condition: Callable[[], Any], *, within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize("full", ["data", "state", "log"])
def test_an_agent_waits_for_room(full: str, disk: SmallDisk, tmp_path: Path, people: Any) -> None:
    places = {name: disk.folder if name == full else tmp_path for name in ("data", "state", "log")}
    watched = places["data"] / "watched"
    watched.mkdir()
    log = places["log"] / "agent.log"
    said = tmp_path / "stderr"
    command = [
        Path(sys.executable).with_name("rawtrace"), "agent", "run", "--watch", watched,
        "--instrument", people.instrument, "--state", places["state"] / "state" / "agent.sqlite",
        "--quiet-period", "0.1", "--log", log,
    ]  # fmt: skip
    with said.open("wb") as stream, subprocess.Popen(command, stderr=stream, stdout=subprocess.DEVNULL) as agent:
        try:
            wait_for(lambda: "watching" in said.read_text())
            (watched / "a.bin").write_bytes(b"a")
            wait_for((watched / "a.bin.c2pa").exists)
            wait_for(lambda: "a.bin: sealed" in said.read_text())
            (watched / "b.bin").touch()
            disk.fill()
            if full == "data":
                # The bytes of a file this small lie beside what is full: no room is needed but for the seal.
                disk.make_room()
                (watched / "b.bin").write_bytes(b"b")
                disk.fill()
            else:
                (watched / "b.bin").write_bytes(b"b")
            if full == "log":
                wait_for((watched / "b.bin.c2pa").exists)
            else:
                wait_for(lambda: "no space left" in said.read_text() or "full" in said.read_text())
            assert agent.poll() is None
            disk.make_room()
            wait_for((watched / "b.bin.c2pa").exists)
            wait_for(lambda: "b.bin: sealed" in said.read_text())
            (watched / "c.bin").write_bytes(b"c")
            wait_for(lambda: "c.bin: sealed" in said.read_text())
        finally:
            agent.terminate()
            agent.wait(timeout=20)
    assert agent.returncode == 0
    text = said.read_text()
    assert "Traceback" not in text, text
    assert "Logging error" not in text
    assert sorted(path.name for path in watched.glob("*.c2pa")) == ["a.bin.c2pa", "b.bin.c2pa", "c.bin.c2pa"]
    assert "c.bin: sealed" in log.read_text()
