"""Everything that a log claims, computed anew: entries, tiles, root, signature, records, and what it said before.

1. The checkpoint is one, is signed by the log's key, and names the log that was asked for.
2. Every tile is that of the entries below it, and the signed root is that of all.
3. Each older checkpoint at hand is signed by the same key, and is the beginning of this one.
4. Where records are at hand, each entry commits to its record. An erased one is counted, not a fault.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rawtrace.database import Database
from rawtrace.errors import ReceiptError
from rawtrace.ledger import entry
from rawtrace.ledger.checkpoint import Checkpoint, open_checkpoint, read_checkpoint
from rawtrace.ledger.derive import MAX_FAULTS, Fault, Inspect, Read, derive
from rawtrace.ledger.logstore import RECORDS
from rawtrace.ledger.note import VerifierKey
from rawtrace.ledger.sources import CHECKPOINT
from rawtrace.ledger.tiles import Tiles
from rawtrace.progress import SILENT, Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was found.

    Attributes
    ----------
    origin : str
        Empty where there is no checkpoint that can be read.
    size : int
        Entries that the checkpoint covers.
    root : bytes
    signed : bool
        Whether the signature was checked and holds; ``False`` also where no key was given.
    faults : tuple[Fault, ...]
        In the order of the entries that they concern, at most 100.
    continued : tuple[int, ...]
        Sizes of the older checkpoints that this log continues.
    records : int or None
        Entries whose record was compared; ``None`` where records are not at hand.
    erased : int
        Records that were erased.
    """

    origin: str
    size: int
    root: bytes
    signed: bool
    faults: tuple[Fault, ...]
    continued: tuple[int, ...]
    records: int | None = None
    erased: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.faults


class RecordCheck:
    """Compares entries with the records of a database; made by ``records_of``."""

    def __init__(self, connection: sa.Connection, origin: str) -> None:
        self._connection = connection
        self._origin = origin
        self.compared = 0
        self.erased = 0
        self.faults: list[Fault] = []

    def __call__(self, first: int, entries: Sequence[bytes]) -> None:
        """Compare the records of one bundle."""
        rows = self._connection.execute(
            sa.select(RECORDS.c.position, RECORDS.c.salt, RECORDS.c.record).where(
                RECORDS.c.origin == self._origin,
                RECORDS.c.position >= first,
                RECORDS.c.position < first + len(entries),
            )
        )
        stored = {position: (salt, record) for position, salt, record in rows}
        for place, encoded in enumerate(entries):
            self._one(first + place, encoded, stored.get(first + place))

    def _one(self, index: int, encoded: bytes, stored: tuple[bytes | None, bytes | None] | None) -> None:
        if stored is None:
            self._fault(index, f"the record {index} is missing, and was not erased")
            return
        salt, record = stored
        if salt is None or record is None:
            self.erased += 1
            return
        self.compared += 1
        try:
            said = entry.Entry.decode(encoded)
            found = entry.commitment(bytes(salt), bytes(record))
        except ReceiptError as error:
            self._fault(index, f"the entry {index} or its record cannot be read: {error.message}")
            return
        if not hmac.compare_digest(said.commitment, found):
            self._fault(index, f"the record {index} is not the one that its entry commits to")

    def _fault(self, index: int, message: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(kind="record", index=index, where="record", message=message))


@contextlib.contextmanager
def records_of(database: Database, origin: str) -> Iterator[RecordCheck]:
    """Make the records of a database known to ``audit``."""
    with database.read() as connection:
        yield RecordCheck(connection, origin)


def audit(
    read: Read,
    *,
    key: VerifierKey | None = None,
    older: Sequence[bytes] = (),
    records: RecordCheck | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Check a whole log.

    Parameters
    ----------
    read : callable
        From ``rawtrace.ledger.sources``.
    key : VerifierKey, optional
        The log's; without it nobody's signature is checked, and ``Audit.signed`` is false.
    older : Sequence[bytes]
        Checkpoints (notes) that were seen before.
    records : RecordCheck, optional
    progress : Progress

    Raises
    ------
    NetworkError, RefusedError, UnreadableError
        The log could not be read to its end: that is no fault of it.
    """
    note = read(CHECKPOINT)
    try:
        if note is None:
            msg = "there is no checkpoint"
            raise ReceiptError(msg)
        checkpoint = _opened(note, key)
    except ReceiptError as error:
        fault = Fault(kind="checkpoint", index=0, where=CHECKPOINT, message=error.message)
        return Audit(origin="", size=0, root=b"", signed=False, faults=(fault,), continued=())
    inspect: Inspect | None = records
    faults = list(derive(read, size=checkpoint.size, root=checkpoint.root, inspect=inspect, progress=progress))
    continued = []
    for one in older:
        fault_of, size = _continues(read, checkpoint, one, key)
        if fault_of is None:
            continued.append(size)
        else:
            faults.append(fault_of)
    faults += records.faults if records is not None else []
    return Audit(
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root,
        signed=key is not None,
        faults=tuple(sorted(faults, key=lambda fault: fault.index)[:MAX_FAULTS]),
        continued=tuple(continued),
        records=None if records is None else records.compared,
        erased=0 if records is None else records.erased,
    )


def _opened(note: bytes, key: VerifierKey | None) -> Checkpoint:
    if key is None:
        return read_checkpoint(note)
    checkpoint, _ = open_checkpoint(note, [key])
    if checkpoint.origin != key.name:
        msg = f"the checkpoint is that of {checkpoint.origin}, not of {key.name}"
        raise ReceiptError(msg)
    return checkpoint


def _continues(read: Read, now: Checkpoint, note: bytes, key: VerifierKey | None) -> tuple[Fault | None, int]:
    """Tell whether the log at ``now`` begins with the one of an older checkpoint."""

    def fault(index: int, message: str) -> tuple[Fault, int]:
        return Fault(kind="checkpoint", index=index, where=CHECKPOINT, message=message), index

    try:
        before = _opened(note, key)
    except ReceiptError as error:
        return fault(0, f"the older checkpoint is not good: {error.message}")
    if before.origin != now.origin:
        return fault(0, f"the older checkpoint is that of {before.origin}, not of {now.origin}")
    if before.size > now.size:
        said = f"the log has {now.size} entries and has signed {before.size} before: it was turned back"
        return fault(now.size, said)
    try:
        root = Tiles(_demanding(read), now.size).root(before.size)
    except ReceiptError as error:
        return fault(before.size, f"the tree of {before.size} entries cannot be had: {error.message}")
    if root != before.root:
        said = f"the log has signed another tree of {before.size} entries before than the one that it shows now"
        return fault(before.size, said)
    return None, before.size


def _demanding(read: Read) -> Callable[[str], bytes]:
    def found(path: str) -> bytes:
        data = read(path)
        if data is None:
            msg = f"{path} is missing"
            raise ReceiptError(msg)
        return data

    return found
