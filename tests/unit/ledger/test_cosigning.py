"""A quorum is collected through outages and lags; a log that is behind is told so before it signs."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from notes import ORIGIN, Memory, Tree, numbered, request, signer, witness
from peers import Peer, serving
from rawtrace.database import Database, open_database
from rawtrace.errors import LedgerError, NetworkError
from rawtrace.ledger import merkle, mirror
from rawtrace.ledger.checkpoint import cosign, sign_checkpoint
from rawtrace.ledger.cosigning import PolicyCosigner, Standpoint
from rawtrace.ledger.mirror import Mirror
from rawtrace.ledger.note import NoteSignature, NoteSigner, VerifierKey
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.witness import Reply, Witness, origin_hash

LOG = signer()
TREE = Tree(numbered(700))
FORK = Tree([*numbered(4), b"another", *numbered(695, start=5)])


def keys(origin: str) -> Sequence[VerifierKey]:
    return [LOG.key] if origin == ORIGIN else []


def checkpoint(size: int, tree: Tree = TREE) -> bytes:
    return sign_checkpoint(tree.checkpoint(size), LOG)


def prove(size: int, tree: Tree = TREE) -> Callable[[int], Sequence[bytes]]:
    return lambda old: merkle.consistency_proof(old, size, tree.read)


class Peers:
    """Some witnesses and mirrors, each with a database of its own, and policies that name them."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.all: dict[str, tuple[Peer, NoteSigner]] = {}

    def add(self, name: str, kind: type[Witness] | type[Mirror] = Witness, **peer: object) -> Peer:
        key = witness(f"{name}.example.org")
        database: Database = self.stack.enter_context(open_database(self.folder / f"{name}.sqlite"))
        database.prepare(mirror.TABLES)
        found = Peer(kind(database, key, keys), **peer)  # type: ignore[arg-type]
        self.stack.enter_context(serving(found))
        self.all[name] = (found, key)
        return found

    def policy(self, threshold: int) -> Policy:
        lines = [f"log {LOG.key.text}"]
        lines += [f"witness {name} {key.key.text} {peer.url}/" for name, (peer, key) in self.all.items()]
        lines += [f"group g {threshold} {' '.join(self.all)}", "quorum g\n"]
        return Policy.parse("\n".join(lines))

    def cosigner(self, threshold: int, **options: object) -> PolicyCosigner:
        given: dict[str, object] = {"source": Memory(TREE), **options}
        cosigner = PolicyCosigner(self.policy(threshold), **given)  # type: ignore[arg-type]
        self.stack.callback(cosigner.close)
        return cosigner


@pytest.fixture
def peers(tmp_path: Path) -> Iterator[Peers]:
    with contextlib.ExitStack() as stack:
        yield Peers(tmp_path, stack)


def collect(cosigner: PolicyCosigner, old: int, new: int, tree: Tree = TREE) -> bytes:
    proof = merkle.consistency_proof(old, new, tree.read)
    return cosigner.collect(checkpoint(new, tree), old, proof, prove=prove(new, tree))


def push(peer: Peer, old: int, new: int, tree: Tree = TREE) -> Reply:
    """Let somebody else show the witness a checkpoint."""
    assert peer.one is not None
    return peer.one.add_checkpoint(request(old, merkle.consistency_proof(old, new, tree.read), checkpoint(new, tree)))


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_quorum_signs_and_the_policy_accepts(peers: Peers) -> None:
    for name in "abc":
        peers.add(name)
    cosigner = peers.cosigner(3)
    for old, new in ((0, 0), (0, 5), (5, 5), (5, 300)):
        checked = cosigner.policy.check(collect(cosigner, old, new))
        assert checked.checkpoint.size == new
        assert len(checked.cosignatures) == 3
        assert checked.time_s


