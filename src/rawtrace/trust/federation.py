"""The publisher's side of a federation: what is drafted, signed one key at a time, and published.

::

    federation.json    settings
    online/*/          keys of snapshot and time stamp, mode 0600; the root names the one that counts
    draft.json         what is prepared, as far as it is signed; gone when it is published
    public/metadata/   the TUF metadata          public/targets/   the files
    lock.db

Only ``public`` is served. Its time stamp is replaced last, so that a reader sees
the state before or after; and nothing is written there before the client's own
code has accepted the whole of it. A draft may be carried to whoever holds a
key and back: ``sign`` works on the file alone, ``merge`` takes the signatures.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace import durable, strictjson
from rawtrace.errors import FederationError, InputNotFoundError, UsageError
from rawtrace.trust import federationdraft, federationfiles, federationkeys, staging
from rawtrace.trust.federationdraft import Draft, read_draft
from rawtrace.trust.federationfiles import DESCRIPTION_FILE, Description
from rawtrace.trust.federationfolder import (
    DRAFT_FILE,
    ONLINE_FOLDER,
    PUBLIC_FOLDER,
    ROOT_DAYS,
    SETTINGS_FILE,
    SETTINGS_SCHEMA,
    TARGETS_DAYS,
    TIMESTAMP_DAYS,
    Published,
    Settings,
    last_root,
    locked,
    new_online,
    read_settings,
    read_state,
    version_of,
    write_draft,
)
from rawtrace.trust.federationkeys import OFFLINE_ROLES, ONLINE_ROLES
from rawtrace.trust.keys import SigningKey
from rawtrace.trust.tufsources import METADATA, TARGETS

if TYPE_CHECKING:
    from rawtrace.trust.tuflib import Key, Metadata, Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Where a federation stands.

    Attributes
    ----------
    name, url : str
    published : Published
    draft : Draft or None
    expiries : Mapping[str, datetime]
        Of the published root, targets, snapshot and timestamp, UTC.
    warnings : tuple[str, ...]
        What has to be done, and by when, in words.
    """

    name: str
    url: str
    published: Published
    draft: Draft | None
    expiries: Mapping[str, datetime]
    warnings: tuple[str, ...]


def create(
    folder: Path,
    *,
    name: str,
    offline: Sequence[Key],
    threshold: int,
    url: str = "",
    root_days: int = ROOT_DAYS,
    targets_days: int = TARGETS_DAYS,
    timestamp_days: int = TIMESTAMP_DAYS,
    now: datetime | None = None,
) -> Status:
    """Make a federation: its folder, its online key, and the draft of its first root, not signed yet.

    Parameters
    ----------
    folder : Path
        Must not exist yet.
    name : str
        1 to 63 of ``a-z0-9-``; kept for ever.
    offline : Sequence of keys
        From ``federationkeys.read_public``.
    threshold : int
        How many of them must sign a root or the targets.
    url : str
        Where ``public`` will be served.
    root_days, targets_days, timestamp_days : int
        How long each is good for, 1 to 3650 days.

    Raises
    ------
    AlreadyExistsError, FederationError, UnwritableError
    """
    at = _clock(now)
    days = {"root_days": root_days, "targets_days": targets_days, "timestamp_days": timestamp_days}
    for what, value in days.items():
        if not 1 <= value <= 3650:
            msg = f"{what.replace('_', ' ')} is {value}; expected 1 to 3650"
            raise UsageError(msg)
    settings = Settings(name=federationfiles.check_name(name), url=url.rstrip("/"), **days)
    if url:
        federationfiles.read_server(url)
    with staging.new_folder(folder) as made:
        (made / ONLINE_FOLDER).mkdir(mode=0o700)
        online = new_online(made)
        root = _new_root(offline, threshold, federationkeys.tuf_key(online), at + timedelta(days=root_days))
        document = {
            "schema": SETTINGS_SCHEMA, "name": settings.name, "url": settings.url, **days
        }  # fmt: skip
        durable.write_new(made / SETTINGS_FILE, strictjson.dumps(document))
        for part in (METADATA, TARGETS):
            (made / PUBLIC_FOLDER / part).mkdir(parents=True)
        described = Description(name=settings.name)
        files = {DESCRIPTION_FILE: described.write()}
        draft = Draft(
            root=root.to_bytes(),
            targets=federationdraft.new_targets(files, version=1, expires=at + timedelta(days=targets_days)),
            files=files,
        )
        durable.write_new(made / DRAFT_FILE, draft.write())
    return status(folder, now=at)


