"""Verification with the network: who stands behind a signer whom no list at hand knows.

Imported for ``verify --online`` only. For each signer without a listed
authority, in this order:

1. the PID in its certificate, if it is a handle, leads to the record of its
   prefix, which a configured root site gives, and to the store's own record
2. the store's record must hold the signer's certificate
3. the store's trust list counts if its operator is one that the reader has
   accepted before, or one that the prefix's record names **and** that record
   came from a root that the reader lets vouch for authorities

What a store says of itself never suffices. A list that was found so counts for
seals of that prefix alone, names authorities for signing only, and is
forgotten with the run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace.errors import Error, ResolutionError
from rawtrace.report import Finding
from rawtrace.trust import online, sources, truststore
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.certificates import pid_of
from rawtrace.trust.handles.cache import default_cache
from rawtrace.trust.handles.names import Handle, handle_of, upper
from rawtrace.trust.handles.resolve import Hop, Record, Resolver
from rawtrace.trust.handles.roots import all_roots
from rawtrace.trust.handles.values import INSTRUMENT_CERTIFICATE, OPERATOR
from rawtrace.trust.online import Address
from rawtrace.trust.path import read_chain
from rawtrace.verification.evidence import discover
from rawtrace.verification.findings import finding
from rawtrace.verification.receipts import NONE, Receipts, read_beside, read_bytes
from rawtrace.verification.signer import Verifier

MAX_SIGNERS = 16
_OPERATOR = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the network says about one signer.

    Attributes
    ----------
    lists : tuple[TrustList, ...]
        Empty where nothing counts.
    prefix : str
        Of the signer's PID; the lists count for no other.
    finding : Finding
    """

    lists: tuple[TrustList, ...] = ()
    prefix: str = ""
    finding: Finding


