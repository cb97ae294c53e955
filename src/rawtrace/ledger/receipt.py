"""Receipts: proof, to be checked offline, that a log holds a record (c2sp.org/tlog-proof@v1). Pure.

``extra`` carries what is needed to find the leaf again: the salt (32 bytes),
the length of the entry (2 bytes, big-endian), the entry, the record. The entry
is in it because it names an issuer and a key, which the record does not. None
of it is believed: the entry must commit to salt and record, and the proof must
lead from the entry to the log's signed root.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from rawtrace.errors import ReceiptError
from rawtrace.ledger import merkle
from rawtrace.ledger.encoding import read_base64, read_decimal, read_hash, write_base64
from rawtrace.ledger.entry import MAX_ENTRY, MAX_RECORD, SALT, Entry, commitment, record_kind
from rawtrace.ledger.note import MAX_NOTE
from rawtrace.ledger.policy import Checked, Policy

#: First line of a receipt.
HEADER = "c2sp.org/tlog-proof@v1"
#: What is added to the name of a seal for the file of its receipts.
SUFFIX = ".tlog-proof"
#: Largest file of receipts in bytes, and how many it may hold.
MAX_FILE = 4 << 20
MAX_RECEIPTS = 256

_MAX_EXTRA = SALT + 2 + MAX_ENTRY + MAX_RECORD


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A proof of inclusion with the checkpoint that it leads to; nothing of it is checked yet.

    Attributes
    ----------
    extra : bytes
        As ``pack_extra`` makes it; empty in receipts that others made for other purposes.
    index : int
        Where the entry stands in the log.
    proof : tuple[bytes, ...]
        From the leaf's sibling up.
    checkpoint : bytes
        The signed note, as the log gave it.
    """

    extra: bytes
    index: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    @property
    def text(self) -> str:
        """The receipt as a file."""
        lines = [HEADER]
        if self.extra:
            lines.append(f"extra {write_base64(self.extra)}")
        lines += [f"index {self.index}", *(write_base64(one) for one in self.proof), "", ""]
        return "\n".join(lines) + self.checkpoint.decode()

    def encode(self) -> bytes:
        """Write the receipt as the bytes of a file."""
        return self.text.encode()

    @classmethod
    def parse(cls, text: str | bytes) -> Receipt:
        """Read one receipt.

        Raises
        ------
        ReceiptError
        """
        found = read_receipts(text if isinstance(text, bytes) else text.encode())
        if len(found) != 1:
            msg = f"expected one receipt and found {len(found)}"
            raise ReceiptError(msg)
        return found[0]

    @property
    def salt(self) -> bytes:
        """The salt of the commitment, 32 bytes; ``ReceiptError`` if ``extra`` does not hold one."""
        return _unpack(self.extra)[0]

    @property
    def entry(self) -> bytes:
        """The entry that the log is said to hold; ``ReceiptError`` if ``extra`` does not hold one."""
        return _unpack(self.extra)[1]

    @property
    def record(self) -> bytes:
        """The record that is said to be committed to; ``ReceiptError`` if ``extra`` does not hold one."""
        return _unpack(self.extra)[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedReceipt:
    """A receipt that holds.

    Attributes
    ----------
    checked : Checked
        The checkpoint, who signed it, and when.
    index : int
    entry : Entry
    record : bytes
        The record that the entry commits to.
    """

    checked: Checked
    index: int
    entry: Entry
    record: bytes


def pack_extra(salt: bytes, entry: bytes, record: bytes) -> bytes:
    """Join what a receipt carries beside the proof.

    Raises
    ------
    ReceiptError
        Something is larger than a log takes.
    """
    if len(salt) != SALT or not 0 < len(entry) <= MAX_ENTRY or not 0 < len(record) <= MAX_RECORD:
        msg = f"a salt of {len(salt)}, an entry of {len(entry)} and a record of {len(record)} bytes fit no receipt"
        raise ReceiptError(msg)
    return salt + len(entry).to_bytes(2, "big") + entry + record


def read_receipts(data: bytes) -> tuple[Receipt, ...]:
    """Read the receipts of a file, one after another.

    Raises
    ------
    ReceiptError
        One that cannot be read is enough.
    """
    if len(data) > MAX_FILE:
        msg = f"a file of receipts of {len(data)} bytes; at most {MAX_FILE} are accepted"
        raise ReceiptError(msg)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        msg = "a receipt that is not in UTF-8"
        raise ReceiptError(msg) from None
    pieces = _pieces(text)
    if len(pieces) > MAX_RECEIPTS:
        msg = f"{len(pieces)} receipts in one file; at most {MAX_RECEIPTS} are accepted"
        raise ReceiptError(msg)
    return tuple(_read(piece) for piece in pieces)


def check_receipt(receipt: Receipt, policy: Policy) -> CheckedReceipt:
    """Check a receipt: checkpoint by the policy, entry by the proof, record by the commitment.

    Raises
    ------
    ReceiptError
        It does not hold; the message says why.
    """
    checked = policy.check(receipt.checkpoint)
    salt, encoded, record = _unpack(receipt.extra)
    merkle.verify_inclusion(
        entry_hash=merkle.leaf_hash(encoded),
        index=receipt.index,
        size=checked.checkpoint.size,
        proof=receipt.proof,
        root=checked.checkpoint.root,
    )
    entry = Entry.decode(encoded)
    if not hmac.compare_digest(entry.commitment, commitment(salt, record)):
        msg = f"the entry {receipt.index} of {checked.checkpoint.origin} commits to another record"
        raise ReceiptError(msg)
    if record_kind(record) != entry.kind:
        msg = f"the record is not of the kind {entry.kind} that its entry states"
        raise ReceiptError(msg)
    return CheckedReceipt(checked=checked, index=receipt.index, entry=entry, record=record)


def _pieces(text: str) -> list[str]:
    """Cut a file where a header follows a signature line: a checkpoint ends with those, and nothing else does."""
    starts = [0]
    at = text.find(f"\n{HEADER}\n")
    while at >= 0:
        if text[text.rfind("\n", 0, at) + 1 :].startswith("\u2014 "):
            starts.append(at + 1)
        at = text.find(f"\n{HEADER}\n", at + 1)
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def _read(text: str) -> Receipt:
    head, blank, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or lines[0] != HEADER or len(checkpoint) > MAX_NOTE:
        msg = f"a receipt begins with the line {HEADER} and ends with a checkpoint, and this does not"
        raise ReceiptError(msg)
    extra = b""
    if len(lines) > 1 and lines[1].startswith("extra "):
        extra = read_base64(lines[1].removeprefix("extra "), "the extra line of a receipt")
        del lines[1]
    if len(extra) > _MAX_EXTRA or len(lines) > 2 + merkle.MAX_PROOF:
        msg = "a receipt with a longer extra line, or a longer proof, than any log needs"
        raise ReceiptError(msg)
    if len(lines) < 2 or not lines[1].startswith("index "):
        msg = "a receipt that does not say which entry it is about"
        raise ReceiptError(msg)
    return Receipt(
        extra=extra,
        index=read_decimal(lines[1].removeprefix("index "), "the index of a receipt"),
        proof=tuple(read_hash(line, "a line of the proof") for line in lines[2:]),
        checkpoint=checkpoint.encode(),
    )


def _unpack(extra: bytes) -> tuple[bytes, bytes, bytes]:
    length = int.from_bytes(extra[SALT : SALT + 2], "big")
    salt, entry, record = extra[:SALT], extra[SALT + 2 : SALT + 2 + length], extra[SALT + 2 + length :]
    if not entry or len(entry) != length or not record or len(record) > MAX_RECORD:
        msg = "the extra line of the receipt does not hold a salt, an entry and a record"
        raise ReceiptError(msg)
    return salt, entry, record