def add(
    folder: Path,
    *,
    files: Mapping[str, bytes] | None = None,
    remove: Sequence[str] = (),
    description: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Status:
    """Draft a new state of the files; with nothing to change, the same files with a later expiry.

    Signatures that the draft's targets bore already are gone afterwards.

    Parameters
    ----------
    folder : Path
    files : Mapping[str, bytes], optional
        By their names: ``lists/NAME.jws``, ``log-policy``, ``policy.toml``.
    remove : Sequence[str]
        Names of files that are withdrawn.
    description : Mapping, optional
        Fields of ``Description`` to replace.

    Raises
    ------
    FederationError, TrustListError
        A file that readers would refuse.
    """
    at = _clock(now)
    with locked(folder) as settings:
        published, draft = read_state(folder)
        held = dict(draft.files if draft and draft.targets else published.files)
        for name in remove:
            if name not in held or name == DESCRIPTION_FILE:
                msg = f"the federation publishes no {name} that could be withdrawn"
                raise InputNotFoundError(msg)
            del held[name]
        held.update(files or {})
        if description:
            current = federationfiles.read_description(held[DESCRIPTION_FILE])
            fields = {one: getattr(current, one) for one in ("minimum_client_version", "stores", "resolver_roots")}
            held[DESCRIPTION_FILE] = Description(name=settings.name, **(fields | dict(description))).write()
        federationfiles.check_files(held)
        new = federationdraft.new_targets(
            held, version=version_of(published.targets) + 1, expires=at + timedelta(days=settings.targets_days)
        )
        write_draft(
            folder, Draft(previous=last_root(published), root=draft.root if draft else b"", targets=new, files=held)
        )
    return status(folder, now=at)


def rotate(
    folder: Path,
    *,
    add_keys: Sequence[Key] = (),
    remove_keys: Sequence[str] = (),
    threshold: int | None = None,
    new_online_key: bool = False,
    now: datetime | None = None,
) -> Status:
    """Draft the next root; with nothing to change, the same root with a later expiry.

    It takes a threshold of the old root's keys and of its own: a key that is lost
    is removed by the others. Where the keys change, the targets are drafted anew too.

    Parameters
    ----------
    folder : Path
    add_keys : Sequence of keys
    remove_keys : Sequence[str]
        SHA-256 of the keys, or the beginning of it, at least 8 digits.
    threshold : int, optional
    new_online_key : bool
        Also replace the online key, for instance because the server was broken into.

    Raises
    ------
    FederationError
    """
    at = _clock(now)
    with locked(folder) as settings:
        published, draft = read_state(folder)
        base = draft.root if draft and draft.root else last_root(published)
        root = copy.deepcopy(federationdraft.parse(base).signed)
        wanted = [root.keys[keyid] for keyid in root.roles["root"].keyids]
        for digest in remove_keys:
            found = [key for key in wanted if federationkeys.digest_of(key).startswith(digest.lower())]
            if len(digest) < 8 or len(found) != 1:
                msg = f"{len(found)} keys of the root begin with {digest!r}; expected one, named by 8 digits or more"
                raise FederationError(msg, hint=f"see rawtrace federation status {folder}")
            wanted.remove(found[0])
        wanted += add_keys
        online = root.keys[root.roles["timestamp"].keyids[0]]
        if new_online_key:
            online = federationkeys.tuf_key(new_online(folder))
        chosen = root.roles["root"].threshold if threshold is None else threshold
        new = _new_root(wanted, chosen, online, at + timedelta(days=settings.root_days))
        new.signed.version = version_of(last_root(published)) + 1
        targets, files = (draft.targets, draft.files) if draft else (b"", {})
        if not targets and _offline_of(new.signed) != _offline_of(
            federationdraft.parse(last_root(published) or base).signed
        ):
            files = published.files
            targets = federationdraft.new_targets(
                files, version=version_of(published.targets) + 1, expires=at + timedelta(days=settings.targets_days)
            )
        write_draft(folder, Draft(previous=last_root(published), root=new.to_bytes(), targets=targets, files=files))
    return status(folder, now=at)


def sign(place: Path, key: SigningKey) -> Draft:
    """Sign a draft with one key: all of it that this key counts for.

    Parameters
    ----------
    place : Path
        The federation's folder, or a ``draft.json`` that was carried here.
    key : SigningKey

    Raises
    ------
    FederationError
        There is nothing to sign, or the key counts for nothing in it.
    """
    if place.is_dir():
        with locked(place):
            _, draft = read_state(place)
            if draft is None:
                msg = f"nothing is drafted in {place}, so there is nothing to sign"
                raise FederationError(msg, hint="draft something first: rawtrace federation add, or rotate")
            signed = federationdraft.sign(draft, key)
            write_draft(place, signed)
            return signed
    data = durable.read_bounded(place, limit=federationdraft.MAX_DRAFT_BYTES)
    signed = federationdraft.sign(read_draft(data, what=str(place)), key)
    durable.replace(place, signed.write())
    return signed


def merge(folder: Path, carried: Path) -> Draft:
    """Take over the signatures of a draft that was carried away, signed and brought back.

    Raises
    ------
    FederationError
        It is not the same draft.
    """
    data = durable.read_bounded(carried, limit=federationdraft.MAX_DRAFT_BYTES)
    with locked(folder):
        _, draft = read_state(folder)
        if draft is None:
            msg = f"nothing is drafted in {folder}"
            raise FederationError(msg)
        merged = federationdraft.merge(draft, read_draft(data, what=str(carried)), what=str(carried))
        write_draft(folder, merged)
        return merged


def status(folder: Path, *, now: datetime | None = None) -> Status:
    """Tell what is published, what is drafted, and what runs out when.

    Raises
    ------
    FederationError, InputNotFoundError
    """
    at = _clock(now)
    settings = read_settings(folder)
    published, draft = read_state(folder)
    parts = {
        "root": last_root(published), "targets": published.targets,
        "snapshot": published.snapshot, "timestamp": published.timestamp,
    }  # fmt: skip
    expiries = {role: federationdraft.parse_any(data).signed.expires for role, data in parts.items() if data}
    warnings = [said for role, expires in expiries.items() if (said := _warning(role, expires, settings, at))]
    return Status(
        name=settings.name,
        url=settings.url,
        published=published,
        draft=draft,
        expiries=expiries,
        warnings=tuple(warnings),
    )


def _new_root(offline: Sequence[Key], threshold: int, online: Key, expires: datetime) -> Metadata[Root]:
    from rawtrace.trust.tuflib import Metadata, Root

    root = Root(expires=expires, consistent_snapshot=True)
    for key in offline:
        for role in OFFLINE_ROLES:
            if key.keyid in root.roles[role].keyids:
                msg = "one key is named twice; every signer has a key of their own"
                raise FederationError(msg)
            root.add_key(key, role)
    for role in ONLINE_ROLES:
        root.add_key(online, role)
    if not 1 <= threshold <= len(offline):
        msg = f"{threshold} of {len(offline)} keys cannot be a threshold; expected 1 to as many as there are"
        raise FederationError(msg)
    for role in OFFLINE_ROLES:
        root.roles[role].threshold = threshold
    federationkeys.root_facts(root)
    return Metadata(root)


def _warning(role: str, expires: datetime, settings: Settings, at: datetime) -> str:
    whole = {"root": settings.root_days, "targets": settings.targets_days, "snapshot": settings.targets_days}
    left = expires - at
    day = f"{expires:%Y-%m-%d}"
    if role in {"root", "targets"}:
        todo = f"draft a new one (rawtrace federation {'rotate' if role == 'root' else 'add'} DIR), sign and publish it"
    else:
        todo = "run rawtrace federation publish DIR, every day"
    said = {"timestamp": "time stamp", "targets": "list of files"}.get(role, role)
    if left <= timedelta(0):
        return f"the {said} ran out on {day}: readers refuse updates; {todo}"
    # A quarter of its life, so that several people can be found in time.
    if left < timedelta(days=whole.get(role, settings.timestamp_days)) / 4:
        return f"the {said} runs out on {day}, in {max(1, left.days)} {'day' if left.days <= 1 else 'days'}: {todo}"
    return ""


def _offline_of(root: Root) -> tuple[tuple[str, ...], int]:
    return tuple(sorted(root.roles["targets"].keyids)), root.roles["targets"].threshold


def _clock(now: datetime | None) -> datetime:
    return (now or datetime.now(UTC)).replace(microsecond=0)
