"""Export, audit and restoring: each fault is named, at the first entry that it concerns."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy as sa

from logs import ORIGIN, SIGNER, checked, fill, flip, make_signer, open_log
from rawtrace.database import Database, open_database
from rawtrace.errors import AlreadyExistsError, Error, LedgerError, NetworkError, RefusedError
from rawtrace.ledger import export as export_module
from rawtrace.ledger.audit import Audit, audit, records_of
from rawtrace.ledger.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from rawtrace.ledger.derive import Read
from rawtrace.ledger.export import export
from rawtrace.ledger.logstore import RECORDS
from rawtrace.ledger.merkle import leaf_hash, root_of
from rawtrace.ledger.restore import restore
from rawtrace.ledger.sources import CHECKPOINT, read_address, read_database, read_folder
from rawtrace.ledger.tiles import decode_bundle, encode_bundle, tiles_of
from rawtrace.web import Web

SIZE = 66_000  # three levels of tiles, all with a right edge


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the database of a log of three levels, and its export; not to be changed."""
    folder = tmp_path_factory.mktemp("large")
    with open_database(folder / "log.sqlite") as database:
        with open_log(database, max_queue=SIZE) as log:
            fill(log, 0, SIZE)
        with read_database(database, ORIGIN) as read:
            _export_fast(read, folder / "tree")
    return folder


def _export_fast(read: Read, out: Path) -> None:
    """Write what ``export`` writes, without waiting for the disk after each of five hundred files."""
    note = read(CHECKPOINT)
    assert note is not None
    paths = [path for tile in tiles_of(SIZE) for path in export_module._paths(tile)]
    for path in paths:
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read(path) or b"")
    (out / CHECKPOINT).write_bytes(note)


def altered(tree: Path, changes: dict[str, bytes | None]) -> Read:
    """Read a tree with some files replaced, or missing."""
    read = read_folder(tree)
    return lambda path: changes[path] if path in changes else read(path)


def bit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def first_fault(result: Audit) -> tuple[str, int, str]:
    assert not result.sound
    return result.faults[0].kind, result.faults[0].index, result.faults[0].where


@pytest.mark.parametrize("number", [0, 77, 255])
@pytest.mark.parametrize("place", [0, 100, 255])
def test_changed_entry_is_named(large: Path, number: int, place: int) -> None:
    path = f"tile/entries/{number:03d}"
    entries = list(decode_bundle((large / "tree" / path).read_bytes(), 256))
    entries[place] = entries[place].replace(b"seal", b"file")
    result = audit(altered(large / "tree", {path: encode_bundle(entries)}), key=SIGNER.key)
    assert first_fault(result) == ("entry", number * 256 + place, path)
    assert len(result.faults) == 1


def test_changed_entry_at_the_right_edge_is_named(large: Path) -> None:
    path, place = "tile/entries/257.p/208", 200
    entries = list(decode_bundle((large / "tree" / path).read_bytes(), 208))
    entries[place] = entries[place].replace(b"seal", b"file")
    result = audit(altered(large / "tree", {path: encode_bundle(entries)}), key=SIGNER.key)
    assert first_fault(result) == ("entry", 257 * 256 + place, path)
    assert len(result.faults) == 1


@pytest.mark.parametrize(
    ("path", "at", "index"),
    [
        ("tile/0/000", 0, 0),
        ("tile/0/100", 32 * 7 + 3, 100 * 256 + 7),
        ("tile/0/257.p/208", 32 * 207, 257 * 256 + 207),
        ("tile/1/000", 32 * 9, 9 * 256),
        ("tile/1/001.p/1", 0, 256 * 256),
        ("tile/2/000.p/1", 31, 0),
    ],
)
def test_changed_tile_is_named(large: Path, path: str, at: int, index: int) -> None:
    data = bit((large / "tree" / path).read_bytes(), at)
    result = audit(altered(large / "tree", {path: data}), key=SIGNER.key)
    assert first_fault(result) == ("tile", index, path)
    assert len(result.faults) == 1


def test_entry_and_its_tile_changed_together_are_found(large: Path) -> None:
    """An attacker who computes the tile anew is betrayed by the tile above it."""
    path = "tile/entries/003"
    entries = list(decode_bundle((large / "tree" / path).read_bytes(), 256))
    entries[9] = entries[9].replace(b"seal", b"file")
    changes = {path: encode_bundle(entries), "tile/0/003": b"".join(map(leaf_hash, entries))}
    result = audit(altered(large / "tree", changes), key=SIGNER.key)
    assert first_fault(result) == ("entry", 3 * 256, "tile/0/003")
    assert "768 to 1023" in result.faults[0].message


