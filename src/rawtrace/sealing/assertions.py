"""What a seal says: the statements, their versions, and who may make which.

The normative page is ``docs/spec/seal.md``; each assertion of ours has a JSON
Schema in ``sealing/schema/``. All are *created* assertions: the signer attests
them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import ForbiddenSealError, UsageError
from rawtrace.image.metadata import Harvest
from rawtrace.trust import instruments
from rawtrace.trust.certificates import SignerKind, key_protection
from rawtrace.trust.identity import Identity
from rawtrace.trust.keys import Protection

INSTRUMENT = "org.rawtrace.instrument"
ACQUISITION = "org.rawtrace.acquisition"
INPUTS = "org.rawtrace.inputs"
ACTIONS = "c2pa.actions.v2"
HASH_DATA = "c2pa.hash.data"
CREATED_LABELS = ("c2pa.actions", "c2pa.ingredient", INSTRUMENT, ACQUISITION, INPUTS)

#: The newest schema version of each of our assertions; a newer one still verifies and shows as newer.
VERSIONS: Mapping[str, int] = {INSTRUMENT: 1, ACQUISITION: 1, INPUTS: 1}

#: Metadata beyond this many bytes goes into the companion file; a C2PA definition holds 1 MiB at most.
INLINE_METADATA_BYTES = 65_536

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_C2PA_TYPES = "http://c2pa.org/digitalsourcetype/"

#: Source types that say "a sensor recorded this": an instrument's to say, and nobody else's.
CAPTURES = frozenset({"digitalCapture", "computationalCapture", "negativeFilm", "positiveFilm", "print"})

#: Source types of what is made from other data or from none.
DERIVED = frozenset(
    {
        "algorithmicMedia",
        "algorithmicallyEnhanced",
        "composite",
        "compositeCapture",
        "compositeSynthetic",
        "compositeWithTrainedAlgorithmicMedia",
        "dataDrivenMedia",
        "digitalCreation",
        "humanEdits",
        "screenCapture",
        "trainedAlgorithmicMedia",
        "trainedAlgorithmicData",
        "virtualRecording",
    }
)
_IN_C2PA_VOCABULARY = frozenset({"trainedAlgorithmicData"})


class Capture(StrEnum):
    """How the sealing program came to the data, strongest first; a report shows weaker ways as weaker."""

    ENGINE_HOOK = "engine-hook"
    WATCHED_FOLDER = "watched-folder"
    MANUAL = "manual"
    UPLOAD = "upload"


class Relationship(StrEnum):
    """How an ancestor went into the sealed data, in C2PA's words."""

    PARENT_OF = "parentOf"
    COMPONENT_OF = "componentOf"
    INPUT_TO = "inputTo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is being sealed.

    Attributes
    ----------
    name : str
        File or folder name, without its path.
    kind : str
        ``file`` or ``folder``.
    size : int
        Bytes of the file, or of all members.
    members : int
        Number of members of a folder; 0 for a file.
    """

    name: str
    kind: str
    size: int
    members: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Superseded:
    """The seal that a new one replaces, by its name: label and claim hash."""

    label: str
    claim_sha256: str


def source_type_uri(term: str) -> str:
    """Return the URI of a digital source type.

    Parameters
    ----------
    term : str
        Last part of the IPTC or C2PA term, such as ``digitalCapture``.

    Raises
    ------
    UsageError
        An unknown term.
    """
    if term not in CAPTURES | DERIVED:
        msg = f"unknown source type {term!r}"
        raise UsageError(msg, hint=f"one of: {', '.join(sorted(CAPTURES | DERIVED))}")
    return (_C2PA_TYPES if term in _IN_C2PA_VOCABULARY else _IPTC) + term


def source_type_term(uri: str) -> str:
    """Return the last part of a digital source type's URI."""
    return uri.rsplit("/", 1)[-1]


def decide_source_type(kind: SignerKind, asked: str, *, parents: int) -> str:
    """Return the source type to state, or refuse a statement that this signer may not make.

    Raises
    ------
    ForbiddenSealError
        An instrument sealing derived data, or anyone else claiming a capture.
    UsageError
        An unknown term.
    """
    term = asked or _default_source_type(kind, parents)
    source_type_uri(term)
    problem = forbidden_statement(kind, term, parents=parents)
    if problem:
        hint = (
            "seal derived data with a workstation's identity: --workstation DIR"
            if kind is SignerKind.INSTRUMENT
            else "only the instrument that recorded the data can say so; state what was done instead: --source-type"
        )
        raise ForbiddenSealError(problem, hint=hint)
    return term


