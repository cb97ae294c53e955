"""Steps 2, 4, 5, 6 and 8: what holds for one manifest, be it the asset's own or an ancestor's.

The steps are numbered as in ``docs/spec/verification.md``. Each check yields all
its findings, not the first. The word of the C2PA library is one piece of
evidence among others and never the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from rawtrace.report import Finding
from rawtrace.sealing import assertions, timestamp
from rawtrace.sealing.assertions import ACQUISITION, ACTIONS, INPUTS, INSTRUMENT
from rawtrace.sealing.envelope import LibraryWord
from rawtrace.sealing.manifest import Manifest, Store
from rawtrace.sealing.model import base_label
from rawtrace.trust.anchors import Purpose, TrustList
from rawtrace.trust.certificates import SignerKind, key_protection, name_of, pid_of, record_digest_of, signer_kind
from rawtrace.trust.keys import Protection
from rawtrace.trust.path import PathProblem, PathResult, PathValidator
from rawtrace.trust.status import Standing, StatusReader
from rawtrace.verification.evidence import plain, statement
from rawtrace.verification.findings import finding

#: How far two clocks may be apart without a word about it.
CLOCK_TOLERANCE = timedelta(minutes=5)

_SOURCE_TYPES = {term.casefold(): term for term in assertions.CAPTURES | assertions.DERIVED}
_NO_PATH = frozenset({"no-path", "link-signature", "no-certificate", "unreadable-certificate"})
_EXPIRED = ("-expired",)
_EARLY = ("-not-yet-valid",)


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


def check_envelope(manifest: Manifest, word: LibraryWord | None) -> Iterator[Finding]:
    """Step 2: the seal's own parts fit together, in our reader and in the library's.

    Parameters
    ----------
    word : LibraryWord or None
        ``None`` for an ancestor: the library is asked about the whole store once.
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
        signer.path.chain, claimed_at=signer.claimed_at, trusted_at=signer.trusted_at
    )
    proof = {} if record is None else {"serial": f"{record.serial:x}", "reason": record.reason, "note": record.note}
    when = "" if record is None else f" ({record.reason}, on {record.revoked_at:%Y-%m-%d})"
    if standing is Standing.GOOD:
        yield finding("status-good", "no status on the trust lists speaks against the certificate")
    elif standing is Standing.REVOKED_AFTER:
        yield finding("revoked-after", f"the certificate was revoked later{when}; this seal is older", evidence=proof)
    elif standing is Standing.REVOKED_BEFORE:
        message = f"the certificate was already revoked when this seal was made{when}"
        yield finding("revoked-before", message, evidence=proof)
    elif standing is Standing.COMPROMISE_UNPROVEN:
        message = f"the certificate was revoked{when}, and nothing proves that this seal is older than the doubt"
        yield finding("compromise-unproven", message, evidence=proof)
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
        message = f"a listed time-stamping authority proves that the seal existed on {_shown(signer.trusted_at)}"
        yield finding("time-trusted", message, evidence={"time": signer.trusted_at.isoformat()})
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


def check_statement(signer: SignerEvidence) -> Iterator[Finding]:
    """Step 8: may this signer say this, and does it agree with its certificate."""
    manifest, leaf = signer.manifest, signer.leaf
    instrument, acquisition = statement(manifest, INSTRUMENT), statement(manifest, ACQUISITION)
    kind = signer_kind(leaf) if leaf is not None else None
    faults = tuple(_check_kind(kind, manifest))
    yield from faults
    if not instrument:
        yield finding("statement-missing", "the seal holds no statement about the instrument that the signer attests")
    else:
        contradictions = tuple(_contradictions(instrument, leaf, kind))
        for message in contradictions:
            yield finding("statement-contradicts-certificate", message)
        if kind is None:
            message = "the seal says who signed it and as what, which the certificate does not say"
            yield finding("statement-unbacked", message)
        elif not contradictions and not faults:
            yield finding(
                "statement-fits", f"the certificate allows what the seal states: {_stated(manifest) or 'nothing'}"
            )
    yield from _check_assurance(kind, leaf, instrument)
    yield from _check_metadata(instrument, acquisition)
    if isinstance(acquisition.get("supersedes"), dict):
        yield finding(
            "supersedes",
            "this seal replaces an earlier one of the same data, because data came after it",
            evidence={"earlier": plain(acquisition["supersedes"])},
        )


def source_types(manifest: Manifest) -> tuple[str, ...]:
    """Return every digital source type that the manifest states, without doubles.

    Terms that people would read as a known one are that one: ``.../DigitalCapture/`` is a capture.
    """
    stated = [str(step["digitalSourceType"]) for step in actions(manifest) if "digitalSourceType" in step]
    return tuple(dict.fromkeys(_source_type(uri) for uri in stated))


def _source_type(uri: str) -> str:
    bare = uri.partition("#")[0].partition("?")[0].strip().rstrip("/")
    term = assertions.source_type_term(bare).strip()
    return _SOURCE_TYPES.get(term.casefold(), term)


