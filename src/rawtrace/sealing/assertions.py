"""What a seal may say: the statements' names, their versions, and who may make which.

The normative page is ``docs/spec/seal.md``; each assertion of ours has a JSON
Schema in ``sealing/schema/``. All are *created* assertions: the signer attests
them. ``statements`` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from rawtrace.errors import ForbiddenSealError, UsageError
from rawtrace.trust.certificates import SignerKind

INSTRUMENT = "org.rawtrace.instrument"
ACQUISITION = "org.rawtrace.acquisition"
INPUTS = "org.rawtrace.inputs"
PIXELS = "org.rawtrace.pixels"
SOFT_BINDING = "c2pa.soft-binding"
ACTIONS = "c2pa.actions.v2"
HASH_DATA = "c2pa.hash.data"
CREATED_LABELS = ("c2pa.actions", "c2pa.ingredient", SOFT_BINDING, INSTRUMENT, ACQUISITION, INPUTS, PIXELS)

#: The newest schema version of each of our assertions; a newer one still verifies and shows as newer.
VERSIONS: Mapping[str, int] = {INSTRUMENT: 1, ACQUISITION: 2, INPUTS: 1, PIXELS: 1}

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


def printable(name: str) -> str:
    """Return a file name as text that any encoder takes: odd bytes come out escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def _default_source_type(kind: SignerKind, parents: int) -> str:
    if kind is SignerKind.INSTRUMENT:
        return "digitalCapture"
    if parents == 0:
        return "digitalCreation"
    return "humanEdits" if parents == 1 else "composite"