def test_a_witness_that_has_seen_less_is_told_the_rest(peers: Peers) -> None:
    a, b = peers.add("a"), peers.add("b")
    push(a, 0, 100)
    push(b, 0, 7)
    cosigner = peers.cosigner(2)
    assert cosigner.policy.check(collect(cosigner, 200, 300))
    assert a.asked == b.asked == ["add-checkpoint"] * 2
    assert cosigner.policy.check(collect(cosigner, 300, 400))
    assert a.asked == ["add-checkpoint"] * 3, "what it has seen last is remembered"


def hanging(peer: Peer) -> threading.Event:
    """Let a peer answer nothing until the event is set."""
    released = threading.Event()

    def before(_path: str, _body: bytes) -> Reply | None:
        released.wait(30)
        return None

    peer.before = before
    return released


def test_one_that_hangs_or_is_dead_holds_up_nobody(peers: Peers) -> None:
    for name in "abc":
        peers.add(name)
    slow = peers.all["c"][0]
    released = hanging(slow)
    peers.all["b"][0].before = lambda _path, _body: Reply(503, b"tired\n")
    cosigner = peers.cosigner(1)
    for size in range(1, 20):
        assert cosigner.policy.check(collect(cosigner, size - 1, size))
    assert not released.is_set()
    assert len(slow.asked) == 1, "it is asked again when it has answered"
    released.set()


def test_a_quorum_that_is_not_reached_says_who_is_missing(peers: Peers) -> None:
    for name in "abcd":
        peers.add(name)
    peers.all["b"][0].before = lambda _path, _body: Reply(503, b"tired \x1b[31m\n")
    peers.all["c"][0].before = lambda _path, _body: Reply(403, b"not with me")
    released = hanging(peers.all["d"][0])
    cosigner = peers.cosigner(2, wait_s=2)
    with pytest.raises(NetworkError) as caught:
        collect(cosigner, 0, 5)
    said = str(caught.value)
    assert "b: b answers 503: tired [31m" in said
    assert "c: c answers 403: not with me" in said
    assert "d: no answer yet" in said
    released.set()
    # When they are back, it is enough to ask again.
    peers.all["b"][0].before = lambda _path, _body: None
    assert cosigner.policy.check(collect(cosigner, 5, 8))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no signature lines\n",
        b"\xff\n",
        witness("stranger.example.org").signature("other\n", time_s=5).line.encode(),
        "key",
        "stale",
        b"x" * 70_000,
    ],
    ids=["empty", "no lines", "no text", "stranger", "bad signature", "of another checkpoint", "too long"],
)
def test_an_answer_that_is_no_cosignature_does_not_count(peers: Peers, answer: bytes | str) -> None:
    peer = peers.add("a")
    key = peers.all["a"][1]
    if answer == "key":
        answer = NoteSignature(key.name, key.key.key_id, bytes(72)).line.encode()
    elif answer == "stale":
        answer = cosign(checkpoint(4), key, 5).encode()
    body = answer
    assert isinstance(body, bytes)
    peer.before = lambda _path, _body: Reply(200, body)
    with pytest.raises(NetworkError, match="is not reached"):
        collect(peers.cosigner(1, wait_s=2), 0, 5)


def test_a_witness_that_changes_its_mind_for_ever_is_left(peers: Peers) -> None:
    peer = peers.add("a")
    sizes = iter(range(1000))
    peer.before = lambda _path, _body: Reply(409, b"%d\n" % (next(sizes) % 4), "text/x.tlog.size")
    with pytest.raises(NetworkError, match="another size each time"):
        collect(peers.cosigner(1, wait_s=5), 0, 5)
    assert len(peer.asked) == 4


def test_strange_sizes_are_refused(peers: Peers) -> None:
    peer = peers.add("a")
    for body in (b"", b"05\n", b"-1\n", b"5\n5\n", b"\xff\n", b"9" * 100):
        peer.before = lambda _path, _body, body=body: Reply(409, body, "text/x.tlog.size")  # type: ignore[misc]
        with pytest.raises(NetworkError, match="is not reached"):
            collect(peers.cosigner(1, wait_s=5), 0, 5)


# ---- two histories