def test_history_rewritten_up_to_the_root_is_found_by_the_signature(tmp_path: Path) -> None:
    with open_database(tmp_path / "a.sqlite") as database, open_log(database) as log:
        fill(log, 0, 5)
        note = log.checkpoint()
        entries = list(decode_bundle(log.tile("tile/entries/000.p/5") or b"", 5))
    entries[1] = entries[1].replace(b"seal", b"file")
    hashes = [leaf_hash(one) for one in entries]
    forged = sign_checkpoint(Checkpoint(ORIGIN, 5, root_of(hashes)), dataclasses.replace(make_signer(), name=ORIGIN))
    files = {"tile/entries/000.p/5": encode_bundle(entries), "tile/0/000.p/5": b"".join(hashes)}
    assert first_fault(audit({**files, CHECKPOINT: forged}.get, key=SIGNER.key))[0] == "checkpoint"
    assert first_fault(audit({**files, CHECKPOINT: note}.get, key=SIGNER.key))[0] == "checkpoint"
    # Without the key, what is consistent in itself is consistent; nothing says that it was signed.
    unsigned = audit({**files, CHECKPOINT: forged}.get)
    assert unsigned.sound
    assert not unsigned.signed
    # With an older checkpoint of the true log it is found all the same.
    assert first_fault(audit({**files, CHECKPOINT: forged}.get, older=[note]))[0] == "checkpoint"


@pytest.mark.parametrize("path", ["tile/entries/004", "tile/0/004", "tile/1/000", "tile/2/000.p/1", CHECKPOINT])
@pytest.mark.parametrize("change", ["missing", "empty", "shorter", "longer"])
def test_missing_and_broken_files_are_named(large: Path, path: str, change: str) -> None:
    data = (large / "tree" / path).read_bytes()
    other = {"missing": None, "empty": b"", "shorter": data[:-1], "longer": data + b"\0"}[change]
    result = audit(altered(large / "tree", {path: other}), key=SIGNER.key)
    assert first_fault(result)[2] == path


def test_several_faults_are_all_named(large: Path) -> None:
    tree = large / "tree"
    changes = {
        "tile/0/010": bit((tree / "tile/0/010").read_bytes(), 0),
        "tile/0/020": None,
        "tile/entries/030": bit((tree / "tile/entries/030").read_bytes(), 40),
    }
    result = audit(altered(tree, changes), key=SIGNER.key)
    assert [(one.kind, one.index) for one in result.faults] == [("tile", 2560), ("tile", 5120), ("entry", 7680)]


def test_garbage_everywhere_ends_soon_and_without_a_traceback(large: Path) -> None:
    note = (large / "tree" / CHECKPOINT).read_bytes()
    result = audit(lambda path: note if path == CHECKPOINT else b"\xff" * 8192, key=SIGNER.key)
    assert 0 < len(result.faults) <= 100
    huge = sign_checkpoint(Checkpoint(ORIGIN, (1 << 63) - 1, b"\0" * 32), SIGNER)
    result = audit(lambda path: huge if path == CHECKPOINT else None, key=SIGNER.key)
    assert first_fault(result)[0] == "entry"


def test_sound_log_is_sound(large: Path) -> None:
    result = audit(read_folder(large / "tree"), key=SIGNER.key)
    assert result.sound
    assert result.signed
    assert (result.size, result.records, result.erased) == (SIZE, None, 0)


def test_key_of_another_log_is_a_fault(large: Path) -> None:
    result = audit(read_folder(large / "tree"), key=make_signer().key)
    assert first_fault(result)[0] == "checkpoint"


# --- older checkpoints


def test_log_that_was_turned_back_is_found(database: Database, tmp_path: Path) -> None:
    with open_log(database) as log:
        fill(log, 0, 5)
        five = log.checkpoint()
        with read_database(database, ORIGIN) as read:
            export(read, tmp_path / "five")
        fill(log, 5, 300)
        later = log.checkpoint()
        with read_database(database, ORIGIN) as read:
            result = audit(read, key=SIGNER.key, older=[five, later])
    assert result.sound
    assert result.continued == (5, 300)
    result = audit(read_folder(tmp_path / "five"), key=SIGNER.key, older=[later])
    assert "turned back" in result.faults[0].message


