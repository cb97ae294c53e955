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
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from rawtrace.database import Database, insert_rows, select_among
from rawtrace.errors import Error, LedgerError, LogBusyError, NetworkError
from rawtrace.ledger.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from rawtrace.ledger.entry import SALT
from rawtrace.ledger.guard import Guard, Signed
from rawtrace.ledger.logstore import RECORDS, LogStore, State
from rawtrace.ledger.merkle import EMPTY_ROOT
from rawtrace.ledger.note import NoteSigner, VerifierKey
from rawtrace.ledger.opening import behind, check_guard, check_note, check_stored
from rawtrace.ledger.prover import Prover
from rawtrace.ledger.quorum import Cosigner
from rawtrace.ledger.records import Records, stamp
from rawtrace.ledger.submissions import Accepted, Group, Lookups, Submission, Waiting, prepare
from rawtrace.progress import SILENT, Progress

__all__ = ["Accepted", "Cosigner", "Log", "Submission"]

_RECORD = ("origin", "position", "kind", "added", "lookup", "claim_lookup", "salt", "record")
_QUERY = 500
_RETRY_S = 1.0
_CLOSE_S = 60.0


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
        lookups: Lookups,
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
        self._lookups = lookups
        self._records = Records(store, lookups)
        self._now = now
        self._checked_note = state.signed
        self._prover = Prover(store, state.published_size, state.checkpoint)
        self._signed = state
        self._queue: list[Waiting] = []
        self._unpublished: list[Waiting] = []
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
                    raise behind(origin, 0, known.size)
                empty = sign_checkpoint(Checkpoint(origin, 0, EMPTY_ROOT), signer)
                store.create(connection, checkpoint=empty, secret=secrets.token_bytes(32))
                state = store.state(connection)
            assert state is not None  # noqa: S101  it was made in this transaction
            secret = store.secret(connection)
        check_stored(store, state, signer, progress=progress)
        if keeper is not None:
            check_guard(store, state, keeper, known, new_guard=new_guard)
        if quorum is None and state.published_size < state.size:
            # What an earlier quorum did not reach is published now that none is asked for.
            with database.write() as connection:
                store.publish(connection, state.size, state.signed)
            state = dataclasses.replace(state, published_size=state.size, checkpoint=state.signed)
        if quorum is not None:
            quorum.ask(state.signed, prove=Prover(store, state.size, state.signed).consistency)
        log = cls(
            store,
            signer,
            keeper,
            quorum,
            interval_s=interval_s,
            max_batch=max_batch,
            max_queue=max_queue,
            lookups=Lookups(secret),
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
        group = Group()
        salts = os.urandom(SALT * len(submissions))
        group.items = [
            prepare(one, group, self._lookups, salt=salts[place * SALT : (place + 1) * SALT])
            for place, one in enumerate(submissions)
        ]
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
        return self._records.find(record)

    def find_claim(self, claim: str) -> tuple[int, ...]:
        """Return the indices of the seals whose record names a claim (hex SHA-256); none of erased ones."""
        return self._records.find_claim(claim)

    def receipt(self, index: int) -> bytes:
        """Return the receipt of the record at ``index``, to the newest published checkpoint.

        Raises
        ------
        LedgerError
            There is no such entry, or its record was erased or is not at hand.
        """
        return self._records.receipt(index, self._prover)

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
        return self._records.erase(index)

    def erase_older(self, kind: str, before: datetime) -> int:
        """Delete salts and records of one kind that were added before a time; returns how many."""
        return self._records.erase_older(kind, before)

    def close(self) -> None:
        """Write what waits, and end. Who waits for a quorum still is told that it was not reached."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
        for thread in self._threads:
            thread.join(_CLOSE_S)
        if self._quorum is not None:
            self._quorum.close()
        msg = f"the log {self.origin} was closed before it could acknowledge the record"
        self._fail([*self._take_all()], LedgerError(msg, hint="submit it again: it keeps its place"))

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

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

    def _batches(self) -> Iterator[list[Waiting]]:
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

    def _commit(self, batch: Sequence[Waiting]) -> None:
        with self.store.database.write() as connection:
            state = self.store.state(connection)
            if state is None:
                msg = f"the log {self.origin} is not in its database any more"
                raise LedgerError(msg)
            self._check_note(state)
            places = self._places(connection, [one.lookup for one in batch])
            new: list[Waiting] = []
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

    def _append(self, connection: sa.Connection, state: State, new: Sequence[Waiting]) -> State:
        grown = self.store.integrate(connection, state, [one.entry for one in new])
        added = stamp(self._now())
        rows = [
            (self.origin, position, one.kind, added, one.lookup, one.claim_lookup, one.salt, one.record)
            for position, one in enumerate(new, state.size)
        ]
        insert_rows(connection, RECORDS, _RECORD, rows)
        note = sign_checkpoint(Checkpoint(self.origin, grown.size, grown.root), self._signer)
        grown = dataclasses.replace(grown, signed=note)
        if self._quorum is None:
            grown = dataclasses.replace(grown, published_size=grown.size, checkpoint=note)
        self.store.advance(connection, state, grown)
        return grown

    def _places(self, connection: sa.Connection, lookups: Sequence[bytes]) -> dict[bytes, int]:
        places: dict[bytes, int] = {}
        for start in range(0, len(lookups), _QUERY):
            some = lookups[start : start + _QUERY]
            rows = select_among(connection, RECORDS, ("lookup", "position"), by="lookup", values=some)
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
                self.trouble = error if isinstance(error, Error) else NetworkError(f"the quorum: {error}")
                if isinstance(error, LedgerError):
                    with self._turn:
                        self._stopped = error
                    self._fail(self._take_all(), error)
                    return
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
                self._check_notbehind(said)
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
            raise NetworkError(msg)
        with self.store.database.write() as connection:
            self.store.publish(connection, state.size, note)
        self._prover = prover.at(state.size, note)

    def _accepted(self, one: Waiting, prover: Prover) -> Accepted:
        index = one.index
        if one.fresh:
            return Accepted(index, functools.partial(prover.receipt, index, one.salt, one.entry, one.record))
        return Accepted(index, functools.partial(self.receipt, index))

    def _check_notbehind(self, said: Signed) -> None:
        with self.store.database.read() as connection:
            state = self.store.state(connection)
        if state is None or state.size < said.size:
            raise behind(self.origin, 0 if state is None else state.size, said.size)

    def _take_all(self) -> list[Waiting]:
        with self._turn:
            left, self._queue, self._unpublished = [*self._queue, *self._unpublished], [], []
        return left

    @staticmethod
    def _fail(failed: Sequence[Waiting], error: Error) -> None:
        for group in {id(one.group): one.group for one in failed}.values():
            with contextlib.suppress(InvalidStateError):
                group.future.set_exception(error)
