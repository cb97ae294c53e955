"""Verification: one path in, one report out, all findings in the order of the steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rawtrace.errors import UsageError
from rawtrace.progress import SILENT, Counting, Progress
from rawtrace.report import ChainLink, Finding, Report, Verdict, verdict_of
from rawtrace.sealing import envelope
from rawtrace.trust.anchors import TrustList
from rawtrace.verification import checks, receipts, trail
from rawtrace.verification.content import check_content
from rawtrace.verification.evidence import Evidence, discover
from rawtrace.verification.policy import DEFAULT, Policy
from rawtrace.verification.signer import Verifier, gather_signer
from rawtrace.verification.statement import check_statement


def verify(
    path: str | Path,
    *,
    trust: Sequence[TrustList],
    policy: Policy = DEFAULT,
    originals: Sequence[str | Path] = (),
    now: datetime | None = None,
    progress: Progress = SILENT,
) -> Report:
    """Check a file or a folder against its seal, offline.

    Parameters
    ----------
    path : str or Path
        The data; a seal's or an index's path stands for the data it belongs to.
    trust : Sequence[TrustList]
        Whom to rely on; see ``rawtrace.trust.truststore.load_trust``.
    policy : Policy
    originals : Sequence of str or Path
        Folders in which ancestors' files may be found.
    now : datetime, optional
        Check as of another time than now.

    Returns
    -------
    Report
        Never raised as an error: a missing, broken or foreign seal is a verdict.

    Raises
    ------
    InputNotFoundError, UnreadableError
        The data itself cannot be read.
    UsageError
        ``now`` names no time zone.
    """
    if now is not None and now.tzinfo is None:
        msg = f"the time {now.isoformat()} names no zone; expected one with its zone, such as UTC"
        raise UsageError(msg)
    places = tuple(Path(one) for one in originals)
    return verify_with(Verifier(tuple(trust), now), Path(path), policy=policy, originals=places, progress=progress)


def verify_with(
    verifier: Verifier,
    path: Path,
    *,
    policy: Policy = DEFAULT,
    originals: Sequence[Path] = (),
    more: Sequence[Finding] = (),
    fetched: receipts.Receipts = receipts.NONE,
    progress: Progress = SILENT,
) -> Report:
    """Check one path with a verifier that was made for many; see ``verify``.

    ``more`` are findings that were made on the way to the verifier, ``fetched``
    receipts that do not lie beside the seal.
    """
    started = time.perf_counter()
    read = Counting(progress)
    evidence = discover(path)
    findings: list[Finding] = [*evidence.findings, *more]
    seal = None
    chain: tuple[ChainLink, ...] = ()
    if evidence.store is not None and evidence.active is not None:
        found = receipts.read_beside(evidence.seal_path) if evidence.seal_path is not None else receipts.NONE
        found = found.with_more(fetched)
        signer = gather_signer(evidence.active, evidence.store, verifier, found)
        findings += checks.check_envelope(evidence.active, _library_word(evidence), asked=True)
        findings += check_content(evidence, progress=read)
        findings += checks.check_certificate(signer, verifier)
        findings += checks.check_status(signer, verifier)
        findings += checks.check_time(signer, verifier)
        findings += check_statement(signer)
        findings += receipts.about_file(found, evidence.store)
        findings += checks.check_receipts(signer, verifier)
        findings = [policy.weigh(finding) for finding in findings]
        seal = trail.facts_of(signer)
        asset = ChainLink(
            key=evidence.active.label, title=evidence.path.name, verdict=verdict_of(findings), file=str(path), seal=seal
        )
        bound = evidence.store.bound_manifest()
        if bound is not None and bound is not evidence.active:
            # An update adds a signature and a time; who and what recorded the data stands in the seal that it updates.
            seal = trail.facts_of(gather_signer(bound, evidence.store, verifier, found))
        followed = trail.follow(evidence, asset, verifier, policy, originals=originals, receipts=found)
        findings += followed.findings
        chain = followed.chain
    findings.sort(key=lambda finding: finding.step)
    verdict = verdict_of(findings)
    return Report(
        path=str(path),
        verdict=verdict,
        summary=_summary(verdict, findings, policy),
        findings=tuple(findings),
        seal=seal,
        chain=chain,
        trust=tuple(one.facts() for one in verifier.lists),
        policy=policy.name,
        checked_at=verifier.clock().astimezone(UTC).isoformat(timespec="seconds"),
        cost={"seconds": round(time.perf_counter() - started, 6), "bytes_read": read.done},
    )


def _library_word(evidence: Evidence) -> envelope.LibraryWord | None:
    """Ask the C2PA library, but not about what our own reader refuses.

    A few bytes of malformed CBOR make the library take more than a gigabyte of memory.
    """
    if evidence.store is None or any(manifest.problems for manifest in evidence.store.manifests.values()):
        return None
    return envelope.library_word(evidence.raw)


def _summary(verdict: Verdict, findings: Sequence[Finding], policy: Policy) -> str:
    """Say the verdict in one sentence: the first of the findings that make it what it is."""
    decisive = [finding for finding in findings if finding.outcome.verdict is verdict]
    weighed = "" if policy == DEFAULT else f" (weighed by the policy {policy.name})"
    if verdict is Verdict.VERIFIED:
        return f"the data is what was sealed, and the signer is certified by a listed authority{weighed}"
    if verdict is Verdict.VERIFIED_WITH_NOTES:
        count = len({finding.id for finding in decisive})
        things = "one thing" if count == 1 else f"{count} things"
        said = "the data is what was sealed, and the signer is certified by a listed authority"
        return f"{said}; {things} to know{weighed}"
    more = len(decisive) - 1
    return decisive[0].message + (f" (and {more} more)" if more > 0 else "")
