"""What lies in the watched folder: which files and folders are assets, and which names are not.

Other people's programs write here, so every name is doubted: links are never
followed, depth is bounded, and what rawtrace or the system itself left is no
asset. An asset's name is its path below the watched folder, with ``/``.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rawtrace.durable import TEMPORARY_SUFFIX
from rawtrace.errors import InputNotFoundError, UnreadableError, UsageError
from rawtrace.sealing.finished import TEMPORARY_SUFFIXES, Fingerprint, is_temporary

MAX_DEPTH = 32
_ZARR_SUFFIX = ".zarr"
_ZARR_MARKERS = ("zarr.json", ".zgroup", ".zattrs", ".zarray")
_LITTER = {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found"}
_OURS = re.compile(r"^\..*\.[0-9a-f]{8}" + re.escape(TEMPORARY_SUFFIX) + "$", re.DOTALL)
_SUPERSEDED = re.compile(r"\.superseded-\d{5}(\.|$)")
_MOUNT_POINT_TAG = 0xA0000003
_SEALS = (".c2pa", ".c2pa.tlog-proof")


class Kind(StrEnum):
    """A file, or a Zarr folder that is sealed as one thing."""

    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One asset seen in passing; a folder's fingerprint costs a walk and is ``None`` here."""

    name: str
    kind: Kind
    fingerprint: Fingerprint | None


@dataclass(slots=True, kw_only=True)
class Sweep:
    """What one walk over the watched folder saw.

    Attributes
    ----------
    found : list of Found
    leftovers : list of Path
        Temporary files of rawtrace itself, which an interrupted run may have left.
    unreadable : list of str
        Folders that could not be listed; their assets must not be taken for gone.
    """

    found: list[Found] = field(default_factory=list)
    leftovers: list[Path] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


class WatchedFolder:
    """The folder an instrument writes to.

    Parameters
    ----------
    root : Path
    excluded : iterable of Path
        Files and folders that are no assets although they lie inside: the agent's state, the instrument's key.

    Raises
    ------
    InputNotFoundError, UsageError
        No such folder; not a folder.
    """

    def __init__(self, root: Path, *, excluded: tuple[Path, ...] = ()) -> None:
        if not root.exists():
            msg = f"the folder to watch, {root}, does not exist"
            raise InputNotFoundError(msg, hint="make the folder, or check that the drive is connected")
        if not root.is_dir():
            msg = f"{root} is a file; the agent watches a folder"
            raise UsageError(msg)
        self.root = Path(os.path.realpath(root))
        self._excluded = {os.path.normcase(os.path.realpath(path)) for path in excluded}

    def path(self, name: str) -> Path:
        """Return where the asset of that name lies."""
        return self.root / name

    def kind(self, name: str) -> Kind:
        """Tell whether an asset is a file or a folder that is sealed as one."""
        return Kind.FOLDER if is_zarr(self.path(name)) else Kind.FILE

    def name_of(self, path: Path) -> str | None:
        """Return the asset that a path belongs to, or ``None`` if it belongs to none.

        A member of a Zarr folder belongs to the folder. Works without the last part existing.
        """
        parts = self._parts_below(path)
        if not parts or len(parts) > MAX_DEPTH:
            return None
        here = self.root
        for position, part in enumerate(parts):
            here = here / part
            last = position == len(parts) - 1
            if os.path.normcase(str(here)) in self._excluded or left_out(part) or is_link(here):
                return None
            if is_zarr(here):
                return "/".join(parts[: position + 1])
            if last and (here.is_dir() or belongs_to_seal(here.parent, part)):
                return None
        return "/".join(parts)

    def folder_name(self, path: Path) -> str:
        """Return the name of an ordinary folder below the watched one; empty for hidden, linked and Zarr folders."""
        name = self.name_of(path / "member")
        return name.removesuffix("/member") if name and name.endswith("/member") else ""

    def sweep(self, below: str = "") -> Sweep:
        """Walk the watched folder, or one folder in it, and return all assets with what can be had for free.

        Raises
        ------
        UnreadableError
            The watched folder itself cannot be listed (a network drive that went away).
        """
        result = Sweep()
        pending = [(below, below.count("/") + 1 if below else 0)]
        while pending:
            folder, depth = pending.pop()
            try:
                entries = _listing(self.path(folder))
            except OSError as error:
                if not folder:
                    msg = f"the watched folder {self.root} cannot be listed: {(error.strerror or 'unknown').lower()}"
                    raise UnreadableError(msg, hint="check that the drive is connected") from error
                result.unreadable.append(folder)
                continue
            names = {entry.name for entry in entries}
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                self._sort_in(entry, name, names, depth, result, pending)
        return result

    def _sort_in(
        self,
        entry: os.DirEntry[str],
        name: str,
        siblings: set[str],
        depth: int,
        result: Sweep,
        pending: list[tuple[str, int]],
    ) -> None:
        if _OURS.match(entry.name) and entry.is_file(follow_symlinks=False):
            result.leftovers.append(Path(entry.path))
            return
        if left_out(entry.name) or os.path.normcase(entry.path) in self._excluded:
            return
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            return
        if stat.S_ISREG(status.st_mode):
            if not belongs_to_seal(self.path(name).parent, entry.name, siblings):
                seen = Fingerprint(size=status.st_size, mtime_ns=status.st_mtime_ns)
                result.found.append(Found(name=name, kind=Kind.FILE, fingerprint=seen))
        elif stat.S_ISDIR(status.st_mode) and not _is_mount_point(status):
            if is_zarr(Path(entry.path)):
                result.found.append(Found(name=name, kind=Kind.FOLDER, fingerprint=None))
            elif depth < MAX_DEPTH:
                pending.append((name, depth + 1))

    def _parts_below(self, path: Path) -> tuple[str, ...] | None:
        # The parent is resolved, the last part is not: a link in the folder must not lead out of it.
        whole = Path(os.path.realpath(path.parent)) / path.name
        base, given = os.path.normcase(str(self.root)), os.path.normcase(str(whole))
        if not given.startswith(base.rstrip(os.sep) + os.sep):
            return None
        return whole.parts[len(self.root.parts) :]


