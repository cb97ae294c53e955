"""Clocks that run backwards, few open files, little memory: words, never a traceback, and nobody is fooled."""

from __future__ import annotations

import runpy
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rawtrace.trust.trustlist import read_list

HERE = Path(__file__).parent
cases = SimpleNamespace(**runpy.run_path(str(HERE / "cases.py")))
forge = SimpleNamespace(**runpy.run_path(str(HERE.parent / "unit" / "sealing" / "forge.py")))
HOUR, YEAR = 3600, 365 * 86_400


@pytest.mark.parametrize("clock_s", [-HOUR, HOUR], ids=["slow", "fast"])
def test_a_seal_by_a_wrong_clock_still_verifies_or_says_why(
    clock_s: int, tmp_path: Path, faulty: Any, people: Any
) -> None:
    case = cases.a_file(tmp_path, people, faulty)
    made = faulty.run("seal", *case.arguments, clock_s=clock_s)
    if made.code:
        # Before its certificate began, no signer may sign.
        assert "E131" in made.in_words()
        assert case.leftovers(set(case.data)) == set()
        return
    ended = faulty.run("verify", case.target, "--trust", people.authority)
    assert ended.code in {0, 11}, ended
    assert clock_s < 0 or ended.code == 11 or "time" in ended.stdout, ended


def test_supersede_after_the_clock_went_back(tmp_path: Path, faulty: Any, people: Any) -> None:
    case = cases.a_superseded_file(tmp_path, people, faulty)
    faulty.good("seal", *case.arguments, clock_s=-60)
    faulty.good("verify", case.target, "--trust", people.authority)


def test_an_agent_whose_clock_went_back(tmp_path: Path, faulty: Any, people: Any) -> None:
    watched, state = tmp_path / "watched", tmp_path / "state.sqlite"
    watched.mkdir()
    run = ("agent", "run", "--once", "--quiet-period", "0.1", "--watch", watched)
    run = (*run, "--instrument", people.instrument, "--state", state)
    (watched / "a.bin").write_bytes(b"a")
    faulty.good(*run)
    (watched / "b.bin").write_bytes(b"b")
    (watched / "a.bin").write_bytes(b"a, and more")
    # Within the validity of the certificate, which began when the test did, less the hour that is allowed.
    faulty.good(*run, clock_s=-60)
    assert sorted(path.name for path in watched.glob("*.c2pa")) == [
        "a.bin.c2pa",
        "a.bin.superseded-00001.c2pa",
        "b.bin.c2pa",
    ]
    faulty.good("verify", *watched.glob("?.bin"), "--trust", people.authority)


def test_an_authority_whose_clock_went_back(tmp_path: Path, faulty: Any, people: Any) -> None:
    """Numbers and times of its lists only grow, so that those who hold the earlier list take the later one."""
    authority, config = tmp_path / "authority", tmp_path / "config"
    shutil.copytree(people.authority, authority)
    target = authority / "trust-list.jws"
    new = ("workstation", "new", "--name", "W", "--owner", "https://ror.org/0exampe44", "--authority", authority)
    faulty.good("trust", "add", authority, config=config)
    lists = [read_list(target.read_bytes(), source="it")]
    for number, clock_s in enumerate((0, 30 * HOUR, 20 * HOUR, 0)):
        faulty.good(*new, tmp_path / f"w{number}", clock_s=clock_s)
        lists.append(read_list(target.read_bytes(), source="it"))
        faulty.good("trust", "update", config=config)
    sequences = [one.sequence for one in lists]
    assert sequences == sorted(set(sequences))
    issued = [one.issued for one in lists]
    assert issued == sorted(issued)


@pytest.mark.parametrize("clock_s", [-10 * YEAR, -HOUR, HOUR, 10 * YEAR])
def test_no_clock_makes_the_trust_store_take_an_older_list(
    clock_s: int, tmp_path: Path, faulty: Any, people: Any
) -> None:
    from rawtrace.trust.authority import publish

    authority, config = tmp_path / "authority", tmp_path / "config"
    shutil.copytree(people.authority, authority)
    old = (authority / "trust-list.jws").read_bytes()
    publish(authority)
    faulty.good("trust", "add", authority, config=config)
    (held,) = (config / "trust").glob("*.json")
    before = held.read_bytes()
    (authority / "trust-list.jws").write_bytes(old)
    for command in (("trust", "update"), ("trust", "add", authority)):
        ended = faulty.run(*command, config=config, clock_s=clock_s)
        assert (ended.code, held.read_bytes()) == (1, before), ended
        assert "Traceback" not in ended.stderr


