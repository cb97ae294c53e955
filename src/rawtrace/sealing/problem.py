"""One fault that was found in a seal: a stable code for programs, a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault in a seal that can still be read.

    Attributes
    ----------
    code : str
        Kebab-case and stable, such as ``assertion-changed``; the table is in
        ``docs/spec/reading-a-seal.md``.
    message : str
        One sentence, lower case, no full stop.
    """

    code: str
    message: str
