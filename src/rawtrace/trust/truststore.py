"""The user's own trust store: the lists that were accepted, whose they are, and where newer ones lie.

One file for each list, ``<id>.json`` in ``config.trust_folder()``, a bundle of
one. A list is known by its operator and its name. The operator is the topmost
certificate that came with the signature: where that is a root, the operator may
renew the certificate below it and is still the same.

What an attacker who can write to the sources gains: nothing without the
operator's key; an older list is refused. What an attacker who can write to the
store gains: everything, as with any trust store; it lies in the user's own
settings.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from rawtrace import config, durable
from rawtrace.errors import Error, InputNotFoundError, TrustListError, UsageError, from_os_error
from rawtrace.trust import federationbundle, federationstate, sources
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.sources import Carried, Fetch

_SUFFIX = ".json"


class Outcome(StrEnum):
    """What became of one list."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One list of the store; ``carried`` is None and ``problem`` a sentence where it cannot be read."""

    id: str
    carried: Carried | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What ``add`` or ``update`` did with one list.

    Attributes
    ----------
    id : str
        Of the entry.
    name : str
        Of the list.
    outcome : Outcome
    message : str
        Why, where it was refused or could not be reached.
    trust_list : TrustList or None
        As the store holds it now.
    """

    id: str
    name: str
    outcome: Outcome
    message: str = ""
    trust_list: TrustList | None = None


def load_trust(
    paths: str | Path | Sequence[str | Path] = (), *, require_signature: bool = False, fetch: Fetch | None = None
) -> tuple[TrustList, ...]:
    """Return the trust lists to go by.

    Parameters
    ----------
    paths : str, Path or Sequence of them
        Each an authority's folder, a list, a folder of lists or a bundle; with
        none, the user's trust store and the federations that were joined. Of
        several issues of one list, the newest counts.
    require_signature : bool
        Refuse unsigned lists too; else whoever names one vouches for it, and its
        ``signer_sha256`` stays empty.
    fetch : Fetch, optional
        What fetches lists from an address (``trust.online.fetcher``). Where the
        user's store holds a newer issue of such a list, that one counts.

    Raises
    ------
    UsageError, InputNotFoundError, UnreadableError
    TrustListError
        Any list that cannot be accepted; none is passed over.
    """
    places = (paths,) if isinstance(paths, (str, Path)) else tuple(paths)
    if places:
        found = [
            one for path in places for one in sources.gather(path, require_signature=require_signature, fetch=fetch)
        ]
        return sources.newest([*(one.trust_list for one in found), *_held_issues(found)])
    entries = listed()
    for entry in entries:
        if entry.carried is None:
            raise TrustListError(entry.problem, hint="remove it with rawtrace trust remove, then add the list again")
    through = federationstate.lists()
    own = [entry.carried.trust_list for entry in entries if entry.carried]
    return tuple(_with_logs(one, through) for one in sources.newest([*through, *own]))


def _with_logs(one: TrustList, through: Sequence[TrustList]) -> TrustList:
    """Return a list that is newer than its federation's issue with the logs that the federation names."""
    same = [other for other in through if other is not one and entry_id(other) == entry_id(one)]
    more = [policy for other in same for policy in other.policies if policy not in one.policies]
    return replace(one, policies=(*one.policies, *more)) if more else one


def _held_issues(found: Sequence[Carried]) -> list[TrustList]:
    """Return what the store holds of lists that came over the network: an old copy there must hide nothing."""
    fetched = {entry_id(one.trust_list) for one in found if sources.address_of(one.origin)}
    held = listed() if fetched else ()
    return [entry.carried.trust_list for entry in held if entry.carried is not None and entry.id in fetched]


def listed() -> tuple[Entry, ...]:
    """Return every entry of the store, the unreadable ones with what is wrong with them."""
    folder = config.trust_folder()
    try:
        files = sorted(one for one in folder.iterdir() if one.suffix == _SUFFIX and not one.name.startswith("."))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise from_os_error(error, f"reading {folder}") from error
    return tuple(_read_entry(file) for file in files)