def test_a_fork_that_a_witness_can_prove_stops_the_log(peers: Peers) -> None:
    a, _ = peers.add("a"), peers.add("b")
    push(a, 0, 300, FORK)
    cosigner = peers.cosigner(2, wait_s=5)
    with pytest.raises(LedgerError, match=r"another history of .* at size 300"):
        collect(cosigner, 300, 400)
    # And it stays stopped, whoever else would sign.
    with pytest.raises(LedgerError, match="another history"):
        collect(cosigner, 400, 401)


def test_a_log_that_is_behind_is_told_so(peers: Peers) -> None:
    a = peers.add("a")
    push(a, 0, 300)
    with pytest.raises(LedgerError, match=r"has seen 300 entries of .*; here are 200"):
        collect(peers.cosigner(1, wait_s=5), 100, 200)


@pytest.mark.parametrize("said", [Reply(409, b"999999\n", "text/x.tlog.size"), Reply(422, b"no\n")])
def test_a_witness_that_only_claims_it_does_not_stop_the_log(peers: Peers, said: Reply) -> None:
    liar, _ = peers.add("a"), peers.add("b")
    liar.before = lambda path, _body: said if path == "add-checkpoint" else None
    cosigner = peers.cosigner(1, wait_s=5)
    assert cosigner.policy.check(collect(cosigner, 0, 5))
    with pytest.raises(NetworkError, match=r"a has seen|another history"):
        collect(peers.cosigner(2, wait_s=5), 5, 6)
    # At start-up it does: to stop without need can be mended.
    with pytest.raises(LedgerError, match="nothing more is signed"):
        peers.cosigner(1).ask(checkpoint(6), prove=prove(6))


def test_a_checkpoint_of_somebody_else_proves_nothing(peers: Peers) -> None:
    liar, _ = peers.add("a"), peers.add("b")
    stranger = signer()
    forged = sign_checkpoint(TREE.checkpoint(500), stranger)

    def before(path: str, _body: bytes) -> Reply:
        return Reply(409, b"500\n", "text/x.tlog.size") if path == "add-checkpoint" else Reply(200, forged)

    liar.before = before
    cosigner = peers.cosigner(1, wait_s=5)
    assert collect(cosigner, 0, 5)
    until(lambda: f"{origin_hash(ORIGIN)}/checkpoint" in liar.asked)
    assert collect(cosigner, 5, 6)


@pytest.mark.parametrize(
    "shown", [Reply(200, b"x" * 70_000), Reply(200, b""), Reply(500)], ids=["long", "empty", "fault"]
)
def test_a_liar_that_shows_nonsense_is_asked_again_later(peers: Peers, shown: Reply) -> None:
    liar = peers.add("a")
    liar.before = lambda path, _body: Reply(422, b"no\n") if path == "add-checkpoint" else shown
    cosigner = peers.cosigner(1, wait_s=5)
    with pytest.raises(NetworkError, match="another history"):
        collect(cosigner, 0, 5)
    liar.before = lambda _path, _body: None
    assert cosigner.policy.check(collect(cosigner, 0, 5))


def test_asked_at_start_up(peers: Peers) -> None:
    peers.add("same")
    peers.add("less")
    peers.add("new")
    peers.add("away").before = lambda _path, _body: Reply(503, b"away\n")
    peers.add("copy", Mirror)
    push(peers.all["same"][0], 0, 300)
    push(peers.all["less"][0], 0, 30)
    found = peers.cosigner(1).ask(checkpoint(300), prove=prove(300))
    assert [one.name for one in found if one.agrees] == ["same", "less", "new", "copy"]
    assert [one for one in found if not one.agrees] == [
        Standpoint(name="away", agrees=False, sentence="away answers 503: away")
    ]
    for old, tree in ((300, FORK), (301, TREE)):
        peer = peers.add(f"ahead{old}")
        push(peer, 0, old, tree)
        with pytest.raises(LedgerError, match=f"ahead{old}"):
            peers.cosigner(1).ask(checkpoint(300), prove=prove(300))
        del peers.all[f"ahead{old}"]