def test_few_open_files(tmp_path: Path, faulty: Any, people: Any) -> None:
    for make in cases.CASES:
        folder = tmp_path / make.__name__
        folder.mkdir()
        case = make(folder, people, faulty)
        faulty.good("seal", *case.arguments, limits={"NOFILE": 32})
        faulty.good("verify", case.target, "--trust", people.authority, limits={"NOFILE": 32})
    folder = tmp_path / "fewer"
    folder.mkdir()
    case = cases.a_folder(folder, people, faulty)
    before = cases.fingerprints(list(case.data))
    for limit in range(3, 16):
        ended = faulty.run("seal", *case.arguments, limits={"NOFILE": limit})
        if ended.code == 0:
            break
        assert ended.code == 1, ended
        ended.in_words()
        assert cases.fingerprints(list(case.data)) == before
        assert case.leftovers(set(case.data)) == set()
    assert ended.code == 0, ended


def test_an_agent_with_few_open_files(tmp_path: Path, faulty: Any, people: Any) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    for number in range(200):
        (watched / f"{number}.bin").write_bytes(b"%d" % number)
    run = ("agent", "run", "--once", "--quiet-period", "0", "--watch", watched, "--instrument", people.instrument)
    faulty.good(*run, "--state", tmp_path / "state.sqlite", limits={"NOFILE": 40})
    with sqlite3.connect(tmp_path / "state.sqlite") as database:
        assert database.execute("SELECT count(*) FROM asset WHERE state = 'sealed'").fetchone() == (200,)
    database.close()


def hostile(folder: Path) -> dict[str, tuple[int, ...]]:
    """Files that ask for much memory, and the exit codes that are right for them."""
    (folder / "junk.bin").write_bytes(b"data")
    with (folder / "junk.bin.c2pa").open("wb") as stream:
        stream.truncate(1 << 30)
    (folder / "deep.bin").write_bytes(forge.ASSET)
    said = [forge.cbor_assertion("org.example.deep", None, raw=b"\x81" * 100_000 + b"\x00"), forge.data_hash()]
    (folder / "deep.bin.c2pa").write_bytes(forge.store(forge.manifest(said)))
    (folder / "long.bin").write_bytes(forge.ASSET)
    said = [forge.cbor_assertion("org.example.long", None, raw=b"\x9a\x7f\xff\xff\xff"), forge.data_hash()]
    (folder / "long.bin.c2pa").write_bytes(forge.store(forge.manifest(said)))
    (folder / "wide.bin").write_bytes(forge.ASSET)
    (folder / "wide.bin.c2pa").write_bytes(b"\0\0\0\1jumb" + (1 << 62).to_bytes(8, "big") + bytes(100))
    stack = folder / "stack.zarr"
    stack.mkdir()
    (stack / "0").write_bytes(b"chunk")
    with (folder / "stack.zarr.sha256").open("wb") as stream:
        stream.truncate(600 << 20)
    (folder / "stack.zarr.sha256.c2pa").write_bytes(forge.store())
    return {"junk.bin": (13,), "deep.bin": (11, 13), "long.bin": (11, 13), "wide.bin": (13,), "stack.zarr": (12, 13)}


def test_hostile_input_in_little_memory(tmp_path: Path, faulty: Any, people: Any) -> None:
    for name, codes in hostile(tmp_path).items():
        trusted = ("--trust", people.authority)
        # 400 MB beside what the libraries themselves map.
        ended = faulty.run("verify", tmp_path / name, *trusted, limits={"AS": 1_200 << 20})
        assert ended.code in codes, (name, ended)
        assert "Traceback" not in ended.stderr
        tight = faulty.run("verify", tmp_path / name, *trusted, limits={"AS": 100 << 20})
        assert tight.code in {1, *codes}, (name, tight)
        assert tight.code != 1 or "memory" in tight.in_words() or "error[" in tight.stderr
