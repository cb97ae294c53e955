"""When is an asset finished? One pure decision over what was observed, so that it can be tested without waiting.

In this order: what the system says (still open, a temporary name left), the
engine's own word, the format's, and at last that nothing changes any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from rawtrace.agent.writers import Writing

_SOONEST_S = 0.25
_LATEST_S = 30.0


class How(StrEnum):
    """What showed that an asset was finished; shown by ``agent status``."""

    ENGINE = "engine"
    FORMAT = "format"
    QUIET = "quiet"
    LONG_QUIET = "long-quiet"
    FOUND_SEALED = "found-sealed"


class Says(Protocol):
    """What a format says of a file; ``rawtrace.image.completeness.Completeness`` is one."""

    @property
    def finished(self) -> bool | None:
        """Complete, not complete, or the format does not say."""

    @property
    def reason(self) -> str:
        """One sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NothingSaid:
    """What is assumed of a file whose format could not be asked."""

    finished: bool | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, in seconds of a clock that never jumps.

    Attributes
    ----------
    quiet_s : float
        Without change, when the format does not say whether it is complete.
    complete_quiet_s : float
        Without change, when the format says it is complete: programs still rewrite metadata at the end.
    long_quiet_s : float
        Without change, when the format says that something is missing: an acquisition that was broken off.
    """

    quiet_s: float = 5.0
    complete_quiet_s: float = 1.0
    long_quiet_s: float = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known of one asset at one moment.

    Attributes
    ----------
    settled_s : float
        Seconds without a change.
    empty : bool
        No bytes, or no files in the folder.
    temporary : str
        A temporary name in or beside it, empty if none.
    writing : Writing
        Whether another program has it open for writing.
    engine_says : str
        The engine's reason (``completed``, ``canceled``) if it announced exactly this state, else empty.
    format_says : bool or None
        Complete, not complete, or the format does not say.
    format_reason : str
        The format's own sentence, such as ``"12 of 40 planes are there"``.
    """

    settled_s: float
    empty: bool = False
    temporary: str = ""
    writing: Writing = Writing.UNKNOWN
    engine_says: str = ""
    format_says: bool | None = None
    format_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Seal now (``how`` says why) or look again in ``again_s`` seconds (``reason`` says what is awaited).

    ``settling`` is set when nothing but a few quiet seconds is awaited.
    """

    how: How | None
    reason: str
    again_s: float
    settling: bool = False


def decide(seen: Observation, patience: Patience) -> Decision:
    """Decide whether an asset is finished.

    An unfinished one is never sealed before ``long_quiet_s`` without any change; an empty one never.
    """
    if seen.empty:
        return _wait(seen, "it is empty so far")
    if seen.writing is Writing.YES:
        return _wait(seen, "another program has it open for writing")
    unfinished = _what_is_missing(seen)
    if not unfinished and seen.engine_says:
        return Decision(how=How.ENGINE, reason=f"the acquisition engine says: {seen.engine_says}", again_s=0)
    if unfinished:
        if seen.settled_s >= patience.long_quiet_s:
            return Decision(
                how=How.LONG_QUIET,
                reason=f"{unfinished}, but nothing has changed for {span(patience.long_quiet_s)}",
                again_s=0,
            )
        return _wait(seen, unfinished, patience.long_quiet_s - seen.settled_s)
    needed_s = min(patience.complete_quiet_s, patience.quiet_s) if seen.format_says else patience.quiet_s
    if seen.settled_s < needed_s:
        again_s = again_after(seen.settled_s, needed_s - seen.settled_s)
        return Decision(how=None, reason=f"it changed less than {span(needed_s)} ago", again_s=again_s, settling=True)
    if seen.format_says:
        return Decision(how=How.FORMAT, reason=seen.format_reason or "the format says it is complete", again_s=0)
    return Decision(
        how=How.QUIET,
        reason=f"the format does not say whether it is complete; nothing changed for {span(needed_s)}",
        again_s=0,
    )


def again_after(settled_s: float, at_most_s: float = _LATEST_S) -> float:
    """Return when to look again: often while something happens, seldom when nothing does (0.25 to 30 s)."""
    return max(0.01, min(max(_SOONEST_S, settled_s / 4), _LATEST_S, at_most_s))


def span(seconds: float) -> str:
    """Return a duration in words: ``"5 s"``, ``"30 min"``, ``"6 h"``."""
    if seconds < 120:
        return f"{seconds:g} s"
    if seconds < 7200:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h"


def _what_is_missing(seen: Observation) -> str:
    if seen.temporary:
        return f"the temporary name {seen.temporary} shows that somebody is still at work"
    # The engine that wrote the file knows better than the header: a cancelled run never becomes complete.
    if seen.format_says is False and not seen.engine_says:
        return seen.format_reason or "the format says that something is missing"
    return ""


def _wait(seen: Observation, reason: str, at_most_s: float = _LATEST_S) -> Decision:
    return Decision(how=None, reason=reason, again_s=again_after(seen.settled_s, at_most_s))
