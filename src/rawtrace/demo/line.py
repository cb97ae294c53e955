"""What the demo tells as it plays."""

from __future__ import annotations

from dataclasses import dataclass

from rawtrace.report import Verdict


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened, for the terminal.

    Attributes
    ----------
    text : str
    verdict : Verdict or None
        Where the line tells of a check.
    expected : bool
        False where a check came out other than it should.
    """

    text: str
    verdict: Verdict | None = None
    expected: bool = True
