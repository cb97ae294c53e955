"""A log whose records count only when witnesses and mirrors have them: through outages, and after its own loss."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from notes import ORIGIN, signer, witness
from peers import Peer, serving
from rawtrace.database import Database, open_database
from rawtrace.errors import LedgerError
from rawtrace.ledger import evidence, mirror, monitor
from rawtrace.ledger.checkpoint import open_checkpoint
from rawtrace.ledger.cosigning import PolicyCosigner
from rawtrace.ledger.logstore import LogStore
from rawtrace.ledger.mirror import Mirror
from rawtrace.ledger.note import NoteSigner, VerifierKey
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import check_receipt, read_receipts
from rawtrace.ledger.sequencer import Log, Submission
from rawtrace.ledger.tiles import entries_path, tiles_of, width_at
from rawtrace.ledger.witness import Reply, Witness, origin_hash
from rawtrace.web import Web

KEY = signer()
HASH = origin_hash(ORIGIN)
COPIES = ("m1", "m2")


def keys(origin: str) -> Sequence[VerifierKey]:
    return [KEY.key] if origin == ORIGIN else []


def records(start: int, count: int) -> list[Submission]:
    return [
        Submission.of("file", {"sha256": f"{number:064x}", "size": number}, issuer=ORIGIN, key="")
        for number in range(start, start + count)
    ]


def away(_path: str, _body: bytes) -> Reply | None:
    return Reply(503, b"away\n")


def here(_path: str, _body: bytes) -> Reply | None:
    return None


class Federation:
    """A log of our own; a witness and two mirrors, each of somebody else."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.peers: dict[str, Peer] = {}
        lines = [f"log {KEY.key.text}"]
        for name in ("w", "m1", "m2"):
            database = self.open(name)
            database.prepare(mirror.TABLES)
            signer_of: NoteSigner = witness(f"{name}.example.org")
            one = Witness(database, signer_of, keys) if name == "w" else Mirror(database, signer_of, keys)
            self.peers[name] = stack.enter_context(serving(Peer(one)))
            lines.append(f"witness {name} {signer_of.key.text} {self.peers[name].url}")
        lines += ["group copies 1 m1 m2", "group all all w copies", "quorum all", ""]
        self.policy = Policy.parse("\n".join(lines))

    def open(self, name: str) -> Database:
        database: Database = self.stack.enter_context(open_database(self.folder / f"{name}.sqlite"))
        return database

    @contextlib.contextmanager
    def log(self, name: str = "log") -> Iterator[Log]:
        database = self.open(name)
        cosigner = PolicyCosigner(self.policy, source=LogStore(database, ORIGIN), wait_s=10)
        with (
            contextlib.closing(cosigner),
            Log.open(database, origin=ORIGIN, signer=KEY, guard=None, quorum=cosigner, interval_s=0.005) as log,
        ):
            yield log

    def copy(self, name: str) -> Mirror:
        one = self.peers[name].one
        assert isinstance(one, Mirror)
        return one


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    with contextlib.ExitStack() as stack:
        yield Federation(tmp_path, stack)


def same(log: Log, copy: Mirror) -> None:
    """The copy serves what the log serves, byte for byte."""
    held = open_checkpoint(copy.checkpoint(HASH) or b"", [KEY.key])[0].size
    assert held == log.size
    paths = [tile.text for tile in tiles_of(held)]
    paths += [entries_path(number, width_at(0, number, held)) for number in range((held + 255) // 256)]
    for path in paths:
        assert copy.tile(HASH, path) == log.tile(path) is not None


def test_a_record_counts_when_the_quorum_has_it(federation: Federation) -> None:
    with federation.log() as log:
        accepted = [one.result(30) for one in [log.submit(one) for one in records(0, 600)]]
        for one in (accepted[0], accepted[599]):
            (receipt,) = read_receipts(one.receipt)
            found = check_receipt(receipt, federation.policy)
            assert found.checked.time_s
            assert found.index == one.index
        # One copy was enough for the quorum; which one was faster is not said.
        sizes = {name: (held.size if (held := federation.copy(name).held(ORIGIN)) else 0) for name in COPIES}
        same(log, federation.copy(max(sizes, key=lambda name: sizes[name])))


def test_outages_lose_nothing_and_are_made_up_for(federation: Federation) -> None:
    with federation.log() as log:
        federation.peers["m2"].before = away
        first = [log.submit(one) for one in records(0, 300)]
        assert {one.result(30).index for one in first} == set(range(300))
        federation.peers["m1"].before = away
        waiting = log.submit(records(300, 1)[0])
        done = threading.Event()
        waiting.add_done_callback(lambda _: done.set())
        assert not done.wait(0.3), "no copy has it, so it does not count"
        federation.peers["m2"].before = here
        assert waiting.result(30).index == 300
        federation.peers["m1"].before = here
        assert [one.result(30).index for one in [log.submit(one) for one in records(301, 40)]] == list(range(301, 341))
        # Whichever copy was not needed has what it missed a moment later.
        for name in COPIES:
            for _ in range(200):
                held = federation.copy(name).held(ORIGIN)
                if held is not None and held.size == log.size:
                    break
                log.submit(records(0, 1)[0]).result(30)
                threading.Event().wait(0.02)
            same(log, federation.copy(name))


def test_a_log_that_lost_its_memory_cannot_begin_anew(federation: Federation) -> None:
    with federation.log() as log:
        assert log.submit(records(0, 1)[0]).result(30).index == 0
    with pytest.raises(LedgerError, match=r"has seen 1 entries of .*; here are 0; nothing more is signed"):
        federation.stack.enter_context(federation.log("empty"))
    # If nobody can be asked when it starts, it learns later; nothing that it signs by then is published.
    for peer in federation.peers.values():
        peer.before = away
    with federation.log("other") as log:
        for peer in federation.peers.values():
            peer.before = here
        waiting = log.submit(records(7, 1)[0])
        with pytest.raises(LedgerError, match="nothing more is signed"):
            waiting.result(30)
        assert log.size == 0
    # What it had signed by then is with the witness, beside what it had signed before.
    with open_database(federation.folder / "w.sqlite") as database:
        (pair,) = evidence.pairs(database, ORIGIN)
        assert {open_checkpoint(note, [KEY.key])[0].size for note in (pair.first, pair.second)} == {1}


def test_a_monitor_sees_one_history_at_the_log_and_its_copies(federation: Federation) -> None:
    with federation.log() as log:
        for one in [log.submit(one) for one in records(0, 300)]:
            one.result(30)

        def shows(path: str, _body: bytes) -> Reply:
            found = log.checkpoint() if path == "checkpoint" else log.tile(path)
            return Reply(404) if found is None else Reply(200, found)

        with serving(Peer(before=shows)) as own, Web() as web:
            policy = Policy.parse(federation.policy.text.replace(KEY.key.text, f"{KEY.key.text} {own.url}"))
            with open_database(federation.folder / "monitor.sqlite") as database:
                database.prepare(monitor.TABLES)
                found = monitor.monitor(database, policy, web=web)
    assert [one.place for one in found] == ["the log", "w", "m1", "m2"]
    assert {one.outcome.value for one in found} <= {"consistent", "nothing"}
    assert [one.outcome.value for one in found][:2] == ["consistent", "consistent"]
