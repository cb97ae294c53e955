"""Cosigning other people's checkpoints (c2sp.org/tlog-witness@v1.0.0): what was seen of each log, and what may follow.

A witness states that every checkpoint it has seen of a log continues the one
before. What it has seen is compared and stored in one transaction, and its word
leaves only after that is on the disk: two requests at once, a crash or a
restart cannot make it sign two histories.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import sqlalchemy as sa

from rawtrace.database import METADATA, Database, upsert
from rawtrace.errors import ReceiptError
from rawtrace.ledger import evidence, merkle
from rawtrace.ledger.encoding import read_decimal, read_hash, write_base64
from rawtrace.ledger.keykinds import tree_head
from rawtrace.ledger.note import MAX_NOTE, Note, NoteSigner, VerifierKey, read_note, verify_note

#: Largest request in bytes: a note, and 63 lines of proof.
MAX_REQUEST = MAX_NOTE + 4096
SIZE_TYPE = "text/x.tlog.size"
_HEX = re.compile(r"[0-9a-f]{64}")
NOTE_TYPE = "text/plain; charset=utf-8"

SEEN = sa.Table(
    "log_seen",
    METADATA,
    sa.Column("cosigner", sa.Text, primary_key=True),
    sa.Column("origin_sha256", sa.Text, primary_key=True),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("root", sa.LargeBinary, nullable=False),
    # The log's signature, and the cosigner's own where it gave one.
    sa.Column("checkpoint", sa.LargeBinary, nullable=False),
    sa.Column("time_s", sa.BigInteger, nullable=False),
)
TABLES = (SEEN, evidence.PAIRS)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer over HTTP.

    Attributes
    ----------
    status : int
    body : bytes
        For 200, 202 and 409 what the protocol says; else a sentence.
    media_type : str
    """

    status: int
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"

    @property
    def refused(self) -> bool:
        """Whether the body is a sentence that says what was wrong."""
        return self.status >= 400 and self.status != 409