def add(
    *paths: Path | str,
    unsigned: bool = False,
    same_name: bool = False,
    now: datetime | None = None,
    fetch: Fetch | None = None,
) -> tuple[Change, ...]:
    """Take the lists of some sources up into the store: all of them, or none.

    A list that is there already is brought up to date by the rules of ``update``.

    Parameters
    ----------
    *paths : Path or str
        As for ``load_trust``.
    unsigned : bool
        Also take lists that nobody signed: later ones from the same place will
        then be taken as they come.
    same_name : bool
        Also take a list that bears the name of one by another operator.
    now : datetime, optional
        Time of the addition, UTC.
    fetch : Fetch, optional
        What fetches lists from an address, as for ``load_trust``.

    Raises
    ------
    UsageError, InputNotFoundError, UnreadableError, UnwritableError
    TrustListError
        Not acceptable, older than what is held, now signed by another operator,
        or named like one by another operator.
    """
    added = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    gathered = [one for path in paths for one in sources.gather(path, require_signature=not unsigned, fetch=fetch)]
    if any(one.federated for one in gathered):
        msg = "the bundle carries a federation, which is taken up with its root, not list by list"
        hint = "rawtrace trust update --from BUNDLE, or the first time: rawtrace trust add ROOT.json --from BUNDLE"
        raise UsageError(msg, hint=hint)
    sources.newest(one.trust_list for one in gathered)
    held = {entry.id: entry for entry in listed()}
    changes: dict[str, tuple[Change, Carried]] = {}
    for one in sorted(gathered, key=lambda each: each.trust_list.sequence):
        new = Carried(trust_list=one.trust_list, raw=one.raw, origin=one.origin, added=added)
        key = entry_id(new.trust_list)
        _check_same_operator(new, held)
        entry = held.get(key)
        if entry is not None and entry.carried is None:
            raise TrustListError(entry.problem, hint="remove it with rawtrace trust remove, then add the list again")
        old = entry.carried if entry is not None else None
        if old is None and not same_name:
            others = [carried for _, carried in changes.values()]
            _check_own_name(new, [each.carried for each in held.values() if each.carried] + others)
        changes[key] = (_change(key, old, new), new)
    for key, (_, new) in changes.items():
        _write(key, new)
    return tuple(change for change, _ in changes.values())


def update(*, fetch: Fetch | None = None) -> tuple[Change, ...]:
    """Read every list again from where it came; keep the held one wherever the new one is refused.

    Parameters
    ----------
    fetch : Fetch, optional
        What fetches lists from an address; without one, those count as not reachable.
    """
    return tuple(_update(entry, fetch) for entry in listed())


def export(out: Path) -> tuple[TrustList, ...]:
    """Write all lists of the store, and the federations that were joined, to one bundle file.

    The file must not exist yet. What is returned is the lists, without those of federations.

    Raises
    ------
    TrustListError
        The store is empty, or an entry cannot be read.
    AlreadyExistsError, UnwritableError
    """
    entries = listed()
    unreadable = [entry for entry in entries if entry.carried is None]
    joined = bool(federationstate.names())
    if unreadable or not (entries or joined):
        msg = unreadable[0].problem if unreadable else "no trust lists were added yet, so there is nothing to export"
        raise TrustListError(msg, hint="add a list with rawtrace trust add" if not unreadable else "")
    carried = [entry.carried for entry in entries if entry.carried]
    federations = federationbundle.export_entries() if joined else ()
    durable.write_new(out, sources.write_bundle(carried, federations=federations))
    return tuple(one.trust_list for one in carried)


def remove(named: str) -> Entry:
    """Take one list out of the store.

    Parameters
    ----------
    named : str
        The entry's id, or the list's name where only one has it.

    Raises
    ------
    InputNotFoundError
        No such list, or more than one of that name.
    """
    entries = listed()
    found = [entry for entry in entries if entry.id == named] or [
        entry for entry in entries if entry.carried and entry.carried.trust_list.name == named
    ]
    if len(found) != 1:
        msg = f"{len(found)} of your trust lists are called {named}; expected one"
        raise InputNotFoundError(msg, hint="see rawtrace trust list for their ids")
    path = _path(found[0].id)
    try:
        path.unlink()
    except OSError as error:
        raise from_os_error(error, f"writing {path}") from error
    return found[0]


def entry_id(one: TrustList) -> str:
    """Return what the store calls a list: 16 hexadecimal digits from its operator and name."""
    operator = one.operator_sha256 or f"unsigned {one.operator}"
    return hashlib.sha256(f"{operator}\n{one.name}".encode()).hexdigest()[:16]