def test_where_nobody_is_asked() -> None:
    cosigner = PolicyCosigner(Policy.parse("quorum none"))
    assert cosigner.ask(checkpoint(5), prove=prove(5)) == ()
    assert collect(cosigner, 0, 5) == checkpoint(5)
    cosigner.close()


# ---- mirrors


def test_mirrors_sign_when_they_were_sent_everything(peers: Peers) -> None:
    copies = [peers.add(f"m{number}", Mirror) for number in range(2)]
    cosigner = peers.cosigner(2)
    assert cosigner.policy.check(collect(cosigner, 0, 300))
    assert cosigner.policy.check(collect(cosigner, 300, 700))
    for copy in copies:
        assert isinstance(copy.one, Mirror)
        for path in ("tile/entries/000", "tile/0/001", "tile/entries/002.p/188", "tile/1/000.p/2"):
            assert copy.one.tile(origin_hash(ORIGIN), path) == Memory(TREE).read(path, size=700)


def test_a_mirror_that_was_away_is_sent_what_it_missed_while_others_go_on(peers: Peers) -> None:
    peers.add("m0", Mirror)
    away = peers.add("m1", Mirror)
    away.before = lambda _path, _body: Reply(503, b"away\n")
    cosigner = peers.cosigner(1)
    for old, new in ((0, 100), (100, 400), (400, 690)):
        assert cosigner.policy.check(collect(cosigner, old, new))
    away.before = lambda _path, _body: None
    assert cosigner.policy.check(collect(cosigner, 690, 700))
    assert isinstance(away.one, Mirror)
    one = away.one
    until(lambda: one.checkpoint(origin_hash(ORIGIN)) is not None)
    assert one.tile(origin_hash(ORIGIN), "tile/entries/001") == Memory(TREE).read("tile/entries/001", size=700)


def test_a_connection_that_breaks_in_the_middle_loses_nothing(peers: Peers) -> None:
    copy = peers.add("m0", Mirror)
    one = copy.one
    assert isinstance(one, Mirror)
    broken: list[Reply] = []

    def before(path: str, body: bytes) -> Reply | None:
        if path != "add-entries" or len(body) < 1000 or broken:
            return None
        broken.append(one.add_entries(gzip.decompress(body)[:-10]))
        return Reply(500)

    copy.before = before
    cosigner = peers.cosigner(1, wait_s=5)
    with pytest.raises(NetworkError, match="answers 500"):
        collect(cosigner, 0, 700)
    held = one.held(ORIGIN)
    assert held is not None
    assert held.next_entry == 512
    assert cosigner.policy.check(collect(cosigner, 0, 700))


def test_a_mirror_without_entries_to_send_is_named(peers: Peers) -> None:
    peers.add("m0", Mirror)
    with pytest.raises(NetworkError, match="m0 takes the checkpoint and does not sign it"):
        collect(peers.cosigner(1, wait_s=5, source=None), 0, 5)


@pytest.mark.parametrize(
    "said",
    [
        Reply(202, b"5\n0\n\n", "text/x.tlog.mirror-info"),
        Reply(409, b"5\n0\n\n", "text/x.tlog.mirror-info"),
        Reply(409, b"9\n0\n\n", "text/x.tlog.mirror-info"),
        Reply(202, b"garbage", "text/x.tlog.mirror-info"),
        Reply(202, b"5\n0\n\n"),
        Reply(200, b""),
        Reply(422, b"bad\n"),
    ],
    ids=range(7),
)
def test_a_mirror_that_makes_no_sense_is_left(peers: Peers, said: Reply) -> None:
    copy = peers.add("m0", Mirror)
    copy.before = lambda path, _body: said if path == "add-entries" else None
    with pytest.raises(NetworkError, match="is not reached"):
        collect(peers.cosigner(1, wait_s=5), 0, 5)
    assert len(copy.asked) < 10


def test_threads_end_when_it_is_closed(peers: Peers) -> None:
    peers.add("a")
    cosigner = peers.cosigner(1)
    collect(cosigner, 0, 5)
    cosigner.close()
    until(lambda: not any(one.name == "rawtrace-witness-a" for one in threading.enumerate()))
