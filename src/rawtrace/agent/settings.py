"""How an agent goes about it, and what it tells."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rawtrace.agent.finish import Patience
from rawtrace.agent.rows import Row
from rawtrace.sealing.statements import Device

_LOG = logging.getLogger("rawtrace.agent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the agent goes about it.

    Attributes
    ----------
    patience : Patience
    device : Device or None
        With what this instrument records, as its operator told: stated of everything, unless the engine knows better.
    engine_notes : Path or None
        A folder that only the acquisition software's account can write to: notes in it make a seal say
        ``engine-hook``. Notes in the watched folder say no more than that an asset is finished.
    sweep_s, poll_s : float
        Seconds between full sweeps with events, and without; stretched so that sweeping takes at most a
        twentieth (without events a fifth) of the time.
    late_s : float
        Data that comes later than this after the seal is not sealed anew: a person must look.
    leftover_s : float
        Age at which a temporary file of an interrupted run of rawtrace is swept away.
    workers : int
        Threads that seal; 0 seals within the loop.
    """

    patience: Patience = field(default_factory=Patience)
    device: Device | None = None
    engine_notes: Path | None = None
    sweep_s: float = 30.0
    poll_s: float = 1.0
    late_s: float = 6 * 3600.0
    leftover_s: float = 600.0
    workers: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something worth telling: ``sealed``, ``superseded``, ``failed`` or ``changed``, of one asset."""

    what: str
    name: str
    text: str
    row: Row | None = None


def telling(tell: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a ``tell`` that never raises: a listener with a full disk must not end the agent."""

    def tell_or_log(event: Event) -> None:
        try:
            tell(event)
        except Exception as error:  # noqa: BLE001  whatever the listener's trouble is, sealing goes on
            _LOG.warning("%s: %s could not be told: %s", event.name, event.what, error)

    return tell_or_log
