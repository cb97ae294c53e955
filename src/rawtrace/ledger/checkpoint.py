"""Checkpoints of a log and cosignatures on them. Pure.

c2sp.org/tlog-checkpoint@v1.0.0 and c2sp.org/tlog-cosignature@v1.0.1, with the ML-DSA-44 cosignatures of v1.1.0-rc.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rawtrace.errors import ReceiptError
from rawtrace.ledger.encoding import MAX_NUMBER, write_base64
from rawtrace.ledger.keykinds import tree_head
from rawtrace.ledger.merkle import EMPTY_ROOT, HASH
from rawtrace.ledger.note import (
    ED25519_COSIGNATURE,
    NoteSigner,
    Verified,
    VerifierKey,
    read_note,
    sign_note,
    verify_note,
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says it holds.

    Attributes
    ----------
    origin : str
        Which log; not empty, one line.
    size : int
        Number of entries, 0 to 2**63 - 1.
    root : bytes
        Root of the Merkle tree over them.
    extensions : tuple[str, ...]
        Further lines, of which nothing is understood.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_NUMBER or len(self.root) != HASH:
            msg = f"a checkpoint of size {self.size} with a root of {len(self.root)} bytes cannot be"
            raise ReceiptError(msg)
        if self.size == 0 and self.root != EMPTY_ROOT:
            msg = "a checkpoint of an empty log does not have the root of the empty tree"
            raise ReceiptError(msg)
        if not all((self.origin, *self.extensions)) or any("\n" in one for one in (self.origin, *self.extensions)):
            msg = "an origin or an extension of a checkpoint is empty or has more than one line"
            raise ReceiptError(msg)

    @property
    def text(self) -> str:
        """The text of its note."""
        return "\n".join((self.origin, str(self.size), write_base64(self.root), *self.extensions, ""))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note as a checkpoint.

        Raises
        ------
        ReceiptError
        """
        origin, size, root = tree_head(text)
        return cls(origin, size, root, tuple(text.split("\n")[3:-1]))


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A witness or a mirror has signed a checkpoint.

    Attributes
    ----------
    name : str
        The key's name.
    key_id : bytes
    time_s : int
        When, POSIX seconds; 0 if it states no time.
    """

    name: str
    key_id: bytes
    time_s: int


def read_checkpoint(data: bytes) -> Checkpoint:
    """Read the checkpoint of a note whose signatures are checked elsewhere, or not at all.

    Raises
    ------
    ReceiptError
    """
    return Checkpoint.parse(read_note(data).text)


def open_checkpoint(data: bytes, keys: Iterable[VerifierKey]) -> tuple[Checkpoint, tuple[Verified, ...]]:
    """Read a checkpoint that its log has signed with one of ``keys`` (a log's name is its origin).

    Returns
    -------
    tuple[Checkpoint, tuple[Verified, ...]]
        With every signature of the known keys.

    Raises
    ------
    ReceiptError
        Not a checkpoint, a known key's signature does not hold, or none of the log itself is there.
    """
    note = read_note(data)
    checkpoint = Checkpoint.parse(note.text)
    verified = verify_note(note, keys)
    if not any(one.key.name == checkpoint.origin and one.key.kind != ED25519_COSIGNATURE for one in verified):
        msg = f"the checkpoint of {checkpoint.origin} is not signed by a key that is known for that log"
        raise ReceiptError(msg)
    return checkpoint, verified


def sign_checkpoint(checkpoint: Checkpoint, signer: NoteSigner) -> bytes:
    """Make the note of a checkpoint, signed by its log."""
    return sign_note(checkpoint.text, signer)


def cosign(note: bytes, signer: NoteSigner, time_s: int) -> str:
    """Cosign a checkpoint; who signs has checked it before.

    Parameters
    ----------
    note : bytes
        The checkpoint's note.
    signer : NoteSigner
        Of a cosigning kind.
    time_s : int
        Now, POSIX seconds.

    Returns
    -------
    str
        The signature line, with its newline.
    """
    text = read_note(note).text
    Checkpoint.parse(text)
    return signer.signature(text, time_s=time_s).line


def verify_cosignature(note: bytes, key: VerifierKey) -> Cosignature:
    """Check the cosignature of one witness or mirror.

    Raises
    ------
    ReceiptError
        It is not there or does not hold.
    """
    read = read_note(note)
    Checkpoint.parse(read.text)
    for one in verify_note(read, [key]):
        if one.time_s is not None:
            return Cosignature(key.name, key.key_id, one.time_s)
    msg = f"{key.name} has not cosigned the checkpoint"
    raise ReceiptError(msg)
