"""Where delivered seals are taken in: checked, kept, logged, counter-signed, answered; again and again the same.

The order, so that a crash at any point leaves nothing that a repetition does not mend:

1. every seal is read and judged; nothing of a refused one is kept;
2. the seal itself is kept;
3. its record is logged, and is durable (and cosigned, where the store asks for that);
4. the gateway counter-signs, where the store offers it, and the first update that was kept stays;
5. the counter-signature is logged, too;
6. the answer.

One seal is one record, so a repetition finds index and update that are there already.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from rawtrace.database import METADATA, insert_missing
from rawtrace.errors import Error, LedgerError, LimitError, LogBusyError, UnsealableError, from_os_error
from rawtrace.ledger.sequencer import Accepted, Submission
from rawtrace.server.access import Principal, Role
from rawtrace.server.countersigner import Countersigner, key_id
from rawtrace.server.limits import Limiter
from rawtrace.server.problems import Problem
from rawtrace.trust.authorityfolder import TRUST_LIST_FILE
from rawtrace.trust.certificates import pid_of

if TYPE_CHECKING:
    from rawtrace.sealing.manifest import Manifest
    from rawtrace.sealing.model import Store as SealStore
    from rawtrace.server.store import Store
    from rawtrace.trust.anchors import TrustList
    from rawtrace.verification.signer import Verifier

SEALS = sa.Table(
    "seal",
    METADATA,
    # SHA-256 of the record: a claim alone may be signed by several.
    sa.Column("record", sa.String(64), primary_key=True),
    sa.Column("claim", sa.String(64), nullable=False, index=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("pid", sa.Text, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=True),
    sa.Column("received", sa.String(20), nullable=False),
    sa.Column("sidecar", sa.LargeBinary, nullable=False),
    sa.Column("updated", sa.LargeBinary, nullable=True),
    sa.Index("seal_of_pid", "pid", "received"),
)
_log = logging.getLogger(__name__)

SEAL_TYPE = "application/c2pa"
MAX_SEAL_BYTES = 16 << 20
MAX_AT_ONCE = 100
_WAIT_S = 20.0
_RETRY_AFTER_S = 5
_READERS = (Role.OPERATOR, Role.AUDITOR, Role.GATEWAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What is said of a seal that was taken in.

    Attributes
    ----------
    claim : str
        SHA-256 of the claim of the manifest that binds the data.
    index : int or None
        In the log; ``None`` for a store without one.
    receipt : str
        That of the seal, then those of the store's counter-signatures on it; empty for a store without a log.
    sidecar : bytes
        The seal with the store's counter-signature; empty where it adds none.
    """

    claim: str
    index: int | None
    receipt: str
    sidecar: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A seal that may be taken in."""

    data: bytes
    record: bytes
    claim: str
    label: str
    pid: str
    issuer: str
    key: str
    countersign: bool
    updates: bool

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.record).hexdigest()


class SealDesk:
    """Takes seals in for one store. Safe to share between threads.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._limiter = Limiter(store.settings.limits.seals_per_minute)
        self.gateway = Countersigner(store, self.lists)
        """Counter-signs, and knows the clock."""
        self._verifier: tuple[object, Verifier] | None = None
        self._lock = threading.Lock()

    def take(self, data: bytes, principal: Principal) -> Taken:
        """Take one seal in.

        Raises
        ------
        Problem
            422 for a seal that is refused for good, 429 beyond the limits, 503 when it cannot be done just now.
        """
        taken = self.take_many([data], principal)[0]
        if isinstance(taken, Error):
            raise taken
        return taken

    def take_many(self, seals: Sequence[bytes], principal: Principal) -> list[Taken | Error]:
        """Take seals in together, each with its own answer; as ``take`` for what concerns all of them."""
        self._limiter.take(principal.pid or principal.name, len(seals))
        judged: list[_Judged | Error] = [self._try(data, principal) for data in seals]
        good = [one for one in judged if isinstance(one, _Judged)]
        self._keep(good)
        answered = self._answer(good, self._log(good))
        return [one if isinstance(one, Error) else answered[one.digest] for one in judged]

    def keep_own(self, data: bytes) -> Taken:
        """Take in a seal that this store has made itself."""
        verifier = self.verifier()
        judged = replace(self._judge(data, verifier), countersign=False)
        self._keep([judged], own=True)
        taken = self._answer([judged], self._log([judged]))[judged.digest]
        if isinstance(taken, Error):
            raise taken
        return taken

    def find(self, claim: str, principal: Principal) -> Taken:
        """Return what is kept of a claim, for whom it concerns.

        Raises
        ------
        Problem
            404 also where it is there for others only.
        """
        with self._store.database.read() as connection:
            rows = connection.execute(sa.select(SEALS).where(SEALS.c.claim == claim).order_by(SEALS.c.received)).all()
        row = next((one for one in rows if principal.may(*_READERS) or (one.pid and one.pid == principal.pid)), None)
        if row is None:
            msg = "no such seal is kept here for whoever asks"
            raise Problem(404, msg)
        data = bytes(row.updated or row.sidecar)
        receipt = ""
        if row.position is not None:
            places = [row.position, *self._places_of_updates(data)]
            for place in places:
                # Not published yet, or erased: it has no receipt now, and the seal itself is there.
                with contextlib.suppress(LedgerError):
                    receipt += self._store.log.receipt(place).decode()
        return Taken(claim=row.claim, index=row.position, receipt=receipt, sidecar=data)

    def count(self, principal: Principal) -> None:
        """Count one request that makes a seal; raises ``Problem`` 429 beyond the limit."""
        self._limiter.take(principal.pid or principal.name)

    def lists(self) -> tuple[TrustList, ...]:
        """Return the trust lists that the store goes by, as they are now."""
        return self.verifier().lists

    def issuers(self) -> tuple[bytes, ...]:
        """Return the certificates that lie between this store's own leaves and its root, DER."""
        return (self._store.authority().certificate.public_bytes(serialization.Encoding.DER),)

    def per_month(self, pid: str) -> tuple[tuple[str, int], ...]:
        """Return how many seals of a PID were taken in, by month (``2026-01``), oldest first; no empty months."""
        month = sa.func.substr(SEALS.c.received, 1, 7)
        asked = sa.select(month, sa.func.count()).where(SEALS.c.pid == pid).group_by(month).order_by(month)
        with self._store.database.read() as connection:
            return tuple((str(row[0]), int(row[1])) for row in connection.execute(asked))

    # -- judged

    def _try(self, data: bytes, principal: Principal) -> _Judged | Error:
        try:
            judged = self._judge(data, self.verifier())
            if principal.pid and judged.pid != principal.pid:
                msg = f"the seal is that of {judged.pid or 'somebody without a PID'}, not of {principal.pid}"
                raise Problem(403, msg)
        except Problem as problem:
            return problem
        except Error as error:
            return Problem(422, error.message, hint=error.hint)
        return judged

    def _judge(self, data: bytes, verifier: Verifier) -> _Judged:
        from rawtrace.sealing.logrecord import record_of
        from rawtrace.sealing.manifest import read_store

        if len(data) > MAX_SEAL_BYTES:
            msg = f"the seal is {len(data)} bytes; at most {MAX_SEAL_BYTES} are taken in"
            raise LimitError(msg)
        sealed = read_store(data)
        for manifest in sealed.manifests.values():
            if manifest.problems:
                msg = f"the seal does not hold: {manifest.problems[0].message}"
                raise UnsealableError(msg)
        bound = sealed.bound_manifest()
        if bound is None or not bound.bindings:
            msg = "the seal is bound to no data"
            raise UnsealableError(msg)
        leaf, issuer = _signer(bound, sealed, verifier)
        known = True
        if bound is not sealed.active_manifest:
            try:
                _signer(sealed.active_manifest, sealed, verifier)
            except UnsealableError:
                # Another store's counter-signature, which this one does not know: logged, but not built upon.
                known = False
        return _Judged(
            data=data,
            record=record_of(bound),
            claim=bound.claim_sha256,
            label=bound.label,
            pid=pid_of(leaf),
            issuer=issuer,
            key=key_id(leaf),
            countersign=known and self._store.settings.offers.gateway,
            updates=bound is not sealed.active_manifest,
        )

    def verifier(self) -> Verifier:
        """Return a verifier by the trust lists as they are now; the lists are read when a file has changed."""
        from rawtrace.verification.signer import Verifier

        state = self._lists_state()
        with self._lock:
            if self._verifier is None or self._verifier[0] != state:
                self._verifier = (state, Verifier(self._store.lists()))
            return self._verifier[1]

    def _lists_state(self) -> tuple[object, ...]:
        """Return what changes when a trust list does."""
        accepted = (self._store.folder / name for name in self._store.settings.accept)
        found: list[object] = []
        for path in (self._store.authority_folder / TRUST_LIST_FILE, *accepted):
            try:
                status = path.stat()
            except OSError as error:
                raise from_os_error(error, f"reading {path}") from error
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        return tuple(found)

    # -- kept, logged, counter-signed

    def _keep(self, judged: Sequence[_Judged], *, own: bool = False) -> None:
        received = _text(self._store.now())
        rows = [
            {
                "record": one.digest,
                "claim": one.claim,
                "label": one.label,
                "pid": one.pid,
                "position": None,
                "received": received,
                "sidecar": one.data,
                "updated": None,
            }
            for one in {one.digest: one for one in judged}.values()
        ]
        if not rows:
            return
        with self._store.database.write() as connection:
            digests = [row["record"] for row in rows]
            known = set(connection.execute(sa.select(SEALS.c.record).where(SEALS.c.record.in_(digests))).scalars())
            new = [row for row in rows if row["record"] not in known]
            if not own:
                self._check_quota(connection, new)
            insert_missing(connection, SEALS, new, key=["record"])

    def _check_quota(self, connection: sa.Connection, new: Sequence[Mapping[str, object]]) -> None:
        most = self._store.settings.limits.seals_per_day
        since = self._store.now() - timedelta(days=1)
        for pid in {str(row["pid"]) for row in new}:
            recent = sa.and_(SEALS.c.pid == pid, SEALS.c.received > _text(since))
            count = connection.execute(sa.select(sa.func.count()).select_from(SEALS).where(recent)).scalar_one()
            if count + sum(row["pid"] == pid for row in new) > most:
                oldest = connection.execute(sa.select(sa.func.min(SEALS.c.received)).where(recent)).scalar()
                msg = f"{pid} has had {count} seals taken in within a day; at most {most} are"
                raise Problem(429, msg, headers={"Retry-After": f"{self._seconds_until_day_after(oldest)}"})

    def _seconds_until_day_after(self, oldest: str | None) -> int:
        if oldest is None:
            return 86_400
        frees = datetime.fromisoformat(oldest) + timedelta(days=1)
        return max(1, int((frees - self._store.now()).total_seconds()) + 1)

    def _log(self, judged: Sequence[_Judged]) -> dict[str, tuple[int, str]]:
        """Log what is not logged yet; returns index and receipt by digest."""
        if not judged or not self._store.settings.log.origin:
            return {}
        accepted = self._submit(
            [Submission(kind="seal", issuer=one.issuer, key=one.key, record=one.record) for one in judged]
        )
        places = {one.digest: (done.index, _receipt_of(done)) for one, done in zip(judged, accepted, strict=True)}
        with self._store.database.write() as connection:
            for digest, (index, _) in places.items():
                connection.execute(
                    sa.update(SEALS).where(SEALS.c.record == digest, SEALS.c.position.is_(None)).values(position=index)
                )
        return places

    def _submit(self, submissions: Sequence[Submission]) -> Sequence[Accepted]:
        try:
            return self._store.log.submit_many(submissions).result(_WAIT_S)
        except (LogBusyError, FutureTimeoutError) as error:
            msg = "the log takes no more just now" if isinstance(error, LogBusyError) else "the log's quorum is away"
            raise _later(msg) from error
        except LedgerError as error:
            raise _later(error.message) from error

    def _answer(self, judged: Sequence[_Judged], places: Mapping[str, tuple[int, str]]) -> dict[str, Taken | Error]:
        """Counter-sign what is to be, log that too, and return the answers by digest."""
        self._forget([one for one in judged if places.get(one.digest, (0, "-"))[1] == ""])
        updated: dict[str, bytes | Error] = {}
        for one in judged:
            try:
                erased = places.get(one.digest, (0, "-"))[1] == ""
                updated[one.digest] = b"" if erased else self._update(one)
            except Error as error:
                # Logged it is; what keeps the gateway from signing is for its operator to mend.
                _log.warning("the seal %s was not counter-signed: %s", one.claim, error.message)
                updated[one.digest] = _later(f"the seal is logged and not yet counter-signed: {error.message}")
        receipts = self._log_updates(judged, updated)
        answers: dict[str, Taken | Error] = {}
        for one in judged:
            done = updated[one.digest]
            index, receipt = places.get(one.digest, (None, ""))
            if isinstance(done, bytes):
                receipt += "".join(receipts.get(one.digest, ()))
                answers[one.digest] = Taken(claim=one.claim, index=index, receipt=receipt, sidecar=done)
            else:
                answers[one.digest] = done
        return answers

    def _log_updates(
        self, judged: Sequence[_Judged], updated: Mapping[str, bytes | Error]
    ) -> dict[str, tuple[str, ...]]:
        """Log the store's own counter-signatures; returns their receipts by the digest of the seal."""
        wanted: list[tuple[str, Submission]] = []
        for one in {one.digest: one for one in judged}.values():
            done = updated[one.digest]
            if isinstance(done, bytes) and (done or one.updates):
                wanted += [(one.digest, update) for update in self.gateway.own_updates(done or one.data)]
        if not wanted:
            return {}
        found: dict[str, tuple[str, ...]] = {}
        for (digest, _), accepted in zip(wanted, self._submit([update for _, update in wanted]), strict=True):
            found[digest] = (*found.get(digest, ()), _receipt_of(accepted))
        return found

    def _places_of_updates(self, data: bytes) -> list[int]:
        places = (self._store.log.find(one.record) for one in self.gateway.own_updates(data))
        return [place for place in places if place is not None]

    def _forget(self, judged: Sequence[_Judged]) -> None:
        """Keep nothing of a seal whose record was erased: delivered again, it does not come back."""
        if not judged:
            return
        with self._store.database.write() as connection:
            connection.execute(sa.delete(SEALS).where(SEALS.c.record.in_([one.digest for one in judged])))
        self._store.database.settle()

    def _update(self, one: _Judged) -> bytes:
        """Return the counter-signed seal; empty where there is none to be had."""
        if not one.countersign:
            return b""
        with self._store.database.read() as connection:
            there = connection.execute(sa.select(SEALS.c.updated).where(SEALS.c.record == one.digest)).scalar()
        made = self._reusable(one, bytes(there)) if there else self.gateway.countersigned(one.data)
        if not made or there:
            return made
        with self._store.database.write() as connection:
            mine = sa.and_(SEALS.c.record == one.digest, SEALS.c.updated.is_(None))
            connection.execute(sa.update(SEALS).where(mine).values(updated=made))
            # Whoever was first is the one that everybody gets.
            kept = connection.execute(sa.select(SEALS.c.updated).where(SEALS.c.record == one.digest)).scalar_one()
        return self._reusable(one, bytes(kept))

    def _reusable(self, one: _Judged, kept: bytes) -> bytes:
        """Return an update that was made before, if it builds upon what was sent now; else make another."""
        from rawtrace.sealing.gateway import unchanged_in

        if kept == one.data:
            return b""
        return kept if unchanged_in(one.data, kept) else self.gateway.countersigned(one.data)