@dataclass(slots=True)
class Online:
    """Asks the network, once for each signer of a batch. Safe to share between threads.

    Attributes
    ----------
    resolver : Resolver
    held : tuple[TrustList, ...]
        The lists that the reader goes by; their operators are accepted.
    notes : tuple[Finding, ...]
        What became of fetching newer issues of them; stands in every report.
    """

    resolver: Resolver
    held: tuple[TrustList, ...]
    notes: tuple[Finding, ...] = ()
    _found: dict[bytes, Found] = field(default_factory=dict)
    _stores: dict[str, Address] = field(default_factory=dict)
    _turns: dict[bytes, Lock] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @classmethod
    def open(cls, lists: Sequence[TrustList], *, now: datetime | None = None) -> Online:
        """Fetch newer issues of the user's lists from where they came, and get ready to resolve.

        Parameters
        ----------
        lists : Sequence[TrustList]
            What ``load_trust`` returned.

        Raises
        ------
        MalformedError, FederationError
            ``resolver.json``, or what is kept of a federation, cannot be read.
        """
        newer, notes = _refreshed(lists)
        clock = None if now is None else (lambda: now)
        made = cls(resolver=Resolver(all_roots(), cache=default_cache(), now=clock), held=newer, notes=notes)
        for entry in truststore.listed():
            if entry.carried is not None and sources.address_of(entry.carried.origin):
                made._stores[entry.id] = online.read_address(entry.carried.origin)
        return made

    def prepare(self, path: Path, verifier: Verifier) -> tuple[Verifier, tuple[Finding, ...]]:
        """Return whom to rely on for one path, with what is to be said about it.

        Never raises for what the network says, and takes a bounded time for each signer.
        """
        chains = _unknown_signers(path, verifier)
        if not chains:
            return verifier, self.notes
        found = [self._look_up(chain, verifier) for chain in chains[:MAX_SIGNERS]]
        lists = _without_repeats(one for each in found for one in each.lists)
        strays = _strays(path, verifier, lists, {each.prefix: each.lists for each in found if each.lists})
        said = [each.finding for each in found]
        if strays:
            # A root let one prefix speak for itself; that prefix's authority signed for another one here.
            said = [one for one in said if one.id != "resolved-online"]
            message = (
                f"the authority that was found answers for its own prefix only, and here it stands behind {strays}"
            )
            return verifier, (*self.notes, *_once(said), finding("pid-not-resolved", message))
        if lists:
            verifier = replace(verifier, lists=tuple(sources.newest([*verifier.lists, *lists])))
        return verifier, (*self.notes, *_once(said))

    def receipts(self, path: Path, verifier: Verifier) -> Receipts:
        """Fetch a seal's receipts from its store, where none lies beside it and its trust list names a log.

        What comes is checked as if it had lain there. Never raises.
        """
        evidence = discover(path)
        if evidence.active is None or evidence.seal_path is None or read_beside(evidence.seal_path).by_record:
            return NONE
        trust_list = verifier.paths.validate(evidence.active.signature.chain, at=verifier.clock()).trust_list
        address = None if trust_list is None else self._stores.get(truststore.entry_id(trust_list))
        if trust_list is None or address is None or not trust_list.policies:
            return NONE
        try:
            url = address.url.removesuffix(f"/{online.LIST_PATH}")
            data = online.fetch_receipt(url, evidence.active.claim_sha256, server_key=address.key_sha256)
        except Error:
            return NONE
        return read_bytes(data, what=f"what {url} sent")

    def close(self) -> None:
        """Close every connection."""
        self.resolver.close()

    def _look_up(self, chain: tuple[x509.Certificate, ...], verifier: Verifier) -> Found:
        pid, der = pid_of(chain[0]), chain[0].public_bytes(Encoding.DER)
        with self._lock:
            turn = self._turns.setdefault(der, Lock())
        # Of the files of one signer, the first asks and the others wait for what it learns.
        with turn:
            known = self._found.get(der)
            if known is None:
                try:
                    known = self._resolve(pid, der, verifier)
                except Error as error:
                    message = f"the network does not lead from the signer's PID to an authority: {error.message}"
                    known = Found(finding=finding("pid-not-resolved", message, hint=error.hint, evidence={"pid": pid}))
                self._found[der] = known
        return known

    def _resolve(self, pid: str, der: bytes, verifier: Verifier) -> Found:
        handle = handle_of(pid)
        if handle is None:
            msg = f"the signer's PID, {pid or 'which it does not have'}, is not a handle"
            raise ResolutionError(msg)
        prefix = self.resolver.prefix(handle.prefix)
        record = self.resolver.resolve(handle)
        store = record.hops[-1]
        if der not in {value.data for value in record.all(INSTRUMENT_CERTIFICATE)}:
            msg = f"the store {store.url} does not hold this certificate for {handle.text}"
            raise ResolutionError(msg)
        vouched = _vouched(prefix)
        accepted = {one.operator_sha256 for one in (*verifier.lists, *self.held) if one.signed}
        address = Address(url=f"{store.url}/{online.LIST_PATH}", key_sha256=store.key_sha256)
        fetched = online.fetch(address, accepted=accepted | vouched)
        self._stores |= {truststore.entry_id(one.trust_list): address for one in fetched}
        lists = tuple(_for_signing(one.trust_list) for one in fetched)
        reason = _reason(lists, accepted, prefix)
        return Found(
            lists=lists,
            prefix=upper(handle.prefix),
            finding=finding(
                "resolved-online",
                f"{handle.text} leads to the trust store {store.url}, whose trust list {lists[0].name} "
                f"(issue {lists[0].sequence} of {lists[0].issued:%Y-%m-%d}) counts: {reason}; "
                f"the record of the instrument is of {_shown(store.fetched_at)}",
                evidence=_evidence(pid, prefix, record, lists, handle),
            ),
        )


def _refreshed(lists: Sequence[TrustList]) -> tuple[tuple[TrustList, ...], tuple[Finding, ...]]:
    """Fetch again what came from an address; an older issue than the one held is passed over."""
    newest, notes = list(lists), []
    for entry in truststore.listed():
        carried = entry.carried
        if carried is None or not sources.address_of(carried.origin):
            continue
        if not any(truststore.entry_id(one) == entry.id for one in lists):
            continue
        name = carried.trust_list.name
        try:
            fetched = online.fetch(carried.origin, accepted={carried.trust_list.operator_sha256})
            same = [one.trust_list for one in fetched if truststore.entry_id(one.trust_list) == entry.id]
            newest = list(sources.newest([*newest, *same]))
            found = next(one for one in newest if truststore.entry_id(one) == entry.id)
            issue = f"issue {found.sequence} of {found.issued:%Y-%m-%d}"
            notes.append(finding("list-refreshed", f"the trust list {name} was fetched again: {issue} counts"))
        except Error as error:
            message = f"the trust list {name} was not fetched again: {error.message}"
            notes.append(finding("list-not-refreshed", message))
    return tuple(newest), tuple(notes)


def _unknown_signers(path: Path, verifier: Verifier) -> list[tuple[x509.Certificate, ...]]:
    """Return the chains of the seals of a path that no list at hand leads to, each once."""
    chains: dict[bytes, tuple[x509.Certificate, ...]] = {}
    for ders in _signers(path):
        if not _is_known(ders, verifier):
            chain, _ = read_chain(ders)
            if chain:
                chains.setdefault(ders[0], chain)
    return list(chains.values())


