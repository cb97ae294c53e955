"""The catalogue of findings: every id that a report can hold, with its step and what it means.

``docs/reference/findings.md`` is generated from it. The outcome given here is
the default; a policy may weigh the adjustable ones differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from rawtrace.report import Finding, Outcome

#: Characters of one sentence; names out of a seal are of any length.
MAX_MESSAGE = 2_000


class Step(IntEnum):
    """The numbered steps of ``docs/spec/verification.md``."""

    DISCOVERY = 1
    ENVELOPE = 2
    CONTENT = 3
    CERTIFICATE = 4
    STATUS = 5
    TIME = 6
    ANCESTORS = 7
    STATEMENT = 8
    RECEIPT = 9


@dataclass(frozen=True, slots=True)
class FindingKind:
    """What a finding id means.

    Attributes
    ----------
    meaning : str
        One sentence for the reference page.
    hint : str
        What a reader may do next; goes into the report.
    """

    id: str
    step: Step
    outcome: Outcome
    meaning: str
    hint: str = ""

    @property
    def choices(self) -> frozenset[Outcome]:
        """What a policy may make of it: notes may pass, open questions may become notes, both may weigh more.

        Whose seal it is may only weigh more: no policy can vouch for a signer whom
        no listed authority knows. Empty for broken evidence and for what was not checked,
        but for changed bytes whose planes are all proven.
        """
        if self.outcome is Outcome.NOTE:
            milder, stricter = {Outcome.PASSED, Outcome.NOTE}, {Outcome.INCONCLUSIVE, Outcome.REJECTED}
        elif self.outcome is Outcome.INCONCLUSIVE or self.id in _PIXELS_PROVEN:
            milder, stricter = {Outcome.NOTE, Outcome.INCONCLUSIVE}, {Outcome.REJECTED}
        else:
            return frozenset()
        return frozenset(stricter if self.id in _WHOSE_SEAL else milder | stricter)


#: The one change of bytes that a policy may accept, since the seal proves all the pixels.
_PIXELS_PROVEN = frozenset({"bytes-converted"})
_WHOSE_SEAL = frozenset({
    "signer-unknown", "no-trust-lists", "pid-not-resolved", "signer-other-purpose", "authority-withdrawn",
    "compromise-unproven", "scope-unstated", "capture-uncertified", "statement-unbacked", "ancestor-open",
    "ancestors-redacted",
})  # fmt: skip


def _kinds(*rows: FindingKind) -> dict[str, FindingKind]:
    return {row.id: row for row in rows}


_D, _E, _C, _P = Step.DISCOVERY, Step.ENVELOPE, Step.CONTENT, Step.CERTIFICATE
_S, _T, _A, _M, _R = Step.STATUS, Step.TIME, Step.ANCESTORS, Step.STATEMENT, Step.RECEIPT
_OK, _NOTE, _NOT, _OPEN = Outcome.PASSED, Outcome.NOTE, Outcome.NOT_CHECKED, Outcome.INCONCLUSIVE
_ALT, _REJ = Outcome.ALTERED, Outcome.REJECTED

CATALOGUE: Mapping[str, FindingKind] = _kinds(
    FindingKind("seal-found", _D, _OK, "a seal lies beside the data or inside it"),
    FindingKind(
        "seal-missing",
        _D,
        Outcome.NO_SEAL,
        "there is no seal beside the data or inside it",
        "ask for the seal: the file NAME.EXT.c2pa that belongs beside it",
    ),
    FindingKind(
        "seal-unreadable",
        _D,
        _REJ,
        "a seal is there but cannot be read, so nothing about the data is proven",
        "ask for the seal again; it may have been damaged on the way",
    ),
    FindingKind(
        "second-seal",
        _D,
        _NOTE,
        "the file also holds a seal inside it, which was not looked at: the one beside it covers every byte",
    ),
    FindingKind("envelope-sound", _E, _OK, "signature and statements fit together, in two independent readers"),
    FindingKind(
        "envelope-broken",
        _E,
        _REJ,
        "the seal's own parts do not fit together: it was changed after it was made, or made wrongly",
        "ask for the original seal",
    ),
    FindingKind(
        "readers-disagree",
        _E,
        _REJ,
        "one of the two readers accepts the seal and the other does not, so it is not relied on",
        "please send such a seal to the rawtrace developers",
    ),
    FindingKind(
        "second-reader-not-asked",
        _E,
        _NOT,
        "a seal inside this one does not hold, so only rawtrace's own reader looked at this one",
    ),
    FindingKind("statement-newer", _E, _NOTE, "a statement was written by a newer rawtrace and is shown as it is"),
    FindingKind(
        "statement-redacted",
        _E,
        _NOTE,
        "a later signer took a statement out of this seal, as C2PA allows; what it said is not known",
    ),
    FindingKind("bytes-unchanged", _C, _OK, "the bytes are those that were sealed"),
    FindingKind(
        "bytes-changed",
        _C,
        _ALT,
        "the bytes are not those that were sealed; saving a file again is enough to cause this",
        "ask for the file as it was sealed, and compare the two",
    ),
    FindingKind(
        "bytes-converted",
        _C,
        _ALT,
        "the bytes are not those that were sealed, but every plane is: the file was converted, or only what stands "
        "beside the pixels was changed",
        "where the pixels are what matters, a policy can accept this; the metadata in the file is not proven, and with "
        "it how the pixels are shown: inverted, turned, in which colours, under which channel names, with which scale",
    ),
    FindingKind("planes-unchanged", _C, _OK, "the pixels of these planes are those that were sealed"),
    FindingKind("planes-changed", _C, _ALT, "planes differ from those that were sealed; which ones is said"),
    FindingKind("planes-not-compared", _C, _NOT, "the bytes differ, and whether the pixels do could not be told"),
    FindingKind(
        "binding-missing", _C, _REJ, "the seal does not say which bytes it belongs to, in the one way that is accepted"
    ),
    FindingKind(
        "sealed-as-other-kind",
        _C,
        _REJ,
        "the seal is about a single file and lies where the seal of a folder belongs, or the other way round",
    ),
    FindingKind("index-missing", _C, _ALT, "the sealed index of the folder is not there", "ask for NAME.sha256"),
    FindingKind("index-unreadable", _C, _REJ, "the sealed index of the folder breaks the rules for such an index"),
    FindingKind("folder-missing", _C, _ALT, "the folder that the index describes is not there"),
    FindingKind("member-missing", _C, _ALT, "a file that was sealed is not in the folder"),
    FindingKind("member-extra", _C, _ALT, "a file is in the folder that was not sealed"),
    FindingKind("member-changed", _C, _ALT, "a file in the folder is not as it was sealed"),
    FindingKind("member-renamed", _C, _ALT, "a file in the folder has another name than when it was sealed"),
    FindingKind("member-odd", _C, _ALT, "a link or special file is in the folder; it is not followed"),
    FindingKind("system-litter", _C, _NOTE, "files that an operating system leaves behind; no part of the data"),
    FindingKind("asset-renamed", _C, _NOTE, "the data had another name when it was sealed"),
    FindingKind(
        "companion-unchanged", _C, _OK, "the long metadata or the list of planes beside the data is as it was sealed"
    ),
    FindingKind(
        "companion-missing", _C, _NOT, "the long metadata or the list of planes that was sealed is not beside the data"
    ),
    FindingKind(
        "companion-unsealed",
        _C,
        _NOTE,
        "a file with the name of long metadata or of a list of planes lies beside the data, but the seal does not "
        "speak of it",
    ),
    FindingKind(
        "companion-changed", _C, _ALT, "the long metadata or the list of planes beside the data is not as it was sealed"
    ),
    FindingKind("path-good", _P, _OK, "the signer's certificate comes from an authority on a trust list"),
    FindingKind(
        "signer-unknown",
        _P,
        _OPEN,
        "no authority on the trust lists stands behind the signer: anybody could have made this seal",
        "ask the sender which authority certified the instrument, and add its list: rawtrace trust add",
    ),
    FindingKind(
        "no-trust-lists",
        _P,
        _OPEN,
        "no trust list was given, so nobody's certificate can be relied on",
        "name one with --trust, or add it once: rawtrace trust add",
    ),
    FindingKind(
        "signer-other-purpose",
        _P,
        _OPEN,
        "the signer's authority is listed for another purpose, such as time stamps, and not for seals",
    ),
    FindingKind(
        "path-broken",
        _P,
        _REJ,
        "the certificates lead to a listed authority but break the rules that it set for them",
        "tell the authority",
    ),
    FindingKind(
        "certificate-expired",
        _P,
        _OPEN,
        "a certificate has expired, and no trusted time proves that the seal is older",
        "ask whether a time-stamped copy of the seal exists",
    ),
    FindingKind("certificate-not-yet-valid", _P, _OPEN, "a certificate was not valid yet at the time of sealing"),
    FindingKind(
        "resolved-online",
        _P,
        _NOTE,
        "the signer's authority was found through the network, by its PID; what was relied on, and of when, is said",
        "to check it offline from now on: rawtrace trust add with the store's address and the operator's digest",
    ),
    FindingKind(
        "pid-not-resolved",
        _P,
        _OPEN,
        "the network was asked, and the signer's PID leads to no authority that you let count",
        "see rawtrace trust sites list for who is asked, and ask the sender for the authority's trust list",
    ),
    FindingKind("authority-withdrawn", _P, _OPEN, "the trust list no longer grants this authority its standing"),
    FindingKind("status-good", _S, _OK, "no status on the trust lists speaks against the certificate"),
    FindingKind("status-not-checked", _S, _NOT, "without a known authority there is nobody to ask for a status"),
    FindingKind(
        "trust-list-stale",
        _S,
        _NOTE,
        "a trust list is past its date, so a newer revocation may be missing",
        "get the newest one: rawtrace trust update",
    ),
    FindingKind("list-refreshed", _S, _OK, "a trust list was fetched again from where it came"),
    FindingKind(
        "list-not-refreshed",
        _S,
        _NOT,
        "a trust list could not be fetched again, so a newer revocation may be missing",
        "try again later: rawtrace trust update",
    ),
    FindingKind("trust-list-unsigned", _S, _NOTE, "a trust list bears no signature; it was accepted as it is"),
    FindingKind(
        "revoked-after",
        _S,
        _NOTE,
        "the certificate, or the firmware, product or feature, was revoked after this seal was made",
    ),
    FindingKind(
        "revoked-before",
        _S,
        _REJ,
        "the certificate, or the firmware, product or feature, was already revoked when this seal was made",
    ),
    FindingKind(
        "scope-unstated",
        _S,
        _OPEN,
        "a firmware, product or feature was revoked, and the seal does not say whether it was made with it",
        "ask the facility with which firmware and features the data was recorded",
    ),
    FindingKind(
        "compromise-unproven",
        _S,
        _OPEN,
        "the certificate's key was compromised, or a firmware or feature was at fault, and nothing proves that this "
        "seal is older than that",
        "ask the authority what it knows about this seal",
    ),
    FindingKind(
        "time-trusted",
        _T,
        _OK,
        "a time-stamping authority on a trust list, or the witnesses of a log, prove when the seal existed",
    ),
    FindingKind(
        "no-trusted-time", _T, _NOTE, "the time of sealing is by the signer's own clock; nobody else vouches for it"
    ),
    FindingKind("time-stamp-unusable", _T, _NOTE, "a time stamp is there but proves nothing"),
    FindingKind("clock-ahead", _T, _NOTE, "the signer's clock was ahead of the clock of this computer"),
    FindingKind("time-not-stated", _T, _NOTE, "the seal does not say when it was made"),
    FindingKind("ancestors-none", _A, _OK, "the seal says that the data was not made from other data"),
    FindingKind("ancestor-good", _A, _OK, "an ancestor's own seal holds"),
    FindingKind("ancestor-file-good", _A, _OK, "an ancestor's file is at hand and is as it was sealed"),
    FindingKind(
        "ancestor-file-absent",
        _A,
        _NOTE,
        "an ancestor's file is not at hand; its seal is inside this one and holds",
        "ask for it, or say where it is: --originals DIR",
    ),
    FindingKind(
        "ancestor-namesake",
        _A,
        _NOTE,
        "a file with an ancestor's name lies beside, but it is another file",
    ),
    FindingKind(
        "ancestor-unsealed",
        _A,
        _OPEN,
        "an ancestor has no seal, so the chain ends there",
        "ask for the sealed original",
    ),
    FindingKind(
        "ancestors-redacted",
        _A,
        _OPEN,
        "a later signer took out of a seal what its data was made from, so the chain has a gap",
        "ask for the seal as it was first made",
    ),
    FindingKind("ancestor-open", _A, _OPEN, "an ancestor's own seal leaves a question open"),
    FindingKind("ancestor-noted", _A, _NOTE, "an ancestor's own seal holds, with something to know"),
    FindingKind(
        "ancestor-altered", _A, _REJ, "an ancestor's file is not what was sealed, though its seal is beside it"
    ),
    FindingKind("ancestor-rejected", _A, _REJ, "an ancestor's own seal does not hold"),
    FindingKind(
        "ancestor-mismatch", _A, _REJ, "this seal and the ancestor's own seal state different content for the ancestor"
    ),
    FindingKind("ancestors-too-many", _A, _OPEN, "the chain is longer than what is followed"),
    FindingKind("statement-fits", _M, _OK, "the signer may state what the seal states"),
    FindingKind("wrong-signer-kind", _M, _REJ, "the signer's certificate does not allow what the seal states"),
    FindingKind(
        "signer-kind-unstated",
        _M,
        _NOTE,
        "the certificate does not say what kind of signer it is for; not made by rawtrace",
    ),
    FindingKind(
        "capture-uncertified",
        _M,
        _OPEN,
        "the seal states a sensor's capture, but the certificate does not say that the signer is an instrument",
    ),
    FindingKind(
        "statement-contradicts-certificate", _M, _REJ, "the seal and the signer's certificate name different things"
    ),
    FindingKind(
        "statement-unbacked",
        _M,
        _OPEN,
        "the seal says who signed it and as what, but the certificate is for no kind of signer, or for several",
    ),
    FindingKind(
        "source-type-unknown",
        _M,
        _NOTE,
        "the seal states a digital source type that this tool does not know; nothing follows from it",
    ),
    FindingKind(
        "statement-missing", _M, _NOTE, "the seal holds no rawtrace statements about instrument and acquisition"
    ),
    FindingKind(
        "software-key", _M, _NOTE, "the signer's key is kept in software, so whoever ran the computer could copy it"
    ),
    FindingKind(
        "certified-on-upload", _M, _NOTE, "a repository sealed the data on arrival; nobody vouches for it before"
    ),
    FindingKind(
        "counter-signed", _M, _OK, "a repository signed that it held this seal; it says nothing about the data itself"
    ),
    FindingKind("self-certified", _M, _NOTE, "the signer certified itself"),
    FindingKind(
        "capture-watched-folder",
        _M,
        _NOTE,
        "the data was sealed because it appeared in a watched folder, into which anybody there can put a file",
    ),
    FindingKind("capture-manual", _M, _NOTE, "a person chose the file and had it sealed"),
    FindingKind("capture-upload", _M, _NOTE, "the data was sealed when it was uploaded"),
    FindingKind(
        "metadata-differs",
        _M,
        _NOTE,
        "the file's own metadata names another instrument than the certificate",
        "ask the facility; a camera often names itself instead of the microscope",
    ),
    FindingKind("supersedes", _M, _NOTE, "this seal replaces an earlier one, because data came after it"),
    FindingKind("receipt-good", _R, _OK, "a log on a trust list holds this seal, and its witnesses say since when"),
    FindingKind("receipt-none", _R, _OK, "no receipt is there, and the signer's trust list names no log"),
    FindingKind(
        "receipt-missing",
        _R,
        _NOTE,
        "the signer's trust list names a log, and no receipt shows that the log holds this seal",
        "ask for the receipt: the file NAME.EXT.c2pa.tlog-proof that belongs beside the seal",
    ),
    FindingKind(
        "receipt-unwitnessed", _R, _NOTE, "a log holds this seal, but no witness stands behind it, so no time is proven"
    ),
    FindingKind(
        "receipt-unreadable",
        _R,
        _NOTE,
        "a file of receipts is there but cannot be read, so it proves nothing",
        "ask for the receipt again",
    ),
    FindingKind("receipt-unusable", _R, _NOTE, "a receipt is there but does not hold, so it proves nothing"),
    FindingKind(
        "receipt-of-another-seal",
        _R,
        _NOTE,
        "a receipt is there that was given for another seal, so it proves nothing about this one",
    ),
    FindingKind(
        "receipt-log-unknown",
        _R,
        _NOTE,
        "a receipt is by a log that no trust list names, so it proves nothing",
        "ask the log's operator for a trust list that names it, and add that: rawtrace trust add",
    ),
    FindingKind(
        "receipt-quorum-not-met",
        _R,
        _NOTE,
        "a receipt bears too few signatures of the witnesses that the trust list asks for",
        "ask for a newer receipt, which more witnesses may have signed",
    ),
)


def finding(
    identifier: str, message: str, *, subject: str = "", hint: str = "", evidence: Mapping[str, Any] | None = None
) -> Finding:
    """Make a finding of the catalogue.

    Parameters
    ----------
    identifier : str
        A key of ``CATALOGUE``.
    message : str
        The sentence for this case; evidence, no accusation.
    hint : str
        What to do in this case, where that differs from the catalogue's.
    """
    kind = CATALOGUE[identifier]
    return Finding(
        id=identifier,
        step=int(kind.step),
        outcome=kind.outcome,
        message=message if len(message) <= MAX_MESSAGE else f"{message[: MAX_MESSAGE - 1]}…",
        subject=subject,
        hint=hint or kind.hint,
        evidence=evidence or {},
    )
