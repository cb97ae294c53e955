"""The signer of one manifest: its certificate path as of the time of signing, and the two times.

Made once for each manifest, so that the steps of ``checks`` and ``statement``
share one reading. A ``Verifier`` is made once for a batch, so that each signer
is judged once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace.sealing import timestamp
from rawtrace.sealing.assertions import ACQUISITION
from rawtrace.sealing.manifest import Manifest, Store
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.path import PathProblem, PathResult, PathValidator
from rawtrace.trust.status import Standing, StatusReader
from rawtrace.verification.evidence import actions, statement

#: How far two clocks may be apart without a word about it.
CLOCK_TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Whom to trust and what time it is; made once for a batch, so that each signer is judged once.

    Attributes
    ----------
    lists : tuple[TrustList, ...]
    now : datetime or None
        For tests and for looking back; ``None``: the clock.
    """

    lists: tuple[TrustList, ...]
    now: datetime | None = None
    paths: PathValidator = field(init=False, repr=False, compare=False)
    statuses: StatusReader = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the memos of path validation and status look-up."""
        object.__setattr__(self, "paths", PathValidator(self.lists))
        object.__setattr__(self, "statuses", StatusReader(self.lists))

    def clock(self) -> datetime:
        """Return the time of checking, UTC."""
        return self.now or datetime.now(UTC)

    def validate_stamp(self, chain: Sequence[x509.Certificate], at: datetime) -> PathResult:
        """Validate the path of a time-stamping authority."""
        ders = [certificate.public_bytes(Encoding.DER) for certificate in chain]
        path = self.paths.validate(ders, at=at, purpose=Purpose.TIMESTAMP)
        standing, _ = self.statuses.standing(path.chain, claimed_at=at, trusted_at=None)
        if standing in {Standing.GOOD, Standing.UNKNOWN, Standing.REVOKED_AFTER}:
            return path
        # Whoever has the key of a time-stamping authority stamps any time.
        problem = PathProblem("revoked", f"its certificate is {standing.words}")
        return replace(path, problems=(*path.problems, problem))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerEvidence:
    """What the checks of one manifest share.

    Attributes
    ----------
    leaf : x509.Certificate or None
        ``None`` where the signer's certificate cannot be read.
    claimed_at, trusted_at : datetime or None
        The signer's own clock; what a time-stamping authority proves.
    time_problems : tuple[str, ...]
        Why time stamps that are there prove nothing.
    """

    manifest: Manifest
    path: PathResult
    leaf: x509.Certificate | None
    claimed_at: datetime | None
    trusted_at: datetime | None
    time_problems: tuple[str, ...]


def gather_signer(manifest: Manifest, store: Store, verifier: Verifier) -> SignerEvidence:
    """Read the times first, then validate the path as of the time of signing.

    The time is the proven one; without one it is now, since only now is certain.
    """
    times = timestamp.check_timestamps(manifest, verifier.validate_stamp, store=store)
    trusted_at = times.signed_by.latest if times.signed_by else None
    path = verifier.paths.validate(manifest.signature.chain, at=trusted_at or verifier.clock())
    return SignerEvidence(
        manifest=manifest,
        path=path,
        leaf=path.chain[0] if path.chain else None,
        claimed_at=_claimed_time(manifest),
        trusted_at=trusted_at,
        time_problems=tuple(problem.message for problem in times.problems),
    )


def _claimed_time(manifest: Manifest) -> datetime | None:
    stated = statement(manifest, ACQUISITION).get("sealed_at")
    if not isinstance(stated, str):
        stated = next((str(step["when"]) for step in actions(manifest) if "when" in step), "")
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
