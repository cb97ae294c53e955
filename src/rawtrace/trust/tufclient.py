"""The TUF client workflow by python-tuf's ``Updater``, over a network or over a bundle.

Nothing of a federation's is believed that did not come through ``refresh``. The
updater works in a temporary folder; what it has verified is handed back as
bytes, and the caller keeps it in one file, whole or not at all. Where a refresh
fails half-way, what was verified until then comes with the error: it is what a
later rollback is recognised by.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rawtrace.errors import Error, FederationError, from_os_error
from rawtrace.trust import federationfiles, federationkeys
from rawtrace.trust.federationkeys import RootFacts
from rawtrace.trust.tufsources import BASE, MAX_METADATA_BYTES, METADATA, TARGETS, Source, check_json, fetcher_of

if TYPE_CHECKING:
    from rawtrace.trust.tuflib import FetcherInterface, Root, Timestamp, Updater, UpdaterConfig

ISSUED_FIELD = "x-rawtrace-issued"
#: A clock may be this much behind the server's before it is called wrong.
CLOCK_TOLERANCE = timedelta(days=1)
_MAX_ROTATIONS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What was verified of a federation, as bytes.

    Attributes
    ----------
    roots : tuple[bytes, ...]
        From the one that was pinned to the newest, without a gap.
    timestamp, snapshot, targets : bytes
        Empty where there is none yet.
    files : Mapping[str, bytes]
        By their names, such as ``lists/example.jws``.
    """

    roots: tuple[bytes, ...]
    timestamp: bytes = b""
    snapshot: bytes = b""
    targets: bytes = b""
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What ``refresh`` found to be good.

    Attributes
    ----------
    material : Material
    root : RootFacts
    as_of : datetime
        When the federation's online key last said that this is current, UTC.
    expires : datetime
        Until when it said so, UTC.
    targets_expire : datetime
    late : bool
        Whether the time stamp had run out already and was accepted on request.
    """

    material: Material
    root: RootFacts
    as_of: datetime
    expires: datetime
    targets_expire: datetime
    late: bool = False


class RefreshError(Exception):
    """A refresh that failed: why, what it had verified before, and when the time stamp ran out if that is all."""

    def __init__(self, error: Error, seen: Material, *, ran_out: datetime | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.seen = seen
        self.ran_out = ran_out


def read_root(data: bytes, *, what: str) -> RootFacts:
    """Read a root that somebody hands over: it must be signed as it itself demands.

    Raises
    ------
    FederationError
    """
    from rawtrace.trust.tuflib import Metadata, RepositoryError, Root

    try:
        check_json(data, what, MAX_METADATA_BYTES)
        root: Metadata[Root] = Metadata[Root].from_bytes(data)
        if root.signed.type != Root.type:
            msg = f"{what} is TUF metadata, but no root"
            raise FederationError(msg)
        facts = federationkeys.root_facts(root.signed)
        root.signed.verify_delegate(Root.type, root.signed_bytes, root.signatures)
    except (RepositoryError, ValueError) as error:
        msg = f"{what} is not the root of a federation: {_plain(error)}"
        raise FederationError(msg) from error
    return facts


def first_root(files: Mapping[str, bytes], *, what: str) -> bytes:
    """Return the oldest root among a federation's files, checked as ``read_root`` does.

    Raises
    ------
    FederationError
    """
    numbers = [
        int(number)
        for name in files
        if (number := name.removeprefix(METADATA).removesuffix(".root.json")).isascii()
        and number.isdigit()
        and len(number) < 10
        and name == f"{METADATA}{number}.root.json"
    ]
    if not numbers:
        msg = f"{what} holds no root"
        raise FederationError(msg)
    data = files[f"{METADATA}{min(numbers)}.root.json"]
    read_root(data, what=what)
    return data


def published_files(material: Material) -> dict[str, bytes]:
    """Lay out what was verified as a federation's address serves it."""
    from rawtrace.trust.tuflib import Metadata

    found = {f"{METADATA}timestamp.json": material.timestamp}
    for data in material.roots:
        root: Metadata[Root] = Metadata.from_bytes(data)
        found[f"{METADATA}{root.signed.version}.root.json"] = data
    prefix = "{}." if root.signed.consistent_snapshot else ""
    for role, data in (("snapshot", material.snapshot), ("targets", material.targets)):
        version = Metadata[Any].from_bytes(data).signed.version
        found[f"{METADATA}{prefix.format(version)}{role}.json"] = data
    for path, data in material.files.items():
        folder, slash, name = path.rpartition("/")
        found[f"{TARGETS}{folder}{slash}{prefix.format(hashlib.sha256(data).hexdigest())}{name}"] = data
    return found


