"""``rawtrace log`` from the command line."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from logs import flip

Run = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"results-{number}.csv" for number in range(3)]
    for number, path in enumerate(files):
        path.write_text(f"a,b\n{number},2\n")
    return files


@pytest.fixture
def folder(rawtrace: Run, tmp_path: Path) -> Path:
    made = rawtrace("log", "init", tmp_path / "log", "--origin", "log.example.org/tests", "--json")
    assert made.code == 0, made.err
    assert made.json["verifier_key"].startswith("log.example.org/tests+")
    return tmp_path / "log"


# --- what must not pass


def test_changed_file_and_foreign_receipt_do_not_pass(rawtrace: Run, folder: Path, data: list[Path]) -> None:
    rawtrace("log", "append", folder, *data)
    policy = ("--policy", folder / "policy")
    data[0].write_text("a,b\n0,3\n")
    done = rawtrace("log", "verify", data[0], *policy)
    assert done.code == 20
    assert "something else" in done.out
    done = rawtrace("log", "verify", data[1], "--receipt", f"{data[2]}.tlog-proof", *policy)
    assert done.code == 20
    flip(Path(f"{data[1]}.tlog-proof"), 60)
    assert rawtrace("log", "verify", data[1], *policy).code == 20
    Path(f"{data[1]}.tlog-proof").write_bytes(b"garbage")
    assert rawtrace("log", "verify", data[1], *policy).code == 20
    Path(f"{data[1]}.tlog-proof").unlink()
    assert rawtrace("log", "verify", data[1], *policy).code == 3


def test_receipt_of_a_log_that_nobody_named_does_not_pass(
    rawtrace: Run, folder: Path, data: list[Path], tmp_path: Path
) -> None:
    other = rawtrace("log", "init", tmp_path / "other", "--origin", "log.example.org/tests", "--json").json
    rawtrace("log", "append", folder, data[0])
    done = rawtrace("log", "verify", data[0], "--vkey", other["verifier_key"])
    assert done.code == 20
    assert rawtrace("log", "verify", data[0]).code == 2
    assert rawtrace("log", "verify", data[0], "--vkey", "garbage").code == 1


def test_audit_names_what_was_changed_in_the_database(rawtrace: Run, folder: Path, data: list[Path]) -> None:
    rawtrace("log", "append", folder, *data)
    assert rawtrace("log", "audit", folder).code == 0
    with sqlite3.connect(folder / "log.sqlite") as connection:
        connection.execute("UPDATE log_record SET record = replace(record, 'file', 'fila') WHERE position = 1")
    connection.close()
    done = rawtrace("log", "audit", folder, "--json")
    assert done.code == 20
    assert [(one["kind"], one["index"]) for one in done.json["faults"]] == [("record", 1)]
    with sqlite3.connect(folder / "log.sqlite") as connection:
        (entries,) = connection.execute("SELECT data FROM log_bundle").fetchone()
        connection.execute("UPDATE log_bundle SET data = ?", (entries[:40] + b"x" + entries[41:],))
    connection.close()
    assert rawtrace("log", "audit", folder).code == 20
    done = rawtrace("log", "append", folder, data[0])
    assert done.code == 1
    assert "damaged" in done.err


def test_turned_back_log_is_refused_and_brought_back(
    rawtrace: Run, folder: Path, data: list[Path], tmp_path: Path
) -> None:
    rawtrace("log", "append", folder, data[0])
    backup = (folder / "log.sqlite").read_bytes()
    rawtrace("log", "append", folder, *data[1:])
    assert rawtrace("log", "export", folder, tmp_path / "public").code == 0
    for name in ("log.sqlite", "log.sqlite-wal", "log.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    (folder / "log.sqlite").write_bytes(backup)
    done = rawtrace("log", "append", folder, data[1])
    assert done.code == 1
    assert "older copy" in done.err
    assert "restore" in done.err
    found = rawtrace("log", "audit", folder, "--older", tmp_path / "public" / "checkpoint")
    assert found.code == 20
    assert "turned back" in found.out
    assert rawtrace("log", "restore", folder, tmp_path / "public", "--json").json["restored"] == 2
    assert rawtrace("log", "append", folder, data[0], "--json").json["logged"][0]["index"] == 0
    assert rawtrace("log", "verify", data[1], "--policy", folder / "policy").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "{tmp}/nowhere"),
        ("append", "{tmp}/nowhere", "{tmp}/results-0.csv"),
        ("append", "{log}", "{tmp}/nothing.csv"),
        ("export", "{tmp}/nowhere", "{tmp}/out"),
        ("prove", "{log}", "{tmp}/results-0.csv"),
        ("restore", "{log}", "{tmp}/nowhere"),
        ("witness", "{tmp}/nowhere"),
    ],
)
def test_what_is_not_there_is_said(
    rawtrace: Run, folder: Path, data: list[Path], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert data[0].exists()
    done = rawtrace("log", *(one.format(tmp=tmp_path, log=folder) for one in arguments))
    assert done.code == 3, done.err
    assert "Traceback" not in done.err


def test_wrong_usage_is_said(rawtrace: Run, folder: Path, tmp_path: Path) -> None:
    assert rawtrace("log", "init", folder, "--origin", "x").code == 1
    assert rawtrace("log", "init", tmp_path / "new", "--origin", "two words").code == 1
    assert not (tmp_path / "new").exists()
    assert rawtrace("log", "erase", folder).code == 2
    assert rawtrace("log", "erase", folder, "0", "--kind", "file", "--older-than", "1").code == 2
    assert rawtrace("log", "erase", folder, "--kind", "file").code == 2
    assert rawtrace("log", "erase", folder, "0").code == 1
    assert rawtrace("log", "prove", folder, "9").code == 1
    assert rawtrace("log", "audit", "http://log.example.org/").code == 2


def test_lost_guard_is_begun_anew_on_request_only(rawtrace: Run, folder: Path, data: list[Path]) -> None:
    rawtrace("log", "append", folder, data[0])
    (folder / "guard").unlink()
    done = rawtrace("log", "append", folder, data[1])
    assert done.code == 1
    assert "--new-guard" in done.err
    assert rawtrace("log", "append", folder, data[1], "--new-guard").code == 0


# --- what passes


def test_append_prove_verify_audit_export_erase(rawtrace: Run, folder: Path, data: list[Path], tmp_path: Path) -> None:
    done = rawtrace("log", "append", folder, *data, "--json")
    assert [one["index"] for one in done.json["logged"]] == [0, 1, 2]
    found = rawtrace("log", "verify", data[2], "--policy", folder / "policy", "--json")
    assert (found.code, found.json["held"][0]["index"], found.json["held"][0]["time"]) == (0, 2, "")
    assert "not proven" in rawtrace("log", "verify", data[2], "--policy", folder / "policy").out
    assert rawtrace("log", "prove", folder, data[1], "--out", tmp_path / "proof").code == 0
    key = (folder / "vkey").read_text().strip()
    assert rawtrace("log", "verify", data[1], "--receipt", tmp_path / "proof", "--vkey", key).code == 0
    assert rawtrace("log", "prove", folder, "1").out == (tmp_path / "proof").read_text()

    audited = rawtrace("log", "audit", folder, "--json").json
    assert (audited["sound"], audited["size"], audited["records"], audited["signature_checked"]) == (True, 3, 3, True)
    exported = rawtrace("log", "export", folder, tmp_path / "public", "--json").json
    assert (exported["size"], exported["written"]) == (3, 3)
    public = rawtrace("log", "audit", tmp_path / "public")
    assert public.code == 0
    assert "not checked" in public.out
    assert "not at hand" in public.out
    assert "holds" in rawtrace("log", "audit", tmp_path / "public", "--vkey", key).out

    assert rawtrace("log", "erase", folder, "1", "--json").json["erased"] == 1
    audited = rawtrace("log", "audit", folder, "--older", tmp_path / "public" / "checkpoint", "--json").json
    assert (audited["sound"], audited["records"], audited["erased"], audited["continues"]) == (True, 2, 1, [3])
    assert rawtrace("log", "verify", data[1], "--policy", folder / "policy").code == 0
    assert rawtrace("log", "erase", folder, "--kind", "file", "--older-than", "1", "--json").json["erased"] == 0


def test_seal_gets_a_receipt_that_verify_takes(rawtrace: Run, folder: Path, sealed: Path) -> None:
    sidecar = sealed.with_name(sealed.name + ".c2pa")
    done = rawtrace("log", "append", folder, sidecar, "--json")
    assert done.json["logged"][0]["receipt"] == f"{sidecar}.tlog-proof"
    assert rawtrace("log", "verify", sidecar, "--policy", folder / "policy").code == 0
    assert rawtrace("log", "prove", folder, sidecar).code == 0


def test_receipts_of_two_logs_stand_in_one_file(rawtrace: Run, folder: Path, data: list[Path], tmp_path: Path) -> None:
    rawtrace("log", "init", tmp_path / "second", "--origin", "log.example.org/second")
    for where in (folder, tmp_path / "second", folder):
        assert rawtrace("log", "append", where, data[0]).code == 0
    for where in (folder, tmp_path / "second"):
        assert rawtrace("log", "verify", data[0], "--policy", where / "policy").code == 0
    assert Path(f"{data[0]}.tlog-proof").read_text().count("c2sp.org/tlog-proof") == 2
    foreign = tmp_path / "results-1.csv.tlog-proof"
    foreign.write_text("something of mine")
    assert rawtrace("log", "append", folder, data[1]).code == 1
    assert foreign.read_text() == "something of mine"


def test_log_without_witnesses_says_so(rawtrace: Run, folder: Path) -> None:
    done = rawtrace("log", "witness", folder)
    assert done.code == 0
    assert "no witness" in done.out
