"""The engine's word: a small note that an asset is finished, and what it looked like then.

A program that acquires (through ``rawtrace.integrations``) leaves a note; the
agent reads it. A note is a hint from the account that acquires, never an order:
the agent compares the look of the asset with the one in the note and seals
nothing outside its watched folder.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rawtrace import durable, strictjson
from rawtrace.errors import Error, MalformedError, UnreadableError, from_os_error
from rawtrace.sealing import folderindex
from rawtrace.sealing.statements import Device

NOTES_FOLDER = ".rawtrace-notes"
NOTE_SUFFIX = ".finished.json"
NOTE_SCHEMA = "urn:rawtrace:schema:finished-note:1"
_MAX_NOTE_BYTES = 65_536
_MAX_NOTES = 10_000
_MAX_TEXT = 256
# FAT keeps even seconds and some network drives round; an edit that keeps size and second is caught by the seal itself.
_MTIME_TOLERANCE_NS = 2_000_000_000
TEMPORARY_SUFFIXES = (
    ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".lock", ".__lock", ".writing",
    ".incomplete", ".swp", durable.TEMPORARY_SUFFIX,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """What can be seen of an asset without reading it; two equal ones mean that nothing was written in between.

    Attributes
    ----------
    size : int
        Bytes, summed over all members of a folder.
    mtime_ns : int
        Last modification in nanoseconds, the newest of a folder. Compared for equality only: a clock that
        is wrong does no harm.
    count : int
        Number of files; 1 for a file.
    times : int
        The last modifications of a folder's members in nanoseconds, summed (modulo 2**63), so that a member
        whose clock is set back is noticed beside a newer one; 0 for a file.
    """

    size: int
    mtime_ns: int
    count: int = 1
    times: int = 0

    def text(self) -> str:
        """Return ``size:mtime_ns:count:times``, as kept in the outbox."""
        return f"{self.size}:{self.mtime_ns}:{self.count}:{self.times}"

    @classmethod
    def parse(cls, text: str) -> Fingerprint | None:
        """Read what ``text`` wrote; ``None`` for anything else."""
        parts = text.split(":")
        if len(parts) != 4 or not all(part.removeprefix("-").isdecimal() and len(part) < 25 for part in parts):
            return None
        size, mtime_ns, count, times = (int(part) for part in parts)
        return cls(size=size, mtime_ns=mtime_ns, count=count, times=times)

    def agrees_with(self, other: Fingerprint) -> bool:
        """Tell whether both show the same state, seen perhaps through two file systems (2 s of mtime are allowed)."""
        same_extent = (self.size, self.count) == (other.size, other.count)
        return same_extent and abs(self.mtime_ns - other.mtime_ns) <= _MTIME_TOLERANCE_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at an asset: its fingerprint, and the first member of a folder that bears a temporary name.

    ``listed`` is ``False`` for a folder that could not be listed, whose fingerprint then says little.
    """

    fingerprint: Fingerprint
    temporary: str = ""
    listed: bool = True

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it so far."""
        return self.listed and not self.fingerprint.size


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedNote:
    """What the engine says.

    Attributes
    ----------
    path : Path
        Absolute path of the asset.
    fingerprint : Fingerprint
        How the asset looked when the engine had closed it.
    engine : str
        Name and version of the program.
    reason : str
        ``completed``, ``canceled`` or ``errored``.
    source : Path
        The note itself.
    device : Device or None
        With what the engine recorded, as far as it knows.
    """

    path: Path
    fingerprint: Fingerprint
    engine: str
    reason: str
    source: Path
    device: Device | None = None


def is_temporary(name: str) -> bool:
    """Tell whether a file name is one that programs use while they still write."""
    lower = name.lower()
    return lower.endswith(TEMPORARY_SUFFIXES) or lower.startswith(("~$", ".~lock."))


def look(path: Path) -> Look | None:
    """Look at a file or at everything in a folder, without following links; ``None`` if it is gone or neither."""
    try:
        status = path.lstat()
    except (OSError, ValueError):
        return None
    if stat.S_ISREG(status.st_mode):
        return Look(fingerprint=Fingerprint(size=status.st_size, mtime_ns=status.st_mtime_ns))
    if not stat.S_ISDIR(status.st_mode):
        return None
    return _look_into(path)


def leave_note(
    folder: Path, asset: Path, *, engine: str, reason: str = "completed", device: Device | None = None
) -> Path:
    """Leave a note for the agent that ``asset`` is finished.

    Parameters
    ----------
    folder : Path
        Where the agent looks for notes; made if it is missing.
    asset : Path
        The file or folder, closed for good.
    engine, reason, device
        See ``FinishedNote``.

    Raises
    ------
    UnreadableError
        The asset is not there.
    UnwritableError, DiskFullError
    """
    seen = look(asset)
    if seen is None:
        msg = f"{asset} was to be announced as finished, but there is no such file or folder"
        raise UnreadableError(msg)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"writing {folder}") from error
    note = folder / f"{secrets.token_hex(16)}{NOTE_SUFFIX}"
    document: dict[str, object] = {
        "schema": NOTE_SCHEMA,
        "path": str(asset.absolute()),
        "fingerprint": seen.fingerprint.text(),
        "engine": engine[:_MAX_TEXT],
        "reason": reason[:_MAX_TEXT],
        "finished_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if device is not None:
        document["device"] = device_json(device)
    durable.write_new(note, strictjson.dumps(document))
    return note


def device_json(device: Device) -> dict[str, object]:
    """Return a device as a note holds it; what is not known is left out."""
    said: dict[str, object] = {"firmware": device.firmware} if device.firmware else {}
    return said if device.features is None else {**said, "features": list(device.features)}


def read_device(value: object) -> Device:
    """Read what ``device_json`` wrote.

    Raises
    ------
    MalformedError, UsageError
    """
    said = value if isinstance(value, dict) else {"": None}
    firmware, features = said.get("firmware", ""), said.get("features")
    listed = features is None or (isinstance(features, list) and all(isinstance(one, str) for one in features))
    if set(said) - {"firmware", "features"} or not isinstance(firmware, str) or not listed:
        msg = "what an engine says of the device is not firmware as text and features as a list"
        raise MalformedError(msg)
    return Device(firmware=firmware, features=None if features is None else tuple(features))


def read_notes(folder: Path, *, known: Container[Path] = ()) -> Iterator[tuple[Path, FinishedNote | Error]]:
    """Yield every note in ``folder`` that is not ``known``; instead of one that cannot be read, why not.

    At most 10 000 per call. Names that are not notes are passed over, and so are links, the folder itself included.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return
        with os.scandir(folder) as entries:
            notes = [
                folder / entry.name
                for entry, _ in zip(entries, range(_MAX_NOTES), strict=False)
                if entry.name.endswith(NOTE_SUFFIX) and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return
    for note in sorted(notes):
        if note not in known:
            try:
                yield note, _read_note(note)
            except Error as error:
                yield note, error


def _read_note(path: Path) -> FinishedNote:
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_NOTE_BYTES + 1)
    except OSError as error:
        raise from_os_error(error, f"reading {path}") from error
    document = strictjson.loads(data, what=f"the note {path.name}", max_bytes=_MAX_NOTE_BYTES)
    values = document if isinstance(document, dict) else {}
    texts = {key: values.get(key) for key in ("schema", "path", "fingerprint", "engine", "reason")}
    fingerprint = Fingerprint.parse(str(texts["fingerprint"]))
    named = texts["path"]
    if (
        texts["schema"] != NOTE_SCHEMA
        or not isinstance(named, str)
        or "\0" in named
        or not Path(named).is_absolute()
        or fingerprint is None
    ):
        msg = f"the note {path.name} is not a finished note of the form {NOTE_SCHEMA}"
        raise MalformedError(msg)
    return FinishedNote(
        path=Path(named),
        fingerprint=fingerprint,
        engine=str(texts["engine"])[:_MAX_TEXT],
        reason=str(texts["reason"])[:_MAX_TEXT],
        source=path,
        device=read_device(values["device"]) if "device" in values else None,
    )


def _look_into(root: Path) -> Look:
    size = count = newest = times = 0
    temporary = ""
    listed = True
    pending = [(str(root), 0)]
    while pending and count <= folderindex.MAX_MEMBERS:
        folder, depth = pending.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        if depth < folderindex.MAX_DEPTH:
                            pending.append((entry.path, depth + 1))
                        continue
                    if folderindex.is_litter(entry.name):
                        continue
                    count += 1
                    size += status.st_size
                    newest = max(newest, status.st_mtime_ns)
                    times += status.st_mtime_ns
                    if not temporary and is_temporary(entry.name):
                        temporary = entry.name
        except OSError:
            # A member that vanishes under our eyes means that somebody is at work; the next look will differ.
            listed = listed and folder != str(root)
    seen = Fingerprint(size=size, mtime_ns=newest, count=count, times=times % (1 << 63))
    return Look(fingerprint=seen, temporary=temporary, listed=listed)
