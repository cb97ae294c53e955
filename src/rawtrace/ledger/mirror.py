"""Holding other people's logs (c2sp.org/tlog-mirror, draft at commit 5ba5ee8): who signs here has the entries.

A checkpoint comes first and is only *pending*; then the entries come, each
package proved to be part of it before it is stored. The mirror signs in a
second transaction, after the one with the entries is on the disk, and only the
root that it computes from what it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rawtrace.database import METADATA, Database, upsert
from rawtrace.errors import LedgerError, ReceiptError
from rawtrace.ledger import logstore, merkle
from rawtrace.ledger.addentries import INFO_TYPE, MAX_PACKAGES, Info, Package, UploadReader
from rawtrace.ledger.checkpoint import Checkpoint
from rawtrace.ledger.logstore import LogStore, State
from rawtrace.ledger.note import NoteSigner, VerifierKey, read_note, verify_note
from rawtrace.ledger.tiles import WIDTH, Tiles, decode_bundle, entries_path
from rawtrace.ledger.witness import TABLES as SEEN_TABLES
from rawtrace.ledger.witness import Keys, Reply, Seen, Views, cosigner_id, origin_hash, require_cosigner

#: Pending checkpoints that entries may be sent for.
_KEPT = 64
#: Entries that may be sent although they are here already.
_MAX_EXCESS = MAX_PACKAGES * WIDTH

PENDING = sa.Table(
    "log_pending",
    METADATA,
    sa.Column("mirror", sa.Text, primary_key=True),
    sa.Column("origin", sa.Text, primary_key=True),
    sa.Column("size", sa.BigInteger, primary_key=True),
    sa.Column("checkpoint", sa.LargeBinary, nullable=False),
)
TABLES = (*SEEN_TABLES, *logstore.TABLES, PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How far the copy of a log has come.

    Attributes
    ----------
    origin : str
    size : int
        Entries that the mirror's signed checkpoint covers.
    next_entry : int
        Entries that are here.
    pending : int
        Entries that the log is known to have.
    """

    origin: str
    size: int
    next_entry: int
    pending: int


