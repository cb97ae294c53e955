"""The agent renews its own certificate in time: through outages and restarts, while seals go on.

What was tried and when is kept in ``renewal.json`` in the identity's folder, so
that a restart neither forgets a failure nor asks too soon. A certificate comes
into its place whole (``trust.enrolling``); the threads that seal take whichever
is current when they begin. The old one is kept in ``past/``.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rawtrace import durable, strictjson
from rawtrace.agent.work import sentence
from rawtrace.errors import CertificateError, Error, InputNotFoundError
from rawtrace.trust import certificates, enrolling
from rawtrace.trust.enrolling import Later
from rawtrace.trust.renewal import LONGEST_WAIT, LOOK_EVERY, renew_at, wait_after
from rawtrace.trust.signer import CERTIFICATE_FILE, Identity, load_identity

STATE_FILE = "renewal.json"
STATE_SCHEMA = "urn:rawtrace:schema:agent-renewal:1"
_LOG = logging.getLogger("rawtrace.agent")
_MAX_STATE = 16_384
_LONGEST_NAP_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is remembered of one certificate: failures, when to try again, when the list was looked at, what it said."""

    serial: str
    attempts: int = 0
    again: str = ""
    looked: str = ""
    superseded: bool = False
    error: str = ""


class Renewal:
    """Keeps an identity's certificate current.

    Parameters
    ----------
    folder : Path
        The identity's.
    wall : callable
        The time of day, UTC.
    ask : callable
        ``enrolling.renew_online``; raises, or returns the renewed identity or ``Later``.
    superseded : callable
        Whether the authority says that a newer certificate is to take this one's place.
    """

    def __init__(
        self,
        folder: Path,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        ask: Callable[..., Identity | Later] = enrolling.renew_online,
        superseded: Callable[[Identity], bool] | None = None,
    ) -> None:
        self._folder, self._wall, self._ask = folder, wall, ask
        self._superseded = superseded or _is_superseded
        self._signer = enrolling.load_after_interruption(folder)
        self._state = self._read()

    @property
    def signer(self) -> Identity:
        """The identity as it now is."""
        return self._signer

    def facts(self) -> dict[str, str]:
        """Return what ``agent status`` tells of the certificate."""
        leaf = self._signer.leaf
        return {
            "certificate_from": _text(leaf.not_valid_before_utc),
            "certificate_until": _text(leaf.not_valid_after_utc),
            "certificate_renewal": _text(renew_at(leaf)),
            "certificate_problem": self._state.error,
        }

    def step(self) -> float:
        """Do what is due and return after how many seconds to come again."""
        now = self._wall()
        self._take_notice()
        wait = _time(self._state.again) - now
        # A clock that was set back must not put a renewal off.
        if timedelta(0) < wait <= LONGEST_WAIT:
            return _nap(wait)
        due = renew_at(self._signer.leaf)
        if now < due and not self._look(now):
            return _nap(min(due - now, LOOK_EVERY))
        self._renew(now)
        return _nap(max(_time(self._state.again), renew_at(self._signer.leaf)) - self._wall())

    @contextlib.contextmanager
    def running(self) -> Iterator[Renewal]:
        """Keep it current in a thread of its own for as long as the block runs."""
        stop = threading.Event()

        def run() -> None:
            pause_s = 0.0
            while not stop.wait(pause_s):
                try:
                    pause_s = self.step()
                except Exception as error:  # noqa: BLE001  an instrument goes on, and so must its agent
                    _LOG.error("the certificate could not be looked after: %s", sentence(error))
                    pause_s = 60.0

        # A request under way must not hold up the end of the agent: whatever it brings is asked for again.
        thread = threading.Thread(target=run, name="renewal", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(2.0)

    def _take_notice(self) -> None:
        """Take over what a person has renewed meanwhile."""
        # While a person's renewal is under way the folder cannot be opened; the next step looks again.
        with contextlib.suppress(Error):
            pem = durable.read_bounded(self._folder / CERTIFICATE_FILE, limit=certificates.MAX_CHAIN_BYTES)
            if certificates.read_pem(pem, what="the certificate")[0] != self._signer.leaf:
                self._signer = load_identity(self._folder)
                self._state = _State(serial=f"{self._signer.leaf.serial_number:x}")

    def _look(self, now: datetime) -> bool:
        """Tell whether the authority wants the certificate renewed early; asks once a day."""
        since = now - _time(self._state.looked)
        if timedelta(0) <= since < LOOK_EVERY:
            return self._state.superseded
        try:
            superseded = self._superseded(self._signer)
        except Error as error:
            _LOG.debug("the authority's trust list was not to be had: %s", error)
            superseded = self._state.superseded
        self._write(replace(self._state, looked=_text(now), superseded=superseded))
        return superseded

    def _renew(self, now: datetime) -> None:
        before, attempts = self._signer.leaf, self._state.attempts + 1
        try:
            answer = self._ask(self._folder, now=now)
        except Exception as error:  # noqa: BLE001  whatever it was, the agent goes on and tries again
            self._failed(now, attempts, sentence(error))
            return
        if isinstance(answer, Later):
            wait = min(timedelta(seconds=answer.again_s), LONGEST_WAIT)
            text = "an officer of the authority looks at the request for a new certificate"
            self._write(replace(self._state, again=_text(now + wait), error=text))
            return
        if answer.leaf == before:
            self._failed(now, attempts, "the authority gave the same certificate again")
            return
        self._signer = answer
        _LOG.info("the certificate was renewed; it is valid until %s", _text(answer.leaf.not_valid_after_utc))
        self._write(_State(serial=f"{answer.leaf.serial_number:x}", looked=_text(now)))

    def _failed(self, now: datetime, attempts: int, text: str) -> None:
        if text != self._state.error:
            _LOG.warning("the certificate could not be renewed yet: %s", text)
        again = now + wait_after(attempts, of=self._state.serial)
        self._write(replace(self._state, attempts=attempts, again=_text(again), error=text))

    def _read(self) -> _State:
        fresh = _State(serial=f"{self._signer.leaf.serial_number:x}")
        path = self._folder / STATE_FILE
        try:
            value = strictjson.loads(durable.read_bounded(path, limit=_MAX_STATE), what=f"{path}", max_bytes=_MAX_STATE)
            known = {name: value[name] for name in _State.__dataclass_fields__}
        except InputNotFoundError:
            return fresh
        except (Error, KeyError, TypeError):
            _LOG.warning("%s could not be read; what was tried before is forgotten", path)
            return fresh
        fits = all(type(known[name]) is type(getattr(fresh, name)) for name in known)
        return _State(**known) if fits and known["serial"] == fresh.serial else fresh

    def _write(self, state: _State) -> None:
        self._state = state
        value: dict[str, Any] = {name: getattr(state, name) for name in _State.__dataclass_fields__}
        try:
            durable.replace(self._folder / STATE_FILE, strictjson.dumps({"schema": STATE_SCHEMA, **value}))
        except Error as error:
            # A full disk: it is remembered until the next start at least.
            _LOG.warning("%s", error)


def renewal_of(folder: Path) -> Renewal | None:
    """Return what keeps an identity current; ``None`` where no authority at an address certified it."""
    return Renewal(folder) if enrolling.read_origin(folder) is not None else None


def _is_superseded(signer: Identity) -> bool:
    from rawtrace.trust.estclient import EstClient

    origin = enrolling.read_origin(signer.folder)
    if origin is None:
        msg = f"{signer.folder} does not come from an authority at an address"
        raise CertificateError(msg)
    with EstClient(origin) as client:
        return client.is_superseded(signer.leaf)


def _nap(wait: timedelta) -> float:
    return min(_LONGEST_NAP_S, max(1.0, wait.total_seconds()))


def _text(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
