"""A log that is written, erased from, closed, killed and exported in any order stays one log."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from logs import ORIGIN, SIGNER, checked, naive_root, open_log, submission, submissions
from rawtrace.database import Database, open_database
from rawtrace.errors import LedgerError
from rawtrace.ledger.audit import audit, records_of
from rawtrace.ledger.checkpoint import read_checkpoint
from rawtrace.ledger.export import export
from rawtrace.ledger.sequencer import Log
from rawtrace.ledger.sources import read_database, read_folder
from rawtrace.ledger.tiles import decode_bundle, entries_path, width_at


class LogMachine(RuleBasedStateMachine):
    """The model: which record stands at which index, and what was said of the log before."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rawtrace-machine-"))
        self.database: Database = open_database(self.folder / "log.sqlite")
        self.log: Log = open_log(self.database, guard=self.folder / "guard")
        self.index_of: dict[int, int] = {}
        self.erased: set[int] = set()
        self.receipts: dict[int, bytes] = {}
        self.notes: list[bytes] = []

    @rule(numbers=st.lists(st.integers(0, 400), min_size=1, max_size=40))
    def submit_any(self, numbers: list[int]) -> None:
        self._submit(numbers)

    @rule(count=st.sampled_from([1, 255, 256, 257, 300]))
    def submit_new(self, count: int) -> None:
        first = max(self.index_of, default=1_000) + 1
        self._submit(list(range(first, first + count)))

    def _submit(self, numbers: list[int]) -> None:
        accepted = self.log.submit_many(submissions(*numbers)).result(60)
        for number, one in zip(numbers, accepted, strict=True):
            expected = self.index_of.setdefault(number, len(self.index_of))
            assert one.index == expected
            if one.index not in self.erased:
                self.receipts[number] = one.receipt
        self.notes.append(self.log.checkpoint())

    @precondition(lambda self: self.index_of)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.index_of) - 1))
        assert self.log.erase(index) == (index not in self.erased)
        self.erased.add(index)
        with pytest.raises(LedgerError):
            self.log.receipt(index)

    @rule()
    def reopen(self) -> None:
        self.log.close()
        self.log = open_log(self.database, guard=self.folder / "guard")

    @rule()
    def export_and_audit(self) -> None:
        with read_database(self.database, ORIGIN) as read, records_of(self.database, ORIGIN) as records:
            done = audit(read, key=SIGNER.key, older=self.notes, records=records)
            export(read, self.folder / "tree")
        assert done.sound, done.faults
        assert done.erased == len(self.erased)
        assert done.records == len(self.index_of) - len(self.erased)
        assert audit(read_folder(self.folder / "tree"), key=SIGNER.key, older=self.notes).sound

    @precondition(lambda self: self.receipts)
    @rule(data=st.data())
    def look_at_one(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.receipts)))
        index = self.index_of[number]
        # A receipt that was given out holds for ever, also when its record has been erased since.
        assert checked(self.receipts[number]).index == index
        if index not in self.erased:
            found = checked(self.log.receipt(index))
            assert (found.index, found.record) == (index, submission(number).record)

    @invariant()
    def size_and_root_are_those_of_the_model(self) -> None:
        if not hasattr(self, "log"):
            return
        checkpoint = read_checkpoint(self.log.checkpoint())
        assert checkpoint.size == self.log.size == len(self.index_of)
        if checkpoint.size <= 300:
            entries: list[bytes] = []
            for number in range((checkpoint.size + 255) // 256):
                width = width_at(0, number, checkpoint.size)
                entries += decode_bundle(self.log.tile(entries_path(number, width)) or b"", width)
            assert checkpoint.root == naive_root(entries)

    def teardown(self) -> None:
        with contextlib.suppress(AttributeError):
            self.log.close()
            self.database.close()
            shutil.rmtree(self.folder)


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
