"""The writer of a log is killed a hundred times under load: what it acknowledged is there, and no history twice."""

from __future__ import annotations

import multiprocessing
import random
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # modules beside this one, under importlib mode

import log_writer

from rawtrace.database import open_database
from rawtrace.ledger.audit import audit, records_of
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import Receipt, check_receipt
from rawtrace.ledger.sequencer import Log
from rawtrace.ledger.sources import read_database

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
SEED = b"\7" * 32
KILLS = 100


class Killed:
    """Runs the writer again and again, and keeps what it told."""

    def __init__(self, address: Path | str, folder: Path, *, quorum: bool) -> None:
        self.address = address
        self.guard = folder / "guard"
        self.quorum = quorum
        self.index_of: dict[int, int] = {}
        self.notes: list[bytes] = []
        self.sizes: list[int] = []
        self._context = multiprocessing.get_context("forkserver" if sys.platform != "win32" else "spawn")
        if sys.platform != "win32":
            self._context.set_forkserver_preload(["log_writer"])

    def once(self, life_s: float) -> None:
        here, there = self._context.Pipe(duplex=False)
        start = max(self.index_of, default=-1) + 1
        process = self._context.Process(
            target=log_writer.write,
            args=(there, self.address, self.guard, SEED, start),
            kwargs={"quorum": self.quorum},
            daemon=True,
        )
        process.start()
        there.close()
        self._listen(here, life_s)
        process.kill()
        process.join()
        self._drain(here)
        here.close()

    def _listen(self, here: Connection, life_s: float) -> None:
        assert here.poll(60), "the log does not open any more"
        self._take(here.recv())
        until = time.monotonic() + life_s
        while (left := until - time.monotonic()) > 0:
            if here.poll(left):
                self._take(here.recv())

    def _drain(self, here: Connection) -> None:
        # A message that broke off in the middle was not told.
        try:
            while here.poll(0):
                self._take(here.recv())
        except (EOFError, OSError):
            pass

    def _take(self, told: tuple[object, ...]) -> None:
        if told[0] == "open":
            _, size, note = told
            assert isinstance(size, int)
            assert isinstance(note, bytes)
            self.sizes.append(size)
            self.notes.append(note)
            return
        _, numbers, indices = told
        assert isinstance(numbers, list)
        assert isinstance(indices, list)
        for number, index in zip(numbers, indices, strict=True):
            assert self.index_of.setdefault(number, index) == index, f"record {number} has two indices"


@pytest.mark.parametrize("quorum", [False, True], ids=["alone", "with-quorum"])
def test_every_acknowledged_index_holds_its_record(
    database_address: Path | str, tmp_path: Path, *, quorum: bool
) -> None:
    killed = Killed(database_address, tmp_path, quorum=quorum)
    # A hundred where it counts most, fewer in the variations of it.
    kills = KILLS if isinstance(database_address, Path) and not quorum else KILLS // 8
    chance = random.Random(20260101)  # noqa: S311  where it dies is no secret
    for _ in range(kills):
        killed.once(chance.uniform(0.01, 0.3))
    assert len(killed.index_of) > 10 * kills
    assert killed.sizes == sorted(killed.sizes)

    signer = log_writer.signer_of(SEED)
    policy = Policy.parse(f"log {signer.key.text}\nquorum none\n")
    with open_database(database_address) as database:
        with Log.open(database, origin=log_writer.ORIGIN, signer=signer, guard=tmp_path / "guard") as log:
            assert len(set(killed.index_of.values())) == len(killed.index_of)
            for number, index in killed.index_of.items():
                found = check_receipt(Receipt.parse(log.receipt(index)), policy)
                assert found.record == log_writer.submission(number).record
        with read_database(database, log_writer.ORIGIN) as read, records_of(database, log_writer.ORIGIN) as records:
            done = audit(read, key=signer.key, older=killed.notes, records=records)
    assert done.sound, done.faults[:3]
    assert len(done.continued) == kills
