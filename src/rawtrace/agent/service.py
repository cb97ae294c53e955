"""The agent's loop: what is new is enlisted, what is finished is sealed, what fails is tried again for ever.

One thread runs the loop and is the outbox's only writer; a few threads seal.
Time is a clock that never jumps; the wall clock is for display, and to tell how
old a seal of an earlier run is.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from rawtrace.agent import work
from rawtrace.agent.deliver import Deliveries
from rawtrace.agent.enginenotes import EngineNotes
from rawtrace.agent.finish import Decision, How, Says, again_after, span
from rawtrace.agent.hints import Hints
from rawtrace.agent.outbox import Outbox
from rawtrace.agent.readiness import Readiness
from rawtrace.agent.register import Register, Track
from rawtrace.agent.rows import State
from rawtrace.agent.settings import Event, Settings, telling
from rawtrace.agent.watch import Kind, Leftovers, WatchedFolder, sidecar_of
from rawtrace.agent.writers import Writers
from rawtrace.errors import (
    AlreadyExistsError,
    ChangedWhileReadError,
    InputNotFoundError,
    OutboxError,
    SealUnreadableError,
    UnsealableError,
)
from rawtrace.sealing.assertions import Capture
from rawtrace.sealing.finished import look

_LOG = logging.getLogger("rawtrace.agent")
_NAP_S = 1.0
_LONGEST_TURN_S = 0.5
_LONGEST_BACKOFF_S = 300.0
_FLUSH_S = 60.0


class Service:
    """The agent.

    Parameters
    ----------
    watched : WatchedFolder
    outbox : Outbox
    tools : work.Tools
    complete : callable
        ``rawtrace.image.completeness.completeness``.
    settings : Settings
    clock, wall : callable
        Monotonic seconds; the time of day.
    writers : Writers, optional
    tell : callable, optional
        Receives every ``Event``.
    facts : callable, optional
        What else ``agent status`` is to tell, by name; asked at every step.
    deliveries : Deliveries, optional
        Where seals go when they are made.
    """

    def __init__(
        self,
        *,
        watched: WatchedFolder,
        outbox: Outbox,
        tools: work.Tools,
        complete: Callable[[Path], Says],
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        writers: Writers | None = None,
        tell: Callable[[Event], None] = lambda event: None,
        facts: Callable[[], Mapping[str, str]] = dict,
        deliveries: Deliveries | None = None,
    ) -> None:
        self._facts, self._told = facts, dict[str, str]()
        self._watched, self._outbox = watched, outbox
        self._settings, self._clock, self._tell = settings, clock, telling(tell)
        self._register = Register(
            watched=watched, outbox=outbox, tools=tools, settings=settings, clock=clock, wall=wall, tell=self._tell
        )
        self._wake = threading.Event()
        self._workers = work.Workers(tools, count=settings.workers, wake=self._wake.set)
        self._hints = Hints(self._wake.set)
        self._notes = EngineNotes(
            watched=watched, outbox=outbox, register=self._register, vouched=settings.engine_notes
        )
        self._readiness = Readiness(
            patience=settings.patience,
            notes=self._notes,
            writers=writers or Writers(watched.root, clock=clock),
            complete=complete,
            clock=clock,
        )
        self._leftovers = Leftovers(settings.leftover_s)
        self._deliveries = deliveries
        if deliveries is not None:
            deliveries.attach(sealing=self._register.is_sealing, wake=self._wake.set)
        self._walks: list[str] = []
        self._next_sweep = float("-inf")
        self._problem = ""

    def run(self, stop: Callable[[], bool], *, events: bool = True) -> None:
        """Run until ``stop`` says so; finish the seals under way, then return."""
        notes = self._settings.engine_notes
        listening = events and self._hints.start([self._watched.root] + ([notes] if notes else []))
        _LOG.info("watching %s (%s)", self._watched.root, "events" if listening else "at intervals")
        try:
            while not stop():
                pause_s = self._step_or_explain()
                # Short naps, because a signal handler may not wake a sleeping lock on every system.
                if self._wake.wait(min(pause_s, _NAP_S)):
                    self._wake.clear()
        finally:
            self._hints.stop()
            self.close()

    def run_once(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Seal what is finished, waiting only for quiet periods; ``True`` if nothing failed."""
        while not stop():
            pause_s = self.step()
            if not self._workers.busy and not any(track.settling for track in self._register.tracks.values()):
                break
            if self._wake.wait(min(pause_s, _NAP_S)):
                self._wake.clear()
        if self._deliveries is not None:
            self._deliveries.flush(stop, limit_s=_FLUSH_S, nap=self._wake.wait)
        self.close()
        return not self._outbox.rows(State.FAILED)

    def close(self) -> None:
        """Wait for the seals under way and note them."""
        self._workers.close()
        if self._deliveries is not None:
            self._deliveries.close()
        try:
            self._collect()
            self._register.write_waits(everything=True)
        except OutboxError as error:
            _LOG.error("%s; what was sealed meanwhile is found again at the next start", error)

    def step(self) -> float:
        """Do all that is due and return for how many seconds nothing will be.

        Raises
        ------
        OutboxError, UnreadableError
            The outbox cannot be written, or the watched folder cannot be listed. Nothing is lost; call again later.
        """
        self._collect()
        self._tell_facts()
        self._take_hints()
        if self._clock() >= self._next_sweep:
            self._sweep()
        self._notes.take()
        now = self._clock()
        # However much there is to do, what is new is taken notice of in between.
        while not self._workers.full and self._clock() - now < _LONGEST_TURN_S:
            track = self._register.pop_due(now)
            if track is None:
                break
            self._examine(track)
            self._collect()
        self._register.write_waits()
        deliver_s = self._deliveries.step() if self._deliveries is not None else float("inf")
        if self._workers.full:
            return _NAP_S
        return max(0.01, min(self._next_sweep - self._clock(), self._register.next_due() - self._clock(), deliver_s))

    def _step_or_explain(self) -> float:
        try:
            pause_s = self.step()
        except Exception as error:  # noqa: BLE001  an instrument goes on, and so must its agent
            # A full disk, a drive that went away, a bug of ours: say so once, keep everything, come back.
            text = work.sentence(error)
            if text != self._problem:
                self._problem = text
                _LOG.error("%s", text)
                self._note_problem(text)
            self._register.reschedule(_NAP_S)
            return _NAP_S
        if self._problem:
            _LOG.info("working again after: %s", self._problem)
            self._problem = ""
            self._note_problem("")
            # What came meanwhile may have been told of in events that could not be written down.
            self._next_sweep, pause_s = float("-inf"), 0.0
        return pause_s

    def _tell_facts(self) -> None:
        facts = dict(self._facts())
        if facts != self._told:
            self._outbox.note_facts(facts)
            self._told = facts

    def _note_problem(self, text: str) -> None:
        # Where the outbox itself is the problem, the log alone can tell.
        with contextlib.suppress(OutboxError):
            self._outbox.note_facts({"problem": text})

    # -- what is there ----------------------------------------------------

    def _sweep(self) -> None:
        started, register = self._clock(), self._register
        sweep = self._watched.sweep()
        register.enlist((found.name, found.kind) for found in sweep.found)
        names = {found.name for found in sweep.found}
        for found in sweep.found:
            if found.fingerprint is None:
                continue
            if found.name in register.sealed:
                register.compare_sealed(found.name, found.fingerprint)
            elif found.name in register.tracks:
                register.tracks[found.name].see(found.fingerprint, self._clock())
        hidden = tuple(f"{folder}/" for folder in sweep.unreadable)
        register.forget(
            [
                name
                for name, track in register.tracks.items()
                if name not in names and not track.sealing and not name.startswith(hidden)
            ]
        )
        self._leftovers.sweep_away(sweep.leftovers, self._clock())
        steady = self._hints.alive()
        every_s = self._settings.sweep_s if steady else self._settings.poll_s
        self._walk_sealed_folders(names, budget_s=every_s / 20)
        took_s = self._clock() - started
        self._next_sweep = self._clock() + max(every_s, took_s * (20 if steady else 5))

    def _walk_sealed_folders(self, names: set[str], *, budget_s: float) -> None:
        """Look for late data in sealed folders, in turn, for a small part of the time."""
        sealed = self._register.sealed
        if not self._walks:
            self._walks = [name for name, (kind, _) in sealed.items() if kind is Kind.FOLDER and name in names]
        deadline = self._clock() + budget_s
        while self._walks:
            name = self._walks.pop()
            if name in sealed:
                self._register.look_at_sealed(name)
            if self._clock() >= deadline:
                break

    def _take_hints(self) -> None:
        paths, overflow = self._hints.take()
        if overflow:
            self._next_sweep = float("-inf")
            return
        register, names = self._register, set[str]()
        for path in paths:
            name = self._watched.name_of(path)
            if name is not None:
                names.add(name)
            elif path.is_dir() and (below := self._watched.folder_name(path)):
                # A folder that was moved in brings no events for what is in it.
                register.enlist((found.name, found.kind) for found in self._watched.sweep(below).found)
        for name in names:
            if name not in register.sealed and name not in register.tracks and look(self._watched.path(name)):
                register.enlist([(name, self._watched.kind(name))])
            else:
                register.look_soon(name)

    # -- what is finished -------------------------------------------------

    def _examine(self, track: Track) -> None:
        try:
            self._look_and_decide(track)
        except OutboxError:
            raise
        except Exception as error:  # noqa: BLE001  no single asset may end the agent
            self._note_failure(track, work.sentence(error))

    def _look_and_decide(self, track: Track) -> None:
        path, started = self._watched.path(track.name), self._clock()
        seen = look(path)
        if seen is None:
            self._register.forget([track.name])
            return
        track.see(seen.fingerprint, started)
        if self._register.find_seal(track, seen.fingerprint):
            return
        decision = self._readiness.decide(track, path, empty=seen.empty, temporary=seen.temporary)
        # Looking at a folder of many thousand members may take at most a tenth of the time.
        track.not_before = self._clock() + 10 * (self._clock() - started)
        if decision.how is not None:
            self._begin(track, path, decision)
            return
        track.settling = decision.settling
        self._register.schedule(track, decision.again_s)
        self._register.note_wait(track, decision.reason)

    # -- sealing ----------------------------------------------------------

    def _begin(self, track: Track, path: Path, decision: Decision) -> None:
        fingerprint, told = track.fingerprint, self._notes.about(track.name, track.fingerprint)
        if fingerprint is None or decision.how is None:
            return
        vouched = decision.how is How.ENGINE and told is not None and told.vouched
        capture = Capture.ENGINE_HOOK if vouched else Capture.WATCHED_FOLDER
        device = self._settings.device
        if vouched and told is not None and told.device is not None:
            device = told.device.filled_from(device)
        before = work.digest_of(sidecar_of(path, track.kind)) if track.supersede else ""
        if not self._outbox.begin(
            track.name, fingerprint=fingerprint, how=decision.how, capture=capture, sidecar_before=before
        ):
            self._register.forget([track.name])
            return
        self._register.begin(track)
        self._workers.begin(
            work.Job(
                name=track.name,
                path=path,
                fingerprint=fingerprint,
                capture=capture,
                supersede=track.supersede,
                content_before=track.content_before if before else "",
                device=device,
            )
        )

    def _collect(self) -> None:
        # An outcome leaves the queue only after it is in the outbox: a full disk must not lose it.
        while self._workers.ended:
            outcome = self._workers.ended[0]
            try:
                self._note_outcome(outcome)
            except OutboxError:
                raise
            except Exception as error:  # noqa: BLE001  no single asset may end the agent
                if (track := self._register.tracks.get(outcome.job.name)) is not None:
                    self._note_failure(track, work.sentence(error))
            self._workers.noted()

    def _note_outcome(self, outcome: work.Outcome) -> None:
        job, error, made = outcome.job, outcome.error, outcome.made
        track = self._register.tracks.get(job.name)
        if track is None:
            return
        if made is not None:
            self._outbox.sealed(
                job.name,
                label=made.label,
                claim_sha256=made.claim_sha256,
                content_sha256=made.content_sha256,
                sidecar=work.bytes_of(sidecar_of(job.path, track.kind)) if self._deliveries else b"",
            )
            if self._deliveries is not None:
                self._deliveries.soon()
            self._settle(track, job)
            self._tell_sealed("superseded" if job.supersede else "sealed", job.name)
        elif outcome.same:
            self._outbox.unsupersede(job.name, job.fingerprint)
            self._settle(track, job)
        elif isinstance(error, ChangedWhileReadError) or self._went_away(job, error):
            self._outbox.back_to_waiting(job.name, str(error))
            track.sealing = False
            track.attempts -= 1
            track.restart(self._clock())
            self._register.schedule(track, again_after(0))
        elif isinstance(error, AlreadyExistsError) and self._is_sealed_by_another(track, job):
            self._notes.forget(job.name)
        else:
            self._note_failure(track, work.sentence(error) if error else "the seal was not made")

    def _went_away(self, job: work.Job, error: BaseException | None) -> bool:
        seen = look(job.path) if isinstance(error, InputNotFoundError) else None
        return isinstance(error, InputNotFoundError) and (seen is None or seen.fingerprint != job.fingerprint)

    def _is_sealed_by_another(self, track: Track, job: work.Job) -> bool:
        try:
            return self._register.find_seal(track, job.fingerprint)
        except (SealUnreadableError, UnsealableError):
            return False

    def _settle(self, track: Track, job: work.Job) -> None:
        self._notes.forget(track.name)
        self._register.settle(track, job.fingerprint)

    def _note_failure(self, track: Track, text: str) -> None:
        self._outbox.failed(track.name, text)
        track.attempts += 0 if track.sealing else 1
        track.sealing = track.settling = False
        wait_s = min(_LONGEST_BACKOFF_S, 2.0 ** min(track.attempts, 9))
        self._register.schedule(track, wait_s)
        _LOG.warning("%s: %s; trying again in %s", track.name, text, span(wait_s))
        self._tell(Event(what="failed", name=track.name, text=text, row=self._outbox.row(track.name)))

    def _tell_sealed(self, what: str, name: str) -> None:
        row = self._outbox.row(name)
        text = "a new seal supersedes the old one" if what == "superseded" else "sealed"
        _LOG.info("%s: %s (%s, %s)", name, text, row.how if row else "", row.capture if row else "")
        self._tell(Event(what=what, name=name, text=text, row=row))
