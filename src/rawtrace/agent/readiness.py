"""Asking everybody who may know whether an asset is finished: the engine, its format, the process table, the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from rawtrace.agent.enginenotes import EngineNotes
from rawtrace.agent.finish import Decision, NothingSaid, Observation, Patience, Says, decide
from rawtrace.agent.register import Track
from rawtrace.agent.watch import leftover_beside
from rawtrace.agent.writers import Writers

_LOG = logging.getLogger("rawtrace.agent")


class Readiness:
    """Gathers what is known of an asset and decides.

    Parameters
    ----------
    patience : Patience
    notes : EngineNotes
    writers : Writers
    complete : callable
        ``rawtrace.image.completeness.completeness``.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        *,
        patience: Patience,
        notes: EngineNotes,
        writers: Writers,
        complete: Callable[[Path], Says],
        clock: Callable[[], float],
    ) -> None:
        self._patience, self._notes, self._writers = patience, notes, writers
        self._complete, self._clock = complete, clock

    def decide(self, track: Track, path: Path, *, empty: bool, temporary: str) -> Decision:
        """Tell whether an asset is finished, or what is awaited."""
        patience, settled_s = self._patience, track.settled_s(self._clock())
        if empty:
            return decide(Observation(settled_s=settled_s, empty=True), patience)
        told = self._notes.about(track.name, track.fingerprint)
        engine = told.reason or "finished" if told is not None else ""
        if not engine and settled_s < min(patience.complete_quiet_s, patience.quiet_s):
            # Too early to ask anybody: the answer would be outdated at once.
            return decide(Observation(settled_s=settled_s, format_says=True), patience)
        if track.says is None and not engine:
            track.says = self._ask_format(path)
        return decide(
            Observation(
                settled_s=settled_s,
                temporary=temporary or leftover_beside(path),
                writing=self._writers.at_work_on(path),
                engine_says=engine,
                format_says=track.says.finished if track.says else None,
                format_reason=track.says.reason if track.says else "",
            ),
            patience,
        )

    def _ask_format(self, path: Path) -> Says:
        try:
            return self._complete(path)
        except Exception as error:  # noqa: BLE001  a reader that trips over odd content must not stop the agent
            _LOG.debug("%s: whether it is complete could not be read: %s", path, error)
            return NothingSaid()
