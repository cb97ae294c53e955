"""From a handle to its record, in two stages: who answers for the prefix, then what the handle says.

1. The record of the prefix, ``0.NA/<prefix>``, comes from a configured root
   site. Its HS_SITE values name the servers; HS_SERV names another handle that
   does, at most ``MAX_STEPS`` in all and none twice.
2. One server of one site is asked for the handle. Where a site does not answer,
   or answers badly, the next one is asked.

A server is known by its key, which the step before has named, and by nothing
else: it is compared before the first byte of a request leaves. Only https is
asked, and a redirect is not followed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rawtrace.errors import LimitError, MalformedError, NetworkError, RefusedError, ResolutionError
from rawtrace.trust.handles import digest, values, wire
from rawtrace.trust.handles import site as sites
from rawtrace.trust.handles.cache import Cache
from rawtrace.trust.handles.names import (
    PREFIX_RECORDS,
    ROOT_SERVICE,
    Handle,
    parents,
    prefix_record,
    read_handle,
    same_prefix,
    upper,
)
from rawtrace.trust.handles.roots import RootSite
from rawtrace.trust.handles.site import Site
from rawtrace.trust.handles.values import Answer, Code, HandleValue
from rawtrace.trust.patience import within
from rawtrace.web import Caller, Web

#: Records looked at for one handle: prefixes, services, referrals, aliases.
MAX_STEPS = 12
MAX_SITES = 32
BUDGET_S = 20.0
WAIT_S = 5.0
_MAX_CALLERS = 64
_RESTING_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One record that was looked at on the way.

    Attributes
    ----------
    handle : str
    url : str
        Of the server that gave it.
    key_sha256 : str
        What the server was known by.
    fetched_at : datetime
    cached : bool
    """

    handle: str
    url: str
    key_sha256: str
    fetched_at: datetime
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a handle says, and who said so.

    Attributes
    ----------
    handle : Handle
        Whose record it is; another than was asked for where an alias led on.
    values : tuple[HandleValue, ...]
    root : RootSite or None
        The configured site that gave it itself; None for a record that others gave.
    signed : bool
        Whether every value but the signatures is signed by the key of the prefix's record.
    hops : tuple[Hop, ...]
        The way to it, itself last.
    """

    handle: Handle
    values: tuple[HandleValue, ...]
    root: RootSite | None
    signed: bool
    hops: tuple[Hop, ...]

    def all(self, kind: str) -> tuple[HandleValue, ...]:
        """Return the values of one type."""
        return tuple(value for value in self.values if value.is_a(kind))

    def text(self, kind: str) -> str:
        """Return the first value of a type as text; empty if there is none."""
        return next((value.text for value in self.all(kind)), "")


@dataclass(slots=True)
class _Walk:
    """What one resolution has used up."""

    deadline: float
    hops: list[Hop] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def step(self, handle: Handle, what: str) -> None:
        key = f"{what} {handle.key}"
        if key in self.seen:
            msg = f"{handle.text} leads back to itself"
            raise ResolutionError(msg)
        self.seen.add(key)
        if len(self.seen) > MAX_STEPS:
            msg = f"{handle.text} is step {MAX_STEPS + 1} of the way, which is longer than what is followed"
            raise ResolutionError(msg)

    def left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            msg = "the resolution took longer than it may"
            raise ResolutionError(msg)
        return left


@dataclass(frozen=True, slots=True)
class _Place:
    """A server that may be asked: where, and the key it is known by."""

    url: str
    key_sha256: str
    root: RootSite | None = None
    primary: bool = True


class Resolver:
    """Resolves handles, and keeps connections and answers. Safe to share between threads.

    Parameters
    ----------
    roots : Sequence[RootSite]
        Asked in this order, those that name a prefix first.
    cache : Cache, optional
        In memory where none is given.
    now : callable, optional
        The clock, UTC.
    budget_s : float
        Longest time for one handle, however many servers are slow.
    wait_s : float
        Longest time for one answer.
    """

    def __init__(
        self,
        roots: Sequence[RootSite],
        *,
        cache: Cache | None = None,
        now: Callable[[], datetime] | None = None,
        budget_s: float = BUDGET_S,
        wait_s: float = WAIT_S,
    ) -> None:
        self.roots = tuple(roots)
        self._cache = cache or Cache()
        self._now = now or (lambda: datetime.now(UTC))
        self._budget_s, self._wait_s = budget_s, wait_s
        self._callers: dict[str, Web] = {}
        self._resting: dict[str, float] = {}
        self._lock = threading.Lock()

    def resolve(self, handle: Handle | str) -> Record:
        """Return the record of a handle, aliases followed.

        Raises
        ------
        ResolutionError
            It leads nowhere, in a circle, or to a server that is not the one that was named.
        NetworkError
            No server answers.
        """
        asked = read_handle(handle) if isinstance(handle, str) else handle
        try:
            return self._resolve(asked, self._walk())
        except _MissingRecordError as error:
            raise ResolutionError(str(error)) from error

    def prefix(self, prefix: str) -> Record:
        """Return the record of a prefix, from a root or from where the root refers to; as ``resolve`` otherwise."""
        try:
            return self._prefix(prefix, self._walk())
        except _MissingRecordError as error:
            raise ResolutionError(str(error)) from error

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            callers, self._callers = self._callers, {}
        for web in callers.values():
            web.close()

    def __enter__(self) -> Resolver:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _walk(self) -> _Walk:
        return _Walk(deadline=time.monotonic() + self._budget_s)

    def _resolve(self, handle: Handle, walk: _Walk) -> Record:
        while True:
            record = self._record(handle, walk)
            alias = record.text(values.ALIAS)
            if not alias:
                return record
            handle = _read(alias, f"the alias of {handle.text}")

    def _record(self, handle: Handle, walk: _Walk) -> Record:
        if _at_root(handle):
            return self._prefix(handle.suffix, walk) if _is_prefix_record(handle) else self._from_roots(handle, walk)
        prefix = self._prefix(handle.prefix, walk)
        places = self._places(prefix, handle, walk, derived=False)
        if not places:
            msg = f"the record of the prefix {handle.prefix} names no server that is asked over https"
            raise ResolutionError(msg)
        record = self._ask(places, handle, walk)
        return _checked(record, prefix, self._now())

    def _prefix(self, prefix: str, walk: _Walk) -> Record:
        handle = prefix_record(prefix)
        try:
            return self._from_roots(handle, walk)
        except _MissingRecordError:
            if not parents(prefix):
                raise
        for parent in parents(prefix):
            try:
                record = self._from_roots(prefix_record(parent), walk)
            except _MissingRecordError:
                continue
            places = self._places(record, handle, walk, derived=True)
            if places:
                return self._ask(places, handle, walk)
        msg = f"no root knows the prefix {prefix}, and no prefix that it comes from answers for it"
        raise ResolutionError(msg)

    def _from_roots(self, handle: Handle, walk: _Walk) -> Record:
        about = handle.suffix if _is_prefix_record(handle) else handle.prefix
        asked = [root for root in self.roots if root.answers_for(about)]
        if not asked:
            msg = f"no site is configured that says who answers for the prefix {about}"
            raise ResolutionError(msg, hint="add one: rawtrace trust sites add URL#key=DIGEST")
        asked.sort(key=lambda root: not root.prefixes)
        return self._ask([_Place(root.url, root.key_sha256, root) for root in asked], handle, walk)

    def _places(self, record: Record, handle: Handle, walk: _Walk, *, derived: bool) -> list[_Place]:
        """Return where a handle is asked for, by the HS_SITE and HS_SERV values of a record."""
        service = values.SERVICE_PREFIX if derived else values.SERVICE
        found = self._sites(record.values, handle, derived=derived)
        for value in () if found else record.all(service):
            if upper(value.type) != service:
                continue
            named = _read(value.text, f"HS_SERV of {record.handle.text}")
            if named.same_as(read_handle(ROOT_SERVICE)):
                return [
                    _Place(root.url, root.key_sha256, root) for root in self.roots if root.answers_for(handle.prefix)
                ]
            walk.step(named, "service")
            further = self._resolve(named, walk)
            found += self._places(further, handle, walk, derived=derived)
        return found

    def _sites(self, given: Iterable[HandleValue], handle: Handle, *, derived: bool) -> list[_Place]:
        kind = values.SITE_PREFIX if derived else values.SITE
        places = []
        for value in [one for one in given if upper(one.type) == kind][:MAX_SITES]:
            try:
                place = _place(sites.decode(value.data), handle)
            except MalformedError:
                continue
            if place is not None:
                places.append(place)
        return places

    def _ask(self, places: Sequence[_Place], handle: Handle, walk: _Walk) -> Record:
        """Ask one place after the other until one has the answer."""
        # The same record may be asked for at a root and, referred, elsewhere; at one place it is asked for once.
        walk.step(handle, f"at {places[0].url if places else 'nobody'}")
        now = time.monotonic()
        ready = [place for place in places if self._resting.get(place.url, 0.0) <= now]
        resting = [place for place in places if place not in ready]
        failures: list[Exception] = []
        missing: _MissingRecordError | None = None
        for place in [*ready, *resting]:
            try:
                answer, hop = self._answer(place, handle, walk)
            except (NetworkError, LimitError, MalformedError, _UnusableAnswerError) as error:
                self._resting[place.url] = time.monotonic() + _RESTING_S
                failures.append(error)
                continue
            self._resting.pop(place.url, None)
            if answer.code in {Code.SERVICE_REFERRAL, Code.PREFIX_REFERRAL}:
                walk.hops.append(hop)
                return self._referred(answer, handle, walk)
            if answer.code == Code.NOT_FOUND:
                # A copy may lag behind its primary site.
                missing = _MissingRecordError(f"{place.url} does not know {handle.text}")
                if place.primary:
                    break
                continue
            walk.hops.append(hop)
            return Record(
                handle=answer.handle or handle,
                values=answer.values or (),
                root=place.root,
                signed=False,
                hops=tuple(walk.hops),
            )
        if missing is not None:
            raise missing
        said = "; ".join(str(one) for one in failures[:3]) or "there is nobody to ask"
        msg = f"{handle.text} cannot be had: {said}"
        if failures and all(isinstance(one, NetworkError) for one in failures):
            raise NetworkError(msg)
        raise ResolutionError(msg)

    def _referred(self, answer: Answer, handle: Handle, walk: _Walk) -> Record:
        derived = answer.code == Code.PREFIX_REFERRAL
        if answer.referral:
            named = _read(answer.referral, f"the referral of {handle.text}")
            walk.step(named, "referral")
            places = self._places(self._resolve(named, walk), handle, walk, derived=derived)
        else:
            given = answer.values or ()
            places = self._sites(given, handle, derived=derived) or self._sites(given, handle, derived=not derived)
        return self._ask(places, handle, walk)

    def _answer(self, place: _Place, handle: Handle, walk: _Walk) -> tuple[Answer, Hop]:
        now = self._now()
        kept = self._cache.get(place.key_sha256, handle, now=now)
        cached = kept is not None
        if kept is None:
            url = f"{place.url}/api/handles/{handle.path}"
            wait_s = min(self._wait_s, walk.left())
            web = self._caller(place.key_sha256)
            got = within(wait_s, lambda: web.get(url, limit=values.MAX_ANSWER_BYTES, accept="application/json"))
            if got is None:
                self._forget(place.key_sha256)
                msg = f"{url} does not answer: it takes too long"
                raise NetworkError(msg)
            answer = values.read_answer(got.body, what=f"the answer of {place.url}")
            _check(answer, got.status, handle, place)
            if answer.code != Code.SUCCESS:
                # Only what is there is kept: what is missing may come at any time.
                return answer, _hop(handle, place, now, cached=False)
            kept = self._cache.put(place.key_sha256, handle, got.body, answer, url=place.url, now=now)
        return kept.answer, _hop(handle, place, kept.fetched_at, cached=cached)

    def _caller(self, key_sha256: str) -> Web:
        with self._lock:
            web = self._callers.get(key_sha256)
            if web is None:
                while len(self._callers) >= _MAX_CALLERS:
                    self._callers.pop(next(iter(self._callers))).close()
                web = Web(Caller(server_key_sha256=key_sha256, timeout_s=self._wait_s))
                self._callers[key_sha256] = web
            return web

    def _forget(self, key_sha256: str) -> None:
        """Drop a client whose connection is stuck; closing it ends the thread that waits."""
        with self._lock:
            web = self._callers.pop(key_sha256, None)
        if web is not None:
            web.close()


def fetch_record(url: str, key_sha256: str, prefix: str) -> bytes:
    """Return what one server, known by its key, says of a prefix; as bytes, so that they can be kept.

    Raises
    ------
    NetworkError, RefusedError, MalformedError, LimitError
    """
    handle = read_handle(prefix_record(prefix).text)
    with Web(Caller(server_key_sha256=key_sha256, timeout_s=WAIT_S)) as web:
        got = within(BUDGET_S, lambda: web.get(f"{url}/api/handles/{handle.path}", limit=values.MAX_ANSWER_BYTES))
    if got is None:
        msg = f"{url} does not answer: it takes too long"
        raise NetworkError(msg)
    if got.status != 200:
        msg = f"{url} answers for {handle.text} with the status {got.status}; expected 200"
        raise RefusedError(msg)
    return got.body


class _MissingRecordError(Exception):
    """The server that is responsible does not have the handle."""


class _UnusableAnswerError(Exception):
    """An answer that is none; another site may have a better one."""


def _checked(record: Record, prefix: Record, now: datetime) -> Record:
    """Hold a record to the signature of its prefix's key, where there is one."""
    named = {f"{value.index}:{prefix.handle.key}": wire.rsa_key(value.data) for value in prefix.all(values.PUBLIC_KEY)}
    covered: set[int] = set()
    for value in record.all(values.SIGNATURE):
        issuer = digest.issuer_of(value.text)
        key = None if issuer is None else named.get(f"{issuer.index}:{read_handle(issuer.handle).key}")
        if key is None:
            continue
        made = digest.check_signature(value.text, handle=record.handle, values=record.values, key=key, at=now)
        covered |= made.indexes
    loose = {value.index for value in record.values if not value.is_a(values.SIGNATURE)} - covered
    signed = bool(covered) and not loose
    return Record(handle=record.handle, values=record.values, root=record.root, signed=signed, hops=record.hops)


