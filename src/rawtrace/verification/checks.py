"""Steps 2, 4, 5, 6 and 9: what holds for one manifest, be it the asset's own or an ancestor's.

The steps are numbered as in ``docs/spec/verification.md``. Each check yields all
its findings, not the first. The word of the C2PA library is one piece of
evidence among others and never the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from rawtrace.report import Finding
from rawtrace.sealing import assertions
from rawtrace.sealing.assertions import INPUTS
from rawtrace.sealing.envelope import LibraryWord
from rawtrace.sealing.manifest import Manifest
from rawtrace.sealing.model import base_label
from rawtrace.trust import lotestatus, scope
from rawtrace.trust.anchors import StatusRecord
from rawtrace.trust.certificates import name_of
from rawtrace.trust.status import Standing
from rawtrace.verification.evidence import statement
from rawtrace.verification.findings import finding
from rawtrace.verification.signer import CLOCK_TOLERANCE, SignerEvidence, Verifier

_NO_PATH = frozenset({"no-path", "link-signature", "no-certificate", "unreadable-certificate"})
_EXPIRED = ("-expired",)
_EARLY = ("-not-yet-valid",)


def check_envelope(manifest: Manifest, word: LibraryWord | None, *, asked: bool = False) -> Iterator[Finding]:
    """Step 2: the seal's own parts fit together, in our reader and in the library's.

    Parameters
    ----------
    word : LibraryWord or None
        ``None`` for an ancestor, as the library is asked about the whole store once, and for a store in
        which our own reader found a fault.
    asked : bool
        Whether the library's word belongs to this manifest; without one it is said to be missing.
    """
    for problem in manifest.problems:
        yield finding("envelope-broken", f"the seal does not hold: {problem.message}", evidence={"code": problem.code})
    if word is not None and not manifest.problems and (word.failures or not word.readable):
        yield finding(
            "readers-disagree",
            f"rawtrace's own reader accepts the seal and the C2PA library does not: {', '.join(word.failures)}",
            evidence={"library": list(word.failures)},
        )
    if not manifest.problems and (word is None or not word.failures):
        yield finding("envelope-sound", "the signature holds and every statement is as it was signed")
    if asked and word is None and not manifest.problems:
        message = "the C2PA library was not asked: another seal inside this one does not hold"
        yield finding("second-reader-not-asked", message)
    yield from _check_redactions(manifest)
    for label, known in assertions.VERSIONS.items():
        stated = statement(manifest, label).get("version")
        if isinstance(stated, int) and stated > known:
            yield finding(
                "statement-newer", f"{label} is of version {stated}, newer than this tool, which knows version {known}"
            )


def _check_redactions(manifest: Manifest) -> Iterator[Finding]:
    """Say what a later signer took out; where it named ancestors, the chain has a gap."""
    for label in manifest.redacted:
        if base_label(label).startswith("c2pa.ingredient") or base_label(label) == INPUTS:
            message = f"a later signer took {label} out, so what this was made from is no longer named in full"
            yield finding("ancestors-redacted", message)
        else:
            yield finding("statement-redacted", f"a later signer took {label} out")


def check_certificate(signer: SignerEvidence, verifier: Verifier) -> Iterator[Finding]:
    """Step 4: the certificate path at the time of signing."""
    name = _name(signer)
    path = signer.path
    codes = {problem.code for problem in path.problems}
    if not verifier.lists:
        yield finding("no-trust-lists", "no trust list was given, so nobody's certificate can be relied on")
        return
    if path.anchor is None or codes & _NO_PATH:
        message = f"no authority on the trust lists stands behind the signer, {name}"
        yield finding("signer-unknown", message, evidence={"problems": [p.message for p in path.problems]})
        return
    for problem in path.problems:
        code, message = problem.code, problem.message
        proof = {"code": code}
        if code == "wrong-list-purpose":
            yield finding("signer-other-purpose", message, evidence=proof)
        elif code == "withdrawn-anchor":
            yield finding("authority-withdrawn", message, evidence=proof)
        elif code.endswith(_EXPIRED) and signer.trusted_at is None:
            yield finding(
                "certificate-expired", f"{message}, and no trusted time proves when it signed", evidence=proof
            )
        elif code.endswith(_EARLY) and signer.trusted_at is None:
            yield finding("certificate-not-yet-valid", message, evidence=proof)
        else:
            yield finding("path-broken", f"the certificates break a rule: {message}", evidence=proof)
    if not path.problems:
        trust_list = path.trust_list.name if path.trust_list else ""
        yield finding(
            "path-good",
            f"{name} is certified by {path.anchor.name}, an authority on the trust list {trust_list}",
            evidence={
                "anchor": path.anchor.name,
                "trust_list": trust_list,
                "signed_at_trusted": bool(signer.trusted_at),
            },
        )
    yield from _check_claimed_validity(signer)


def check_status(signer: SignerEvidence, verifier: Verifier) -> Iterator[Finding]:
    """Step 5: does a status speak against the certificate, and from when on."""
    if signer.path.anchor is None:
        yield finding("status-not-checked", "the status was not checked: no listed authority stands behind the signer")
        return
    standing, record = verifier.statuses.standing(
        signer.path.chain,
        claimed_at=signer.claimed_at,
        trusted_at=signer.stamped_at,
        stated=signer.stated,
        proofs=signer.proofs,
    )
    proof = {} if record is None else _status_evidence(record)
    when = "" if record is None else f" ({record.reason}, on {record.revoked_at:%Y-%m-%d})"
    what, why = "the certificate", ""
    if record is not None and record.scope is not None and signer.stated is not None:
        what, why = record.scope.words, f", and of this seal holds: {scope.fit(record.scope, signer.stated)[1]}"
    if standing is Standing.GOOD:
        yield finding("status-good", "no status on the trust lists speaks against the certificate")
    elif standing is Standing.REVOKED_AFTER:
        yield finding("revoked-after", f"{what} was revoked later{when}; this seal is older", evidence=proof)
    elif standing is Standing.REVOKED_BEFORE:
        message = f"{what} was already revoked when this seal was made{when}{why}"
        yield finding("revoked-before", message, evidence=proof)
    elif standing is Standing.COMPROMISE_UNPROVEN:
        message = f"{what} was revoked{when}{why}, and nothing proves that this seal is older than the doubt"
        yield finding("compromise-unproven", message, evidence=proof)
    elif standing is Standing.SCOPE_UNSTATED:
        message = f"{what} was revoked{when}, and whether this seal is meant is open{why}"
        yield finding("scope-unstated", message, evidence=proof)
    else:
        yield finding("status-not-checked", "no trust list at hand says whether the certificate was revoked")
    listed = signer.path.trust_list
    if listed is not None and listed.expired(verifier.clock()):
        yield finding(
            "trust-list-stale", f"the trust list {listed.name} should have been renewed by {listed.next_update}"
        )
    if listed is not None and not listed.signed:
        yield finding("trust-list-unsigned", f"the trust list {listed.name} bears no signature")


def check_time(signer: SignerEvidence, verifier: Verifier) -> Iterator[Finding]:
    """Step 6: who vouches for the time."""
    for problem in signer.time_problems:
        yield finding("time-stamp-unusable", f"a time stamp is there but proves nothing: {problem}")
    if signer.trusted_at is not None:
        stamped = signer.trusted_at == signer.stamped_at
        who = "a listed time-stamping authority proves" if stamped else "the witnesses of a log prove"
        message = f"{who} that the seal existed on {_shown(signer.trusted_at)}"
        proof = {"time": signer.trusted_at.isoformat(), "by": "time-stamp" if stamped else "log"}
        yield finding("time-trusted", message, evidence=proof)
    elif signer.claimed_at is not None:
        yield finding(
            "no-trusted-time",
            f"sealed on {_shown(signer.claimed_at)} by the signer's own clock; no trusted time yet",
            evidence={"claimed": signer.claimed_at.isoformat()},
        )
    if signer.claimed_at is None:
        yield finding("time-not-stated", "the seal does not say when it was made")
    elif signer.claimed_at > verifier.clock() + CLOCK_TOLERANCE:
        yield finding("clock-ahead", f"the seal says {_shown(signer.claimed_at)}, which has not come yet by this clock")


def check_receipts(signer: SignerEvidence, verifier: Verifier) -> Iterator[Finding]:
    """Step 9: does a log hold the seal, as the receipts at hand prove."""
    yield from signer.logged
    if signer.logged:
        return
    listed = signer.path.trust_list
    if signer.manifest.is_update:
        # It adds a signature to a seal; whether the log holds that seal is asked of the seal itself.
        yield finding("receipt-none", "the seal adds to an older one, which is asked for a receipt by itself")
    elif listed is None or not listed.policies:
        yield finding("receipt-none", "no receipt of a log is there, and the signer's trust list asks for none")
    else:
        logs = sorted({log.key.name for policy in listed.policies for log in policy.logs})
        message = f"no receipt is there, though the trust list {listed.name} names a log: {', '.join(logs)}"
        yield finding("receipt-missing", message)


def _status_evidence(record: StatusRecord) -> dict[str, Any]:
    about: dict[str, Any] = (
        {"serial": f"{record.serial:x}"} if record.scope is None else {"scope": lotestatus.write_scope(record.scope)}
    )
    places = {"doubt_from": record.doubt_from, "logged": record.logged}
    said = {name: lotestatus.write_position(place) for name, place in places.items() if place is not None}
    return {**about, "reason": record.reason, "note": record.note, **said}


def _check_claimed_validity(signer: SignerEvidence) -> Iterator[Finding]:
    """Without a proven time, the claimed one must at least lie inside the certificate's validity."""
    leaf, claimed = signer.leaf, signer.claimed_at
    if leaf is None or claimed is None or signer.trusted_at is not None:
        return
    if claimed < leaf.not_valid_before_utc - CLOCK_TOLERANCE:
        message = (
            f"the seal says {_shown(claimed)}, before the certificate began on {_shown(leaf.not_valid_before_utc)}"
        )
        yield finding("certificate-not-yet-valid", message)


def _name(signer: SignerEvidence) -> str:
    return name_of(signer.leaf) if signer.leaf is not None else "whose certificate cannot be read"


def _shown(moment: datetime) -> str:
    try:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # the first or last day of the calendar, in another zone
        return moment.isoformat(sep=" ")
