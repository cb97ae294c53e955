"""Takes what proves a seal, without the seal: claim, signed header, signature; checks it, logs its record.

The chain of certificates stands in the signed header, which is the same for
every seal of one signer, so a chain is validated once and remembered for as
long as the trust lists stay as they are, a minute at most.

A seal that is delivered late may be signed by a certificate that has run out
since: its path is validated as of the last moment it was good. A log vouches
for no time before its own, and what a record means beside a status is decided
by their order (``rawtrace.trust.status``); but what a store knows to be revoked
it does not take in.
"""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives import serialization

from rawtrace.errors import Error, LedgerError, LogBusyError, UnsealableError
from rawtrace.ledger.sequencer import Accepted, Log, Submission
from rawtrace.sealing.cose import Signature, check_signature, read_signature
from rawtrace.server.access import Principal
from rawtrace.server.limits import Limiter
from rawtrace.server.problems import Problem
from rawtrace.trust.certificates import pid_of
from rawtrace.trust.path import PathValidator
from rawtrace.trust.status import Standing, StatusReader

if TYPE_CHECKING:
    from cryptography import x509

    from rawtrace.server.store import Store
    from rawtrace.trust.anchors import TrustList

MAX_RECORDS = 100
MAX_CLAIM_BYTES = 64 << 10
MAX_PROTECTED_BYTES = 64 << 10
MAX_SIGNATURE_BYTES = 1 << 10
_MAX_SIGNERS = 1024
_REMEMBERED = timedelta(minutes=1)
_WAIT_S = 20.0
_RETRY = {"Retry-After": "5"}


