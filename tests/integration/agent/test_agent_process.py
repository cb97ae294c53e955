"""The agent as it runs in earnest: processes, signals, real seals."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rawtrace.agent.tools import read_seal
from rawtrace.cli.main import run_for_code
from rawtrace.report import Verdict
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.verify import verify

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")

#: Of the soak test; the moments are the same in every run. For a longer one: RAWTRACE_KILLS=100 make soak.
KILLS = int(os.environ.get("RAWTRACE_KILLS", "40"))
AGENT = 4711


def sealed_as(path: Path) -> str:
    """What the seal beside a file is bound to."""
    return read_seal(path.with_name(path.name + ".c2pa")).content_sha256


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def kill_at_random_moments(lab: Any, rounds: int) -> None:
    chance = random.Random(20_26)  # noqa: S311  repeatable, not secret
    written: list[Path] = []
    for number in range(rounds):
        process = lab.start("--quiet-period", "0.1")
        for each in range(8):
            data = chance.randbytes(chance.randrange(1, 300_000))
            written.append(lab.write(f"run-{number}/{each}.bin", data))
        written.append(lab.write(f"run-{number}/s.zarr/0/0", b"chunk"))
        time.sleep(chance.uniform(0.3, 1.0))
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=10)
    done = lab.once("--quiet-period", "0.1")
    assert done.returncode == 0, done.stderr
    for path in written:
        if path.suffix == ".bin":
            assert sealed_as(path) == sha256(path), path
    status = lab.status()
    assert {name: n for name, n in status["counts"].items() if n} == {"sealed": rounds * 9}
    everything = [path for path in lab.watched.rglob("*") if path.is_file()]
    # One seal for each asset, none of them a second one.
    assert sum(path.suffix == ".c2pa" for path in everything) == rounds * 9
    assert not [path for path in everything if ".superseded-" in path.name]
    assert not [path for path in everything if path.suffix == ".c2pa" and not path.stat().st_size]


def test_a_kill_at_any_moment_loses_nothing_and_seals_nothing_twice(lab: Any) -> None:
    kill_at_random_moments(lab, 8)


@pytest.mark.soak
def test_many_kills(lab: Any) -> None:
    kill_at_random_moments(lab, KILLS)


@pytest.mark.parametrize("count", [100, pytest.param(2500, marks=pytest.mark.soak)])
def test_many_small_files(lab: Any, count: int) -> None:
    for number in range(count):
        lab.write(f"{number % 10}/{number:04}.bin", b"%d" % number)
    done = lab.once("--quiet-period", "0", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({event["path"] for event in events}) == count
    assert {event["event"] for event in events} == {"sealed"}
    assert {event["seal"]["capture"] for event in events} == {"watched-folder"}
    assert lab.status()["counts"]["sealed"] == count


def test_late_data_is_superseded_and_never_reported_as_altered(lab: Any, trust_lists: tuple[TrustList, ...]) -> None:
    lab.start("--quiet-period", "0.2")
    path, sidecar = lab.write("log.csv", b"first\n"), lab.watched / "log.csv.c2pa"
    lab.wait_for(sidecar.exists)
    assert verify(path, trust=trust_lists).verdict is Verdict.VERIFIED_WITH_NOTES
    with path.open("ab") as stream:
        stream.write(b"second\n")
    lab.wait_for(lambda: (lab.watched / "log.csv.superseded-00001.c2pa").exists() and sidecar.exists())
    # For a moment the older seal has both names.
    lab.wait_for(lambda: lab.status()["counts"]["superseded"] == 1)
    assert sealed_as(path) == sha256(path)
    assert verify(path, trust=trust_lists).verdict is Verdict.VERIFIED_WITH_NOTES
    assert lab.status()["last_sealed"][0]["superseding"]


def test_status_stop_and_a_second_agent(lab: Any) -> None:
    lab.write("waits.tif", b"")
    process = lab.start("--quiet-period", "0.2")
    path = lab.write("a.tif", b"II*\0 not a whole image")
    lab.write("b.bin")
    lab.wait_for((lab.watched / "b.bin.c2pa").exists)
    lab.wait_for(lambda: any(one["why"] == "it is empty so far" for one in lab.status()["waiting"]))
    running = lab.status()
    assert (running["running"], running["pid"]) == (True, process.pid)
    second = lab.once()
    assert second.returncode == 1
    assert f"another agent (process {process.pid}) already uses the state file" in second.stderr
    assert "Traceback" not in second.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0
    stopped = lab.status()
    assert (stopped["running"], stopped["pid"]) == (False, None)
    assert stopped["stopped"]
    assert path.read_bytes() == b"II*\0 not a whole image"


def test_it_works_where_no_events_arrive(lab: Any) -> None:
    lab.start("--quiet-period", "0.2", "--poll")
    lab.wait_for(lambda: "at intervals" in lab.log())
    lab.write("a.bin")
    lab.wait_for((lab.watched / "a.bin.c2pa").exists)


def as_somebody(user: int, work: Callable[[], int]) -> int:
    """Do something in a process of another account, where this one is root; return its exit code."""
    with warnings.catch_warnings():
        # Forking beside idle threads is what newer versions of Python warn of; the child only calls our own code.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        code = 99
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def open_lab(lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A lab whose instrument and state belong to the account of the agent, user 4711."""
    if not as_somebody(AGENT, lambda: int(os.access(sys.executable, os.X_OK))):
        pytest.skip("this Python lies where other accounts cannot run it")
    instrument = lab.folder / "instrument"
    shutil.copytree(lab.instrument, instrument)
    lab.instrument = instrument
    lab.state.parent.mkdir()
    if os.geteuid() == 0:
        for path in (instrument, *instrument.iterdir(), lab.state.parent, lab.watched):
            os.chown(path, AGENT, AGENT)
        for folder in (lab.folder, *lab.folder.parents):
            if folder.is_relative_to(tmp_path_factory.getbasetemp().parent):
                folder.chmod(folder.stat().st_mode | 0o011)
    return lab


def test_a_folder_that_cannot_be_written_to_is_named_and_sealed_later(open_lab: Any) -> None:
    path = open_lab.write("locked/a.bin")
    once = open_lab.arguments("--once", "--quiet-period", "0.1")[1:]
    path.parent.chmod(0o555)
    try:
        assert as_somebody(AGENT, lambda: run_for_code(once)) == 1
        (failed,) = open_lab.status()["failed"]
        assert "permission denied" in failed["error"]
    finally:
        path.parent.chmod(0o777)
    assert as_somebody(AGENT, lambda: run_for_code(once)) == 0
    assert sealed_as(path) == sha256(path)


def test_people_at_the_microscope_can_neither_read_the_key_nor_sign(open_lab: Any) -> None:
    if os.geteuid() != 0:
        pytest.skip("two accounts are needed, and only root can take them")
    path = open_lab.write("public/a.bin")
    path.parent.chmod(0o777)
    signing = ["seal", str(path), "--instrument", str(open_lab.instrument)]
    assert as_somebody(AGENT + 1, lambda: run_for_code(signing)) in {1, 2}
    assert as_somebody(AGENT + 1, lambda: run_for_code(open_lab.arguments("--once")[1:])) == 1
    assert not path.with_name("a.bin.c2pa").exists()
    assert as_somebody(AGENT, lambda: run_for_code(signing)) == 0
