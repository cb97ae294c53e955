"""Delivering what was sealed: to every store that is set, for as long as it takes, without ever holding up sealing.

Threads carry (``courier``); the agent's loop alone writes to the outbox and to
the folder. What a store has answered is in the outbox before anything of it is
written beside the seal, so a crash at any point is mended by doing it again:

1. the answer is checked, then kept in the outbox (``answered``)
2. receipts: ``NAME.c2pa.tlog-proof`` is replaced as a whole, one receipt for each log and record
3. the counter-signed seal replaces ours, if it holds ours unchanged
4. the outbox notes ``delivered``, and what was kept for it goes
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rawtrace import durable
from rawtrace.agent.courier import Answered, Undone, check_update, place_of, read_sidecar, records_in
from rawtrace.agent.deliverybox import DeliveryBox, Parcel
from rawtrace.agent.work import sentence
from rawtrace.errors import AlreadyExistsError, Error, InputNotFoundError, OutboxError, ReceiptError, RefusedError
from rawtrace.trust.anchors import TrustList

_LOG = logging.getLogger("rawtrace.agent")

#: Seals that go with one request.
BATCH = 50
FIRST_WAIT_S = 2.0
LONGEST_WAIT_S = 900.0
#: A seal that a store refuses for good is shown to it again, but seldom: its operator may mend what was wrong.
REFUSED_WAIT_S = 3_600.0
_IDLE_S = 30.0
_LONGEST_TURN_S = 0.2
_RECEIPTS_SUFFIX = ".tlog-proof"
_MAX_PROBED = 500


class Carrier(Protocol):
    """Who carries to one store; ``courier.Courier`` is one."""

    @property
    def url(self) -> str:
        """The store's address."""

    def carry(self, parcels: Sequence[Parcel]) -> list[Answered | Undone]:
        """Deliver seals; an outcome for each that was tried."""


@dataclass(slots=True)
class _Route:
    """One store: when to try next, and what waits on its own account."""

    carrier: Carrier
    next_at: float = float("-inf")
    failures: int = 0
    busy: bool = False
    problem: str = ""


