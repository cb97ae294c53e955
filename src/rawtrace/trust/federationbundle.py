"""Federations inside a bundle that is carried to a computer without a network.

A bundle carries the files of a federation's address, as text in one JSON file:
nothing to unpack, no path that could lead anywhere. Nothing in it is believed
before it has gone through the same steps as what comes over the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rawtrace import strictjson
from rawtrace.errors import Error, FederationError
from rawtrace.trust import embeddedroots, federationfiles, federationstate, tufclient, tufsources
from rawtrace.trust.anchors import TrustList
from rawtrace.trust.federationnews import MAX_ITEMS, News, take_over
from rawtrace.trust.federationstate import MAX_STATE_BYTES
from rawtrace.trust.tufclient import Material, RefreshError
from rawtrace.web import check_address

MAX_FEDERATIONS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedFederation:
    """A federation inside a bundle, not checked yet.

    Attributes
    ----------
    name, url : str
    files : Mapping[str, bytes]
        Those of its address.
    lists, heads : tuple[bytes, ...]
        Newer issues of lists and heads of logs, which prove themselves.
    """

    name: str
    url: str
    files: Mapping[str, bytes]
    lists: tuple[bytes, ...] = ()
    heads: tuple[bytes, ...] = ()


def export_entries() -> list[dict[str, Any]]:
    """Return every federation as an entry of a bundle: the files of its address, as text."""
    entries = []
    for one in federationstate.all_held():
        files = tufclient.published_files(one.material)
        entries.append(
            {
                "name": one.name,
                "url": one.url,
                "as_of": one.as_of.isoformat(),
                "files": {name: data.decode() for name, data in sorted(files.items())},
                "newer_lists": [data.decode() for data in one.news.lists.values()],
                "checkpoints": [data.decode() for data in one.news.heads.values()],
            }
        )
    return entries


def entries_of(document: object, *, what: str) -> tuple[CarriedFederation, ...]:
    """Read the federations of a bundle's parsed document; nothing in them is believed yet.

    Raises
    ------
    FederationError
    """
    entries = document.get("federations", []) if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_FEDERATIONS:
        msg = f"{what} holds no list of at most {MAX_FEDERATIONS} federations"
        raise FederationError(msg)
    found = []
    for entry in entries:
        files = entry.get("files") if isinstance(entry, dict) else None
        url = entry.get("url", "") if isinstance(entry, dict) else None
        if not isinstance(files, dict) or not isinstance(url, str) or len(files) > 4 * federationfiles.MAX_FILES:
            msg = f"{what} holds a federation without files"
            raise FederationError(msg)
        if not all(isinstance(text, str) for text in files.values()):
            msg = f"{what} holds a federation with files that are no text"
            raise FederationError(msg)
        if url:
            check_address(url)
        try:
            encoded = {name: text.encode() for name, text in files.items()}
            lists, heads = (_texts(entry.get(part, []), what) for part in ("newer_lists", "checkpoints"))
        except UnicodeEncodeError as error:
            msg = f"{what} is not UTF-8"
            raise FederationError(msg) from error
        name = federationfiles.check_name(entry.get("name"))
        found.append(CarriedFederation(name=name, url=url, files=encoded, lists=lists, heads=heads))
    if len({one.name for one in found}) != len(found):
        msg = f"{what} holds one federation twice"
        raise FederationError(msg)
    return tuple(found)


def _texts(value: object, what: str) -> tuple[bytes, ...]:
    if not isinstance(value, list) or len(value) > MAX_ITEMS or not all(isinstance(one, str) for one in value):
        msg = f"{what} holds something else than texts beside a federation's files"
        raise FederationError(msg)
    return tuple(one.encode() for one in value)


def read_carried(bundle: bytes, *, what: str = "the bundle") -> tuple[CarriedFederation, ...]:
    """Read the federations of a bundle; nothing in them is believed yet.

    Raises
    ------
    FederationError
        No bundle, or one without federations.
    """
    try:
        document = strictjson.loads(bundle, what=what, max_bytes=MAX_STATE_BYTES)
    except (Error, ValueError) as error:
        msg = f"{what} is not the JSON of a bundle that rawtrace trust export makes"
        raise FederationError(msg) from error
    found = entries_of(document, what=what)
    if not found:
        msg = f"{what} carries no federation"
        raise FederationError(msg, hint="lists alone are taken with rawtrace trust add BUNDLE")
    return found


def lists_in(entries: Iterable[CarriedFederation], *, place: str, now: datetime | None = None) -> tuple[TrustList, ...]:
    """Verify a bundle's federations by TUF's rules, keep nothing, and return their lists.

    Where the federation is known here, the bundle must follow from what is known.
    Where it is not, its own first root counts: who names the bundle vouches for it,
    as with a list's file.

    Raises
    ------
    FederationError
    """
    at = now or datetime.now(UTC)
    roots = {name: root for name, root, _ in embeddedroots.embedded()}
    found: list[TrustList] = []
    for entry in entries:
        known = federationstate.held_or_none(entry.name)
        root = roots.get(entry.name) or tufclient.first_root(entry.files, what=f"{place}, federation {entry.name}")
        start = known.seen if known else Material(roots=(root,), files={})
        try:
            refreshed = tufclient.refresh(start, tufsources.memory_source(entry.files), now=at, name=entry.name)
        except RefreshError as failed:
            hint = failed.error.hint or "make a newer bundle with rawtrace trust export"
            raise FederationError(f"{place}: {failed.error.message}", hint=hint) from failed
        described = federationfiles.check_files(refreshed.material.files)
        federationfiles.check_client(described)
        federationfiles.check_same_name(entry.name, described)
        taken = federationstate.accepted(entry.name, refreshed, url=entry.url, server_key_sha256="", now=at)
        held_news = known.news if known else News()
        news, _ = take_over(taken.material.files, held_news, lists=entry.lists, heads=entry.heads)
        found += federationstate.lists_of(replace(taken, news=news), now=at, place=place)
    return tuple(found)