def test_split_view_is_found(tmp_path: Path) -> None:
    notes = []
    for name, start in (("one", 0), ("two", 100)):
        with open_database(tmp_path / name) as database, open_log(database) as log:
            fill(log, start, start + 5)
            notes.append(log.checkpoint())
            fill(log, start + 5, start + 9)
            if name == "two":
                with read_database(database, ORIGIN) as read:
                    result = audit(read, key=SIGNER.key, older=notes)
    assert result.continued == (5,)
    assert [one.message for one in result.faults] == [
        "the log has signed another tree of 5 entries before than the one that it shows now"
    ]


def test_older_checkpoint_of_another_log_or_key_is_a_fault(large: Path) -> None:
    other = make_signer("log.example.org/other")
    for note in (
        sign_checkpoint(Checkpoint(ORIGIN, 1, b"\0" * 32), make_signer()),
        sign_checkpoint(Checkpoint("log.example.org/other", 1, b"\0" * 32), other),
        b"garbage",
    ):
        result = audit(read_folder(large / "tree"), key=SIGNER.key, older=[note])
        assert [one.kind for one in result.faults] == ["checkpoint"]
    result = audit(
        read_folder(large / "tree"), older=[sign_checkpoint(Checkpoint("log.example.org/other", 1, b"\0" * 32), other)]
    )
    assert "not of" in result.faults[0].message


# --- records


def test_records_are_compared_and_erased_ones_counted(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 300)
        log.erase(7)
        log.erase(299)
    with read_database(database, ORIGIN) as read, records_of(database, ORIGIN) as records:
        result = audit(read, key=SIGNER.key, records=records)
    assert result.sound
    assert (result.records, result.erased) == (298, 2)


@pytest.mark.parametrize("column", ["salt", "record"])
def test_changed_record_is_named(database: Database, column: str) -> None:
    with open_log(database) as log:
        fill(log, 0, 300)
    with database.write() as connection:
        there = RECORDS.c.position == 258
        value = bytes(connection.execute(sa.select(RECORDS.c[column]).where(there)).scalar_one())
        connection.execute(sa.update(RECORDS).where(there).values({column: bit(value, 3)}))
        connection.execute(sa.delete(RECORDS).where(RECORDS.c.position == 260))
    with read_database(database, ORIGIN) as read, records_of(database, ORIGIN) as records:
        result = audit(read, key=SIGNER.key, records=records)
    assert [(one.kind, one.index) for one in result.faults] == [("record", 258), ("record", 260)]


# --- export