def _receipt_of(done: Accepted) -> str:
    # A record that was erased keeps its index and has no new receipt.
    with contextlib.suppress(LedgerError):
        return done.receipt.decode()
    return ""


def _signer(manifest: Manifest, sealed: SealStore, verifier: Verifier) -> tuple[x509.Certificate, str]:
    """Return the signer's certificate and the name of the authority behind it, or refuse.

    Raises
    ------
    UnsealableError
    """
    from rawtrace.trust.status import Standing
    from rawtrace.verification.signer import gather_signer

    found = gather_signer(manifest, sealed, verifier)
    path = found.path
    if not path.trusted and found.trusted_at is None and found.claimed_at is not None:
        # Delivered late: the certificate may have run out since. A log vouches for no time before its own.
        path = verifier.paths.validate(manifest.signature.chain, at=min(found.claimed_at, verifier.clock()))
    if path.anchor is None or not path.trusted:
        why = path.problems[0].message if path.problems else "nobody stands behind it"
        msg = f"no authority that this store accepts stands behind the seal's signer: {why}"
        raise UnsealableError(msg)
    standing, _ = verifier.statuses.standing(path.chain, claimed_at=found.claimed_at, trusted_at=found.trusted_at)
    if standing in {Standing.REVOKED_BEFORE, Standing.COMPROMISE_UNPROVEN}:
        msg = f"the certificate of the seal's signer is {standing.words}"
        raise UnsealableError(msg)
    return path.chain[0], path.anchor.name


def _later(message: str) -> Problem:
    return Problem(503, message, headers={"Retry-After": f"{_RETRY_AFTER_S}"})


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
