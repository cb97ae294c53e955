"""The only writer of a log: many records in one transaction, signed when they are durable, acknowledged after that.

The order, for each batch:

1. In one transaction: entries, tiles, records; then everything is read back and
   the root is computed from it; then the checkpoint is signed and stored. ``COMMIT``.
2. The guard takes size and root, durably (``rawtrace.ledger.guard``).
3. Where a quorum is asked for: witnesses and mirrors cosign, and the cosigned
   checkpoint is stored as published.
4. The submitters are told.

What dies on the way was not acknowledged. If it was committed it stays, and
submitting it again finds it: a record has one index for ever.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hmac
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import sqlalchemy as sa

from rawtrace.database import Database
from rawtrace.errors import Error, LedgerError, LogBusyError, ReceiptError
from rawtrace.ledger import entry
from rawtrace.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from rawtrace.ledger.derive import derive
from rawtrace.ledger.guard import Guard, Signed
from rawtrace.ledger.logstore import RECORDS, LogStore, State
from rawtrace.ledger.merkle import EMPTY_ROOT
from rawtrace.ledger.note import NoteSigner, VerifierKey
from rawtrace.ledger.prover import Prover
from rawtrace.ledger.tiles import WIDTH, decode_bundle, entries_path, width_at
from rawtrace.progress import SILENT, Progress

_SELECT_PLACES = sa.select(RECORDS.c.lookup, RECORDS.c.position).where(
    RECORDS.c.lookup.in_(sa.bindparam("lookups", expanding=True))
)
_INSERT_RECORDS = sa.insert(RECORDS)
_SEAL = "seal"
_LOOKUP = 16
_QUERY = 500
_RETRY_S = 1.0
_CLOSE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A record to be logged.

    Attributes
    ----------
    kind : str
        As the record says itself.
    issuer, key : str
        Who answers for it, and the id of the key that signed what it is about; see ``entry.Entry``.
    record : bytes
        Canonical JSON, at most 60,000 bytes.
    claim : str
        What ``find_claim`` finds it by; taken from the record of a seal where empty.
    canonical : bool
        Whether ``of`` has made the record, so that nobody need look again.
    """

    kind: str
    issuer: str
    key: str
    record: bytes
    claim: str = ""
    canonical: bool = dataclasses.field(default=False, repr=False, compare=False)

    @classmethod
    def of(cls, kind: str, content: Mapping[str, Any], *, issuer: str, key: str) -> Submission:
        """Make a record of ``content``, with ``kind`` and ``v`` added.

        Raises
        ------
        ReceiptError
            It cannot be written as JSON, or is longer than 60,000 bytes.
        """
        record = entry.canonical({**content, "kind": kind, "v": entry.VERSION})
        if len(record) > entry.MAX_RECORD:
            msg = f"a record of {len(record)} bytes; a log takes at most {entry.MAX_RECORD}"
            raise ReceiptError(msg)
        claim = str(content.get("claim", "")) if kind == _SEAL else ""
        return cls(kind=kind, issuer=issuer, key=key, record=record, claim=claim, canonical=True)


class Accepted:
    """A record that is in the log for good.

    Attributes
    ----------
    index : int
    """

    __slots__ = ("_make", "index")

    def __init__(self, index: int, make: Callable[[], bytes]) -> None:
        self.index = index
        self._make = make

    @property
    def receipt(self) -> bytes:
        """The receipt, made when it is asked for.

        Raises
        ------
        LedgerError
            The record was erased.
        """
        return self._make()

    def __repr__(self) -> str:
        return f"Accepted(index={self.index})"


class Cosigner(Protocol):
    """Whoever gets a checkpoint cosigned."""

    def collect(
        self,
        checkpoint: bytes,
        old_size: int,
        proof: Sequence[bytes],
        *,
        prove: Callable[[int], Sequence[bytes]],
    ) -> bytes:
        """Return the checkpoint's note with the cosignatures of a quorum.

        Parameters
        ----------
        checkpoint : bytes
            Note, signed by the log.
        old_size : int
            Size of the checkpoint that was published last.
        proof : Sequence[bytes]
            Consistency proof from ``old_size``.
        prove : callable
            Gives the proof from another size, for a witness that has seen less or more.

        Raises
        ------
        LedgerError, NetworkError
            The quorum is not reached; it is asked again.
        """


