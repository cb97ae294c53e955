"""The signer of one manifest: its certificate path as of the time of signing, and the two times.

Made once for each manifest, so that the steps of ``checks`` and ``statement``
share one reading. A ``Verifier`` is made once for a batch, so that each signer
is judged once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace.report import Finding
from rawtrace.sealing import timestamp
from rawtrace.sealing.assertions import ACQUISITION, INSTRUMENT
from rawtrace.sealing.manifest import Manifest, Store
from rawtrace.trust import scope
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.certificates import SignerKind, signer_kind
from rawtrace.trust.path import PathProblem, PathResult, PathValidator
from rawtrace.trust.scope import Stated
from rawtrace.trust.speakers import speakers
from rawtrace.trust.status import LogProof, Standing, StatusReader
from rawtrace.verification import receipts as receipts_of
from rawtrace.verification.evidence import actions, statement
from rawtrace.verification.receipts import Receipts

if TYPE_CHECKING:
    from rawtrace.ledger.policy import Policy

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
    names_logs: bool = field(init=False, repr=False, compare=False)
    _policies: Callable[[tuple[x509.Certificate, ...]], tuple[Policy, ...]] = field(
        init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        """Make the memos of path validation and status look-up."""
        object.__setattr__(self, "paths", PathValidator(self.lists))
        object.__setattr__(self, "statuses", StatusReader(self.lists))
        lists = self.lists
        object.__setattr__(self, "names_logs", any(one.policies for one in lists))
        object.__setattr__(self, "_policies", lru_cache(maxsize=256)(lambda chain: _policies_for(chain, lists)))

    def clock(self) -> datetime:
        """Return the time of checking, UTC."""
        return self.now or datetime.now(UTC)

    def policies_for(self, ders: Sequence[bytes]) -> tuple[Policy, ...]:
        """Return the policies for logs by which the receipts of a signer's seals are judged.

        They are those of the lists that speak for its authority (``rawtrace.trust.speakers``): whoever has a list
        can name a log of their friends in it.
        """
        return self._policies(self.paths.validate(ders, at=self.clock()).chain)

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
        The signer's own clock; the earlier of what time stamps and what witnesses of logs prove.
    stamped_at : datetime or None
        What a time-stamping authority proves.
    proofs : tuple[LogProof, ...]
        What receipts prove.
    stated : Stated or None
        What the seal states of the instrument that made it; ``None`` for a signer that is none.
    logged : tuple[Finding, ...]
        What the receipts came to, one by one.
    time_problems : tuple[str, ...]
        Why time stamps that are there prove nothing.
    """

    manifest: Manifest
    path: PathResult
    leaf: x509.Certificate | None
    claimed_at: datetime | None
    trusted_at: datetime | None
    time_problems: tuple[str, ...]
    stamped_at: datetime | None = None
    proofs: tuple[LogProof, ...] = ()
    stated: Stated | None = None
    logged: tuple[Finding, ...] = ()


def gather_signer(
    manifest: Manifest, store: Store, verifier: Verifier, receipts: Receipts = receipts_of.NONE
) -> SignerEvidence:
    """Read the times first, then validate the path as of the time of signing.

    The time is the proven one; without one it is now, since only now is certain.
    """
    times = timestamp.check_timestamps(manifest, verifier.validate_stamp, store=store)
    stamped_at = times.signed_by.latest if times.signed_by else None
    at_hand = receipts.about(manifest)
    logged = receipts_of.check(
        manifest,
        at_hand,
        verifier.policies_for(manifest.signature.chain) if at_hand else (),
        now=verifier.clock(),
        tolerance=CLOCK_TOLERANCE,
    )
    proven = [time for time in (stamped_at, *(proof.time for proof in logged.proofs)) if time is not None]
    trusted_at = min(proven, default=None)
    path = verifier.paths.validate(manifest.signature.chain, at=trusted_at or verifier.clock())
    leaf = path.chain[0] if path.chain else None
    return SignerEvidence(
        manifest=manifest,
        path=path,
        leaf=leaf,
        claimed_at=_claimed_time(manifest),
        trusted_at=trusted_at,
        stamped_at=stamped_at,
        proofs=logged.proofs,
        stated=_stated(manifest, leaf),
        logged=logged.findings,
        time_problems=tuple(problem.message for problem in times.problems),
    )


def _policies_for(chain: tuple[x509.Certificate, ...], lists: Sequence[TrustList]) -> tuple[Policy, ...]:
    return tuple(dict.fromkeys(policy for one in speakers(chain, lists) for policy in one.policies))


def _stated(manifest: Manifest, leaf: x509.Certificate | None) -> Stated | None:
    """Return what the seal of an instrument, or of a signer of no known kind, states of its maker."""
    if leaf is not None and signer_kind(leaf) in {SignerKind.WORKSTATION, SignerKind.REPOSITORY}:
        return None
    instrument, acquisition = statement(manifest, INSTRUMENT), statement(manifest, ACQUISITION)
    features = acquisition.get("features")
    named: frozenset[str] | None = None
    if isinstance(features, list) and len(features) <= scope.MAX_FEATURES:
        names = [name.strip().casefold() for name in features if isinstance(name, str)]
        named = frozenset(names) if len(names) == len(features) else None
    return Stated(
        manufacturer=_line(instrument.get("manufacturer"), scope.MAX_TEXT),
        model=_line(instrument.get("model"), scope.MAX_TEXT),
        firmware=_line(acquisition.get("firmware"), scope.MAX_VERSION),
        features=named,
    )


def _line(value: object, longest: int) -> str:
    return value.strip() if isinstance(value, str) and len(value) <= longest else ""


def _claimed_time(manifest: Manifest) -> datetime | None:
    stated = statement(manifest, ACQUISITION).get("sealed_at")
    if not isinstance(stated, str):
        stated = next((str(step["when"]) for step in actions(manifest) if "when" in step), "")
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
