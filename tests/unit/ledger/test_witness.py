"""A witness signs one history only, whoever asks, in whatever order, at the same time."""

from __future__ import annotations

import base64
import dataclasses
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from notes import ORIGIN, Tree, numbered, request, signer, witness
from rawtrace.database import Database
from rawtrace.errors import ReceiptError
from rawtrace.ledger import evidence, merkle
from rawtrace.ledger import witness as witnesses
from rawtrace.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint, verify_cosignature
from rawtrace.ledger.note import NoteSignature, VerifierKey, sign_note
from rawtrace.ledger.witness import Reply, Witness, origin_hash

LOG, OTHER, SIGNER = signer(), signer("other.example.org"), witness()
TREE = Tree(numbered(20))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def keys(origin: str) -> Sequence[VerifierKey]:
    return [LOG.key] if origin == ORIGIN else []


@pytest.fixture
def clock() -> list[datetime]:
    return [NOW]


@pytest.fixture
def one(database: Database, clock: list[datetime]) -> Witness:
    database.prepare(witnesses.TABLES)
    return Witness(database, SIGNER, keys, now=lambda: clock[0])


def checkpoint(size: int, tree: Tree = TREE) -> bytes:
    return sign_checkpoint(tree.checkpoint(size), LOG)


def ask(one: Witness, old: int, new: int, *, tree: Tree = TREE, note: bytes = b"") -> Reply:
    proof = merkle.consistency_proof(old, new, tree.read) if old <= new else ()
    return one.add_checkpoint(request(old, proof, note or checkpoint(new, tree)))


def last(one: Witness) -> bytes:
    return one.checkpoint(origin_hash(ORIGIN)) or b""


def test_it_signs_what_follows_and_serves_it(one: Witness) -> None:
    assert one.checkpoint(origin_hash(ORIGIN)) is None
    for old, new in ((0, 0), (0, 1), (1, 5), (5, 5), (5, 8), (8, 20)):
        reply = ask(one, old, new)
        assert reply.status == 200, reply.body
        assert verify_cosignature(checkpoint(new) + reply.body, SIGNER.key).time_s == int(NOW.timestamp())
        assert last(one) == checkpoint(new) + reply.body
        assert open_checkpoint(last(one), [LOG.key, SIGNER.key])[0].size == new


@pytest.mark.parametrize(
    "change",
    [
        lambda body: b"",
        lambda body: body.replace(b"old 5", b"old 05"),
        lambda body: body.replace(b"old 5", b"old -5"),
        lambda body: body.replace(b"old 5", b"old  5"),
        lambda body: body.replace(b"old 5", b"old 5 "),
        lambda body: body.replace(b"old 5", b"Old 5"),
        lambda body: body.replace(b"old 5", b"5"),
        lambda body: body.replace(b"old 5\n", b""),
        lambda body: body.replace(b"old 5\n", b"old 5\r\n"),
        lambda body: body.replace(b"old 5\n", b"old 5\nAAAA\n"),
        lambda body: body.replace(b"old 5\n", b"old 5\n" + base64.b64encode(bytes(32)) + b" \n"),
        lambda body: body.replace(b"old 5\n", b"old 5\n" + (base64.b64encode(bytes(32)) + b"\n") * 64),
        lambda body: body.replace(b"old 5", b"old 9"),
        lambda body: body.replace(b"old 5", b"old 9223372036854775808"),
        lambda body: body.replace(b"\n8\n", b"\n08\n"),
        lambda body: body[:-1],
        lambda body: body + b"\n",
        lambda body: body + b"\xff\n",
        lambda body: body.partition(b"\n\n")[0] + b"\n\n",
        lambda body: body + NoteSignature("x", b"1234", b"x").line.encode() * 64,
    ],
    ids=range(20),
)
def test_400_for_what_is_not_understood(one: Witness, change: Callable[[bytes], bytes]) -> None:
    assert ask(one, 0, 5).status == 200
    before = last(one)
    body = request(5, merkle.consistency_proof(5, 8, TREE.read), checkpoint(8))
    assert change(body) != body
    assert one.add_checkpoint(change(body)).status == 400
    assert last(one) == before


def test_404_for_a_log_that_is_not_known(one: Witness) -> None:
    note = sign_checkpoint(TREE.checkpoint(5, origin=OTHER.name), OTHER)
    assert ask(one, 0, 5, note=note).status == 404
    assert one.checkpoint(origin_hash(OTHER.name)) is None


def test_403_for_signatures_that_do_not_do(one: Witness) -> None:
    bad = NoteSignature(LOG.name, LOG.key.key_id, bytes(64)).line.encode()
    for note in (
        sign_checkpoint(TREE.checkpoint(5), OTHER),
        sign_checkpoint(TREE.checkpoint(5), signer()),
        sign_note(TREE.checkpoint(5).text, OTHER) + bad,
        checkpoint(5) + bad,
        checkpoint(5).replace(b"\n5\n", b"\n6\n"),
    ):
        assert ask(one, 0, 5, note=note).status == 403
    assert last(one) == b""


def test_409_says_the_size_that_is_known(one: Witness) -> None:
    assert ask(one, 3, 5) == Reply(409, b"0\n", "text/x.tlog.size")
    assert ask(one, 0, 5).status == 200
    for old, new in ((0, 8), (4, 8), (4, 4), (6, 8), (8, 8), (0, 5)):
        assert ask(one, old, new) == Reply(409, b"5\n", "text/x.tlog.size")
    assert b"\n5\n" in last(one)