class Deliveries:
    """All deliveries of an agent; called by the agent's loop only.

    Parameters
    ----------
    box : DeliveryBox
    carriers : Sequence of Carrier
        One for each store.
    root : Path
        The watched folder.
    lists : Sequence[TrustList]
        Whose counter-signatures are accepted.
    clock : callable
        Monotonic seconds.
    now : callable
        The time of day as text, for display.
    threads : bool
        Tests carry within the loop.
    spread : callable
        Jitter: a number from 0 to 1.
    """

    def __init__(
        self,
        box: DeliveryBox,
        carriers: Sequence[Carrier],
        *,
        root: Path,
        lists: Sequence[TrustList],
        clock: Callable[[], float],
        now: Callable[[], str],
        threads: bool = True,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._box, self._root, self._lists, self._clock, self._now = box, root, tuple(lists), clock, now
        self._spread = spread
        self._sealing: Callable[[str], bool] = lambda name: False
        self._wake: Callable[[], None] = lambda: None
        self._routes = {one.url: _Route(one) for one in carriers}
        self._pool = ThreadPoolExecutor(len(carriers), thread_name_prefix="deliver") if threads and carriers else None
        self._came_back: deque[tuple[_Route, list[Answered | Undone]]] = deque()
        self._held: dict[tuple[int, str], float] = {}
        self._write_again_at = float("-inf")
        self._told: set[str] = set()
        box.aim([one.url for one in carriers])

    def attach(self, *, sealing: Callable[[str], bool], wake: Callable[[], None]) -> None:
        """Learn from the loop whether the asset of a name is being sealed, and how to wake it from a thread."""
        self._sealing, self._wake = sealing, wake

    @property
    def busy(self) -> bool:
        """Whether something is on its way, or could go at once."""
        return any(route.busy for route in self._routes.values()) or bool(self._came_back)

    def close(self) -> None:
        """Wait for what is on its way; what it comes back with is found again at the next start."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def soon(self) -> None:
        """Look for something to deliver at the next step: a seal was made."""
        for route in self._routes.values():
            if not route.failures:
                route.next_at = float("-inf")

    def step(self) -> float:
        """Do what is due and return for how many seconds nothing will be; no store's trouble ends the agent.

        Raises
        ------
        OutboxError
        """
        try:
            return self._step()
        except OutboxError:
            raise
        except Exception as error:  # noqa: BLE001  a bug of ours in delivering must not keep instruments from sealing
            text = sentence(error)
            if text not in self._told:
                self._told.add(text)
                _LOG.error("delivering is held up: %s", text)
            return _IDLE_S

    def flush(self, stop: Callable[[], bool], *, limit_s: float, nap: Callable[[float], object]) -> None:
        """Deliver what can be delivered now, for at most some seconds."""
        end = self._clock() + limit_s
        self.soon()
        while not stop() and self._clock() < end:
            pause_s = self.step()
            if not self.busy and pause_s > 0:
                return
            nap(min(max(pause_s, 0.01), 0.1))

    def _step(self) -> float:
        self._collect()
        self._write_answers()
        now = self._clock()
        for route in self._routes.values():
            if not route.busy and now >= route.next_at:
                self._send(route)
        self._collect()
        self._write_answers()
        upcoming = [route.next_at for route in self._routes.values() if not route.busy]
        return max(0.0, min([*upcoming, self._clock() + _IDLE_S]) - self._clock())

    # -- out and back

    def _send(self, route: _Route) -> None:
        now, url = self._clock(), route.carrier.url
        # What is held back for itself stands behind: it was tried more often.
        found = self._box.waiting(url, limit=_MAX_PROBED)
        due = [one for one in found if self._held.get((one.asset, url), now) <= now][:BATCH]
        if not due:
            held = [self._held[one.asset, url] for one in found if (one.asset, url) in self._held]
            route.next_at = min([now + _IDLE_S, *held])
            return
        route.busy = True
        if self._pool is None:
            self._back(route, due)
        else:
            self._pool.submit(self._back, route, due)

    def _back(self, route: _Route, parcels: Sequence[Parcel]) -> None:
        try:
            outcomes = route.carrier.carry(parcels)
        except Exception as error:  # noqa: BLE001  handed to the loop; no store may end the agent
            text = error.message if isinstance(error, Error) else f"an unexpected error: {type(error).__name__}"
            outcomes = [Undone(parcel=one, error=text, all_of_it=True) for one in parcels]
        self._came_back.append((route, outcomes))
        self._wake()

    def _collect(self) -> None:
        while self._came_back:
            route, outcomes = self._came_back[0]
            self._note(route, outcomes)
            # Only now: a full disk of the outbox must not lose what came back.
            self._came_back.popleft()
            route.busy = False

    def _note(self, route: _Route, outcomes: Sequence[Answered | Undone]) -> None:
        url, now = route.carrier.url, self._clock()
        for one in outcomes:
            if isinstance(one, Answered):
                self._box.note_answer(one.parcel, place=one.place, receipt=one.receipt, updated=one.updated)
                self._held.pop((one.parcel.asset, url), None)
                if one.remark and one.remark not in self._told:
                    self._told.add(one.remark)
                    _LOG.warning("%s: %s", one.parcel.name, one.remark)
        undone = [one for one in outcomes if isinstance(one, Undone)]
        for error in dict.fromkeys(one.error for one in undone):
            self._box.note_failure([one.parcel for one in undone if one.error == error], error)
        for one in undone:
            if not one.all_of_it:
                wait_s = min(REFUSED_WAIT_S, 60.0 * 2 ** min(one.parcel.attempts, 10))
                self._held[one.parcel.asset, url] = now + max(one.retry_after_s, self._jittered(wait_s))
        stopped = [one for one in undone if one.all_of_it]
        if not stopped:
            if route.failures:
                _LOG.info("%s takes seals again", url)
            route.failures, route.problem, route.next_at = 0, "", float("-inf")
            return
        route.failures += 1
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(route.failures - 1, 20))
        route.next_at = now + max(one.retry_after_s for one in stopped) + self._jittered(wait_s)
        if stopped[0].error != route.problem:
            route.problem = stopped[0].error
            _LOG.warning("seals wait for %s: %s", url, route.problem)

    def _jittered(self, wait_s: float) -> float:
        # A hundred instruments whose store was away must not all come back at once.
        return wait_s * (0.5 + 0.5 * self._spread())

    # -- beside the seal

    def _write_answers(self) -> None:
        """Write down what stores have answered, for a small part of the time; the rest at the next step."""
        started = self._clock()
        if started < self._write_again_at:
            return
        for url in self._routes:
            for parcel in self._box.answered(url, limit=BATCH):
                if self._sealing(parcel.name):
                    continue  # its seal is about to be moved; after that this one is found where it then lies
                try:
                    self._finish(parcel)
                except OutboxError:
                    raise
                except Error as error:
                    # No room, no leave to write: the answer stays in the outbox until there is.
                    self._box.note_failure([parcel], error.message)
                    self._write_again_at = self._clock() + self._jittered(60.0)
                    if error.message not in self._told:
                        self._told.add(error.message)
                        _LOG.warning("%s: what %s answered cannot be written: %s", parcel.name, url, error.message)
                    return
                if self._clock() - started > _LONGEST_TURN_S:
                    return

    def _finish(self, parcel: Parcel) -> None:
        sidecar, remark = place_of(parcel, self._root), ""
        if sidecar is None:
            if parcel.receipt or parcel.updated:
                # The data went elsewhere with its seal. The store has it and answers the same to whoever asks again.
                remark = f"the seal is no longer beside {parcel.name}; ask {parcel.store} for its receipt"
        else:
            current = read_sidecar(sidecar)
            newer = self._newer(current, parcel)
            if parcel.receipt:
                receipts = sidecar.with_name(sidecar.name + _RECEIPTS_SUFFIX)
                _add_receipts(receipts, parcel.receipt, records_in(newer or current))
            if newer:
                durable.replace(sidecar, newer)
        self._box.note_delivered(parcel, self._now(), error=remark)
        if remark:
            _LOG.warning("%s", remark)

    def _newer(self, current: bytes, parcel: Parcel) -> bytes:
        """Return the counter-signed seal, unless ours is no longer what it was made from; empty: leave what is."""
        if not parcel.updated or current == parcel.updated:
            return b""
        try:
            check_update(current, parcel.updated, self._lists)
        except RefusedError:
            # Another store's counter-signature came first: this store's receipt is there, and that is enough.
            return b""
        return parcel.updated


def _add_receipts(path: Path, receipts: bytes, records: set[bytes]) -> None:
    """Write receipts into the file of receipts, in place of older ones of the same log for the same record.

    Parameters
    ----------
    records : set[bytes]
        Of what will lie beside the file: a receipt for anything else is left out.

    Raises
    ------
    AlreadyExistsError
        Something else lies there.
    """
    from rawtrace.ledger.receipt import MAX_FILE, read_receipts

    new = {(_origin(one.checkpoint), one.record): one for one in read_receipts(receipts) if one.record in records}
    try:
        there = read_receipts(durable.read_bounded(path, limit=MAX_FILE))
    except InputNotFoundError:
        there = ()
    except ReceiptError as error:
        msg = f"{path.name} is there and is not a file of receipts"
        raise AlreadyExistsError(msg, hint="move it away; the receipt is then written by itself") from error
    kept = [one for one in there if (_origin(one.checkpoint), one.record) not in new]
    data = b"".join(one.encode() for one in (*kept, *new.values()))
    durable.replace(path, data)


def _origin(checkpoint: bytes) -> bytes:
    return checkpoint.partition(b"\n")[0]
