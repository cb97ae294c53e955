"""The folder of a federation's publisher: its settings, its online keys, what is drafted and what is public."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rawtrace import durable, strictjson
from rawtrace.errors import FederationError, InputNotFoundError, from_os_error
from rawtrace.trust import federationdraft, federationfiles, federationkeys, keys, staging, tufsources
from rawtrace.trust.federationdraft import Draft, read_draft
from rawtrace.trust.keys import SigningKey
from rawtrace.trust.tufsources import METADATA, TARGETS

if TYPE_CHECKING:
    from rawtrace.trust.tuflib import Root

SETTINGS_SCHEMA = "urn:rawtrace:schema:federation-settings:1"
SETTINGS_FILE = "federation.json"
DRAFT_FILE = "draft.json"
ONLINE_FOLDER = "online"
PUBLIC_FOLDER = "public"
ROOT_DAYS = 365
TARGETS_DAYS = 180
TIMESTAMP_DAYS = 7
_MAX_SETTINGS_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How long each part is good for, in days, and where it is published."""

    name: str
    url: str = ""
    root_days: int = ROOT_DAYS
    targets_days: int = TARGETS_DAYS
    timestamp_days: int = TIMESTAMP_DAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What lies in ``public``: the newest root, and what the time stamp leads to.

    Attributes
    ----------
    roots : tuple[bytes, ...]
        From version 1; empty before the first publication.
    timestamp, snapshot, targets : bytes
        Empty before the first publication.
    files : Mapping[str, bytes]
    """

    roots: tuple[bytes, ...] = ()
    timestamp: bytes = b""
    snapshot: bytes = b""
    targets: bytes = b""
    files: Mapping[str, bytes]


def read_settings(folder: Path) -> Settings:
    """Read a federation's own settings.

    Raises
    ------
    InputNotFoundError, FederationError
    """
    path = folder / SETTINGS_FILE
    try:
        data = durable.read_bounded(path, limit=_MAX_SETTINGS_BYTES)
    except InputNotFoundError as error:
        msg = f"{folder} is not the folder of a federation"
        raise InputNotFoundError(msg, hint="make one: rawtrace federation new DIR") from error
    document = strictjson.loads(data, what=str(path), max_bytes=_MAX_SETTINGS_BYTES)
    fields = ("name", "url", "root_days", "targets_days", "timestamp_days")
    if not isinstance(document, dict) or document.get("schema") != SETTINGS_SCHEMA or not set(fields) <= set(document):
        msg = f"{path} is not of the form {SETTINGS_SCHEMA}"
        raise FederationError(msg, hint="restore the file from its backup")
    return Settings(**{field: document[field] for field in fields})


def new_online(folder: Path) -> SigningKey:
    """Make an online key beside those that are there: a time stamp may be due before the new root is published."""
    with staging.new_folder(folder / ONLINE_FOLDER / secrets.token_hex(8)) as place:
        return keys.create_in_folder(place, keys.Algorithm.ED25519)


def online_key(folder: Path, root: Root) -> SigningKey:
    """Open the key that a root names for snapshot and time stamp.

    Raises
    ------
    FederationError
        It is not here.
    KeyUnavailableError
    """
    wanted = root.roles["timestamp"].keyids
    for place in sorted((folder / ONLINE_FOLDER).glob("*/")):
        if (place / keys.KEY_POINTER).is_file():
            key = keys.open_in_folder(place)
            if federationkeys.tuf_key(key).keyid in wanted:
                return key
    msg = f"no key in {folder / ONLINE_FOLDER} is the online key that the root names"
    raise FederationError(msg, hint="restore it, or draft a root with a new one: federation rotate --new-online-key")


def write_public(public: Path, pages: Mapping[str, bytes]) -> None:
    """Write the files, then the roots, then what leads to them; the time stamp, which leads to all, at the end."""
    order = {"root.json": 1, "targets.json": 2, "snapshot.json": 3, "timestamp.json": 4}

    def rank(name: str) -> tuple[int, str]:
        return next(
            (number for end, number in order.items() if name.endswith(end) and name.startswith(METADATA)), 0
        ), name

    for name in sorted(pages, key=rank):
        path = public / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file() and path.read_bytes() == pages[name]:
                continue
        except OSError as error:
            raise from_os_error(error, f"writing {path}") from error
        durable.replace(path, pages[name])


def read_state(folder: Path) -> tuple[Published, Draft | None]:
    """Read what is published and what is drafted; a draft that is published already counts as gone."""
    read_settings(folder)
    published = _published(folder / PUBLIC_FOLDER)
    path = folder / DRAFT_FILE
    try:
        data = durable.read_bounded(path, limit=federationdraft.MAX_DRAFT_BYTES)
    except InputNotFoundError:
        return published, None
    draft = read_draft(data, what=str(path))
    if draft.root and draft.root in published.roots:
        draft = Draft(previous=last_root(published), targets=draft.targets, files=draft.files)
    if draft.targets and draft.targets == published.targets:
        draft = Draft(previous=last_root(published), root=draft.root, files={})
    return published, draft if draft.root or draft.targets else None


def _published(public: Path) -> Published:
    def get(name: str) -> bytes:
        limit = federationfiles.MAX_ALL_BYTES if name.startswith(TARGETS) else 4 * tufsources.MAX_METADATA_BYTES
        return durable.read_bounded(public / name, limit=limit)

    roots: list[bytes] = []
    while (public / METADATA / f"{len(roots) + 1}.root.json").is_file():
        roots.append(get(f"{METADATA}{len(roots) + 1}.root.json"))
    if not (public / METADATA / "timestamp.json").is_file():
        # A crash before the first time stamp: nobody can have used these roots yet.
        return Published(files={})
    try:
        timestamp = get(f"{METADATA}timestamp.json")
        snapshot = get(f"{METADATA}{federationdraft.parse_any(timestamp).signed.snapshot_meta.version}.snapshot.json")
        number = federationdraft.parse_any(snapshot).signed.meta["targets.json"].version
        targets = get(f"{METADATA}{number}.targets.json")
        files = {}
        for path, target in federationdraft.parse_any(targets).signed.targets.items():
            parent, slash, name = path.rpartition("/")
            files[path] = get(f"{TARGETS}{parent}{slash}{target.hashes['sha256']}.{name}")
            if hashlib.sha256(files[path]).hexdigest() != target.hashes["sha256"]:
                msg = f"{path} in {public} is not the file that was published"
                raise FederationError(msg, hint="restore the folder from its backup")
    except (KeyError, AttributeError) as error:
        msg = f"what lies in {public} is not what rawtrace publishes"
        raise FederationError(msg, hint="restore the folder from its backup") from error
    return Published(roots=tuple(roots), timestamp=timestamp, snapshot=snapshot, targets=targets, files=files)


def write_draft(folder: Path, draft: Draft) -> None:
    """Keep a draft in place of the one before."""
    durable.replace(folder / DRAFT_FILE, draft.write())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Settings]:
    """Keep others out of a federation's folder; gives its settings."""
    settings = read_settings(folder)
    with staging.exclusive(folder):
        yield settings


def last_root(published: Published) -> bytes:
    """Return the newest published root; empty where there is none."""
    return published.roots[-1] if published.roots else b""


def version_of(data: bytes) -> int:
    """Return the version of metadata; 0 of none."""
    return int(federationdraft.parse_any(data).signed.version) if data else 0