def actions(manifest: Manifest) -> tuple[Mapping[str, Any], ...]:
    """Return the actions of a manifest, of any version of the assertion, attested or not."""
    found: list[Mapping[str, Any]] = []
    for assertion in manifest.assertions:
        if assertion.name in {ACTIONS, "c2pa.actions"} and isinstance(assertion.data, dict):
            steps = assertion.data.get("actions")
            found += [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return tuple(found)


def _check_kind(kind: SignerKind | None, manifest: Manifest) -> Iterator[Finding]:
    inputs = statement(manifest, INPUTS).get("inputs")
    # An update manifest's one parent is the seal that it adds to, not something its data was made from.
    parents = (
        0 if manifest.is_update else max(len(manifest.ingredients), len(inputs) if isinstance(inputs, list) else 0)
    )
    terms = source_types(manifest)
    unknown = [term for term in terms if term.casefold() not in _SOURCE_TYPES]
    if unknown and kind is not SignerKind.INSTRUMENT:
        yield finding("source-type-unknown", f"the seal states a source type that is not known: {unknown[0]}")
    if manifest.is_update and not terms:
        return
    if kind in {None, SignerKind.SELF}:
        if assertions.CAPTURES & set(terms):
            message = f"the seal states {', '.join(terms)}, but no authority says that the signer is an instrument"
            yield finding("capture-uncertified", message)
        elif kind is None:
            yield finding("signer-kind-unstated", "the certificate does not say what kind of signer it is for")
        return
    problems = {assertions.forbidden_statement(kind, term, parents=parents) for term in terms or ("",)} - {""}
    if kind is SignerKind.INSTRUMENT and not manifest.is_update:
        steps = sorted({str(step.get("action")) for step in actions(manifest)} - {"c2pa.created"})
        if steps:
            problems.add(f"an instrument's key seals captures only, but the seal names the step {steps[0]}")
    for problem in sorted(problems):
        yield finding("wrong-signer-kind", problem, evidence={"signer_kind": str(kind), "source_types": list(terms)})


def _contradictions(
    instrument: Mapping[str, Any], leaf: x509.Certificate | None, kind: SignerKind | None
) -> Iterator[str]:
    if leaf is None or kind is None:
        return
    if instrument.get("pid") != pid_of(leaf):
        yield f"the seal names the instrument {instrument.get('pid')}, the certificate {pid_of(leaf)}"
    if instrument.get("signer_kind") != str(kind):
        yield f"the seal calls the signer a {instrument.get('signer_kind')}, the certificate a {kind}"
    digest = record_digest_of(leaf)
    if digest and instrument.get("profile_sha256") != digest.hex():
        yield "the instrument's record is not the one that the certificate was issued for"
    if instrument.get("assurance") == "instrument-hardware-key" and key_protection(leaf) is not Protection.HARDWARE:
        yield "the seal states a key in hardware, the certificate does not"


def _check_assurance(
    kind: SignerKind | None, leaf: x509.Certificate | None, instrument: Mapping[str, Any]
) -> Iterator[Finding]:
    if kind is SignerKind.INSTRUMENT and leaf is not None and key_protection(leaf) is not Protection.HARDWARE:
        yield finding("software-key", "the instrument's key is kept in software, not in a token")
    if kind is SignerKind.REPOSITORY:
        yield finding(
            "certified-on-upload", "a repository sealed the data on arrival; nobody vouches for it before that"
        )
    if kind is SignerKind.SELF:
        yield finding("self-certified", "the signer certified itself; no authority knows it")
    capture = instrument.get("capture")
    words = {
        "watched-folder": "the data was sealed because it appeared in a watched folder",
        "manual": "a person chose the file and had it sealed",
        "upload": "the data was sealed when it was uploaded",
    }
    if kind is SignerKind.INSTRUMENT and isinstance(capture, str) and capture in words:
        yield finding(f"capture-{capture}", words[capture])


def _check_metadata(instrument: Mapping[str, Any], acquisition: Mapping[str, Any]) -> Iterator[Finding]:
    metadata = acquisition.get("metadata")
    values = metadata.get("values") if isinstance(metadata, dict) else None
    items = [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []
    named = {v["name"]: v for v in items if isinstance(v.get("name"), str)}
    for field_name in ("manufacturer", "model", "serial"):
        sealed, found = instrument.get(field_name), named.get(f"instrument.{field_name}", {})
        value = found.get("value")
        if isinstance(sealed, str) and isinstance(value, str) and not _alike(sealed, value):
            yield finding(
                "metadata-differs",
                f"the file's own metadata gives the {field_name} as {value}, the certificate's record as {sealed}",
                evidence={"file": value, "record": sealed, "source": str(found.get("source", ""))},
            )


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


def _claimed_time(manifest: Manifest) -> datetime | None:
    stated = statement(manifest, ACQUISITION).get("sealed_at")
    if not isinstance(stated, str):
        stated = next((str(step["when"]) for step in actions(manifest) if "when" in step), "")
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _stated(manifest: Manifest) -> str:
    return ", ".join(source_types(manifest))


def _name(signer: SignerEvidence) -> str:
    return name_of(signer.leaf) if signer.leaf is not None else "whose certificate cannot be read"


def _alike(one: str, other: str) -> bool:
    first, second = one.casefold().strip(), other.casefold().strip()
    return not first or not second or first in second or second in first


def _shown(moment: datetime) -> str:
    try:
        return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:  # the first or last day of the calendar, in another zone
        return moment.isoformat(sep=" ")