def _check(answer: Answer, status: int, handle: Handle, place: _Place) -> None:
    """Refuse an answer that contradicts itself or the question."""
    if answer.handle is None or not answer.handle.same_as(handle):
        msg = f"{place.url} was asked for {handle.text} and answers for another handle"
        raise _UnusableAnswerError(msg)
    if status != values.http_status(answer.code):
        msg = f"{place.url} says the code {answer.code} with the status {status}, which do not go together"
        raise _UnusableAnswerError(msg)
    if answer.code not in {Code.SUCCESS, Code.NOT_FOUND, Code.SERVICE_REFERRAL, Code.PREFIX_REFERRAL}:
        said = f": {answer.message}" if answer.message else ""
        msg = f"{place.url} has no answer for {handle.text} (code {answer.code}){said}"
        raise _UnusableAnswerError(msg)
    if (answer.code == Code.SUCCESS) != bool(answer.values) and answer.code in {Code.SUCCESS, Code.NOT_FOUND}:
        msg = f"{place.url} says the code {answer.code} and gives {len(answer.values or ())} values"
        raise _UnusableAnswerError(msg)


def _place(site: Site, handle: Handle) -> _Place | None:
    server = site.server_for(handle)
    key, url = sites.key_of(server), site.url_of(server)
    if key is None or not url:
        return None
    path = site.attribute("path", server).strip("/")
    if path and not path.replace("/", "").replace("-", "").isalnum():
        return None
    return _Place(f"{url}/{path}" if path else url, key.sha256(), primary=site.primary)


def _hop(handle: Handle, place: _Place, fetched_at: datetime, *, cached: bool) -> Hop:
    return Hop(handle=handle.text, url=place.url, key_sha256=place.key_sha256, fetched_at=fetched_at, cached=cached)


def _at_root(handle: Handle) -> bool:
    return upper(handle.prefix) == "0" or upper(handle.prefix).startswith("0.")


def _is_prefix_record(handle: Handle) -> bool:
    return same_prefix(handle.prefix, PREFIX_RECORDS)


def _read(text: str, what: str) -> Handle:
    try:
        return read_handle(text.strip())
    except MalformedError as error:
        msg = f"{what} is not a handle: {error.message}"
        raise ResolutionError(msg) from error


__all__ = ["BUDGET_S", "MAX_STEPS", "Hop", "Record", "Resolver"]