@dataclass(frozen=True, slots=True)
class Request:
    """The body of ``add-checkpoint``.

    Attributes
    ----------
    old : int
        Size of the checkpoint that the witness is thought to know.
    proof : tuple[bytes, ...]
        Consistency from there.
    checkpoint : bytes
        The new note.
    """

    old: int
    proof: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        """Write the body."""
        lines = [f"old {self.old}", *(write_base64(one) for one in self.proof), "", ""]
        return "\n".join(lines).encode() + self.checkpoint

    @classmethod
    def parse(cls, body: bytes) -> Request:
        """Read the body.

        Raises
        ------
        ReceiptError
        """
        head, blank, checkpoint = body.partition(b"\n\n")
        if not blank or len(head) > 4096:
            msg = "the request does not have the form: old size, proof, blank line, checkpoint"
            raise ReceiptError(msg)
        first, *lines = head.decode("utf-8", "replace").split("\n")
        if not first.startswith("old ") or len(lines) > merkle.MAX_PROOF:
            msg = "the request does not begin with the old size, or has more than 63 lines of proof"
            raise ReceiptError(msg)
        old = read_decimal(first.removeprefix("old "), "the old size")
        return cls(old, tuple(read_hash(line, "a line of the proof") for line in lines), checkpoint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The last checkpoint that was seen of a log."""

    origin: str
    size: int
    root: bytes
    checkpoint: bytes
    time_s: int


class Keys(Protocol):
    """Which logs are known, and by which keys."""

    def __call__(self, origin: str) -> Sequence[VerifierKey]:
        """Return the keys of a log; none if it is not known."""


class Views:
    """What one cosigner has seen of each log. Safe to share between threads and processes.

    Parameters
    ----------
    database : Database
    cosigner : VerifierKey
        Of the witness or mirror. Its memory goes by the key: under a new name it is the same one still.
    keys : Keys
    now : callable, optional
        The clock, UTC.
    """

    def __init__(
        self, database: Database, cosigner: VerifierKey, keys: Keys, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self._database = database
        self._cosigner = cosigner_id(cosigner)
        self._keys = keys
        self.now = now or (lambda: datetime.now(UTC))

    def last(self, origin_sha256: str) -> Seen | None:
        """Return the last checkpoint seen of the log whose origin has this SHA-256 (lower-case hex)."""
        if not _HEX.fullmatch(origin_sha256):
            return None
        with self._database.read() as connection:
            return self._last(connection, origin_sha256)

    def advance(
        self,
        body: bytes,
        *,
        sign: Callable[[Note, int], Note] | None = None,
        also: Callable[[sa.Connection, Seen], None] | None = None,
    ) -> Reply:
        """Decide upon an ``add-checkpoint`` request and store what it shows.

        Parameters
        ----------
        body : bytes
        sign : callable, optional
            Adds the cosignature to a note, given the time (POSIX seconds).
        also : callable, optional
            What else belongs into the transaction that stores the checkpoint.

        Returns
        -------
        Reply
            200 with the signature lines that ``sign`` has added, else 400, 403, 404, 409 or 422.
        """
        try:
            request = Request.parse(body)
            note = read_note(request.checkpoint)
            origin, size, root = tree_head(note.text)
        except ReceiptError as error:
            return _refusal(400, error.message)
        keys = self._keys(origin)
        if not keys:
            return _refusal(404, f"the log {origin} is not known here")
        try:
            signed = verify_note(note, keys)
        except ReceiptError as error:
            return _refusal(403, error.message)
        if not signed:
            return _refusal(403, f"the checkpoint is not signed by the key that is known for {origin}")
        if request.old > size:
            return _refusal(400, f"the old size {request.old} is larger than the new one, {size}")
        # Whoever posts may add what lines they like; what is kept and served is the log's own signature.
        own = Note(note.text, tuple(dict.fromkeys(one.signature for one in signed)))
        with self._database.write() as connection:
            return self._step(connection, request, own, Head(origin, size, root), sign, also)

    def _step(
        self,
        connection: sa.Connection,
        request: Request,
        own: Note,
        head: Head,
        sign: Callable[[Note, int], Note] | None,
        also: Callable[[sa.Connection, Seen], None] | None,
    ) -> Reply:
        known = self._last(connection, origin_hash(head.origin))
        size, root = (known.size, known.root) if known else (0, merkle.EMPTY_ROOT)
        now = self.now()
        if known and head.size == size and head.root != root:
            said = f"the log {head.origin} has signed two different trees of {size} entries"
            evidence.keep(
                connection, origin=head.origin, said=said, first=known.checkpoint, second=own.encode(), now=now
            )
        if request.old != size:
            return Reply(409, f"{size}\n".encode(), SIZE_TYPE)
        try:
            if head.size == 0 and head.root != merkle.EMPTY_ROOT:
                return _refusal(422, "a checkpoint of an empty log does not have the root of the empty tree")
            merkle.verify_consistency(old=size, new=head.size, proof=request.proof, old_root=root, new_root=head.root)
        except ReceiptError as error:
            return _refusal(422, error.message)
        # A clock that was turned back must not make a tree look older than one that came before it.
        time_s = max(int(now.timestamp()), known.time_s if known else 1)
        signed = sign(own, time_s) if sign else own
        seen = Seen(origin=head.origin, size=head.size, root=head.root, checkpoint=signed.encode(), time_s=time_s)
        self._store(connection, seen)
        if also is not None:
            also(connection, seen)
        added = signed.signatures[len(own.signatures) :]
        return Reply(200, "".join(one.line for one in added).encode())

    def _last(self, connection: sa.Connection, origin_sha256: str) -> Seen | None:
        row = connection.execute(
            sa.select(SEEN).where(SEEN.c.cosigner == self._cosigner, SEEN.c.origin_sha256 == origin_sha256)
        ).first()
        if row is None:
            return None
        return Seen(
            origin=row.origin,
            size=row.size,
            root=bytes(row.root),
            checkpoint=bytes(row.checkpoint),
            time_s=row.time_s,
        )

    def _store(self, connection: sa.Connection, seen: Seen) -> None:
        row = {
            "cosigner": self._cosigner,
            "origin_sha256": origin_hash(seen.origin),
            "origin": seen.origin,
            "size": seen.size,
            "root": seen.root,
            "checkpoint": seen.checkpoint,
            "time_s": seen.time_s,
        }
        upsert(connection, SEEN, [row], key=["cosigner", "origin_sha256"])


class Witness:
    """A witness. Safe to share between threads.

    Parameters
    ----------
    database : Database
        With ``TABLES`` in it.
    signer : NoteSigner
        Of a cosigning kind.
    keys : Keys
        The logs that are witnessed.
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
        self._signer = signer
        self._views = Views(database, signer.key, keys, now=now)

    @property
    def key(self) -> VerifierKey:
        """The witness's public key."""
        return self._signer.key

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer ``POST <prefix>/add-checkpoint``."""
        return self._views.advance(body, sign=self._sign)

    def checkpoint(self, origin_sha256: str) -> bytes | None:
        """Return the last cosigned checkpoint of a log, ``None`` if there is none."""
        seen = self._views.last(origin_sha256)
        return None if seen is None else seen.checkpoint

    def size(self, origin: str) -> int:
        """Return how many entries of a log the last cosigned checkpoint covers."""
        seen = self._views.last(origin_hash(origin))
        return 0 if seen is None else seen.size

    def _sign(self, note: Note, time_s: int) -> Note:
        return note.with_signatures([self._signer.signature(note.text, time_s=time_s)])


@dataclass(frozen=True, slots=True)
class Head:
    """The three lines of a checkpoint, before anything is said about them."""

    origin: str
    size: int
    root: bytes


def origin_hash(origin: str) -> str:
    """Return how a log is named in the addresses of witnesses and mirrors."""
    return hashlib.sha256(origin.encode()).hexdigest()


def cosigner_id(key: VerifierKey) -> str:
    """Return what a cosigner's memory goes by: the SHA-256 of its public key, hexadecimal."""
    return hashlib.sha256(key.public).hexdigest()


def require_cosigner(signer: NoteSigner) -> None:
    """Refuse a key that is not one for cosignatures.

    Raises
    ------
    ReceiptError
    """
    if not signer.key.is_cosigner:
        msg = f"the key of {signer.name} is not one for cosignatures"
        raise ReceiptError(msg)


def _refusal(status: int, sentence: str) -> Reply:
    return Reply(status, f"{sentence}\n".encode())