def test_export_is_what_the_server_serves_and_grows(database: Database, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    with open_log(database) as log:
        for start, end in ((0, 3), (3, 256), (256, 700)):
            fill(log, start, end)
            with read_database(database, ORIGIN) as read:
                done = export(read, out)
            assert done.size == end
            assert (out / CHECKPOINT).read_bytes() == log.checkpoint()
            for path in sorted(out.rglob("*")):
                relative = path.relative_to(out).as_posix()
                if path.is_file() and relative != CHECKPOINT:
                    assert path.read_bytes() == log.tile(relative), relative
            assert audit(read_folder(out), key=SIGNER.key).sound
        with read_database(database, ORIGIN) as read:
            again = export(read, out)
        assert again.written == 1  # the checkpoint, which was the same
    assert not list(out.rglob("*.rawtrace-tmp"))


def test_export_that_was_broken_off_goes_on(database: Database, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    with open_log(database) as log:
        fill(log, 0, 1000)
        served = {path: log.tile(path) for tile in tiles_of(1000) for path in export_module._paths(tile)}
    with read_database(database, ORIGIN) as read:
        left = [4]

        def failing(path: str) -> bytes | None:
            left[0] -= 1
            if left[0] < 0:
                msg = "no answer"
                raise NetworkError(msg)
            return read(path)

        with pytest.raises(NetworkError):
            export(failing, out)
        assert not (out / CHECKPOINT).exists()
        done = export(read, out)
    assert done.kept == 3
    assert {path: (out / path).read_bytes() for path in served} == served


def test_export_never_mixes_two_logs(database: Database, tmp_path: Path) -> None:
    out = tmp_path / "tree"
    other = make_signer("log.example.org/other")
    with open_log(database) as log, open_log(database, signer=other) as second:
        fill(log, 0, 5)
        fill(second, 0, 9)
    with read_database(database, ORIGIN) as read:
        export(read, out)
    with read_database(database, other.name) as read, pytest.raises(LedgerError, match="does not continue"):
        export(read, out)
    flip(out / "tile/0/000.p/5", 1)
    (out / CHECKPOINT).unlink()
    with read_database(database, ORIGIN) as read, pytest.raises(AlreadyExistsError):
        export(read, out)


def test_export_of_a_fork_is_refused(tmp_path: Path) -> None:
    for name, start in (("one", 0), ("two", 100)):
        with open_database(tmp_path / name) as database, open_log(database) as log:
            fill(log, start, start + 5 + start)
            with read_database(database, ORIGIN) as read:
                if name == "one":
                    export(read, tmp_path / "tree")
                else:
                    with pytest.raises(LedgerError, match="another tree of 5"):
                        export(read, tmp_path / "tree")


def test_no_log_is_said(database: Database, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no log"), read_database(database, ORIGIN):
        pass
    with pytest.raises(Error):
        read_folder(tmp_path / "nowhere")


# --- over HTTP


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            if "001" in self.path and (tmp_path / "refuse").exists():
                self.send_error(403)
                return
            super().do_GET()

    (tmp_path / "tree").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "tree")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_audit_and_export_over_http(database: Database, tmp_path: Path, address: str) -> None:
    with open_log(database) as log:
        fill(log, 0, 300)
    with read_database(database, ORIGIN) as read:
        export(read, tmp_path / "tree")
    with Web() as web:
        assert audit(read_address(address, web), key=SIGNER.key).sound
        export(read_address(f"{address}/", web), tmp_path / "copy")
        flip(tmp_path / "tree/tile/0/000", 40)
        assert first_fault(audit(read_address(address, web), key=SIGNER.key)) == ("tile", 1, "tile/0/000")
        (tmp_path / "refuse").touch()
        with pytest.raises(RefusedError, match="403"):
            audit(read_address(address, web), key=SIGNER.key)
    assert audit(read_folder(tmp_path / "copy"), key=SIGNER.key).sound


# --- bringing a log back


def test_log_comes_back_from_a_copy_and_goes_on(database: Database, tmp_path: Path) -> None:
    with open_database(tmp_path / "first.sqlite") as first, open_log(first, guard=tmp_path / "guard") as log:
        fill(log, 0, 700)
        receipt = log.receipt(600)
        with read_database(first, ORIGIN) as read:
            export(read, tmp_path / "tree")
    assert restore(database, key=SIGNER.key, read=read_folder(tmp_path / "tree")) == 700
    assert restore(database, key=SIGNER.key, read=read_folder(tmp_path / "tree")) == 0
    with open_log(database, guard=tmp_path / "guard") as log:
        assert log.size == 700
        fill(log, 1000, 1100)
        assert log.size == 800
        assert checked(receipt).index == 600
        assert checked(log.receipt(700)).index == 700
        with pytest.raises(LedgerError, match="not at hand"):
            log.receipt(600)
        with read_database(database, ORIGIN) as read:
            assert audit(read, key=SIGNER.key, older=[(tmp_path / "tree" / CHECKPOINT).read_bytes()]).sound


def test_older_database_catches_up_and_keeps_its_records(database: Database, tmp_path: Path) -> None:
    with open_log(database) as log:
        fill(log, 0, 300)
        with open_database(tmp_path / "later.sqlite") as later:
            with read_database(database, ORIGIN) as read:
                restore(later, key=SIGNER.key, read=read)
            with open_log(later) as other:
                fill(other, 300, 700)
            with read_database(later, ORIGIN) as read:
                export(read, tmp_path / "tree")
    assert restore(database, key=SIGNER.key, read=read_folder(tmp_path / "tree")) == 400
    with open_log(database) as log:
        assert checked(log.receipt(299)).index == 299
        assert log.size == 700


def test_copy_that_is_damaged_forked_or_unsigned_changes_nothing(database: Database, tmp_path: Path) -> None:
    with open_log(database) as log:
        fill(log, 0, 5)
    for name, start in (("longer", 0), ("forked", 100)):
        with open_database(tmp_path / name) as other:
            with open_log(other) as log:
                fill(log, start, start + 5)
                fill(log, start + 5, start + 300)
            with read_database(other, ORIGIN) as read:
                export(read, tmp_path / f"{name}-tree")
    for read, key in (
        (read_folder(tmp_path / "forked-tree"), SIGNER.key),
        (read_folder(tmp_path / "longer-tree"), make_signer().key),
        (altered(tmp_path / "longer-tree", {"tile/entries/001.p/44": None}), SIGNER.key),
        (altered(tmp_path / "longer-tree", {CHECKPOINT: None}), SIGNER.key),
    ):
        with pytest.raises(LedgerError):
            restore(database, key=key, read=read)
    with open_log(database) as log:
        assert log.size == 5
        assert read_checkpoint(log.checkpoint()).size == 5
        assert checked(log.receipt(4)).index == 4