@dataclass(slots=True)
class _Waiting:
    """A submitted record: prepared, then at an index, then told."""

    kind: str
    lookup: bytes
    claim_lookup: bytes | None
    entry: bytes
    salt: bytes
    record: bytes
    group: _Group
    index: int = -1
    fresh: bool = False


class _Group:
    """Records that were submitted together: their future has a result when all of them have one."""

    __slots__ = ("future", "items", "left")

    def __init__(self) -> None:
        self.future: Future[tuple[Accepted, ...]] = Future()
        self.items: list[_Waiting] = []
        self.left = 0


class Log:
    """A log, open for writing; made by ``Log.open``. Safe to share between threads."""

    def __init__(
        self,
        store: LogStore,
        signer: NoteSigner,
        guard: Guard | None,
        quorum: Cosigner | None,
        *,
        interval_s: float,
        max_batch: int,
        max_queue: int,
        secret: bytes,
        state: State,
        now: Callable[[], datetime],
    ) -> None:
        self.origin = store.origin
        self.store = store
        self._signer = signer
        self._guard = guard
        self._quorum = quorum
        self._interval_s = interval_s
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._secret = secret
        self._now = now
        self._checked_note = state.signed
        self._prover = Prover(store, state.published_size, state.checkpoint)
        self._signed = state
        self._queue: list[_Waiting] = []
        self._unpublished: list[_Waiting] = []
        self._turn = threading.Condition()
        self._closing = False
        self._stopped: Error | None = None
        self.trouble: Error | None = None
        """Why the last attempt to commit or to publish failed; ``None`` when all is well."""
        self._threads = [threading.Thread(target=self._write_loop, name="rawtrace-log", daemon=True)]
        if quorum is not None:
            self._threads.append(threading.Thread(target=self._publish_loop, name="rawtrace-log-quorum", daemon=True))

    @classmethod
    def open(
        cls,
        database: Database,
        *,
        origin: str,
        signer: NoteSigner,
        guard: Path | None = None,
        quorum: Cosigner | None = None,
        interval_s: float = 0.02,
        max_batch: int = 4096,
        max_queue: int = 16_384,
        new_guard: bool = False,
        progress: Progress = SILENT,
        now: Callable[[], datetime] | None = None,
    ) -> Log:
        """Open a log, or begin one where there is none; checks all that is stored before it returns.

        Parameters
        ----------
        database : Database
        origin : str
            The log's name, also that of its key.
        signer : NoteSigner
            Plain Ed25519.
        guard : Path, optional
            File apart from the database; see ``rawtrace.ledger.guard``.
        quorum : Cosigner, optional
            Without one a checkpoint is published when the log has signed it.
        interval_s : float
            How long a batch waits for company, seconds.
        max_batch : int
            Records in one transaction.
        max_queue : int
            Records that may wait; more are refused.
        new_guard : bool
            The guard may be missing though the log has entries: whoever says so has asked its witnesses.
        progress : Progress
        now : callable, optional
            The clock, UTC.

        Raises
        ------
        LedgerError
            What is stored is damaged, was not signed by ``signer``, or is older than what was signed last.
        """
        if signer.name != origin or signer.key.is_cosigner:
            msg = f"the key of the log {origin} is named {signer.name}, or is not one that signs checkpoints"
            raise LedgerError(msg)
        store = LogStore(database, origin)
        store.prepare()
        keeper = None if guard is None else Guard(guard, origin)
        known = None if keeper is None else keeper.read()
        with database.write() as connection:
            state = store.state(connection)
            if state is None:
                if known is not None:
                    raise _behind(origin, 0, known.size)
                empty = sign_checkpoint(Checkpoint(origin, 0, EMPTY_ROOT), signer)
                store.create(connection, checkpoint=empty, secret=secrets.token_bytes(32))
                state = store.state(connection)
            assert state is not None  # noqa: S101  it was made in this transaction
            secret = store.secret(connection)
        check_stored(store, state, signer, progress=progress)
        if keeper is not None:
            _check_guard(store, state, keeper, known, new_guard=new_guard)
        log = cls(
            store,
            signer,
            keeper,
            quorum,
            interval_s=interval_s,
            max_batch=max_batch,
            max_queue=max_queue,
            secret=secret,
            state=state,
            now=now or (lambda: datetime.now(UTC)),
        )
        for thread in log._threads:
            thread.start()
        return log

    @property
    def key(self) -> VerifierKey:
        """What checkpoints of this log are verified with."""
        return self._signer.key

    @property
    def size(self) -> int:
        """Entries that the published checkpoint covers."""
        return self._prover.size

    def checkpoint(self) -> bytes:
        """Return the published checkpoint."""
        return self._prover.checkpoint

    def tile(self, path: str) -> bytes | None:
        """Return a tile or a bundle of entries as the published log serves it, ``None`` where there is none."""
        return self.store.read(path, size=self._prover.size)

    def submit(self, submission: Submission) -> Future[Accepted]:
        """Hand in one record; the future has a result when it is durable and published.

        Raises
        ------
        LogBusyError
            Too many wait already.
        LedgerError
            The log was closed, or stopped because it is damaged.
        ReceiptError
            Not a record.
        """
        single: Future[Accepted] = Future()

        def pass_on(done: Future[tuple[Accepted, ...]]) -> None:
            with contextlib.suppress(InvalidStateError):
                if error := done.exception():
                    single.set_exception(error)
                else:
                    single.set_result(done.result()[0])

        self.submit_many([submission]).add_done_callback(pass_on)
        return single

    def submit_many(self, submissions: Sequence[Submission]) -> Future[tuple[Accepted, ...]]:
        """Hand in records together; as ``submit``, with the results in their order."""
        group = _Group()
        group.items = [self._prepare(one, group) for one in submissions]
        group.left = len(group.items)
        if not group.items:
            group.future.set_result(())
            return group.future
        with self._turn:
            if self._stopped is not None:
                raise self._stopped
            if self._closing:
                msg = f"the log {self.origin} was closed"
                raise LedgerError(msg)
            waiting = len(self._queue) + len(self._unpublished)
            if waiting + len(group.items) > self._max_queue:
                msg = f"the log {self.origin} has {waiting} records waiting, and takes no more just now"
                raise LogBusyError(msg)
            self._queue += group.items
            self._turn.notify_all()
        return group.future

    def find(self, record: bytes) -> int | None:
        """Return the index of a record, ``None`` if it was never logged; erased ones are found, too."""
        with self.store.database.read() as connection:
            found: int | None = connection.execute(
                sa.select(RECORDS.c.position).where(RECORDS.c.lookup == self._lookup(record))
            ).scalar()
        return found

    def find_claim(self, claim: str) -> tuple[int, ...]:
        """Return the indices of the seals whose record names a claim (hex SHA-256); none of erased ones."""
        wanted = sa.and_(RECORDS.c.origin == self.origin, RECORDS.c.claim_lookup == self._claim_lookup(claim))
        with self.store.database.read() as connection:
            return tuple(
                connection.execute(sa.select(RECORDS.c.position).where(wanted).order_by(RECORDS.c.position)).scalars()
            )

    def receipt(self, index: int) -> bytes:
        """Return the receipt of the record at ``index``, to the newest published checkpoint.

        Raises
        ------
        LedgerError
            There is no such entry, or its record was erased or is not at hand.
        """
        prover = self._prover
        if not 0 <= index < prover.size:
            msg = f"there is no entry {index} in the log {self.origin}, which has {prover.size}"
            raise LedgerError(msg)
        with self.store.database.read() as connection:
            row = connection.execute(
                sa.select(RECORDS.c.salt, RECORDS.c.record).where(
                    RECORDS.c.origin == self.origin, RECORDS.c.position == index
                )
            ).first()
            number = index // WIDTH
            path = entries_path(number, width_at(0, number, prover.size))
            bundle = self.store.read_in(connection, path, size=prover.size)
        if row is None or row.record is None or bundle is None:
            msg = f"the record {index} of the log {self.origin} was erased, or is not at hand"
            raise LedgerError(msg, hint="receipts that were given out before still hold")
        entries = decode_bundle(bundle, width_at(0, number, prover.size))
        return prover.receipt(index, bytes(row.salt), entries[index % WIDTH], bytes(row.record))

    def erase(self, index: int) -> bool:
        """Delete salt and record at ``index``; the tree and everybody else's receipts stay as they are.

        Returns
        -------
        bool
            Whether there was something to delete.

        Raises
        ------
        LedgerError
            There is no such record.
        """
        with self.store.database.write() as connection:
            there = sa.and_(RECORDS.c.origin == self.origin, RECORDS.c.position == index)
            erased = _erase(connection, there)
            if not erased and connection.execute(sa.select(RECORDS.c.position).where(there)).first() is None:
                msg = f"there is no record {index} in the log {self.origin}"
                raise LedgerError(msg)
        return bool(erased)

    def erase_older(self, kind: str, before: datetime) -> int:
        """Delete salts and records of one kind that were added before a time; returns how many."""
        limit = _stamp(before)
        chosen = sa.and_(RECORDS.c.origin == self.origin, RECORDS.c.kind == kind, RECORDS.c.added < limit)
        with self.store.database.write() as connection:
            return _erase(connection, chosen)

    def close(self) -> None:
        """Write what waits, and end. Who waits for a quorum still is told that it was not reached."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        for thread in self._threads:
            thread.join(_CLOSE_S)
        msg = f"the log {self.origin} was closed before it could acknowledge the record"
        self._fail([*self._take_all()], LedgerError(msg, hint="submit it again: it keeps its place"))

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- submitting

    def _prepare(self, submission: Submission, group: _Group) -> _Waiting:
        claim = submission.claim
        if not submission.canonical:
            value = entry.read_canonical(submission.record, what="the record")
            entry.check_version(value, "the record")
            if value.get("kind") != submission.kind:
                msg = f"the record does not say that it is of the kind {submission.kind}"
                raise ReceiptError(msg)
            claim = claim or (str(value.get("claim", "")) if submission.kind == _SEAL else "")
        salt = os.urandom(entry.SALT)
        commitment = entry.commitment(salt, submission.record)
        made = commitment.join(_entry_around(submission.kind, submission.issuer, submission.key)).encode()
        claim_lookup = self._claim_lookup(claim) if claim else None
        lookup = self._lookup(submission.record)
        return _Waiting(submission.kind, lookup, claim_lookup, made, salt, submission.record, group)

    def _lookup(self, record: bytes) -> bytes:
        return hmac.digest(self._secret, record, "sha256")[:_LOOKUP]

    def _claim_lookup(self, claim: str) -> bytes:
        # No record begins like that, so the two kinds of look-up never meet.
        return self._lookup(b"claim " + claim.encode("utf-8", "surrogatepass"))

    # --- the thread that writes

    def _write_loop(self) -> None:
        for batch in self._batches():
            try:
                self._commit(batch)
                if self._quorum is None:
                    self._release()
            except BaseException as error:  # noqa: BLE001  whoever waits must be told, whatever it was
                told = error if isinstance(error, Error) else LedgerError(f"the log could not write: {error}")
                self.trouble = told
                if isinstance(told, LedgerError):
                    self._stopped = told
                with self._turn:
                    late = self._unpublished if self._quorum is None or self._stopped else []
                    failed = [*batch, *late, *(self._queue if self._stopped else [])]
                    if late:
                        self._unpublished = []
                    if self._stopped:
                        self._queue = []
                self._fail(failed, told)
            else:
                if self._quorum is None:
                    self.trouble = None

    def _batches(self) -> Iterator[list[_Waiting]]:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                if self._interval_s and not self._closing:
                    self._turn.wait_for(
                        lambda: len(self._queue) >= self._max_batch or self._closing, timeout=self._interval_s
                    )
                batch, self._queue = self._queue[: self._max_batch], self._queue[self._max_batch :]
            yield batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        with self.store.database.write() as connection:
            state = self.store.state(connection)
            if state is None:
                msg = f"the log {self.origin} is not in its database any more"
                raise LedgerError(msg)
            self._check_note(state)
            places = self._places(connection, [one.lookup for one in batch])
            new: list[_Waiting] = []
            for one in batch:
                if one.lookup not in places:
                    places[one.lookup] = state.size + len(new)
                    one.fresh = True
                    new.append(one)
            if new:
                state = self._append(connection, state, new)
        # Committed: from here on the entries have their places, whatever happens.
        self._checked_note = state.signed
        with self._turn:
            for one in batch:
                one.index = places[one.lookup]
            self._signed = state
            self._unpublished += batch
            self._turn.notify_all()

    def _append(self, connection: sa.Connection, state: State, new: Sequence[_Waiting]) -> State:
        grown = self.store.integrate(connection, state, [one.entry for one in new])
        added = _stamp(self._now())
        connection.execute(
            _INSERT_RECORDS,
            [
                {
                    "origin": self.origin,
                    "position": state.size + place,
                    "kind": one.kind,
                    "added": added,
                    "lookup": one.lookup,
                    "claim_lookup": one.claim_lookup,
                    "salt": one.salt,
                    "record": one.record,
                }
                for place, one in enumerate(new)
            ],
        )
        note = sign_checkpoint(Checkpoint(self.origin, grown.size, grown.root), self._signer)
        grown = dataclasses.replace(grown, signed=note)
        if self._quorum is None:
            grown = dataclasses.replace(grown, published_size=grown.size, checkpoint=note)
        self.store.advance(connection, state, grown)
        return grown

    def _places(self, connection: sa.Connection, lookups: Sequence[bytes]) -> dict[bytes, int]:
        places: dict[bytes, int] = {}
        for start in range(0, len(lookups), _QUERY):
            rows = connection.execute(_SELECT_PLACES, {"lookups": lookups[start : start + _QUERY]})
            places |= {bytes(lookup): position for lookup, position in rows}
        return places

    def _check_note(self, state: State) -> None:
        """Make sure that what is built upon is what this log's key has signed."""
        if state.signed != self._checked_note:
            check_note(state, self._signer)
            self._checked_note = state.signed

    # --- publishing

    def _publish_loop(self) -> None:
        closing = False
        while not closing:
            with self._turn:
                self._turn.wait_for(lambda: self._closing or self._signed.size > self._prover.size or self._unpublished)
                closing = self._closing
            if closing:
                # What the other thread still writes is published with one last attempt.
                self._threads[0].join(_CLOSE_S)
            try:
                self._release()
            except BaseException as error:  # noqa: BLE001  a quorum that is out of reach today is asked again
                self.trouble = error if isinstance(error, Error) else LedgerError(f"the quorum: {error}")
                with self._turn:
                    self._unpublished = [one for one in self._unpublished if not one.group.future.cancelled()]
                    self._turn.wait_for(lambda: self._closing, timeout=_RETRY_S)
            else:
                self.trouble = None

    def _release(self) -> None:
        """Publish what is committed, and tell those who wait for it."""
        with self._turn:
            state = self._signed
        if self._guard is not None:
            said = self._guard.raise_to(Signed(state.size, state.root))
            if said.size > state.size:
                self._check_not_behind(said)
        if self._quorum is not None and (state.size > self._prover.size or not self._prover.checkpoint):
            self._publish(self._quorum, state)
        elif self._quorum is None:
            self._prover = self._prover.at(state.published_size, state.checkpoint)
        prover = self._prover
        with self._turn:
            ready = [one for one in self._unpublished if one.index < prover.size]
            self._unpublished = [one for one in self._unpublished if one.index >= prover.size]
        for one in ready:
            one.group.left -= 1
            if one.group.left == 0:
                accepted = tuple(self._accepted(item, prover) for item in one.group.items)
                with contextlib.suppress(InvalidStateError):
                    one.group.future.set_result(accepted)

    def _publish(self, quorum: Cosigner, state: State) -> None:
        prover = self._prover.at(state.size, state.signed)
        old = self._prover.size
        note = quorum.collect(state.signed, old, prover.consistency(old), prove=prover.consistency)
        # What comes back goes into every receipt: it must be our own checkpoint still.
        checkpoint, _ = open_checkpoint(note, [self._signer.key])
        if (checkpoint.size, checkpoint.root) != (state.size, state.root):
            msg = f"the quorum cosigned another checkpoint than that of the log {self.origin}"
            raise LedgerError(msg)
        with self.store.database.write() as connection:
            self.store.publish(connection, state.size, note)
        self._prover = prover.at(state.size, note)

    def _accepted(self, one: _Waiting, prover: Prover) -> Accepted:
        index = one.index
        if one.fresh:
            return Accepted(index, lambda: prover.receipt(index, one.salt, one.entry, one.record))
        return Accepted(index, lambda: self.receipt(index))

    def _check_not_behind(self, said: Signed) -> None:
        with self.store.database.read() as connection:
            state = self.store.state(connection)
        if state is None or state.size < said.size:
            raise _behind(self.origin, 0 if state is None else state.size, said.size)

    def _take_all(self) -> list[_Waiting]:
        with self._turn:
            left, self._queue, self._unpublished = [*self._queue, *self._unpublished], [], []
        return left

    @staticmethod
    def _fail(failed: Sequence[_Waiting], error: Error) -> None:
        for group in {id(one.group): one.group for one in failed}.values():
            with contextlib.suppress(InvalidStateError):
                group.future.set_exception(error)


