"""A log that shows two histories is named, with both of its own signatures as evidence."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from notes import ORIGIN, Tree, numbered, signer, witness
from peers import Peer, serving
from rawtrace.database import Database
from rawtrace.ledger import evidence
from rawtrace.ledger import monitor as monitors
from rawtrace.ledger.checkpoint import open_checkpoint, sign_checkpoint
from rawtrace.ledger.monitor import Outcome, Sighting, monitor
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.tiles import parse_path
from rawtrace.ledger.witness import Reply, origin_hash
from rawtrace.web import Web

LOG = signer()
TREE = Tree(numbered(600))
FORK = Tree([*numbered(4), b"another", *numbered(595, start=5)])
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def shows(tree: Tree, size: int, *, tiles: Tree | None = None, prefix: str = "") -> Callable[[str, bytes], Reply]:
    """Answer as a log (or, with a prefix, a mirror) of this size."""
    held = tiles or tree

    def before(path: str, _body: bytes) -> Reply:
        if not path.startswith(prefix):
            return Reply(404)
        path = path.removeprefix(prefix)
        if path == "checkpoint":
            return Reply(200, sign_checkpoint(tree.checkpoint(size), LOG))
        tile = parse_path(path)
        step = 256 ** (tile.level or 0)
        first = tile.index * 256
        if (first + tile.width) * step > size:
            return Reply(404)
        hashes = [held.root(at * step, (at + 1) * step) for at in range(first, first + tile.width)]
        return Reply(200, b"".join(hashes))

    return before


class Scene:
    def __init__(self, database: Database, log: Peer, other: Peer) -> None:
        database.prepare(monitors.TABLES)
        self.database, self.log, self.other = database, log, other
        key = witness("w.example.org").key
        self.policy = Policy.parse(f"log {LOG.key.text} {log.url}/\nwitness w {key.text} {other.url}\nquorum none\n")

    def look(self) -> dict[str, Sighting]:
        with Web() as web:
            found = monitor(self.database, self.policy, web=web, now=lambda: NOW)
        assert all(one.origin == ORIGIN for one in found)
        return {one.place: one for one in found}


@pytest.fixture
def scene(database: Database) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        log, other = (stack.enter_context(serving(Peer(before=lambda *_: Reply(404)))) for _ in range(2))
        yield Scene(database, log, other)


def outcomes(found: dict[str, Sighting]) -> dict[str, str]:
    return {place: one.outcome.value for place, one in found.items()}


PREFIX = f"{origin_hash(ORIGIN)}/"


def test_a_log_that_grows_is_consistent(scene: Scene) -> None:
    for size, seen in ((0, 0), (1, 0), (5, 5), (300, 5), (600, 300)):
        scene.log.before = shows(TREE, size)
        scene.other.before = shows(TREE, seen, prefix=PREFIX)
        assert outcomes(scene.look()) == {"the log": "consistent", "w": "consistent"}
    assert evidence.pairs(scene.database) == ()


def test_a_witness_that_is_further_than_the_log(scene: Scene) -> None:
    scene.log.before = shows(TREE, 300)
    scene.other.before = shows(TREE, 600, prefix=PREFIX)
    assert outcomes(scene.look()) == {"the log": "consistent", "w": "consistent"}


@pytest.mark.parametrize(("log", "seen"), [(300, 300), (300, 600), (600, 300), (600, 5), (5, 600)])
def test_a_split_view_between_places(scene: Scene, log: int, seen: int) -> None:
    scene.log.before = shows(TREE, log)
    scene.other.before = shows(FORK, seen, prefix=PREFIX)
    found = scene.look()
    (alarm,) = [one for one in found.values() if one.alarming]
    assert alarm.outcome is Outcome.SPLIT_VIEW
    assert alarm.evidence is not None
    opened = [open_checkpoint(note, [LOG.key])[0] for note in alarm.evidence]
    assert {one.size for one in opened} == {log, seen}
    assert {one.root for one in opened} == {TREE.root(0, log), FORK.root(0, seen)}
    (kept,) = evidence.pairs(scene.database, ORIGIN)
    assert (kept.first, kept.second) == alarm.evidence
    assert "the log" in kept.said
    assert "w" in kept.said
    assert kept.noticed == "2026-03-01T12:00:00Z"


@pytest.mark.parametrize("later", [300, 600])
def test_a_log_that_changes_what_it_showed_before(scene: Scene, later: int) -> None:
    scene.log.before = shows(TREE, 300)
    assert outcomes(scene.look())["the log"] == "consistent"
    scene.log.before = shows(FORK, later)
    for _ in range(2):
        found = scene.look()
        assert any(one.outcome is Outcome.SPLIT_VIEW for one in found.values())
    assert len(evidence.pairs(scene.database)) == 1
    # When it shows the first history again, that one is still the measure.
    scene.log.before = shows(TREE, 600)
    assert outcomes(scene.look())["the log"] == "consistent"


def test_a_log_that_goes_back_is_told_of(scene: Scene) -> None:
    scene.log.before = shows(TREE, 300)
    scene.look()
    scene.log.before = shows(TREE, 200)
    found = scene.look()["the log"]
    assert found.outcome is Outcome.UNREACHABLE
    assert "that the tree of 300 entries continues that of 200 could not be shown" in found.sentence
    # A mirror that still has the entries shows that it was only old.
    scene.other.before = shows(TREE, 300, prefix=PREFIX)
    assert outcomes(scene.look()) == {"the log": "consistent", "w": "consistent"}


def test_tiles_that_do_not_belong_to_the_checkpoint_prove_nothing(scene: Scene) -> None:
    scene.log.before = shows(TREE, 300)
    scene.look()
    scene.log.before = shows(TREE, 600, tiles=FORK)
    found = scene.look()
    assert {one.outcome for one in found.values() if one.alarming} == {Outcome.UNPROVED}
    assert evidence.pairs(scene.database) == ()
    scene.log.before = shows(TREE, 600)
    assert outcomes(scene.look())["the log"] == "consistent"


def test_full_tiles_do_where_partial_ones_are_gone(scene: Scene) -> None:
    scene.log.before = shows(TREE, 200)
    scene.look()
    scene.log.before = shows(TREE, 300)
    grown = shows(TREE, 512)

    def before(path: str, body: bytes) -> Reply:
        if path.startswith("tile/0/001.p/"):
            return Reply(404)
        return shows(TREE, 300)(path, body) if path == "checkpoint" else grown(path, body)

    scene.log.before = before
    assert outcomes(scene.look())["the log"] == "consistent"


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (Reply(404), "nothing"),
        (Reply(503), "unreachable"),
        (Reply(200, b""), "unsigned"),
        (Reply(200, sign_checkpoint(TREE.checkpoint(5), signer())), "unsigned"),
        (Reply(200, b"x" * 70_000), "unreachable"),
    ],
)
def test_what_is_no_checkpoint(scene: Scene, reply: Reply, outcome: str) -> None:
    scene.log.before = lambda *_: reply
    scene.other.before = shows(TREE, 5, prefix=PREFIX)
    found = scene.look()
    assert found["the log"].outcome.value == outcome
    assert found["the log"].sentence
    assert found["w"].outcome is Outcome.CONSISTENT


def test_nobody_answers(scene: Scene) -> None:
    assert outcomes(scene.look()) == {"the log": "nothing", "w": "nothing"}
    with Web() as web:
        assert monitor(scene.database, Policy.parse(f"log {LOG.key.text}\nquorum none"), web=web) == ()
