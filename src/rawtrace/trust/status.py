"""Standing: what revocation means for a signature that was made at some time.

A revoked certificate does not void everything it ever signed: what was provably
signed before the trouble began stays good. Proof of time is a trusted time stamp
or a witnessed log; the signer's own clock proves nothing, for a thief sets it.

The standing of one certificate, by its status record:

==================================== ================================ ==============================
the record                           trusted time                     only the claimed time, or none
==================================== ================================ ==============================
start known (``compromised_from``),  at or after start:               at or after start:
any reason                           ``REVOKED_BEFORE``               ``REVOKED_BEFORE``
..                                   before: ``REVOKED_AFTER``        before, none:
                                                                      ``COMPROMISE_UNPROVEN``
no start; ``keyCompromise``,         at or after revocation:          at or after revocation:
``cACompromise``, ``aACompromise``   ``REVOKED_BEFORE``               ``REVOKED_BEFORE``
..                                   before: ``COMPROMISE_UNPROVEN``  before, none:
                                                                      ``COMPROMISE_UNPROVEN``
no start; ``superseded``,            at or after revocation:          at or after revocation:
``cessationOfOperation``,            as the claimed time says         ``REVOKED_BEFORE``
``affiliationChanged``               before: ``REVOKED_AFTER``        before: ``REVOKED_AFTER``;
                                                                      none: ``COMPROMISE_UNPROVEN``
no start; ``unspecified`` and        at or after revocation:          at or after revocation:
every other word                     ``REVOKED_BEFORE``               ``REVOKED_BEFORE``
..                                   before: ``REVOKED_AFTER``        before, none:
                                                                      ``COMPROMISE_UNPROVEN``
==================================== ================================ ==============================

A record about a firmware, a product or a feature is read by the same table, where a
missing start counts as with ``keyCompromise``: a fault is older than its discovery. Of a
seal that does not say whether it is meant, nothing can be said: ``SCOPE_UNSTATED``,
unless it is proven to be older than the doubt.

Where the record names a place of a log, or was itself logged and the doubt begins with
it, and the seal has a witnessed receipt of that very log, the order in the log counts
and no clock: before that place ``REVOKED_AFTER``; at or after it ``REVOKED_BEFORE``,
but ``COMPROMISE_UNPROVEN`` where a time stamp says that the seal is older. An
administrative reason is read by the table even then, as without a trusted time.

A start later than the revocation counts as the revocation. Where a trusted time
exists, the claimed one is not looked at, save for an administrative reason: there
the key was never in doubt, so a time stamp that came late must not make matters
worse than none. A record about an authority's certificate
is read by the same table, for whoever holds an authority's key can back-date
what it issues. The worst over all certificates of the path, all lists and all
records counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rawtrace.trust.anchors import StatusRecord, TrustList
from rawtrace.trust.certfacts import ODD, Facts, facts_of, utc
from rawtrace.trust.pathsearch import MAX_PATH
from rawtrace.trust.scope import Fit, Stated, fit
from rawtrace.trust.speakers import speakers

_COMPROMISES = frozenset({"keyCompromise", "cACompromise", "aACompromise"})
_ADMINISTRATIVE = frozenset({"superseded", "cessationOfOperation", "affiliationChanged"})


class Standing(StrEnum):
    """What the lists say of a path's certificates, as of the time of signing."""

    GOOD = "good"
    REVOKED_AFTER = "revoked-after"
    UNKNOWN = "unknown"
    SCOPE_UNSTATED = "scope-unstated"
    COMPROMISE_UNPROVEN = "compromise-unproven"
    REVOKED_BEFORE = "revoked-before"

    @property
    def words(self) -> str:
        """The standing in plain words."""
        return _WORDS[self]


