"""The Merkle tree of RFC 6962 with SHA-256: roots, proofs, and checking them. Pure.

A *read* function ``read(level, index)`` gives the hash of the complete subtree
over the leaves from ``index * 2**level`` to ``(index + 1) * 2**level``.

Inclusion and consistency are two cases of one proof, that of a subtree
(draft-ietf-plants-merkle-tree-certs §4.4): an entry is the subtree of one leaf,
an older tree is the subtree that begins at zero. The subtree's proof itself is
what a mirror checks for each package of entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

from rawtrace.errors import ReceiptError
from rawtrace.ledger.encoding import MAX_NUMBER

#: Bytes of a hash.
HASH = 32
#: Root of the tree without leaves.
EMPTY_ROOT = hashlib.sha256(b"").digest()
#: No proof is longer than this: a tree has at most 2**63 leaves.
MAX_PROOF = 63

Read = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees as the node above them."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Return the root over ``hashes``, left to right: leaves, or complete subtrees of one size."""
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0] if level else EMPTY_ROOT


def subtree_hash(start: int, end: int, read: Read) -> bytes:
    """Return the root over the leaves ``[start, end)``, which must be a subtree as ``is_subtree`` tells."""
    if start == end == 0:
        return EMPTY_ROOT
    found = [read(level, index) for level, index in _complete(start, end)]
    result = found.pop()
    while found:
        result = node_hash(found.pop(), result)
    return result


def is_subtree(start: int, end: int) -> bool:
    """Tell whether ``[start, end)`` stands as a node of its own in trees that hold it."""
    if not 0 <= start < end <= MAX_NUMBER:
        return False
    length = end - start
    return start % (1 << (length - 1).bit_length()) == 0


def inclusion_proof(index: int, size: int, read: Read) -> tuple[bytes, ...]:
    """Return the proof that the leaf at ``index`` is in the tree of ``size`` leaves.

    Raises
    ------
    ReceiptError
        There is no such leaf.
    """
    if not 0 <= index < size:
        msg = f"there is no entry {index} in a log of {size}"
        raise ReceiptError(msg)
    return subtree_proof(index, index + 1, size, read)


def consistency_proof(old: int, new: int, read: Read) -> tuple[bytes, ...]:
    """Return the proof that the tree of ``new`` leaves begins with the one of ``old``; empty for 0 and for equals.

    Raises
    ------
    ReceiptError
        ``old`` is larger than ``new``.
    """
    if not 0 <= old <= new:
        msg = f"a log of {new} entries cannot continue one of {old}"
        raise ReceiptError(msg)
    return () if old == 0 else subtree_proof(0, old, new, read)


def subtree_proof(start: int, end: int, size: int, read: Read) -> tuple[bytes, ...]:
    """Return the proof that the subtree ``[start, end)`` is in the tree of ``size`` leaves.

    Raises
    ------
    ReceiptError
        It is no subtree, or not within the tree.
    """
    if not is_subtree(start, end) or end > size:
        msg = f"the entries from {start} to {end} are no subtree of a log of {size}"
        raise ReceiptError(msg)
    proof: list[bytes] = []
    low, high, known = 0, size, True
    while (low, high) != (start, end):
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if end <= middle:
            proof.append(subtree_hash(middle, high, read))
            high = middle
        else:
            proof.append(subtree_hash(low, middle, read))
            # Where the subtree lies across, its left part has just been named, and its right part goes on.
            if start < middle:
                start, known = middle, False
            low = middle
    if not known:
        proof.append(subtree_hash(low, high, read))
    return tuple(reversed(proof))


def verify_inclusion(*, entry_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf ``entry_hash`` stands at ``index`` in the tree with this ``size`` and ``root``.

    Raises
    ------
    ReceiptError
        It is not proved.
    """
    if not 0 <= index < size <= MAX_NUMBER:
        msg = f"there is no entry {index} in a log of {size}"
        raise ReceiptError(msg)
    if not _leads_to(index, index + 1, size, proof, entry_hash, root):
        msg = f"the proof does not lead from entry {index} to the log's root at size {size}"
        raise ReceiptError(msg)


def verify_consistency(*, old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Check that the tree (``new``, ``new_root``) begins with the tree (``old``, ``old_root``).

    Raises
    ------
    ReceiptError
        It is not proved.
    """
    if not 0 <= old <= new <= MAX_NUMBER:
        msg = f"a log of {new} entries cannot continue one of {old}"
        raise ReceiptError(msg)
    if old == 0:
        holds = not proof and old_root == EMPTY_ROOT and len(new_root) == HASH and (new > 0 or new_root == EMPTY_ROOT)
    else:
        holds = _leads_to(0, old, new, proof, old_root, new_root)
    if not holds:
        msg = f"the proof does not show that the log at size {new} continues the log at size {old}"
        raise ReceiptError(msg)


def verify_subtree(*, start: int, end: int, size: int, proof: Sequence[bytes], node: bytes, root: bytes) -> None:
    """Check that ``node`` is the subtree ``[start, end)`` of the tree with this ``size`` and ``root``.

    Raises
    ------
    ReceiptError
        It is not proved.
    """
    if not is_subtree(start, end) or not end <= size <= MAX_NUMBER:
        msg = f"the entries from {start} to {end} are no subtree of a log of {size}"
        raise ReceiptError(msg)
    if not _leads_to(start, end, size, proof, node, root):
        msg = f"the proof does not show that the entries from {start} to {end} are in the log at size {size}"
        raise ReceiptError(msg)


def _leads_to(start: int, end: int, size: int, proof: Sequence[bytes], node: bytes, root: bytes) -> bool:
    if len(proof) > MAX_PROOF or len(node) != HASH or len(root) != HASH or any(len(one) != HASH for one in proof):
        return False
    first, last, rightmost = start, end - 1, size - 1
    # Climb to the largest complete subtree at the right end of what is to be proved.
    while first != last and (last == rightmost or last & 1):
        first, last, rightmost = first >> 1, last >> 1, rightmost >> 1
    rest = iter(proof)
    seed = node if first == last else next(rest, None)
    if seed is None:
        return False
    smaller = larger = seed
    sha256 = hashlib.sha256
    for one in rest:
        if rightmost == 0:
            return False
        if last & 1 or last == rightmost:
            if first < last:
                smaller = sha256(b"\x01" + one + smaller).digest()
            larger = sha256(b"\x01" + one + larger).digest()
            while not last & 1:
                first, last, rightmost = first >> 1, last >> 1, rightmost >> 1
        else:
            larger = sha256(b"\x01" + larger + one).digest()
        first, last, rightmost = first >> 1, last >> 1, rightmost >> 1
    return rightmost == 0 and smaller == node and larger == root


def _complete(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut ``[start, end)`` into complete subtrees, left to right, as (level, index)."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level