@functools.lru_cache(maxsize=1024)
def _entry_around(kind: str, issuer: str, key: str) -> tuple[str, str]:
    """Return what stands before and after the commitment in an entry: checked and written once, for it is always so."""
    blank = "0" * 64
    before, after = (
        entry.Entry(kind=kind, issuer=issuer, key=key, commitment=blank).encode().decode().split(f'"{blank}"', 1)
    )
    return f'{before}"', f'"{after}'


def check_note(state: State, signer: NoteSigner) -> None:
    """Make sure that the stored checkpoint is signed by the log's key and is that of the stored tree.

    Raises
    ------
    LedgerError
    """
    try:
        checkpoint, _ = open_checkpoint(state.signed, [signer.key])
    except ReceiptError as error:
        msg = f"the stored checkpoint of the log {signer.name} is not good: {error.message}"
        raise LedgerError(msg, hint="is this the key that the log was begun with?") from error
    if (checkpoint.origin, checkpoint.size, checkpoint.root) != (signer.name, state.size, state.root):
        msg = f"the stored checkpoint of the log {signer.name} is not that of the stored tree"
        raise LedgerError(msg, hint="run `rawtrace log audit`")


def check_stored(store: LogStore, state: State, signer: NoteSigner, *, progress: Progress = SILENT) -> None:
    """Check everything that is stored: each entry, each tile, the root, the signature.

    Raises
    ------
    LedgerError
        Names the first fault.
    """
    check_note(state, signer)
    with store.database.read() as connection:
        faults = derive(
            lambda path: store.read_in(connection, path, size=state.size),
            size=state.size,
            root=state.root,
            progress=progress,
        )
    if faults:
        msg = f"the log {store.origin} is damaged: {faults[0].message}"
        raise LedgerError(msg, hint="bring it back from a mirror or a backup; `rawtrace log audit` names every fault")


