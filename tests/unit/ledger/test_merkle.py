"""Proofs that must not pass, and roots as RFC 6962 defines them."""

from __future__ import annotations

import hashlib

import pytest

from notes import Tree, numbered
from rawtrace.errors import ReceiptError
from rawtrace.ledger import merkle

SIZES = [1, 2, 3, 4, 5, 7, 8, 11, 16, 33]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(numbered(40))


def _inclusion(tree: Tree, index: int, size: int, /, **changed: object) -> None:
    given: dict[str, object] = {
        "entry_hash": tree.leaves[index],
        "index": index,
        "size": size,
        "proof": merkle.inclusion_proof(index, size, tree.read),
        "root": tree.root(0, size),
    }
    merkle.verify_inclusion(**given | changed)  # type: ignore[arg-type]


def _consistency(tree: Tree, old: int, new: int, /, **changed: object) -> None:
    given: dict[str, object] = {
        "old": old,
        "new": new,
        "proof": merkle.consistency_proof(old, new, tree.read),
        "old_root": tree.root(0, old),
        "new_root": tree.root(0, new),
    }
    merkle.verify_consistency(**given | changed)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
def test_nothing_changed_passes_and_each_change_fails(tree: Tree, size: int) -> None:
    for index in range(size):
        _inclusion(tree, index, size)
        proof = merkle.inclusion_proof(index, size, tree.read)
        wrong: list[dict[str, object]] = [
            {"proof": (*proof, bytes(32))},
            {"proof": (*proof, tree.root(0, size))},
            {"proof": (tree.leaves[index], *proof)},
            {"entry_hash": tree.leaves[index + 1]},
            {"entry_hash": b""},
            {"root": tree.root(0, size + 1)},
            {"root": b""},
            {"index": size},
            {"index": -1},
            {"index": index + (1 << 63)},
            {"size": 0},
            {"size": 1 << 63},
        ]
        wrong += [{"proof": proof[:at] + proof[at + 1 :]} for at in range(len(proof))]
        wrong += [{"proof": (*proof[:at], bytes(32), *proof[at + 1 :])} for at in range(len(proof))]
        wrong += [{"proof": (*proof[:at], proof[at][:31], *proof[at + 1 :])} for at in range(len(proof))]
        if index ^ 1 < size:
            wrong.append({"index": index ^ 1})
        for changed in wrong:
            with pytest.raises(ReceiptError):
                _inclusion(tree, index, size, **changed)


@pytest.mark.parametrize("new", SIZES)
def test_consistency_passes_as_it_is_and_fails_with_each_change(tree: Tree, new: int) -> None:
    for old in range(1, new + 1):
        _consistency(tree, old, new)
        proof = merkle.consistency_proof(old, new, tree.read)
        wrong: list[dict[str, object]] = [
            {"proof": (*proof, bytes(32))},
            {"proof": (*proof, tree.root(0, new))},
            {"proof": (tree.root(0, old), *proof)},
            {"old_root": tree.root(0, old + 1)},
            {"new_root": tree.root(0, new + 1)},
            {"old": new + 1},
            {"old": -1},
            {"old": 0},
        ]
        wrong += [{"proof": proof[:at] + proof[at + 1 :]} for at in range(len(proof))]
        wrong += [{"proof": (*proof[:at], bytes(32), *proof[at + 1 :])} for at in range(len(proof))]
        if old < new:
            wrong.append({"proof": ()})
        for changed in wrong:
            with pytest.raises(ReceiptError):
                _consistency(tree, old, new, **changed)


def test_rules_of_the_empty_tree(tree: Tree) -> None:
    empty = hashlib.sha256(b"").digest()
    assert empty == merkle.EMPTY_ROOT == tree.root(0, 0) == merkle.root_of([])
    _consistency(tree, 0, 0)
    _consistency(tree, 0, 5)
    for changed in ({"proof": (bytes(32),)}, {"old_root": bytes(32)}, {"new_root": b"short"}):
        with pytest.raises(ReceiptError):
            _consistency(tree, 0, 5, **changed)
    with pytest.raises(ReceiptError):
        _consistency(tree, 0, 0, new_root=tree.root(0, 1))


def test_a_node_is_no_leaf(tree: Tree) -> None:
    # The tree of two leaves, offered as a tree of one leaf whose entry is the two hashes.
    forged = tree.leaves[0] + tree.leaves[1]
    with pytest.raises(ReceiptError):
        merkle.verify_inclusion(entry_hash=merkle.leaf_hash(forged), index=0, size=1, proof=(), root=tree.root(0, 2))
    # And the inner node itself, in a tree that is said to be half as large.
    proof = merkle.inclusion_proof(0, 4, tree.read)[1:]
    with pytest.raises(ReceiptError):
        merkle.verify_inclusion(entry_hash=merkle.leaf_hash(forged), index=0, size=2, proof=proof, root=tree.root(0, 4))


def test_a_proof_longer_than_any_tree_is_high_is_not_even_computed(tree: Tree) -> None:
    with pytest.raises(ReceiptError):
        _inclusion(tree, 0, 1, proof=(bytes(32),) * 64, size=(1 << 63) - 1)


def test_proofs_that_cannot_be_are_not_made(tree: Tree) -> None:
    for index, size in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ReceiptError):
            merkle.inclusion_proof(index, size, tree.read)
    for old, new in ((4, 3), (-1, 3)):
        with pytest.raises(ReceiptError):
            merkle.consistency_proof(old, new, tree.read)
    for start, end in ((1, 3), (2, 7), (3, 3), (0, 9), (-4, 0)):
        with pytest.raises(ReceiptError):
            merkle.subtree_proof(start, end, 8, tree.read)


@pytest.mark.parametrize("size", SIZES)
def test_every_subtree_is_proved_and_no_other_passes(tree: Tree, size: int) -> None:
    for start in range(size):
        for end in range(start + 1, size + 1):
            if not merkle.is_subtree(start, end):
                continue
            given: dict[str, object] = {
                "start": start,
                "end": end,
                "size": size,
                "proof": merkle.subtree_proof(start, end, size, tree.read),
                "node": tree.root(start, end),
                "root": tree.root(0, size),
            }
            merkle.verify_subtree(**given)  # type: ignore[arg-type]
            proof = merkle.subtree_proof(start, end, size, tree.read)
            for changed in (
                {"node": tree.root(start, end + 1)},
                {"root": tree.root(0, size + 1)},
                {"proof": (*proof, bytes(32))},
                *({"proof": proof[:at] + proof[at + 1 :]} for at in range(len(proof))),
            ):
                with pytest.raises(ReceiptError):
                    merkle.verify_subtree(**given | changed)  # type: ignore[arg-type]
