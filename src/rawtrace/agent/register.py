"""What the loop knows of every asset, kept in step with the outbox: what waits, what is sealed, what came after."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from rawtrace.agent import work
from rawtrace.agent.finish import How, Says, span
from rawtrace.agent.outbox import Outbox, Wait
from rawtrace.agent.rows import Row, State
from rawtrace.agent.settings import Event, Settings
from rawtrace.agent.watch import Kind, WatchedFolder, sidecar_of
from rawtrace.errors import Error, OutboxError, SealUnreadableError, UnsealableError
from rawtrace.sealing.finished import Fingerprint, look

_LOG = logging.getLogger("rawtrace.agent")
_NOTE_EVERY_S = 2.0
_SAVE_QUIET_S = 60.0
_TURNS = 4


@dataclass(slots=True)
class Track:
    """One asset that is not sealed.

    Attributes
    ----------
    supersede : bool
        Its seal will replace an older one, of the content ``content_before``.
    fingerprint : Fingerprint or None
        As last seen; unchanged since ``changed_at`` and, in earlier runs, for ``quiet_before_s``.
    says : Says or None
        The format's answer for this fingerprint, once asked.
    told : bool
        An engine has said something of it.
    due, not_before : float
        When to look next; the earliest moment a hint may bring that forward to.
    settling : bool
        Nothing but a few quiet seconds, or the end of sealing, is awaited.
    """

    name: str
    kind: Kind
    supersede: bool = False
    content_before: str = ""
    fingerprint: Fingerprint | None = None
    changed_at: float = 0.0
    quiet_before_s: float = 0.0
    says: Says | None = None
    told: bool = False
    due: float = 0.0
    not_before: float = 0.0
    attempts: int = 0
    settling: bool = True
    sealing: bool = False
    noted: str = ""
    noted_quiet_s: float = 0.0
    noted_at: float = float("-inf")

    def see(self, fingerprint: Fingerprint, now: float) -> None:
        """Take in a fingerprint; a change starts the quiet period anew."""
        if fingerprint != self.fingerprint:
            self.fingerprint, self.says = fingerprint, None
            self.restart(now)

    def restart(self, now: float) -> None:
        """Start the quiet period anew."""
        self.changed_at, self.quiet_before_s = now, 0.0

    @property
    def quiet_only(self) -> bool:
        """Whether nothing but quiet can show that it is finished: neither its format nor an engine says so."""
        return not self.told and self.says is not None and self.says.finished is None

    def settled_s(self, now: float) -> float:
        """Return for how many seconds it has not changed."""
        return self.quiet_before_s + now - self.changed_at


class Register:
    """All assets, in memory and in the outbox.

    Parameters
    ----------
    watched, outbox, tools, settings
        See ``rawtrace.agent.service.Service``.
    clock, wall : callable
        Monotonic seconds; the time of day.
    tell : callable
        Receives every ``Event``.
    """

    def __init__(
        self,
        *,
        watched: WatchedFolder,
        outbox: Outbox,
        tools: work.Tools,
        settings: Settings,
        clock: Callable[[], float],
        wall: Callable[[], datetime],
        tell: Callable[[Event], None],
    ) -> None:
        self._watched, self._outbox, self._tools, self._settings = watched, outbox, tools, settings
        self._clock, self._wall, self._tell = clock, wall, tell
        self.tracks: dict[str, Track] = {}
        self.sealed: dict[str, tuple[Kind, Fingerprint | None]] = {}
        self._changed: set[str] = set()
        self._incomparable: set[str] = set()
        self._due: list[tuple[float, str]] = []
        self._ripe: deque[tuple[float, str]] = deque()
        self._ripe_by_quiet: deque[tuple[float, str]] = deque()
        self._turn = 0
        self._waits: dict[str, Wait] = {}
        for row in outbox.rows():
            try:
                self._load(row)
            except OutboxError:
                raise
            except Exception as error:  # noqa: BLE001  no single asset may keep the agent from starting
                self._outbox.failed(row.name, work.sentence(error))
                _LOG.warning("%s: %s", row.name, work.sentence(error))
                self._wait_for(row)

    # -- waiting ----------------------------------------------------------

    def enlist(self, assets: Iterable[tuple[str, Kind]]) -> None:
        """Take in assets that are new to the agent."""
        new = [(name, kind) for name, kind in assets if name not in self.tracks and name not in self.sealed]
        if new:
            self._outbox.enlist(new)
        for name, kind in new:
            row = self._outbox.row(name)
            track = Track(name=name, kind=kind)
            if row is not None:
                track.supersede, track.content_before = row.supersede, row.content_sha256
            self._add(track)

    def forget(self, names: list[str]) -> None:
        """Stop waiting for assets that are no longer there; the outbox keeps their rows."""
        if names:
            self._outbox.gone(names)
        for name in names:
            self.tracks.pop(name, None)
            self._waits.pop(name, None)

    def schedule(self, track: Track, after_s: float) -> None:
        """Look at an asset after some seconds."""
        track.due = max(self._clock() + after_s, track.not_before)
        heapq.heappush(self._due, (track.due, track.name))

    def look_soon(self, name: str) -> None:
        """Look at an asset at once, because something was heard of it; one that is unknown is passed over."""
        if name in self.sealed:
            self.look_at_sealed(name)
        elif name in self.tracks:
            self.schedule(self.tracks[name], 0)

    def reschedule(self, after_s: float) -> None:
        """Look at everything again after some seconds: a step was broken off in the middle."""
        self._due = []
        self._ripe.clear()
        self._ripe_by_quiet.clear()
        for track in self.tracks.values():
            if not track.sealing:
                self.schedule(track, after_s)

    def next_due(self) -> float:
        """Return when something is due."""
        if self._ripe or self._ripe_by_quiet:
            return float("-inf")
        return self._due[0][0] if self._due else float("inf")

    def pop_due(self, now: float) -> Track | None:
        """Return the next asset to look at, or ``None`` if none is due yet.

        In order of readiness, but a burst of files of which only quiet can show that they are finished does not
        hold up an acquisition whose format or engine says so: of four turns, such files get one while others wait.
        """
        while self._due and self._due[0][0] <= now:
            due, name = heapq.heappop(self._due)
            if (track := self._waiting(due, name)) is not None:
                (self._ripe_by_quiet if track.quiet_only else self._ripe).append((due, name))
        while self._ripe or self._ripe_by_quiet:
            others_turn = bool(self._ripe_by_quiet) and (not self._ripe or self._turn % _TURNS == _TURNS - 1)
            track = self._waiting(*(self._ripe_by_quiet if others_turn else self._ripe).popleft())
            if track is not None:
                # Whoever looks at it says when to look again.
                track.due = float("inf")
                self._turn += 1
                return track
        return None

    def _waiting(self, due: float, name: str) -> Track | None:
        """Return an asset if it still waits for just this moment."""
        track = self.tracks.get(name)
        return track if track is not None and not track.sealing and track.due == due else None

    def note_wait(self, track: Track, reason: str) -> None:
        """Keep why an asset waits, to be written down with the others."""
        quiet_s = track.settled_s(self._clock())
        if track.fingerprint is not None and (
            reason != track.noted or quiet_s - track.noted_quiet_s >= _SAVE_QUIET_S or quiet_s < track.noted_quiet_s
        ):
            self._waits[track.name] = Wait(reason=reason, quiet_s=quiet_s, fingerprint=track.fingerprint)

    def write_waits(self, *, everything: bool = False) -> None:
        """Write down what is awaited, all in one transaction, each asset at most every two seconds."""
        now = self._clock()
        self._waits = {name: wait for name, wait in self._waits.items() if name in self.tracks}
        ripe = {
            name: wait
            for name, wait in self._waits.items()
            if everything or now - self.tracks[name].noted_at >= _NOTE_EVERY_S
        }
        if not ripe:
            return
        self._outbox.wait(ripe)
        for name, wait in ripe.items():
            del self._waits[name]
            track = self.tracks[name]
            track.noted, track.noted_quiet_s, track.noted_at = wait.reason, wait.quiet_s, now

    # -- sealed -----------------------------------------------------------

    def begin(self, track: Track) -> None:
        """Note that an asset is being sealed."""
        self._waits.pop(track.name, None)
        track.sealing = track.settling = True
        track.attempts += 1

    def settle(self, track: Track, fingerprint: Fingerprint) -> None:
        """Note that an asset is sealed as it then looked."""
        self.tracks.pop(track.name, None)
        self.sealed[track.name] = (track.kind, fingerprint)

    def find_seal(self, track: Track, fingerprint: Fingerprint) -> bool:
        """Take an asset for sealed if a seal lies beside it that this agent did not make.

        Raises
        ------
        UnsealableError
            No seal can lie beside it.
        SealUnreadableError
            A seal is there and cannot be read.
        """
        sidecar = sidecar_of(self._watched.path(track.name), track.kind)
        try:
            there = sidecar.is_file()
        except OSError as error:
            reason = (error.strerror or "unknown").lower()
            msg = f"no seal can lie beside it: {reason}"
            raise UnsealableError(msg, hint="give it a shorter name") from error
        if track.supersede or not there:
            return False
        try:
            seal = self._tools.read_seal(sidecar)
        except Error as error:
            raise SealUnreadableError(work.unreadable_seal(error)) from error
        self._outbox.found_sealed(track.name, fingerprint=fingerprint, label=seal.label, claim_sha256=seal.claim_sha256)
        self.settle(track, fingerprint)
        _LOG.info("%s has a seal already", track.name)
        return True

    def is_sealing(self, name: str) -> bool:
        """Tell whether an asset is being sealed just now."""
        return name in self.tracks and self.tracks[name].sealing

    def looks_sealed(self, name: str, fingerprint: Fingerprint) -> bool:
        """Tell whether an asset looked like this when it was sealed."""
        known = self.sealed[name][1] if name in self.sealed else None
        return known is not None and known.agrees_with(fingerprint)

    def look_at_sealed(self, name: str) -> None:
        """Look whether data came after the seal."""
        seen = look(self._watched.path(name))
        if seen is not None and seen.listed:
            self.compare_sealed(name, seen.fingerprint)

    def compare_sealed(self, name: str, fingerprint: Fingerprint) -> None:
        """Compare a sealed asset with how it looks now, and wait for it anew where it differs."""
        try:
            self._compare_sealed(name, fingerprint)
        except OutboxError:
            raise
        except Exception as error:  # noqa: BLE001  no single asset may end the agent
            if name not in self._incomparable:
                self._incomparable.add(name)
                _LOG.warning("%s: it could not be compared with its seal: %s", name, work.sentence(error))

    def _compare_sealed(self, name: str, fingerprint: Fingerprint) -> None:
        kind, known = self.sealed[name]
        if fingerprint == known:
            if name in self._changed:
                self._outbox.unchanged(name)
                self._changed.discard(name)
            return
        row = None if name in self._changed else self._outbox.row(name)
        if row is None or row.state is not State.SEALED:
            return
        in_place = sidecar_of(self._watched.path(name), kind).is_file()
        reason = self._why_not_again(row) if in_place else ""
        if reason:
            self._outbox.changed(name, reason)
            self._changed.add(name)
            _LOG.warning("%s: %s", name, reason)
            self._tell(Event(what="changed", name=name, text=reason, row=row))
            return
        text = "data came after the seal; a new seal will supersede it" if in_place else "the name is used anew"
        self._outbox.supersede(name, text, replaces=in_place)
        del self.sealed[name]
        self._add(
            Track(name=name, kind=kind, supersede=in_place, content_before=row.content_sha256 if in_place else "")
        )
        _LOG.info("%s: %s", name, text)

    # -- inside -----------------------------------------------------------

    def _add(self, track: Track) -> None:
        track.changed_at = self._clock()
        self.tracks[track.name] = track
        self.schedule(track, 0)

    def _load(self, row: Row) -> None:
        state = self._reconcile(row) if row.state is State.SEALING else row.state
        if state in {State.SEALED, State.CHANGED}:
            self.sealed[row.name] = (row.kind, row.fingerprint)
            if state is State.CHANGED:
                self._changed.add(row.name)
        elif not row.gone:
            self._wait_for(row)

    def _wait_for(self, row: Row) -> None:
        track = Track(name=row.name, kind=row.kind, supersede=row.supersede, content_before=row.content_sha256)
        track.fingerprint, track.quiet_before_s, track.attempts = row.fingerprint, row.quiet_s, row.attempts
        self._add(track)

    def _reconcile(self, row: Row) -> State:
        """Compare a row that was being sealed when the agent ended with what lies on the disk."""
        sidecar = sidecar_of(self._watched.path(row.name), row.kind)
        digest = work.digest_of(sidecar)
        if digest == work.EMPTY_DIGEST:
            # File systems without hard links publish in two steps; this is the first one, of our own making.
            sidecar.unlink(missing_ok=True)
            digest = ""
        if not digest or digest == row.sidecar_before:
            self._outbox.back_to_waiting(row.name, "sealing was interrupted and is taken up again")
            return State.WAITING
        try:
            seal = self._tools.read_seal(sidecar)
        except Error as error:
            self._outbox.failed(row.name, work.unreadable_seal(error))
            return State.FAILED
        self._outbox.sealed(
            row.name,
            label=seal.label,
            claim_sha256=seal.claim_sha256,
            content_sha256=seal.content_sha256,
            sidecar=work.bytes_of(sidecar),
        )
        return State.SEALED

    def _why_not_again(self, row: Row) -> str:
        """Return why a changed asset must not get a new seal by itself; empty if it may.

        Whoever can write to the folder could otherwise have an old file altered and sealed as new.
        """
        if row.how == How.FOUND_SEALED:
            return "it no longer looks as it did, and its seal is not of this agent's making; a person must look"
        try:
            age_s = (self._wall() - datetime.fromisoformat(row.sealed_at)).total_seconds()
        except ValueError:
            age_s = 0.0
        if age_s > self._settings.late_s:
            return (
                f"it changed more than {span(self._settings.late_s)} after it was sealed, too late for data of the"
                " same acquisition; the seal stays, and a person must look"
            )
        return ""
