"""What verdicts, outcomes and terms of a seal are called in front of people.

A verdict is always a symbol, a word and a colour together, so that none of
them is needed alone. The sentences state evidence and accuse nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rawtrace.report import Finding, Outcome, Report, Verdict

NOT_MISCONDUCT = (
    "A mismatch is not misconduct. A file can differ from its seal because it was opened and saved again, "
    "converted, cropped for a figure, or damaged on its way. This report shows what was measured. "
    "What it means is for people to judge."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictWords:
    """How one verdict is shown.

    Attributes
    ----------
    symbol, word : str
        For text; the page draws its own symbol of the same meaning.
    colour : str
        Everyday name: ``green``, ``teal``, ``grey``, ``amber``, ``red`` or ``dark red``.
    headline : str
        One sentence for somebody who reads nothing else.
    next_step : str
        What to do next.
    """

    symbol: str
    word: str
    colour: str
    headline: str
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeWords:
    """How the outcome of one check is shown; ``tone`` is the verdict whose colour it wears."""

    symbol: str
    word: str
    tone: Verdict


_VERDICTS: Mapping[Verdict, VerdictWords] = MappingProxyType(
    {
        Verdict.VERIFIED: VerdictWords(
            symbol="✓",
            word="verified",
            colour="green",
            headline="The file is what was sealed, and an authority that you trust certified the signer.",
            next_step="Nothing needs doing. Keep the file and its seal together, so that this can be shown again.",
        ),
        Verdict.VERIFIED_WITH_NOTES: VerdictWords(
            symbol="✓•",
            word="verified with notes",
            colour="teal",
            headline="The file is what was sealed by a certified signer. "
            "Some things are weaker than they could be, or could not be checked.",
            next_step="Read the notes and decide whether they matter for your purpose.",
        ),
        Verdict.NO_SEAL: VerdictWords(
            symbol="○",
            word="no seal",
            colour="grey",
            headline="The file has no seal, so there is nothing to check it against. "
            "That says nothing about its content.",
            next_step="Ask for the original file together with its seal.",
        ),
        Verdict.INCONCLUSIVE: VerdictWords(
            symbol="?",
            word="inconclusive",
            colour="amber",
            headline="The file matches its seal, but proof is missing of where it comes from, "
            "or of where something comes from that it was made from.",
            next_step="Look at what is missing. A newer trust list or a missing file may settle it; then check again.",
        ),
        Verdict.ALTERED: VerdictWords(
            symbol="≠",
            word="altered",
            colour="red",
            headline="What is here is not byte for byte what was sealed.",
            next_step="Ask for the file as it was sealed, and compare the two. "
            "Saving again, converting and faulty transfers change bytes too.",
        ),
        Verdict.REJECTED: VerdictWords(
            symbol="✗",
            word="rejected",
            colour="dark red",
            headline="The seal, its signer, or something that the file was made from does not hold.",
            next_step="Do not rely on this file until that is cleared up. Ask for the originals, "
            "and ask whoever runs the instrument about it.",
        ),
    }
)

_OUTCOMES: Mapping[Outcome, OutcomeWords] = MappingProxyType(
    {
        Outcome.PASSED: OutcomeWords(symbol="✓", word="passed", tone=Verdict.VERIFIED),
        Outcome.NOTE: OutcomeWords(symbol="•", word="note", tone=Verdict.VERIFIED_WITH_NOTES),
        Outcome.NOT_CHECKED: OutcomeWords(symbol="-", word="not checked", tone=Verdict.NO_SEAL),
        Outcome.NO_SEAL: OutcomeWords(symbol="○", word="no seal", tone=Verdict.NO_SEAL),
        Outcome.INCONCLUSIVE: OutcomeWords(symbol="?", word="inconclusive", tone=Verdict.INCONCLUSIVE),
        Outcome.ALTERED: OutcomeWords(symbol="≠", word="altered", tone=Verdict.ALTERED),
        Outcome.REJECTED: OutcomeWords(symbol="✗", word="rejected", tone=Verdict.REJECTED),
    }
)

SIGNER_KINDS = MappingProxyType(
    {
        "instrument": "an instrument",
        "workstation": "a workstation, for processing and figures",
        "repository": "a repository, which certifies what it receives",
        "self": "certified by nobody but itself",
        "unknown": "the certificate does not say what it is",
    }
)
SOURCE_TYPES = MappingProxyType(
    {
        "digitalCapture": "recorded by a sensor",
        "computationalCapture": "recorded by a sensor and computed from several recordings",
        "algorithmicMedia": "made by an algorithm, not recorded by a sensor",
        "trainedAlgorithmicData": "data made by a trained model, not measured",
        "trainedAlgorithmicMedia": "made by a generative model, not recorded by a sensor",
        "compositeWithTrainedAlgorithmicMedia": "put together, with parts made by a generative model",
        "algorithmicallyEnhanced": "recorded, then enhanced by an algorithm",
        "composite": "put together from several sources",
        "compositeCapture": "put together from several recordings",
        "compositeSynthetic": "put together, with synthetic parts",
        "dataDrivenMedia": "drawn from data, such as a plot",
        "digitalCreation": "made by a person with a drawing program",
        "humanEdits": "changed by a person",
        "minorHumanEdits": "changed slightly by a person",
        "negativeFilm": "scanned from a film negative",
        "positiveFilm": "scanned from a film positive",
        "print": "scanned from a print",
        "screenCapture": "a picture of a screen",
        "virtualRecording": "recorded from a simulation",
    }
)
ASSURANCES = MappingProxyType(
    {
        "instrument-hardware-key": "the instrument's own key, kept in hardware that does not give it out",
        "instrument-software-key": "the instrument's own key, kept in a file (weaker than hardware)",
        "workstation": "a workstation's key: it vouches for the processing, not for the recording",
        "certified-on-upload": "certified when it was uploaded: nothing is proven about the time before (weaker)",
        "self": "the signer's own word only (weakest)",
    }
)
CAPTURES = MappingProxyType(
    {
        "engine-hook": "handed over by the acquisition software itself",
        "watched-folder": "picked up from a folder, where others may put files too (weaker)",
        "manual": "sealed by hand (weaker)",
        "upload": "sealed when it was uploaded (weaker)",
    }
)
#: The numbered steps of ``docs/spec/verification.md``, as short headings.
STEPS = MappingProxyType(
    {
        1: "Seal",
        2: "Signature",
        3: "Content",
        4: "Signer",
        5: "Status",
        6: "Time",
        7: "Ancestors",
        8: "Statements",
        9: "Log",
    }
)
RELATIONSHIPS = MappingProxyType(
    {
        "parentOf": "made from",
        "componentOf": "contains",
        "inputTo": "computed with",
    }
)


def of_verdict(verdict: Verdict) -> VerdictWords:
    """Return how a verdict is shown."""
    return _VERDICTS[verdict]


def of_outcome(outcome: Outcome) -> OutcomeWords:
    """Return how the outcome of a check is shown."""
    return _OUTCOMES[outcome]


def count_line(reports: Iterable[Report]) -> str:
    """Return the verdicts of a batch in one line, worst first and by their fixed names: ``2 altered, 38 verified``."""
    counts = Counter(report.verdict for report in reports)
    return ", ".join(f"{counts[verdict]:,} {verdict}" for verdict in reversed(Verdict) if counts[verdict])


def not_reached(findings: Iterable[Finding]) -> str:
    """Return the steps that no finding speaks of, in words; empty when there are none."""
    reached = {finding.step for finding in findings}
    missing = [f"{step}. {name}" for step, name in STEPS.items() if step not in reached]
    return f"These steps were not reached: {', '.join(missing)}" if missing else ""


def sentence(text: str) -> str:
    """Return a clause with a capital first letter, unless it begins with what may be a name.

    ``raw.tif has no seal`` stays as it is: ``Raw.tif`` would be another file.
    """
    first = text.partition(" ")[0].rstrip(",;:")
    return text[:1].upper() + text[1:] if first.removesuffix("'s").isalpha() and first.islower() else text


def full_sentence(text: str) -> str:
    """Return a clause with a capital first letter and a full stop, unless it ends in a mark already."""
    return sentence(text) + ("" if not text or text[-1] in ".?!…" else ".")
