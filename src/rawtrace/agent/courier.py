"""Carries seals to one store and believes nothing of its answer that does not fit; writes nothing itself.

What a store could send that is refused: a receipt for another seal, one whose
proof does not lead to its checkpoint, a seal without ours in it, ours with a
byte changed, a counter-signature that nobody whom the instrument's own
authority knows has made.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rawtrace import strictjson
from rawtrace.agent.deliverybox import Parcel
from rawtrace.agent.watch import sidecar_of
from rawtrace.errors import Error, KeyUnavailableError, RefusedError, SealUnreadableError, from_os_error
from rawtrace.trust.anchors import TrustList
from rawtrace.web import Answer, Caller, Web

if TYPE_CHECKING:
    from rawtrace.ledger.receipt import Receipt

_LINES = "application/x-ndjson"
_MAX_SEAL_BYTES = 16 << 20
_MAX_BATCH_BYTES = 20 << 20
_MAX_ANSWER_BYTES = 96 << 20
_MAX_LINE_BYTES = 32 << 20
_MAX_OLDER = 100
_MAX_INDEX = 2**63 - 1
MAX_RETRY_AFTER_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A store has the seal, and this much of its answer holds.

    Attributes
    ----------
    receipt : bytes
        Empty for a store without a log.
    updated : bytes
        The counter-signed seal; empty where there is none, or none that can be accepted.
    remark : str
        Why something of the answer was left out.
    """

    parcel: Parcel
    place: int | None
    receipt: bytes
    updated: bytes
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """A seal that was not delivered.

    Attributes
    ----------
    retry_after_s : float
        What the store asked for; 0 where it did not.
    all_of_it : bool
        It concerns the store, not this one seal.
    """

    parcel: Parcel
    error: str
    retry_after_s: float = 0.0
    all_of_it: bool = False


class Post(Protocol):
    """What a courier needs of the web."""

    def post(self, url: str, body: bytes, *, content_type: str, accept: str, limit: int) -> Answer:
        """Send ``body`` to ``url``."""