def forbidden_statement(kind: SignerKind, term: str, *, parents: int) -> str:
    """Say why a signer of this kind may not make this statement; empty when it may.

    The same rule guards sealing and verification. Who certifies itself may state
    what it likes: verification holds nothing of it for proven.
    """
    if kind is SignerKind.INSTRUMENT:
        if parents:
            return "an instrument's key seals captures only, but this data is said to be made from other data"
        if term not in CAPTURES:
            return f"an instrument's key seals captures only, but the source type is {term or 'not stated'}"
        return ""
    if term in CAPTURES and kind is not SignerKind.SELF:
        return f"only an instrument may state that a sensor recorded the data ({term}), but the signer is a {kind}"
    return ""


def assurance(signer: Identity) -> str:
    """Return how strongly this signer stands behind a seal, from its certificate."""
    if signer.kind is SignerKind.INSTRUMENT:
        hardware = key_protection(signer.chain[0]) is Protection.HARDWARE
        return "instrument-hardware-key" if hardware else "instrument-software-key"
    return {SignerKind.WORKSTATION: "workstation", SignerKind.REPOSITORY: "certified-on-upload"}.get(
        signer.kind, "self"
    )


def instrument_statement(signer: Identity, capture: Capture) -> dict[str, Any]:
    """Return ``org.rawtrace.instrument``: who signs, how sure, and how it came to the data."""
    return {
        "version": VERSIONS[INSTRUMENT],
        "signer_kind": str(signer.kind),
        **{key: value for key, value in instruments.summary(signer.record).items() if value},
        "profile_sha256": instruments.record_digest(signer.record).hex(),
        "assurance": assurance(signer),
        "capture": str(capture),
    }


def acquisition_statement(
    subject: Subject,
    harvest: Harvest,
    *,
    sealed_at: datetime,
    software: str,
    operator: str,
    supersedes: Superseded | None,
) -> tuple[dict[str, Any], bytes | None]:
    """Return ``org.rawtrace.acquisition``, and the companion file's bytes where the metadata is long.

    Returns
    -------
    statement : dict
    companion : bytes or None
        Content of ``NAME.EXT.metadata.json``; ``None`` when the metadata is in the statement.
    """
    statement: dict[str, Any] = {
        "version": VERSIONS[ACQUISITION],
        "name": printable(subject.name),
        "kind": subject.kind,
        "media_type": harvest.media_type,
        "size": subject.size,
        "sealed_at": sealed_at.isoformat(timespec="seconds"),
        "software": software,
    }
    if subject.kind == "folder":
        statement["members"] = subject.members
    taken = next((value for value in harvest.values if value.name == "acquisition.time"), None)
    if taken is not None:
        statement["acquired"] = {"time": str(taken.value), "source": taken.source}
    if operator:
        statement["operator"] = {"id": operator, "standing": "asserted"}
    if supersedes is not None:
        statement["supersedes"] = {"label": supersedes.label, "claim_sha256": supersedes.claim_sha256}
    metadata = {
        "values": [{"name": v.name, "value": v.value, "source": v.source} for v in harvest.values],
        "notes": list(harvest.notes),
    }
    encoded = strictjson.dumps(metadata)
    digest = hashlib.sha256(encoded).hexdigest()
    if len(encoded) <= INLINE_METADATA_BYTES:
        statement["metadata"] = {"sha256": digest, **metadata}
        return statement, None
    statement["metadata"] = {
        "sha256": digest,
        "bytes": len(encoded),
        "file": f"{printable(subject.name)}.metadata.json",
    }
    return statement, encoded


def actions(
    term: str, relationships: Sequence[Relationship], ingredient_labels: Sequence[str], *, when: datetime, software: str
) -> list[dict[str, Any]]:
    """Return the actions of ``c2pa.actions.v2``: one created or opened, then one per ancestor used.

    C2PA allows one ``parentOf`` ancestor, which is *opened*; the others are *placed*.
    """
    common = {"when": when.isoformat(timespec="seconds"), "softwareAgent": {"name": software}}
    uri = source_type_uri(term)
    opened = [label for label, kind in zip(ingredient_labels, relationships, strict=True) if kind == "parentOf"]
    placed = [label for label, kind in zip(ingredient_labels, relationships, strict=True) if kind != "parentOf"]
    if opened:
        steps = [
            {"action": "c2pa.opened", "parameters": {"ingredientIds": opened}, **common},
            {"action": "c2pa.edited", "digitalSourceType": uri, **common},
        ]
    else:
        steps = [{"action": "c2pa.created", "digitalSourceType": uri, **common}]
    steps += [{"action": "c2pa.placed", "parameters": {"ingredientIds": [label]}, **common} for label in placed]
    return steps


def printable(name: str) -> str:
    """Return a file name as text that any encoder takes: odd bytes come out escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def _default_source_type(kind: SignerKind, parents: int) -> str:
    if kind is SignerKind.INSTRUMENT:
        return "digitalCapture"
    if parents == 0:
        return "digitalCreation"
    return "humanEdits" if parents == 1 else "composite"
