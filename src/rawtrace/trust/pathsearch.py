"""Finding paths: from a leaf, over whoever signed what, up to listed certificates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rawtrace.trust.anchors import Anchor, TrustList
from rawtrace.trust.certfacts import ODD, Facts, facts_of, utc

#: Certificates in a chain and in a path, the anchor included.
MAX_PATH = 8
_INSTANT = timedelta(microseconds=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of one list; ``order`` counts through all lists."""

    anchor: Anchor
    trust_list: TrustList
    facts: Facts
    order: int

    def withdrawn(self, at: datetime) -> bool:
        """Tell whether this list had withdrawn the anchor at a time: its latest word up to then counts."""
        said = [
            (utc(entry.since) if entry.since else _EARLIEST, not entry.granted)
            for entry in self.trust_list.anchors
            if entry.purpose is self.anchor.purpose and entry.certificate == self.anchor.certificate
        ]
        return max((word for word in said if word[0] <= at), default=(at, False))[1]


class Listing:
    """All anchors of some lists, found by subject and by digest."""

    def __init__(self, lists: Sequence[TrustList]) -> None:
        self._by_subject: dict[bytes, list[Listed]] = {}
        self._by_digest: dict[bytes, list[Listed]] = {}
        known: dict[x509.Certificate, Facts] = {}
        order = 0
        moments: set[datetime] = set()
        for trust_list in lists:
            for anchor in trust_list.anchors:
                facts = known.get(anchor.certificate)
                if facts is None:
                    facts = known[anchor.certificate] = facts_of(anchor.certificate)
                    moments.update(_moments_of(facts))
                listed = Listed(anchor, trust_list, facts, order)
                order += 1
                if anchor.since is not None:
                    moments.add(utc(anchor.since))
                self._by_digest.setdefault(facts.digest, []).append(listed)
                if facts.subject is not None:
                    self._by_subject.setdefault(facts.subject, []).append(listed)
        self._moments = frozenset(moments)

    def same_as(self, facts: Facts) -> Sequence[Listed]:
        """Return the entries that name this very certificate."""
        return self._by_digest.get(facts.digest, ())

    def named(self, subject: bytes | None) -> Sequence[Listed]:
        """Return the entries whose certificate bears this name."""
        return self._by_subject.get(subject, ()) if subject is not None else ()

    def moments_with(self, chain: Sequence[x509.Certificate]) -> tuple[datetime, ...]:
        """Return the moments at which a result about this chain can change, in order."""
        own = {moment for certificate in chain for moment in _moments_of(facts_of(certificate))}
        return tuple(sorted(own | self._moments))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A path, leaf first, and the entry that names its last certificate, if one does."""

    path: tuple[Facts, ...]
    listed: Listed | None


class Links:
    """Who issued whom, each pair computed once, however many paths there are."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], bool] = {}
        self.refused: set[bytes] = set()

    def holds(self, child: Facts, parent: Facts) -> bool:
        """Tell whether names chain and the parent's key made the child's signature."""
        if child.issuer is None or child.issuer != parent.subject:
            return False
        pair = (child.digest, parent.digest)
        if pair not in self._known:
            try:
                child.certificate.verify_directly_issued_by(parent.certificate)
                self._known[pair] = True
            except (InvalidSignature, *ODD):
                self._known[pair] = False
                self.refused.add(child.digest)
        return self._known[pair]


def candidates(path: tuple[Facts, ...], others: Sequence[Facts], listing: Listing, links: Links) -> Iterator[Candidate]:
    """Yield every way up from the last certificate of ``path``; a dead end comes without an anchor."""
    last = path[-1]
    ended = False
    for listed in listing.same_as(last):
        ended = True
        yield Candidate(path, listed)
    if len(path) < MAX_PATH:
        seen = {facts.digest for facts in path}
        above: dict[bytes, Facts] = {}
        for listed in listing.named(last.issuer):
            if listed.facts.digest not in seen and links.holds(last, listed.facts):
                above[listed.facts.digest] = listed.facts
        for facts in others:
            if facts.digest not in seen and links.holds(last, facts):
                above[facts.digest] = facts
        for facts in above.values():
            ended = True
            yield from candidates((*path, facts), others, listing, links)
    if not ended:
        yield Candidate(path, None)


def _moments_of(facts: Facts) -> Iterator[datetime]:
    if facts.not_before is not None:
        yield facts.not_before
    if facts.not_after is not None and facts.not_after < datetime.max.replace(tzinfo=UTC) - _INSTANT:
        # The last second itself is still valid.
        yield facts.not_after + _INSTANT