def _update(entry: Entry, fetch: Fetch | None) -> Change:
    if entry.carried is None:
        return Change(id=entry.id, name="", outcome=Outcome.REFUSED, message=entry.problem)
    old = entry.carried
    name, held = old.trust_list.name, old.trust_list
    try:
        gathered = sources.gather(old.origin, fetch=fetch)
    except TrustListError as error:
        return Change(id=entry.id, name=name, outcome=Outcome.REFUSED, message=error.message, trust_list=held)
    except Error as error:
        return Change(id=entry.id, name=name, outcome=Outcome.UNREACHABLE, message=error.message, trust_list=held)
    try:
        same = [one for one in gathered if entry_id(one.trust_list) == entry.id and not one.federated]
        if not same:
            msg = f"{old.origin} no longer holds “{name}” by the operator it was accepted from"
            raise TrustListError(msg)
        found = max(same, key=lambda one: one.trust_list.sequence)
        new = Carried(trust_list=found.trust_list, raw=found.raw, origin=old.origin, added=old.added)
        change = _change(entry.id, old, new)
        if change.outcome is Outcome.UPDATED:
            _write(entry.id, new)
    except TrustListError as error:
        return Change(id=entry.id, name=name, outcome=Outcome.REFUSED, message=error.message, trust_list=held)
    return change


def _check_same_operator(new: Carried, held: dict[str, Entry]) -> None:
    """Refuse a list whose place was accepted before with another operator: that needs a decision, not a habit."""
    for entry in held.values():
        old = entry.carried
        if (
            old is not None
            and old.origin == new.origin
            and old.trust_list.name == new.trust_list.name
            and old.trust_list.operator_sha256 != new.trust_list.operator_sha256
        ):
            msg = (
                f"“{new.trust_list.name}” in {new.origin} is now by another operator "
                f"({_short(new.trust_list)}) than the one accepted before ({_short(old.trust_list)})"
            )
            raise TrustListError(msg, hint=f"if the operator told you so: rawtrace trust remove {entry.id}, then add")


def _check_own_name(new: Carried, others: Sequence[Carried]) -> None:
    """Refuse a list that people could take for one of another operator, which they trust already."""
    for other in others:
        if _looks(other.trust_list.name) == _looks(new.trust_list.name) and entry_id(other.trust_list) != entry_id(
            new.trust_list
        ):
            msg = (
                f"the store already goes by a list called “{other.trust_list.name}” by {other.trust_list.operator} "
                f"({_short(other.trust_list)}); the one in {new.origin} is by another operator, "
                f"{new.trust_list.operator} ({_short(new.trust_list)})"
            )
            hint = (
                "anybody can choose a name: compare the fingerprint with what the operator publishes, then --same-name"
            )
            raise TrustListError(msg, hint=hint)


def _looks(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _change(key: str, old: Carried | None, new: Carried) -> Change:
    one = new.trust_list
    if old is None:
        return Change(id=key, name=one.name, outcome=Outcome.ADDED, trust_list=one)
    held = old.trust_list
    if one.content_sha256 == held.content_sha256:
        return Change(id=key, name=one.name, outcome=Outcome.UNCHANGED, trust_list=one)
    before = f"issue {held.sequence} of {held.issued:%Y-%m-%d}"
    hint = "an old copy may lie at its place: ask the operator for the newest"
    if one.sequence < held.sequence:
        msg = f"{one.source} is issue {one.sequence} of “{one.name}”, older than the {before} that is held"
        raise TrustListError(msg, hint=hint)
    # C2PA keeps its number at 1 and moves the date; where nobody signs, the date is all there is.
    if one.sequence == held.sequence and (one.signed or one.issued <= held.issued):
        msg = f"{one.source} is issue {one.sequence} of “{one.name}” again, but with other content than the one held"
        raise TrustListError(msg, hint="ask the operator which of the two stands")
    if one.issued < held.issued:
        msg = f"{one.source} has a higher number but an earlier date ({one.issued:%Y-%m-%d}) than the {before}"
        raise TrustListError(msg, hint=hint)
    return Change(id=key, name=one.name, outcome=Outcome.UPDATED, trust_list=one)


def _read_entry(path: Path) -> Entry:
    try:
        gathered = sources.read_stored(path)
    except Error as error:
        msg = f"the entry {path.name} of your trust lists cannot be read: {error.message}"
        return Entry(id=path.stem, carried=None, problem=msg)
    if entry_id(gathered.trust_list) != path.stem:
        msg = f"the entry {path.name} of your trust lists holds another list than its name says"
        return Entry(id=path.stem, carried=None, problem=msg)
    return Entry(id=path.stem, carried=gathered)


def _write(key: str, one: Carried) -> None:
    folder = config.trust_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    durable.replace(_path(key), sources.write_bundle([one]))


def _path(key: str) -> Path:
    return config.trust_folder() / f"{key}{_SUFFIX}"


def _short(one: TrustList) -> str:
    return f"{one.operator_sha256[:16]}…" if one.signed else "unsigned"