def _strays(
    path: Path, verifier: Verifier, lists: Sequence[TrustList], by_prefix: dict[str, tuple[TrustList, ...]]
) -> str:
    """Return a PID that would be judged by a list that was found for another prefix; empty if there is none."""
    if not lists:
        return ""
    widened = replace(verifier, lists=(*verifier.lists, *lists))
    for ders in _signers(path):
        chain, _ = read_chain(ders)
        if chain and any(
            _is_stray(ders, chain[0], at, verifier, widened, by_prefix) for at in _moments(chain[0], verifier)
        ):
            return pid_of(chain[0]) or "a signer without a PID"
    return ""


def _is_stray(
    ders: Sequence[bytes],
    leaf: x509.Certificate,
    at: datetime,
    verifier: Verifier,
    widened: Verifier,
    by_prefix: dict[str, tuple[TrustList, ...]],
) -> bool:
    before, judged = verifier.paths.validate(ders, at=at), widened.paths.validate(ders, at=at)
    if judged.anchor is None or _same_list(before.trust_list, judged.trust_list):
        return False
    handle = handle_of(pid_of(leaf))
    own = () if handle is None else by_prefix.get(upper(handle.prefix), ())
    # Also a signer whom the reader's own lists know, and perhaps no longer accept, is nobody else's to judge.
    return (before.anchor is not None and before.anchor.purpose is Purpose.SIGNING) or judged.trust_list not in own


def _moments(leaf: x509.Certificate, verifier: Verifier) -> tuple[datetime, ...]:
    """Return times at which a seal may be judged: a time stamp may prove any within the validity."""
    return verifier.clock(), leaf.not_valid_before_utc, leaf.not_valid_after_utc


def _same_list(one: TrustList | None, other: TrustList | None) -> bool:
    return one is not None and other is not None and truststore.entry_id(one) == truststore.entry_id(other)


def _is_known(ders: Sequence[bytes], verifier: Verifier) -> bool:
    anchor = verifier.paths.validate(ders, at=verifier.clock()).anchor
    return anchor is not None and anchor.purpose is Purpose.SIGNING


def _signers(path: Path) -> list[tuple[bytes, ...]]:
    store = discover(path).store
    return [] if store is None else [tuple(one.signature.chain) for one in store.manifests.values()]


def _vouched(prefix: Record) -> frozenset[str]:
    """Return the operators that a root names for a prefix, if the reader lets that root vouch."""
    if prefix.root is None or not prefix.root.vouches:
        return frozenset()
    named = (_OPERATOR.fullmatch(value.text.strip()) for value in prefix.all(OPERATOR))
    return frozenset(match[1] for match in named if match)


def _for_signing(one: TrustList) -> TrustList:
    """Leave a list's authorities for seals only: a root vouches for instruments, not for time, and so for no log."""
    kept = tuple(anchor for anchor in one.anchors if anchor.purpose is Purpose.SIGNING)
    return replace(one, anchors=kept, policies=())


def _reason(lists: Sequence[TrustList], accepted: Collection[str], prefix: Record) -> str:
    if all(one.operator_sha256 in accepted for one in lists):
        return "its operator is one that you accepted before"
    root = prefix.root
    name = "" if root is None else root.name or root.url
    return f"the root {name} vouches for its operator, asked {_shown(prefix.hops[-1].fetched_at)}"


def _evidence(pid: str, prefix: Record, record: Record, lists: Sequence[TrustList], handle: Handle) -> dict[str, Any]:
    hops = {(hop.handle, hop.url): hop for hop in (*prefix.hops, *record.hops)}
    return {
        "pid": pid,
        "counts_for": handle.prefix,
        "record_signed": record.signed,
        "lists": [one.facts() for one in lists],
        "asked": [_hop(hop) for hop in hops.values()],
    }


def _hop(hop: Hop) -> dict[str, Any]:
    age = datetime.now(UTC) - hop.fetched_at
    return {
        "handle": hop.handle,
        "url": hop.url,
        "key_sha256": hop.key_sha256,
        "fetched_at": hop.fetched_at.isoformat(timespec="seconds"),
        "age_s": max(0, int(age.total_seconds())),
        "cached": hop.cached,
    }


def _without_repeats(lists: Any) -> tuple[TrustList, ...]:
    return tuple({one.content_sha256: one for one in lists}.values())


def _once(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple({one.message: one for one in findings}.values())


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