def refresh(
    known: Material, source: Source, *, now: datetime, accept_older: timedelta | None = None, name: str = ""
) -> Refreshed:
    """Bring what is known of a federation up to date by TUF's rules.

    Parameters
    ----------
    known : Material
        At least the pinned root; time stamp and snapshot are what a rollback is recognised by.
    source : Source
    now : datetime
        UTC.
    accept_older : timedelta, optional
        Take a time stamp that ran out at most so long ago. Nothing else may have run out.
    name : str
        Of the federation, for messages.

    Raises
    ------
    RefreshError
    """
    called = f"the federation {name}" if name else "the federation"
    try:
        return _refresh(known, source, now=now, at=now, called=called)
    except RefreshError as failed:
        error, ran_out = failed.error, failed.ran_out
        if accept_older is None or ran_out is None:
            raise
        if ran_out < now - accept_older:
            msg = f"{error.message}, which is more than the {accept_older.days} days that were to be accepted"
            raise RefreshError(FederationError(msg, hint=error.hint), failed.seen) from failed
        found = _refresh(known, source, now=now, at=ran_out - timedelta(seconds=1), called=called)
        return replace(found, late=True)


def _refresh(known: Material, source: Source, *, now: datetime, at: datetime, called: str) -> Refreshed:
    from rawtrace.trust.tuflib import DownloadError, KeyLibraryError, RepositoryError

    try:
        with tempfile.TemporaryDirectory(prefix="rawtrace-federation-") as made:
            folder = Path(made)
            fetcher = fetcher_of(source)
            try:
                _lay_out(folder, known)
                updater = _updater(folder, known.roots[0], fetcher)
                # python-tuf takes the clock itself and offers no other way to hand one in.
                updater._trusted_set.reference_time = at  # noqa: SLF001
                updater.refresh()
                return _finish(updater, folder, known, now=now, late=at != now, called=called)
            except (RepositoryError, DownloadError, KeyLibraryError, ValueError, TypeError, KeyError) as error:
                said, ran_out = fetcher.failure, None
                if said is None:
                    said, ran_out = _sentence(error, fetcher, known, called=called, now=now)
                raise RefreshError(said, _progress(folder, known), ran_out=ran_out) from error
            except Error as error:
                raise RefreshError(error, known) from error
    except OSError as error:
        raise RefreshError(from_os_error(error, f"updating {called}"), known) from error


def _finish(updater: Updater, folder: Path, known: Material, *, now: datetime, late: bool, called: str) -> Refreshed:
    from rawtrace.trust.tuflib import Metadata, Snapshot, Targets, Timestamp

    progress = _progress(folder, known)
    facts = _check_roots(progress.roots)
    timestamp: Metadata[Timestamp] = Metadata[Timestamp].from_bytes(progress.timestamp)
    snapshot: Metadata[Snapshot] = Metadata[Snapshot].from_bytes(progress.snapshot)
    targets: Metadata[Targets] = Metadata[Targets].from_bytes((folder / "targets.json").read_bytes())
    if late:
        for part, expires in (
            ("root", facts.expires), ("snapshot", snapshot.signed.expires), ("targets", targets.signed.expires)
        ):  # fmt: skip
            if expires <= now:
                msg = f"the {part} of {called} ran out on {_day(expires)}; only an old time stamp can be accepted"
                raise FederationError(msg, hint="get a newer bundle from a computer that has a network")
    as_of = _issued(timestamp.signed, now=now, called=called)
    files: dict[str, bytes] = {}
    total = 0
    for path, target in targets.signed.targets.items():
        limit = federationfiles.limit_of(path)
        if limit is None:
            continue  # of a newer version of this form
        if set(target.hashes) != {"sha256"} or not _is_digest(target.hashes["sha256"]):
            msg = f"{called} gives no SHA-256 for {path}, or more than that; expected that one digest"
            raise FederationError(msg)
        total += target.length
        if target.length > limit or total > federationfiles.MAX_ALL_BYTES or len(files) >= federationfiles.MAX_FILES:
            msg = f"{called} announces more than it ever needs: {path} with {target.length} bytes"
            raise FederationError(msg)
        files[path] = _file(updater, target, known.files.get(path), folder / f"target-{len(files)}")
    return Refreshed(
        material=replace(progress, targets=(folder / "targets.json").read_bytes(), files=files),
        root=facts,
        as_of=as_of,
        expires=timestamp.signed.expires,
        targets_expire=targets.signed.expires,
        late=late,
    )


def _file(updater: Updater, target: Any, held: bytes | None, place: Path) -> bytes:
    from rawtrace.trust.tuflib import LengthOrHashMismatchError

    if held is not None:
        with contextlib.suppress(LengthOrHashMismatchError):
            target.verify_length_and_hashes(held)
            return held
    return Path(updater.download_target(target, str(place))).read_bytes()


