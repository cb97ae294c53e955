"""The writer of a log: what it must never do, then what it does; on SQLite and on PostgreSQL."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from logs import (
    KEY,
    ORIGIN,
    SIGNER,
    checked,
    fill,
    make_signer,
    naive_root,
    open_log,
    submission,
    submissions,
)
from rawtrace.database import Database, open_database
from rawtrace.errors import DatabaseError, DiskFullError, LedgerError, LogBusyError, NetworkError, ReceiptError
from rawtrace.ledger import logstore
from rawtrace.ledger.checkpoint import Checkpoint, cosign, read_checkpoint, sign_checkpoint
from rawtrace.ledger.guard import Guard
from rawtrace.ledger.logstore import BUNDLES, RECORDS, STATES, TILES, LogStore
from rawtrace.ledger.note import ED25519_COSIGNATURE, NoteSigner
from rawtrace.ledger.receipt import Receipt
from rawtrace.ledger.sequencer import Log, Submission
from rawtrace.ledger.tiles import decode_bundle, entries_path, tile_path, width_at


def change(database: Database, table: sa.Table, column: str, *conditions: sa.ColumnElement[bool], at: int = 5) -> None:
    """Flip one bit of one stored value."""
    with database.write() as connection:
        data = bytearray(connection.execute(sa.select(table.c[column]).where(*conditions)).scalar_one())
        data[at] ^= 1
        connection.execute(sa.update(table).where(*conditions).values({column: bytes(data)}))


# --- what was signed must never be signed otherwise


def test_flipped_bit_in_an_edge_tile_stops_the_next_signature(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 10)
        before = log.checkpoint()
        change(database, TILES, "data", TILES.c.level == 0)
        with pytest.raises(LedgerError, match=r"nothing was signed"):
            log.submit(submission(10)).result(10)
        with pytest.raises(LedgerError):
            log.submit(submission(11))
        assert log.checkpoint() == before
    with database.read() as connection:
        assert connection.execute(sa.select(STATES.c.size)).scalar_one() == 10


def test_flipped_bit_in_the_last_bundle_stops_the_next_signature(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 10)
        change(database, BUNDLES, "data", BUNDLES.c.number == 0)
        with pytest.raises(LedgerError):
            log.submit(submission(10)).result(10)


@pytest.mark.parametrize(
    ("table", "condition", "first"),
    [
        (TILES, (TILES.c.level == 0) & (TILES.c.number == 0), "hash 0 "),
        (TILES, TILES.c.level == 1, "tile/1/000.p/2"),
        (BUNDLES, BUNDLES.c.number == 1, "entry 256 "),
        (BUNDLES, BUNDLES.c.number == 2, "entry 512 "),
    ],
    ids=["tile", "upper-tile", "bundle", "last-bundle"],
)
def test_flipped_bit_anywhere_is_found_before_the_log_opens(
    database: Database, table: sa.Table, condition: sa.ColumnElement[bool], first: str
) -> None:
    with open_log(database) as log:
        fill(log, 0, 600)
    change(database, table, "data", condition)
    with pytest.raises(LedgerError, match="is damaged") as said:
        open_log(database)
    assert first in said.value.message


def test_missing_tile_is_found_before_the_log_opens(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 300)
    with database.write() as connection:
        connection.execute(sa.delete(TILES).where(TILES.c.level == 0, TILES.c.number == 0))
    with pytest.raises(LedgerError, match="is missing"):
        open_log(database)


def test_database_that_does_not_keep_what_it_was_given_gets_no_signature(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_log(database) as log:
        fill(log, 0, 3)
        real = logstore.encode_bundle
        monkeypatch.setattr(logstore, "encode_bundle", lambda entries: real([b"x" + one[1:] for one in entries]))
        with pytest.raises(LedgerError, match="nothing was signed"):
            log.submit(submission(3)).result(10)
    monkeypatch.undo()
    with open_log(database) as log:
        assert log.size == 3


def test_rewritten_history_with_a_fitting_tree_but_no_signature_is_refused(database: Database) -> None:
    """Whoever writes to the database can change entries, tiles and root together, but not sign."""
    with open_log(database) as log:
        fill(log, 0, 5)
    other = make_signer()
    with database.write() as connection:
        state = LogStore(database, ORIGIN).state(connection)
        assert state is not None
        forged = sign_checkpoint(Checkpoint(ORIGIN, 5, b"\1" * 32), dataclasses.replace(other, name=ORIGIN))
        connection.execute(sa.update(STATES).values(root=b"\1" * 32, signed=forged))
    with pytest.raises(LedgerError, match="not good"):
        open_log(database)


def test_history_rewritten_while_the_log_runs_is_refused(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 5)
        with database.write() as connection:
            forged = sign_checkpoint(Checkpoint(ORIGIN, 4, b"\1" * 32), make_signer())
            connection.execute(sa.update(STATES).values(size=4, root=b"\1" * 32, signed=forged))
        with pytest.raises(LedgerError, match="not good"):
            log.submit(submission(9)).result(10)


def test_another_key_does_not_go_on_with_a_log(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 2)
    with pytest.raises(LedgerError, match="not good"):
        open_log(database, signer=make_signer())


def test_signer_of_another_name_or_kind_is_refused(database: Database) -> None:
    with pytest.raises(LedgerError, match="is named"):
        Log.open(database, origin="other.example.org/log", signer=SIGNER)
    witness = dataclasses.replace(SIGNER, kind=ED25519_COSIGNATURE)
    with pytest.raises(LedgerError):
        Log.open(database, origin=ORIGIN, signer=witness)


# --- a restored backup must not fork


def copy_tables(database: Database) -> dict[sa.Table, list[dict[str, object]]]:
    with database.read() as connection:
        return {one: [dict(row._mapping) for row in connection.execute(sa.select(one))] for one in logstore.TABLES}


def bring_back(database: Database, backup: dict[sa.Table, list[dict[str, object]]]) -> None:
    with database.write() as connection:
        for table, rows in backup.items():
            connection.execute(sa.delete(table))
            if rows:
                connection.execute(sa.insert(table), rows)


def test_restored_backup_is_refused_by_the_guard(database: Database, tmp_path: Path) -> None:
    with open_log(database, guard=tmp_path / "guard") as log:
        fill(log, 0, 5)
        backup = copy_tables(database)
        fill(log, 5, 9)
    bring_back(database, backup)
    with pytest.raises(LedgerError, match="holds 5 entries, and 9 have been signed") as said:
        open_log(database, guard=tmp_path / "guard")
    assert "restore" in said.value.hint


def test_backup_restored_under_a_running_log_is_refused(database: Database, tmp_path: Path) -> None:
    with open_log(database, guard=tmp_path / "guard") as log:
        fill(log, 0, 5)
        backup = copy_tables(database)
        fill(log, 5, 9)
        bring_back(database, backup)
        with pytest.raises(LedgerError, match="have been signed"):
            log.submit(submission(100)).result(10)
        with pytest.raises(LedgerError):
            log.submit(submission(101))


def test_emptied_database_is_refused_by_the_guard(database: Database, tmp_path: Path) -> None:
    with open_log(database, guard=tmp_path / "guard") as log:
        fill(log, 0, 5)
    bring_back(database, {one: [] for one in logstore.TABLES})
    with pytest.raises(LedgerError, match="holds 0 entries"):
        open_log(database, guard=tmp_path / "guard")


def test_another_tree_of_the_same_size_is_refused(database: Database, tmp_path: Path) -> None:
    with open_log(database, guard=tmp_path / "guard") as log:
        fill(log, 0, 3)
    bring_back(database, {one: [] for one in logstore.TABLES})
    with open_log(database, guard=tmp_path / "other") as log:
        fill(log, 10, 13)
    with pytest.raises(LedgerError, match="another tree of 3 entries"):
        open_log(database, guard=tmp_path / "guard")


def test_lost_guard_is_said_and_begun_anew_only_on_request(database: Database, tmp_path: Path) -> None:
    with open_log(database, guard=tmp_path / "guard") as log:
        fill(log, 0, 3)
    (tmp_path / "guard").unlink()
    with pytest.raises(LedgerError, match="is missing"):
        open_log(database, guard=tmp_path / "guard")
    with open_log(database, guard=tmp_path / "guard", new_guard=True) as log:
        fill(log, 3, 4)
    signed = Guard(tmp_path / "guard", ORIGIN).read()
    assert signed is not None
    assert signed.size == 4


def test_guard_that_cannot_be_written_lets_nothing_out(database: Database, tmp_path: Path) -> None:
    with open_log(database, guard=tmp_path / "guard") as log:
        fill(log, 0, 3)
        before = log.checkpoint()
        (tmp_path / "guard").rename(tmp_path / "away")
        with pytest.raises(Exception, match="guard"):
            log.submit(submission(3)).result(10)
        assert log.checkpoint() == before
        (tmp_path / "away").rename(tmp_path / "guard")
        assert log.submit(submission(3)).result(10).index == 3


# --- two writers


def test_two_logs_on_one_database_never_fork(database_address: Path | str, tmp_path: Path) -> None:
    with open_database(database_address) as one, open_database(database_address) as two:
        logs = [open_log(one, guard=tmp_path / "guard"), open_log(two, guard=tmp_path / "guard")]
        indices: dict[int, int] = {}

        def add(log: Log, numbers: Sequence[int]) -> None:
            for number in numbers:
                indices[number] = log.submit(submission(number)).result(60).index

        threads = [threading.Thread(target=add, args=(logs[n % 2], range(n * 30, n * 30 + 30))) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for log in logs:
            log.close()
        assert sorted(indices.values()) == list(range(120))
        with open_log(one, guard=tmp_path / "guard") as log:
            for number, index in indices.items():
                assert checked(log.receipt(index)).record == submission(number).record


def test_database_that_moves_within_the_transaction_is_refused(database: Database) -> None:
    store = LogStore(database, ORIGIN)
    with open_log(database) as log:
        fill(log, 0, 3)
    with database.read() as connection:
        state = store.state(connection)
    assert state is not None
    with open_log(database) as log:
        fill(log, 3, 4)
    with pytest.raises(LedgerError, match="somebody else"), database.write() as connection:
        store.advance(connection, state, dataclasses.replace(state, size=4, root=b"\2" * 32))


# --- what is shown


def test_partial_tile_of_a_size_that_is_not_published_is_not_served(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 300)
        assert log.tile("tile/0/001.p/44") is not None
        assert log.tile("tile/entries/001.p/44") is not None
        for path in (
            "tile/0/001.p/45",
            "tile/0/001",
            "tile/1/000.p/2",
            "tile/entries/001.p/45",
            "tile/entries/002.p/1",
        ):
            assert log.tile(path) is None, path
        for path in (
            "",
            "tile",
            "checkpoint",
            "tile/0/1",
            "tile/0/000.p/256",
            "../../etc/passwd",
            "tile/0/\u0660\u0660",
        ):
            assert log.tile(path) is None, path


def test_earlier_partial_tiles_stay(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 10)
        tile, bundle = log.tile("tile/0/000.p/10"), log.tile("tile/entries/000.p/10")
        fill(log, 10, 600)
        assert log.tile("tile/0/000.p/10") == tile
        assert log.tile("tile/entries/000.p/10") == bundle


def test_tree_is_that_of_rfc_6962_at_every_size(database: Database) -> None:
    entries: list[bytes] = []
    with open_log(database) as log:
        start = 0
        for step in (1, 1, 2, 3, 249, 1, 255, 1000):
            fill(log, start, start + step)
            start += step
            entries = []
            for number in range((start + 255) // 256):
                width = width_at(0, number, start)
                bundle = log.tile(entries_path(number, width))
                assert bundle is not None
                entries += decode_bundle(bundle, width)
                assert len(log.tile(tile_path(0, number, width)) or b"") == 32 * width
            checkpoint = read_checkpoint(log.checkpoint())
            assert (checkpoint.size, checkpoint.root) == (start, naive_root(entries))


# --- records


def test_resubmission_returns_the_same_index(database: Database) -> None:
    with open_log(database) as log:
        first = [one.index for one in log.submit_many(submissions(1, 2, 1, 3, 2)).result(10)]
        assert first == [0, 1, 0, 2, 1]
        assert log.submit(submission(3)).result(10).index == 2
        assert log.size == 3
    with open_log(database) as log:
        again = log.submit_many(submissions(3, 1, 4)).result(10)
        assert [one.index for one in again] == [2, 0, 3]
        assert checked(again[1].receipt).record == submission(1).record


def test_same_record_from_many_threads_has_one_index(database: Database) -> None:
    with open_log(database) as log:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(log.submit(submission(7)).result(30).index)) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [0] * 16
        assert log.size == 1


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{}",
        b"not json",
        b'{"kind": "seal","v":1}',
        b'{"v":1,"kind":"seal"}',
        b'{"kind":"status","v":1}',
        b'{"kind":"seal","v":2}',
        b'{"kind":"seal","v":true}',
        b'{"kind":"seal","v":1,"v":1}',
        b'{"kind":"seal","v":1}\n',
        b'{"kind":"seal","v":1,"x":"' + b"a" * 60_001 + b'"}',
    ],
)
def test_what_is_no_record_is_refused_and_leaves_no_trace(database: Database, record: bytes) -> None:
    with open_log(database) as log:
        with pytest.raises(ReceiptError):
            log.submit(Submission(kind="seal", issuer=ORIGIN, key=KEY, record=record))
        assert log.submit(submission(1)).result(10).index == 0


@pytest.mark.parametrize(
    ("kind", "issuer", "key"),
    [
        ("Seal", ORIGIN, KEY),
        ("seal", "", KEY),
        ("seal", "a\nb", KEY),
        ("seal", ORIGIN, "xyz"),
        ("seal", "x" * 300, KEY),
    ],
)
def test_entry_that_cannot_be_is_refused(database: Database, kind: str, issuer: str, key: str) -> None:
    with open_log(database) as log, pytest.raises(ReceiptError):
        log.submit(Submission.of(kind, {}, issuer=issuer, key=key))


def test_record_of_the_largest_size_fits(database: Database) -> None:
    with open_log(database) as log:
        empty = len(Submission.of("seal", {"x": ""}, issuer=ORIGIN, key=KEY).record)
        largest = Submission.of("seal", {"x": "a" * (60_000 - empty)}, issuer=ORIGIN, key=KEY)
        accepted = log.submit(largest).result(10)
        assert checked(accepted.receipt).record == largest.record
        with pytest.raises(ReceiptError):
            Submission.of("seal", {"x": "a" * (60_001 - empty)}, issuer=ORIGIN, key=KEY)


def test_receipts_hold_then_and_later(database: Database) -> None:
    with open_log(database) as log:
        accepted = log.submit_many(submissions(*range(300))).result(10)
        early = [one.receipt for one in accepted]
        fill(log, 300, 700)
        for number in (0, 1, 128, 255, 256, 299):
            for receipt in (early[number], accepted[number].receipt, log.receipt(number)):
                found = checked(receipt)
                assert (found.index, found.record) == (number, submission(number).record)
        assert Receipt.parse(log.receipt(3)).checkpoint == log.checkpoint()
        for index in (-1, 700, 10**12):
            with pytest.raises(LedgerError):
                log.receipt(index)


def test_find_knows_what_was_logged(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 3)
        assert log.find(submission(2).record) == 2
        assert log.find(submission(3).record) is None


def test_seals_are_found_by_their_claim_until_they_are_erased(database: Database) -> None:
    claim = "ab" * 32
    with open_log(database) as log:
        one = Submission.of("seal", {"claim": claim, "n": 1}, issuer=ORIGIN, key=KEY)
        two = Submission.of("seal", {"claim": claim, "n": 2}, issuer=ORIGIN, key=KEY)
        raw = Submission(kind="seal", issuer=ORIGIN, key=KEY, record=two.record)
        other = Submission.of("status", {"claim": claim}, issuer=ORIGIN, key=KEY)
        log.submit_many([one, raw, other]).result(10)
        assert log.find_claim(claim) == (0, 1)
        assert log.find_claim("cd" * 32) == ()
        assert log.find_claim("") == ()
        log.erase(0)
        assert log.find_claim(claim) == (1,)


def test_lookup_cannot_be_guessed_from_the_database(database: Database) -> None:
    """Two logs keep different look-ups for one record, and neither is a plain hash of it."""
    import hashlib

    other = make_signer("log.example.org/other")
    with open_log(database) as log, open_log(database, signer=other) as second:
        fill(log, 0, 1)
        second.submit(submission(0)).result(10)
    with database.read() as connection:
        lookups = [bytes(one) for one in connection.execute(sa.select(RECORDS.c.lookup)).scalars()]
    assert len(set(lookups)) == 2
    record = submission(0).record
    assert not {hashlib.sha256(record).digest()[: len(one)] for one in lookups} & set(lookups)


# --- erasure


def test_erasure_leaves_tree_and_other_receipts(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 5)
        checkpoint, bundle = log.checkpoint(), log.tile("tile/entries/000.p/5")
        kept = log.receipt(2)
        assert log.erase(2)
        assert not log.erase(2)
        with pytest.raises(LedgerError, match="erased"):
            log.receipt(2)
        assert (log.checkpoint(), log.tile("tile/entries/000.p/5")) == (checkpoint, bundle)
        assert checked(kept).index == 2
        assert checked(log.receipt(3)).index == 3
        with pytest.raises(LedgerError, match="no record 5"):
            log.erase(5)
    with database.read() as connection:
        row = connection.execute(sa.select(RECORDS).where(RECORDS.c.position == 2)).one()
    assert row.salt is None
    assert row.record is None


def test_erased_record_keeps_its_index(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 5)
        log.erase(2)
        again = log.submit(submission(2)).result(10)
        assert again.index == 2
        assert log.size == 5
        with pytest.raises(LedgerError, match="erased"):
            _ = again.receipt


def test_retention_erases_one_kind_before_a_day(database: Database) -> None:
    day = datetime(2030, 1, 1, tzinfo=UTC)
    clock = [day]
    with open_log(database, now=lambda: clock[0]) as log:
        log.submit(submission(0)).result(10)
        log.submit(submission(1, kind="instrument")).result(10)
        clock[0] = day + timedelta(days=400)
        log.submit(submission(2)).result(10)
        assert log.erase_older("seal", day + timedelta(days=100)) == 1
        assert log.erase_older("seal", day + timedelta(days=100)) == 0
        with pytest.raises(LedgerError):
            log.receipt(0)
        assert checked(log.receipt(1)).index == 1
        assert checked(log.receipt(2)).index == 2


# --- limits and failures


def test_full_queue_refuses_in_words(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = threading.Event()
    with open_log(database, max_queue=10) as log:
        monkeypatch.setattr(log, "_commit", lambda batch: blocked.wait(30) and Log._commit(log, batch))
        # The first is in the writer's hands soon and has left the queue: so one more fits, and not two.
        futures = [log.submit(submission(number)) for number in range(10)]
        refused: LogBusyError | None = None
        until = time.monotonic() + 10
        while refused is None and time.monotonic() < until:
            try:
                futures.append(log.submit(submission(len(futures))))
            except LogBusyError as error:
                refused = error
        assert refused is not None
        assert "waiting" in refused.message
        blocked.set()
        assert sorted(one.result(10).index for one in futures) == list(range(len(futures)))
        assert log.submit(submission(99)).result(10).index == len(futures)


def test_failed_commit_is_told_and_the_log_goes_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_log(database) as log:
        fill(log, 0, 3)

        def broken(*_arguments: object) -> None:
            msg = "the database cannot be used: gone"
            raise DatabaseError(msg)

        monkeypatch.setattr(log.store, "advance", broken)
        with pytest.raises(DatabaseError):
            log.submit(submission(3)).result(10)
        assert log.trouble is not None
        monkeypatch.undo()
        assert log.submit(submission(3)).result(10).index == 3
        assert log.trouble is None


def test_full_disk_is_said_and_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    with open_database(tmp_path / "log.sqlite") as database:

        def limit(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA max_page_count=120")

        with open_log(database) as log:
            fill(log, 0, 5)
        database.close()
        sa.event.listen(database._engine, "connect", limit)
        with open_log(database) as log:
            done, refused = 5, None
            while refused is None and done < 5_000:
                try:
                    fill(log, done, done + 50)
                    done += 50
                except DiskFullError as error:
                    refused = error
            assert refused is not None
            assert log.size == done
            assert checked(log.receipt(done - 1)).index == done - 1
        sa.event.remove(database._engine, "connect", limit)
        database.close()
        with open_log(database) as log:
            assert log.size == done
            fill(log, done, done + 50)
            assert log.find(submission(done).record) == done


def test_closed_log_takes_nothing_and_has_written_what_it_took(database: Database) -> None:
    log = open_log(database, interval_s=5.0)
    futures = [log.submit(submission(number)) for number in range(5)]
    log.close()
    assert [one.result(0).index for one in futures] == list(range(5))
    with pytest.raises(LedgerError, match="closed"):
        log.submit(submission(5))


def test_records_that_wait_share_one_checkpoint(database: Database) -> None:
    with open_log(database, interval_s=0.2) as log:
        futures = [log.submit(submission(number)) for number in range(20)]
        assert len({Receipt.parse(one.result(10).receipt).checkpoint for one in futures}) == 1


def test_batch_is_never_larger_than_allowed(database: Database) -> None:
    with open_log(database, max_batch=7) as log:
        log.submit_many(submissions(*range(30))).result(30)
        assert log.size == 30
    with open_log(database) as log:
        assert log.size == 30


# --- a quorum


class Quorum:
    """Cosigns as one witness; can be out of reach, or lie."""

    def __init__(self) -> None:
        plain = make_signer("witness.example.org")
        self.witness = NoteSigner(plain.name, plain.sign, plain.public, ED25519_COSIGNATURE)
        self.reachable = True
        self.contradiction = ""
        self.closed = False
        self.answer: Callable[[bytes], bytes] | None = None
        self.seen: list[tuple[int, int]] = []

    def collect(
        self, checkpoint: bytes, old_size: int, proof: Sequence[bytes], *, prove: Callable[[int], Sequence[bytes]]
    ) -> bytes:
        size = read_checkpoint(checkpoint).size
        self.seen.append((old_size, size))
        assert tuple(proof) == tuple(prove(old_size))
        self.ask(checkpoint, prove=prove)
        if not self.reachable:
            msg = "the witness does not answer"
            raise NetworkError(msg)
        if self.answer is not None:
            return self.answer(checkpoint)
        return checkpoint + cosign(checkpoint, self.witness, 1_900_000_000).encode()

    def ask(self, checkpoint: bytes, *, prove: Callable[[int], Sequence[bytes]]) -> None:
        assert prove(read_checkpoint(checkpoint).size) == ()
        if self.contradiction:
            raise LedgerError(self.contradiction)

    def close(self) -> None:
        self.closed = True


def test_witness_who_knows_more_keeps_the_log_from_opening(database: Database) -> None:
    with open_log(database) as log:
        fill(log, 0, 2)
    quorum = Quorum()
    quorum.contradiction = "the witness has seen 9 entries"
    with pytest.raises(LedgerError, match="has seen 9"):
        open_log(database, quorum=quorum)
    quorum.contradiction = ""
    with open_log(database, quorum=quorum) as log:
        assert log.submit(submission(2)).result(10).index == 2


def test_witness_who_proves_another_history_stops_the_log(database: Database) -> None:
    quorum = Quorum()
    with open_log(database, quorum=quorum) as log:
        fill(log, 0, 2)
        quorum.contradiction = "the witness shows another tree"
        with pytest.raises(LedgerError, match="another tree"):
            log.submit(submission(2)).result(10)
        with pytest.raises(LedgerError, match="another tree"):
            log.submit(submission(3))
        assert log.size == 2


def test_nothing_is_acknowledged_or_shown_without_the_quorum(database: Database) -> None:
    quorum = Quorum()
    quorum.reachable = False
    with open_log(database, quorum=quorum) as log:
        future = log.submit(submission(0))
        with pytest.raises(TimeoutError):
            future.result(0.5)
        assert log.size == 0
        assert log.tile("tile/entries/000.p/1") is None
        with pytest.raises(LedgerError):
            log.receipt(0)
        assert isinstance(log.trouble, NetworkError)
        quorum.reachable = True
        accepted = future.result(10)
        assert accepted.index == 0
        assert quorum.witness.name.encode() in log.checkpoint()
        assert quorum.witness.name.encode() in accepted.receipt
        assert log.trouble is None


def test_entries_that_were_not_published_are_acknowledged_after_a_restart(database: Database) -> None:
    quorum = Quorum()
    quorum.reachable = False
    log = open_log(database, quorum=quorum)
    future = log.submit(submission(0))
    with pytest.raises(TimeoutError):
        future.result(0.3)
    log.close()
    with pytest.raises(LedgerError, match="closed before"):
        future.result(1)
    quorum.reachable = True
    with open_log(database, quorum=quorum) as log:
        assert log.submit_many(submissions(0, 1)).result(10)[0].index == 0
        assert log.size == 2


def test_log_that_asks_for_a_quorum_no_more_publishes_what_waited(database: Database) -> None:
    quorum = Quorum()
    quorum.reachable = False
    log = open_log(database, quorum=quorum)
    future = log.submit(submission(0))
    with pytest.raises(TimeoutError):
        future.result(0.3)
    log.close()
    assert quorum.closed
    with open_log(database) as log:
        assert log.size == 1
        assert log.submit(submission(0)).result(10).index == 0


@pytest.mark.parametrize("kind", ["older", "other-key", "garbage"])
def test_quorum_that_answers_with_something_else_is_not_believed(database: Database, kind: str) -> None:
    quorum = Quorum()
    with open_log(database, quorum=quorum) as log:
        fill(log, 0, 2)
        older = log.checkpoint()
        answers: dict[str, Callable[[bytes], bytes]] = {
            "older": lambda _note: older,
            "other-key": lambda note: sign_checkpoint(read_checkpoint(note), make_signer()),
            "garbage": lambda _note: b"garbage",
        }
        quorum.answer = answers[kind]
        future = log.submit(submission(2))
        with pytest.raises(TimeoutError):
            future.result(0.3)
        assert log.checkpoint() == older
        quorum.answer = None
        assert future.result(10).index == 2
