"""``rawtrace seal`` is killed at every step and at any moment: no seal or a whole one, and the data untouched."""

from __future__ import annotations

import os
import random
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.report import Verdict
from rawtrace.trust.trustlist import TrustList
from rawtrace.verification.verify import verify

cases = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("cases.py"))))
CASES, fingerprints = cases.CASES, cases.fingerprints
#: A dozen of each case. For a longer run: RAWTRACE_KILLS=240 make soak.
KILLS = int(os.environ.get("RAWTRACE_KILLS", "84"))
GOOD = {Verdict.VERIFIED, Verdict.VERIFIED_WITH_NOTES}


def whole_seal_or_none(case: Any, trust: tuple[TrustList, ...], *, superseding: bool) -> bool:
    """Whether a seal is there; where it is, it must be good and the newest."""
    if not case.target.exists():
        return False
    report = verify(case.target, trust=trust, originals=(case.folder,))
    if report.verdict in GOOD:
        return True
    # An older seal that has not yet been moved aside rightly says that the data is not what it was.
    assert report.verdict is Verdict.NO_SEAL or (superseding and report.verdict is Verdict.ALTERED), report.summary
    return False


@pytest.mark.parametrize("torn", [False, True], ids=["killed", "power-cut"])
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_crash_at_every_step(
    make: Callable[..., Any], torn: bool, tmp_path: Path, faulty: Any, people: Any, trust_lists: tuple[TrustList, ...]
) -> None:
    superseding = "superseded" in make.__name__
    sealed = []
    for step in range(200):
        folder = tmp_path / str(step)
        folder.mkdir()
        case = make(folder, people, faulty)
        before = fingerprints(list(case.data))
        known = {path for path in folder.rglob("*") if path.is_file()}
        older = {path: path.read_bytes() for path in known - set(case.data)}
        ended = faulty.run("seal", *case.arguments, under=folder, die_at=step, torn=torn)
        assert fingerprints(list(case.data)) == before
        sealed.append(whole_seal_or_none(case, trust_lists, superseding=superseding))
        if not ended.killed:
            assert ended.code == 0, ended
            assert len(ended.steps) == step
            break
        again = faulty.run("seal", *case.arguments)
        if sealed[-1] and not superseding:
            assert (again.code, "E106" in again.stderr) == (1, True), again
        else:
            assert again.code == 0, (ended.steps, again)
        case.sweep()
        assert whole_seal_or_none(case, trust_lists, superseding=superseding)
        assert fingerprints(list(case.data)) == before
        kept = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        assert all(data in kept for data in older.values()), "an older seal was lost"
        ours = (".c2pa", ".sha256", ".metadata.json", "figure.sealed.png")
        odd = [path.name for path in case.leftovers(known) if not path.name.endswith(ours)]
        assert all(name.startswith("stack.zarr.sha256.superseded-") for name in odd), odd
    else:
        pytest.fail("sealing never came to its end")
    files = [path for path in folder.rglob("*") if path.is_file() and path not in case.data]
    moved = [path for path in files if ".superseded-" in path.name]
    written = [path for path in files if path.read_bytes() not in older.values()]
    # New: opened, synced, linked, unlinked, folder synced. Moved: linked, unlinked, folder synced.
    assert (step, bool(written)) == (5 * len(written) + 3 * len(moved), True)
    # Once the seal is there it stays: no step after it takes it away again.
    assert sealed == sorted(sealed)
    assert sealed[-1]
    assert not sealed[0]


