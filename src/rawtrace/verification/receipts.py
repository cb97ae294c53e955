"""Step 9: does a log hold the seal, who stands behind that, and since when.

A receipt lies beside the seal (``NAME.c2pa.tlog-proof``, ``NAME.EXT.tlog-proof`` for a seal
inside its file) and is checked offline. It says which record it is about, and is not
believed: it counts for a manifest only if the record is the one derived from that manifest.
So it is bound to the artefact, the signature and the key, wherever it was found.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from rawtrace.errors import Error, SealUnreadableError
from rawtrace.report import Finding
from rawtrace.sealing import binding
from rawtrace.sealing.logrecord import record_of
from rawtrace.sealing.manifest import Manifest, Store
from rawtrace.trust.certfacts import ODD
from rawtrace.trust.status import LogProof
from rawtrace.verification.findings import finding

if TYPE_CHECKING:
    from rawtrace.ledger.policy import Policy
    from rawtrace.ledger.receipt import CheckedReceipt, Receipt

#: So many receipts of one seal are looked at; each may cost signatures of many witnesses.
MAX_CHECKED = 16


@dataclass(frozen=True, slots=True)
class Receipts:
    """The receipts at hand, none of them checked yet.

    Attributes
    ----------
    by_record : Mapping of bytes to tuple of Receipt
        By the record that each says it is about.
    problem : str
        Why the file beside the seal could not be read; empty if it could, or is not there.
    """

    by_record: Mapping[bytes, tuple[Receipt, ...]] = field(default_factory=dict)
    problem: str = ""

    def with_more(self, other: Receipts) -> Receipts:
        """Return these and those that lie elsewhere; what could not be read there is no matter here."""
        merged = dict(self.by_record)
        for record, found in other.by_record.items():
            merged[record] = tuple(dict.fromkeys((*merged.get(record, ()), *found)))
        return Receipts(merged, self.problem)

    def about(self, manifest: Manifest) -> tuple[Receipt, ...]:
        """Return those that say they are about a manifest."""
        record = _record(manifest)
        return () if record is None else self.by_record.get(record, ())

    def strangers(self, store: Store) -> int:
        """Count those that are about none of the manifests of a seal."""
        known = {_record(manifest) for manifest in store.manifests.values()}
        return sum(len(found) for record, found in self.by_record.items() if record not in known)


NONE = Receipts()


@dataclass(frozen=True, slots=True)
class Logged:
    """What the receipts of one manifest came to.

    Attributes
    ----------
    proofs : tuple[LogProof, ...]
        Of those behind which witnesses stand.
    findings : tuple[Finding, ...]
    """

    proofs: tuple[LogProof, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_beside(seal: Path) -> Receipts:
    """Read the receipts beside a seal; bounded, and never an error.

    Parameters
    ----------
    seal : Path
        The ``.c2pa`` file, or the file that a seal is inside of.
    """
    path = binding.receipts_of(seal)
    try:
        kind = path.stat().st_mode
    except OSError:
        return NONE
    if not stat.S_ISREG(kind):
        # A pipe would make us wait for whoever writes into it.
        return Receipts(problem=f"{path.name} is not a regular file")
    from rawtrace.ledger.receipt import MAX_FILE

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except OSError as error:
        return Receipts(problem=f"{path.name} cannot be read: {error.strerror}")
    return read_bytes(data, what=path.name)


def read_bytes(data: bytes, *, what: str) -> Receipts:
    """Read receipts that are at hand; never an error."""
    from rawtrace.ledger.receipt import read_receipts

    found: dict[bytes, list[Receipt]] = {}
    try:
        for receipt in read_receipts(data):
            found.setdefault(_said(receipt), []).append(receipt)
    except Error as error:
        return Receipts(problem=f"{what} cannot be read as receipts: {error.message}")
    return Receipts({record: tuple(dict.fromkeys(one)) for record, one in found.items()})


def check(
    manifest: Manifest, receipts: Sequence[Receipt], policies: Sequence[Policy], *, now: datetime, tolerance: timedelta
) -> Logged:
    """Check the receipts of one manifest against the logs that the reader's lists name.

    Parameters
    ----------
    receipts : Sequence[Receipt]
        Those whose record is the manifest's own.
    policies : Sequence[Policy]
    now : datetime
        The reader's clock: what witnesses say of a later time proves nothing.
    """
    proofs: list[LogProof] = []
    findings: list[Finding] = []
    for receipt in receipts[:MAX_CHECKED]:
        found = _check_one(receipt, manifest, policies)
        if isinstance(found, Finding):
            findings.append(found)
            continue
        origin, checked = found.checked.checkpoint.origin, found.checked
        proof = {"log": origin, "index": found.index, "size": checked.checkpoint.size}
        when = _moment(checked.time_s)
        if checked.time_s is None:
            message = f"the log {origin} holds this seal as entry {found.index}, but no witness says since when"
            findings.append(finding("receipt-unwitnessed", message, evidence=proof))
        elif when is None or when > now + tolerance:
            message = f"a receipt of {origin} proves nothing: its witnesses signed at a time that has not come yet"
            findings.append(finding("receipt-unusable", message, evidence=proof))
        else:
            proofs.append(LogProof(key=checked.log.text, origin=origin, index=found.index, time=when))
            message = f"the log {origin} has held this seal as entry {found.index} since {when:%Y-%m-%d %H:%M:%S} UTC"
            proof |= {"time": when.isoformat(), "witnesses": [one.name for one in checked.cosignatures]}
            findings.append(finding("receipt-good", message, evidence=proof))
    if len(receipts) > MAX_CHECKED:
        message = f"{len(receipts)} receipts are there for this seal; only the first {MAX_CHECKED} were looked at"
        findings.append(finding("receipt-unusable", message))
    return Logged(tuple(proofs), tuple(findings))


def about_file(receipts: Receipts, store: Store) -> Iterator[Finding]:
    """Yield what is to say of the file of receipts itself."""
    if receipts.problem:
        yield finding("receipt-unreadable", receipts.problem)
    strangers = receipts.strangers(store)
    if strangers:
        several = "a receipt is" if strangers == 1 else f"{strangers} receipts are"
        message = f"{several} there that the log gave for another seal: another claim, signature or certificate"
        yield finding("receipt-of-another-seal", message)


def _check_one(receipt: Receipt, manifest: Manifest, policies: Sequence[Policy]) -> CheckedReceipt | Finding:
    from rawtrace.ledger.checkpoint import Checkpoint
    from rawtrace.ledger.note import read_note
    from rawtrace.ledger.receipt import check_receipt

    try:
        origin = Checkpoint.parse(read_note(receipt.checkpoint).text).origin
    except Error as error:
        return finding("receipt-unusable", f"a receipt proves nothing: {error.message}")
    named = [policy for policy in policies if any(log.key.name == origin for log in policy.logs)]
    if not named:
        message = f"a receipt is by the log {origin}, which no trust list names"
        return finding("receipt-log-unknown", message, evidence={"log": origin})
    failures: list[Finding] = []
    for policy in named:
        try:
            found = check_receipt(receipt, policy)
        except Error as error:
            failures.append(_failure(receipt, policy, origin, error))
            continue
        if found.entry.key != _key_of(manifest):
            message = f"a receipt by {origin} proves nothing: its entry names another key than the seal's"
            failures.append(finding("receipt-unusable", message, evidence={"log": origin}))
            continue
        return found
    return failures[0]


def _failure(receipt: Receipt, policy: Policy, origin: str, error: Error) -> Finding:
    """Say why a receipt does not hold; whether it would with fewer witnesses is worth a finding of its own."""
    from rawtrace.ledger.policy import NO_QUORUM
    from rawtrace.ledger.receipt import check_receipt

    proof = {"log": origin}
    if policy.quorum != NO_QUORUM:
        try:
            check_receipt(receipt, replace(policy, quorum=NO_QUORUM))
        except Error:
            pass
        else:
            message = f"a receipt by {origin} lacks witnesses that the trust list asks for: {error.message}"
            return finding("receipt-quorum-not-met", message, evidence=proof)
    return finding("receipt-unusable", f"a receipt by {origin} proves nothing: {error.message}", evidence=proof)


def _record(manifest: Manifest) -> bytes | None:
    try:
        return record_of(manifest)
    except SealUnreadableError:
        return None


def _said(receipt: Receipt) -> bytes:
    try:
        return receipt.record
    except Error:
        # Made for another purpose: it counts as one about something else.
        return b""


def _key_of(manifest: Manifest) -> str:
    try:
        public = x509.load_der_x509_certificate(manifest.signature.chain[0]).public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (IndexError, *ODD):
        return ""
    return sha256(spki).hexdigest()[:16]


def _moment(time_s: int | None) -> datetime | None:
    try:
        return None if time_s is None else datetime.fromtimestamp(time_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None