def _check_guard(store: LogStore, state: State, guard: Guard, known: Signed | None, *, new_guard: bool) -> None:
    if known is None:
        if state.size and not new_guard:
            msg = f"the guard {guard.path} of the log {store.origin} is missing, and the log has {state.size} entries"
            hint = "if no witness has seen a larger tree, begin a new guard: rawtrace log append --new-guard"
            raise LedgerError(msg, hint=hint)
        guard.create(Signed(state.size, state.root))
        return
    if known.size > state.size:
        raise _behind(store.origin, state.size, known.size)
    if Prover(store, state.size, state.signed).root(known.size) != known.root:
        msg = f"the log {store.origin} has signed another tree of {known.size} entries than the one that is stored"
        raise LedgerError(msg, hint="this is another database than the one that the log was last signed from")


def _behind(origin: str, stored: int, signed: int) -> LedgerError:
    msg = f"the database of the log {origin} holds {stored} entries, and {signed} have been signed: it is an older copy"
    hint = "bring the missing entries back first: rawtrace log restore DIR MIRROR-URL|EXPORTED-FOLDER"
    return LedgerError(msg, hint=hint)


def _erase(connection: sa.Connection, chosen: sa.ColumnElement[bool]) -> int:
    done = connection.execute(
        sa.update(RECORDS)
        .where(chosen, RECORDS.c.record.is_not(None))
        .values(salt=None, record=None, claim_lookup=None)
    )
    return int(done.rowcount)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