class Proof(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One line of a request; the members are base64 in JSON."""

    claim: bytes
    protected: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Signer:
    """A signed header that has been judged."""

    signature: Signature
    certificate: str
    key: str
    issuer: str
    pid: str
    until: datetime


class LogDesk:
    """Takes records in for one store. Safe to share between threads.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._limiter = Limiter(store.settings.limits.seals_per_minute)
        self._lock = threading.Lock()
        self._signers: OrderedDict[bytes, _Signer] = OrderedDict()
        self._lists: tuple[TrustList, ...] = ()
        self._paths = PathValidator(())
        self._statuses = StatusReader(())

    def take(self, proofs: Sequence[Proof | Error], principal: Principal) -> list[Accepted | Error]:
        """Check and log some seals, each with its own answer, in their order; durable when this returns.

        Parameters
        ----------
        proofs : Sequence[Proof or Error]
            At most 100; an error stays where it is.
        principal : Principal
            An instrument may bring its own seals only, and only so many a minute.

        Raises
        ------
        Problem
            429 beyond the limit; 503 when the log cannot take anything just now.
        """
        log = self._store.log
        if principal.pid:
            self._limiter.take(principal.pid, len(proofs))
        self._follow_lists()
        judged = [one if isinstance(one, Error) else self._judged(one, principal) for one in proofs]
        good = [one for one in judged if isinstance(one, Submission)]
        accepted = iter(_logged(log, good))
        return [next(accepted) if isinstance(one, Submission) else one for one in judged]

    def _judged(self, proof: Proof, principal: Principal) -> Submission | Error:
        try:
            return self._judge(proof, principal)
        except Problem as problem:
            return problem
        except Error as error:
            return Problem(422, error.message, hint=error.hint)

    def _judge(self, proof: Proof, principal: Principal) -> Submission:
        sizes = (
            (proof.claim, MAX_CLAIM_BYTES, "claim"),
            (proof.protected, MAX_PROTECTED_BYTES, "signed header"),
            (proof.signature, MAX_SIGNATURE_BYTES, "signature"),
        )
        for data, most, what in sizes:
            if not 0 < len(data) <= most:
                msg = f"the {what} has {len(data)} bytes; expected 1 to {most}"
                raise UnsealableError(msg)
        signer = self._signer(proof.protected)
        if principal.pid and signer.pid != principal.pid:
            msg = f"the seal is that of {signer.pid or 'somebody without a PID'}, not of {principal.pid}"
            raise Problem(403, msg)
        problem = check_signature(dataclasses.replace(signer.signature, raw=proof.signature), proof.claim)
        if problem is not None:
            raise UnsealableError(problem.message)
        content = {
            "certificate": signer.certificate,
            "claim": hashlib.sha256(proof.claim).hexdigest(),
            "signature": hashlib.sha256(proof.signature).hexdigest(),
        }
        return Submission.of("seal", content, issuer=signer.issuer, key=signer.key)

    def _signer(self, protected: bytes) -> _Signer:
        """Return who has signed a header, judged once."""
        digest = hashlib.sha256(protected).digest()
        now = self._store.now()
        with self._lock:
            known = self._signers.get(digest)
            paths, statuses = self._paths, self._statuses
        if known is not None and known.until > now:
            return known
        found = _judge_signer(protected, paths, statuses, now)
        with self._lock:
            if paths is self._paths:
                self._signers[digest] = found
                while len(self._signers) > _MAX_SIGNERS:
                    self._signers.popitem(last=False)
        return found

    def _follow_lists(self) -> None:
        lists = self._store.seals.lists()
        with self._lock:
            if lists is not self._lists:
                self._lists, self._signers = lists, OrderedDict()
                self._paths, self._statuses = PathValidator(lists), StatusReader(lists)


def _judge_signer(protected: bytes, paths: PathValidator, statuses: StatusReader, now: datetime) -> _Signer:
    # A COSE_Sign1 structure with this signed header, nothing else, and one byte where the signature will stand.
    signature, problems = read_signature(b"\xd2\x84" + _byte_string(protected) + b"\xa0\xf6" + _byte_string(b"\0"))
    if problems:
        raise UnsealableError(problems[0].message)
    path = paths.validate(signature.chain, at=now)
    if not path.trusted and path.chain and path.chain[0].not_valid_after_utc < now:
        path = paths.validate(signature.chain, at=path.chain[0].not_valid_after_utc)
    if path.anchor is None or not path.trusted:
        why = path.problems[0].message if path.problems else "nobody stands behind it"
        msg = f"no authority that this store accepts stands behind the seal's signer: {why}"
        raise UnsealableError(msg)
    standing, _ = statuses.standing(path.chain, claimed_at=None, trusted_at=now)
    if standing in {Standing.REVOKED_BEFORE, Standing.COMPROMISE_UNPROVEN}:
        msg = f"the certificate of the seal's signer is {standing.words}"
        raise UnsealableError(msg)
    leaf = path.chain[0]
    return _Signer(
        signature=signature,
        certificate=hashlib.sha256(signature.chain[0]).hexdigest(),
        key=key_id(leaf),
        issuer=path.anchor.name,
        pid=pid_of(leaf),
        until=now + _REMEMBERED,
    )


def key_id(leaf: x509.Certificate) -> str:
    """Return the first 8 bytes, hexadecimal, of the SHA-256 of a certificate's public key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(leaf.public_key().public_bytes(serialization.Encoding.DER, form)).hexdigest()[:16]


def _logged(log: Log, submissions: Sequence[Submission]) -> Sequence[Accepted]:
    try:
        future = log.submit_many(submissions)
    except LogBusyError as error:
        raise Problem(503, error.message, hint=error.hint, headers=_RETRY) from error
    except LedgerError as error:
        raise Problem(503, error.message, headers=_RETRY) from error
    try:
        return future.result(_WAIT_S)
    except FutureTimeoutError as error:
        # Nobody waits for it any more; what was written keeps its place and is found when it is sent again.
        future.cancel()
        msg = "the records are not acknowledged yet: the log's quorum is out of reach"
        raise Problem(503, msg, headers=_RETRY) from error
    except LedgerError as error:
        raise Problem(503, error.message, headers=_RETRY) from error


def _byte_string(data: bytes) -> bytes:
    """Write CBOR's byte string, with the length in four bytes."""
    return b"\x5a" + len(data).to_bytes(4, "big") + data