def _issued(timestamp: Timestamp, *, now: datetime, called: str) -> datetime:
    stated = timestamp.unrecognized_fields.get(ISSUED_FIELD)
    if stated is None:  # made by other software
        return now
    try:
        issued = datetime.strptime(str(stated), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        msg = f"the time stamp of {called} does not say in a readable way when it was made"
        raise FederationError(msg) from error
    if issued > now + CLOCK_TOLERANCE:
        msg = f"the time stamp of {called} was made on {_day(issued)}, but this computer's clock says {_day(now)}"
        raise FederationError(msg, hint="set the clock: with a wrong one, what has run out cannot be told")
    return issued


def _check_roots(roots: tuple[bytes, ...]) -> RootFacts:
    from rawtrace.trust.tuflib import Metadata, Root

    facts = [federationkeys.root_facts(Metadata[Root].from_bytes(data).signed) for data in roots]
    return facts[-1]


def _lay_out(folder: Path, known: Material) -> None:
    from rawtrace.trust.tuflib import Metadata, Root

    history = folder / "root_history"
    history.mkdir()
    for data in known.roots[1:]:
        (history / f"{Metadata[Root].from_bytes(data).signed.version}.root.json").write_bytes(data)
    for role in ("timestamp", "snapshot", "targets"):
        if data := getattr(known, role):
            (folder / f"{role}.json").write_bytes(data)


def _progress(folder: Path, known: Material) -> Material:
    """Collect what the updater has verified and kept; called after a failure, too."""
    from rawtrace.trust.tuflib import Metadata, RepositoryError, Root

    roots = list(known.roots)
    try:
        version = Metadata[Root].from_bytes(roots[0]).signed.version + len(roots)
        while (path := folder / "root_history" / f"{version}.root.json").is_file():
            data = path.read_bytes()
            federationkeys.root_facts(Metadata[Root].from_bytes(data).signed)
            roots.append(data)
            version += 1
    except (RepositoryError, ValueError):
        return known
    timestamp, snapshot = (
        path.read_bytes() if (path := folder / f"{role}.json").is_file() else b"" for role in ("timestamp", "snapshot")
    )
    return replace(known, roots=tuple(roots), timestamp=timestamp, snapshot=snapshot)


def _updater(folder: Path, root: bytes, fetcher: FetcherInterface) -> Updater:
    from rawtrace.trust.tuflib import Updater, UpdaterConfig

    config: UpdaterConfig = UpdaterConfig(
        max_root_rotations=_MAX_ROTATIONS,
        max_delegations=0,
        root_max_length=MAX_METADATA_BYTES,
        timestamp_max_length=16_384,
        snapshot_max_length=MAX_METADATA_BYTES,
        targets_max_length=MAX_METADATA_BYTES * 4,
    )
    return Updater(str(folder), f"{BASE}{METADATA}", str(folder), f"{BASE}{TARGETS}", fetcher, config, bootstrap=root)


def _sentence(
    error: Exception, fetcher: Any, known: Material, *, called: str, now: datetime
) -> tuple[Error, datetime | None]:
    """Say in our words what python-tuf refused, and when the time stamp ran out if that is all."""
    from rawtrace.trust import tuflib

    text = str(error)
    if isinstance(error, tuflib.ExpiredMetadataError):
        role = next((one for one in ("root", "timestamp", "snapshot", "targets") if one in text), "metadata")
        at = _expiry(fetcher.last.get(role) or (known.roots[-1] if role == "root" else getattr(known, role, b"")))
        said = "time stamp" if role == "timestamp" else role
        msg = f"the {said} of {called} ran out{f' on {_day(at)}' if at else ''} (this computer's clock: {_day(now)})"
        hint = (
            "either its operator has not signed a newer one, or somebody holds it back, or the clock is wrong"
            if role in {"timestamp", "snapshot"}
            else "either its signers have not signed a newer one, or this computer's clock is wrong"
        )
        return FederationError(msg, hint=hint), at if role == "timestamp" else None
    if isinstance(error, tuflib.BadVersionNumberError):
        msg = f"{called} is offered in an older state than the one known here, or its parts do not fit together: {text}"
        return FederationError(
            _one_line(msg), hint="an old copy may lie at its address; what is known here stays"
        ), None
    if isinstance(error, tuflib.UnsignedMetadataError):
        msg = f"{called} is offered with too few good signatures: {text}"
        return FederationError(_one_line(msg), hint="whoever made this does not have the federation's keys"), None
    if isinstance(error, tuflib.LengthOrHashMismatchError):
        msg = f"a file of {called} is not the one that was signed: {text}"
        return FederationError(_one_line(msg), hint="the copy is damaged or was changed"), None
    return FederationError(f"the metadata of {called} cannot be accepted: {_plain(error)}"), None


def _expiry(data: bytes) -> datetime | None:
    from rawtrace.trust.tuflib import Metadata, RepositoryError

    try:
        metadata: Metadata[Any] = Metadata.from_bytes(data)
    except (RepositoryError, ValueError):
        return None
    expires: datetime = metadata.signed.expires
    return expires


def _is_digest(text: str) -> bool:
    return len(text) == 64 and all(one in "0123456789abcdef" for one in text)


def _plain(error: Exception) -> str:
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:300]


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