def test_422_for_histories_that_do_not_follow(one: Witness) -> None:
    forged = Tree([*numbered(4), b"another", *numbered(15, start=5)])
    assert ask(one, 0, 5).status == 200
    before = last(one)
    proof = merkle.consistency_proof(5, 8, TREE.read)
    assert ask(one, 5, 8, tree=forged).status == 422
    for wrong in ((), proof[:-1], (*proof, bytes(32)), (bytes(32), *proof[1:]), (bytes(32),) * 63):
        assert one.add_checkpoint(request(5, wrong, checkpoint(8))).status == 422
    assert one.add_checkpoint(request(5, [bytes(32)], checkpoint(5))).status == 422
    assert last(one) == before


def test_422_for_proofs_from_nothing_and_for_an_empty_tree_that_is_none(one: Witness) -> None:
    assert one.add_checkpoint(request(0, [bytes(32)], checkpoint(5))).status == 422
    text = f"{ORIGIN}\n0\n{base64.b64encode(bytes(32)).decode()}\n"
    assert one.add_checkpoint(request(0, (), sign_note(text, LOG))).status == 422
    assert ask(one, 0, 0).status == 200


def test_a_second_tree_of_one_size_is_refused_and_both_notes_are_kept(one: Witness, database: Database) -> None:
    forged = Tree([*numbered(4), b"another"])
    assert ask(one, 0, 5).status == 200
    mine = last(one)
    for _ in range(2):
        assert ask(one, 5, 5, tree=forged).status == 422
    assert ask(one, 0, 5, tree=forged).status == 409
    (pair,) = evidence.pairs(database, ORIGIN)
    assert pair.first == mine
    assert pair.second == checkpoint(5, forged)
    assert "two different trees of 5 entries" in pair.said
    for note in (pair.first, pair.second):
        assert open_checkpoint(note, [LOG.key])
    assert evidence.pairs(database, "other.example.org") == ()


def test_what_strangers_add_to_a_note_is_not_kept(one: Witness) -> None:
    stranger = NoteSignature("stranger.example.org", b"1234", b"x" * 64).line.encode()
    assert ask(one, 0, 5, note=checkpoint(5) + stranger).status == 200
    assert b"stranger" not in last(one)


def test_an_extension_is_signed_and_kept(one: Witness) -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 5, TREE.root(0, 5), ("more",)), LOG)
    reply = ask(one, 0, 5, note=note)
    assert reply.status == 200
    assert verify_cosignature(note + reply.body, SIGNER.key)


def test_a_clock_turned_back_dates_nothing_back(one: Witness, clock: list[datetime]) -> None:
    ask(one, 0, 5)
    clock[0] = NOW - timedelta(days=300)
    assert verify_cosignature(checkpoint(8) + ask(one, 5, 8).body, SIGNER.key).time_s == int(NOW.timestamp())
    clock[0] = NOW + timedelta(seconds=5)
    assert verify_cosignature(checkpoint(9) + ask(one, 8, 9).body, SIGNER.key).time_s == int(NOW.timestamp()) + 5


def test_its_memory_is_in_the_database(one: Witness, database: Database) -> None:
    ask(one, 0, 5)
    again = Witness(database, SIGNER, keys)
    assert ask(again, 0, 8).status == 409
    assert ask(again, 5, 8).status == 200
    # Another witness in the same database has seen nothing.
    assert ask(Witness(database, witness("second.example.org"), keys), 0, 8).status == 200


def test_under_a_new_name_it_remembers_what_its_key_has_signed(one: Witness, database: Database) -> None:
    assert ask(one, 0, 5).status == 200
    moved = dataclasses.replace(SIGNER, name="moved.example.org")
    renamed = Witness(database, moved, keys)
    forged = Tree([*numbered(4), b"another"])
    assert ask(renamed, 0, 5, tree=forged).status == 409
    assert ask(renamed, 5, 5, tree=forged).status == 422
    assert verify_cosignature(checkpoint(8) + ask(renamed, 5, 8).body, moved.key)


def test_nothing_is_stored_when_signing_fails(database: Database) -> None:
    database.prepare(witnesses.TABLES)

    def broken(_data: bytes) -> bytes:
        raise OSError

    one = Witness(database, dataclasses.replace(SIGNER, sign=broken), keys)
    with pytest.raises(OSError):  # noqa: PT011  what a token says when it is pulled out
        ask(one, 0, 5)
    assert last(one) == b""


def test_two_at_once_get_one_history(one: Witness) -> None:
    branches = [Tree([*numbered(5), b"branch %d" % number]) for number in range(6)]
    assert ask(one, 0, 5).status == 200
    start = threading.Barrier(len(branches))
    statuses: list[int] = []

    def run(tree: Tree) -> None:
        start.wait()
        statuses.append(ask(one, 5, 6, tree=tree).status)

    threads = [threading.Thread(target=run, args=[tree]) for tree in branches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 409, 409, 409, 409, 409]
    assert any(open_checkpoint(last(one), [LOG.key])[0].root == tree.root() for tree in branches)


def test_a_key_of_a_log_makes_no_witness(database: Database) -> None:
    with pytest.raises(ReceiptError):
        Witness(database, LOG, keys)