_WORDS = {
    Standing.GOOD: "not revoked",
    Standing.REVOKED_AFTER: "revoked, but only after this was signed",
    Standing.UNKNOWN: "no list at hand says whether it was revoked",
    Standing.SCOPE_UNSTATED: "not saying whether it is one of those that a status means",
    Standing.COMPROMISE_UNPROVEN: "revoked, signing time unproven",
    Standing.REVOKED_BEFORE: "revoked before this was signed",
}
_WORSE = tuple(Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProof:
    """That a log holds a seal at some place, as a receipt with its witnesses proves.

    Attributes
    ----------
    key : str
        The log's key, as a vkey: two logs may bear one name.
    origin : str
    index : int
    time : datetime
        Latest time of the witnesses that make up the quorum: the seal existed then.
    """

    key: str
    origin: str
    index: int
    time: datetime


@dataclass(frozen=True, slots=True)
class _Said:
    """A record, the list that holds it, and whether it is sure that the seal is meant."""

    record: StatusRecord
    trust_list: TrustList
    meant: bool = True


def standing(
    chain: Sequence[x509.Certificate],
    lists: Sequence[TrustList],
    *,
    claimed_at: datetime | None,
    trusted_at: datetime | None,
    stated: Stated | None = None,
    proofs: Sequence[LogProof] = (),
) -> tuple[Standing, StatusRecord | None]:
    """Tell what the status records of some lists mean for a signature; the table is at the top of the module.

    Parameters
    ----------
    chain : Sequence[x509.Certificate]
        The path that was validated: ``PathResult.chain``, leaf first. All lists are asked about each
        certificate of it, by the issuer's key and the serial number, which means nothing without the issuer.
    lists : Sequence[TrustList]
        Every list that the reader has chosen may speak against any certificate. About firmware, products and
        features only a list that speaks for the path's own authority is heard (``rawtrace.trust.speakers``), and
        of what that authority certified.
    claimed_at : datetime or None
        The signer's own clock.
    trusted_at : datetime or None
        Latest time at which a time stamp proves the signature to have existed.
    stated : Stated or None
        What an instrument's seal states of itself; ``None`` for what is no instrument's.
    proofs : Sequence[LogProof]
        Places at which logs hold the signature; their times count like time stamps.

    Returns
    -------
    tuple[Standing, StatusRecord or None]
        The worst standing and the record behind it; ``UNKNOWN`` when no list names any certificate
        of the chain or an issuer of its last one, or a serial number or issuer cannot be read.
    """
    said, known = _about(tuple(chain), tuple(lists), stated)
    return _fold(said, known, claimed_at=claimed_at, trusted_at=trusted_at, proofs=proofs)


class StatusReader:
    """``standing`` for many seals with the same lists, each distinct chain looked up once.

    Which records are about a seal does not depend on time; only that is kept. Safe to share between threads.

    Parameters
    ----------
    lists : Sequence[TrustList]
    size : int, optional
        How many chains to keep; the least recently used go first.
    """

    def __init__(self, lists: Sequence[TrustList], *, size: int = 1024) -> None:
        held = tuple(lists)
        # Bound to this reader and its lists; dropped together with it.
        self._about = lru_cache(maxsize=max(1, size))(lambda chain, stated: _about(chain, held, stated))

    def standing(
        self,
        chain: Sequence[x509.Certificate],
        *,
        claimed_at: datetime | None,
        trusted_at: datetime | None,
        stated: Stated | None = None,
        proofs: Sequence[LogProof] = (),
    ) -> tuple[Standing, StatusRecord | None]:
        """Tell what ``standing`` would."""
        said, known = self._about(tuple(chain), stated)
        return _fold(said, known, claimed_at=claimed_at, trusted_at=trusted_at, proofs=proofs)


def standing_of(
    record: StatusRecord,
    *,
    claimed_at: datetime | None,
    trusted_at: datetime | None,
    logged_before: bool | None = None,
) -> Standing:
    """Read one record by the table at the top of the module, for what it means for certain.

    Parameters
    ----------
    record : StatusRecord
    claimed_at, trusted_at : datetime or None
        As for ``standing``; without a time zone they are taken as UTC.
    logged_before : bool or None
        Whether a log proves that the signature came before the doubt; ``None``: no log can tell.
    """
    revoked_at = utc(record.revoked_at)
    start = None if record.compromised_from is None else min(utc(record.compromised_from), revoked_at)
    located = start is None and record.doubt_from is None
    administrative = located and record.reason in _ADMINISTRATIVE
    if logged_before:
        return Standing.REVOKED_AFTER
    if logged_before is False and not administrative:
        older = trusted_at is not None and utc(trusted_at) < (start or revoked_at)
        return Standing.COMPROMISE_UNPROVEN if older else Standing.REVOKED_BEFORE
    if administrative and claimed_at is not None and trusted_at is not None and utc(trusted_at) >= revoked_at:
        trusted_at = None
    signed_at = trusted_at if trusted_at is not None else claimed_at
    if signed_at is None:
        return Standing.COMPROMISE_UNPROVEN
    if utc(signed_at) >= (revoked_at if start is None else start):
        return Standing.REVOKED_BEFORE
    unknown_start = start is None and not administrative and _start_matters(record)
    doubtful = not administrative if trusted_at is None else unknown_start
    return Standing.COMPROMISE_UNPROVEN if doubtful else Standing.REVOKED_AFTER


def _start_matters(record: StatusRecord) -> bool:
    """Whether, with no start said, seals from before the revocation are in doubt all the same."""
    return record.reason in _COMPROMISES or record.scope is not None or record.doubt_from is not None


def _about(
    chain: tuple[x509.Certificate, ...], lists: tuple[TrustList, ...], stated: Stated | None
) -> tuple[tuple[_Said, ...], bool]:
    """Return every record about a seal, and whether the lists could have said all there is to say."""
    path = [facts_of(certificate) for certificate in chain[:MAX_PATH]]
    covered, legible = False, True
    found: list[_Said] = []
    for index, facts in enumerate(path):
        named, issuers = _listed(facts, lists)
        covered = covered or named or bool(issuers)
        issuers.extend(one for one in path[index + 1 : index + 2] if _issued(facts, one.certificate))
        key_ids = frozenset(_key_ids(facts, issuers))
        if facts.serial is None or (not key_ids and not named):
            legible = False
            continue
        for one in lists:
            for key_id in sorted(key_ids):
                record = one.status_of(key_id, facts.serial)
                if record is not None:
                    found.append(_Said(record, one))
        if index == 0 and stated is not None:
            # What the signer's certificate itself says of its issuer is no proof of who that was.
            proven = sorted(frozenset(_key_ids_of(issuers)))
            found.extend(_scoped(path, lists, proven, stated))
    return tuple(found), covered and legible


def _scoped(
    path: Sequence[Facts], lists: Sequence[TrustList], key_ids: Sequence[bytes], stated: Stated
) -> Iterator[_Said]:
    """Yield the records about firmware, product or feature of the seal's signer, by whoever answers for it."""
    for one in speakers([facts.certificate for facts in path], lists):
        for key_id in key_ids:
            for record in one.scoped_statuses(key_id, manufacturer=stated.manufacturer, model=stated.model):
                if record.scope is None:
                    continue
                how, _ = fit(record.scope, stated)
                if how is not Fit.OUTSIDE:
                    yield _Said(record, one, how is Fit.INSIDE)


def _fold(
    said: Sequence[_Said],
    known: bool,
    *,
    claimed_at: datetime | None,
    trusted_at: datetime | None,
    proofs: Sequence[LogProof],
) -> tuple[Standing, StatusRecord | None]:
    worst: tuple[Standing, StatusRecord | None] = (Standing.GOOD if known else Standing.UNKNOWN, None)
    earliest = min((utc(time) for time in (trusted_at, *(proof.time for proof in proofs)) if time), default=None)
    for one in said:
        before = _logged_before(one, proofs)
        judged = standing_of(
            one.record,
            claimed_at=claimed_at,
            trusted_at=earliest if before is None else trusted_at,
            logged_before=before,
        )
        if not one.meant and judged is not Standing.REVOKED_AFTER:
            judged = Standing.SCOPE_UNSTATED
        if _WORSE.index(judged) > _WORSE.index(worst[0]):
            worst = (judged, one.record)
    return worst


def _logged_before(one: _Said, proofs: Sequence[LogProof]) -> bool | None:
    """Tell whether the log that the record names holds the signature before the doubt began."""
    record = one.record
    start = record.doubt_from
    if start is None and record.compromised_from is None and not _start_matters(record):
        start = record.logged
    if start is None or not proofs:
        return None
    keys = one.trust_list.log_keys(start.origin)
    places = [proof.index for proof in proofs if proof.origin == start.origin and proof.key in keys]
    return min(places) < start.index if places else None


def _listed(facts: Facts, lists: Sequence[TrustList]) -> tuple[bool, list[Facts]]:
    """Tell whether a list names this certificate, and return the listed certificates that issued it."""
    anchors = {anchor.certificate for trust_list in lists for anchor in trust_list.anchors}
    above = [facts_of(certificate) for certificate in anchors if _issued(facts, certificate)]
    return facts.certificate in anchors, above


def _issued(facts: Facts, issuer: x509.Certificate) -> bool:
    try:
        if issuer.subject != facts.certificate.issuer:
            return False
        facts.certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *ODD):
        return False
    return True


def _key_ids(facts: Facts, issuers: Sequence[Facts]) -> Iterator[bytes]:
    """Yield every identifier by which a record may name the issuer's key."""
    authority = facts.extension(x509.AuthorityKeyIdentifier)
    if authority is not None and authority.value.key_identifier:
        yield authority.value.key_identifier
    yield from _key_ids_of(issuers)


def _key_ids_of(issuers: Sequence[Facts]) -> Iterator[bytes]:
    for issuer in issuers:
        subject = issuer.extension(x509.SubjectKeyIdentifier)
        if subject is not None:
            yield subject.value.digest
        try:
            yield x509.SubjectKeyIdentifier.from_public_key(issuer.certificate.public_key()).digest
        except ODD:
            continue