class Leftovers:
    """Temporary files that an interrupted run of rawtrace left, deleted once they have been there long enough.

    Parameters
    ----------
    after_s : float
        Seconds since one was first seen.
    """

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._since: dict[Path, float] = {}

    def sweep_away(self, paths: Iterable[Path], now: float) -> None:
        """Take in what a sweep found, and delete what is old enough."""
        self._since = {path: self._since.get(path, now) for path in paths}
        for path, since in self._since.items():
            if now - since >= self._after_s:
                # Perhaps another account's: then it stays, and harms nobody.
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def left_out(name: str) -> bool:
    """Tell whether a name is never an asset: hidden, a seal or its receipts, temporary, or litter of the system."""
    return name.startswith(".") or name.lower() in _LITTER or name.lower().endswith(_SEALS) or is_temporary(name)


def belongs_to_seal(folder: Path, name: str, siblings: set[str] | None = None) -> bool:
    """Tell whether a file is an index or a companion that a seal wrote beside its asset."""
    if _SUPERSEDED.search(name):
        return True
    for suffix in (".sha256", ".metadata.json", ".planes.json"):
        if name.endswith(suffix):
            asset = name.removesuffix(suffix)
            beside = asset in siblings if siblings is not None else (folder / asset).exists()
            if beside and (suffix != ".sha256" or (folder / asset).is_dir()):
                return True
            if asset.lower().removesuffix(".sha256").endswith(_ZARR_SUFFIX):
                return True
    return False


def is_zarr(path: Path) -> bool:
    """Tell whether a folder is a Zarr: by its name, or by what lies at its top."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return False
    except (OSError, ValueError):
        return False
    return path.name.lower().endswith(_ZARR_SUFFIX) or any(_is_file(path / marker) for marker in _ZARR_MARKERS)


def is_link(path: Path) -> bool:
    """Tell whether a path is a symbolic link or, on Windows, a junction."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISLNK(status.st_mode) or _is_mount_point(status)


def leftover_beside(path: Path) -> str:
    """Return the name of a temporary file that shows somebody still at work on ``path``; empty if there is none."""
    name = path.name
    candidates = [name + suffix for suffix in TEMPORARY_SUFFIXES if suffix != TEMPORARY_SUFFIX]
    candidates += [f".{name}.tmp", f".{name}.part", f".{name}.swp", f"~${name}", f".~lock.{name}#"]
    return next((candidate for candidate in candidates if _is_file(path.parent / candidate)), "")


def sidecar_of(path: Path, kind: Kind) -> Path:
    """Return where the seal of an asset lies: beside a file, or beside the index of a folder."""
    return path.with_name(path.name + (".c2pa" if kind is Kind.FILE else ".sha256.c2pa"))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name so long that no file can bear it, or a folder that may not be entered
        return False


def _listing(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_mount_point(status: os.stat_result) -> bool:
    return getattr(status, "st_reparse_tag", 0) == _MOUNT_POINT_TAG
