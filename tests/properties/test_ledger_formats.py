"""Whatever the tree and whatever the bytes: proofs agree with RFC 6962, and readers answer with one kind of error."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from notes import Tree, make_receipt, numbered, request, signer, witness
from rawtrace.errors import ReceiptError
from rawtrace.ledger import merkle
from rawtrace.ledger.checkpoint import read_checkpoint
from rawtrace.ledger.entry import Entry
from rawtrace.ledger.note import VerifierKey, read_note, read_signatures
from rawtrace.ledger.policy import Policy
from rawtrace.ledger.receipt import check_receipt, read_receipts
from rawtrace.ledger.tiles import TilePath, decode_bundle, encode_bundle, parse_path

LOG, WITNESS = signer(), witness()
RECEIPT = make_receipt(LOG, (WITNESS, 1_700_000_000))
POLICY_TEXT = f"log {LOG.key.text}\nwitness w {WITNESS.key.text}\ngroup g 1 w\nquorum g\n"
POLICY = Policy.parse(POLICY_TEXT)
TREE, SMALL = Tree(numbered(300)), Tree(numbered(20))


@st.composite
def sizes(draw: st.DrawFn) -> tuple[int, int]:
    new = draw(st.integers(1, 300))
    return draw(st.integers(0, new)), new


@given(sizes())
def test_proofs_hold_and_are_as_short_as_can_be(both: tuple[int, int]) -> None:
    old, new = both
    proof = merkle.consistency_proof(old, new, TREE.read)
    merkle.verify_consistency(old=old, new=new, proof=proof, old_root=TREE.root(0, old), new_root=TREE.root(0, new))
    assert len(proof) <= new.bit_length() + 1
    if old < new:
        proof = merkle.inclusion_proof(old, new, TREE.read)
        merkle.verify_inclusion(entry_hash=TREE.leaves[old], index=old, size=new, proof=proof, root=TREE.root(0, new))
        assert len(proof) <= new.bit_length()


NODES = [SMALL.read(level, index) for level in range(5) for index in range(20 >> level)]


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20), st.lists(st.sampled_from(NODES), max_size=6))
def test_made_up_proofs_hold_only_for_what_is_so(size: int, claimed: int, real: int, proof: list[bytes]) -> None:
    # The size comes with the root, from the checkpoint; all else is made up, out of the tree's own nodes.
    root = SMALL.root(0, size)
    with contextlib.suppress(ReceiptError):
        merkle.verify_inclusion(entry_hash=SMALL.leaves[real % 20], index=claimed, size=size, proof=proof, root=root)
        assert claimed == real % 20
    with contextlib.suppress(ReceiptError):
        merkle.verify_consistency(old=claimed, new=size, proof=proof, old_root=SMALL.root(0, real), new_root=root)
        assert claimed == real


@given(st.integers(0, 63) | st.none(), st.integers(0, (1 << 63) - 1), st.integers(1, 256))
def test_paths_there_and_back(level: int | None, index: int, width: int) -> None:
    tile = TilePath(level, index, width)
    assert parse_path(tile.text) == tile


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_bundles_there_and_back(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries), len(entries)) == tuple(entries)


def _mutated(original: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that are nearly right: a stretch of them replaced."""
    return st.tuples(
        st.integers(0, len(original)),
        st.integers(0, 12),
        st.binary(max_size=12) | st.sampled_from([b"\n", b"\n\n", b" ", b"0", b"=", b"+", b"\xe2\x80\x94 "]),
    ).map(lambda one: original[: one[0]] + one[2] + original[one[0] + one[1] :])


@given(_mutated(RECEIPT.encode()))
def test_a_changed_receipt_is_refused_or_says_the_same(data: bytes) -> None:
    with contextlib.suppress(ReceiptError):
        for receipt in read_receipts(data):
            found = check_receipt(receipt, POLICY)
            assert (found.index, found.record, found.checked.time_s) == (3, RECEIPT.record, 1_700_000_000)


@given(_mutated(RECEIPT.checkpoint) | st.binary(max_size=400))
def test_notes_are_read_in_one_way(data: bytes) -> None:
    with contextlib.suppress(ReceiptError):
        assert read_note(data).encode() == data
    with contextlib.suppress(ReceiptError):
        assert read_note(data).text == read_checkpoint(data).text
    with contextlib.suppress(ReceiptError, UnicodeDecodeError):
        read_signatures(data.decode())


@given(_mutated(POLICY_TEXT.encode()))
def test_a_policy_that_is_read_means_what_it_writes(data: bytes) -> None:
    with contextlib.suppress(ReceiptError):
        assert Policy.parse(Policy.parse(data).text) == Policy.parse(data)


@given(_mutated(LOG.key.text.encode()))
def test_keys_are_read_in_one_way(data: bytes) -> None:
    with contextlib.suppress(ReceiptError, UnicodeDecodeError):
        assert VerifierKey.parse(data.decode()).text == data.decode()


@given(_mutated(RECEIPT.entry))
def test_entries_are_read_in_one_way(data: bytes) -> None:
    with contextlib.suppress(ReceiptError):
        assert Entry.decode(data).encode() == data


def test_the_request_helper_writes_what_the_specification_shows() -> None:
    assert request(5, [bytes(32)], b"note\n") == b"old 5\n" + b"A" * 43 + b"=\n\nnote\n"
