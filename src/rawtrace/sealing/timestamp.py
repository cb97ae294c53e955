"""When a seal was signed, according to somebody else: the RFC 3161 time stamps of a manifest.

A manifest can have them in three places. ``sigTst2`` in its own signature and
``c2pa.time-stamp`` in a manifest that came later are over the signature, so they
prove that it existed. ``sigTst`` of older seals is over the claim alone, from
before it was signed: it proves the claim's age and not the signature's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from rawtrace.errors import MalformedError
from rawtrace.sealing import boundedcbor, cms
from rawtrace.sealing.model import Manifest, Store
from rawtrace.sealing.problem import Problem
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.path import PathResult, validate_path

ASSERTION = "c2pa.time-stamp"
MAX_TOKENS = 32
_CONTEXT = "CounterSignature"

Validate = Callable[[Sequence[x509.Certificate], datetime], PathResult]


@dataclass(frozen=True, slots=True)
class TrustedTime:
    """One time stamp that fits the manifest and whose authority is listed.

    Attributes
    ----------
    time : datetime
        UTC; ``accuracy`` is how far off it may be.
    accuracy : timedelta
    path : PathResult
        From the authority's certificate to the list that names it.
    covers_signature : bool
        Whether the signature existed by then, and not merely the claim.
    source : str
        ``sigTst2``, ``sigTst``, or the label of the manifest that brought it later.
    """

    time: datetime
    accuracy: timedelta
    path: PathResult
    covers_signature: bool
    source: str

    @property
    def latest(self) -> datetime:
        """The latest moment it can mean: stamped at ``time``, give or take ``accuracy``."""
        return self.time + self.accuracy


@dataclass(frozen=True, slots=True)
class TimeEvidence:
    """All time stamps of one manifest.

    Attributes
    ----------
    times : tuple[TrustedTime, ...]
        Those that hold, earliest first.
    problems : tuple[Problem, ...]
        Why others do not: ``timestamp-unreadable``, ``timestamp-mismatch``,
        ``timestamp-untrusted``. They take nothing away from those that hold.
    """

    times: tuple[TrustedTime, ...]
    problems: tuple[Problem, ...]

    @property
    def signed_by(self) -> TrustedTime | None:
        """The earliest proof that the signature existed; ``None`` without one."""
        return next((item for item in self.times if item.covers_signature), None)


def read_timestamps(manifest: Manifest, lists: Sequence[TrustList], *, store: Store | None = None) -> TimeEvidence:
    """Check all time stamps of a manifest against the time stamp authorities of trust lists.

    Parameters
    ----------
    manifest : Manifest
    lists : Sequence[TrustList]
        Only their anchors for time stamps count.
    store : Store, optional
        Where to look for time stamps that came later.

    Returns
    -------
    TimeEvidence
        Never an error: what cannot be read is a problem.
    """

    def validate(chain: Sequence[x509.Certificate], at: datetime) -> PathResult:
        return validate_path(chain, lists, at=at, purpose=Purpose.TIMESTAMP)

    return check_timestamps(manifest, validate, store=store)


def check_timestamps(manifest: Manifest, validate: Validate, *, store: Store | None = None) -> TimeEvidence:
    """As ``read_timestamps``, with the path to a listed authority validated by the caller's function."""
    times: list[TrustedTime] = []
    problems: list[Problem] = []
    for source, token, message in _tokens(manifest, store):
        result = _check(token, message, validate, source)
        if isinstance(result, Problem):
            problems.append(result)
        else:
            times.append(result)
    return TimeEvidence(tuple(sorted(times, key=lambda item: item.latest)), tuple(problems))


def stamped_message(manifest: Manifest, source: str) -> bytes:
    """Return the bytes whose digest a time stamp of a manifest must hold.

    Parameters
    ----------
    manifest : Manifest
    source : str
        ``sigTst2``, ``sigTst``, or anything else for a ``c2pa.time-stamp`` assertion.
    """
    signature = manifest.signature
    if source == "sigTst2":
        return boundedcbor.sig_structure(_CONTEXT, signature.protected, boundedcbor.byte_string(signature.raw))
    if source == "sigTst":
        return boundedcbor.sig_structure(_CONTEXT, signature.protected, manifest.claim_bytes)
    return signature.raw


def _tokens(manifest: Manifest, store: Store | None) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield source, token or response, and stamped message; at most ``MAX_TOKENS``."""
    if not manifest.claim or not manifest.signature.raw:
        return
    found = [("sigTst2", token) for token in manifest.signature.timestamps]
    found += [("sigTst", token) for token in manifest.signature.early_timestamps]
    for other in store.manifests.values() if store is not None else ():
        for assertion in other.assertions:
            data = assertion.data if assertion.name == ASSERTION else None
            token = data.get(manifest.label) if isinstance(data, dict) else None
            if isinstance(token, bytes) and other.label != manifest.label:
                found.append((other.label, token))
    for source, token in found[:MAX_TOKENS]:
        yield source, token, stamped_message(manifest, source)


def _check(data: bytes, message: bytes, validate: Validate, source: str) -> TrustedTime | Problem:
    try:
        token = cms.read_token(cms.token_of_response(data) if source == "sigTst" else data)
    except MalformedError as error:
        return Problem("timestamp-unreadable", f"a time stamp ({source}) cannot be used: {error.message}")
    if not token.stamps(message):
        return Problem("timestamp-mismatch", f"a time stamp ({source}) is of something else than this seal")
    path = validate(token.chain, token.time)
    if path.anchor is None or path.problems:
        why = path.problems[0].message if path.problems else "no listed authority stands behind it"
        return Problem("timestamp-untrusted", f"a time stamp ({source}) is not from a listed authority: {why}")
    return TrustedTime(token.time, token.accuracy, path, source != "sigTst", source)
