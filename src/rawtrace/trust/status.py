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
from datetime import datetime
from enum import StrEnum
from functools import lru_cache, partial

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rawtrace.trust.anchors import StatusRecord, TrustList
from rawtrace.trust.certfacts import ODD, Facts, facts_of, utc
from rawtrace.trust.pathsearch import MAX_PATH

_COMPROMISES = frozenset({"keyCompromise", "cACompromise", "aACompromise"})
_ADMINISTRATIVE = frozenset({"superseded", "cessationOfOperation", "affiliationChanged"})


class Standing(StrEnum):
    """What the lists say of a path's certificates, as of the time of signing."""

    GOOD = "good"
    REVOKED_AFTER = "revoked-after"
    UNKNOWN = "unknown"
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
    Standing.COMPROMISE_UNPROVEN: "revoked, signing time unproven",
    Standing.REVOKED_BEFORE: "revoked before this was signed",
}
_WORSE = tuple(Standing)


def standing(
    chain: Sequence[x509.Certificate],
    lists: Sequence[TrustList],
    *,
    claimed_at: datetime | None,
    trusted_at: datetime | None,
) -> tuple[Standing, StatusRecord | None]:
    """Tell what the status records of some lists mean for a signature; the table is at the top of the module.

    Parameters
    ----------
    chain : Sequence[x509.Certificate]
        The path that was validated: ``PathResult.chain``, leaf first. All lists are asked about each
        certificate of it, by the issuer's key and the serial number, which means nothing without the issuer.
    lists : Sequence[TrustList]
        Every list that the reader has chosen may speak against any certificate.
    claimed_at : datetime or None
        The signer's own clock.
    trusted_at : datetime or None
        Latest time at which the signature is proven to have existed.

    Returns
    -------
    tuple[Standing, StatusRecord or None]
        The worst standing and the record behind it; ``UNKNOWN`` when no list names any certificate
        of the chain or an issuer of its last one, or a serial number or issuer cannot be read.
    """
    return _fold(*records_about(chain, lists), claimed_at=claimed_at, trusted_at=trusted_at)


class StatusReader:
    """``standing`` for many seals with the same lists, each distinct chain looked up once.

    Which records are about a chain does not depend on time; only that is kept. Safe to share between threads.

    Parameters
    ----------
    lists : Sequence[TrustList]
    size : int, optional
        How many chains to keep; the least recently used go first.
    """

    def __init__(self, lists: Sequence[TrustList], *, size: int = 1024) -> None:
        # Bound to this reader and its lists; dropped together with it.
        self._about = lru_cache(maxsize=max(1, size))(partial(records_about, lists=tuple(lists)))

    def standing(
        self, chain: Sequence[x509.Certificate], *, claimed_at: datetime | None, trusted_at: datetime | None
    ) -> tuple[Standing, StatusRecord | None]:
        """Tell what ``standing`` would."""
        return _fold(*self._about(tuple(chain)), claimed_at=claimed_at, trusted_at=trusted_at)


def records_about(
    chain: Sequence[x509.Certificate], lists: Sequence[TrustList]
) -> tuple[tuple[StatusRecord, ...], bool]:
    """Return every record about a certificate of a chain, and whether the lists could have said all there is to say.

    Parameters
    ----------
    chain : Sequence[x509.Certificate]
        Leaf first; at most eight are looked at.
    lists : Sequence[TrustList]
    """
    path = [facts_of(certificate) for certificate in chain[:MAX_PATH]]
    covered, legible = False, True
    found: list[StatusRecord] = []
    for index, facts in enumerate(path):
        named, issuers = _listed(facts, lists)
        covered = covered or named or bool(issuers)
        issuers.extend(one for one in path[index + 1 : index + 2] if _issued(facts, one.certificate))
        key_ids = frozenset(_key_ids(facts, issuers))
        if facts.serial is None or (not key_ids and not named):
            legible = False
            continue
        said = (one.status_of(key_id, facts.serial) for one in lists for key_id in sorted(key_ids))
        found.extend(record for record in said if record is not None)
    return tuple(found), covered and legible


def standing_of(record: StatusRecord, *, claimed_at: datetime | None, trusted_at: datetime | None) -> Standing:
    """Read one record by the table at the top of the module.

    Parameters
    ----------
    record : StatusRecord
    claimed_at, trusted_at : datetime or None
        As for ``standing``; without a time zone they are taken as UTC.
    """
    revoked_at = utc(record.revoked_at)
    start = None if record.compromised_from is None else min(utc(record.compromised_from), revoked_at)
    administrative = start is None and record.reason in _ADMINISTRATIVE
    if administrative and claimed_at is not None and trusted_at is not None and utc(trusted_at) >= revoked_at:
        trusted_at = None
    signed_at = trusted_at if trusted_at is not None else claimed_at
    if signed_at is None:
        return Standing.COMPROMISE_UNPROVEN
    if utc(signed_at) >= (revoked_at if start is None else start):
        return Standing.REVOKED_BEFORE
    unknown_start = start is None and record.reason in _COMPROMISES
    doubtful = not administrative if trusted_at is None else unknown_start
    return Standing.COMPROMISE_UNPROVEN if doubtful else Standing.REVOKED_AFTER


def _fold(
    records: Sequence[StatusRecord], known: bool, *, claimed_at: datetime | None, trusted_at: datetime | None
) -> tuple[Standing, StatusRecord | None]:
    worst: tuple[Standing, StatusRecord | None] = (Standing.GOOD if known else Standing.UNKNOWN, None)
    for record in records:
        judged = standing_of(record, claimed_at=claimed_at, trusted_at=trusted_at)
        if _WORSE.index(judged) > _WORSE.index(worst[0]):
            worst = (judged, record)
    return worst


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
    for issuer in issuers:
        subject = issuer.extension(x509.SubjectKeyIdentifier)
        if subject is not None:
            yield subject.value.digest
        try:
            yield x509.SubjectKeyIdentifier.from_public_key(issuer.certificate.public_key()).digest
        except ODD:
            continue