class FreshWeb:
    """Opens a connection for every batch, with the certificate as it is by then: it is renewed while the agent runs.

    Parameters
    ----------
    caller : Caller
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def post(self, url: str, body: bytes, *, content_type: str, accept: str, limit: int) -> Answer:
        """Send ``body`` to ``url``."""
        try:
            with Web(self._caller) as web:
                return web.post(url, body, content_type=content_type, accept=accept, limit=limit)
        except (OSError, ValueError) as error:
            msg = f"the instrument's certificate cannot be shown: {error}"
            raise KeyUnavailableError(msg) from error


class Courier:
    """Delivers to one store.

    Parameters
    ----------
    url : str
        Of the store.
    web : Post
        A ``Web``, or a ``FreshWeb``.
    root : Path
        The watched folder.
    lists : Sequence[TrustList]
        Whose counter-signatures are accepted.
    """

    def __init__(self, url: str, web: Post, *, root: Path, lists: Sequence[TrustList]) -> None:
        self.url, self._web, self._root, self._lists = url, web, root, tuple(lists)

    def carry(self, parcels: Sequence[Parcel]) -> list[Answered | Undone]:
        """Deliver seals together; every parcel has an outcome, whatever happens."""
        done: list[Answered | Undone] = []
        loaded: list[tuple[Parcel, bytes]] = []
        size = 0
        for parcel in parcels:
            try:
                data = seal_of(parcel, self._root)
            except Error as error:
                done.append(Undone(parcel=parcel, error=error.message))
                continue
            size += len(data)
            if loaded and size > _MAX_BATCH_BYTES:
                break  # the rest goes with the next batch
            loaded.append((parcel, data))
        if loaded:
            try:
                done += self._post(loaded)
            except Error as error:
                done += [Undone(parcel=parcel, error=error.message, all_of_it=True) for parcel, _ in loaded]
        return done

    def _post(self, loaded: Sequence[tuple[Parcel, bytes]]) -> list[Answered | Undone]:
        body = b"".join(json.dumps({"sidecar": base64.b64encode(data).decode()}).encode() + b"\n" for _, data in loaded)
        answer = self._web.post(f"{self.url}/seals", body, content_type=_LINES, accept=_LINES, limit=_MAX_ANSWER_BYTES)
        if answer.status != 200:
            error = f"{self.url} answered {answer.status}{_detail(answer.body)}"
            wait_s = retry_after_s(answer.headers.get("retry-after", ""))
            return [Undone(parcel=one, error=error, retry_after_s=wait_s, all_of_it=True) for one, _ in loaded]
        lines = answer.body.splitlines()
        if len(lines) != len(loaded):
            msg = f"{self.url} answered {len(lines)} lines to {len(loaded)} seals"
            raise RefusedError(msg)
        return [self._outcome(parcel, data, line) for (parcel, data), line in zip(loaded, lines, strict=True)]

    def _outcome(self, parcel: Parcel, data: bytes, line: bytes) -> Answered | Undone:
        try:
            said = strictjson.loads(line, what="the store's answer", max_bytes=_MAX_LINE_BYTES)
            if not isinstance(said, dict):
                msg = f"{self.url} answered something else than an object"
                raise RefusedError(msg)
            if said.get("status") != 200:
                return _refused(parcel, said)
            return self._check(parcel, data, said)
        except Error as error:
            return Undone(parcel=parcel, error=error.message)

    def _check(self, parcel: Parcel, data: bytes, said: dict[str, Any]) -> Answered:
        if said.get("claim") != parcel.claim:
            msg = f"{self.url} answered for another seal than the one that was delivered"
            raise RefusedError(msg)
        place, text = said.get("index"), said.get("receipt")
        placed = place is None or (type(place) is int and 0 <= place <= _MAX_INDEX)
        if not placed or not isinstance(text, str):
            msg = f"{self.url} answered without an index and a receipt of the form that was expected"
            raise RefusedError(msg)
        updated, remark = b"", ""
        if said.get("sidecar"):
            try:
                updated = base64.b64decode(str(said["sidecar"]), validate=True)
                check_update(data, updated, self._lists)
            except (Error, ValueError) as error:
                # The seal is delivered; what was to be added to it is left out.
                why = error.message if isinstance(error, Error) else "it is not base64"
                updated, remark = b"", f"the counter-signature of {self.url} was not taken over: {why}"
        receipt = text.encode("utf-8", "replace")
        if receipt:
            receipt = check_receipts_of(receipt, data, place, updated=updated)
        return Answered(parcel=parcel, place=place, receipt=receipt, updated=updated, remark=remark)


def seal_of(parcel: Parcel, root: Path) -> bytes:
    """Return the bytes of a seal: those beside the data while they are still its own, else those that were kept.

    Raises
    ------
    RefusedError
        It is nowhere any more.
    """
    for path in _places(parcel, root):
        try:
            data = read_sidecar(path)
            if claim_in(data) == parcel.claim:
                return data
        except Error:
            continue  # not there, or not a seal: one of the others is
    if parcel.kept:
        return parcel.kept
    msg = f"the seal of {Path(parcel.name).name} is not beside its data any more, and was not kept"
    raise RefusedError(msg)


def place_of(parcel: Parcel, root: Path) -> Path | None:
    """Return where the seal lies now: beside its data, or moved aside by a newer one; ``None`` if it is gone."""
    for path in _places(parcel, root):
        try:
            if claim_in(read_sidecar(path)) == parcel.claim:
                return path
        except Error:
            continue
    return None


def read_sidecar(path: Path) -> bytes:
    """Read a seal, bounded, following no link.

    Raises
    ------
    RefusedError, Error
    """
    from rawtrace.sealing.manifest import read_sidecar as read

    try:
        if path.is_symlink():
            msg = f"{path.name} is a link"
            raise RefusedError(msg)
    except OSError as error:
        raise from_os_error(error, f"reading {path.name}") from error
    data = read(path)
    if len(data) > _MAX_SEAL_BYTES:
        msg = f"the seal {path.name} is {len(data)} bytes; at most {_MAX_SEAL_BYTES} are delivered"
        raise RefusedError(msg)
    return data


def claim_in(data: bytes) -> str:
    """Return the claim hash of the manifest that binds the data; empty where that is broken."""
    from rawtrace.sealing.manifest import read_store

    bound = read_store(data).bound_manifest()
    return bound.claim_sha256 if bound is not None else ""


def check_receipts_of(receipts: bytes, seal: bytes, place: int | None, *, updated: bytes = b"") -> bytes:
    """Return those receipts of an answer that belong beside the seal: its own, and its counter-signatures'.

    Whether log and witnesses are any that somebody trusts is for whoever verifies to say.

    Parameters
    ----------
    seal : bytes
        As it was delivered.
    place : int or None
        Index of the seal's own record, as the store says.
    updated : bytes
        The seal as it will lie there; empty if that is as it was delivered.

    Raises
    ------
    RefusedError, ReceiptError, SealUnreadableError
        One does not hold, or the seal's own is not among them. Receipts of counter-signatures that are not taken
        over are left out.
    """
    from rawtrace.ledger.receipt import read_receipts
    from rawtrace.sealing.logrecord import record_of
    from rawtrace.sealing.manifest import read_store

    found = read_receipts(receipts)
    bound = read_store(seal).bound_manifest()
    own = record_of(bound) if bound is not None else None
    if not found or found[0].record != own or found[0].index != place:
        msg = "the receipt is for another seal than the one that was delivered"
        raise RefusedError(msg)
    kept = [found[0], *(one for one in found[1:] if one.record in records_in(updated or seal) - {own})]
    for one in kept:
        _require_proof(one)
    return b"".join(one.encode() for one in kept)


def records_in(seal: bytes) -> set[bytes]:
    """Return what a log records of each manifest in a seal."""
    from rawtrace.sealing.logrecord import record_of
    from rawtrace.sealing.manifest import read_store

    found: set[bytes] = set()
    for manifest in read_store(seal).manifests.values():
        with contextlib.suppress(SealUnreadableError):
            found.add(record_of(manifest))
    return found


def _require_proof(receipt: Receipt) -> None:
    from rawtrace.ledger import merkle
    from rawtrace.ledger.checkpoint import Checkpoint
    from rawtrace.ledger.entry import Entry, commitment
    from rawtrace.ledger.note import read_note

    if Entry.decode(receipt.entry).commitment != commitment(receipt.salt, receipt.record):
        msg = "the receipt's entry commits to another record"
        raise RefusedError(msg)
    signed = Checkpoint.parse(read_note(receipt.checkpoint).text)
    merkle.verify_inclusion(
        entry_hash=merkle.leaf_hash(receipt.entry),
        index=receipt.index,
        size=signed.size,
        proof=receipt.proof,
        root=signed.root,
    )


def check_update(seal: bytes, updated: bytes, lists: Sequence[TrustList]) -> None:
    """Raise ``Error`` unless a newer seal is ours with good counter-signatures on top, and nothing else.

    Raises
    ------
    RefusedError, SealUnreadableError
    """
    from rawtrace.sealing.gateway import unchanged_in
    from rawtrace.sealing.manifest import read_store
    from rawtrace.trust.certificates import SignerKind, signer_kind
    from rawtrace.trust.path import read_chain, validate_path

    if len(updated) > _MAX_SEAL_BYTES or not unchanged_in(seal, updated):
        msg = "our seal is not in it as it was"
        raise RefusedError(msg)
    before, after = read_store(seal), read_store(updated)
    for manifest in after.manifests.values():
        if manifest.problems:
            msg = f"it does not hold: {manifest.problems[0].message}"
            raise RefusedError(msg)
        if manifest.label in before.manifests:
            continue
        chain, problems = read_chain(manifest.signature.chain)
        path = validate_path(chain, lists, at=datetime.now(UTC)) if chain else None
        known = path is not None and path.trusted and not problems
        if not known or not manifest.is_update or signer_kind(chain[0]) is not SignerKind.REPOSITORY:
            msg = "what was added is not the counter-signature of a repository that the instrument's authority knows"
            raise RefusedError(msg)
        if manifest.redactions:
            msg = "what was added takes something out"
            raise RefusedError(msg)


def retry_after_s(text: str, *, now: datetime | None = None) -> float:
    """Read a ``Retry-After`` header: seconds, or a date; at most a day, and 0 where it says nothing."""
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError):
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - (now or datetime.now(UTC))).total_seconds()), MAX_RETRY_AFTER_S)


def _places(parcel: Parcel, root: Path) -> list[Path]:
    """Return where a seal may lie: in its place, or under the names that newer seals moved it to, newest first."""
    beside = sidecar_of(root / parcel.name, parcel.kind)
    stem = beside.name.removesuffix(".c2pa")
    older: list[Path] = []
    try:
        prefix = f"{stem}.superseded-"
        names = [one for one in beside.parent.iterdir() if one.name.startswith(prefix) and one.suffix == ".c2pa"]
        older = sorted(names, reverse=True)[:_MAX_OLDER]
    except OSError:
        pass  # the folder is gone: then nothing of it is there
    return [beside, *older]


def _refused(parcel: Parcel, said: dict[str, Any]) -> Undone:
    status, wait_s = said.get("status"), said.get("retry_after")
    later_s = float(min(wait_s, MAX_RETRY_AFTER_S)) if isinstance(wait_s, (int, float)) and wait_s > 0 else 0.0
    error = f"the store answered {status if type(status) is int else 'no status'}: {_shown(said.get('detail'))}"
    return Undone(
        parcel=parcel,
        error=error,
        retry_after_s=later_s,
        all_of_it=status in (429, 503),
    )


def _detail(body: bytes) -> str:
    try:
        said = strictjson.loads(body[:65_536], what="the problem", max_bytes=65_536)
    except Error:
        return ""
    return f": {_shown(said.get('detail'))}" if isinstance(said, dict) and said.get("detail") else ""


def _shown(text: object) -> str:
    return "".join(c for c in text[:300] if c.isprintable()) if isinstance(text, str) else "no reason"
