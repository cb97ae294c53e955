"""From a figure back to what it shows: first by its seal, then by its content.

In this order, and every answer says by which evidence: the seal's own chain; the
digests of planes; codes; points, or for blots and gels the strip itself. What is
found is verified in turn, so that the answer goes on to the instrument. Where
nothing is found, that is the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error
from rawtrace.progress import SILENT, Progress
from rawtrace.report import ChainLink, Report, SealFacts, Verdict
from rawtrace.trust.anchors import TrustList
from rawtrace.verification.policy import DEFAULT, Policy
from rawtrace.verification.signer import Verifier
from rawtrace.verification.verify import verify_with

if TYPE_CHECKING:
    from rawtrace.match.galleries import Gallery
    from rawtrace.match.model import Match
    from rawtrace.verification.recovered import RecoveredSeal, Service

SCHEMA = "urn:rawtrace:schema:trace:1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One original that the content leads to.

    Attributes
    ----------
    match : Match
        What was found, and by which evidence.
    report : Report or None
        What verifying the original's file came to; ``None`` where it is not at hand.
    """

    match: Match
    report: Report | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Where a figure comes from, as far as can be told.

    Attributes
    ----------
    path : str
        The figure.
    report : Report
        What verifying it came to; ``no-seal`` where it has none. Its chain is the seal's own answer.
    origins : tuple[Origin, ...]
        The content's answer, best first.
    searched : int
        In how many views; 0 where no place to look in was named.
    notes : tuple[str, ...]
        What was not looked at, and why; what was sent to a service.
    seals : tuple[RecoveredSeal, ...]
        What a service names, best first.
    """

    path: str
    report: Report
    origins: tuple[Origin, ...] = ()
    searched: int = 0
    notes: tuple[str, ...] = ()
    seals: tuple[RecoveredSeal, ...] = ()

    @property
    def sealed_origins(self) -> tuple[ChainLink, ...]:
        """The data at the ends of the seal's chain; none where the seal itself does not hold."""
        if self.report.verdict in {Verdict.NO_SEAL, Verdict.ALTERED, Verdict.REJECTED}:
            return ()
        return tuple(link for link in self.report.chain[1:] if not link.parents)

    @property
    def found(self) -> bool:
        """Whether seal, content or a service name any original."""
        return bool(self.origins or self.sealed_origins or any(one.facts for one in self.seals))

    def to_dict(self) -> dict[str, Any]:
        """Return the trace as JSON types, by the schema ``urn:rawtrace:schema:trace:1``."""
        from rawtrace.match.telling import match_value

        return {
            "schema": SCHEMA,
            "path": self.path,
            "found": self.found,
            "seal": {
                "verdict": self.report.verdict,
                "summary": self.report.summary,
                "origins": [asdict(link) for link in self.sealed_origins],
            },
            "content": [
                {
                    **match_value(origin.match),
                    "verdict": origin.report.verdict if origin.report is not None else None,
                    "instrument": _instrument(origin.report),
                }
                for origin in self.origins
            ],
            "searched": self.searched,
            "notes": list(self.notes),
            "seals": [
                {
                    "label": one.label,
                    "score": one.score,
                    "sound": one.sound,
                    "summary": one.summary,
                    "instrument": _said_of_instrument(one.facts),
                }
                for one in self.seals
            ],
        }


def trace(
    path: str | Path,
    *,
    gallery: Gallery | None = None,
    service: Service | None = None,
    trust: Sequence[TrustList] = (),
    policy: Policy = DEFAULT,
    originals: Sequence[str | Path] = (),
    limit: int = 10,
    progress: Progress = SILENT,
) -> Trace:
    """Trace a figure back to what it shows.

    Parameters
    ----------
    path : str or Path
    gallery : Gallery, optional
        Where to look for its content, such as an open ``rawtrace.match.index.PictureIndex``.
    service : Service, optional
        Which service to ask for seals; it is sent codes of the figure.
    trust, policy, originals
        As for ``verify``.
    limit : int
        At most so many answers by content.

    Raises
    ------
    InputNotFoundError, UnreadableError
    MissingExtraError
        A gallery was given, and the extra ``match`` is not installed.
    """
    figure = Path(path)
    verifier = Verifier(tuple(trust), None)
    places = tuple(Path(one) for one in originals)
    report = verify_with(verifier, figure, policy=policy, originals=places, progress=progress)
    if service is not None:
        from rawtrace.verification.recovered import recover

        seals, said = recover(figure, service, trust=trust, policy=policy, limit=limit)
        return Trace(path=str(path), report=report, seals=seals, notes=said)
    if gallery is None:
        return Trace(path=str(path), report=report, notes=("no index or folder to look in was named",))
    from rawtrace.match.lookup import look_up

    try:
        looked = look_up(figure, gallery, limit=limit, progress=progress)
    except Error as error:
        note = f"the content was not looked for: {error.message}"
        return Trace(path=str(path), report=report, notes=(note,))
    origins = tuple(
        Origin(match=match, report=_verified(verifier, Path(match.where.source), policy, places))
        for match in looked.matches
    )
    return Trace(path=str(path), report=report, origins=origins, searched=_searched(gallery), notes=looked.notes)


def _verified(verifier: Verifier, source: Path, policy: Policy, places: Sequence[Path]) -> Report | None:
    try:
        return verify_with(verifier, source, policy=policy, originals=places)
    except Error:
        return None


def _searched(gallery: Gallery) -> int:
    counts = getattr(gallery, "counts", None)
    return int(counts()["views"]) if counts is not None else 0


def _instrument(report: Report | None) -> dict[str, Any] | None:
    return None if report is None else _said_of_instrument(report.seal)


def _said_of_instrument(facts: SealFacts | None) -> dict[str, Any] | None:
    if facts is None or not facts.instrument:
        return None
    said = facts.instrument
    return {key: said[key] for key in ("pid", "name", "manufacturer", "model", "owner") if key in said}
