"""The federations this computer goes by: each known by a root that was pinned once, brought up to date by TUF's rules.

One file for each, ``NAME.json`` in ``federations`` beside the trust store: the
roots since the pinned one, the newest verified metadata, the files. It is
replaced whole or not at all, so a crash leaves the state before or after. What
cannot be accepted changes nothing: the last good state stays in use, and every
report says as of when it is. Only the newest roots, time stamp and snapshot
that were verified on the way are remembered, to recognise a rollback by.

What an attacker who owns the server gains: to hold back news until the time
stamp runs out, which is said. What an attacker who owns the online key gains:
to do so for longer, and to withdraw what is new. Lists, log policy and
minimum version take a threshold of offline keys.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from rawtrace.errors import Error, FederationError, InputNotFoundError, NetworkError, UsageError, from_os_error
from rawtrace.trust import (
    embeddedroots,
    federationbundle,
    federationfiles,
    federationnews,
    federationstate,
    tufclient,
    tufsources,
)
from rawtrace.trust.federationbundle import MAX_FEDERATIONS, CarriedFederation
from rawtrace.trust.federationfiles import LISTS
from rawtrace.trust.federationkeys import RootFacts
from rawtrace.trust.federationstate import Federation
from rawtrace.trust.trustlist import read_list
from rawtrace.trust.tufclient import CLOCK_TOLERANCE, Material, Refreshed, RefreshError
from rawtrace.trust.tufsources import Source
from rawtrace.web import Caller, Web, check_address

#: Returns newer lists and heads of logs as somebody offers them, given the state that was accepted.
Offered = Callable[[Federation], tuple[Sequence[bytes], Sequence[bytes]]]


class Result(StrEnum):
    """What became of one federation."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationChange:
    """What ``add`` or ``update`` did with one federation.

    Attributes
    ----------
    name : str
    result : Result
    changes : tuple[str, ...]
        What is new, in words.
    message, hint : str
        Why not, where it was refused or could not be reached.
    federation : Federation or None
        As it is in use now.
    """

    name: str
    result: Result
    changes: tuple[str, ...] = ()
    message: str = ""
    hint: str = ""
    federation: Federation | None = None


def read_root(data: bytes, *, what: str = "the root") -> RootFacts:
    """Return what a root says, to be shown before it is pinned.

    Raises
    ------
    FederationError
    """
    return tufclient.read_root(data, what=what)


def add(
    root: bytes,
    *,
    url: str = "",
    server_key_sha256: str = "",
    bundle: bytes | None = None,
    accept_older: timedelta | None = None,
    now: datetime | None = None,
) -> FederationChange:
    """Pin a root, and take up the federation from its address or from a bundle; nothing is kept unless both go well.

    Parameters
    ----------
    root : bytes
        TUF root metadata, from the federation's operator.
    url : str
        Where the federation is published.
    server_key_sha256 : str
        SHA-256 of the server's key, where no public authority certifies it.
    bundle : bytes, optional
        Take the first state from here, without a network.
    accept_older : timedelta, optional
        See ``update_from``.
    now : datetime, optional

    Raises
    ------
    FederationError
        The root is none, or what is published does not follow from it.
    NetworkError, RefusedError, UsageError
    """
    tufclient.read_root(root, what="the root")
    at = now or datetime.now(UTC)
    known = Material(roots=(root,), files={})
    if url or server_key_sha256:
        check_address(url)
    if server_key_sha256 and not federationfiles.is_sha256(server_key_sha256):
        msg = f"{server_key_sha256[:80]!r} is not the digest of a server's key; expected 64 hexadecimal digits"
        raise UsageError(msg)
    lists: list[bytes]
    heads: list[bytes]
    try:
        if bundle is None:
            with Web(Caller(server_key_sha256=server_key_sha256)) as web:
                found = tufclient.refresh(known, tufsources.web_source(web, url), now=at)
            lists, heads = federationnews.fetch(found.material.files)
        else:
            found, entry = _first_of(bundle, known, now=at, accept_older=accept_older)
            url, lists, heads = url or entry.url, [*entry.lists], [*entry.heads]
    except RefreshError as failed:
        raise failed.error from failed
    described = federationfiles.check_files(found.material.files)
    federationfiles.check_client(described)
    with federationstate.exclusive():
        held = {one.name: one for one in federationstate.all_held()}
        before = held.get(described.name)
        if before is not None and before.material.roots[0] != root and root not in before.material.roots:
            msg = f"a federation {described.name} with another root is held already"
            raise FederationError(msg, hint=f"if this is the right one: rawtrace trust remove {described.name}")
        if before is not None:
            msg = f"the federation {described.name} is held already"
            raise FederationError(msg, hint="bring it up to date: rawtrace trust update")
        if len(held) >= MAX_FEDERATIONS:
            msg = f"more than {MAX_FEDERATIONS} federations are not kept"
            raise FederationError(msg)
        new = federationstate.accepted(described.name, found, url=url, server_key_sha256=server_key_sha256, now=at)
        news, told = federationnews.take_over(new.material.files, new.news, lists=lists, heads=heads)
        new = replace(new, news=news)
        federationstate.write(new)
    changes = (*_differences(None, new), *told)
    return FederationChange(name=new.name, result=Result.ADDED, changes=changes, federation=new)


