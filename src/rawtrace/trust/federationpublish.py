"""Publishing a federation: the online key's signatures, a trial by the reader's own code, and the order of writing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rawtrace import durable
from rawtrace.errors import FederationError
from rawtrace.trust import federationdraft, federationfiles, federationkeys, tufclient, tufsources
from rawtrace.trust.federationfolder import (
    DRAFT_FILE,
    PUBLIC_FOLDER,
    Published,
    Settings,
    locked,
    online_key,
    read_state,
    version_of,
    write_public,
)
from rawtrace.trust.keys import SigningKey
from rawtrace.trust.tufclient import ISSUED_FIELD, Material, RefreshError

if TYPE_CHECKING:
    from rawtrace.trust.tuflib import Metadata, Root, Snapshot, Timestamp


def publish(folder: Path, *, now: datetime | None = None) -> None:
    """Publish the draft, if it bears enough signatures; without a draft, sign a new time stamp only.

    Run it every day: it is what tells readers that nothing is held back from them.

    Raises
    ------
    FederationError
        Signatures are missing, something has run out, or readers would refuse the result.
    """
    at = (now or datetime.now(UTC)).replace(microsecond=0)
    with locked(folder) as settings:
        published, draft = read_state(folder)
        if draft is None and not published.roots:
            msg = f"nothing is drafted or published in {folder}"
            raise FederationError(msg)
        if draft is not None:
            federationdraft.check_signed(draft, folder=folder)
        roots = published.roots + ((draft.root,) if draft and draft.root else ())
        targets = draft.targets if draft and draft.targets else published.targets
        files = draft.files if draft and draft.targets else published.files
        root = federationdraft.parse(roots[-1])
        online = online_key(folder, root.signed)
        federationdraft.check_targets(root.signed, targets)
        _check_current(root.signed.expires, "root", "rotate", at)
        _check_current(federationdraft.parse_any(targets).signed.expires, "list of files", "add", at)
        snapshot, timestamp = _sign_online(online, published, root.signed, targets, settings, at)
        material = Material(roots=roots, timestamp=timestamp, snapshot=snapshot, targets=targets, files=files)
        pages = tufclient.published_files(material)
        _try_as_reader(published, roots, pages, settings.name, at)
        write_public(folder / PUBLIC_FOLDER, pages)
        (folder / DRAFT_FILE).unlink(missing_ok=True)
        durable.sync_folder(folder)


def _check_current(expires: datetime, what: str, command: str, at: datetime) -> None:
    if expires <= at:
        msg = f"the {what} ran out on {expires:%Y-%m-%d}, so readers would refuse what was to be published"
        raise FederationError(msg, hint=f"draft it anew with rawtrace federation {command} DIR, then sign")


def _sign_online(
    online: SigningKey, published: Published, root: Root, targets: bytes, settings: Settings, at: datetime
) -> tuple[bytes, bytes]:
    from rawtrace.trust.tuflib import Metadata, MetaFile, Snapshot, Timestamp

    signer = federationkeys.signer(online)
    targets_version = version_of(targets)
    expires = federationdraft.parse_any(targets).signed.expires
    snapshot = published.snapshot
    old: Metadata[Snapshot] | None = Metadata[Snapshot].from_bytes(snapshot) if snapshot else None
    if (
        old is None
        or old.signed.meta["targets.json"].version != targets_version
        or signer.public_key.keyid not in old.signatures
    ):
        made = Metadata(Snapshot(version=version_of(snapshot) + 1, expires=expires))
        made.signed.meta["targets.json"] = MetaFile.from_data(targets_version, targets, ["sha256"])
        made.sign(signer)
        snapshot = made.to_bytes()
    issued = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    stamp: Metadata[Timestamp] = Metadata(
        Timestamp(
            version=version_of(published.timestamp) + 1,
            expires=min(at + timedelta(days=settings.timestamp_days), expires, root.expires),
            unrecognized_fields={ISSUED_FIELD: issued},
        )
    )
    stamp.signed.snapshot_meta = MetaFile.from_data(version_of(snapshot), snapshot, ["sha256"])
    stamp.sign(signer)
    return snapshot, stamp.to_bytes()


def _try_as_reader(
    published: Published, roots: tuple[bytes, ...], pages: Mapping[str, bytes], name: str, at: datetime
) -> None:
    """Let the client's own code judge what is about to be published: by somebody new, and by somebody up to date."""
    starts = [Material(roots=roots[:1], files={})]
    if published.roots:
        starts.append(
            Material(
                roots=published.roots, timestamp=published.timestamp, snapshot=published.snapshot,
                targets=published.targets, files=published.files,
            )
        )  # fmt: skip
    for known in starts:
        try:
            found = tufclient.refresh(known, tufsources.memory_source(pages), now=at, name=name)
            federationfiles.check_files(found.material.files)
        except RefreshError as failed:
            msg = f"readers would refuse what was to be published: {failed.error.message}"
            raise FederationError(msg, hint=failed.error.hint) from failed
