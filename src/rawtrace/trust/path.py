"""Path validation: whether a certificate chain leads to a listed authority, at a point in time.

This is RFC 5280 §6.1 with the stricter credential rules of C2PA 2.2 §14. It is
computed here, and not taken from a C2PA library, because the libraries skip name
constraints, the key usages of authorities, expired roots and what a list is for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from threading import Lock

from cryptography import x509

from rawtrace.errors import CertificateError
from rawtrace.trust.anchors import Anchor, Purpose, TrustList
from rawtrace.trust.certfacts import Facts, facts_of, read_certificate, utc
from rawtrace.trust.certrules import (
    ALLOWED_EKU,
    ANY_EKU,
    PathProblem,
    Role,
    general_problems,
    issuer_problems,
    leaf_problems,
)
from rawtrace.trust.nameconstraints import constraint_problems
from rawtrace.trust.pathsearch import MAX_PATH, Candidate, Links, Listed, Listing, candidates

__all__ = ["MAX_PATH", "PathProblem", "PathResult", "PathValidator", "read_chain", "validate_path"]

# Cross-certificates can make many paths out of eight certificates; a real chain has one or two.
_MAX_CANDIDATES = 64


@dataclass(frozen=True, slots=True)
class PathResult:
    """What a chain came to.

    Attributes
    ----------
    anchor : Anchor or None
        The listed certificate that the path ends at; ``None`` when no path leads to a listed one.
        An anchor alone is not trust: look at ``problems``.
    trust_list : TrustList or None
        The list that names it.
    chain : tuple[x509.Certificate, ...]
        The path that was judged, leaf first and anchor last, free of certificates that do not belong to it.
    problems : tuple[PathProblem, ...]
        All of them, in the order of the steps; empty means trusted.
    """

    anchor: Anchor | None
    trust_list: TrustList | None
    chain: tuple[x509.Certificate, ...]
    problems: tuple[PathProblem, ...]

    @property
    def trusted(self) -> bool:
        """Whether the path ends at a listed anchor and nothing speaks against it."""
        return self.anchor is not None and not self.problems


def validate_path(
    chain: Sequence[x509.Certificate],
    lists: Sequence[TrustList],
    *,
    at: datetime,
    purpose: Purpose = Purpose.SIGNING,
) -> PathResult:
    """Validate a chain against the anchors of trust lists, at a point in time.

    Revocation is apart: see ``rawtrace.trust.status.standing``.

    1. *The chain* (RFC 5280 §6.1): at least one certificate, at most eight, none twice.
       ``no-certificate``, ``chain-too-long``, ``duplicate-certificate``.
    2. *Paths* (§6.1.3(a)(1, 4)): from the leaf, go to every certificate whose subject is the
       issuer's name **and** whose key made the signature, until a listed certificate is reached.
       A listed certificate may be a root, an authority below one, or the leaf itself; it may be in the
       chain or left out. Certificates that lead nowhere are passed over.
       ``no-path``, ``link-signature`` (right name, other key).
    3. *The anchor* (C2PA 2.2 §14.4): listed for this purpose, and not withdrawn before ``at``.
       ``wrong-list-purpose``, ``withdrawn-anchor``. An authority that was listed only after ``at`` is
       accepted: listing it vouches for it, and lists are younger than archives.
    4. *Every certificate, the anchor included* (§6.1.3(a)(2), §6.1.4(o), §6.1.5(f), RFC 5937):
       readable, version 3, a positive serial number, valid at ``at``, no critical extension that we do not
       process, keys and signature algorithms of C2PA 2.2 §13.2 and §14.
       ``malformed-certificate``, ``not-version-3``, ``bad-serial``, ``weak-key``, ``weak-signature``,
       ``unknown-critical-extension``, and for leaf, authorities and anchor
       ``certificate-``, ``issuer-``, ``anchor-expired`` and ``-not-yet-valid``.
    5. *Links* (§4.2.1.1, §4.2.1.2): key identifiers agree where both are there. ``key-id-mismatch``.
    6. *Authorities* (§6.1.4(k-n)): CA flag, key usage keyCertSign, path length.
       ``issuer-not-authority``, ``issuer-may-not-certify``, ``path-length-exceeded``.
    7. *Name constraints* (§6.1.3(b, c), §6.1.4(g)), critical or not, of every authority and of the anchor.
       ``name-not-permitted``, ``name-excluded``, ``name-constraint-unsupported``, ``name-constraints-too-many``.
    8. *The leaf* (C2PA 2.2 §14.5; RFC 3161 §2.3 for time stamps): no authority, digitalSignature, names
       its issuer's key, an extended key usage for this purpose.
       ``leaf-is-authority``, ``leaf-may-certify``, ``no-digital-signature``, ``no-authority-key-id``,
       ``no-extended-key-usage``, ``not-for-this-use``, ``any-extended-key-usage``, ``mixed-extended-key-usage``.
    9. *Usages of authorities* (§4.2.1.12 as practised): one that has extended key usages passes on no others.
       ``issuer-not-for-this-use``.
    10. *Choice*: of several paths the one with the right purpose and the fewest problems, then the
        earliest list. One good path is enough.

    Certificate policies are read by ``trust.certificates`` but not processed; a *critical* policy
    constraint, policy mapping or inhibit-any-policy is therefore refused in step 4.

    Parameters
    ----------
    chain : Sequence[x509.Certificate]
        Leaf first; the rest in any order, with or without the root.
    lists : Sequence[TrustList]
    at : datetime
        When the signature was made; without a time zone it is taken as UTC.
    purpose : Purpose, optional
        What the leaf signed: a seal, a time stamp, an identity assertion.

    Returns
    -------
    PathResult
        Never an exception, whatever is in the certificates.
    """
    return _validate(tuple(chain), Listing(lists), utc(at), purpose)


def read_chain(ders: Sequence[bytes]) -> tuple[tuple[x509.Certificate, ...], tuple[PathProblem, ...]]:
    """Read a chain as it is in a seal.

    Parameters
    ----------
    ders : Sequence[bytes]
        DER certificates, leaf first; those after the eighth are not looked at.

    Returns
    -------
    tuple[tuple[x509.Certificate, ...], tuple[PathProblem, ...]]
        What could be read, and ``unreadable-certificate`` or ``chain-too-long`` for the rest. No certificate
        at all when the leaf cannot be read: another must not stand in for it.
    """
    read: list[x509.Certificate] = []
    problems: list[PathProblem] = []
    for index, der in enumerate(ders[:MAX_PATH]):
        try:
            read.append(read_certificate(der))
        except CertificateError as error:
            problems.append(PathProblem("unreadable-certificate", error.message))
            if index == 0:
                return (), tuple(problems)
    if len(ders) > MAX_PATH:
        problems.append(_too_long(len(ders)))
    return tuple(read), tuple(problems)


class PathValidator:
    """Path validation for many seals with the same lists, each distinct chain judged once.

    The outcome of a path changes only when a certificate's validity begins or ends or a list grants
    or withdraws an anchor. Results are kept per chain, purpose and interval between two
    such moments, so they equal those of ``validate_path`` at every time. Safe to share between threads.

    Parameters
    ----------
    lists : Sequence[TrustList]
    size : int, optional
        How many results to keep; the least recently used go first.
    """

    def __init__(self, lists: Sequence[TrustList], *, size: int = 1024) -> None:
        self._listing = Listing(lists)
        self._size = max(1, size)
        self._kept: OrderedDict[tuple[bytes, Purpose], _Judged] = OrderedDict()
        self._lock = Lock()

    def validate(self, ders: Sequence[bytes], *, at: datetime, purpose: Purpose = Purpose.SIGNING) -> PathResult:
        """Read and validate a chain as it is in a seal.

        Parameters
        ----------
        ders : Sequence[bytes]
            DER certificates, leaf first.
        at : datetime
            As for ``validate_path``.
        purpose : Purpose, optional

        Returns
        -------
        PathResult
            That of ``validate_path``, with the problems of ``read_chain`` before its own.
        """
        moment = utc(at)
        # Each DER is hashed first: where one ends and the next begins must not be open to play.
        key = (b"".join(sha256(der).digest() for der in ders), purpose)
        with self._lock:
            judged = self._kept.get(key)
            if judged is None:
                chain, problems = read_chain(ders)
                moments = self._listing.moments_with(chain)
                judged = _Judged(chain=chain, problems=problems, moments=moments, results={})
                self._kept[key] = judged
            self._kept.move_to_end(key)
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
        interval = bisect_right(judged.moments, moment)
        result = judged.results.get(interval)
        if result is None:
            result = _validate(judged.chain, self._listing, moment, purpose)
            if judged.problems:
                result = replace(result, problems=_once((*judged.problems, *result.problems)))
            judged.results[interval] = result
        return result


@dataclass(frozen=True, slots=True)
class _Judged:
    chain: tuple[x509.Certificate, ...]
    problems: tuple[PathProblem, ...]
    moments: tuple[datetime, ...]
    results: dict[int, PathResult]


def _validate(chain: tuple[x509.Certificate, ...], listing: Listing, at: datetime, purpose: Purpose) -> PathResult:
    if not chain:
        problem = PathProblem("no-certificate", "there is no certificate to validate")
        return PathResult(None, None, (), (problem,))
    # Step 1.
    first: list[PathProblem] = []
    if len(chain) > MAX_PATH:
        first.append(_too_long(len(chain)))
    given: dict[bytes, Facts] = {}
    for certificate in chain[:MAX_PATH]:
        facts = facts_of(certificate)
        if facts.digest in given:
            said = f"the certificate ({facts.label}) is in the chain more than once"
            first.append(PathProblem("duplicate-certificate", said))
        given.setdefault(facts.digest, facts)
    leaf, *others = given.values()
    # Steps 2 to 10.
    links = Links()
    best: tuple[tuple[int, ...], Candidate, tuple[PathProblem, ...]] | None = None
    for number, candidate in enumerate(candidates((leaf,), others, listing, links)):
        problems = tuple(_judge(candidate, links, at, purpose))
        rank = _rank(candidate, problems, purpose)
        if best is None or rank < best[0]:
            best = (rank, candidate, problems)
        if number + 1 == _MAX_CANDIDATES:
            break
    if best is None:  # pragma: no cover - every search yields at least the leaf alone
        return PathResult(None, None, chain, tuple(first))
    _, candidate, problems = best
    return PathResult(
        candidate.listed.anchor if candidate.listed else None,
        candidate.listed.trust_list if candidate.listed else None,
        tuple(facts.certificate for facts in candidate.path),
        _once((*first, *problems)),
    )


def _judge(candidate: Candidate, links: Links, at: datetime, purpose: Purpose) -> Iterator[PathProblem]:
    """Apply steps 2 to 9 to one path."""
    path, listed = candidate.path, candidate.listed
    roles = [Role.LEAF, *(Role.ISSUER for _ in path[1:])]
    if listed is not None and len(path) > 1:
        roles[-1] = Role.ANCHOR
    if listed is None:
        # Step 2.
        last = path[-1]
        if last.digest in links.refused:
            said = (
                f"{roles[-1]} ({last.label}) is not signed by the key of the certificate that bears its issuer's name"
            )
            yield PathProblem("link-signature", said)
        yield PathProblem("no-path", "the certificates do not lead to an authority on the trust lists")
    else:
        yield from _anchor_problems(listed, at, purpose)
    for facts, role in zip(path, roles, strict=True):
        # Step 4. What the list itself names is trusted by its bytes, not by who signed it.
        signature_matters = listed is None or facts is not path[-1]
        yield from general_problems(facts, role, at=at, signature_matters=signature_matters)
    # Steps 5 and 6.
    for index in range(1, len(path)):
        yield from _link_problems(path[index - 1], path[index])
        yield from issuer_problems(path[index], roles[index])
        yield from _length_problems(path, index, roles[index])
    # Steps 7, 8 and 9.
    yield from constraint_problems(path)
    yield from leaf_problems(path[0], purpose)
    yield from _usage_problems(path, roles, purpose)


def _anchor_problems(listed: Listed, at: datetime, purpose: Purpose) -> Iterator[PathProblem]:
    """Step 3."""
    anchor, source = listed.anchor, listed.trust_list.name
    if anchor.purpose is not purpose:
        said = f"the trust list {source!r} names {anchor.name!r} for {anchor.purpose}, not for {purpose}"
        yield PathProblem("wrong-list-purpose", said)
    if listed.withdrawn(at):
        said = f"the trust list {source!r} no longer accepted {anchor.name!r} at that time"
        yield PathProblem("withdrawn-anchor", said)


def _link_problems(child: Facts, parent: Facts) -> Iterator[PathProblem]:
    """Step 5."""
    authority = child.extension(x509.AuthorityKeyIdentifier)
    subject = parent.extension(x509.SubjectKeyIdentifier)
    named = authority.value.key_identifier if authority is not None else None
    if named is not None and subject is not None and named != subject.value.digest:
        said = f"the certificate ({child.label}) names another issuer's key than that of ({parent.label})"
        yield PathProblem("key-id-mismatch", said)


def _length_problems(path: Sequence[Facts], index: int, role: Role) -> Iterator[PathProblem]:
    """Step 6, RFC 5280 §6.1.4(l, m): the leaf and renewed keys of one authority do not count."""
    basic = path[index].extension(x509.BasicConstraints)
    limit = basic.value.path_length if basic is not None else None
    below = sum(not facts.self_issued for facts in path[1:index])
    if limit is not None and below > limit:
        said = f"{role} ({path[index].label}) allows {limit} authorities below it and there are {below}"
        yield PathProblem("path-length-exceeded", said)


def _usage_problems(path: Sequence[Facts], roles: Sequence[Role], purpose: Purpose) -> Iterator[PathProblem]:
    """Step 9: some usage must be open to this purpose from the anchor down to the leaf."""
    allowed = ALLOWED_EKU[purpose]
    leaf = path[0].extension(x509.ExtendedKeyUsage)
    open_usages = (frozenset(leaf.value) & allowed if leaf is not None else frozenset()) or allowed
    for facts, role in zip(path[1:], roles[1:], strict=True):
        extension = facts.extension(x509.ExtendedKeyUsage)
        usages = frozenset(extension.value) if extension is not None else frozenset({ANY_EKU})
        if ANY_EKU in usages:
            continue
        if not open_usages & usages:
            said = f"{role} ({facts.label}) may not issue certificates for this use (extended key usage)"
            yield PathProblem("issuer-not-for-this-use", said)
        else:
            open_usages &= usages


def _rank(candidate: Candidate, problems: Sequence[PathProblem], purpose: Purpose) -> tuple[int, ...]:
    """Step 10: lower is better."""
    listed = candidate.listed
    if listed is None:
        return (2, -len(candidate.path), len(problems))
    return (int(listed.anchor.purpose is not purpose), len(problems), listed.order)


def _too_long(count: int) -> PathProblem:
    return PathProblem("chain-too-long", f"the chain has {count} certificates; at most {MAX_PATH} are accepted")


def _once(problems: Sequence[PathProblem]) -> tuple[PathProblem, ...]:
    return tuple(dict.fromkeys(problems))