def update(*, now: datetime | None = None) -> tuple[FederationChange, ...]:
    """Refresh every federation from its address; those whose root came with rawtrace are taken up first."""
    at = now or datetime.now(UTC)
    changes = [_take_up_embedded(name, root, url, at) for name, root, url in embeddedroots.embedded()]
    taken_up = tuple(one for one in changes if one is not None)
    rest = [name for name in federationstate.names() if name not in {one.name for one in taken_up}]
    return taken_up + tuple(_update_one(name, at) for name in rest)


def update_from(
    bundle: bytes, *, accept_older: timedelta | None = None, now: datetime | None = None
) -> tuple[FederationChange, ...]:
    """Refresh federations from a bundle that was carried here, by the same rules.

    Parameters
    ----------
    bundle : bytes
    accept_older : timedelta, optional
        Accept a time stamp that ran out at most so long ago, and say so for ever after. Nothing else is relaxed.
    now : datetime, optional

    Raises
    ------
    FederationError
        No bundle, or one without federations.
    """
    at = now or datetime.now(UTC)
    changes = []
    for entry in federationbundle.read_carried(bundle):
        with federationstate.exclusive():
            held = federationstate.held_or_none(entry.name)
            roots = {name: root for name, root, _ in embeddedroots.embedded()}
            if held is None and entry.name not in roots:
                msg = f"no root of the federation {entry.name} is known here, so nothing shows that the bundle is its"
                hint = "pin the root that its operator gave you: rawtrace trust add ROOT.json --from BUNDLE"
                changes.append(FederationChange(name=entry.name, result=Result.REFUSED, message=msg, hint=hint))
                continue
            source = tufsources.memory_source(entry.files)
            if held is None:
                known = tufclient.Material(roots=(roots[entry.name],), files={})
                changes.append(_take_up(entry.name, known, source, entry.url, at, accept_older))
            else:
                offered = _constant(entry.lists, entry.heads)
                changes.append(_refresh(held, source, at, accept_older, offered))
    return tuple(changes)


def remove(name: str) -> None:
    """Stop going by a federation, and forget its pinned root.

    Raises
    ------
    InputNotFoundError
    """
    with federationstate.exclusive():
        path = federationstate.path_of(federationfiles.check_name(name))
        try:
            path.unlink()
        except FileNotFoundError as error:
            msg = f"no federation {name} is held"
            raise InputNotFoundError(msg, hint="see rawtrace trust list") from error
        except OSError as error:
            raise from_os_error(error, f"writing {path}") from error


def _first_of(
    bundle: bytes, known: Material, *, now: datetime, accept_older: timedelta | None
) -> tuple[Refreshed, CarriedFederation]:
    """Find the federation of a bundle that follows from a root."""
    first: RefreshError | None = None
    for entry in federationbundle.read_carried(bundle):
        try:
            source = tufsources.memory_source(entry.files)
            found = tufclient.refresh(known, source, now=now, accept_older=accept_older, name=entry.name)
        except RefreshError as failed:
            first = first or failed
            continue
        return found, entry
    if first is None:
        msg = "the bundle carries no federation"
        raise FederationError(msg)
    raise first