@pytest.mark.parametrize("make", [cases.a_folder, cases.a_file_with_long_metadata], ids=lambda make: make.__name__)
def test_data_that_grew_after_a_crash_is_sealed_all_the_same(
    make: Callable[..., Any], tmp_path: Path, faulty: Any, people: Any, trust_lists: tuple[TrustList, ...]
) -> None:
    case = make(tmp_path, people, faulty)
    # Five steps publish what comes before the seal: the index or the companion.
    assert faulty.run("seal", *case.arguments, under=tmp_path, die_at=5).killed
    (left,) = case.leftovers(set(case.data))
    before = left.read_bytes()
    if case.target.is_dir():
        (case.target / "0" / "late").write_bytes(b"late")
    else:
        case.target.write_bytes(case.target.read_bytes().replace(b"stain", b"label"))
    faulty.good("seal", *case.arguments)
    assert whole_seal_or_none(case, trust_lists, superseding=False)
    (aside,) = (path for path in tmp_path.iterdir() if ".unsealed-00001." in path.name)
    assert aside.read_bytes() == before
    faulty.good("verify", "-r", tmp_path, "--trust", people.authority)


@pytest.mark.parametrize("make", [cases.a_superseded_file, cases.a_superseded_folder], ids=lambda make: make.__name__)
def test_what_was_moved_aside_does_not_spoil_a_look_at_the_whole_folder(
    make: Callable[..., Any], tmp_path: Path, faulty: Any, people: Any
) -> None:
    faulty.good("seal", *make(tmp_path, people, faulty).arguments)
    assert list(tmp_path.glob("*.superseded-00001*"))
    faulty.good("verify", "-r", tmp_path, "--trust", people.authority)


@pytest.mark.parametrize("make", [cases.a_folder, cases.a_file_with_long_metadata], ids=lambda make: make.__name__)
@pytest.mark.parametrize("text", [b"somebody's own notes\n", b'{"pixels": 1}', b"0" * 64 + b"  other/file\n"])
def test_files_of_other_people_are_never_moved(
    make: Callable[..., Any], text: bytes, tmp_path: Path, faulty: Any, people: Any
) -> None:
    case = make(tmp_path, people, faulty)
    path = case.target.with_name(case.target.name + (".sha256" if case.target.is_dir() else ".metadata.json"))
    path.write_bytes(text)
    ended = faulty.run("seal", *case.arguments)
    assert (ended.code, "E106" in ended.in_words()) == (1, True)
    assert path.read_bytes() == text
    assert case.leftovers({*case.data, path}) == set()


@pytest.mark.soak
def test_a_kill_at_any_moment(tmp_path: Path, faulty: Any, people: Any, trust_lists: tuple[TrustList, ...]) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  a failure can then be repeated
    chance = random.Random(seed)  # noqa: S311
    takes_s: dict[Any, float] = {}
    outcomes = {"killed": 0, "finished": 0, "sealed": 0}
    for number in range(KILLS):
        make = CASES[number % len(CASES)]
        folder = tmp_path / str(number)
        folder.mkdir()
        case = make(folder, people, faulty)
        before = fingerprints(list(case.data))
        superseding = "superseded" in make.__name__
        if make not in takes_s:
            # How long it takes in peace, on a twin; then a moment within that.
            (tmp_path / make.__name__).mkdir()
            twin, started = make(tmp_path / make.__name__, people, faulty), time.perf_counter()
            faulty.good("seal", *twin.arguments)
            takes_s[make] = time.perf_counter() - started
        ended = faulty.run("seal", *case.arguments, kill_after_s=chance.uniform(0, takes_s[make]))
        assert fingerprints(list(case.data)) == before
        there = whole_seal_or_none(case, trust_lists, superseding=superseding)
        outcomes["killed" if ended.killed else "finished"] += 1
        outcomes["sealed"] += there
        again = faulty.run("seal", *case.arguments)
        if there and not superseding:
            assert "E106" in again.stderr, (seed, number, again)
        else:
            assert again.code == 0, (seed, number, again)
        assert whole_seal_or_none(case, trust_lists, superseding=superseding), (seed, number)
        assert fingerprints(list(case.data)) == before
    print(outcomes)  # noqa: T201
    assert outcomes["killed"] >= KILLS * 5 // 12
    assert outcomes["sealed"] < KILLS
