"""Asking one witness or mirror, over HTTP, for its word on a checkpoint."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Callable, Sequence
from typing import Protocol

from rawtrace import strictjson
from rawtrace.errors import Error, LedgerError, NetworkError, ReceiptError, RefusedError
from rawtrace.ledger import addentries, merkle
from rawtrace.ledger.checkpoint import Checkpoint, open_checkpoint
from rawtrace.ledger.encoding import read_decimal
from rawtrace.ledger.note import MAX_NOTE, NoteSignature, VerifierKey, read_note, read_signatures
from rawtrace.ledger.policy import PolicyWitness
from rawtrace.ledger.tiles import WIDTH, Tiles, decode_bundle, entries_path, width_at
from rawtrace.ledger.witness import SIZE_TYPE, Request, origin_hash
from rawtrace.web import Answer, Web

#: Gives the proof that the log continues what it was at an earlier size.
Prove = Callable[[int], Sequence[bytes]]

_ROUNDS = 4


class Source(Protocol):
    """Where the tiles and entries of a log are; ``logstore.LogStore`` is one."""

    def read(self, path: str, *, size: int) -> bytes | None:
        """Return a tile or a bundle as a log of ``size`` entries serves it, ``None`` where there is none."""


class Contradiction(Exception):
    """A witness has seen more of the log than there is, or something else.

    Parameters
    ----------
    size : int
        What it has seen.
    sentence : str
    """

    def __init__(self, size: int, sentence: str) -> None:
        super().__init__(sentence)
        self.size = size
        self.sentence = sentence


def submit(web: Web, witness: PolicyWitness, note: bytes, *, old: int, prove: Prove) -> tuple[NoteSignature, ...]:
    """Hand a checkpoint in.

    Parameters
    ----------
    web : Web
    witness : PolicyWitness
        With an address.
    note : bytes
        The checkpoint, signed by its log.
    old : int
        What the witness has probably seen last.
    prove : callable

    Returns
    -------
    tuple[NoteSignature, ...]
        Of the witness's key, checked; none of a mirror, which has taken the checkpoint and waits for entries.

    Raises
    ------
    Contradiction
        It has seen another history than ours.
    NetworkError, RefusedError, LimitError, ReceiptError
        It does not take the checkpoint.
    """
    read = read_note(note)
    head = Checkpoint.parse(read.text)
    old = min(old, head.size)
    for _ in range(_ROUNDS):
        body = Request(old, tuple(prove(old)), note).encode()
        answer = web.post(_at(witness, "add-checkpoint"), body, content_type="text/plain", limit=MAX_NOTE)
        if answer.status == 200:
            return _own(witness.key, read.text, answer.body)
        if answer.status == 422:
            sentence = f"{witness.name} has seen another history of {head.origin} at size {old}: {_said(answer)}"
            raise Contradiction(old, sentence)
        if answer.status != 409 or answer.media_type != SIZE_TYPE:
            raise _refused(witness, answer)
        seen = read_decimal(answer.body.decode("utf-8", "replace").removesuffix("\n"), f"the size of {witness.name}")
        if seen > head.size:
            raise Contradiction(seen, f"{witness.name} has seen {seen} entries of {head.origin}; here are {head.size}")
        old = seen
    msg = f"{witness.name} says another size each time it is asked"
    raise RefusedError(msg)


def visit(
    web: Web, witness: PolicyWitness, note: bytes, *, old: int, prove: Prove, source: Source | None = None
) -> tuple[NoteSignature, ...]:
    """Get a checkpoint cosigned; a mirror is sent the entries that it lacks.

    Parameters
    ----------
    web, witness, note, old, prove
        As for ``submit``.
    source : Source, optional
        Where entries are read; without it mirrors are not served.

    Returns
    -------
    tuple[NoteSignature, ...]
        Of the witness's key, checked; at least one.

    Raises
    ------
    Contradiction, NetworkError, RefusedError, LimitError, ReceiptError
        As for ``submit``.
    LedgerError
        The source does not have the entries.
    """
    found = submit(web, witness, note, old=old, prove=prove)
    if not found and source is not None:
        read = read_note(note)
        found = _own(witness.key, read.text, send_entries(web, witness, Checkpoint.parse(read.text), source))
    if not found:
        msg = f"{witness.name} takes the checkpoint and does not sign it with the key that the policy knows"
        raise RefusedError(msg, hint="a mirror signs only what it was sent in full")
    return found


def send_entries(web: Web, mirror: PolicyWitness, head: Checkpoint, source: Source) -> bytes:
    """Send a mirror whatever it lacks of the log up to ``head``, which it knows as a pending checkpoint.

    Returns
    -------
    bytes
        Its signature lines.

    Raises
    ------
    NetworkError, RefusedError, LimitError, ReceiptError
        It was not completed; what it took it keeps, and the next attempt goes on from there.
    LedgerError
        The source does not have the entries.
    """

    def stored(path: str) -> bytes:
        found = source.read(path, size=head.size)
        if found is None:
            msg = f"{path} of the log {head.origin} is missing"
            raise LedgerError(msg)
        return found

    def entries(start: int, end: int) -> Sequence[bytes]:
        number = start // WIDTH
        width = width_at(0, number, head.size)
        return decode_bundle(stored(entries_path(number, width)), width)[start - number * WIDTH : end - number * WIDTH]

    tiles = Tiles(stored, head.size)
    # With nothing sent, the mirror says what it lacks, or signs at once.
    upload = addentries.Upload(head.origin, head.size, head.size)
    stuck = 0
    while stuck < _ROUNDS:
        body = gzip.compress(addentries.build(upload, entries=entries, prove=tiles.subtree_proof), 1)
        answer = web.post(
            _at(mirror, "add-entries"),
            body,
            content_type=addentries.CONTENT_TYPE,
            limit=MAX_NOTE,
            headers={"Content-Encoding": "gzip"},
        )
        if answer.status == 200:
            return answer.body
        if answer.status not in {202, 409} or answer.media_type != addentries.INFO_TYPE:
            raise _refused(mirror, answer)
        info = addentries.Info.parse(answer.body)
        if info.size != head.size:
            msg = f"{mirror.name} is at another checkpoint, of {info.size} entries, by now"
            raise NetworkError(msg)
        stuck = 0 if answer.status == 202 and info.next_entry > upload.start else stuck + 1
        upload = addentries.Upload(head.origin, min(info.next_entry, head.size), head.size, info.ticket)
    msg = f"{mirror.name} takes no entries from {upload.start} on"
    raise RefusedError(msg)


def proved(web: Web, witness: PolicyWitness, keys: Sequence[VerifierKey], note: bytes, prove: Prove) -> bytes | None:
    """Fetch what a witness shows of a log, and return it if it contradicts ``note`` and the log has signed it.

    Returns
    -------
    bytes or None
        The other note.
    """
    head = Checkpoint.parse(read_note(note).text)
    try:
        answer = web.get(_at(witness, f"{origin_hash(head.origin)}/checkpoint"), limit=MAX_NOTE)
        if answer.status != 200:
            return None
        other, _ = open_checkpoint(answer.body, keys)
        if other.origin != head.origin:
            return None
        if other.size > head.size:
            return answer.body
        proof = prove(other.size)
    except Error:
        return None
    try:
        merkle.verify_consistency(old=other.size, new=head.size, proof=proof, old_root=other.root, new_root=head.root)
    except ReceiptError:
        return answer.body
    return None


def _own(key: VerifierKey, text: str, body: bytes) -> tuple[NoteSignature, ...]:
    if not body:
        return ()
    try:
        found = read_signatures(body.decode("utf-8"))
    except UnicodeDecodeError:
        msg = "signature lines that are not in UTF-8"
        raise ReceiptError(msg) from None
    own = tuple(one for one in found if (one.name, one.key_id) == (key.name, key.key_id))
    for one in own:
        key.verify(text, one.signature)
    return own


def _at(witness: PolicyWitness, path: str) -> str:
    return f"{witness.url.rstrip('/')}/{path}"


def _refused(witness: PolicyWitness, answer: Answer) -> RefusedError | NetworkError:
    msg = f"{witness.name} answers {answer.status}: {_said(answer)}"
    return NetworkError(msg) if answer.status >= 500 or answer.status == 429 else RefusedError(msg)


def _said(answer: Answer) -> str:
    text = answer.body.decode("utf-8", "replace")[:2000]
    if answer.media_type == "application/problem+json":
        with contextlib.suppress(Error, AttributeError):
            text = str(strictjson.loads(text, what="a problem", max_bytes=8000).get("detail", text))
    text = text[:200]
    return " ".join("".join(one if one.isprintable() else " " for one in text).split()) or "no reason"