class Mirror:
    """A mirror. Safe to share between threads.

    Parameters
    ----------
    database : Database
        With ``TABLES`` in it; not one in which a mirrored log itself lives.
    signer : NoteSigner
        Of a cosigning kind, with another key and name than those of any witness.
    keys : Keys
        The logs that are mirrored.
    now : callable, optional
        The clock, UTC.

    Raises
    ------
    ReceiptError
        The key is not one for cosignatures.
    """

    def __init__(
        self, database: Database, signer: NoteSigner, keys: Keys, *, now: Callable[[], datetime] | None = None
    ) -> None:
        require_cosigner(signer)
        self._database = database
        self._signer = signer
        self._keys = keys
        self._views = Views(database, signer.key, keys, now=now)
        self._id = cosigner_id(signer.key)

    @property
    def key(self) -> VerifierKey:
        """The mirror's public key."""
        return self._signer.key

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer ``POST <prefix>/add-checkpoint``: 200 and no signature, for nothing is held yet."""
        return self._views.advance(body, also=self._keep_pending)

    def add_entries(self, body: bytes) -> Reply:
        """Answer ``POST <prefix>/add-entries``; ``body`` as it is without compression.

        Returns
        -------
        Reply
            200 with the mirror's cosignature, 202 and 409 with where it stands, else 400, 404 or 422.

        Raises
        ------
        LedgerError
            What is stored here is damaged.
        """
        try:
            reader = UploadReader(body)
        except ReceiptError as error:
            return _refusal(400, error.message)
        upload = reader.upload
        if not self._keys(upload.origin):
            return _refusal(404, f"the log {upload.origin} is not known here")
        store = LogStore(self._database, upload.origin)
        with self._database.read() as connection:
            pending = self._pending(connection, upload.origin)
            state = store.state(connection) or _NOTHING
        if not pending:
            return _refusal(422, f"no checkpoint of {upload.origin} has come yet")
        note = pending.get(upload.end)
        excess = min(upload.end, state.size) - upload.start
        if note is None or upload.end < state.published_size or upload.start > state.size or excess > _MAX_EXCESS:
            return self._info(409, upload.end if note and upload.end >= state.published_size else max(pending), state)
        checkpoint = Checkpoint.parse(read_note(note).text)
        try:
            sound, fault = self._authenticated(store, reader, checkpoint), ""
        except _Unproved as error:
            sound, fault = error.before, error.message
        except ReceiptError as error:
            return _refusal(400, error.message)
        if sound:
            state = self._append(store, sound)
        if fault:
            return _refusal(422, fault)
        if state.size < upload.end:
            if not sound:
                return _refusal(400, "the first package of entries is not there as a whole")
            return self._info(202, upload.end, state)
        return self._sign(store, checkpoint, note)

    def checkpoint(self, origin_sha256: str) -> bytes | None:
        """Return the checkpoint of a copy, with the mirror's cosignature; ``None`` if there is none."""
        store = self._store_of(origin_sha256)
        if store is None:
            return None
        with self._database.read() as connection:
            state = store.state(connection)
        return state.checkpoint or None if state else None

    def tile(self, origin_sha256: str, path: str) -> bytes | None:
        """Return a tile or a bundle of a copy as its checkpoint covers it, ``None`` where there is none."""
        store = self._store_of(origin_sha256)
        if store is None:
            return None
        with self._database.read() as connection:
            state = store.state(connection)
            return None if state is None else store.read_in(connection, path, size=state.published_size)

    def held(self, origin: str) -> Held | None:
        """Tell how far the copy of a log has come, ``None`` if nothing was ever heard of it."""
        with self._database.read() as connection:
            pending = self._pending(connection, origin)
            state = LogStore(self._database, origin).state(connection) or _NOTHING
        if not pending:
            return None
        return Held(origin=origin, size=state.published_size, next_entry=state.size, pending=max(pending))

    # --- checkpoints

    def _keep_pending(self, connection: sa.Connection, seen: Seen) -> None:
        row = {"mirror": self._id, "origin": seen.origin, "size": seen.size, "checkpoint": seen.checkpoint}
        upsert(connection, PENDING, [row], key=["mirror", "origin", "size"])
        mine = (PENDING.c.mirror == self._id) & (PENDING.c.origin == seen.origin)
        newest = sa.select(PENDING.c.size).where(mine).order_by(PENDING.c.size.desc()).offset(_KEPT).limit(1)
        oldest = connection.execute(newest).scalar()
        if oldest is not None:
            connection.execute(sa.delete(PENDING).where(mine, PENDING.c.size <= oldest))

    def _pending(self, connection: sa.Connection, origin: str) -> dict[int, bytes]:
        rows = connection.execute(
            sa.select(PENDING.c.size, PENDING.c.checkpoint).where(
                PENDING.c.mirror == self._id, PENDING.c.origin == origin
            )
        )
        return {row.size: bytes(row.checkpoint) for row in rows}

    def _store_of(self, origin_sha256: str) -> LogStore | None:
        seen = self._views.last(origin_sha256)
        return None if seen is None else LogStore(self._database, seen.origin)

    def _info(self, status: int, size: int, state: State) -> Reply:
        return Reply(status, Info(size, state.size).encode(), INFO_TYPE)

    # --- entries

    def _authenticated(self, store: LogStore, reader: UploadReader, checkpoint: Checkpoint) -> list[Package]:
        """Return the packages that are proved to be in the log; raise ``_Unproved`` at the first that is not."""
        sound: list[Package] = []
        for package in reader.packages():
            before = self._before(store, package.start) if not sound else ()
            hashes = [merkle.leaf_hash(entry) for entry in (*before, *package.entries)]
            try:
                merkle.verify_subtree(
                    start=package.start - len(before),
                    end=package.end,
                    size=checkpoint.size,
                    proof=package.proof,
                    node=merkle.root_of(hashes),
                    root=checkpoint.root,
                )
            except ReceiptError as error:
                raise _Unproved(error.message, sound) from error
            sound.append(package)
        return sound

    def _before(self, store: LogStore, start: int) -> Sequence[bytes]:
        """Return the entries that are here of the subtree in which ``start`` lies, before it."""
        number, count = divmod(start, WIDTH)
        if not count:
            return ()
        bundle = store.read(entries_path(number, count), size=start)
        if bundle is None:
            msg = f"the mirror's own entries from {number * WIDTH} of {store.origin} are missing"
            raise LedgerError(msg)
        return decode_bundle(bundle, count)

    def _append(self, store: LogStore, packages: Sequence[Package]) -> State:
        """Store what is not here yet; on the disk when this returns."""
        with self._database.write() as connection:
            state = store.state(connection)
            if state is None:
                store.create(connection)
                state = _NOTHING
            start = packages[0].start
            new = [entry for package in packages for entry in package.entries][max(0, state.size - start) :]
            if not new:
                return state
            grown = store.integrate(connection, state, new)
            store.advance(connection, state, grown)
            return grown

    def _sign(self, store: LogStore, checkpoint: Checkpoint, note: bytes) -> Reply:
        """Cosign what is held, and show it from now on."""
        with self._database.write() as connection:
            state = store.state(connection)
            if state is None:
                store.create(connection)
                state = _NOTHING
            if checkpoint.size < state.published_size:
                return self._info(409, state.published_size, state)
            if self._root(store, connection, state, checkpoint.size) != checkpoint.root:
                msg = f"what is held here of {store.origin} is not what its checkpoint covers; nothing is signed"
                raise LedgerError(msg, hint="the copy is damaged: remove it and let the log send it again")
            read = read_note(note)
            shown = read_note(state.checkpoint) if state.checkpoint else None
            said = verify_note(shown, [self.key]) if shown is not None and shown.text == read.text else ()
            if said:
                # To say it again would only change the time.
                return Reply(200, said[0].signature.line.encode())
            line = self._signer.signature(read.text, time_s=max(1, int(self._views.now().timestamp())))
            store.publish(connection, checkpoint.size, read.with_signatures([line]).encode())
        return Reply(200, line.line.encode())

    def _root(self, store: LogStore, connection: sa.Connection, state: State, size: int) -> bytes:
        def read(path: str) -> bytes:
            return store.read_in(connection, path, size=size) or b""

        return state.root if size == state.size else Tiles(read, size).root()


_NOTHING = State(size=0, root=merkle.EMPTY_ROOT, signed=b"", published_size=0, checkpoint=b"")


class _Unproved(ReceiptError):
    def __init__(self, message: str, before: list[Package]) -> None:
        super().__init__(message)
        self.before = before


def _refusal(status: int, sentence: str) -> Reply:
    return Reply(status, f"{sentence}\n".encode())


__all__ = ["TABLES", "Held", "Mirror", "origin_hash"]
