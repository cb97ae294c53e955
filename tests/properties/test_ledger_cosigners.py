"""Whatever a witness and a mirror are asked, in any order: one history is signed, and what is signed for is held."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from notes import ORIGIN, Tree, numbered, request, signer, witness
from rawtrace.database import open_database
from rawtrace.ledger import merkle, mirror
from rawtrace.ledger.addentries import Upload, build
from rawtrace.ledger.checkpoint import open_checkpoint, sign_checkpoint, verify_cosignature
from rawtrace.ledger.mirror import Mirror
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.tiles import Tiles, decode_bundle, entries_path, width_at
from rawtrace.ledger.witness import Witness, origin_hash

LOG, EYE, COPY = signer(), witness("eye.example.org"), witness("copy.example.org")
LARGEST = 600
# Three histories that part at different places.
BRANCHES = (
    Tree(numbered(LARGEST)),
    Tree([*numbered(3), *numbered(LARGEST - 3, start=10_000)]),
    Tree([*numbered(300), *numbered(LARGEST - 300, start=20_000)]),
)
HASH = origin_hash(ORIGIN)
SIZES = st.sampled_from([0, 1, 2, 3, 4, 255, 256, 257, 299, 300, 301, 512, 599, 600]) | st.integers(0, LARGEST)
BRANCH = st.sampled_from(BRANCHES)


def keys(origin: str) -> list[VerifierKey]:
    return [LOG.key] if origin == ORIGIN else []


class Cosigners(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cleanup = contextlib.ExitStack()
        folder = Path(self.cleanup.enter_context(tempfile.TemporaryDirectory()))
        self.database = self.cleanup.enter_context(open_database(folder / "test.sqlite"))
        self.database.prepare(mirror.TABLES)
        self.restart()
        self.signed: list[tuple[int, bytes]] = []
        self.pending: dict[int, Tree] = {}

    def teardown(self) -> None:
        self.cleanup.close()

    @rule()
    def restart(self) -> None:
        self.eye = Witness(self.database, EYE, keys)
        self.copy = Mirror(self.database, COPY, keys)

    @rule(tree=BRANCH, old=SIZES, new=SIZES, honest=st.booleans(), mirrored=st.booleans())
    def show(self, tree: Tree, old: int, new: int, honest: bool, mirrored: bool) -> None:
        """Show a checkpoint, from where the cosigner is or from elsewhere."""
        if honest:
            old = max(self.pending, default=0) if mirrored else self.eye.size(ORIGIN)
        proof = merkle.consistency_proof(old, new, tree.read) if old <= new else ()
        note = sign_checkpoint(tree.checkpoint(new), LOG)
        body = request(old, proof, note)
        reply = self.copy.add_checkpoint(body) if mirrored else self.eye.add_checkpoint(body)
        assert reply.status in {200, 400, 409, 422}
        if reply.status == 200 and mirrored:
            assert reply.body == b""
            self.pending[new] = tree
        elif reply.status == 200:
            verify_cosignature(note + reply.body, EYE.key)
            self.signed.append((new, tree.root(0, new)))

    @rule(
        tree=BRANCH,
        start=SIZES,
        end=SIZES,
        honest=st.booleans(),
        cut=st.integers(0, 3000),
        limit=st.sampled_from([0, 1 << 20]),
    )
    @precondition(lambda self: self.pending)
    def send(self, tree: Tree, start: int, end: int, honest: bool, cut: int, limit: int) -> None:
        """Send entries: the right ones, others, or part of them."""
        if honest:
            end = max(self.pending)
            tree = self.pending[end]
            held = self.copy.held(ORIGIN)
            start = min(end, held.next_entry if held else 0)
        if start > end:
            return
        body = build(
            Upload(ORIGIN, start, end),
            entries=lambda first, last: tree.entries[first:last],
            prove=lambda first, last, size: merkle.subtree_proof(first, last, size, tree.read),
            max_bytes=limit,
        )
        reply = self.copy.add_entries(body[: len(body) - cut] if cut and not honest else body)
        assert reply.status in {200, 202, 400, 409, 422}
        if honest:
            assert reply.status in {200, 202}, reply.body
        if reply.status == 200:
            note = self.copy.checkpoint(HASH)
            assert note is not None

    @invariant()
    def one_history_is_signed(self) -> None:
        sizes = [size for size, _ in self.signed]
        assert sizes == sorted(sizes)
        if self.signed:
            size, root = self.signed[-1]
            assert any(
                tree.root(0, size) == root and all(tree.root(0, earlier) == seen for earlier, seen in self.signed)
                for tree in BRANCHES
            )

    @invariant()
    def what_is_signed_for_is_held(self) -> None:
        note = self.copy.checkpoint(HASH)
        if note is None:
            return
        checkpoint, _ = open_checkpoint(note, [LOG.key, COPY.key])
        verify_cosignature(note, COPY.key)
        size = checkpoint.size
        held = [
            entry
            for number in range((size + 255) // 256)
            for entry in decode_bundle(
                self.copy.tile(HASH, entries_path(number, width_at(0, number, size))) or b"",
                width_at(0, number, size),
            )
        ]
        assert Tree(held).root() == checkpoint.root
        assert Tiles(lambda path: self.copy.tile(HASH, path) or b"", size).root() == checkpoint.root


Cosigners.TestCase.settings = settings(max_examples=12, stateful_step_count=20, deadline=None)
TestCosigners = Cosigners.TestCase
