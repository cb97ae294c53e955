"""Finding, Report and Verdict: the one shape that terminal, JSON and web page show.

A ``Finding`` is one check's outcome. A ``Report`` holds all findings about one
asset, in the order of the numbered steps of ``docs/spec/verification.md``, and
its verdict is the worst that they support. *Not checked* is never *passed*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from rawtrace.errors import NotVerifiedError

REPORT_SCHEMA = "urn:rawtrace:schema:report:1"


class Verdict(StrEnum):
    """The report's one word; ``exit_code`` is what the command line exits with."""

    VERIFIED = "verified"
    VERIFIED_WITH_NOTES = "verified-with-notes"
    NO_SEAL = "no-seal"
    INCONCLUSIVE = "inconclusive"
    ALTERED = "altered"
    REJECTED = "rejected"

    @property
    def exit_code(self) -> int:
        """Exit code of the design's table: 0, 10, 11, 12 or 13."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Verdict.VERIFIED: 0,
    Verdict.VERIFIED_WITH_NOTES: 0,
    Verdict.NO_SEAL: 10,
    Verdict.INCONCLUSIVE: 11,
    Verdict.ALTERED: 12,
    Verdict.REJECTED: 13,
}
_ORDER = tuple(Verdict)


class Outcome(StrEnum):
    """What one check came to; every outcome but ``passed`` keeps the verdict from ``verified``."""

    PASSED = "passed"
    NOTE = "note"
    NOT_CHECKED = "not-checked"
    NO_SEAL = "no-seal"
    INCONCLUSIVE = "inconclusive"
    ALTERED = "altered"
    REJECTED = "rejected"

    @property
    def verdict(self) -> Verdict:
        """The best verdict that a report with this outcome in it can still have."""
        return _VERDICTS[self]


_VERDICTS = {
    Outcome.PASSED: Verdict.VERIFIED,
    Outcome.NOTE: Verdict.VERIFIED_WITH_NOTES,
    Outcome.NOT_CHECKED: Verdict.VERIFIED_WITH_NOTES,
    Outcome.NO_SEAL: Verdict.NO_SEAL,
    Outcome.INCONCLUSIVE: Verdict.INCONCLUSIVE,
    Outcome.ALTERED: Verdict.ALTERED,
    Outcome.REJECTED: Verdict.REJECTED,
}


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of some verdicts; ``verified`` when there are none."""
    return max(verdicts, key=_ORDER.index, default=Verdict.VERIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check's outcome.

    Attributes
    ----------
    id : str
        Stable name, such as ``bytes-changed``; each has an entry in
        ``docs/reference/findings.md``.
    step : int
        The step of ``docs/spec/verification.md`` that it belongs to, from 1.
    outcome : Outcome
    message : str
        One sentence of plain words, evidence and no accusation.
    subject : str
        What it is about when that is not the asset itself: a member of a
        folder, an ancestor's title.
    hint : str
        What a reader may do next; empty when there is nothing to do.
    evidence : Mapping[str, Any]
        Values behind the sentence, JSON types only.
    """

    id: str
    step: int
    outcome: Outcome
    message: str
    subject: str = ""
    hint: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealFacts:
    """What a seal says of itself; *said*, not *proven*: the findings tell which is which.

    Attributes
    ----------
    label, claim_sha256 : str
        The seal's name: manifest label and SHA-256 of the claim, hexadecimal.
    signer, signer_kind, authority : str
        Common name and kind (``instrument``, ``workstation``, ``repository``,
        ``self``, ``unknown``) from the certificate, and the issuer's name.
    instrument : Mapping[str, Any]
        The ``org.rawtrace.instrument`` assertion.
    acquisition : Mapping[str, Any]
        The ``org.rawtrace.acquisition`` assertion.
    actions : tuple[Mapping[str, Any], ...]
        The actions of ``c2pa.actions``.
    digital_source_type : str
        Last part of the IPTC term, such as ``digitalCapture``; empty if not said.
    sealed_at : str
        The signer's own clock, ISO 8601; ``trusted_time`` is proven, or empty.
    """

    label: str
    claim_sha256: str
    signer: str = ""
    signer_kind: str = "unknown"
    authority: str = ""
    certificate_sha256: str = ""
    instrument: Mapping[str, Any] = field(default_factory=dict)
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    actions: tuple[Mapping[str, Any], ...] = ()
    digital_source_type: str = ""
    sealed_at: str = ""
    trusted_time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One node of the chain from the asset (first) to its oldest ancestors.

    Attributes
    ----------
    key : str
        Unique in the report.
    parents : tuple[str, ...]
        Keys of the nodes that this one was made from.
    relationship : str
        ``parentOf``, ``componentOf`` or ``inputTo``; empty for the asset itself.
    verdict : Verdict
        Of this node alone.
    file : str
        Path of the ancestor's file where it was found, else empty.
    """

    key: str
    title: str
    verdict: Verdict
    parents: tuple[str, ...] = ()
    relationship: str = ""
    file: str = ""
    seal: SealFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings about one asset, in step order, and the verdict they support.

    A report has no truth value: ``if verify(x):`` raises ``TypeError`` so that
    a weak verdict cannot slip through as true.

    Attributes
    ----------
    path : str
        The asset, as it was named.
    summary : str
        The verdict in one sentence.
    trust : tuple[Mapping[str, Any], ...]
        The trust lists used: name, operator, issued, next update, sequence.
    policy : str
        Name of the policy that was applied.
    checked_at : str
        When, ISO 8601 in UTC.
    cost : Mapping[str, float]
        ``seconds`` that the check took and ``bytes_read``, of the asset itself.
    """

    path: str
    verdict: Verdict
    summary: str
    findings: tuple[Finding, ...]
    seal: SealFacts | None = None
    chain: tuple[ChainLink, ...] = ()
    trust: tuple[Mapping[str, Any], ...] = ()
    policy: str = "default"
    checked_at: str = ""
    cost: Mapping[str, float] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Refuse: a verdict has more than two values."""
        msg = "a Report is neither true nor false: look at report.verdict or call report.raise_for_failure()"
        raise TypeError(msg)

    @property
    def exit_code(self) -> int:
        """Exit code of the verdict."""
        return self.verdict.exit_code

    def raise_for_failure(self) -> None:
        """Raise ``NotVerifiedError`` unless the verdict is ``verified`` or ``verified-with-notes``."""
        if self.exit_code:
            msg = f"{self.path}: {self.verdict}: {self.summary}"
            raise NotVerifiedError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON types, by the schema ``urn:rawtrace:schema:report:1``."""
        return {"schema": REPORT_SCHEMA, **asdict(self)}


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict that some findings support: the worst of them."""
    return worst(finding.outcome.verdict for finding in findings)
