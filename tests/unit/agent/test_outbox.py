"""The durable outbox."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rawtrace.agent import rows
from rawtrace.agent.outbox import Outbox, Told, Wait
from rawtrace.agent.rows import State
from rawtrace.agent.watch import Kind
from rawtrace.errors import OutboxError
from rawtrace.sealing.finished import Fingerprint
from rawtrace.sealing.statements import Device

ONE, TWO = Fingerprint(size=1, mtime_ns=10), Fingerprint(size=2, mtime_ns=20)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "agent.sqlite", now=lambda: "2026-01-01T00:00:00+00:00") as made:
        yield made


def state_of(outbox: Outbox, name: str) -> State:
    row = outbox.row(name)
    assert row is not None
    return row.state


def seal(outbox: Outbox, name: str, fingerprint: Fingerprint = ONE, number: int = 1) -> None:
    assert outbox.begin(name, fingerprint=fingerprint, how="format", capture="watched-folder")
    outbox.sealed(name, label=f"label {number}", claim_sha256="c", content_sha256="d")


@pytest.mark.parametrize(
    "data", [b"not a database at all, but long enough to look at", b"SQLite format 3\0" + b"\xff" * 999]
)
def test_a_file_that_is_no_state_file_is_refused_and_kept(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "agent.sqlite"
    path.write_bytes(data)
    with pytest.raises(OutboxError, match="state file"):
        Outbox(path, now=str)
    with pytest.raises(OutboxError, match="state file"):
        rows.open_to_read(path)
    assert path.read_bytes() == data


def test_other_peoples_and_newer_databases_are_refused(tmp_path: Path) -> None:
    for name, statement in (("other", "CREATE TABLE cat (name TEXT)"), ("newer", "PRAGMA user_version = 99")):
        path = tmp_path / name
        database = sqlite3.connect(path)
        database.execute(statement)
        database.commit()
        database.close()
        with pytest.raises(OutboxError, match="not a state file that this version"):
            Outbox(path, now=str)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutboxError, match="cannot be used"):
        Outbox(tmp_path / "file" / "agent.sqlite", now=str)


def test_nothing_is_sealed_twice(outbox: Outbox) -> None:
    outbox.enlist([("a.tif", Kind.FILE)])
    assert outbox.begin("a.tif", fingerprint=ONE, how="format", capture="x")
    assert not outbox.begin("a.tif", fingerprint=ONE, how="format", capture="x")
    outbox.sealed("a.tif", label="l", claim_sha256="c", content_sha256="d")
    assert not outbox.begin("a.tif", fingerprint=ONE, how="format", capture="x")
    assert not outbox.begin("unknown.tif", fingerprint=ONE, how="format", capture="x")
    outbox.enlist([("a.tif", Kind.FILE)])
    assert state_of(outbox, "a.tif") is State.SEALED
    outbox.wait({"a.tif": Wait(reason="r", quiet_s=1, fingerprint=TWO)})
    outbox.failed("a.tif", "no")
    outbox.back_to_waiting("a.tif", "no")
    assert state_of(outbox, "a.tif") is State.SEALED


def test_late_data_keeps_the_old_row(outbox: Outbox) -> None:
    outbox.enlist([("a.tif", Kind.FILE)])
    seal(outbox, "a.tif")
    outbox.supersede("a.tif", "late data")
    outbox.supersede("a.tif", "late data")
    assert [row.state for row in outbox.history("a.tif")] == [State.SUPERSEDED, State.WAITING]
    assert outbox.history("a.tif")[1].supersede
    seal(outbox, "a.tif", TWO, 2)
    assert [(row.state, row.label) for row in outbox.history("a.tif")] == [
        (State.SUPERSEDED, "label 1"),
        (State.SEALED, "label 2"),
    ]


def test_a_mere_touch_brings_the_old_row_back(outbox: Outbox) -> None:
    outbox.enlist([("a.tif", Kind.FILE)])
    seal(outbox, "a.tif")
    outbox.supersede("a.tif", "late data")
    outbox.begin("a.tif", fingerprint=TWO, how="quiet", capture="x")
    outbox.unsupersede("a.tif", TWO)
    (row,) = outbox.history("a.tif")
    assert (row.state, row.label, row.fingerprint) == (State.SEALED, "label 1", TWO)


def test_a_failure_is_kept_and_does_not_end_it(outbox: Outbox) -> None:
    outbox.enlist([("a.tif", Kind.FILE)])
    outbox.begin("a.tif", fingerprint=ONE, how="format", capture="x")
    outbox.failed("a.tif", "the disk is full")
    outbox.wait({"a.tif": Wait(reason="waits", quiet_s=3, fingerprint=ONE)})
    row = outbox.row("a.tif")
    assert row is not None
    assert (row.state, row.error, row.attempts) == (State.FAILED, "the disk is full", 1)
    seal(outbox, "a.tif")
    row = outbox.row("a.tif")
    assert row is not None
    assert (row.state, row.error, row.attempts) == (State.SEALED, "", 2)


def test_the_engines_word_is_kept_until_the_seal(outbox: Outbox) -> None:
    told = Told(fingerprint=ONE, engine="e", reason="completed", vouched=True)
    known = dataclasses.replace(told, device=Device(firmware="1.4", features=("hdr",)))
    for one in (told, known, told, known):
        outbox.tell("a.tif", one)
        assert outbox.told() == {"a.tif": one}
    outbox.enlist([("a.tif", Kind.FILE)])
    seal(outbox, "a.tif")
    assert outbox.told() == {}


def test_odd_names_are_kept_exactly(outbox: Outbox) -> None:
    names = ["ü.tif", "a\nb.tif", os.fsdecode(b"\xff\xfe.tif") if os.name != "nt" else "x", "'; DROP TABLE asset; --"]
    outbox.enlist([(name, Kind.FILE) for name in names])
    assert [row.name for row in outbox.rows()] == names


def test_reading_disturbs_nobody(outbox: Outbox) -> None:
    outbox.enlist([("a.tif", Kind.FILE), ("b.zarr", Kind.FOLDER), ("c.tif", Kind.FILE)])
    seal(outbox, "a.tif")
    outbox.gone(["c.tif"])
    outbox.note_facts({"pid": "1"})
    database = rows.open_to_read(outbox.path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.execute("DELETE FROM asset")
    assert {name: n for name, n in rows.counts(database, outbox.path).items() if n} == {
        "sealed": 1,
        "seen": 1,
        "gone": 1,
    }
    assert [row.name for row in rows.read_rows(database, outbox.path, (State.SEEN,), present=True)] == ["b.zarr"]
    assert rows.facts(database, outbox.path) == {"pid": "1"}
    assert [row.name for row in rows.last_sealed(database, outbox.path, limit=5)] == ["a.tif"]
    database.close()


def test_a_full_disk_is_said_in_words(outbox: Outbox) -> None:
    pages = outbox._database.execute("PRAGMA page_count").fetchone()[0]
    outbox._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxError, match="full"):
        outbox.enlist((f"{number}" * 200, Kind.FILE) for number in range(1000))
    assert outbox.rows() == []


def test_each_watched_folder_has_a_state_file_of_its_own(tmp_path: Path) -> None:
    first, second = (rows.state_file_of(tmp_path / name, tmp_path) for name in "ab")
    assert first != second
    assert first.parent == tmp_path / "agent"
    assert rows.state_file_of(tmp_path / "x" / ".." / "a", tmp_path) == first