def _update_one(name: str, now: datetime) -> FederationChange:
    with federationstate.exclusive():
        try:
            before = federationstate.held(name)
        except Error as error:
            return FederationChange(name=name, result=Result.REFUSED, message=error.message, hint=error.hint)
        if not before.url:
            msg = "it has no address; it is brought up to date with rawtrace trust update --from BUNDLE"
            return FederationChange(name=name, result=Result.UNREACHABLE, message=msg, federation=before)
        with Web(Caller(server_key_sha256=before.server_key_sha256)) as web:
            source = tufsources.web_source(web, before.url)
            return _refresh(before, source, now, None, lambda new: federationnews.fetch(new.material.files))


def _take_up_embedded(name: str, root: bytes, url: str, now: datetime) -> FederationChange | None:
    with federationstate.exclusive():
        if name in federationstate.names() or not url:
            return None
        with Web() as web:
            known = tufclient.Material(roots=(root,), files={})
            return _take_up(name, known, tufsources.web_source(web, url), url, now, None)


def _take_up(
    name: str, known: Material, source: Source, url: str, now: datetime, accept_older: timedelta | None
) -> FederationChange:
    try:
        found = tufclient.refresh(known, source, now=now, accept_older=accept_older, name=name)
        described = federationfiles.check_files(found.material.files)
        federationfiles.check_client(described)
        federationfiles.check_same_name(name, described)
    except RefreshError as failed:
        return _failed(name, failed.error, None)
    except Error as error:
        return _failed(name, error, None)
    new = federationstate.accepted(name, found, url=url, server_key_sha256="", now=now)
    federationstate.write(new)
    return FederationChange(name=name, result=Result.ADDED, changes=_differences(None, new), federation=new)


def _refresh(
    before: Federation,
    source: Source,
    now: datetime,
    accept_older: timedelta | None,
    offered: Offered,
) -> FederationChange:
    name = before.name
    try:
        if now < before.checked - CLOCK_TOLERANCE:
            msg = (
                f"this computer's clock says {now:%Y-%m-%d}, but the federation {name} was brought up to date on "
                f"{before.checked:%Y-%m-%d} already"
            )
            raise FederationError(msg, hint="set the clock: with a wrong one, what has run out cannot be told")
        found = tufclient.refresh(before.seen, source, now=now, accept_older=accept_older, name=name)
        described = federationfiles.check_files(found.material.files)
        federationfiles.check_client(described)
        federationfiles.check_same_name(name, described)
    except RefreshError as failed:
        kept = replace(before, seen=failed.seen, problem=failed.error.message)
        federationstate.write(kept)
        return _failed(name, failed.error, kept)
    except Error as error:
        kept = replace(before, problem=error.message)
        federationstate.write(kept)
        return _failed(name, error, kept)
    new = federationstate.accepted(name, found, url=before.url, server_key_sha256=before.server_key_sha256, now=now)
    lists, heads = offered(new)
    news, told = federationnews.take_over(new.material.files, before.news, lists=lists, heads=heads)
    new = replace(new, news=news)
    changes = (*_differences(before, new), *told)
    federationstate.write(new)
    result = Result.UPDATED if changes else Result.UNCHANGED
    return FederationChange(name=name, result=result, changes=changes, federation=new)


def _constant(lists: Sequence[bytes], heads: Sequence[bytes]) -> Offered:
    return lambda _accepted: (lists, heads)


def _failed(name: str, error: Error, kept: Federation | None) -> FederationChange:
    result = Result.UNREACHABLE if isinstance(error, NetworkError) else Result.REFUSED
    return FederationChange(name=name, result=result, message=error.message, hint=error.hint, federation=kept)


def _differences(before: Federation | None, after: Federation) -> tuple[str, ...]:
    """Say in words what is new."""
    old = before.material.files if before else {}
    new = after.material.files
    said = []
    for name in sorted(new):
        if name not in old:
            said.append(f"new: {_about(name, new[name])}")
        elif old[name] != new[name]:
            said.append(f"changed: {_about(name, new[name])}")
    said += [f"withdrawn: {name}" for name in sorted(old) if name not in new]
    if before is not None and len(after.material.roots) > len(before.material.roots):
        said.append(f"new root {after.root['version']}, valid to {str(after.root['expires'])[:10]}")
    return tuple(said)


def _about(name: str, data: bytes) -> str:
    if not name.startswith(LISTS):
        return name
    one = read_list(data, source=name)
    return f"{name} (“{one.name}” by {one.operator}, issue {one.sequence} of {one.issued:%Y-%m-%d})"
